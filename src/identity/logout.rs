//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6): an issuer says that a session has ended.

use serde_json::Value;

use super::IdentityError;
use super::access::audiences;
use super::book::IssuerBook;
use super::jose::{Embedded, Unverified, seconds, text};
use crate::terms::UnixMillis;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Oldest token taken, in seconds: issuers send them at once.
const AGE_S: i64 = 300;

/// A session, or all sessions of a subject, that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub issuer: String,
    /// To be remembered: the same token twice is a replay.
    pub jti: String,
    pub issued: UnixMillis,
    pub subject: Option<String>,
    pub session: Option<String>,
    /// How long the end and the notice of it must be remembered, in seconds: as long as an access token of this issuer may
    /// live, or this token come again.
    pub remember_s: i64,
}

impl LogoutToken {
    /// Reads and verifies a logout token under the book's issuers and keys.
    ///
    /// # Errors
    /// As of an access token; `token_type` for another kind of token: one with a nonce or without the event.
    pub fn read(token: &str, book: &IssuerBook, now: UnixMillis) -> Result<Self, IdentityError> {
        Self::read_as(token, book, None, now)
    }

    /// As [`LogoutToken::read`], where we are also the client `as_client` (issuer, `client_id`): issuers address logout
    /// tokens to clients.
    ///
    /// # Errors
    /// The same.
    pub fn read_as(
        token: &str,
        book: &IssuerBook,
        as_client: Option<(&str, &str)>,
        now: UnixMillis,
    ) -> Result<Self, IdentityError> {
        let unverified = Unverified::parse(token, Embedded::Refused)?;
        let claims = unverified.claims_unverified()?;
        let Some(Value::String(name)) = claims.get("iss") else {
            return Err(IdentityError::TokenIssuer("missing or not one text"));
        };
        let issuer = book.get(name).ok_or(IdentityError::TokenIssuer("not in the book"))?;
        let entry = &issuer.entry;
        if !entry.algorithms.contains(&unverified.header.alg) {
            return Err(IdentityError::TokenAlg("not one of this issuer's"));
        }
        // Older issuers say plain `JWT`, or nothing; the event is what tells it from other tokens.
        if !matches!(unverified.header.typ.as_deref(), None | Some("logout+jwt" | "jwt")) {
            return Err(IdentityError::TokenType("not a logout token"));
        }
        let keys = issuer.keys.as_ref().ok_or_else(|| IdentityError::KeysUnavailable { issuer: name.clone() })?;
        let kid = unverified.header.kid.clone();
        let key = keys.find(kid.as_deref(), unverified.header.alg);
        let key = key.ok_or_else(|| IdentityError::UnknownKey { issuer: name.clone(), kid })?;
        let claims = unverified.verify(key)?.claims()?;
        let event = claims.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) || claims.contains_key("nonce") {
            return Err(IdentityError::TokenType("not a logout token"));
        }
        let client = as_client.filter(|(issuer, _)| *issuer == name).map(|(_, client)| client);
        if !audiences(&claims)?.iter().any(|aud| entry.audiences.contains(aud) || client == Some(aud.as_str())) {
            return Err(IdentityError::TokenAudience("somebody else"));
        }
        let missing = IdentityError::TokenMalformed("iat, exp, jti, and sub or sid are needed");
        let issued = seconds(&claims, "iat")?.ok_or_else(|| missing.clone())?;
        let expires = seconds(&claims, "exp")?.ok_or_else(|| missing.clone())?;
        let (at, leeway) = (now.seconds(), entry.leeway_s);
        if issued > at.saturating_add(leeway) {
            return Err(IdentityError::TokenNotYet);
        }
        if at >= expires.saturating_add(leeway) || at.saturating_sub(issued) > AGE_S {
            return Err(IdentityError::TokenExpired);
        }
        let member = |name| Ok::<_, IdentityError>(text(&claims, name)?.map(str::to_owned));
        let (subject, session) = (member("sub")?, member("sid")?);
        if subject.is_none() && session.is_none() {
            return Err(missing);
        }
        Ok(Self {
            issuer: name.clone(),
            jti: member("jti")?.ok_or(missing)?,
            issued: UnixMillis(issued.saturating_mul(1_000)),
            subject,
            session,
            // A notice that is still young must be known again, too.
            remember_s: entry.max_lifetime_s.max(AGE_S).saturating_add(leeway),
        })
    }
}
