//! The gateway's API, version 1: from a request to the gateway's questions, and back.

pub(super) mod again;
mod cases;
pub mod input;
mod items;
mod peers;
mod token;

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use super::host::{Addressed, addressed};
use super::problem::json_response;
use super::routes::{self, Call, Found, NotFound, Who};
use super::serve::Connection;
use super::{MEDIA, METHOD, NOT_FOUND, counted, guard, openapi, problem, refused, watch};
use crate::exchange::ExchangeError;
use crate::gateway::desk::Viewer;
use crate::gateway::door::{Door, From, People, required};
use crate::gateway::errand::{Errand, OTHER_ERRAND};
use crate::gateway::lasting::Lasting;
use crate::gateway::ledger::Trace;
use crate::gateway::who::{NO_TERMINAL, Person, Terminal, WRONG_KIND};
use crate::gateway::{Rooms, desk, entrusted, pass};
use crate::partners;
use crate::terms::{CaseNo, Digest, Refusal, UnixMillis};
use crate::upstream::Body;

/// Header in which a terminal of an outlet tells where it is: 6, 9 or 12 digits.
const PLACE: &str = "tongban-place";

/// Everything one request knows while it is answered.
pub(super) struct Asked {
    pub rooms: Arc<Rooms>,
    pub trace: Trace,
    pub terminal: Terminal,
    /// The client's certificate chain, leaf first.
    pub client: Arc<[CertificateDer<'static>]>,
    pub caller: Option<Person>,
    pub subject: Option<Person>,
    /// What an exchanged token limits the request to.
    pub errand: Option<Errand>,
    /// What the tokens of these people rest on.
    pub lasting: Lasting,
    pub headers: HeaderMap,
    pub query: String,
}

/// Answers one request. The work goes on when the client hangs up: what was begun gets its line in the log.
pub async fn answer(rooms: Arc<Rooms>, request: Request<Body>, connection: Connection) -> Response<Body> {
    match tokio::spawn(answered(rooms, request, connection)).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a request was cut off");
            problem::answer(&Refusal::new(&crate::store::UNAVAILABLE, "cut off"), "", None)
        }
    }
}

/// 32 hexadecimal digits that nobody had before.
pub fn new_trace() -> String {
    let mut id = [0u8; 16];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id);
    crate::terms::digest::hex(&id)
}

/// Refusals are kept in the log like answers.
async fn answered(rooms: Arc<Rooms>, request: Request<Body>, connection: Connection) -> Response<Body> {
    let mut trace = Trace::new(new_trace(), method(&request), "unknown", UnixMillis::now());
    let mut who = (Terminal::Unknown, None);
    let from = connection.remote.ip();
    let nonce = rooms.nonce(trace.at).filter(|_| request.headers().contains_key("dpop"));
    match handle(&rooms, request, connection, &mut trace, &mut who).await {
        Ok(mut response) => {
            // The next proof has its nonce before it is asked for (RFC 9449 §8.2).
            if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
                response.headers_mut().insert("dpop-nonce", nonce);
            }
            traced(response, &trace)
        }
        Err(refusal) => {
            let oauth = token::is_oauth(trace.route);
            let worded = |refusal: Refusal| if oauth { token::oauth(refusal) } else { refusal };
            let (told, leaf) = refused::keep(&rooms, &trace, from, (&who.0, who.1.as_ref()), refusal, worded).await;
            let mut answer = problem::answer(&told, &trace.id, leaf);
            if oauth {
                // RFC 6749 §5.2 names the media type.
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            answer
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

/// Which of our hosts, and which line of the routes.
fn asked_for<'p>(
    rooms: &Rooms,
    request: &Request<Body>,
    connection: &Connection,
    path: &'p str,
) -> Result<(Addressed, Found<'p>), Refusal> {
    let host = addressed(rooms, request, connection.server_name.as_deref())?;
    let found = match &host {
        Addressed::System(..) => Found { route: &routes::BY_HOST, params: Vec::new() },
        Addressed::Us(_) => routes::find(request.method(), path).map_err(|no| match no {
            NotFound::Path => Refusal::new(&NOT_FOUND, "no such address"),
            NotFound::Method(allow) => Refusal::new(&METHOD, "the address takes another method").header("allow", allow),
        })?,
    };
    Ok((host, found))
}

async fn handle(
    rooms: &Arc<Rooms>,
    request: Request<Body>,
    connection: Connection,
    trace: &mut Trace,
    who: &mut (Terminal, Option<Person>),
) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    let asked_for = guard::check(&request).and_then(|()| asked_for(rooms, &request, &connection, &path));
    if let Ok((_, found)) = &asked_for {
        trace.route = found.route.template;
    }
    // Who asks for nothing that is here has asked all the same.
    let counted = counted::terminal(rooms, &connection, trace, &mut who.0);
    let (host, found) = match (asked_for, counted) {
        (Ok(asked_for), counted) => counted.map(|()| asked_for)?,
        (Err(no), Ok(())) => return Err(no),
        // What closes a connection closes it whoever is told to wait.
        (Err(no), Err(counted)) => {
            let closes = no.headers.into_iter().filter(|(name, _)| *name == "connection");
            return Err(closes.fold(counted, |counted, (name, value)| counted.header(name, value)));
        }
    };
    // Nothing is unpacked here: whoever gets a body as it came looks at its coding.
    if request.headers().contains_key(CONTENT_ENCODING) && !matches!(found.route.call, Call::Pass | Call::PeerPass) {
        return Err(Refusal::new(&MEDIA, "a body in a content coding"));
    }
    let mut terminal = who.0.clone();
    terminal.tells(input::header(request.headers(), PLACE))?;
    who.0 = terminal.clone();
    let url = format!("https://{}{path}", host.authority());
    let method = request.method().as_str().to_owned();
    let mut asked = Asked {
        rooms: rooms.clone(),
        trace: trace.clone(),
        terminal,
        client: connection.client.clone(),
        caller: None,
        subject: None,
        errand: None,
        lasting: Lasting::default(),
        headers: request.headers().clone(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    match found.route.who {
        Who::Anyone => {}
        Who::Office => {
            asked.terminal.office().ok_or_else(|| Refusal::new(&NO_TERMINAL, "not an enrolled department system"))?;
        }
        Who::System if !matches!(asked.terminal, Terminal::System(_)) => {
            return Err(Refusal::new(&NO_TERMINAL, "not an enrolled department system"));
        }
        Who::System => {}
        Who::Peer if !matches!(asked.terminal, Terminal::Peer(_)) => {
            return Err(Refusal::new(&NO_TERMINAL, "not a member of the federation"));
        }
        Who::Peer => rooms.directory.load().in_force(trace.at)?,
        Who::Person => {
            // Issuers and their keys come from the directory: one that ran out vouches for nobody.
            rooms.directory.load().in_force(trace.at)?;
            let door = door(&asked.headers, &method, &url, (&asked.terminal, &connection), trace.at);
            let act = act(found.route.call);
            let People { caller, subject, errand, lasting } = door.people(rooms, trace, &asked.terminal, act).await?;
            (asked.caller, asked.subject, asked.errand, asked.lasting) = (caller, subject, errand, lasting);
            who.1 = asked.caller.clone();
            let caller = required(asked.caller.clone())?;
            rooms.paces.load().person(&caller)?;
            asked.terminal.takes(&caller)?;
            if asked.errand.is_some() && !takes_errand(found.route.call) {
                return Err(Refusal::new(&OTHER_ERRAND, "this is done with one's own token"));
            }
            outlet_may(&asked, found.route.call).await?;
        }
    }
    // Whoever may not come this way at all has been told so.
    if found.route.call.begins() {
        rooms.log_state.may_begin(trace.at)?;
    }
    // A token request brings its people in its body.
    if matches!(found.route.call, Call::Token | Call::Revoke) {
        let (headers, terminal) = (asked.headers.clone(), asked.terminal.clone());
        let door = door(&headers, &method, &url, (&terminal, &connection), trace.at);
        return match found.route.call {
            Call::Token => token::exchange(&asked, &door, request, &mut who.1).await,
            _ => token::revoke(&asked, &door, request, &mut who.1).await,
        };
    }
    dispatch(asked, &found, &host, request).await
}

fn door<'a>(
    headers: &'a HeaderMap,
    method: &'a str,
    url: &'a str,
    (terminal, connection): (&'a Terminal, &Connection),
    now: UnixMillis,
) -> Door<'a> {
    let certificate = connection.client.first().map(|c| Digest::of(c));
    Door { headers, method, url, certificate, from: From::Terminal(terminal, connection.remote.ip()), now }
}

/// What is done with a token for two people; the rest people do with their own.
fn takes_errand(call: Call) -> bool {
    use Call::{Deliver, Document, File, List, LookUp, Pass, Plan, Read, Verify, Watch, Withdraw};
    matches!(call, Plan | File | List | Read | Watch | Withdraw | Deliver | Document | Verify | LookUp | Pass)
}

/// What a route does, as papers of delegation name it.
fn act(call: Call) -> &'static str {
    match call {
        Call::List | Call::Read | Call::Watch | Call::Document => "read",
        Call::Withdraw => "withdraw",
        Call::Deliver => "collect",
        Call::Pass => "pass",
        _ => "file",
    }
}

/// An outlet's contract is asked for every act, not for filing alone (which asks it about the item, too).
async fn outlet_may(asked: &Asked, call: Call) -> Result<(), Refusal> {
    let Terminal::Outlet { contract, terminal } = &asked.terminal else { return Ok(()) };
    if call == Call::Withdraw {
        return Err(Refusal::new(&WRONG_KIND, "cases are withdrawn at a window or online, not at an outlet"));
    }
    let act = match call {
        Call::Plan => partners::Act::Guide,
        Call::List | Call::Read | Call::Watch | Call::Document => partners::Act::ReadOwn,
        Call::Deliver => partners::Act::HandOut,
        Call::Verify | Call::LookUp | Call::Pass => partners::Act::CheckIdentity,
        Call::AboutMe | Call::PaperGive | Call::PaperList | Call::PaperRevoke => {
            return Err(Refusal::new(&WRONG_KIND, "at home, or at a window"));
        }
        _ => return Ok(()),
    };
    let _yes = entrusted::may(&asked.rooms, &asked.trace, (contract, terminal), act, None).await?;
    Ok(())
}

async fn dispatch(
    asked: Asked,
    found: &Found<'_>,
    host: &Addressed,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let param = |name: &str| found.params.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
    let case = || param("no").parse::<CaseNo>().map_err(|_| Refusal::from(ExchangeError::NoCase));
    match found.route.call {
        Call::SearchItems => items::search(&asked),
        Call::Guide => items::guide(&asked, param("code")),
        Call::Plan => items::plan(&asked, param("code"), request).await,
        Call::File => cases::file(asked, request).await,
        Call::List => cases::list(&asked).await,
        Call::Read => Ok(ok(&seen(&asked, &read(&asked, case()?).await?))),
        Call::Watch => watch::answer(asked, case()?).await,
        Call::Withdraw => cases::withdraw(&asked, case()?).await,
        Call::Deliver => cases::deliver(&asked, case()?, request).await,
        Call::WindowAct => cases::window_act(&asked, case()?, request).await,
        Call::Contact => cases::contact(&asked, case()?, request).await,
        Call::OfficeContact => cases::office_contact(&asked, case()?, request).await,
        Call::Document => cases::document(&asked, case()?, param("path")).await,
        Call::Verify => cases::verify(&asked, request).await,
        Call::AboutMe => cases::about_me(&asked).await,
        Call::LookUp => cases::look_up(&asked, request).await,
        Call::Enrol => cases::enrol(&asked, request).await,
        Call::Logout => cases::logout(&asked, request).await,
        Call::Metadata => token::metadata(&asked),
        Call::Jwks => token::keys(&asked),
        Call::Duty => token::duty(&asked, request).await,
        Call::PaperGive | Call::OfficePaper => token::give_paper(&asked, request).await,
        Call::PaperList => token::papers(&asked).await,
        Call::PaperRevoke | Call::OfficePaperRevoke => token::revoke_paper(&asked, param("id")).await,
        Call::Token | Call::Revoke => Err(Refusal::new(&NOT_FOUND, "answered before")),
        Call::OpenApi => Ok(ok(&openapi::document())),
        Call::Errors => Ok(ok(&openapi::errors())),
        Call::OfficeAct => cases::office_act(&asked, case()?, request).await,
        Call::PeerMessage => peers::message(&asked, request).await,
        Call::PeerLookup => peers::lookup(&asked, request).await,
        Call::PeerChange => peers::change(&asked, request).await,
        Call::PeerPaper => peers::paper(&asked, request).await,
        Call::PeerPaperUse => peers::paper_use(&asked, request).await,
        Call::Change => peers::changed(&asked, request).await,
        Call::PeerPass => peers::pass(&asked, param("rest"), request).await,
        Call::Pass => {
            let rest = request.uri().path_and_query().map_or("/", |p| p.as_str());
            let target = match host {
                Addressed::System(system, _) => Some(pass::Target::system(system.clone(), rest)),
                Addressed::Us(_) => pass::Target::read(rest),
            };
            let target = target.ok_or_else(|| Refusal::new(&NOT_FOUND, "no system named"))?;
            let of = asked.subject.as_ref();
            let asker = pass::Asker::Person { person: person(&asked)?, of, terminal: &asked.terminal };
            pass::pass(&asked.rooms, &asked.trace, asker, &target, stripped(request)).await
        }
    }
}

fn stripped(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    guard::strip(&mut head.headers);
    Request::from_parts(head, body)
}

fn ok(value: &Value) -> Response<Body> {
    json_response(StatusCode::OK, value)
}

/// A case as the eyes that look may see it.
fn seen(asked: &Asked, seen: &desk::Seen) -> Value {
    let masking = asked.terminal.masking();
    masked(asked, desk::view(seen, masking), &[&seen.dossier.applicant.name])
}

/// At an outlet every value is masked as its contract says; `names` are of the people it is about.
fn masked(asked: &Asked, mut value: Value, names: &[&str]) -> Value {
    if let Some(masking) = asked.terminal.masking() {
        let subject = asked.subject.as_ref().and_then(|subject| subject.name.as_deref());
        let names: Vec<&str> = names.iter().copied().chain(subject).collect();
        masking.mask(&mut value, &names);
    }
    value
}

/// Who asks; a person, as the route said.
fn person(asked: &Asked) -> Result<&Person, Refusal> {
    asked.caller.as_ref().ok_or_else(|| Refusal::new(&NO_TERMINAL, "nobody asks"))
}

fn viewer(asked: &Asked) -> Result<Viewer<'_>, Refusal> {
    Ok(Viewer { trace: &asked.trace, terminal: &asked.terminal, person: person(asked)?, errand: asked.errand.as_ref() })
}

pub(super) async fn read(asked: &Asked, no: CaseNo) -> Result<desk::Seen, Refusal> {
    desk::read(&asked.rooms, &viewer(asked)?, no).await
}
