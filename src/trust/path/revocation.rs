//! Is it revoked, and how old is that answer?

use super::{Exhausted, Fault, PathError, Question, Work};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::{Crl, Revoked};
use crate::trust::ocsp::Answer;

/// How much must be known about revocation. Unknown is never the same as valid: it is either refused or reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Every certificate below the anchor needs a fresh answer of its issuer: a complete list, one with its delta, or OCSP.
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
    /// thisUpdate of the newest complete list of the issuer, its delta, or an OCSP answer; none if there is none.
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
    pairs.map(|(certificate, issuer)| status(certificate, issuer, question, known_at, work)).collect()
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

/// certificateHold: the one reason that may be taken back.
const HOLD: Option<u8> = Some(6);

fn status(
    certificate: &Certificate,
    issuer: &Certificate,
    question: &Question<'_>,
    at: UnixMillis,
    work: &mut Work,
) -> Result<Status, Exhausted> {
    let mut lists: Vec<&Crl> = Vec::new();
    for crl in question.crls.iter().filter(|crl| crl.issuer() == issuer.subject()) {
        work.signature()?;
        if crl.is_by(issuer).unwrap_or(false) {
            lists.push(crl);
        }
    }
    let newest = lists.iter().filter(|crl| crl.partial().is_none()).max_by_key(|crl| crl.this_update());
    // A delta on top of it is as good as a complete list of its own day.
    let deltas = newest.map(|newest| lists.iter().filter(|crl| crl.continues(newest)));
    let delta = deltas.and_then(|deltas| deltas.max_by_key(|crl| crl.this_update()));
    let mut known: Option<(UnixMillis, Option<UnixMillis>)> =
        delta.or(newest).map(|crl| (crl.this_update(), crl.next_update()));

    let serial = certificate.serial();
    let released = |by: &Crl, entry: &Revoked| {
        // A hold that a later complete list, or its delta, no longer has.
        let later = newest.is_some_and(|n| n.this_update() > by.this_update() && n.entry(serial).is_none());
        let removed = delta.is_some_and(|d| d.this_update() >= by.this_update() && d.removes(serial));
        entry.reason == HOLD && (later || removed)
    };
    let mut revoked: Option<Revoked> = None;
    for crl in &lists {
        // An entry counts in whatever list it stands; only absence needs a complete one.
        if let Some(entry) = crl.entry(serial).filter(|_| crl.partial() != Some(CERTIFICATE_ISSUER))
            && !released(crl, entry)
        {
            keep_first(&mut revoked, entry);
        }
    }
    for response in question.ocsp {
        if response.answers.iter().all(|single| !single.may_name(serial)) {
            continue;
        }
        work.signature()?;
        let Some(single) = response.about(certificate, issuer, at) else { continue };
        match &single.answer {
            Answer::Unknown => continue,
            Answer::Good => {}
            Answer::Revoked(entry) => keep_first(&mut revoked, entry),
        }
        if known.is_none_or(|(this, _)| this < single.this_update) {
            known = Some((single.this_update, single.next_update));
        }
    }
    let name = certificate.subject_text();
    Ok(match known {
        None => Status { certificate: name, revoked, ..Status::default() },
        Some((this, next)) => Status {
            certificate: name,
            as_of: Some(this),
            age_s: Some((at.seconds() - this.seconds()).max(0)),
            stale: next.is_none_or(|next| next < at),
            after_end: this > certificate.not_after(),
            revoked,
        },
    })
}

/// Of several entries the earliest counts.
fn keep_first(revoked: &mut Option<Revoked>, entry: &Revoked) {
    if revoked.as_ref().is_none_or(|known| entry.at < known.at) {
        *revoked = Some(entry.clone());
    }
}
