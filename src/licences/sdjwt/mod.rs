//! Credentials with claims that can be left out: SD-JWT VC (RFC 9901, draft-ietf-oauth-sd-jwt-vc).
//!
//! ```text
//!  issuer's JWS ~ disclosure ~ … ~ key binding
//!      │             │               └─ binding: the holder's key, this presentation, for whom, when
//!      │             └───────────────── disclose: each belongs to one digest of what the issuer signed
//!      ├─ key: configured for the issuer, or x5c with a chain to an anchor
//!      ├─ period: iat, nbf, exp
//!      └─ status: the issuer's list (status_list), or nothing known
//! ```
//! Same steps and words as for sealed files. Nothing named inside is fetched: neither issuer metadata, nor types, nor lists.

mod binding;
mod disclose;
pub mod status_list;
#[cfg(test)]
mod tests;

pub use binding::Binding;
pub use status_list::{ListError, StatusList};

use serde_json::{Map, Value};

use super::data;
use super::ofd::shown;
use super::profile::{Profile, Revocation};
use super::report::{Report, SignatureVerdict, TimeBasis};
use super::strength;
use super::times::Written;
use super::trusted::{self, Brought, Role};
use super::verdict::{Finding, SubIndication::*};
use super::verify::whole;
use super::when::{self, Times};
use crate::formats::json::Room;
use crate::formats::zip::Source;
use crate::terms::UnixMillis;
use crate::trust::certificate::{AltName, Certificate};
use crate::trust::jose::{JoseError, Jws};
use crate::trust::pem;
use crate::trust::suite::{PublicKey, SignatureAlgorithm, SuiteError};

/// Largest credential: with a picture in it they have some 100 kB.
const SIZE_MAX: u64 = 4 << 20;
/// Memory that its claims and disclosures may take together, in octets, and once more as they are put together: a picture of three
/// megabytes, or 80,000 numbers.
const CLAIMS_ROOM: usize = 6 << 20;
/// What the parts are called in a report.
const SIGNED: &str = "credential";

/// A key that an issuer of credentials is known to have.
#[derive(Clone, Debug)]
pub struct IssuerKey {
    /// As `iss` spells it.
    pub issuer: String,
    pub id: Option<String>,
    pub key: PublicKey,
}

impl IssuerKey {
    /// Reads issuer metadata, `{"issuer": …, "jwks": {"keys": […]}}`, as an issuer publishes it for its credentials. Keys of
    /// algorithms that are not known here are left out.
    ///
    /// # Errors
    /// When it is no such document, or no key is left.
    pub fn read(metadata: &[u8]) -> Result<Vec<Self>, &'static str> {
        let metadata = crate::formats::json::object(metadata).map_err(|_| "not a plain JSON object")?;
        let issuer = metadata.get("issuer").and_then(Value::as_str).ok_or("no issuer")?;
        let keys = metadata.get("jwks").and_then(|set| set["keys"].as_array()).ok_or("no keys in place (jwks)")?;
        let one = |key: &Value| {
            let id = key.get("kid").and_then(Value::as_str).map(str::to_owned);
            Some(Self { issuer: issuer.to_owned(), id, key: crate::trust::jose::jwk(key).ok()? })
        };
        let keys: Vec<_> = keys.iter().filter_map(one).collect();
        if keys.is_empty() { Err("no key of an algorithm that is known here") } else { Ok(keys) }
    }
}

pub(super) fn examine<S: Source>(source: &S, profile: &Profile, report: &mut Report) -> Result<(), Finding> {
    let octets = whole(source, SIZE_MAX).map_err(|e| Finding::format(1, "FILE_UNREADABLE", e.to_string()))?;
    let octets = octets.strip_prefix(pem::BYTE_ORDER_MARK).unwrap_or(&octets);
    let text = std::str::from_utf8(octets).map_err(|_| Finding::format(1, "VC_FORM", "not ASCII"))?;
    // One line end at the end, and a byte order mark, are what editors and shells add.
    let text = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    if text.bytes().filter(|b| *b == b'~').count() > disclose::MOST + 1 {
        return Err(Finding::format(5, "VC_DISCLOSURE", "too many"));
    }
    let parts: Vec<&str> = text.split('~').collect();
    let [signed, disclosures @ .., last] = &parts[..] else {
        return Err(Finding::format(1, "VC_FORM", "no ~: not a credential with disclosures"));
    };
    let jws = Jws::parse(signed).map_err(|e| jose(2, "VC_FORM", &e))?;
    let room = Room::of(CLAIMS_ROOM);
    let claims = jws.claims_within(&room).map_err(|e| jose(2, "VC_FORM", &e))?;
    let mut verdict = SignatureVerdict::blank(profile, "1", "", "Sign");
    verdict.format = "SD-JWT";
    verdict.provider = claims.get("iss").and_then(Value::as_str).map(shown);
    kind(&jws, &claims, &mut verdict.findings);
    let times = times(profile, &claims, &mut verdict);
    let own = jws.algorithm().into_iter().flat_map(SignatureAlgorithm::own_digests);
    let by = own.chain(disclose::digest(&claims).ok());
    strength::digests(profile, &by.collect::<Vec<_>>(), &times, &mut verdict);
    issuer(profile, &jws, &claims, &times, &mut verdict);
    let open = disclose::open(&claims, disclosures, &room);
    let (shown_claims, origin) = open.unwrap_or_else(|finding| {
        verdict.findings.push(finding);
        Default::default()
    });
    let presented = &text[..text.len() - last.len()];
    binding::examine(profile, &claims, presented, last, &mut verdict.findings);
    status(profile, &claims, &mut verdict.findings);
    verdict.conclude();
    if verdict.indication != super::Indication::TotalFailed {
        verdict.covered.push((SIGNED.to_owned(), Vec::new()));
        report.coverage.covered.push(SIGNED.to_owned());
        let named = |at: usize| format!("disclosure {}", at + 1);
        report.coverage.covered.extend((0..disclosures.len()).map(named));
        report.data =
            data::of_claims(&shown_claims, &|name| origin.get(name).map_or_else(|| SIGNED.to_owned(), |at| named(*at)));
        report.findings.extend(report.data.findings());
    }
    report.signatures.push(verdict);
    Ok(())
}

/// What a failure of form or algorithm means.
fn jose(step: u8, code: &'static str, error: &JoseError) -> Finding {
    match error {
        JoseError::Form(_) => Finding::format(step, code, error.to_string()),
        JoseError::Suite(SuiteError::Weak(_) | SuiteError::UnknownAlgorithm(_)) => {
            Finding::doubt(6, "VC_ALGORITHM", CryptoConstraintsFailure, error.to_string())
        }
        JoseError::Suite(_) => Finding::failed(10, "VC_SIGNATURE", SigCryptoFailure, error.to_string()),
    }
}

/// Step 2: the two names under which credentials go, and the type each must have.
fn kind(jws: &Jws<'_>, claims: &Map<String, Value>, findings: &mut Vec<Finding>) {
    // A media type may be written in full; letters of any case are the same (RFC 7515 §4.1.9).
    let name = jws.text("typ").unwrap_or_default().to_ascii_lowercase();
    let name = name.strip_prefix("application/").unwrap_or(&name);
    match name {
        "dc+sd-jwt" => {}
        // Its name until 2024.
        "vc+sd-jwt" => findings.push(Finding::note(2, "VC_TYPE_OLD", "vc+sd-jwt")),
        other => findings.push(Finding::format(2, "VC_TYPE", shown(other))),
    }
    if claims.get("vct").and_then(Value::as_str).is_none_or(str::is_empty) {
        findings.push(Finding::format(2, "VC_TYPE", "no vct"));
    }
}

/// A NumericDate (RFC 7519 §2); `Err` for anything else in its place.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixMillis>, Finding> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            // From year 0 to 9999: beyond, it is no date.
            let seconds = value.as_f64().filter(|s| (0.0..253_402_300_800.0).contains(s));
            let wrong = || Finding::format(2, "VC_FORM", format!("{name} is no time"));
            Ok(Some(UnixMillis((seconds.ok_or_else(wrong)? * 1_000.0) as i64)))
        }
    }
}

/// Step 14: the claimed time, and the credential's own period.
fn times(profile: &Profile, claims: &Map<String, Value>, verdict: &mut SignatureVerdict) -> Times {
    let mut read = |name| {
        date(claims, name).unwrap_or_else(|finding| {
            verdict.findings.push(finding);
            None
        })
    };
    let (issued, from, to) = (read("iat"), read("nbf"), read("exp"));
    let now = profile.at;
    if let Some(from) = from.filter(|from| *from > now) {
        verdict.findings.push(Finding::doubt(14, "VC_NOT_YET_VALID", SigConstraintsFailure, from.to_string()));
    }
    if let Some(to) = to.filter(|to| *to <= now) {
        verdict.findings.push(Finding::doubt(14, "VC_EXPIRED", SigConstraintsFailure, to.to_string()));
    }
    match issued {
        Some(at) => when::times(profile, verdict, Some(Written { at, local: false }), None, &[], &[]),
        None => {
            // The claim is optional; without it, only the present is known.
            verdict.basis = TimeBasis::Now;
            Times { claimed: None, proven: None, judged_at: now, basis: TimeBasis::Now }
        }
    }
}

/// Steps 10, 11, 15 to 19: whose signature.
fn issuer(
    profile: &Profile,
    jws: &Jws<'_>,
    claims: &Map<String, Value>,
    times: &Times,
    verdict: &mut SignatureVerdict,
) {
    let name = claims.get("iss").and_then(Value::as_str);
    let id = jws.text("kid");
    let fits = |key: &&IssuerKey| {
        Some(key.issuer.as_str()) == name && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
    };
    let mut known = profile.issuer_keys.iter().filter(fits).peekable();
    if known.peek().is_some() {
        let keys: Vec<_> = known.collect();
        let results: Vec<_> = keys.iter().map(|known| jws.verify(&known.key)).collect();
        let held = keys.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let weak: Option<Vec<_>> =
            held.map(|(known, _)| profile.strengths.key(&known.key, times.judged_at).err()).collect();
        if let Some(weakness) = weak.and_then(|weak| weak.into_iter().next()) {
            let why = strength::why(&weakness, times.claimed);
            verdict.findings.push(Finding::doubt(17, "SIGNER_NOT_ACCEPTED", why, weakness.to_string()));
        }
        if !results.contains(&Ok(())) {
            verdict.findings.extend(results.into_iter().find_map(Result::err).map(|e| jose(10, "VC_SIGNATURE", &e)));
        }
        return;
    }
    // Whose keys are known speaks by them alone: a certificate of anybody under an anchor is no key of this issuer.
    let bare = |name: &str| name.trim_end_matches('/').to_owned();
    let is_known = profile.issuer_keys.iter().any(|key| name.is_some_and(|name| bare(name) == bare(&key.issuer)));
    let chain = match jws.certificates() {
        Ok(Some(chain)) if !is_known => chain,
        Ok(_) => {
            // An algorithm that is never taken is told even without a key.
            verdict.findings.extend(jws.algorithm().err().map(|e| jose(6, "VC_ALGORITHM", &e)));
            let detail = name.map(shown).unwrap_or_default();
            verdict.findings.push(Finding::doubt(11, "VC_NO_KEY", NoSigningCertificateFound, detail));
            return;
        }
        Err(error) => {
            verdict.findings.push(jose(2, "VC_FORM", &error));
            return;
        }
    };
    let leaf = &chain[0];
    let verified = leaf.public_key().map_err(JoseError::from).and_then(|key| jws.verify(&key));
    verdict.findings.extend(verified.err().map(|e| jose(10, "VC_SIGNATURE", &e)));
    if let Some(name) = name {
        verdict.findings.extend(named(leaf, name));
    }
    let brought = Brought { certificates: &chain[1..], ..Brought::default() };
    trusted::judge(profile, Role::Signer, leaf, brought, times, verdict);
}

/// Step 12: a certificate speaks for the addresses that it names, and for no other issuer. A credential that names no issuer
/// is that of the certificate's subject.
fn named(leaf: &Certificate, issuer: &str) -> Option<Finding> {
    let place = issuer.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    let host = place.filter(|place| !place.contains('@')).and_then(|place| place.split(':').next());
    let fits = |name: &AltName| match name {
        AltName::Uri(uri) => uri.trim_end_matches('/') == issuer.trim_end_matches('/'),
        AltName::Dns(dns) => host.is_some_and(|host| host.eq_ignore_ascii_case(dns)),
        _ => false,
    };
    let any = leaf.extensions.alt_names.iter().any(fits);
    (!any).then(|| Finding::doubt(12, "VC_ISSUER_NAME", SigConstraintsFailure, shown(issuer)))
}

/// Step 18 for the credential itself (draft-ietf-oauth-status-list).
fn status(profile: &Profile, claims: &Map<String, Value>, findings: &mut Vec<Finding>) {
    if profile.revocation == Revocation::Ignore {
        return;
    }
    let Some(status) = claims.get("status") else { return };
    let reference = &status["status_list"];
    let (Some(index), Some(uri)) = (reference["idx"].as_u64(), reference["uri"].as_str()) else {
        // Status of a kind not known here is unknown.
        findings.extend(unknown(profile, "no status_list"));
        return;
    };
    let lists = profile.status_lists.iter().filter(|list| list.uri == uri);
    let Some(list) = lists.max_by_key(|list| list.issued) else {
        findings.extend(unknown(profile, &shown(uri)));
        return;
    };
    if !list.fresh(profile.at) {
        findings.extend(unknown(profile, &format!("{}: of {}", shown(uri), list.issued)));
    }
    if let Err(error) = list.trusted(profile, claims) {
        findings.extend(unknown(profile, &error));
        return;
    }
    match list.status(index) {
        Ok(0) => {}
        Ok(1) => findings.push(Finding::failed(18, "VC_REVOKED", Revoked, list.issued.to_string())),
        Ok(2) => findings.push(Finding::doubt(18, "VC_SUSPENDED", RevokedNoPoe, list.issued.to_string())),
        // Meanings the issuer gives itself; none of them is "valid".
        Ok(other) => findings.push(Finding::doubt(18, "VC_STATUS", RevokedNoPoe, other.to_string())),
        Err(error) => findings.push(Finding::format(18, "VC_STATUS_INDEX", error.to_string())),
    }
}

/// Unknown is not valid where the policy wants to know.
fn unknown(profile: &Profile, detail: &str) -> Option<Finding> {
    Some(match profile.revocation {
        Revocation::Require => Finding::doubt(18, "VC_NO_STATUS", TryLater, detail),
        _ => Finding::note(18, "VC_NO_STATUS", detail),
    })
}
