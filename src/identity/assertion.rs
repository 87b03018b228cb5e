//! One gateway's word to another about who acts for whom (and nothing more about them than the item needs).
//!
//! ```text
//!  A: Statement { who, level, for whom (pairwise), digest of the request } ─signed, aud B, 60 s─▶ B: receive
//!                                            B ─▶ A's key? for B? now? this request? a place A may speak for? ─▶ Vouched
//! ```

use std::collections::BTreeMap;

use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::terms::{CaseNo, Digest, ItemCode, RegionCode, UnixMillis};

use super::IdentityError;
use super::access::{Caller, Replay};
use super::book::{Kind, Reach};
use super::issue::{SigningKey, random_id};
use super::jose::{self, Embedded, Unverified, plain};
use super::keys::IssuerKeys;

/// Media type in `typ`.
pub const TYP: &str = "tongban-assertion+jwt";
/// Longest life, in seconds.
pub const LIVES_S: i64 = 60;
/// Clock difference forgiven between gateways, in seconds.
pub const LEEWAY_S: i64 = 10;

/// Personal attributes that may travel when the item needs them; without a need only the pairwise name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    Name,
    /// SHA-256 HMAC of the resident number under the peers' key: enough to compare, not to read.
    ResidentDigest,
    ResidentId,
}

/// Who acts, how strongly proven, for whom, on what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The person the matter is about, under their name for this peer alone; see [`PairwiseKey::name`].
    pub subject: String,
    /// Level 0–4 of the subject, and when it was proven.
    pub level: u8,
    pub level_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Who acts for them: pairwise name and kind; absent when they act alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Acting>,
    /// Where the person stands: a place of the sending gateway.
    pub place: RegionCode,
    pub item: ItemCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseNo>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Attribute, String>,
}

/// Somebody acting, as told to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acting {
    pub subject: String,
    pub kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    /// SHA-256 of the request it goes with.
    digest: Digest,
    statement: Statement,
}

/// A key for names that only one peer knows. Made per gateway; never leaves it.
pub struct PairwiseKey(hmac::Key);

impl PairwiseKey {
    /// `secret` should be 32 random octets.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The name of a subject for one peer: the same each time, another for every other peer, telling nothing.
    pub fn name(&self, peer: &str, issuer: &str, subject: &str) -> String {
        self.digest("sub", peer, &format!("{}:{issuer}{subject}", issuer.len()))
    }

    fn digest(&self, purpose: &str, peer: &str, text: &str) -> String {
        let input = format!("{purpose}\n{}:{peer}{text}", peer.len());
        jose::encode(hmac::sign(&self.0, input.as_bytes()).as_ref())
    }
}

impl std::fmt::Debug for PairwiseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairwiseKey")
    }
}

/// Just the attributes an item needs, as far as the caller has them.
pub fn attributes(caller: &Caller, needed: &[Attribute], peer: &str, key: &PairwiseKey) -> BTreeMap<Attribute, String> {
    let value = |attribute: &Attribute| match attribute {
        Attribute::Name => caller.name().map(str::to_owned),
        Attribute::ResidentDigest => caller.resident().map(|id| key.digest("resident", peer, id.reveal())),
        Attribute::ResidentId => caller.resident().map(|id| id.reveal().to_owned()),
    };
    needed.iter().filter_map(|attribute| Some((*attribute, value(attribute)?))).collect()
}

/// Signs a statement for one peer and one request.
pub fn issue(
    key: &SigningKey,
    gateway: &str,
    peer: &str,
    request: Digest,
    statement: &Statement,
    now: UnixMillis,
) -> Result<String, IdentityError> {
    let claims = Claims {
        iss: gateway.to_owned(),
        aud: peer.to_owned(),
        iat: now.seconds(),
        exp: now.seconds() + LIVES_S,
        jti: random_id()?,
        digest: request,
        statement: statement.clone(),
    };
    match serde_json::to_value(&claims) {
        Ok(Value::Object(claims)) => key.sign(TYP, &claims),
        _ => Err(IdentityError::CannotSign("a statement that cannot be written")),
    }
}

/// A peer as the directory lists it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub id: &'a str,
    pub keys: &'a IssuerKeys,
    pub reach: &'a Reach,
}

/// What a peer vouches for, after its word has been checked. Only [`receive`] makes one.
#[derive(Clone, Debug)]
pub struct Vouched {
    peer: String,
    statement: Statement,
    /// Remember it until it expires; seen before means a replay.
    pub replay: Replay,
}

impl Vouched {
    pub fn peer(&self) -> &str {
        &self.peer
    }
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// B's check of A's word: A's key, for us, now, about this request, and for a place A may speak for.
///
/// # Errors
/// The same words as for access tokens; `token_issuer` when A speaks outside its divisions.
pub fn receive(
    assertion: &str,
    peer: Peer<'_>,
    us: &str,
    request: Digest,
    now: UnixMillis,
) -> Result<Vouched, IdentityError> {
    use IdentityError::{TokenAudience, TokenBinding, TokenIssuer, TokenLifetime, TokenMalformed};
    let unverified = Unverified::parse(assertion, Embedded::Refused)?;
    if unverified.header.typ.as_deref() != Some(TYP) {
        return Err(IdentityError::TokenType("not an assertion of a gateway"));
    }
    let kid = unverified.header.kid.clone();
    let key = peer.keys.find_named(kid.as_deref(), unverified.header.alg);
    let key = key.ok_or_else(|| IdentityError::UnknownKey { issuer: peer.id.to_owned(), kid })?;
    let claims = unverified.verify(key)?.claims()?;
    let claims: Claims = serde_json::from_value(claims.into())
        .map_err(|_| TokenMalformed("a member is missing, unknown or of a wrong kind"))?;
    if claims.iss != peer.id {
        return Err(TokenIssuer("another gateway than the one that sent it"));
    }
    if claims.aud != us {
        return Err(TokenAudience("somebody else"));
    }
    let at = now.seconds();
    if at >= claims.exp.saturating_add(LEEWAY_S) {
        return Err(IdentityError::TokenExpired);
    }
    if claims.iat > at.saturating_add(LEEWAY_S) {
        return Err(IdentityError::TokenNotYet);
    }
    if claims.exp.saturating_sub(claims.iat) > LIVES_S {
        return Err(TokenLifetime { limit_s: LIVES_S });
    }
    if claims.digest != request {
        return Err(TokenBinding("an assertion made for another request"));
    }
    let statement = claims.statement;
    if !peer.reach.covers(statement.place) {
        return Err(TokenIssuer("may not speak for this place"));
    }
    let odd = |text: &str| text.is_empty() || !plain(text);
    let actor_odd = statement.actor.as_ref().is_some_and(|actor| odd(&actor.subject));
    if statement.level > 4 || odd(&statement.subject) || actor_odd || statement.attributes.values().any(|v| !plain(v)) {
        return Err(TokenMalformed("a statement that cannot be"));
    }
    if statement.level_at > now.plus_seconds(LEEWAY_S) {
        return Err(IdentityError::TokenNotYet);
    }
    if claims.jti.is_empty() || claims.jti.len() > 256 {
        return Err(TokenMalformed("jti"));
    }
    let key = Digest::of(format!("assertion\n{}\n{}", peer.id, claims.jti).as_bytes());
    let replay = Replay { key, expires: UnixMillis::from_seconds(claims.exp + LEEWAY_S + 1) };
    Ok(Vouched { peer: peer.id.to_owned(), statement, replay })
}
