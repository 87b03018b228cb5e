//! Key binding: the holder signs this presentation, for this verifier (RFC 9901 §4.3, §7.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::profile::Profile;
use super::super::verdict::{Finding, SubIndication::*};
use super::{date, disclose, jose};
use crate::formats::json::Room;
use crate::trust::jose::{Jws, jwk};

/// What is asked of the holder's signature.
#[derive(Clone, Debug)]
pub struct Binding {
    /// A credential without one is not taken.
    pub required: bool,
    /// Whom it must be for (`aud`), if that is known.
    pub audience: Option<String>,
    /// The number the verifier gave out for it (`nonce`), if one was.
    pub nonce: Option<String>,
    /// Oldest that it may be, in seconds.
    pub max_age_s: i64,
}

impl Binding {
    /// Whether the holder is asked now, and not a kept file judged later.
    fn is_asked(&self) -> bool {
        self.required || self.nonce.is_some() || self.audience.is_some()
    }
}

impl Default for Binding {
    fn default() -> Self {
        Self { required: false, audience: None, nonce: None, max_age_s: 300 }
    }
}

/// Most memory of what a holder signs, in octets: four short claims.
const CLAIMS_ROOM: usize = 256 << 10;

/// Clocks of holders' devices: seconds by which one may be ahead.
const LEEWAY_S: i64 = 60;

/// `presented` is all that the holder's signature is over; `signature` is it, empty for none.
pub(super) fn examine(
    profile: &Profile,
    claims: &Map<String, Value>,
    presented: &str,
    signature: &str,
    findings: &mut Vec<Finding>,
) {
    let asked = &profile.binding;
    if signature.is_empty() {
        if asked.is_asked() {
            findings.push(Finding::doubt(12, "VC_BINDING_MISSING", SigConstraintsFailure, ""));
        } else if claims.contains_key("cnf") {
            findings.push(Finding::note(12, "VC_BINDING_MISSING", "anyone may have sent it"));
        }
        return;
    }
    match read(profile, claims, signature) {
        Err(finding) => findings.push(finding),
        Ok(bound) => findings.extend(judge(profile, claims, presented, &bound)),
    }
}

/// Form and signature, under the key the issuer bound the credential to.
fn read(profile: &Profile, claims: &Map<String, Value>, signature: &str) -> Result<Map<String, Value>, Finding> {
    let wrong = |detail: &str| Finding::format(2, "VC_BINDING_FORM", detail);
    let jws = Jws::parse(signature).map_err(|e| jose(2, "VC_BINDING_FORM", &e))?;
    if jws.text("typ") != Some("kb+jwt") {
        return Err(wrong("typ is not kb+jwt"));
    }
    let key = claims.get("cnf").and_then(|cnf| cnf.get("jwk"));
    let key = key.ok_or_else(|| Finding::doubt(11, "VC_BINDING_NO_KEY", NoSigningCertificateFound, "no key in cnf"))?;
    let key = jwk(key).map_err(|e| jose(10, "VC_BINDING_SIGNATURE", &e.into()))?;
    jws.verify(&key).map_err(|e| match jose(10, "VC_BINDING_SIGNATURE", &e) {
        finding if finding.step == 10 => Finding { code: "VC_BINDING_SIGNATURE", ..finding },
        other => other,
    })?;
    let algorithm = jws.algorithm().map_err(|e| jose(6, "VC_ALGORITHM", &e))?;
    let held = profile.strengths.signature(algorithm, profile.at).and(profile.strengths.key(&key, profile.at));
    // Made for this occasion: there is no earlier time to prove.
    held.map_err(|e| Finding::doubt(17, "VC_BINDING_NOT_ACCEPTED", CryptoConstraintsFailure, e.to_string()))?;
    jws.claims_within(&Room::of(CLAIMS_ROOM)).map_err(|e| jose(2, "VC_BINDING_FORM", &e))
}

fn judge(profile: &Profile, claims: &Map<String, Value>, presented: &str, bound: &Map<String, Value>) -> Vec<Finding> {
    let asked = &profile.binding;
    let text = |name: &str| bound.get(name).and_then(Value::as_str);
    let mut out = Vec::new();
    match disclose::digest(claims) {
        // Told with the disclosures already.
        Err(_) => {}
        Ok(algorithm) => {
            let digest = URL_SAFE_NO_PAD.encode(algorithm.of(presented.as_bytes()));
            if text("sd_hash") != Some(&digest) {
                out.push(Finding::failed(9, "VC_BINDING_HASH", HashFailure, "made for another presentation"));
            }
        }
    }
    for name in ["aud", "nonce"] {
        if text(name).is_none() {
            out.push(Finding::format(2, "VC_BINDING_FORM", format!("no {name}")));
        }
    }
    for (name, code, want) in
        [("aud", "VC_BINDING_AUDIENCE", &asked.audience), ("nonce", "VC_BINDING_NONCE", &asked.nonce)]
    {
        match want {
            Some(want) if text(name) != Some(want) => {
                out.push(Finding::doubt(12, code, SigConstraintsFailure, "made for another verifier or occasion"));
            }
            Some(_) => {}
            None => out.push(Finding::note(12, code, "not compared: none was given")),
        }
    }
    match date(bound, "iat") {
        Err(finding) => out.push(finding),
        Ok(None) => out.push(Finding::format(2, "VC_BINDING_FORM", "no iat")),
        Ok(Some(at)) => {
            let age_s = profile.at.seconds() - at.seconds();
            if age_s < -LEEWAY_S {
                out.push(Finding::doubt(14, "VC_BINDING_IN_FUTURE", SigConstraintsFailure, at.to_string()));
            } else if age_s > asked.max_age_s {
                // A kept file is judged later; only where the holder is asked now does age matter.
                let outcome =
                    asked.is_asked().then_some((super::super::Indication::Indeterminate, SigConstraintsFailure));
                out.push(Finding { step: 14, code: "VC_BINDING_OLD", outcome, detail: format!("{age_s} s") });
            }
        }
    }
    out
}
