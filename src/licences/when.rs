//! When it was signed: the claim, the proof, and the time certificates are judged at. Steps 14 and 20.

use std::io;

use super::limits;
use super::profile::Profile;
use super::report::{SignatureVerdict, TimeBasis};
use super::signed_data;
use super::times::Written;
use super::trusted::{self, Role};
use super::verdict::{Finding, SubIndication::*};
use crate::formats::der::Reader;
use crate::terms::UnixMillis;
use crate::trust::suite::DigestAlgorithm;
use crate::trust::timestamp::{TimeStampError, Token};

/// Producers write Beijing time with a `Z`: intervals are wider by this at both ends, and the report says when it counted.
const ZONE_SLACK_S: i64 = 8 * 3_600;

/// What is known of the time of signing, and which time certificates are judged at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub claimed: Option<UnixMillis>,
    pub proven: Option<UnixMillis>,
    pub judged_at: UnixMillis,
    pub basis: TimeBasis,
}

/// Step 14, and what step 20 makes of a time-stamp.
///
/// `seal` is the seal's own period, `tokens` are time-stamps over the signature, in any of the `spellings` of its value.
pub(super) fn times(
    profile: &Profile,
    verdict: &mut SignatureVerdict,
    claimed: Option<Written>,
    seal: Option<(UnixMillis, UnixMillis)>,
    tokens: &[&[u8]],
    spellings: &[&[u8]],
) -> Times {
    match claimed {
        None if seal.is_some() || profile.time_basis == TimeBasis::Claimed => {
            verdict.findings.push(Finding::doubt(14, "SIGN_TIME_UNREADABLE", SigConstraintsFailure, ""));
        }
        None => verdict.findings.push(Finding::note(14, "SIGN_TIME_NONE", "")),
        Some(written) => {
            let at = written.at;
            if at > profile.at.plus_seconds(ZONE_SLACK_S) {
                let detail = at.to_string();
                verdict.findings.push(Finding::doubt(14, "SIGN_TIME_IN_FUTURE", SigConstraintsFailure, detail));
            } else if at > profile.at {
                verdict.findings.push(Finding::note(14, "SIGN_TIME_ZONE", at.to_string()));
            }
            if let Some((from, to)) = seal {
                let detail = || format!("{at} not in {from}..{to}");
                match within(at, from, to) {
                    Within::Yes => {}
                    Within::Slack => verdict.findings.push(Finding::note(14, "SIGN_TIME_ZONE", detail())),
                    Within::No => {
                        let code = "SEAL_NOT_VALID_AT_SIGNING";
                        verdict.findings.push(Finding::doubt(14, code, SigConstraintsFailure, detail()));
                    }
                }
            }
        }
    }
    let claimed = claimed.map(|w| w.at);
    verdict.claimed_at = claimed.or(verdict.claimed_at);
    let mut proven = Vec::new();
    for token in tokens {
        // Over another spelling it is over something else; whatever else is wrong is wrong with all of them.
        let other =
            |found: &Result<_, Finding>| found.as_ref().is_err_and(|f| f.code == TimeStampError::Imprint.code());
        let mut found = Err(Finding::note(20, TimeStampError::Imprint.code(), TimeStampError::Imprint.to_string()));
        for value in spellings {
            found = time_stamp(profile, token, &|by| Ok(by.of(value)), verdict);
            if !other(&found) {
                break;
            }
        }
        match found {
            Ok(at) => proven.push(at),
            // A bad token proves nothing; the signature is judged without it.
            Err(finding) => verdict.findings.push(finding),
        }
    }
    // Time-stamps over the whole document may have proven a time already: the earliest counts.
    let proven = proven.into_iter().chain(verdict.proven_at).min();
    verdict.proven_at = proven;
    let basis = basis(profile.time_basis, proven.is_some());
    let judged_at = match basis {
        TimeBasis::Claimed => claimed.unwrap_or(profile.at),
        TimeBasis::TimeStamp => proven.unwrap_or(profile.at),
        TimeBasis::Now => profile.at,
    };
    (verdict.basis, verdict.judged_at) = (basis, judged_at);
    Times { claimed, proven, judged_at, basis }
}

/// Whether a moment lies in an interval.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Yes,
    /// Only if the time was written in the wrong zone.
    Slack,
    No,
}

pub(super) fn within(at: UnixMillis, from: UnixMillis, to: UnixMillis) -> Within {
    if (from..=to).contains(&at) {
        Within::Yes
    } else if (from.plus_seconds(-ZONE_SLACK_S)..=to.plus_seconds(ZONE_SLACK_S)).contains(&at) {
        Within::Slack
    } else {
        Within::No
    }
}

/// The basis a policy ends up with.
fn basis(policy: TimeBasis, proven: bool) -> TimeBasis {
    match policy {
        TimeBasis::TimeStamp if !proven => TimeBasis::Now,
        other => other,
    }
}

/// Tokens may come with octets after the end, as the last of a BIT STRING: the SEQUENCE is what counts.
fn token(octets: &[u8]) -> Result<Token, Finding> {
    let octets = Reader::new(octets).element().map_or(octets, |e| e.full);
    Token::parse(octets).map_err(|e| Finding::note(20, e.code(), e.to_string()))
}

/// The time inside a token, not verified: what V1 may carry in place of a time.
pub(super) fn token_time(octets: &[u8]) -> Option<UnixMillis> {
    token(octets).ok().map(|t| t.at)
}

/// Verifies a time-stamp token (RFC 3161, GB/T 20520) over what `digest` digests, with a chain of its own.
pub(super) fn time_stamp(
    profile: &Profile,
    octets: &[u8],
    digest: &dyn Fn(DigestAlgorithm) -> io::Result<Vec<u8>>,
    verdict: &mut SignatureVerdict,
) -> Result<UnixMillis, Finding> {
    let token = token(octets)?;
    let listed = profile.trust.trusted(limits::AUTHORITIES, profile.at);
    let known: Vec<_> = profile.anchors.tsas.iter().chain(&profile.intermediates).chain(listed).cloned().collect();
    let digest = digest(token.algorithm).map_err(|e| Finding::format(1, "FILE_UNREADABLE", e.to_string()))?;
    let stamp = token.verify_digest(&digest, &known).map_err(|e| Finding::note(20, e.code(), e.to_string()))?;
    if stamp.at > profile.at {
        return Err(Finding::note(20, "TIMESTAMP_IN_FUTURE", stamp.at.to_string()));
    }
    // The authority's own certificate is judged now: a stamp outlives it only by being stamped again, as one inside a
    // document is by a later one over all of it.
    let again = verdict.proven_at.filter(|at| profile.time_basis == TimeBasis::TimeStamp && *at >= stamp.at);
    let times = match again {
        Some(at) => Times { claimed: None, proven: Some(at), judged_at: at, basis: TimeBasis::TimeStamp },
        None => Times { claimed: None, proven: None, judged_at: profile.at, basis: TimeBasis::Now },
    };
    if let Some(weakness) =
        token.digests().into_iter().find_map(|by| profile.strengths.digest(by, times.judged_at).err())
    {
        return Err(Finding::note(20, "TIMESTAMP_NOT_ACCEPTED", weakness.to_string()));
    }
    let along = token.along();
    verdict.findings.extend(signed_data::left_out(&along));
    let before = verdict.findings.len();
    trusted::judge(profile, Role::Tsa, stamp.authority, (&along).into(), &times, verdict);
    let found = verdict.findings.split_off(before);
    match found.into_iter().find(|f| f.outcome.is_some()) {
        Some(finding) => Err(Finding::note(20, finding.code, finding.detail)),
        None => Ok(stamp.at),
    }
}
