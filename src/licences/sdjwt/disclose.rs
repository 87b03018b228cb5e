//! Disclosures put back where the issuer left their digests (RFC 9901 §7.1, §7.3).
//!
//! ```text
//!  payload:  "_sd": [digest, …]   {"...": digest}      each digest once, each disclosure at one place:
//!  text of a disclosure ─▶ digest ─┘ [salt, name, value]      what is left over, or found twice, is refused
//! ```

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::verdict::{Finding, SubIndication::*};
use crate::formats::json::{self, Room};
use crate::trust::jose;
use crate::trust::suite::DigestAlgorithm;

/// Most disclosures of one credential.
pub(super) const MOST: usize = 1_000;
/// Deepest nesting with disclosures in disclosures; each brings some of its own.
const DEEPEST: usize = 32;
/// Claims that decide about the credential as a whole: they are never up to the holder.
const ALWAYS: [&str; 8] = ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "_sd_alg"];

/// Claims with all disclosures in place, and which disclosure each top-level claim came from.
pub(super) type Open = (Map<String, Value>, HashMap<String, usize>);

/// The digest algorithm of disclosures and key binding (IANA "Named Information" names).
pub(super) fn digest(claims: &Map<String, Value>) -> Result<DigestAlgorithm, Finding> {
    match claims.get("_sd_alg").map(|name| name.as_str().unwrap_or_default()) {
        None | Some("sha-256") => Ok(DigestAlgorithm::Sha256),
        Some("sha-384") => Ok(DigestAlgorithm::Sha384),
        Some("sha-512") => Ok(DigestAlgorithm::Sha512),
        Some(other) => {
            let name: String = other.chars().take(40).collect();
            Err(Finding::doubt(6, "VC_DIGEST_ALG", CryptoConstraintsFailure, name))
        }
    }
}

struct Disclosure {
    at: usize,
    /// `None` for an element of a list.
    name: Option<String>,
    value: Value,
}

struct Opener {
    by_digest: HashMap<String, Disclosure>,
    seen: HashSet<String>,
    origin: HashMap<String, usize>,
}

fn wrong<T>(detail: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::format(5, "VC_DISCLOSURE", detail))
}

/// # Errors
/// A disclosure that is malformed, belongs nowhere, or to two places; a digest found twice; a claim there already, or one
/// that must not be left to the holder. HASH_FAILURE for one whose digest the issuer did not sign.
pub(super) fn open(claims: &Map<String, Value>, disclosures: &[&str], room: &Room) -> Result<Open, Finding> {
    let algorithm = digest(claims)?;
    let mut by_digest = HashMap::new();
    for (at, text) in disclosures.iter().enumerate() {
        let Some(disclosure) = read(at, text, room) else { return wrong(format!("number {}", at + 1)) };
        if by_digest.insert(URL_SAFE_NO_PAD.encode(algorithm.of(text.as_bytes())), disclosure).is_some() {
            return wrong(format!("number {} is there twice", at + 1));
        }
    }
    let mut opener = Opener { by_digest, seen: HashSet::new(), origin: HashMap::new() };
    let mut claims = opener.object(claims, 0)?;
    claims.remove("_sd_alg");
    match opener.by_digest.values().map(|d| d.at).min() {
        None => Ok((claims, opener.origin)),
        Some(at) => Err(Finding::failed(7, "VC_DISCLOSURE_UNKNOWN", HashFailure, format!("number {}", at + 1))),
    }
}

/// `[salt, name, value]` or `[salt, value]`.
fn read(at: usize, text: &str, room: &Room) -> Option<Disclosure> {
    let Value::Array(parts) = json::value_within(&jose::octets(text).ok()?, room).ok()? else { return None };
    if !parts.first()?.is_string() {
        return None;
    }
    let mut parts = parts.into_iter().skip(1);
    match (parts.next()?, parts.next(), parts.next()) {
        (Value::String(name), Some(value), None) => Some(Disclosure { at, name: Some(name), value }),
        (value, None, None) => Some(Disclosure { at, name: None, value }),
        _ => None,
    }
}

impl Opener {
    /// The disclosure of a digest; `None` for one that was left out, or is a decoy.
    fn take(&mut self, digest: &Value) -> Result<Option<Disclosure>, Finding> {
        let Some(digest) = digest.as_str() else { return wrong("a digest is no text") };
        if !self.seen.insert(digest.to_owned()) {
            return wrong("a digest is there twice");
        }
        Ok(self.by_digest.remove(digest))
    }

    fn any(&mut self, value: &Value, depth: usize) -> Result<Value, Finding> {
        match value {
            Value::Object(object) => Ok(Value::Object(self.object(object, depth)?)),
            Value::Array(list) => Ok(Value::Array(self.list(list, depth)?)),
            plain => Ok(plain.clone()),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, depth: usize) -> Result<Map<String, Value>, Finding> {
        if depth > DEEPEST {
            return wrong("too deep");
        }
        let mut out = Map::new();
        for (name, value) in object.iter().filter(|(name, _)| *name != "_sd") {
            if name == "..." {
                return wrong("\"...\" outside a list");
            }
            out.insert(name.clone(), self.any(value, depth + 1)?);
        }
        let Some(digests) = object.get("_sd") else { return Ok(out) };
        let Some(digests) = digests.as_array() else { return wrong("_sd is no list") };
        for digest in digests {
            let Some(disclosure) = self.take(digest)? else { continue };
            let Some(name) = disclosure.name else { return wrong("an element of a list where a claim belongs") };
            if name == "_sd" || name == "..." || depth == 0 && ALWAYS.contains(&name.as_str()) {
                return wrong(format!("{name} must not be left to the holder"));
            }
            let value = self.any(&disclosure.value, depth + 1)?;
            if out.insert(name.clone(), value).is_some() {
                return wrong("a claim is there already");
            }
            if depth == 0 {
                self.origin.insert(name, disclosure.at);
            }
        }
        Ok(out)
    }

    fn list(&mut self, list: &[Value], depth: usize) -> Result<Vec<Value>, Finding> {
        if depth > DEEPEST {
            return wrong("too deep");
        }
        let mut out = Vec::new();
        for element in list {
            match element.as_object().and_then(|o| o.get("...").map(|digest| (o.len(), digest))) {
                None => out.push(self.any(element, depth + 1)?),
                Some((1, digest)) => {
                    let Some(disclosure) = self.take(digest)? else { continue };
                    if disclosure.name.is_some() {
                        return wrong("a claim where an element of a list belongs");
                    }
                    out.push(self.any(&disclosure.value, depth + 1)?);
                }
                Some(_) => return wrong("\"...\" beside other members"),
            }
        }
        Ok(out)
    }
}
