//! Seals and sealing by GB/T 38540-2020 (V4), with SM2 and SM3.

use std::fmt::Write as _;

use base64::Engine;

use super::page;
use super::{MakeError, Paper};
use crate::formats::der::write;
use crate::formats::xml::escape;
use crate::formats::zip::{DosTime, Packing, Writer};
use crate::licences::ses::{self, SignerList};
use crate::licences::suite::sm3;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::cms::TimeStamp;
use crate::trust::suite::{SignatureAlgorithm, Signer};

/// What a new seal says.
#[derive(Clone, Debug)]
pub struct SealSpec<'a> {
    /// National seal number, or free text.
    pub id: &'a str,
    /// E.g. `济源市政务服务中心业务受理专用章`.
    pub name: &'a str,
    /// 1 legal name, 2 finance, 3 invoice, 4 contract, 5 personal, 99 other.
    pub kind: u64,
    /// Who may sign with it.
    pub signers: &'a [Certificate],
    pub created: UnixMillis,
    pub valid_from: UnixMillis,
    pub valid_to: UnixMillis,
    /// A PNG; [`super::round_seal`] is a plain one.
    pub picture: &'a [u8],
    /// Millimetres on a side.
    pub size_mm: u8,
}

/// Who made the seal system; shown by readers.
const VID: &str = "Tongban";
const VERSION: u64 = 4;

/// Makes a seal (`SESeal`, the content of a `.esl` file), signed by the seal maker.
pub fn make_seal(spec: &SealSpec<'_>, maker: &dyn Signer, maker_cert: &Certificate) -> Result<Vec<u8>, MakeError> {
    let certificates: Vec<Vec<u8>> = spec.signers.iter().map(|c| write::octet_string(c.der())).collect();
    let size = || write::small(spec.size_mm.into());
    let info = write::sequence(&[
        write::sequence(&[write::ia5("ES"), write::small(VERSION), write::ia5(VID)]),
        write::ia5(spec.id),
        write::sequence(&[
            write::small(spec.kind),
            write::utf8(spec.name),
            write::small(1), // a list of certificates
            write::sequence(&certificates),
            write::generalized_time(spec.created),
            write::generalized_time(spec.valid_from),
            write::generalized_time(spec.valid_to),
        ]),
        write::sequence(&[write::ia5("PNG"), write::octet_string(spec.picture), size(), size()]),
    ]);
    let signature = sign(maker, &info)?;
    let maker_cert = write::octet_string(maker_cert.der());
    Ok(write::sequence(&[info, maker_cert, write::oid(SM2_WITH_SM3), write::bit_string(&signature)]))
}

/// Makes the document and seals it: all files covered, OFD.xml and the list of signatures included, so that nothing can be
/// added afterwards.
///
/// # Errors
/// [`MakeError::FieldMissing`] and [`MakeError::SealKind`] before anything is signed; [`MakeError::SignerNotInSeal`]
/// for a certificate the seal does not list.
pub fn seal(
    paper: &Paper,
    seal: &[u8],
    signer: &dyn Signer,
    signer_cert: &Certificate,
    at: UnixMillis,
) -> Result<Vec<u8>, MakeError> {
    paper.check()?;
    let parsed = ses::seal(seal)?;
    if let Some(wanted) = paper.kind.seal_word()
        && !parsed.name.contains(wanted)
    {
        return Err(MakeError::SealKind { kind: paper.kind.word(), wanted });
    }
    if !matches!(&parsed.signers, SignerList::Certificates(list) if list.contains(&signer_cert.der())) {
        return Err(MakeError::SignerNotInSeal);
    }
    let mut files = page::files(paper, at);
    files.push((LIST.to_owned(), list().into_bytes()));
    files.push((SEAL.to_owned(), seal.to_vec()));
    let digests: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), sm3(bytes).to_vec())).collect();
    let form = Form { at, method: SM2_WITH_SM3, seal: Some((SEAL, parsed.picture.width, "1")), value: VALUE };
    let xml = signature_xml(&digests, &form).into_bytes();
    let value = signed_value(seal, (SIGNATURE, &xml), signer, signer_cert, at, None)?;
    files.push((SIGNATURE.to_owned(), xml));
    files.push((VALUE.to_owned(), value));
    let mut writer = Writer::new(Vec::new(), DosTime::day_of(at));
    for (name, bytes) in &files {
        writer.add(name, Packing::Deflated, bytes)?;
    }
    Ok(writer.finish()?)
}

const LIST: &str = "Doc_0/Signs/Signatures.xml";
const SEAL: &str = "Doc_0/Signs/Sign_0/Seal.esl";
const SIGNATURE: &str = "Doc_0/Signs/Sign_0/Signature.xml";
const VALUE: &str = "Doc_0/Signs/Sign_0/SignedValue.dat";
pub(super) const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
pub(super) const NS: &str = "xmlns:ofd=\"http://www.ofdspec.org/2016\"";

pub(super) const EMPTY_LIST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <ofd:Signatures xmlns:ofd=\"http://www.ofdspec.org/2016\"><ofd:MaxSignId>0</ofd:MaxSignId></ofd:Signatures>";

fn list() -> String {
    format!(
        "{HEAD}<ofd:Signatures {NS}><ofd:MaxSignId>1</ofd:MaxSignId>\
         <ofd:Signature ID=\"1\" Type=\"Seal\" BaseLoc=\"/{SIGNATURE}\"/></ofd:Signatures>"
    )
}

/// What Signature.xml says besides its references.
pub(super) struct Form<'a> {
    pub at: UnixMillis,
    /// OID of the signature algorithm.
    pub method: &'a str,
    /// Entry name of the seal, its size in millimetres, and the page it stands on.
    pub seal: Option<(&'a str, i64, &'a str)>,
    /// Entry name of the signed value.
    pub value: &'a str,
}

/// `references` are entry names and their SM3.
pub(super) fn signature_xml(references: &[(&str, Vec<u8>)], form: &Form<'_>) -> String {
    let mut list = String::new();
    for (name, digest) in references {
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let _ = write!(
            list,
            "<ofd:Reference FileRef=\"/{}\"><ofd:CheckValue>{digest}</ofd:CheckValue></ofd:Reference>",
            escape(name)
        );
    }
    let seal = form.seal.map(|(file, size, page)| {
        format!(
            "<ofd:StampAnnot ID=\"1\" PageRef=\"{}\" Boundary=\"{} 245 {size} {size}\"/>\
             <ofd:Seal><ofd:BaseLoc>/{}</ofd:BaseLoc></ofd:Seal>",
            escape(page),
            180 - size,
            escape(file)
        )
    });
    format!(
        "{HEAD}<ofd:Signature {NS}><ofd:SignedInfo><ofd:Provider ProviderName=\"tongban\" Company=\"Tongban\" Version=\"{}\"/>\
         <ofd:SignatureMethod>{}</ofd:SignatureMethod><ofd:SignatureDateTime>{}</ofd:SignatureDateTime>\
         <ofd:References CheckMethod=\"1.2.156.10197.1.401\">{list}</ofd:References>{}</ofd:SignedInfo>\
         <ofd:SignedValue>/{}</ofd:SignedValue></ofd:Signature>",
        env!("CARGO_PKG_VERSION"),
        form.method,
        generalized(form.at),
        seal.unwrap_or_default(),
        escape(form.value),
    )
}

/// `SES_Signature` over Signature.xml, given with its entry name.
pub(super) fn signed_value(
    seal: &[u8],
    (file, xml): (&str, &[u8]),
    signer: &dyn Signer,
    signer_cert: &Certificate,
    at: UnixMillis,
    time_stamp: Option<TimeStamp<'_>>,
) -> Result<Vec<u8>, MakeError> {
    let to_sign = write::sequence(&[
        write::small(VERSION),
        seal.to_vec(),
        write::generalized_time(at),
        write::bit_string(&sm3(xml)),
        write::ia5(&format!("/{file}")),
    ]);
    let signature = sign(signer, &to_sign)?;
    let cert = write::octet_string(signer_cert.der());
    let mut parts = vec![to_sign, cert, write::oid(SM2_WITH_SM3), write::bit_string(&signature)];
    if let Some(ask) = time_stamp {
        let token = ask(&signature).map_err(MakeError::Sign)?;
        parts.push(write::explicit(0, &write::bit_string(&token)));
    }
    Ok(write::sequence(&parts))
}

pub(super) const SM2_WITH_SM3: &str = "1.2.156.10197.1.501";

fn sign(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, MakeError> {
    if signer.algorithm() != SignatureAlgorithm::Sm2Sm3 {
        return Err(MakeError::Sign("seals are signed with SM2".to_owned()));
    }
    signer.sign(message).map_err(|e| MakeError::Sign(e.to_string()))
}

/// `20260213020000Z`.
fn generalized(at: UnixMillis) -> String {
    let text: String = at.to_string().chars().take(19).filter(char::is_ascii_digit).collect();
    format!("{text}Z")
}
