//! The gateway's API, version 1: from a request to the gateway's questions, and back.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::problem::json_response;
use super::routes::{self, Call, Found, NotFound, Who};
use super::serve::Connection;
use super::{CONTENT, MALFORMED, METHOD, NOT_FOUND, TOO_LARGE, guard, openapi, problem, watch};
use crate::catalogue::materials::{Availability, Circumstances};
use crate::catalogue::search::Filters;
use crate::exchange::{ExchangeError, Key, VaultError};
use crate::gateway::desk::Viewer;
use crate::gateway::door::{Door, required};
use crate::gateway::keep::ASICE;
use crate::gateway::ledger::{self, Trace};
use crate::gateway::lookup::{self, Asking};
use crate::gateway::submit::{self, Arrival};
use crate::gateway::who::{NO_TERMINAL, Person, PersonKind, Terminal};
use crate::gateway::{Rooms, act, desk, intake, pass, peer, prove, receive};
use crate::terms::{CaseNo, Digest, ItemCode, Lang, Refusal, RegionCode, ResidentId, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::{full, streamed};

/// Largest JSON body in octets.
const JSON_MAX: usize = 1 << 20;
/// Largest file sent to `/v1/verify`.
const VERIFY_MAX: u64 = 256 << 20;
/// Largest sealed message of a peer.
const MESSAGE_MAX: u64 = 4 << 30;
/// Header of a filing's key (idempotency).
const IDEMPOTENCY: &str = "idempotency-key";

/// Everything one request knows while it is answered.
pub(super) struct Asked {
    pub rooms: Arc<Rooms>,
    pub trace: Trace,
    pub terminal: Terminal,
    pub caller: Option<Person>,
    pub subject: Option<Person>,
    pub headers: HeaderMap,
    pub query: String,
}

/// Answers one request. Refusals are kept in the log like answers.
pub async fn answer(rooms: Arc<Rooms>, request: Request<Incoming>, connection: Connection) -> Response<Body> {
    let mut id = [0u8; 16];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id);
    let mut trace =
        Trace { id: crate::terms::digest::hex(&id), method: method(&request), route: "unknown", at: UnixMillis::now() };
    let mut who = (Terminal::Unknown, None);
    match handle(&rooms, request, connection, &mut trace, &mut who).await {
        Ok(response) => traced(response, &trace),
        Err(refusal) => {
            let leaf = ledger::deny(&rooms, &trace, who.1.as_ref(), &who.0, None, &refusal).await;
            match leaf {
                Ok(index) => problem::answer(&refusal, &trace.id, Some(index)),
                // A log that cannot take a line stops the house: nothing leaves without one.
                Err(error) => problem::answer(&Refusal::from(error), &trace.id, None),
            }
        }
    }
}

fn method<B>(request: &Request<B>) -> &'static str {
    match *request.method() {
        http::Method::GET => "GET",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::DELETE => "DELETE",
        http::Method::HEAD => "HEAD",
        http::Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

fn traced(mut response: Response<Body>, trace: &Trace) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(&trace.id) {
        response.headers_mut().insert("tongban-trace", value);
    }
    response
}

async fn handle(
    rooms: &Arc<Rooms>,
    request: Request<Incoming>,
    connection: Connection,
    trace: &mut Trace,
    who: &mut (Terminal, Option<Person>),
) -> Result<Response<Body>, Refusal> {
    guard::check(&request)?;
    let path = request.uri().path().to_owned();
    let found = match routes::find(request.method(), &path) {
        Ok(found) => found,
        Err(NotFound::Path) => return Err(Refusal::new(&NOT_FOUND, "no such address")),
        Err(NotFound::Method) => return Err(Refusal::new(&METHOD, "the address takes another method")),
    };
    trace.route = found.route.template;
    let terminal = Terminal::recognise(rooms, &connection.client, trace.at)?;
    who.0 = terminal.clone();
    let authority = request.uri().authority().map(ToString::to_string);
    let authority = authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok().map(str::to_owned));
    let url = format!("https://{}{path}", authority.unwrap_or_default());
    let method = request.method().as_str().to_owned();
    let mut asked = Asked {
        rooms: rooms.clone(),
        trace: trace.clone(),
        terminal,
        caller: None,
        subject: None,
        headers: request.headers().clone(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    match found.route.who {
        Who::Anyone => {}
        Who::Office => {
            asked
                .terminal
                .office(rooms)
                .ok_or_else(|| Refusal::new(&NO_TERMINAL, "not an enrolled department system"))?;
        }
        Who::Peer if !matches!(asked.terminal, Terminal::Peer(_)) => {
            return Err(Refusal::new(&NO_TERMINAL, "not a member of the federation"));
        }
        Who::Peer => {}
        Who::Person => {
            let certificate = connection.client.first().map(|c| Digest::of(c));
            let door = Door { headers: &asked.headers, method: &method, url: &url, certificate, now: trace.at };
            let caller = door.caller(rooms).await?;
            let subject = door.subject(rooms).await?;
            (asked.caller, asked.subject) = (caller, subject);
            who.1 = asked.caller.clone();
            let caller = required(asked.caller.clone())?;
            if caller.kind == PersonKind::Staff && matches!(asked.terminal, Terminal::Unknown) {
                return Err(Refusal::new(&NO_TERMINAL, "staff act at enrolled terminals only"));
            }
        }
    }
    dispatch(asked, &found, request).await
}

async fn dispatch(asked: Asked, found: &Found<'_>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let param = |name: &str| found.params.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
    let case = || param("no").parse::<CaseNo>().map_err(|_| Refusal::from(ExchangeError::NoCase));
    match found.route.call {
        Call::SearchItems => search(&asked),
        Call::Guide => guide(&asked, param("code")),
        Call::Plan => plan(&asked, param("code"), request).await,
        Call::File => file(asked, request).await,
        Call::List => list(&asked).await,
        Call::Read => Ok(ok(&desk::view(&read(&asked, case()?).await?))),
        Call::Watch => watch::answer(asked, case()?).await,
        Call::Withdraw => {
            let seen = desk::withdraw(&asked.rooms, &viewer(&asked)?, asked.subject.as_ref(), case()?).await?;
            Ok(ok(&desk::view(&seen)))
        }
        Call::Document => document(&asked, case()?, param("path")).await,
        Call::Verify => verify(&asked, request).await,
        Call::LookUp => look_up(&asked, request).await,
        Call::OpenApi => Ok(ok(&openapi::document())),
        Call::Errors => Ok(ok(&openapi::errors())),
        Call::OfficeAct => {
            let order: act::Order = json_body(request).await?;
            let done = act::order(&asked.rooms, &asked.trace, &asked.terminal, case()?, order).await?;
            Ok(ok(&json!({
                "case": done.case.no, "state": done.case.state, "seq": done.case.seq,
                "leaf": ledger::receipt(&asked.rooms, done.committed),
            })))
        }
        Call::PeerMessage => message(&asked, request).await,
        Call::PeerLookup => peer_lookup(&asked, request).await,
        Call::PeerPass => peer_pass(&asked, param("rest"), request).await,
        Call::Pass => {
            let target =
                pass::target(path_and_query(&request)).ok_or_else(|| Refusal::new(&NOT_FOUND, "no system named"))?;
            let person = asked.caller.as_ref();
            let person = person.ok_or_else(|| Refusal::new(&NO_TERMINAL, "nobody asks"))?;
            let asker = pass::Asker::Person { person, terminal: &asked.terminal };
            pass::pass(&asked.rooms, &asked.trace, asker, &target, stripped(request)).await
        }
    }
}

fn path_and_query(request: &Request<Incoming>) -> &str {
    request.uri().path_and_query().map_or("/", |p| p.as_str())
}

fn stripped(request: Request<Incoming>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    guard::strip(&mut head.headers);
    Request::from_parts(head, streamed(body))
}

fn ok(value: &Value) -> Response<Body> {
    json_response(StatusCode::OK, value)
}

fn viewer(asked: &Asked) -> Result<Viewer<'_>, Refusal> {
    let person = asked.caller.as_ref();
    let person = person.ok_or_else(|| Refusal::new(&NO_TERMINAL, "nobody asks"))?;
    Ok(Viewer { trace: &asked.trace, terminal: &asked.terminal, person })
}

pub(super) async fn read(asked: &Asked, no: CaseNo) -> Result<desk::Seen, Refusal> {
    desk::read(&asked.rooms, &viewer(asked)?, no).await
}

/// A query parameter, percent-decoded.
fn query(asked: &Asked, name: &str) -> Option<String> {
    asked.query.split('&').find_map(|pair| {
        let (n, v) = pair.split_once('=').unwrap_or((pair, ""));
        (n == name).then(|| decode(v))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn lang(asked: &Asked) -> Lang {
    match query(asked, "lang").as_deref() {
        Some("en") => Lang::En,
        _ => Lang::Zh,
    }
}

async fn body(request: Request<Incoming>, limit: usize) -> Result<Bytes, Refusal> {
    let collected = Limited::new(request.into_body(), limit).collect().await;
    collected.map(|b| b.to_bytes()).map_err(|e| match e.is::<http_body_util::LengthLimitError>() {
        true => Refusal::new(&TOO_LARGE, format!("larger than {limit} octets")),
        false => Refusal::new(&MALFORMED, "the body broke off"),
    })
}

async fn json_body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let bytes = body(request, JSON_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|e| Refusal::new(&CONTENT, e.to_string()))
}

fn search(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let catalogue = asked.rooms.catalogue.load();
    let lang = lang(asked);
    let hits = catalogue.search(&query(asked, "q").unwrap_or_default(), &Filters::default(), 100);
    let items: Vec<_> = hits
        .iter()
        .map(|hit| {
            json!({"code": hit.item.code, "name": hit.item.name(lang), "sector": hit.item.sector,
            "scopes": hit.item.scopes, "modes": hit.item.modes, "presence": hit.item.presence})
        })
        .collect();
    Ok(ok(&json!({"items": items, "catalogue": catalogue.version()})))
}

fn item_code(text: &str) -> Result<ItemCode, Refusal> {
    Ok(text.parse::<ItemCode>()?)
}

fn guide(asked: &Asked, code: &str) -> Result<Response<Body>, Refusal> {
    let catalogue = asked.rooms.catalogue.load();
    let item = catalogue.item(item_code(code)?)?;
    let guide = catalogue.guide(item, None, lang(asked));
    Ok(ok(&serde_json::to_value(guide).unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanIn {
    #[serde(default)]
    by_agent: bool,
    /// Licence types the person holds no electronic licence of.
    #[serde(default)]
    without: Vec<String>,
}

async fn plan(asked: &Asked, code: &str, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let wanted: PlanIn = json_body(request).await?;
    let catalogue = asked.rooms.catalogue.load();
    let item = catalogue.item(item_code(code)?)?;
    let circumstances = Circumstances {
        by_agent: wanted.by_agent,
        sources: wanted.without.into_iter().map(|id| (id, Availability::Absent)).collect(),
        consent_needed: Vec::new(),
    };
    let plan = catalogue.plan(item, &circumstances, lang(asked));
    let bring: Vec<_> = plan.iter().filter(|p| p.in_hand() && p.required).map(|p| p.no).collect();
    Ok(ok(&json!({"item": item.code, "materials": plan, "bring": bring, "guide": item.version()})))
}

async fn file(asked: Asked, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let rooms = asked.rooms.clone();
    let key = Key::generate().map_err(ExchangeError::from)?;
    let content_type = asked.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let filing = intake::read(content_type.as_deref(), request.into_body(), &rooms.vault, &key, rooms.bounds).await?;
    let idempotency = asked.headers.get(IDEMPOTENCY).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (clerk, citizen) = match (asked.caller, asked.subject) {
        (caller, Some(subject)) => (caller, Some(subject)),
        (Some(caller), None) if caller.kind == PersonKind::Citizen => (None, Some(caller)),
        (caller, None) => (caller, None),
    };
    let arrival =
        Arrival { trace: asked.trace.clone(), terminal: asked.terminal, clerk, citizen, filing, key, idempotency };
    let kept = submit::submit(arrival, &rooms).await?;
    let no = kept.case;
    let mut response = json_response(
        if kept.again { StatusCode::OK } else { StatusCode::ACCEPTED },
        &json!({
            "case": no, "state": "received", "state_zh": "已收件",
            "notice": {"zh": "已收件，不代表已受理；由办理部门决定是否受理。", "en": "Received, not accepted: the owner decides on acceptance."},
            "receipt": format!("/v1/cases/{no}/documents/papers/{no}-RECEIPT-2.ofd"),
            "watch": format!("/v1/cases/{no}/events"),
            "leaf": ledger::receipt(&rooms, kept.committed),
        }),
    );
    if let Ok(location) = HeaderValue::try_from(format!("/v1/cases/{no}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn list(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let before = query(asked, "before").and_then(|t| UnixMillis::parse_rfc3339(&t));
    let records = desk::list(&asked.rooms, &viewer(asked)?, before.unwrap_or(UnixMillis(i64::MAX))).await?;
    let next = records.last().map(|r| r.opened.to_string());
    Ok(ok(&json!({"cases": records.iter().map(desk::brief).collect::<Vec<_>>(), "before": next})))
}

async fn document(asked: &Asked, no: CaseNo, path: &str) -> Result<Response<Body>, Refusal> {
    let seen = read(asked, no).await?;
    let (stored, reading) = desk::document(&asked.rooms, &seen, path)?;
    let bytes = tokio::task::spawn_blocking(move || reading.whole(VERIFY_MAX)).await;
    let bytes = bytes.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "reading was cut off"))?;
    let mut response = Response::new(full(bytes.map_err(ExchangeError::from)?));
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::try_from(&stored.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// Streams a body into the vault under a fresh key.
async fn to_vault(
    asked: &Asked,
    request: Request<Incoming>,
    limit: u64,
) -> Result<(Key, crate::exchange::Kept), Refusal> {
    let key = Key::generate().map_err(ExchangeError::from)?;
    let mut writing = asked.rooms.vault.write(&key, limit).map_err(ExchangeError::from)?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(&intake::BROKEN_OFF, "the upload broke off"))?;
        if let Ok(data) = frame.into_data() {
            let pushed = tokio::task::spawn_blocking(move || writing.push(&data).map(|()| writing)).await;
            writing = pushed
                .map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "writing was cut off"))?
                .map_err(ExchangeError::from)?;
        }
    }
    let kept = tokio::task::spawn_blocking(move || writing.finish()).await;
    let kept = kept.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "writing was cut off"))?;
    Ok((key, kept.map_err(ExchangeError::from)?))
}

async fn verify(asked: &Asked, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let rooms = &asked.rooms;
    let (key, kept) = to_vault(asked, request, VERIFY_MAX).await?;
    let reading = rooms.vault.read(&key, &kept).map_err(ExchangeError::from)?;
    let profile = prove::profile(&rooms.directory.load(), asked.trace.at);
    let report =
        tokio::task::spawn_blocking(move || crate::licences::verify("upload", prove::VaultFile(reading), &profile))
            .await;
    let _ = rooms.vault.forget(&kept.id);
    let report = report.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    let entry = asked
        .trace
        .about(rooms, crate::audit::Kind::LicenceCheck, asked.caller.as_ref(), &asked.terminal)
        .evidence(crate::audit::entry::Evidence {
            r#type: ledger::word("file"),
            digest: Some(kept.digest),
            verdict: ledger::word(report.indication.word()),
            ..Default::default()
        });
    rooms.log.append(&entry).await?;
    Ok(ok(&report.to_json()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupIn {
    resource: String,
    /// The case that justifies it.
    #[serde(default)]
    case: Option<CaseNo>,
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    consent: bool,
}

async fn look_up(asked: &Asked, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let wanted: LookupIn = json_body(request).await?;
    let rooms = &asked.rooms;
    let person = asked.caller.as_ref();
    let person = person.ok_or_else(|| Refusal::new(&NO_TERMINAL, "nobody asks"))?;
    let seen = match wanted.case {
        Some(no) => Some(read(asked, no).await?),
        None => None,
    };
    let who = crate::gateway::lookup::who(rooms, person, &asked.terminal, asked.trace.at);
    let subject: Option<ResidentId> = match (&seen, &asked.subject) {
        (Some(seen), _) => seen.dossier.applicant.resident(),
        (None, Some(subject)) => subject.resident.clone(),
        (None, None) => person.resident.clone(),
    };
    let subject = subject.ok_or_else(|| Refusal::new(&crate::gateway::who::NO_SUBJECT, "about whom?"))?;
    let place: RegionCode = seen.as_ref().map_or(rooms.me.region, |s| s.dossier.owner);
    let asking = Asking {
        trace: &asked.trace,
        actor: person,
        terminal: &asked.terminal,
        case: seen.as_ref().map(crate::gateway::lookup::link),
        who,
        subject: &subject,
        resource: &wanted.resource,
        item: seen.as_ref().map(|s| s.dossier.item),
        purpose: wanted.purpose.as_deref(),
        consent: wanted.consent,
        place,
        requester: asked.terminal.region().unwrap_or(rooms.me.region),
    };
    let fact = lookup::ask(&asking, rooms).await?;
    Ok(ok(&json!({
        "resource": fact.resource(), "fields": fact.fields(), "cached": fact.cached(),
        "fetched_at": fact.fetched_at().to_string(),
    })))
}

fn peer_id(asked: &Asked) -> Result<String, Refusal> {
    match &asked.terminal {
        Terminal::Peer(id) => Ok(id.clone()),
        _ => Err(Refusal::new(&NO_TERMINAL, "not a member of the federation")),
    }
}

async fn message(asked: &Asked, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    if asked.headers.get(header::CONTENT_TYPE).is_none_or(|v| v != ASICE) {
        return Err(Refusal::new(&super::MEDIA, format!("send {ASICE}")));
    }
    let (key, kept) = to_vault(asked, request, MESSAGE_MAX).await?;
    let id = kept.id.clone();
    let opened = match receive::open(&asked.rooms, &peer, kept, key, asked.trace.at).await {
        Ok(opened) => opened,
        Err(refusal) => {
            let _: Result<(), VaultError> = asked.rooms.vault.forget(&id);
            return Err(refusal);
        }
    };
    let receipt = receive::take(opened, &asked.rooms, &asked.trace).await?;
    Ok(ok(&json!({ "receipt": receipt })))
}

fn assertion(asked: &Asked) -> Result<&str, Refusal> {
    let header = asked.headers.get(peer::ASSERTION).and_then(|v| v.to_str().ok());
    header.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "no assertion"))
}

async fn peer_lookup(asked: &Asked, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    let bytes = body(request, JSON_MAX).await?;
    let vouched = peer::check(&asked.rooms, &peer, assertion(asked)?, Digest::of(&bytes), asked.trace.at)?;
    let remote: lookup::Remote = serde_json::from_slice(&bytes).map_err(|e| Refusal::new(&CONTENT, e.to_string()))?;
    let reply = lookup::serve(&asked.rooms, &asked.trace, &peer, &vouched, &remote).await?;
    Ok(ok(&serde_json::to_value(reply).unwrap_or_default()))
}

async fn peer_pass(asked: &Asked, rest: &str, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let peer = peer_id(asked)?;
    let query = request.uri().query().map_or(String::new(), |q| format!("?{q}"));
    let target = pass::Target { region: None, rest: format!("/{rest}{query}") };
    let named = Digest::of(format!("{} {}", request.method(), target.rest).as_bytes());
    let vouched = peer::check(&asked.rooms, &peer, assertion(asked)?, named, asked.trace.at)?;
    let asker = pass::Asker::Peer { id: &peer, vouched: &vouched };
    pass::pass(&asked.rooms, &asked.trace, asker, &target, stripped(request)).await
}
