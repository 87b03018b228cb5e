//! Is it revoked, and how old is that answer?

use std::collections::HashSet;

use super::{Exhausted, Fault, PathError, Question, Work};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::{Crl, Revoked};
use crate::trust::name;
use crate::trust::ocsp::{Answer, Basic, By, Response};
use crate::trust::suite::{SignatureAlgorithm, SuiteError};

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
    /// thisUpdate of what tells best of the time that certificates are judged at: made after it, or before it and to be
    /// replaced later. For signatures of which it is proven that they were there at that time.
    pub of_then: Option<UnixMillis>,
    /// All that is known is of a time when the certificate had already run out and may have been dropped from lists.
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

/// Signature checks that a list not verified before is worth, one for each so many octets: hashing costs as well.
const OCTETS_A_SIGNATURE: usize = 4 << 20;

/// Whether what was signed so, at the earliest at `made`, proves anything by the policy. A weak signature still says that
/// something is revoked, which errs on the safe side; that it is good, nobody has to believe.
fn counts(algorithm: Result<SignatureAlgorithm, SuiteError>, made: UnixMillis, question: &Question<'_>) -> bool {
    let at = question.at.max(made);
    algorithm.is_ok_and(|algorithm| question.strengths.signature(algorithm, at).is_ok())
}

fn list_counts(crl: &Crl, question: &Question<'_>) -> bool {
    counts(crl.algorithm(), crl.this_update(), question)
}

/// Of a responder, its key and its own certificate as well.
fn answer_counts(response: &Basic, by: By<'_>, question: &Question<'_>) -> bool {
    let delegate = match by {
        By::Issuer => true,
        By::Delegate(own) => {
            let at = question.at.max(response.produced_at);
            counts(own.algorithm(), own.not_before(), question)
                && own.public_key().is_ok_and(|key| question.strengths.key(&key, at).is_ok())
        }
    };
    delegate && counts(response.signature_algorithm(), response.produced_at, question)
}

/// What an issuer's lists say, once it is known that they are its own.
struct Lists<'a> {
    all: Vec<&'a Crl>,
    /// Those signed well enough to say what is not revoked.
    strong: Vec<&'a Crl>,
    /// The newest complete one, and the newest delta on top of it: as good as a complete list of its own day.
    newest: Option<&'a Crl>,
    delta: Option<&'a Crl>,
}

/// When something was said, and when it is to be replaced.
#[derive(Clone, Copy)]
struct Said {
    at: UnixMillis,
    until: Option<UnixMillis>,
}

impl Said {
    /// Whether it tells of a moment: made afterwards, or meant to hold then.
    fn covers(&self, moment: UnixMillis) -> bool {
        self.at >= moment || self.until.is_some_and(|until| until >= moment)
    }
}

impl<'a> Lists<'a> {
    fn of(issuer: &Certificate, question: &Question<'a>, work: &mut Work) -> Result<Self, Exhausted> {
        let (mut all, mut known): (Vec<&Crl>, Vec<&[u8]>) = Default::default();
        for crl in question.crls.iter().filter(|crl| name::same(crl.issuer(), issuer.subject())) {
            // A copy says nothing new.
            if known.contains(&crl.der()) {
                continue;
            }
            known.push(crl.der());
            let octets = if crl.is_known_by(issuer) { 0 } else { crl.der().len() };
            for _ in 0..=octets / OCTETS_A_SIGNATURE {
                work.signature()?;
            }
            if crl.is_by(issuer).unwrap_or(false) {
                all.push(crl);
            }
        }
        let strong: Vec<&Crl> = all.iter().copied().filter(|crl| list_counts(crl, question)).collect();
        let newest = strong.iter().filter(|crl| crl.partial().is_none()).max_by_key(|crl| crl.this_update()).copied();
        let deltas = newest.map(|newest| strong.iter().filter(|crl| crl.continues(newest)));
        let delta = deltas.and_then(|deltas| deltas.max_by_key(|crl| crl.this_update())).copied();
        Ok(Self { all, strong, newest, delta })
    }

    /// Of what days there is a complete list, or what is as good.
    fn said(&self) -> impl Iterator<Item = Said> {
        let complete = self.strong.iter().copied().filter(|crl| crl.partial().is_none());
        complete.chain(self.delta).map(|crl| Said { at: crl.this_update(), until: crl.next_update() })
    }

    /// What all entries of a serial number say. An entry counts in whatever list it stands; only absence needs a complete one.
    fn entry(&self, serial: &[u8]) -> Option<Revoked> {
        let released = |by: &Crl, entry: &Revoked| {
            // A hold that a later complete list, or its delta, no longer has.
            let later = self.newest.is_some_and(|n| n.this_update() > by.this_update() && n.entry(serial).is_none());
            let removed = self.delta.is_some_and(|d| d.this_update() >= by.this_update() && d.removes(serial));
            entry.reason == HOLD && (later || removed)
        };
        let direct = self.all.iter().filter(|crl| crl.partial() != Some(CERTIFICATE_ISSUER));
        let entries = direct.filter_map(|crl| crl.entry(serial).filter(|entry| !released(crl, entry)));
        entries.fold(None, |known, entry| both(known, &entry))
    }
}

fn status(
    certificate: &Certificate,
    issuer: &Certificate,
    question: &Question<'_>,
    at: UnixMillis,
    work: &mut Work,
) -> Result<Status, Exhausted> {
    let lists = Lists::of(issuer, question, work)?;
    let serial = certificate.serial();
    let mut said: Vec<Said> = lists.said().collect();
    let mut revoked = lists.entry(serial);
    for response in answers(question, serial) {
        work.signature()?;
        let Some((single, by)) = response.about(certificate, issuer, at) else { continue };
        if let By::Delegate(delegate) = by
            && !vouched(delegate, issuer, response.produced_at, &lists, (question, at), work)?
        {
            continue;
        }
        match &single.answer {
            Answer::Unknown => continue,
            Answer::Good if !answer_counts(response, by, question) => continue,
            Answer::Good => {}
            Answer::Revoked(entry) => revoked = both(revoked, entry),
        }
        said.push(Said { at: single.this_update, until: single.next_update });
    }
    let name = certificate.subject_text();
    let Some(newest) = said.iter().max_by_key(|said| said.at).copied() else {
        return Ok(Status { certificate: name, revoked, ..Status::default() });
    };
    // Of what tells of the time asked about, that which was said first after it is best; what was dropped from lists once
    // the certificate had run out, last.
    let after_end = |said: &Said| said.at > certificate.not_after();
    let told = said.iter().filter(|said| said.covers(question.at));
    let of_then = told.min_by_key(|said| {
        let away = (said.at.0 - question.at.0).unsigned_abs();
        (after_end(said), said.at < question.at, away)
    });
    Ok(Status {
        certificate: name,
        as_of: Some(newest.at),
        age_s: Some((at.seconds() - newest.at.seconds()).max(0)),
        stale: newest.until.is_none_or(|until| until < at),
        of_then: of_then.map(|said| said.at),
        after_end: said.iter().all(after_end),
        revoked,
    })
}

/// Whether a responder's own certificate holds when it answers (RFC 6960 §4.2.2.2.1): its issuer asks nobody to check, or a
/// list of the issuer, or an answer of the issuer itself or of a responder that need not be checked, says so. Unknown is
/// not valid, and a revoked one has said nothing: who has its key dates answers as he likes.
fn vouched(
    delegate: &Certificate,
    issuer: &Certificate,
    produced_at: UnixMillis,
    lists: &Lists<'_>,
    (question, at): (&Question<'_>, UnixMillis),
    work: &mut Work,
) -> Result<bool, Exhausted> {
    if delegate.extensions.ocsp_no_check {
        return Ok(true);
    }
    let serial = delegate.serial();
    if lists.entry(serial).is_some() {
        return Ok(false);
    }
    let mut good = lists.said().any(|said| said.covers(produced_at));
    for response in answers(question, serial) {
        work.signature()?;
        match response.about(delegate, issuer, at) {
            Some((_, By::Delegate(by))) if !by.extensions.ocsp_no_check => {}
            Some((single, by)) => match single.answer {
                Answer::Revoked(_) => return Ok(false),
                Answer::Good => {
                    good |= answer_counts(response, by, question)
                        && Said { at: single.this_update, until: single.next_update }.covers(produced_at);
                }
                Answer::Unknown => {}
            },
            None => {}
        }
    }
    Ok(good)
}

/// The answers that could be about a serial number, each once.
fn answers<'a>(question: &Question<'a>, serial: &[u8]) -> Vec<&'a Response> {
    let mut known = HashSet::new();
    let may = |response: &&Response| response.answers.iter().any(|single| single.may_name(serial));
    question.ocsp.iter().filter(may).filter(|response| known.insert(response.der())).collect()
}

fn both(known: Option<Revoked>, entry: &Revoked) -> Option<Revoked> {
    Some(known.map_or_else(|| entry.clone(), |known| known.and(entry)))
}
