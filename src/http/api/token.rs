//! The gateway as an authorization server of its own small kind: token exchange, revocation, metadata, keys; and the roster.

use std::collections::BTreeMap;

use http::{Request, Response};
use serde_json::json;

use super::input::{self, decoded};
use super::{Asked, ok, person};
use crate::gateway::door::Door;
use crate::gateway::registry::{self, Giver};
use crate::gateway::who::WRONG_KIND;
use crate::gateway::{duty, errand, ledger};
use crate::http::MEDIA;
use crate::identity::issue::jwks;
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
    let bad = |why: &str| {
        Refusal::new(&errand::TOKEN_REQUEST, why).with("error", "invalid_request").with("error_description", why)
    };
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

/// RFC 6749 §5.2, beside our own members: what a client library looks for.
fn oauth(refusal: Refusal) -> Refusal {
    if refusal.members.iter().any(|(name, _)| *name == "error") {
        return refusal;
    }
    let reason = refusal.members.iter().find(|(name, _)| *name == "reason").and_then(|(_, value)| value.as_str());
    let error = match reason {
        Some("dpop_nonce") => "use_dpop_nonce",
        Some("dpop_invalid" | "dpop_replay") => "invalid_dpop_proof",
        _ if refusal.told.status == 403 => "access_denied",
        _ => "invalid_request",
    };
    let description = refusal.detail.clone();
    refusal.with("error", error).with("error_description", description)
}

pub async fn exchange(asked: &Asked, door: &Door<'_>, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let rooms = &asked.rooms;
    let form = form(asked, request).await?;
    let issuer = rooms.issuer()?;
    let wanted = errand::wanted(&form, &[&issuer, &rooms.me.id])?;
    let given = errand::exchange(rooms, &asked.trace, &asked.terminal, door, &wanted).await.map_err(oauth)?;
    Ok(ok(&given))
}

pub async fn revoke(asked: &Asked, door: &Door<'_>, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let form = form(asked, request).await?;
    let token = form
        .get("token")
        .ok_or_else(|| Refusal::new(&errand::TOKEN_REQUEST, "token is missing").with("error", "invalid_request"))?;
    errand::take_back(&asked.rooms, &asked.trace, &asked.terminal, door, token).await.map_err(oauth)?;
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
    match (&asked.terminal, asked.terminal.office(&asked.rooms)) {
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
    Ok(ok(&registry::register(&asked.rooms, &asked.trace, &giver(asked)?, &draft).await?))
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
