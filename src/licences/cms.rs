//! Plain digital signatures (`Type="Sign"`): GB/T 35275 or RFC 5652 SignedData over Signature.xml, and time-stamp tokens.
//!
//! Three forms are found: (a) the content is the SM3 of Signature.xml and is signed as it is; (b) no content, and signed
//! attributes with the digest of Signature.xml; (c) as (b), with two names for the content type. The mathematics is
//! [`crate::trust::cms`]'s; here is said what each way of failing means for a package.

use super::chain::{self, Role, Times};
use super::profile::Profile;
use super::report::{SignatureVerdict, TimeBasis};
use super::suite;
use super::times::{self, Written};
use super::verdict::{Finding, SubIndication::*};
use crate::formats::der::{Reader, only, tag};
use crate::terms::UnixMillis;
use crate::trust::cms::{CmsError, Content, SignedData};
use crate::trust::suite::{DigestAlgorithm, SuiteError};

/// What an error means: step and outcome.
fn finding(error: &CmsError) -> Finding {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        CmsError::Der(_) | CmsError::Form(_) | CmsError::Certificate(_) => Finding::format(8, code, detail),
        CmsError::Suite(SuiteError::Key) => Finding::failed(10, code, SigCryptoFailure, detail),
        CmsError::Suite(_) => Finding::doubt(6, code, CryptoConstraintsFailure, detail),
        CmsError::NoContent => Finding::format(8, code, detail),
        CmsError::Digest => Finding::failed(9, code, HashFailure, detail),
        CmsError::Signature => Finding::failed(10, code, SigCryptoFailure, detail),
        CmsError::NoSigner | CmsError::NoCertificate => Finding::doubt(11, code, NoSigningCertificateFound, detail),
        CmsError::OtherCertificate => Finding::doubt(12, code, SigConstraintsFailure, detail),
    }
}

/// Steps 8 to 20 of a `Sign` signature over the octets of Signature.xml.
pub(super) fn examine(
    profile: &Profile,
    xml: &[u8],
    value: &[u8],
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let data = SignedData::parse(value).map_err(|e| finding(&e))?;
    let [signer] = &data.signers[..] else {
        return Err(match data.signers[..] {
            [] => finding(&CmsError::NoSigner),
            _ => Finding::format(8, "CMS_STRUCTURE", "more than one signer"),
        });
    };
    // Whatever is signed must be Signature.xml, or its SM3.
    let hash = suite::sm3(xml);
    let content: &[u8] = match &data.content {
        Some(content) if *content != hash && content != xml => {
            verdict.findings.push(Finding::failed(9, "CMS_CONTENT_MISMATCH", HashFailure, ""));
            content
        }
        Some(content) => content,
        None => xml,
    };
    let mut verified = data.verify_one(signer, None, Content::Bytes(content));
    if signer.signed.is_none() && data.content.is_none() && matches!(verified, Err(CmsError::Signature)) {
        // Detached, without attributes: some sign the digest of the file as if it were the content.
        verified = data.verify_one(signer, None, Content::Bytes(&hash));
    }
    let (mut claimed, mut token) = (None, None);
    match &verified {
        Err(error) => verdict.findings.push(finding(error)),
        Ok(good) => {
            claimed = good.signing_time.map(|at| Written { at, local: false });
            token = good.time_stamp;
            if good.raw_signature {
                verdict.findings.push(Finding::note(10, "SIGNATURE_RAW64", "CMS_SIGNATURE"));
            }
        }
    }
    let claimed = claimed.or(verdict.claimed_at.map(|at| Written { at, local: true }));
    let times = chain::times(profile, verdict, claimed, None, token, &signer.signature);
    // A signer is named even if the signature does not hold: all findings are told.
    if let Some(cert) = data.certificate_of(signer) {
        chain::judge(profile, Role::Signer, cert, &data.certificates, &times, verdict);
    }
    Ok(())
}

const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

/// `TSTInfo` (RFC 3161 §2.4.2), as far as it is judged on.
struct Stamp {
    digest: DigestAlgorithm,
    imprint: Vec<u8>,
    at: UnixMillis,
}

fn stamp(data: &SignedData) -> Option<Stamp> {
    let info = data.content.as_deref().filter(|_| data.content_type == TST_INFO)?;
    let mut fields = only(info).ok().filter(|e| e.tag == tag::SEQUENCE)?.inside();
    if fields.small().ok()? != 1 {
        return None;
    }
    fields.oid().ok()?;
    let mut imprint = fields.sequence().ok()?;
    let digest = DigestAlgorithm::from_oid(&imprint.sequence().ok()?.oid().ok()?).ok()?;
    let octets = imprint.octet_string().ok()?.to_vec();
    fields.integer().ok()?;
    let at = fields.expect(tag::GENERALIZED_TIME).ok()?;
    let at = times::read(std::str::from_utf8(at.content).ok()?)?.at;
    Some(Stamp { digest, imprint: octets, at })
}

/// The time in a token, not verified.
pub(super) fn token_time(bytes: &[u8]) -> Option<UnixMillis> {
    stamp(&SignedData::parse(bytes).ok()?).map(|s| s.at)
}

/// Verifies a time-stamp token (RFC 3161, GB/T 20520) over `stamped`, with a chain of its own. Step 20.
pub(super) fn time_stamp(
    profile: &Profile,
    bytes: &[u8],
    stamped: &[u8],
    verdict: &mut SignatureVerdict,
) -> Result<UnixMillis, Finding> {
    let no = |code, detail: &str| Finding::note(20, code, detail);
    // Tokens may come with octets after the end, as the last of a BIT STRING: the SEQUENCE is what counts.
    let bytes = Reader::new(bytes).element().map_or(bytes, |e| e.full);
    let data = SignedData::parse(bytes).map_err(|e| no("TIMESTAMP_STRUCTURE", &e.to_string()))?;
    let stamp = stamp(&data).ok_or_else(|| no("TIMESTAMP_STRUCTURE", ""))?;
    if stamp.digest.of(stamped) != stamp.imprint {
        return Err(no("TIMESTAMP_IMPRINT", ""));
    }
    let [signer] = &data.signers[..] else { return Err(no("TIMESTAMP_STRUCTURE", "signers")) };
    let verified = data.verify_one(signer, None, Content::Inside);
    let verified = verified.map_err(|e| no("TIMESTAMP_SIGNATURE", &e.to_string()))?;
    if stamp.at > profile.at {
        return Err(no("TIMESTAMP_IN_FUTURE", &stamp.at.to_string()));
    }
    // The authority's own certificate is judged now: a stamp outlives it only by being stamped again.
    let times = Times { claimed: None, proven: None, judged_at: profile.at, basis: TimeBasis::Now };
    let before = verdict.findings.len();
    chain::judge(profile, Role::Tsa, verified.certificate, &data.certificates, &times, verdict);
    let found = verdict.findings.split_off(before);
    match found.into_iter().find(|f| f.outcome.is_some()) {
        Some(finding) => Err(no(finding.code, &finding.detail)),
        None => Ok(stamp.at),
    }
}
