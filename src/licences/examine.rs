//! One signature of a package: steps 4 to 20.

use std::collections::HashSet;

use super::ofd::{self, Kind, Listed, SignatureXml, shown};
use super::package::Package;
use super::profile::Profile;
use super::report::SignatureVerdict;
use super::seals;
use super::ses::{self, SealSignature};
use super::signed_data;
use super::suite::{self, CheckMethod};
use super::times;
use super::verdict::{Finding, SubIndication::*};
use crate::formats::zip::Source;
use crate::trust::suite::DigestAlgorithm;

/// Examines one signature; the answer holds a verdict per signer. `own` collects the files that belong to it and cannot cover
/// themselves.
pub(super) fn signature<S: Source>(
    package: &Package<'_, S>,
    listed: &Listed,
    own: &mut HashSet<String>,
) -> Vec<SignatureVerdict> {
    let mut verdict = SignatureVerdict::blank(package.profile, &shown(&listed.id), &listed.file, listed.kind.word());
    own.insert(listed.file.clone());
    let further = examine(package, listed, own, &mut verdict).unwrap_or_else(|finding| {
        verdict.findings.push(finding);
        Vec::new()
    });
    verdict.conclude();
    std::iter::once(verdict).chain(further).collect()
}

/// See [`super::verify::detached`].
pub(super) fn detached(xml: &[u8], value: &[u8], profile: &Profile) -> SignatureVerdict {
    const FILE: &str = "Signature.xml";
    let mut verdict = SignatureVerdict::blank(profile, "", FILE, Kind::Seal.word());
    let mut run = || -> Result<(), Finding> {
        let (parsed, findings) = ofd::signature_xml(xml.to_vec(), FILE, |loc| ofd::resolve(FILE, loc))?;
        verdict.findings.extend(findings);
        verdict.provider = parsed.provider.as_deref().map(shown);
        verdict.claimed_at = parsed.date_time.as_deref().and_then(times::read).map(|w| w.at);
        match form(value) {
            Form::Ses => {
                let signature = ses::signature(value).map_err(|e| Finding::format(8, e.code(), e.to_string()))?;
                seals::applied(profile, Some(&suite::sm3(xml)), &signature, &mut verdict);
                Ok(())
            }
            Form::Cms => {
                (verdict.kind, verdict.format) = (Kind::Sign.word(), "CMS");
                // One verdict is asked for: the worst says it.
                let further = signed_data::examine(profile, xml, value, &mut verdict)?;
                verdict.findings.extend(further.into_iter().flat_map(|other| other.findings));
                Ok(())
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
) -> Result<Vec<SignatureVerdict>, Finding> {
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
            seals::applied(package.profile, Some(&suite::sm3(&xml.bytes)), &signature, verdict);
            Ok(Vec::new())
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
    verdict.digested.push(algorithm);
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

pub(super) enum Form {
    Ses,
    Cms,
    /// A bare SM2 signature.
    Raw,
    None,
}

/// A ContentInfo whose length is not told, up to the tag of its content type: BER, which RFC 5652 allows, and the standards
/// of seals do not.
const STREAMED: [u8; 3] = [0x30, 0x80, 0x06];

/// What a signed value is, by its first octets: OID first is CMS, SEQUENCE first is a seal signature, INTEGER first is a
/// bare signature.
pub(super) fn form(value: &[u8]) -> Form {
    use crate::formats::der::{Reader, tag};
    if value.len() == 64 {
        return Form::Raw;
    }
    if value.starts_with(&STREAMED) {
        return Form::Cms;
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
