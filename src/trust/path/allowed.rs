//! May a certificate do what it is asked about, and those above it issue what they issued? Usage, purpose, authority, depth.

use super::search::{Stop, no};
use super::{PathError, Purpose, Rule};
use crate::trust::certificate::{Certificate, KeyUsage};
use crate::trust::{name, ocsp};

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
const ANY_USE: &str = "2.5.29.37.0";
/// Uses that have nothing to do with papers.
const NO_PAPERS: [&str; 3] = [SERVER_AUTH, TIME_STAMPING, ocsp::OCSP_SIGNING];

/// The extended use a purpose needs, if it needs one.
fn extended_use(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::TlsServer => Some(SERVER_AUTH),
        Purpose::TlsClient => Some(CLIENT_AUTH),
        Purpose::TimeStamping => Some(TIME_STAMPING),
        Purpose::Signer | Purpose::SealMaker | Purpose::LicenceIssuer | Purpose::CrlIssuer => None,
    }
}

/// May a certificate do what it is asked about, wherever it comes from? Part of [`judge`] and [`survey`].
///
/// # Errors
/// [`PathError::Constraint`], or [`PathError::Suite`] for a key that is none.
pub fn fit(certificate: &Certificate, purpose: Purpose) -> Result<(), PathError> {
    leaf(certificate, purpose, false).map_err(|stop| match stop {
        Stop::No(error) => error,
        Stop::Work => PathError::TooMuchWork(certificate.subject_text()),
    })
}

pub(super) fn understood(certificate: &Certificate) -> Result<(), Stop> {
    if certificate.extensions.unknown_critical.is_empty() {
        Ok(())
    } else {
        no(certificate, Rule::Critical, "a critical extension that is not understood")
    }
}

/// `anchor` tells whether it is trusted for itself.
pub(super) fn leaf(leaf: &Certificate, purpose: Purpose, anchor: bool) -> Result<(), Stop> {
    understood(leaf)?;
    let signs_papers = matches!(purpose, Purpose::Signer | Purpose::SealMaker | Purpose::LicenceIssuer);
    // Real seal certificates carry more bits than they need: what counts is that a signing bit is among them. The
    // encipherment half of a dual pair has none.
    let bits = match purpose {
        Purpose::CrlIssuer => KeyUsage::CRL_SIGN,
        Purpose::TlsServer | Purpose::TlsClient => KeyUsage::DIGITAL_SIGNATURE,
        _ => KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION,
    };
    if leaf.extensions.key_usage.is_some_and(|usage| !usage.has(bits)) {
        return no(leaf, Rule::KeyUsage, "a key that is not for signing");
    }
    if let Some(wanted) = extended_use(purpose) {
        let uses = leaf.extensions.extended_key_usage.as_deref().unwrap_or_default();
        if !uses.iter().any(|u| u == wanted) {
            return no(leaf, Rule::Purpose, "a certificate that is not for this purpose");
        }
    }
    // Signers' certificates say nothing of their use, or name mail, clients, documents or codes of their maker's own:
    // ETSI EN 319 412 asks for none. What is for other ends only signs no papers.
    if let (true, Some(uses)) = (signs_papers, &leaf.extensions.extended_key_usage)
        && uses.iter().all(|u| NO_PAPERS.contains(&u.as_str()))
    {
        return no(leaf, Rule::Purpose, "a certificate that is for another purpose only");
    }
    if leaf.extensions.name_constraints.is_some() && !leaf.is_ca() {
        return no(leaf, Rule::Names, "name constraints in a certificate that is no authority");
    }
    // Who made a certificate for itself often called itself an authority: where it is trusted for itself, nobody is misled.
    if leaf.is_ca() && (purpose == Purpose::TimeStamping || signs_papers && !anchor) {
        return no(leaf, Rule::Authority, "an authority's certificate where an end entity's must be");
    }
    match leaf.public_key() {
        Ok(_) => Ok(()),
        Err(error) => Err(Stop::No(PathError::Suite { certificate: leaf.subject_text(), error })),
    }
}

/// May the authorities above it issue what they issued? If not, which cannot, and why.
///
/// The anchor's own bits count only for TLS: elsewhere an anchor is trusted by decision, and real roots lack some of them.
/// But a certificate that is trusted for itself does not become an authority by that: it must say that it is one, or be
/// a root of the time before certificates could.
pub(super) fn authorities(chain: &[&Certificate], purpose: Purpose) -> (usize, Result<(), Stop>) {
    let tls = matches!(purpose, Purpose::TlsServer | Purpose::TlsClient);
    let mut below = 0; // authorities between this one and the leaf, self-issued ones not counted (§6.1.4 (l))
    for (n, authority) in chain.iter().enumerate().skip(1) {
        let anchor = n + 1 == chain.len();
        let extensions = &authority.extensions;
        let (ca, depth) = extensions.basic_constraints.unwrap_or((false, None));
        let self_issued = name::same(authority.subject(), authority.issuer());
        let old_root = anchor && !tls && self_issued && authority.version() < 3;
        if !ca && !old_root {
            return (n, no(authority, Rule::Authority, "an issuer that is no authority"));
        }
        if extensions.key_usage.is_some_and(|usage| !usage.has(KeyUsage::KEY_CERT_SIGN)) && (tls || !anchor) {
            return (n, no(authority, Rule::KeyUsage, "an authority whose key is not for certificates"));
        }
        if depth.is_some_and(|most| below > most) {
            return (n, no(authority, Rule::Authority, "more authorities than one above allows"));
        }
        if let (Some(wanted), Some(uses), false) = (extended_use(purpose), &extensions.extended_key_usage, anchor)
            && !uses.iter().any(|u| u == wanted || u == ANY_USE)
        {
            return (n, no(authority, Rule::Purpose, "an authority that is not for this purpose"));
        }
        if !self_issued {
            below += 1;
        }
    }
    (0, Ok(()))
}
