//! Whom to believe: chain, purpose, dates and status of one certificate. Steps 15 to 19.
//!
//! [`crate::trust::path::survey`] finds the chain and all that speaks against it; here it is said what each of these means
//! for a document: under which step and code, and at which of the times that are known.

use super::limits;
use super::profile::{Profile, Revocation};
use super::report::{CertificateFacts, SignatureVerdict, TimeBasis};
use super::strength;
use super::verdict::{Finding, SubIndication, SubIndication::*};
use super::when::{Times, Within, within};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::cms::Along;
use crate::trust::crl::{Crl, Revoked};
use crate::trust::ocsp::Response;
use crate::trust::path::{self, PathError, Purpose, Question, Rule, Status, Survey};
use crate::trust::suite::{SuiteError, Weakness};

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
    purpose: &'static str,
    authority: &'static str,
    names: &'static str,
    critical: &'static str,
    key: &'static str,
    weak: &'static str,
    revoked: &'static str,
    no_status: &'static str,
    expired: &'static str,
}

impl Role {
    fn purpose(self) -> Purpose {
        match self {
            Self::Signer => Purpose::Signer,
            Self::Maker => Purpose::SealMaker,
            Self::Tsa => Purpose::TimeStamping,
        }
    }

    fn codes(self) -> &'static Codes {
        match self {
            Self::Signer => &Codes {
                word: "signer",
                no_chain: "SIGNER_NO_CHAIN",
                key_usage: "SIGNER_KEY_USAGE",
                purpose: "SIGNER_EXTENDED_KEY_USAGE",
                authority: "SIGNER_IS_AUTHORITY",
                names: "SIGNER_NAME_CONSTRAINTS",
                critical: "SIGNER_CRITICAL_EXTENSION",
                key: "SIGNER_KEY",
                weak: "SIGNER_NOT_ACCEPTED",
                revoked: "SIGNER_REVOKED",
                no_status: "SIGNER_NO_REVOCATION_DATA",
                expired: "SIGNER_EXPIRED",
            },
            Self::Maker => &Codes {
                word: "maker",
                no_chain: "MAKER_NO_CHAIN",
                key_usage: "MAKER_KEY_USAGE",
                purpose: "MAKER_EXTENDED_KEY_USAGE",
                authority: "MAKER_IS_AUTHORITY",
                names: "MAKER_NAME_CONSTRAINTS",
                critical: "MAKER_CRITICAL_EXTENSION",
                key: "MAKER_KEY",
                weak: "MAKER_NOT_ACCEPTED",
                revoked: "MAKER_REVOKED",
                no_status: "MAKER_NO_REVOCATION_DATA",
                expired: "MAKER_EXPIRED",
            },
            Self::Tsa => &Codes {
                word: "tsa",
                no_chain: "TIMESTAMP_NO_CHAIN",
                key_usage: "TIMESTAMP_KEY_USAGE",
                purpose: "TIMESTAMP_EXTENDED_KEY_USAGE",
                authority: "TIMESTAMP_IS_AUTHORITY",
                names: "TIMESTAMP_NAME_CONSTRAINTS",
                critical: "TIMESTAMP_CRITICAL_EXTENSION",
                key: "TIMESTAMP_KEY",
                weak: "TIMESTAMP_NOT_ACCEPTED",
                revoked: "TIMESTAMP_REVOKED",
                no_status: "TIMESTAMP_NO_REVOCATION_DATA",
                expired: "TIMESTAMP_EXPIRED",
            },
        }
    }
}

/// What came with a signature: it may help, and is not trusted.
#[derive(Clone, Copy, Default)]
pub(super) struct Brought<'a> {
    pub certificates: &'a [Certificate],
    pub crls: &'a [Crl],
    pub ocsp: &'a [Response],
}

impl<'a> From<&'a Along> for Brought<'a> {
    fn from(along: &'a Along) -> Self {
        Self { certificates: &along.certificates, crls: &along.crls, ocsp: &along.ocsp }
    }
}

/// Steps 15 to 19 for one certificate.
pub(super) fn judge(
    profile: &Profile,
    role: Role,
    cert: &Certificate,
    brought: Brought<'_>,
    times: &Times,
    verdict: &mut SignatureVerdict,
) {
    let codes = role.codes();
    let mut facts = facts(codes.word, cert);
    let mut findings = Vec::new();
    if role == Role::Signer {
        findings.extend(valid_at_signing(cert, times));
    }
    let (plain, purposes) = match role {
        Role::Signer => (&profile.anchors.signers, limits::SIGNERS),
        Role::Maker => (&profile.anchors.makers, limits::MAKERS),
        Role::Tsa => (&profile.anchors.tsas, limits::AUTHORITIES),
    };
    let anchors: Vec<_> = plain.iter().chain(profile.trust.trusted(purposes, times.judged_at)).cloned().collect();
    let question = Question {
        leaf: cert,
        intermediates: &[&profile.intermediates[..], brought.certificates].concat(),
        anchors: &anchors,
        purpose: role.purpose(),
        at: times.judged_at,
        crls: &[&profile.crls[..], brought.crls].concat(),
        ocsp: &[&profile.ocsp[..], brought.ocsp].concat(),
        revocation: profile.revocation,
        strengths: &profile.strengths,
    };
    match path::survey(&question, profile.at) {
        Err(error) => {
            // Whether it is fit for its use can be told without a chain.
            findings.extend(path::fit(cert, role.purpose()).err().map(|e| unfit(codes, &e)));
            let key = cert.public_key().map_or(Ok(()), |key| profile.strengths.key(&key, times.judged_at));
            findings.extend(key.err().map(|weakness| weak(codes, cert, &weakness)));
            findings.push(match &error {
                PathError::NoAnchors => Finding::doubt(16, "NO_ANCHORS", NoCertificateChainFound, codes.word),
                // A chain, but by a signature nobody can rely on.
                PathError::Suite { error: SuiteError::Weak(_), .. } => {
                    Finding::doubt(16, codes.weak, CryptoConstraintsFailureNoPoe, error.to_string())
                }
                PathError::NoChain(_) => {
                    Finding::doubt(16, codes.no_chain, NoCertificateChainFound, cert.issuer_text())
                }
                other => Finding::doubt(16, codes.no_chain, NoCertificateChainFound, other.to_string()),
            });
        }
        Ok(Survey { path, faults }) => {
            let mut whole = true;
            for fault in &faults {
                match (&fault.error, fault.place) {
                    // Dates and status are judged below, by all times that are known.
                    (PathError::Validity { .. } | PathError::Revoked { .. } | PathError::NoStatus(_), _) => {}
                    (PathError::Weak { weakness, .. }, place) => {
                        findings.extend(path.chain.get(place).map(|cert| weak(codes, cert, weakness)));
                    }
                    (error, 0) => findings.push(unfit(codes, error)),
                    // What an authority may not issue has no issuer.
                    (error, _) => {
                        whole = false;
                        findings.push(Finding::doubt(16, codes.no_chain, NoCertificateChainFound, error.to_string()));
                    }
                }
            }
            if whole {
                facts.chain = path.chain.iter().map(Certificate::subject_text).collect();
                facts.anchor = path.chain.last().map(Certificate::fingerprint);
            }
            if profile.revocation != Revocation::Ignore {
                findings.extend(revocation(profile, codes, &path.statuses, times, &mut facts));
            }
            findings.extend(validity(codes, &path.chain, times));
        }
    }
    verdict.findings.extend(findings);
    verdict.certificates.push(facts);
}

/// Step 17: by which rule it is no certificate for this.
fn unfit(codes: &Codes, error: &PathError) -> Finding {
    let (code, why) = match error {
        PathError::Constraint { rule: Rule::Purpose, .. } => (codes.purpose, ChainConstraintsFailure),
        PathError::Constraint { rule: Rule::Authority, .. } => (codes.authority, ChainConstraintsFailure),
        PathError::Constraint { rule: Rule::Names, .. } => (codes.names, ChainConstraintsFailure),
        PathError::Constraint { rule: Rule::Critical, .. } => (codes.critical, ChainConstraintsFailure),
        PathError::Suite { .. } => (codes.key, CryptoConstraintsFailure),
        _ => (codes.key_usage, ChainConstraintsFailure),
    };
    Finding::doubt(17, code, why, error.to_string())
}

/// Step 17: a key, or the signature on a certificate, that the policy does not take at that time.
fn weak(codes: &Codes, cert: &Certificate, weakness: &Weakness) -> Finding {
    let detail = format!("{}: {weakness}", cert.subject_text());
    Finding::doubt(17, codes.weak, strength::why(weakness, Some(cert.not_before())), detail)
}

/// What is known of a certificate before its chain is.
fn facts(role: &'static str, cert: &Certificate) -> CertificateFacts {
    CertificateFacts {
        certificate: cert.clone(),
        role,
        subject: cert.subject_text(),
        issuer: cert.issuer_text(),
        serial: crate::terms::digest::hex(cert.serial()),
        not_before: cert.not_before(),
        not_after: cert.not_after(),
        sha256: cert.fingerprint(),
        chain: Vec::new(),
        anchor: None,
        status: "not_asked",
        status_age_s: None,
        revoked_at: None,
    }
}

/// Step 15.
fn valid_at_signing(cert: &Certificate, times: &Times) -> Vec<Finding> {
    const CODE: &str = "SIGNER_CERT_NOT_VALID_AT_SIGNING";
    let (from, to) = (cert.not_before(), cert.not_after());
    let mut out = Vec::new();
    if let Some(claimed) = times.claimed {
        let detail = || format!("{claimed} not in {from}..{to}");
        match within(claimed, from, to) {
            Within::Yes => {}
            Within::Slack => out.push(Finding::note(15, "SIGN_TIME_ZONE", detail())),
            Within::No => out.push(Finding::doubt(15, CODE, OutOfBoundsNoPoe, detail())),
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

/// Step 18, for every certificate but the anchor.
fn revocation(
    profile: &Profile,
    codes: &Codes,
    statuses: &[Status],
    times: &Times,
    facts: &mut CertificateFacts,
) -> Vec<Finding> {
    if let Some(own) = statuses.first() {
        facts.status = match own {
            own if own.revoked.is_some() => "revoked",
            own if own.as_of.is_some() && fresh(own, profile, times) => "good",
            _ => "unknown",
        };
        facts.status_age_s = own.age_s;
        facts.revoked_at = own.revoked.as_ref().map(|entry| entry.at);
    }
    let mut out = Vec::new();
    for (place, status) in statuses.iter().enumerate() {
        let name = &status.certificate;
        let fresh = fresh(status, profile, times);
        match (&status.revoked, status.age_s) {
            (Some(entry), _) => out.push(revoked(codes, place > 0, entry, times)),
            // Signatures are older than that: what the list said before is not known, and it is told.
            (None, Some(_)) if fresh && status.after_end => {
                out.push(Finding::note(18, "REVOCATION_DATA_AFTER_EXPIRY", name.as_str()));
            }
            (None, Some(_)) if fresh => {
                if let Some(at) = of_then(status, times).filter(|_| status.stale) {
                    out.push(Finding::note(18, "REVOCATION_DATA_ARCHIVED", format!("{name}: as of {at}")));
                }
            }
            (None, age_s) if profile.revocation == Revocation::Require => {
                let detail = age_s.map_or_else(|| name.clone(), |age_s| format!("{name}: {age_s} s old"));
                out.push(Finding::doubt(18, codes.no_status, TryLater, detail));
            }
            (None, Some(_)) => out.push(Finding::note(18, "REVOCATION_DATA_STALE", name.as_str())),
            (None, None) => {}
        }
    }
    out
}

/// Whether what was said of a certificate counts: within its own period and not older than the policy has it, now or, where
/// a stamp proves when the signature was there, then. What tells of that time tells of it for good: it may be archived with
/// the signature.
fn fresh(status: &Status, profile: &Profile, times: &Times) -> bool {
    let too_old = |age_s: i64| profile.status_max_age_s.is_some_and(|most_s| age_s > most_s);
    let now = !status.stale && !status.age_s.is_some_and(too_old);
    now || of_then(status, times).is_some_and(|at| !too_old(times.judged_at.seconds() - at.seconds()))
}

/// When what tells of a proven time was said.
fn of_then(status: &Status, times: &Times) -> Option<UnixMillis> {
    status.of_then.filter(|_| times.basis == TimeBasis::TimeStamp && times.proven.is_some())
}

/// What a revocation means (EN 319 102-1 §5.2.6, §5.5.4): proof that the signature was there before it makes it good, whatever the
/// reason; a claim does so only while nobody else has the key.
fn revoked(codes: &Codes, is_ca: bool, entry: &Revoked, times: &Times) -> Finding {
    let revoked_at = entry.at;
    let detail = format!("revoked at {revoked_at}");
    let no_poe: SubIndication = if is_ca { RevokedCaNoPoe } else { RevokedNoPoe };
    match (times.proven, times.basis) {
        (Some(proven), _) if proven >= revoked_at => Finding::failed(18, codes.revoked, Revoked, detail),
        (Some(_), TimeBasis::TimeStamp | TimeBasis::Claimed) => Finding::note(18, "REVOKED_AFTER_TIMESTAMP", detail),
        (None, TimeBasis::Claimed) if times.judged_at < revoked_at && !entry.is_compromised() => {
            Finding::note(18, "REVOKED_AFTER_CLAIMED_TIME", detail)
        }
        _ => Finding::doubt(18, codes.revoked, no_poe, detail),
    }
}

/// Step 19: at the time the policy judges by. Anchors are trusted as they are.
fn validity(codes: &Codes, chain: &[Certificate], times: &Times) -> Vec<Finding> {
    let at = times.judged_at;
    let judged = &chain[..chain.len().saturating_sub(1).max(1)];
    let mut out = Vec::new();
    for cert in judged {
        let (from, to) = (cert.not_before(), cert.not_after());
        let detail = || format!("{at} ({}) not in {from}..{to}", times.basis.word());
        match within(at, from, to) {
            Within::Yes => {}
            // Only a claimed time may have been written in the wrong zone.
            Within::Slack if times.basis == TimeBasis::Claimed => {
                out.push(Finding::note(19, "SIGN_TIME_ZONE", detail()))
            }
            _ => out.push(Finding::doubt(19, codes.expired, OutOfBoundsNoPoe, detail())),
        }
    }
    out
}
