//! One signature of a package: steps 4 to 20.

use std::collections::HashSet;

use super::ofd::{self, Kind, Listed, SignatureXml, shown};
use super::profile::Profile;
use super::report::{SealFacts, SignatureVerdict};
use super::ses::{self, SealSignature, SignTime, SignerList, Version};
use super::signed_data;
use super::suite::{self, CheckMethod, Fault};
use super::times;
use super::trusted::{self, Brought, Role};
use super::verdict::{Finding, Indication, SubIndication::*};
use super::verify::Package;
use super::when;
use crate::formats::zip::Source;
use crate::trust::certificate::Certificate;
use crate::trust::suite::DigestAlgorithm;

/// Examines one signature. `own` collects the files that belong to it and cannot cover themselves.
pub(super) fn signature<S: Source>(
    package: &Package<'_, S>,
    listed: &Listed,
    own: &mut HashSet<String>,
) -> SignatureVerdict {
    let mut verdict = blank(package.profile, &listed.id, &listed.file, listed.kind);
    own.insert(listed.file.clone());
    if let Err(finding) = examine(package, listed, own, &mut verdict) {
        verdict.findings.push(finding);
    }
    verdict.conclude();
    verdict
}

fn blank(profile: &Profile, id: &str, file: &str, kind: Kind) -> SignatureVerdict {
    SignatureVerdict {
        id: shown(id),
        file: file.to_owned(),
        kind: kind.word(),
        format: "",
        provider: None,
        claimed_at: None,
        proven_at: None,
        basis: profile.time_basis,
        judged_at: profile.at,
        seal: None,
        certificates: Vec::new(),
        covered: Vec::new(),
        findings: Vec::new(),
        indication: Indication::TotalPassed,
        sub_indication: None,
        code: None,
    }
}

/// See [`super::verify::detached`].
pub(super) fn detached(xml: &[u8], value: &[u8], profile: &Profile) -> SignatureVerdict {
    const FILE: &str = "Signature.xml";
    let mut verdict = blank(profile, "", FILE, Kind::Seal);
    let mut run = || -> Result<(), Finding> {
        let (parsed, findings) = ofd::signature_xml(xml.to_vec(), FILE, |loc| ofd::resolve(FILE, loc))?;
        verdict.findings.extend(findings);
        verdict.provider = parsed.provider.as_deref().map(shown);
        verdict.claimed_at = parsed.date_time.as_deref().and_then(times::read).map(|w| w.at);
        match form(value) {
            Form::Ses => {
                let signature = ses::signature(value).map_err(|e| Finding::format(8, e.code(), e.to_string()))?;
                seal_signature(profile, &parsed, &signature, &mut verdict)
            }
            Form::Cms => {
                (verdict.kind, verdict.format) = (Kind::Sign.word(), "CMS");
                signed_data::examine(profile, xml, value, &mut verdict)
            }
            Form::Raw => Err(Finding::doubt(11, "RAW_SIGNATURE_NO_CERT", NoSigningCertificateFound, FILE)),
            Form::None => Err(Finding::format(8, "SIGNED_VALUE_DER", FILE)),
        }
    };
    if let Err(finding) = run() {
        verdict.findings.push(finding);
    }
    verdict.conclude();
    verdict
}

fn examine<S: Source>(
    package: &Package<'_, S>,
    listed: &Listed,
    own: &mut HashSet<String>,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let (xml, findings) = ofd::signature(&package.archive, &listed.file)?;
    verdict.findings.extend(findings);
    verdict.provider = xml.provider.as_deref().map(shown);
    verdict.claimed_at = xml.date_time.as_deref().and_then(times::read).map(|w| w.at);
    own.insert(xml.signed_value.clone());
    own.extend(xml.seal.clone());
    references(package, &xml, verdict)?;

    if package.archive.find(&xml.signed_value).is_none() {
        return Err(Finding::doubt(4, "SIGNED_VALUE_MISSING", SignedDataNotFound, xml.signed_value));
    }
    let value = ofd::read(&package.archive, &xml.signed_value, ofd::BLOB_MAX)?;
    match form(&value) {
        Form::Ses => {
            let signature = ses::signature(&value).map_err(|e| Finding::format(8, e.code(), e.to_string()))?;
            if listed.kind == Kind::Sign {
                verdict.findings.push(Finding::note(8, "SIGN_HOLDS_SEAL", xml.signed_value.as_str()));
            }
            seal_file(package, &xml, Some(&signature), verdict)?;
            seal_signature(package.profile, &xml, &signature, verdict)
        }
        Form::Cms => {
            // The picture on the page comes from the seal file, which this kind of value does not vouch for.
            seal_file(package, &xml, None, verdict)?;
            if listed.kind == Kind::Seal {
                verdict.findings.push(Finding::note(8, "SEAL_HOLDS_CMS", xml.signed_value.as_str()));
            }
            verdict.format = "CMS";
            signed_data::examine(package.profile, &xml.bytes, &value, verdict)
        }
        Form::Raw => {
            verdict.format = "RAW";
            Err(Finding::doubt(11, "RAW_SIGNATURE_NO_CERT", NoSigningCertificateFound, xml.signed_value))
        }
        Form::None => Err(Finding::format(8, "SIGNED_VALUE_DER", xml.signed_value)),
    }
}

/// Steps 4 to 7.
fn references<S: Source>(
    package: &Package<'_, S>,
    xml: &SignatureXml,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let method = xml.check_method.as_deref().unwrap_or_default();
    let algorithm = match suite::check_method(method) {
        CheckMethod::Known(algorithm) => algorithm,
        CheckMethod::Keyed => {
            // The keyed OID beside plain digests: seen once in the wild, and no key to try.
            verdict.findings.push(Finding::note(6, "REF_DIGEST_ALG_KEYED", method));
            DigestAlgorithm::Sm3
        }
        CheckMethod::Weak => {
            verdict.findings.push(Finding::doubt(6, "REF_DIGEST_ALG_WEAK", CryptoConstraintsFailure, shown(method)));
            return missing(package, xml, verdict);
        }
        CheckMethod::Unknown => {
            verdict.findings.push(Finding::doubt(6, "REF_DIGEST_ALG", CryptoConstraintsFailure, shown(method)));
            return missing(package, xml, verdict);
        }
    };
    missing(package, xml, verdict)?;
    for reference in &xml.references {
        match package.matches(&reference.file, algorithm, &reference.digest)? {
            None => {}
            Some(true) => verdict.covered.push((reference.file.clone(), reference.digest.clone())),
            Some(false) => {
                verdict.findings.push(Finding::failed(7, "REF_DIGEST_MISMATCH", HashFailure, shown(&reference.file)));
            }
        }
    }
    Ok(())
}

fn missing<S: Source>(
    package: &Package<'_, S>,
    xml: &SignatureXml,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    for reference in xml.references.iter().filter(|r| !package.sm3.contains_key(&r.file)) {
        verdict.findings.push(Finding::doubt(4, "REF_FILE_MISSING", SignedDataNotFound, shown(&reference.file)));
    }
    Ok(())
}

/// The detached seal, which viewers show, must be the one that was signed.
fn seal_file<S: Source>(
    package: &Package<'_, S>,
    xml: &SignatureXml,
    signature: Option<&SealSignature<'_>>,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let Some(file) = &xml.seal else { return Ok(()) };
    if package.archive.find(file).is_none() {
        verdict.findings.push(Finding::doubt(4, "SEAL_FILE_MISSING", SignedDataNotFound, shown(file)));
        return Ok(());
    }
    let bytes = ofd::read(&package.archive, file, ofd::BLOB_MAX)?;
    if signature.is_none_or(|s| s.seal.raw != bytes) {
        verdict.findings.push(Finding::doubt(12, "SEAL_FILE_MISMATCH", SigConstraintsFailure, shown(file)));
    }
    Ok(())
}

enum Form {
    Ses,
    Cms,
    /// A bare SM2 signature.
    Raw,
    None,
}

/// What a signed value is, by its first octets: OID first is CMS, SEQUENCE first is a seal signature, INTEGER first is a
/// bare signature.
fn form(value: &[u8]) -> Form {
    use crate::formats::der::{Reader, tag};
    if value.len() == 64 {
        return Form::Raw;
    }
    let Ok(outer) = Reader::new(value).element() else { return Form::None };
    if outer.tag != tag::SEQUENCE {
        return Form::None;
    }
    match outer.content.first() {
        Some(&tag::OID) => Form::Cms,
        Some(&tag::INTEGER) if outer.full.len() == value.len() && value.len() < 100 => Form::Raw,
        Some(_) => Form::Ses,
        None => Form::None,
    }
}

/// Steps 9 to 20 for a seal.
fn seal_signature(
    profile: &Profile,
    xml: &SignatureXml,
    signature: &SealSignature<'_>,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let seal = &signature.seal;
    verdict.format = signature.version.word();
    verdict.seal = Some(SealFacts {
        id: shown(&seal.id),
        name: shown(&seal.name),
        kind: seal.kind,
        vid: shown(&seal.vid),
        valid_from: seal.valid_from,
        valid_to: seal.valid_to,
        picture: (
            shown(&seal.picture.kind.to_lowercase()),
            seal.picture.data.len(),
            seal.picture.width,
            seal.picture.height,
        ),
    });
    let says = match signature.version {
        Version::V1 => seal.header_version == 1,
        Version::V4 => seal.header_version == 4,
        Version::V5 => true,
    };
    if !says {
        verdict.findings.push(Finding::note(8, "SES_HEADER_VERSION", seal.header_version.to_string()));
    }
    let path = signature.property.trim_start_matches('/');
    if path != verdict.file {
        verdict.findings.push(Finding::note(9, "PROPERTY_INFO", shown(&signature.property)));
    }
    if suite::sm3(&xml.bytes) != signature.data_hash.padded(32)[..] {
        verdict.findings.push(Finding::failed(9, "DATA_HASH_MISMATCH", HashFailure, verdict.file.as_str()));
    }

    let signer = Certificate::parse(signature.signer).ok();
    let maker = Certificate::parse(seal.maker).ok();
    match &signer {
        None => {
            let why = NoSigningCertificateFound;
            verdict.findings.push(Finding::doubt(11, "SIGNER_CERT_UNREADABLE", why, ""));
        }
        Some(cert) => {
            let value = signature.signature.signature();
            let fault = suite::check(cert, &signature.algorithm, signature.signed, &value);
            push_fault(verdict, fault, 10, "SES_SIGNATURE");
        }
    }
    match &seal.signers {
        SignerList::Certificates(list) if list.contains(&signature.signer) => {}
        SignerList::Digests(list)
            if list.iter().any(|(kind, d)| suite::names_certificate(kind, d, signature.signer)) => {}
        _ => verdict.findings.push(Finding::doubt(12, "SIGNER_NOT_IN_SEAL", SigConstraintsFailure, "")),
    }
    match &maker {
        None => {
            let why = NoSigningCertificateFound;
            verdict.findings.push(Finding::doubt(13, "MAKER_CERT_UNREADABLE", why, ""));
        }
        Some(cert) => {
            let fault = suite::check(cert, &seal.algorithm, &seal.signed, &seal.signature.signature());
            push_fault(verdict, fault, 13, "SEAL_SIGNATURE");
        }
    }
    if seal.time_stamp.is_some() {
        verdict.findings.push(Finding::note(20, "SEAL_TIMESTAMP_NOT_USED", ""));
    }

    let claimed = match &signature.time {
        SignTime::Claimed(written) => Some(*written),
        SignTime::Token(token) => {
            // V1 may carry a token in place of a time; what it is a token of, the standard leaves open.
            verdict.findings.push(Finding::note(20, "TIMESTAMP_AS_TIME", ""));
            when::token_time(token).map(|at| times::Written { at, local: false })
        }
        SignTime::Unreadable => None,
    };
    let within = Some((seal.valid_from, seal.valid_to));
    let times = when::times(profile, verdict, claimed, within, signature.time_stamp, signature.signature.octets);
    if let Some(cert) = signer {
        trusted::judge(profile, Role::Signer, &cert, Brought::default(), &times, verdict);
    }
    if let Some(cert) = maker {
        trusted::judge(profile, Role::Maker, &cert, Brought::default(), &times, verdict);
        if signature.signer == seal.maker && !profile.anchors.makers.iter().any(|a| a.der() == seal.maker) {
            // A body that makes its own seal is not a seal maker, whoever certified it.
            verdict.findings.push(Finding::doubt(17, "MAKER_NOT_AUTHORISED", ChainConstraintsFailure, "signer"));
        }
    }
    Ok(())
}

fn push_fault(verdict: &mut SignatureVerdict, fault: Result<(), Fault>, step: u8, code: &'static str) {
    let finding = match fault {
        Ok(()) => return,
        Err(Fault::Raw) => Finding::note(step, "SIGNATURE_RAW64", code),
        Err(Fault::Algorithm(oid)) => Finding::doubt(step, "SIGNATURE_ALG", CryptoConstraintsFailure, oid),
        Err(Fault::Bad) => Finding::failed(step, code, SigCryptoFailure, ""),
    };
    verdict.findings.push(finding);
}
