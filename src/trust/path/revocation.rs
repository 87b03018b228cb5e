//! Is it revoked, and how old is that answer?

use super::{Exhausted, Fault, PathError, Question, Work};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::{Crl, Revoked};

/// How much must be known about revocation. Unknown is never the same as valid: it is either refused or reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Every certificate below the anchor needs a fresh, complete list of its issuer.
    Require,
    /// What lists there are count; missing or stale ones are told in [`Status`].
    #[default]
    IfAvailable,
    Ignore,
}

/// What is known about one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub certificate: String,
    /// thisUpdate of the newest complete list of the issuer; none if there is no list.
    pub as_of: Option<UnixMillis>,
    /// From there to the time asked about, in seconds; 0 when the list is newer.
    pub age_s: Option<i64>,
    /// The list was to be replaced before the time asked about, or says not when.
    pub stale: bool,
    /// The list is of a time when the certificate had already run out and may have been dropped from it.
    pub after_end: bool,
    /// An entry, also one that takes effect after the time asked about.
    pub revoked: Option<Revoked>,
}

/// certificateIssuer: entries of an indirect list may be about other authorities' certificates.
const CERTIFICATE_ISSUER: &str = "2.5.29.29";

/// What is known at `known_at` about each certificate below the anchor.
pub(super) fn statuses(
    chain: &[&Certificate],
    question: &Question<'_>,
    known_at: UnixMillis,
    work: &mut Work,
) -> Result<Vec<Status>, Exhausted> {
    let pairs = chain.iter().zip(chain.iter().skip(1));
    if question.revocation == Revocation::Ignore {
        return Ok(pairs.map(|(c, _)| Status { certificate: c.subject_text(), ..Status::default() }).collect());
    }
    pairs.map(|(certificate, issuer)| status(certificate, issuer, question.crls, known_at, work)).collect()
}

/// What speaks against the chain at the time asked about.
pub(super) fn faults(statuses: &[Status], question: &Question<'_>) -> Vec<Fault> {
    let mut out = Vec::new();
    for (place, status) in statuses.iter().enumerate() {
        let certificate = status.certificate.clone();
        if let Some(entry) = status.revoked.as_ref().filter(|entry| entry.at <= question.at) {
            let (since, reason) = (entry.at, entry.reason);
            let error = PathError::Revoked { certificate, since, reason, authority: place > 0 };
            out.push(Fault { place, error });
        } else if question.revocation == Revocation::Require
            && (status.as_of.is_none() || status.stale || status.after_end)
        {
            out.push(Fault { place, error: PathError::NoStatus(certificate) });
        }
    }
    out
}

fn status(
    certificate: &Certificate,
    issuer: &Certificate,
    crls: &[Crl],
    at: UnixMillis,
    work: &mut Work,
) -> Result<Status, Exhausted> {
    let mut newest: Option<&Crl> = None;
    let mut revoked: Option<Revoked> = None;
    for crl in crls.iter().filter(|crl| crl.issuer() == issuer.subject()) {
        work.signature()?;
        if !crl.is_by(issuer).unwrap_or(false) {
            continue;
        }
        // An entry counts in whatever list it stands; only absence needs a complete one.
        if let Some(entry) = crl.entry(certificate.serial()).filter(|_| crl.partial() != Some(CERTIFICATE_ISSUER))
            && revoked.as_ref().is_none_or(|known| entry.at < known.at)
        {
            revoked = Some(entry.clone());
        }
        if crl.partial().is_none() && newest.is_none_or(|n| n.this_update() < crl.this_update()) {
            newest = Some(crl);
        }
    }
    let name = certificate.subject_text();
    Ok(match newest {
        None => Status { certificate: name, revoked, ..Status::default() },
        Some(crl) => Status {
            certificate: name,
            as_of: Some(crl.this_update()),
            age_s: Some((at.seconds() - crl.this_update().seconds()).max(0)),
            stale: crl.next_update().is_none_or(|next| next < at),
            after_end: crl.this_update() > certificate.not_after(),
            revoked,
        },
    })
}
