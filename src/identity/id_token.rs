//! ID tokens (OpenID Connect Core 1.0 §3.1.3.7): who has signed in just now, in answer to this very question.

use serde_json::Value;

use super::IdentityError;
use super::access::audiences;
use super::book::IssuerBook;
use super::jose::{Embedded, Unverified, seconds, text};
use crate::terms::UnixMillis;

/// Who signed in. Only [`read`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    pub issuer: String,
    pub subject: String,
    /// The issuer's name for the session, by which it ends it (back-channel logout).
    pub session: Option<String>,
}

/// Reads the ID token that came straight from the token endpoint.
///
/// # Errors
/// `token_issuer` for another issuer than the one asked, `token_audience` for another client, `token_type` for another kind
/// of token, `token_malformed` for another nonce than ours, and as of any signed token.
pub fn read(
    token: &str,
    issuer: &str,
    client: &str,
    nonce: &str,
    book: &IssuerBook,
    now: UnixMillis,
) -> Result<SignedIn, IdentityError> {
    use IdentityError::{TokenAudience, TokenExpired, TokenIssuer, TokenMalformed, TokenNotYet, TokenType};
    let listed = book.get(issuer).ok_or(TokenIssuer("not in the book"))?;
    let entry = &listed.entry;
    let unverified = Unverified::parse(token, Embedded::Refused)?;
    if !matches!(unverified.header.typ.as_deref(), None | Some("jwt")) {
        return Err(TokenType("not an ID token"));
    }
    if !entry.algorithms.contains(&unverified.header.alg) {
        return Err(IdentityError::TokenAlg("not one of this issuer's"));
    }
    let keys = listed.keys.as_ref().ok_or_else(|| IdentityError::KeysUnavailable { issuer: issuer.to_owned() })?;
    let kid = unverified.header.kid.clone();
    let key = keys.find(kid.as_deref(), unverified.header.alg);
    let key = key.ok_or_else(|| IdentityError::UnknownKey { issuer: issuer.to_owned(), kid })?;
    let claims = unverified.verify(key)?.claims()?;
    let odd = || TokenMalformed("an ID token lacks a member");
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(TokenIssuer("another issuer than the one asked"));
    }
    let audiences = audiences(&claims)?;
    if !audiences.iter().any(|aud| aud == client) {
        return Err(TokenAudience("somebody else"));
    }
    // With several audiences, or where it is named at all, the one it was given to is us.
    let party = text(&claims, "azp")?;
    if party.map_or(audiences.len() > 1, |party| party != client) {
        return Err(TokenAudience("given to somebody else"));
    }
    if text(&claims, "nonce")? != Some(nonce) {
        return Err(TokenMalformed("another nonce than the one sent"));
    }
    let (at, leeway) = (now.seconds(), entry.leeway_s);
    let (exp, iat) = (seconds(&claims, "exp")?.ok_or_else(odd)?, seconds(&claims, "iat")?.ok_or_else(odd)?);
    if at >= exp.saturating_add(leeway) {
        return Err(TokenExpired);
    }
    if iat > at.saturating_add(leeway) {
        return Err(TokenNotYet);
    }
    let member = |name: &str| Ok::<_, IdentityError>(text(&claims, name)?.map(str::to_owned));
    Ok(SignedIn {
        issuer: issuer.to_owned(),
        subject: member("sub")?.filter(|sub| !sub.is_empty()).ok_or_else(odd)?,
        session: member("sid")?,
    })
}
