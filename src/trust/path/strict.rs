//! What TLS needs on top of RFC 5280 §6: the library that checks handshakes looks at none of this.
//!
//! Profile of RFC 5280 §4.2 for conforming authorities: key identifiers present, criticality as the RFC says, an end
//! certificate that is no authority, an anchor whose own certificate is in order.

use super::{PathError, Rule, Stop, names, no};
use crate::trust::certificate::{ALT_NAMES, Certificate, KeyUsage};
use crate::trust::name;
use crate::trust::suite::PublicKey;

const SUBJECT_KEY_ID: &str = "2.5.29.14";
const AUTHORITY_KEY_ID: &str = "2.5.29.35";

pub(super) fn check(chain: &[&Certificate]) -> Result<(), Stop> {
    for (n, certificate) in chain.iter().enumerate() {
        let extensions = &certificate.extensions;
        let is_critical = |oid: &str| extensions.critical.iter().any(|c| c == oid);
        let anchor = n + 1 == chain.len();
        let self_issued = name::same(certificate.subject(), certificate.issuer());
        if is_critical(SUBJECT_KEY_ID) || is_critical(AUTHORITY_KEY_ID) {
            return no(certificate, Rule::Profile, "a key identifier that is marked critical");
        }
        if n > 0 && extensions.subject_key_id.is_none() {
            return no(certificate, Rule::Profile, "an authority without a key identifier");
        }
        // An anchor is given by name and key: who else once signed it does not matter.
        if !anchor && !self_issued && extensions.authority_key_id.is_none() {
            return no(certificate, Rule::Profile, "a certificate that does not name its issuer's key");
        }
        if anchor && self_issued {
            let own =
                extensions.authority_key_id.as_ref().is_none_or(|id| extensions.subject_key_id.as_ref() == Some(id));
            if !own || extensions.authority_by_serial {
                return no(certificate, Rule::Profile, "a root that names another authority above it");
            }
        }
        if !extensions.unreadable.is_empty() {
            return no(certificate, Rule::Profile, "an extension that cannot be read");
        }
        if !names::are_well_formed(certificate) {
            return no(certificate, Rule::Profile, "an alternative name that is not well formed");
        }
        const EMPTY_NAME: [u8; 2] = [0x30, 0];
        if n == 0 && is_critical(ALT_NAMES) && certificate.subject() != EMPTY_NAME {
            return no(certificate, Rule::Profile, "critical alternative names beside a subject");
        }
        if n == 0 && certificate.is_ca() {
            return no(certificate, Rule::Profile, "an authority's certificate at the end of a chain");
        }
        if n == 0 && extensions.key_usage.is_some_and(|usage| usage.has(KeyUsage::KEY_CERT_SIGN)) {
            return no(certificate, Rule::Profile, "a key for certificates in a certificate that is no authority");
        }
        let key = certificate
            .public_key()
            .map_err(|error| Stop::No(PathError::Suite { certificate: certificate.subject_text(), error }))?;
        if let PublicKey::Rsa(key) = key
            && !PublicKey::rsa_bits(&key).is_some_and(|bits| bits.is_multiple_of(8))
        {
            return no(certificate, Rule::Profile, "an RSA key of an odd length");
        }
    }
    Ok(())
}
