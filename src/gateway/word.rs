//! Our word, signed: to peers, to departments, as receipts; and the words of peers, read under the keys the directory
//! lists for them (JWS compact, ES256, RFC 7515).

use std::path::Path;

use jsonwebtoken::Algorithm;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::rooms::Rooms;
use crate::federation::{FederationError, Member};
use crate::identity::issue::{SigningKey, jwks};
use crate::identity::jose::{Embedded, Unverified};
use crate::identity::keys::IssuerKeys;
use crate::terms::{Refusal, UnixMillis};
use crate::trust::pem;

/// The key under which we speak (P-256). It goes by its thumbprint (RFC 7638): that names the key, and not its owner.
#[derive(Debug)]
pub struct Voice {
    key: SigningKey,
    keys: IssuerKeys,
}

impl Voice {
    /// Reads a PKCS#8 key from a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = Zeroizing::new(std::fs::read(file).map_err(|e| e.to_string())?);
        let blocks = pem::decode(&text).map_err(|e| e.to_string())?;
        let block = blocks.iter().find(|b| b.label == "PRIVATE KEY").ok_or("no PRIVATE KEY in it")?;
        let key = SigningKey::from_pkcs8(Algorithm::ES256, &block.octets).map_err(|_| "not a P-256 key")?;
        let set = jwks(&[&key]).map_err(|e| e.to_string())?.to_string();
        let (keys, _) = IssuerKeys::from_jwks(set.as_bytes(), &[Algorithm::ES256]).map_err(|e| e.to_string())?;
        Ok(Self { key, keys })
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The public half, to read what we said ourselves.
    pub fn keys(&self) -> &IssuerKeys {
        &self.keys
    }
}

/// Signs claims under our assertion key; `typ` keeps one kind of word from passing for another (RFC 8725 §3.11).
pub fn sign(rooms: &Rooms, typ: &str, claims: &impl Serialize) -> Result<String, Refusal> {
    let failed = |e: &dyn std::fmt::Display| Refusal::new(&crate::store::UNAVAILABLE, format!("{typ}: {e}"));
    match serde_json::to_value(claims).map_err(|e| failed(&e))? {
        Value::Object(claims) => rooms.keys.load().assertion.key().sign(typ, &claims).map_err(|e| failed(&e)),
        _ => Err(failed(&"not an object")),
    }
}

/// Reads a word that `peer` signed at `at`, under a key that counted then; gives its claims, not yet judged, with the member
/// that signed.
///
/// # Errors
/// No such member, or a sentence about what is wrong with the token.
pub fn read<T: DeserializeOwned>(
    rooms: &Rooms,
    peer: &str,
    typ: &str,
    token: &str,
    at: UnixMillis,
) -> Result<(T, Member), WordError> {
    let directory = rooms.directory.load();
    let member = directory.member(peer).ok_or_else(|| FederationError::NotThatMember(format!("no member {peer}")))?;
    let wrong = |why: &str| WordError::Wrong(format!("{peer}: {why}"));
    let keys = member.keys_at(at);
    let algorithm = Algorithm::ES256;
    let (keys, _) = IssuerKeys::from_jwks(&keys, &[algorithm]).map_err(|_| wrong("its keys cannot be read"))?;
    let unverified = Unverified::parse(token, Embedded::Refused).map_err(|e| wrong(&e.to_string()))?;
    if unverified.header.typ.as_deref() != Some(typ) || unverified.header.alg != algorithm {
        return Err(wrong("another kind of token"));
    }
    let key = keys
        .find_named(unverified.header.kid.as_deref(), algorithm)
        .ok_or_else(|| wrong("no such key, or not in force"))?;
    let verified = unverified.verify(key).map_err(|e| wrong(&e.to_string()))?;
    let claims = serde_json::from_slice(&verified.payload).map_err(|_| wrong("claims cannot be read"))?;
    Ok((claims, member.clone()))
}

/// Whether a word said at `iat` until `exp` counts at `at`: begun, not over, and for no longer than `lives_s`. All in Unix
/// seconds; `leeway_s` is forgiven on both sides. Both numbers are whatever somebody signed: a life that no number holds is
/// too long, not short again.
pub fn in_time((iat, exp): (i64, i64), at: UnixMillis, lives_s: i64, leeway_s: i64) -> bool {
    let at = at.seconds();
    let begun = iat <= at.saturating_add(leeway_s);
    let over = at > exp.saturating_add(leeway_s);
    begun && !over && exp.checked_sub(iat).is_some_and(|life| (0..=lives_s).contains(&life))
}

/// Why a word does not count.
#[derive(Debug, thiserror::Error)]
pub enum WordError {
    #[error(transparent)]
    Member(#[from] FederationError),
    #[error("{0}")]
    Wrong(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_for_as_long_as_it_may_and_no_number_makes_it_longer() {
        let at = UnixMillis::from_seconds(1_790_000_000);
        let now = at.seconds();
        for (what, iat, exp, want) in [
            ("said now", now, now + 60, true),
            ("said by a clock that is ahead", now + 10, now + 70, true),
            ("said by one further ahead", now + 11, now + 71, false),
            ("over, within the leeway", now - 70, now - 10, true),
            ("over", now - 71, now - 11, false),
            ("for a second longer than may be", now, now + 61, false),
            ("over before it began", now + 5, now + 4, false),
            ("for ever", now, i64::MAX, false),
            ("since ever", i64::MIN, now + 60, false),
            ("since ever, for ever", i64::MIN, i64::MAX, false),
            ("for so long that the difference is negative", -100, i64::MAX - 10, false),
            ("at the end of numbers", i64::MAX - 60, i64::MAX, false),
            ("at their beginning", i64::MIN, i64::MIN + 60, false),
        ] {
            assert_eq!(in_time((iat, exp), at, 60, 10), want, "{what}");
        }
    }
}
