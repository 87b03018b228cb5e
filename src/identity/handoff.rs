//! What a department's own system gets from the reverse proxy instead of the citizen's token: a short word of ours.
//!
//! ```text
//!  Caller ─▶ { sub (pairwise for the department), level, kind, org, item, method + target of the request } ─30 s─▶ back end
//! ```
//! The token of the citizen ends at the gateway; no back end ever sees one it could use elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::terms::{Digest, ItemCode, UnixMillis};

use super::IdentityError;
use super::access::Caller;
use super::assertion::PairwiseKey;
use super::book::Kind;
use super::issue::{SigningKey, random_id};
use super::jose::{Embedded, Unverified};
use super::keys::IssuerKeys;

/// Media type in `typ`.
pub const TYP: &str = "tongban-handoff+jwt";
/// Header in which it travels.
pub const HEADER: &str = "tongban-caller";
/// Life, in seconds: one request on a government line.
pub const LIVES_S: i64 = 30;

/// What a back end reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    pub iss: String,
    pub aud: String,
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
    /// The caller, under their name for this department alone.
    pub sub: String,
    pub kind: Kind,
    pub level: u8,
    pub auth_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemCode>,
    /// SHA-256 of `METHOD SP target`, so that it fits no other request.
    pub request: Digest,
}

/// The digest a hand-off is bound to; `target` is path and query as the back end sees them.
pub fn request(method: &str, target: &str) -> Digest {
    Digest::of(format!("{method} {target}").as_bytes())
}

/// The gateway that hands off.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    pub id: &'a str,
    pub key: &'a SigningKey,
    pub names: &'a PairwiseKey,
}

/// Signs a hand-off of `caller` to `department` for one request.
pub fn issue(
    sender: Sender<'_>,
    department: &str,
    caller: &Caller,
    item: Option<ItemCode>,
    request: Digest,
    now: UnixMillis,
) -> Result<String, IdentityError> {
    let handoff = Handoff {
        iss: sender.id.to_owned(),
        aud: department.to_owned(),
        iat: now.seconds(),
        exp: now.seconds() + LIVES_S,
        jti: random_id()?,
        sub: sender.names.name(department, caller.issuer(), caller.subject()),
        kind: caller.kind(),
        level: caller.level(),
        auth_time: caller.proven_at().seconds(),
        org: caller.org().map(str::to_owned),
        item,
        request,
    };
    match serde_json::to_value(&handoff) {
        Ok(Value::Object(claims)) => sender.key.sign(TYP, &claims),
        _ => Err(IdentityError::CannotSign("a hand-off that cannot be written")),
    }
}

/// A back end's check, for departments that build on this crate and for our tests.
pub fn check(
    token: &str,
    gateway: &str,
    keys: &IssuerKeys,
    department: &str,
    request: Digest,
    now: UnixMillis,
) -> Result<Handoff, IdentityError> {
    let unverified = Unverified::parse(token, Embedded::Refused)?;
    if unverified.header.typ.as_deref() != Some(TYP) {
        return Err(IdentityError::TokenType("not a hand-off"));
    }
    let kid = unverified.header.kid.clone();
    let key = keys.find(kid.as_deref(), unverified.header.alg);
    let key = key.ok_or_else(|| IdentityError::UnknownKey { issuer: gateway.to_owned(), kid })?;
    let claims = unverified.verify(key)?.claims()?;
    let handoff: Handoff = serde_json::from_value(claims.into())
        .map_err(|_| IdentityError::TokenMalformed("a member is missing, unknown or of a wrong kind"))?;
    if handoff.iss != gateway {
        return Err(IdentityError::TokenIssuer("another gateway"));
    }
    if handoff.aud != department {
        return Err(IdentityError::TokenAudience("somebody else"));
    }
    if now.seconds() >= handoff.exp {
        return Err(IdentityError::TokenExpired);
    }
    if handoff.iat > now.seconds().saturating_add(super::assertion::LEEWAY_S) {
        return Err(IdentityError::TokenNotYet);
    }
    if handoff.exp.saturating_sub(handoff.iat) > LIVES_S {
        return Err(IdentityError::TokenLifetime { limit_s: LIVES_S });
    }
    if handoff.request != request {
        return Err(IdentityError::TokenBinding("a hand-off made for another request"));
    }
    Ok(handoff)
}
