//! The head of a SignedData: its version, and the list of digests (RFC 5652 §5.1). No signature is over either, so both must say what
//! the rest makes of them, or two files that differ would both be "as signed".
//!
//! ```text
//!  version ─┬─ 5  other certificates, other kinds of status        digestAlgorithms ⊇ the digest of each signer,
//!           ├─ 4  attribute certificates                                            and nothing that is no digest
//!           ├─ 3  signers named by their key, content of a type, older attribute certificates
//!           └─ 1  all others
//! ```

use super::{CmsError, DATA, SignedData, SignerId};
use crate::formats::der::{Element, tag};
use crate::trust::suite::{DigestAlgorithm, Identifier, SuiteError};

/// What the version depends on and [`SignedData`] does not keep: the tags of its certificates and of its status.
#[derive(Default)]
pub(super) struct Kinds {
    pub certificates: Vec<u8>,
    pub status: Vec<u8>,
}

/// # Errors
/// [`CmsError::Form`] for a version that these contents do not have, [`CmsError::Form`] and [`CmsError::Suite`] for a list of digests
/// that leaves one out or names what is none.
pub(super) fn check(version: u64, digests: &Element<'_>, kinds: &Kinds, data: &SignedData) -> Result<(), CmsError> {
    let plain = DATA.contains(&data.content_type.as_str());
    let own = version_of(kinds, data, plain);
    // PKCS#7 (RFC 2315 §9.1) and GB/T 35275 know no other than 1, whatever the type of the content.
    let older =
        version == 1 && !plain && own == 3 && data.signers.iter().all(|s| matches!(s.id, SignerId::IssuerSerial(..)));
    if version != own && !older {
        return Err(CmsError::Form("a version that these contents do not have"));
    }
    let mut all = Vec::new();
    let mut reader = digests.inside();
    while !reader.is_empty() {
        all.extend(listed(&Identifier::read(&mut reader)?)?);
    }
    if data.signers.iter().all(|signer| all.contains(&signer.digest)) {
        Ok(())
    } else {
        Err(CmsError::Form("a signer's digest that is not in the list of digests"))
    }
}

/// The digest that an identifier names.
///
/// # Errors
/// [`CmsError::Form`] for parameters, which no digest has; [`CmsError::Suite`] for what is weak or not known here.
pub(super) fn digest(identifier: &Identifier) -> Result<DigestAlgorithm, CmsError> {
    match identifier.parameters {
        Some(_) => Err(CmsError::Form("a digest with parameters")),
        None => Ok(DigestAlgorithm::from_oid(&identifier.oid)?),
    }
}

/// The arc of SHA-2 and SHA-3.
const NIST_DIGESTS: &str = "2.16.840.1.101.3.4.2.";

/// A line of the list; none for a digest that no signer may use. Archived time-stamps have theirs in the list as well (ETSI EN 319
/// 122-1 §5.5.3), so it may be longer than the signers need.
fn listed(identifier: &Identifier) -> Result<Option<DigestAlgorithm>, CmsError> {
    match digest(identifier) {
        Err(CmsError::Suite(SuiteError::Weak(_))) => Ok(None),
        Err(CmsError::Suite(SuiteError::UnknownAlgorithm(oid))) if oid.starts_with(NIST_DIGESTS) => Ok(None),
        other => other.map(Some),
    }
}

fn version_of(kinds: &Kinds, data: &SignedData, plain: bool) -> u64 {
    /// v1AttrCert, v2AttrCert and other, of CertificateChoices; other, of RevocationInfoChoice.
    const OLDER: u8 = tag::context(1);
    const ATTRIBUTES: u8 = tag::context(2);
    const OTHER: u8 = tag::context(3);
    let has = |kind| kinds.certificates.contains(&kind);
    let by_key = || data.signers.iter().any(|signer| matches!(signer.id, SignerId::KeyId(_)));
    if has(OTHER) || kinds.status.contains(&super::OTHER_REVOCATION) {
        5
    } else if has(ATTRIBUTES) {
        4
    } else if has(OLDER) || by_key() || !plain {
        3
    } else {
        1
    }
}
