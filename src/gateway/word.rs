//! Our word, signed: to peers, to departments, as receipts; and the words of peers, read under the keys the directory
//! lists for them (JWS compact, ES256, RFC 7515).

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rooms::Rooms;
use crate::federation::{FederationError, Member};
use crate::identity::jose::{Embedded, Unverified, encode};
use crate::identity::keys::IssuerKeys;
use crate::terms::Refusal;

/// Signs claims under our assertion key; `typ` keeps one kind of word from passing for another (RFC 8725 §3.11).
pub fn sign(rooms: &Rooms, typ: &str, claims: &impl Serialize) -> Result<String, Refusal> {
    let failed = |e: &dyn std::fmt::Display| Refusal::new(&crate::store::UNAVAILABLE, format!("{typ}: {e}"));
    let head = serde_json::json!({ "alg": "ES256", "kid": rooms.me.id, "typ": typ });
    let payload = serde_json::to_vec(claims).map_err(|e| failed(&e))?;
    let input = format!("{}.{}", encode(head.to_string().as_bytes()), encode(&payload));
    let signature = rooms.keys.load().assertion.sign_jose(input.as_bytes()).map_err(|e| failed(&e))?;
    Ok(format!("{input}.{}", encode(&signature)))
}

/// Reads a word of `peer`; gives its claims, not yet judged, with the member that signed.
///
/// # Errors
/// No such member, or a sentence about what is wrong with the token.
pub fn read<T: DeserializeOwned>(rooms: &Rooms, peer: &str, typ: &str, token: &str) -> Result<(T, Member), WordError> {
    let directory = rooms.directory.load();
    let member = directory.member(peer).ok_or_else(|| FederationError::NotThatMember(format!("no member {peer}")))?;
    let wrong = |why: &str| WordError::Wrong(format!("{peer}: {why}"));
    let keys = serde_json::to_vec(&member.assertion_keys).unwrap_or_default();
    let algorithm = jsonwebtoken::Algorithm::ES256;
    let (keys, _) = IssuerKeys::from_jwks(&keys, &[algorithm]).map_err(|_| wrong("its keys cannot be read"))?;
    let unverified = Unverified::parse(token, Embedded::Refused).map_err(|e| wrong(&e.to_string()))?;
    if unverified.header.typ.as_deref() != Some(typ) || unverified.header.alg != algorithm {
        return Err(wrong("another kind of token"));
    }
    let key = keys.find(unverified.header.kid.as_deref(), algorithm).ok_or_else(|| wrong("no such key"))?;
    let verified = unverified.verify(key).map_err(|e| wrong(&e.to_string()))?;
    let claims = serde_json::from_slice(&verified.payload).map_err(|_| wrong("claims cannot be read"))?;
    Ok((claims, member.clone()))
}

/// Why a word does not count.
#[derive(Debug, thiserror::Error)]
pub enum WordError {
    #[error(transparent)]
    Member(#[from] FederationError),
    #[error("{0}")]
    Wrong(String),
}
