//! Seals: of the gateways, of the licence issuer, and of one whose certificate is revoked.

use std::path::{Path, PathBuf};

use super::lay::Authorities;
use super::world::{FEDERATION, GATEWAYS, POLICE_B, POLICE_B_NAME, World};
use super::{files, pki};
use crate::licences::make::{SealSpec, make_seal, round_seal};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::issue::{Subject, Use};
use crate::trust::pem;

/// A seal with the key and certificate that apply it, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub seal: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Stamp {
    fn in_folder(folder: &Path, name: &str) -> Self {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        Self { seal: file("esl"), certificate: file("pem"), key: file("key") }
    }
}

/// File name, kind as printed, letter in the seal's number.
const KINDS: [(&str, &str, &str); 3] =
    [("collection", "收件专用章", "1"), ("acceptance", "业务受理专用章", "2"), ("approval", "业务审批专用章", "3")];

/// The licence issuer's seal.
pub fn issuer(world: &World) -> Stamp {
    Stamp::in_folder(&world.federation(), "licence-issuer")
}

/// The seal under gateway A's receipts.
pub fn collection(world: &World) -> Stamp {
    Stamp::in_folder(&world.gateway(0).join("certs"), "collection")
}

/// The seal whose signer is on the revocation list.
pub fn revoked(world: &World) -> Stamp {
    Stamp::in_folder(&world.federation(), "licence-revoked")
}

/// The certificate that the revocation list names.
pub fn revoked_certificate(world: &World) -> Result<Certificate, String> {
    certificate(&revoked(world).certificate)
}

/// Reads the first certificate of a PEM file.
pub fn certificate(file: &Path) -> Result<Certificate, String> {
    let text = std::fs::read(file).map_err(|e| files::said(file, e))?;
    let all = pem::certificates(&text).map_err(|e| files::said(file, e))?;
    let first = all.first().ok_or_else(|| files::said(file, "no certificate in it"))?;
    Certificate::parse(first).map_err(|e| files::said(file, e))
}

/// Keeps the three seals of a gateway.
pub(super) fn gateway(world: &World, by: &Authorities, gateway: usize, now: UnixMillis) -> Result<(), String> {
    let (folder, plan) = (world.gateway(gateway).join("certs"), &GATEWAYS[gateway]);
    for (file, kind, letter) in KINDS {
        let name = format!("{}{kind}", plan.organisation.trim_end_matches("（演示）"));
        let number = format!("{}00000{letter}", plan.division);
        keep(&folder, file, (&name, FEDERATION), &number, by, now)?;
    }
    Ok(())
}

/// Keeps the seals of the licence issuer and of the revoked one.
pub(super) fn licence_issuers(world: &World, by: &Authorities, now: UnixMillis) -> Result<(), String> {
    let folder = world.federation();
    let name = format!("{}证照专用章", POLICE_B_NAME.trim_end_matches("(演示)"));
    // Who sealed a licence is known by the credit code with which O begins.
    let organisation = format!("{POLICE_B}{POLICE_B_NAME}");
    keep(&folder, "licence-issuer", (&name, &organisation), "41900109001", by, now)?;
    keep(&folder, "licence-revoked", (&name, &organisation), "41900109000", by, now)
}

fn keep(
    folder: &Path,
    file: &str,
    (name, organisation): (&str, &str),
    number: &str,
    by: &Authorities,
    now: UnixMillis,
) -> Result<(), String> {
    let subject = Subject::named(name, organisation);
    let signer = pki::issued(folder, file, &by.signers, &subject, Use::Signer, now)?;
    let stamp = Stamp::in_folder(folder, file);
    if let Some(have) = files::read(&stamp.seal)?
        && crate::licences::ses::seal(&have).is_ok_and(|s| is_current(&s, &signer.certificate, by))
    {
        return Ok(());
    }
    let picture = round_seal();
    let spec = SealSpec {
        id: number,
        name,
        kind: 99,
        signers: std::slice::from_ref(&signer.certificate),
        created: now,
        valid_from: signer.certificate.not_before(),
        valid_to: signer.certificate.not_after().min(by.maker.certificate.not_after()),
        picture: &picture,
        size_mm: 42,
    };
    let seal = make_seal(&spec, &by.maker.key, &by.maker.certificate).map_err(|e| files::said(&stamp.seal, e))?;
    files::write(&stamp.seal, &seal, files::PUBLIC).map(|_| ())
}

/// Whether a seal lists the signer's certificate of today and was made by the maker of today.
fn is_current(seal: &crate::licences::ses::Seal<'_>, signer: &Certificate, by: &Authorities) -> bool {
    use crate::licences::ses::SignerList;
    seal.maker == by.maker.certificate.der()
        && matches!(&seal.signers, SignerList::Certificates(list) if list.contains(&signer.der()))
}
