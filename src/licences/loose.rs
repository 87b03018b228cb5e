//! Signatures and seals that are files of their own: SignedData, the value of a seal's signature, a seal.
//!
//! ```text
//!  PEM, base64 ─▶ DER ─┬─ begins with an OID ──▶ SignedData: a verdict per signer
//!                      └─ with a SEQUENCE ─────▶ SES_Signature │ SESeal
//! ```
//! What a detached signature is over is given beside it; without that, all but the content is judged, and it is told.

use super::examine::{Form, form};
use super::profile::Profile;
use super::report::{Format, Report, SignatureVerdict};
use super::signed_data::{self, Known, Named, Octets, Ranges};
use super::verdict::{Finding, SubIndication::*};
use super::verify::whole;
use super::{ofd, seals, ses};
use crate::formats::zip::Source;
use crate::trust::cms::SignedData;
use crate::trust::pem::{self, PemError};
use crate::trust::suite::DigestAlgorithm;

/// What the content is called in a report.
const CONTENT: &str = "content";

pub(super) fn examine<S: Source>(
    source: &S,
    content: Option<&dyn Source>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Finding> {
    let octets = whole(source, ofd::BLOB_MAX).map_err(|e| Finding::format(1, "FILE_UNREADABLE", e.to_string()))?;
    let der = armoured(octets)?;
    let size = content.map(|c| c.size().map_err(|e| Finding::format(1, "CONTENT_UNREADABLE", e.to_string())));
    let known = Known::default();
    let named = match (content, size.transpose()?) {
        (Some(content), Some(size)) => Some(Named(CONTENT, Ranges(content, vec![(0, size)]), &known)),
        _ => None,
    };
    let content = named.as_ref().map(|named| named as &dyn Octets);
    match form(&der) {
        Form::Cms => {
            report.format = Format::Cms;
            cms(&der, content, profile, report)
        }
        Form::Ses => match (ses::signature(&der), ses::seal(&der)) {
            (Ok(signature), _) => {
                report.format = Format::SealSignature;
                seal_signature(&signature, content, profile, report)
            }
            (_, Ok(seal)) => {
                report.format = Format::Seal;
                let mut verdict = SignatureVerdict::blank(profile, &ofd::shown(&seal.id), "", "SealMaking");
                seals::alone(profile, &seal, &mut verdict);
                keep(verdict, report);
                Ok(())
            }
            (Err(e), _) => Err(Finding::format(8, e.code(), e.to_string())),
        },
        Form::Raw => Err(Finding::doubt(11, "RAW_SIGNATURE_NO_CERT", NoSigningCertificateFound, "")),
        Form::None => Err(Finding::format(8, "SIGNED_VALUE_DER", "")),
    }
}

/// The one object of a file of DER or PEM.
fn armoured(octets: Vec<u8>) -> Result<Vec<u8>, Finding> {
    if octets.first() == Some(&0x30) {
        return Ok(octets);
    }
    let damaged = |e: PemError| Finding::format(8, "SIGNED_VALUE_PEM", e.to_string());
    if pem::begins_bare(&octets) {
        return pem::bare(&octets).map_err(damaged);
    }
    let blocks = pem::decode(&octets).map_err(damaged)?;
    match &blocks[..] {
        [one] if matches!(one.label.as_str(), "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA") => Ok(one.octets.to_vec()),
        _ => Err(Finding::format(8, "SIGNED_VALUE_PEM", "one PKCS7 or CMS object must be there")),
    }
}

fn cms(der: &[u8], content: Option<&dyn Octets>, profile: &Profile, report: &mut Report) -> Result<(), Finding> {
    let data = SignedData::parse(der).map_err(|e| signed_data::finding(&e))?;
    if data.signers.is_empty() {
        report.findings.push(Finding::doubt(3, "NOT_SIGNED", SignedDataNotFound, ""));
    }
    for (n, signer) in data.signers.iter().enumerate() {
        let mut verdict = SignatureVerdict::blank(profile, &(n + 1).to_string(), "", "Sign");
        verdict.format = "CMS";
        if let Err(finding) = signed_data::over(profile, &data, signer, content, &mut verdict) {
            verdict.findings.push(finding);
        }
        if content.is_some() || data.content.is_some() {
            verdict.covered.push((CONTENT.to_owned(), Vec::new()));
        }
        keep(verdict, report);
    }
    cover(report);
    Ok(())
}

fn seal_signature(
    signature: &ses::SealSignature<'_>,
    content: Option<&dyn Octets>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Finding> {
    let mut verdict = SignatureVerdict::blank(profile, "1", "", "Seal");
    let mut sm3 = None;
    match content {
        None => verdict.findings.push(Finding::doubt(4, "CONTENT_MISSING", SignedDataNotFound, "")),
        Some(content) => {
            let digests = content.digests(&[DigestAlgorithm::Sm3]);
            let mut digests = digests.map_err(|e| Finding::format(1, "CONTENT_UNREADABLE", e.to_string()))?;
            sm3 = digests.pop().map(|(_, digest)| digest);
            verdict.covered.push((CONTENT.to_owned(), Vec::new()));
        }
    }
    seals::applied(profile, sm3.as_deref(), signature, &mut verdict);
    keep(verdict, report);
    cover(report);
    Ok(())
}

fn keep(mut verdict: SignatureVerdict, report: &mut Report) {
    verdict.conclude();
    if verdict.indication == super::Indication::TotalFailed {
        verdict.covered.clear();
    }
    report.signatures.push(verdict);
}

fn cover(report: &mut Report) {
    if report.signatures.iter().any(|s| !s.covered.is_empty()) {
        report.coverage.covered.push(CONTENT.to_owned());
    }
}
