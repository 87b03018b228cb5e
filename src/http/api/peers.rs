//! What other gateways send: sealed messages, lookups, live requests.

use http::{Request, Response};
use serde::Deserialize;
use serde_json::json;

use super::input::{self, to_vault};
use super::{Asked, ok, stripped};
use crate::gateway::keep::ASICE;
use crate::gateway::lookup::changed;
use crate::gateway::who::{NO_TERMINAL, Terminal};
use crate::gateway::{ledger, lookup, pass, peer, receipt, receive, standing};
use crate::http::{CONTENT, MEDIA};
use crate::terms::{Digest, Refusal};
use crate::upstream::Body;

/// Largest sealed message of a peer in octets.
const MESSAGE_MAX: u64 = 4 << 30;

fn peer_id(asked: &Asked) -> Result<String, Refusal> {
    match &asked.terminal {
        Terminal::Peer(id) => Ok(id.clone()),
        _ => Err(Refusal::new(&NO_TERMINAL, "not a member of the federation")),
    }
}

pub async fn message(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    if input::header(&asked.headers, "content-type") != Some(ASICE) {
        return Err(Refusal::new(&MEDIA, format!("send {ASICE}")));
    }
    let (key, kept) = to_vault(asked, request, MESSAGE_MAX).await?;
    let id = kept.id.clone();
    let opened = match receive::open(&asked.rooms, &peer, kept, key, asked.trace.at).await {
        Ok(opened) => opened,
        Err(refusal) => {
            if let Err(error) = asked.rooms.vault.forget(&id) {
                tracing::warn!(%error, "a refused message could not be removed");
            }
            return Err(refusal);
        }
    };
    let receipt = receive::take(opened, &asked.rooms, &asked.trace).await?;
    Ok(ok(&json!({ "receipt": receipt })))
}

fn assertion(asked: &Asked) -> Result<&str, Refusal> {
    let header = input::header(&asked.headers, peer::ASSERTION);
    header.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "no assertion"))
}

pub async fn lookup(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    let bytes = input::body(request, input::JSON_MAX).await?;
    let vouched = peer::check(&asked.rooms, &peer, assertion(asked)?, Digest::of(&bytes), asked.trace.at)?;
    asked.trace.by(vouched.actor(&asked.rooms, &peer));
    peer::first(&asked.rooms, &peer, &vouched).await?;
    let remote: lookup::Remote = serde_json::from_slice(&bytes).map_err(|e| Refusal::new(&CONTENT, e.to_string()))?;
    let (reply, line) = lookup::serve(&asked.rooms, &asked.trace, &peer, &vouched, &remote).await?;
    let mut response = ok(&serde_json::to_value(reply).unwrap_or_default());
    receipt::name(response.headers_mut(), &asked.rooms, line);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeIn {
    /// A signed word.
    change: String,
}

pub async fn change(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let wanted: ChangeIn = input::json(request, input::FORM_MAX).await?;
    let done = changed::by_peer(&asked.rooms, &asked.trace, &peer_id(asked)?, &wanted.change).await?;
    Ok(ok(&json!({ "leaf": ledger::receipt(&asked.rooms, done) })))
}

/// What a paper registered here is good for.
pub async fn paper(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let wanted: standing::Wanted = input::json(request, input::JSON_MAX).await?;
    let shown = standing::state(&asked.rooms, &asked.trace, &peer_id(asked)?, &wanted, true).await?;
    Ok(ok(&serde_json::to_value(shown).unwrap_or_default()))
}

/// What came of it.
pub async fn paper_use(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let ending: standing::Ending = input::json(request, input::JSON_MAX).await?;
    standing::end(&asked.rooms, &asked.trace, &peer_id(asked)?, &ending).await?;
    Ok(ok(&json!({})))
}

/// What a provider behind us says.
pub async fn changed(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let wanted: ChangeIn = input::json(request, input::FORM_MAX).await?;
    let done = changed::by_provider(&asked.rooms, &asked.trace, &asked.terminal, &asked.client, &wanted.change).await?;
    Ok(ok(&json!({ "leaf": ledger::receipt(&asked.rooms, done) })))
}

pub async fn pass(asked: &Asked, rest: &str, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    let query = request.uri().query().map_or(String::new(), |q| format!("?{q}"));
    let target = pass::Target::here(format!("/{rest}{query}"));
    let named = Digest::of(format!("{} {}", request.method(), target.rest).as_bytes());
    let vouched = peer::check(&asked.rooms, &peer, assertion(asked)?, named, asked.trace.at)?;
    asked.trace.by(vouched.actor(&asked.rooms, &peer));
    peer::first(&asked.rooms, &peer, &vouched).await?;
    let asker = pass::Asker::Peer { id: &peer, vouched: &vouched };
    pass::pass(&asked.rooms, &asked.trace, asker, &target, stripped(request)).await
}
