//! Times, chains, status: steps 14 to 20 for one certificate.

use super::cms;
use super::examine::{ZONE_SLACK_S, basis, facts};
use super::profile::{Profile, Revocation};
use super::report::{CertificateFacts, SignatureVerdict, TimeBasis};
use super::times::Written;
use super::verdict::{Finding, SubIndication, SubIndication::*};
use crate::terms::UnixMillis;
use crate::trust::certificate::{Certificate, KeyUsage};
use crate::trust::crl::Crl;

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Signer,
    Maker,
    Tsa,
}

/// Fine codes of one role.
struct Codes {
    word: &'static str,
    no_chain: &'static str,
    key_usage: &'static str,
    revoked: &'static str,
    no_status: &'static str,
    expired: &'static str,
}

impl Role {
    fn codes(self) -> &'static Codes {
        match self {
            Self::Signer => &Codes {
                word: "signer",
                no_chain: "SIGNER_NO_CHAIN",
                key_usage: "SIGNER_KEY_USAGE",
                revoked: "SIGNER_REVOKED",
                no_status: "SIGNER_NO_REVOCATION_DATA",
                expired: "SIGNER_EXPIRED",
            },
            Self::Maker => &Codes {
                word: "maker",
                no_chain: "MAKER_NO_CHAIN",
                key_usage: "MAKER_KEY_USAGE",
                revoked: "MAKER_REVOKED",
                no_status: "MAKER_NO_REVOCATION_DATA",
                expired: "MAKER_EXPIRED",
            },
            Self::Tsa => &Codes {
                word: "tsa",
                no_chain: "TIMESTAMP_NO_CHAIN",
                key_usage: "TIMESTAMP_KEY_USAGE",
                revoked: "TIMESTAMP_REVOKED",
                no_status: "TIMESTAMP_NO_REVOCATION_DATA",
                expired: "TIMESTAMP_EXPIRED",
            },
        }
    }
}

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
/// `seal` is the seal's own period, `token` a time-stamp over `signature_value`.
pub(super) fn times(
    profile: &Profile,
    verdict: &mut SignatureVerdict,
    claimed: Option<Written>,
    seal: Option<(UnixMillis, UnixMillis)>,
    token: Option<&[u8]>,
    signature_value: &[u8],
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
                let detail = format!("{at} not in {from}..{to}");
                match within(at, from, to) {
                    Within::Yes => {}
                    Within::Slack => verdict.findings.push(Finding::note(14, "SIGN_TIME_ZONE", detail)),
                    Within::No => {
                        let code = "SEAL_NOT_VALID_AT_SIGNING";
                        verdict.findings.push(Finding::doubt(14, code, SigConstraintsFailure, detail));
                    }
                }
            }
        }
    }
    let claimed = claimed.map(|w| w.at);
    verdict.claimed_at = claimed.or(verdict.claimed_at);
    let proven = token.and_then(|token| match cms::time_stamp(profile, token, signature_value, verdict) {
        Ok(at) => Some(at),
        // A bad token proves nothing; the signature is judged without it.
        Err(finding) => {
            verdict.findings.push(finding);
            None
        }
    });
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

enum Within {
    Yes,
    /// Only if the time was written in the wrong zone.
    Slack,
    No,
}

fn within(at: UnixMillis, from: UnixMillis, to: UnixMillis) -> Within {
    if (from..=to).contains(&at) {
        Within::Yes
    } else if (from.plus_seconds(-ZONE_SLACK_S)..=to.plus_seconds(ZONE_SLACK_S)).contains(&at) {
        Within::Slack
    } else {
        Within::No
    }
}

/// Steps 15 to 19 for one certificate. `more` are certificates that came with the signature.
pub(super) fn judge(
    profile: &Profile,
    role: Role,
    cert: &Certificate,
    more: &[Certificate],
    times: &Times,
    verdict: &mut SignatureVerdict,
) {
    let codes = role.codes();
    let mut facts = facts(codes.word, cert);
    let mut findings = Vec::new();
    if role == Role::Signer {
        findings.extend(valid_at_signing(cert, times));
    }
    findings.extend(key_usage(role, cert));
    let anchors = match role {
        Role::Signer => &profile.anchors.signers,
        Role::Maker => &profile.anchors.makers,
        Role::Tsa => &profile.anchors.tsas,
    };
    match find(cert, anchors, &profile.intermediates, more) {
        _ if anchors.is_empty() => {
            findings.push(Finding::doubt(16, "NO_ANCHORS", NoCertificateChainFound, codes.word));
        }
        None => findings.push(Finding::doubt(16, codes.no_chain, NoCertificateChainFound, facts.issuer.clone())),
        Some(chain) => {
            facts.chain = chain.iter().map(|c| c.subject_text()).collect();
            findings.extend(revocation(profile, codes, &chain, times, &mut facts));
            findings.extend(validity(codes, &chain, times));
        }
    }
    verdict.findings.extend(findings);
    verdict.certificates.push(facts);
}

/// Step 15.
fn valid_at_signing(cert: &Certificate, times: &Times) -> Vec<Finding> {
    const CODE: &str = "SIGNER_CERT_NOT_VALID_AT_SIGNING";
    let (from, to) = (cert.not_before(), cert.not_after());
    let mut out = Vec::new();
    if let Some(claimed) = times.claimed {
        let detail = format!("{claimed} not in {from}..{to}");
        match within(claimed, from, to) {
            Within::Yes => {}
            Within::Slack => out.push(Finding::note(15, "SIGN_TIME_ZONE", detail)),
            Within::No => out.push(Finding::doubt(15, CODE, OutOfBoundsNoPoe, detail)),
        }
    }
    if let Some(proven) = times.proven
        && proven > to
        && times.claimed.is_none_or(|claimed| claimed > to)
    {
        out.push(Finding::failed(15, CODE, Expired, format!("{proven} after {to}")));
    }
    out
}

/// Step 17.
fn key_usage(role: Role, cert: &Certificate) -> Option<Finding> {
    let extensions = &cert.extensions;
    let signs = extensions.key_usage.is_none_or(|ku| ku.has(KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION));
    // RFC 3161 §2.3: a time-stamp authority's certificate is for that, and for nothing else.
    let stamps = role != Role::Tsa || extensions.extended_key_usage.as_deref() == Some(&[TIME_STAMPING.to_owned()]);
    let understood = extensions.unknown_critical.is_empty();
    (!(signs && stamps && understood)).then(|| Finding::doubt(17, role.codes().key_usage, ChainConstraintsFailure, ""))
}

/// Step 18, for every certificate but the anchor.
fn revocation(
    profile: &Profile,
    codes: &Codes,
    chain: &[&Certificate],
    times: &Times,
    facts: &mut CertificateFacts,
) -> Vec<Finding> {
    let mut out = Vec::new();
    if profile.revocation == Revocation::Ignore {
        return out;
    }
    for (n, pair) in chain.windows(2).enumerate() {
        let status = status(&profile.crls, pair[0], pair[1], profile.at);
        if n == 0 {
            facts.status = match &status {
                None => "unknown",
                Some(s) if s.revoked_at.is_some() => "revoked",
                Some(_) => "good",
            };
            facts.status_age_s = status.as_ref().map(|s| s.age_s);
            facts.revoked_at = status.as_ref().and_then(|s| s.revoked_at);
        }
        let name = pair[0].subject_text();
        let Some(status) = status else {
            if profile.revocation == Revocation::Require {
                out.push(Finding::doubt(18, codes.no_status, TryLater, name));
            }
            continue;
        };
        match status.revoked_at {
            None if status.stale && profile.revocation == Revocation::Require => {
                out.push(Finding::doubt(18, codes.no_status, TryLater, format!("{name}: {} s old", status.age_s)));
            }
            None if status.stale => out.push(Finding::note(18, "REVOCATION_DATA_STALE", name)),
            None => {}
            Some(revoked_at) => out.push(revoked(codes, n > 0, revoked_at, times)),
        }
    }
    out
}

fn revoked(codes: &Codes, is_ca: bool, revoked_at: UnixMillis, times: &Times) -> Finding {
    let detail = format!("revoked at {revoked_at}");
    let no_poe: SubIndication = if is_ca { RevokedCaNoPoe } else { RevokedNoPoe };
    match (times.proven, times.basis) {
        (Some(proven), _) if proven >= revoked_at => Finding::failed(18, codes.revoked, Revoked, detail),
        (Some(_), TimeBasis::TimeStamp) => Finding::note(18, "REVOKED_AFTER_TIMESTAMP", detail),
        (_, TimeBasis::Claimed) if times.judged_at < revoked_at => {
            Finding::note(18, "REVOKED_AFTER_CLAIMED_TIME", detail)
        }
        _ => Finding::doubt(18, codes.revoked, no_poe, detail),
    }
}

/// Step 19: at the time the policy judges by. Anchors are trusted as they are.
fn validity(codes: &Codes, chain: &[&Certificate], times: &Times) -> Vec<Finding> {
    let at = times.judged_at;
    let judged = &chain[..chain.len().saturating_sub(1).max(1)];
    let mut out = Vec::new();
    for cert in judged {
        let (from, to) = (cert.not_before(), cert.not_after());
        let detail = format!("{at} ({}) not in {from}..{to}", times.basis.word());
        match within(at, from, to) {
            Within::Yes => {}
            // Only a claimed time may have been written in the wrong zone.
            Within::Slack if times.basis == TimeBasis::Claimed => out.push(Finding::note(19, "SIGN_TIME_ZONE", detail)),
            _ => out.push(Finding::doubt(19, codes.expired, OutOfBoundsNoPoe, detail)),
        }
    }
    out
}

/// id-kp-timeStamping.
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// What the lists at hand say of a certificate.
struct Status {
    revoked_at: Option<UnixMillis>,
    age_s: i64,
    stale: bool,
}

/// Asks the newest list that `issuer` made. A partial list can say that a certificate is revoked, never that it is not.
fn status(crls: &[Crl], cert: &Certificate, issuer: &Certificate, now: UnixMillis) -> Option<Status> {
    let mut lists: Vec<&Crl> =
        crls.iter().filter(|crl| crl.this_update() <= now && crl.is_by(issuer).unwrap_or(false)).collect();
    lists.sort_by_key(|crl| crl.this_update());
    let newest_full = lists.iter().rev().find(|crl| crl.partial().is_none());
    // removeFromCRL takes a certificate off hold.
    let entry = lists.iter().rev().find_map(|crl| crl.entry(cert.serial())).filter(|entry| entry.reason != Some(8));
    let revoked_at = match newest_full {
        Some(full) => full.entry(cert.serial()).or(entry.filter(|_| lists.iter().any(|l| l.partial().is_some()))),
        None => entry,
    }
    .map(|entry| entry.at);
    let newest = newest_full.or(lists.last().filter(|_| revoked_at.is_some()))?;
    let age_s = now.seconds() - newest.this_update().seconds();
    Some(Status { revoked_at, age_s, stale: newest.next_update().is_none_or(|next| next < now) })
}

/// Longest chain, and the most signatures checked to find one: packages may bring certificates made to lead astray.
const DEPTH_MAX: usize = 8;
const CHECKS_MAX: usize = 64;

/// Builds a chain from `cert` to one of `anchors`, both included. One certificate if it is an anchor itself.
///
/// Issuers in between must be CAs that may sign certificates, within their path length, and understood in all they call
/// critical. Times are judged later, so that an expired chain is told apart from none.
pub(super) fn find<'a>(
    cert: &'a Certificate,
    anchors: &'a [Certificate],
    intermediates: &'a [Certificate],
    more: &'a [Certificate],
) -> Option<Vec<&'a Certificate>> {
    let pool: Vec<&Certificate> = anchors.iter().chain(intermediates).chain(more).collect();
    let mut path = vec![cert];
    let mut checks = 0;
    extend(&mut path, anchors, &pool, &mut checks).then_some(path)
}

fn extend<'a>(
    path: &mut Vec<&'a Certificate>,
    anchors: &[Certificate],
    pool: &[&'a Certificate],
    checks: &mut usize,
) -> bool {
    let last = path[path.len() - 1];
    if anchors.iter().any(|anchor| anchor.der() == last.der()) {
        return true;
    }
    if path.len() >= DEPTH_MAX {
        return false;
    }
    for &issuer in pool {
        if issuer.subject() != last.issuer() || path.contains(&issuer) || !may_issue(issuer, path.len() - 1, anchors) {
            continue;
        }
        *checks += 1;
        if *checks > CHECKS_MAX {
            return false;
        }
        if last.signed_by(issuer).is_ok() {
            path.push(issuer);
            if extend(path, anchors, pool, checks) {
                return true;
            }
            path.pop();
        }
    }
    false
}

/// Whether a certificate may stand above `below` CAs. An anchor is trusted by decision, and genuine roots lack keyCertSign;
/// but a signer's certificate trusted for itself is no CA even so.
fn may_issue(issuer: &Certificate, below: usize, anchors: &[Certificate]) -> bool {
    let extensions = &issuer.extensions;
    let within = match extensions.basic_constraints {
        Some((true, limit)) => limit.is_none_or(|limit| below as u64 <= limit),
        _ => false,
    };
    within
        && (extensions.key_usage.is_none_or(|ku| ku.has(KeyUsage::KEY_CERT_SIGN)) || anchors.contains(issuer))
        && extensions.unknown_critical.is_empty()
        // Nobody issues seal certificates under name constraints; a CA that has them is not for seals.
        && extensions.name_constraints.is_none()
}

/// The time inside a token, not verified: what V1 may carry in place of a time.
pub(super) fn token_time(token: &[u8]) -> Option<UnixMillis> {
    cms::token_time(token)
}
