//! The gateway as an authorization server of its own small kind: token exchange, revocation, metadata, keys; and the roster.

use std::collections::BTreeMap;

use http::{Request, Response};
use serde_json::json;

use super::input::{self, decoded};
use super::{Asked, ok, person};
use crate::gateway::door::Door;
use crate::gateway::registry::{self, Giver};
use crate::gateway::who::{NO_TERMINAL, NOT_YOUR_DESK, Person, WRONG_KIND};
use crate::gateway::{duty, errand, ledger};
use crate::http::MEDIA;
use crate::identity::error::TOKEN_BINDING;
use crate::identity::issue::jwks;
use crate::partners::error::TERMINAL_REVOKED;
use crate::terms::Refusal;
use crate::upstream::Body;

/// Largest form of a token request in octets: two tokens and a paper.
const FORM_MAX: usize = 64 << 10;

/// `application/x-www-form-urlencoded`, each name once (RFC 6749 §3.2).
async fn form(asked: &Asked, request: Request<Body>) -> Result<BTreeMap<String, String>, Refusal> {
    let media = input::header(&asked.headers, "content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::new(&MEDIA, "send application/x-www-form-urlencoded"));
    }
    let bytes = input::body(request, FORM_MAX).await?;
    let bad = |why: &str| Refusal::new(&errand::TOKEN_REQUEST, why);
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("the form is not text"))?;
    let mut form = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = decoded(name).zip(decoded(value)).ok_or_else(|| bad("the form cannot be read"))?;
        if form.insert(name, value).is_some() {
            return Err(bad("a parameter is there twice"));
        }
    }
    Ok(form)
}

/// Whether a route speaks OAuth, in its refusals too.
pub fn is_oauth(route: &str) -> bool {
    matches!(route, "/v1/token" | "/v1/revoke" | "/v1/backchannel-logout")
}

/// A refusal as RFC 6749 §5.2 has it, with our own members beside: 400 or 401, an `error` that client libraries know, and a
/// description in the characters allowed there. What passes (429, 5xx) keeps its status, for the client to come again.
///
/// Tokens that do not hold and exchanges that the rules refuse are `invalid_request` (RFC 8693 §2.2.2); proofs of possession
/// have words of their own (RFC 9449 §5, §8).
pub fn oauth(mut refusal: Refusal) -> Refusal {
    let text = |name: &str| refusal.members.iter().find(|(n, _)| *n == name).and_then(|(_, value)| value.as_str());
    let (code, own) = (refusal.told.code, refusal.told.status);
    let (error, status) = match (text("reason"), code, own) {
        (_, _, 429 | 503) => ("temporarily_unavailable", own),
        (_, _, 500..) => ("server_error", own),
        (Some("dpop_nonce"), ..) => ("use_dpop_nonce", 400),
        (Some("dpop_invalid" | "dpop_replay"), ..) => ("invalid_dpop_proof", 400),
        _ if code == NO_TERMINAL.code || code == TERMINAL_REVOKED.code => ("invalid_client", 401),
        _ if code == NOT_YOUR_DESK.code || code.starts_with("TB-PAR-") => ("unauthorized_client", 400),
        _ => ("invalid_request", 400),
    };
    if text("error").is_none() {
        refusal.members.push(("error", error.into()));
    }
    let description: String =
        refusal.detail.chars().filter(|c| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')).collect();
    refusal.members.push(("error_description", description.into()));
    refusal.status = status;
    // A challenge goes with 401: this route takes its credentials in the form.
    refusal.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("www-authenticate"));
    refusal
}

/// `who`: the person who acts, once their token has been checked.
pub async fn exchange(
    asked: &Asked,
    door: &Door<'_>,
    request: Request<Body>,
    who: &mut Option<Person>,
) -> Result<Response<Body>, Refusal> {
    let rooms = &asked.rooms;
    let form = form(asked, request).await?;
    let issuer = rooms.issuer()?;
    let wanted = errand::wanted(&form, &[&issuer, &rooms.me.id])?;
    let given = errand::exchange(rooms, &asked.trace, &asked.terminal, door, &wanted, who).await?;
    Ok(ok(&given))
}

pub async fn revoke(
    asked: &Asked,
    door: &Door<'_>,
    request: Request<Body>,
    who: &mut Option<Person>,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked, request).await?;
    let token = form.get("token").filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Refusal::new(&errand::TOKEN_REQUEST, "token is missing"))?;
    // Issued to another client: RFC 7009 §2.1 leaves the word to RFC 6749 §5.2.
    let others = |refusal: Refusal| match refusal.told.code == TOKEN_BINDING.code {
        true => refusal.with("error", "invalid_grant"),
        false => refusal,
    };
    errand::take_back(&asked.rooms, &asked.trace, &asked.terminal, door, token, who).await.map_err(others)?;
    Ok(ok(&json!({})))
}

/// RFC 8414.
pub fn metadata(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let issuer = asked.rooms.issuer()?;
    Ok(ok(&json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/v1/token"),
        "revocation_endpoint": format!("{issuer}/v1/revoke"),
        "jwks_uri": format!("{issuer}/v1/jwks"),
        "response_types_supported": [],
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "token_endpoint_auth_methods_supported": ["none", "self_signed_tls_client_auth"],
        "revocation_endpoint_auth_methods_supported": ["none", "self_signed_tls_client_auth"],
        "tls_client_certificate_bound_access_tokens": true,
        "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA"],
        "service_documentation": format!("{issuer}/v1/openapi.json"),
        "ui_locales_supported": ["zh-CN", "en"],
    })))
}

/// The keys under which the gateway signs its own tokens (RFC 7517).
pub fn keys(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let keys = asked.rooms.keys.load();
    let set = jwks(&[keys.assertion.key()]).map_err(|e| Refusal::new(&crate::store::UNAVAILABLE, e.to_string()))?;
    Ok(ok(&set))
}

/// Who gives a paper: the person, or the department whose system calls.
fn giver(asked: &Asked) -> Result<Giver<'_>, Refusal> {
    match (&asked.terminal, asked.terminal.office()) {
        (terminal, Some(office)) => Ok(Giver::Department(office, terminal)),
        // Nobody gives a paper in another's name: a token beside a clerk's is there for the filing, and for that alone.
        (_, None) if asked.subject.is_some() => {
            Err(Refusal::new(&WRONG_KIND, "a paper is given with the person's own token alone"))
        }
        (terminal, None) => Ok(Giver::Person(person(asked)?, terminal)),
    }
}

pub async fn give_paper(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let draft: registry::Draft = input::json(request, input::FORM_MAX).await?;
    let given = registry::register(&asked.rooms, &asked.trace, &giver(asked)?, &draft).await?;
    Ok(ok(&given.to_json(&asked.rooms)))
}

pub async fn papers(asked: &Asked) -> Result<Response<Body>, Refusal> {
    Ok(ok(&registry::list(&asked.rooms, &giver(asked)?, asked.trace.at).await?))
}

pub async fn revoke_paper(asked: &Asked, id: &str) -> Result<Response<Body>, Refusal> {
    Ok(ok(&registry::revoke(&asked.rooms, &asked.trace, &giver(asked)?, id).await?))
}

/// A first post goes away or comes back.
pub async fn duty(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let notice: duty::Notice = input::json(request, input::FORM_MAX).await?;
    let committed = duty::mark(&asked.rooms, &asked.trace, &asked.terminal, person(asked)?, &notice).await?;
    Ok(ok(&json!({ "away": notice.away, "leaf": ledger::receipt(&asked.rooms, committed) })))
}
