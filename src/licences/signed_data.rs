//! Plain digital signatures (`Type="Sign"`): GB/T 35275 or RFC 5652 SignedData over Signature.xml.
//!
//! Three forms are found: (a) the content is the SM3 of Signature.xml and is signed as it is; (b) no content, and signed
//! attributes with the digest of Signature.xml; (c) as (b), with two names for the content type. The mathematics is
//! [`crate::trust::cms`]'s; here is said what each way of failing means for a package.

use super::profile::Profile;
use super::report::SignatureVerdict;
use super::suite;
use super::times::Written;
use super::trusted::{self, Brought, Role};
use super::verdict::{Finding, SubIndication::*};
use super::when;
use crate::trust::cms::{CmsError, Content, SignedData, SignerInfo, Verified};
use crate::trust::crl::Crl;
use crate::trust::suite::SuiteError;

/// What an error means: step and outcome.
pub(super) fn finding(error: &CmsError) -> Finding {
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
    conclude(profile, &data, signer, &verified, verdict);
    Ok(())
}

/// Steps 9 to 20 of one signer, once it is known whether the signature holds.
pub(super) fn conclude(
    profile: &Profile,
    data: &SignedData,
    signer: &SignerInfo,
    verified: &Result<Verified<'_>, CmsError>,
    verdict: &mut SignatureVerdict,
) {
    let (mut claimed, mut token) = (None, None);
    match verified {
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
    let times = when::times(profile, verdict, claimed, None, token, &signer.signature);
    // A signer is named even if the signature does not hold: all findings are told.
    let Some(cert) = data.certificate_of(signer) else { return };
    // Lists that came along are signed by their authorities like all others; what cannot be read says nothing.
    let crls: Vec<Crl> = data.crls.iter().filter_map(|der| Crl::parse(der).ok()).collect();
    let brought = Brought { certificates: &data.certificates, crls: &crls };
    trusted::judge(profile, Role::Signer, cert, brought, &times, verdict);
}
