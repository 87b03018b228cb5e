//! Floor 8: pages for people at a browser. A page shows what the same questions of `gateway` answer, and nothing else.
//!
//! ```text
//!  GET /sign-in ─▶ issuer ─▶ GET /sign-in/callback ─▶ session ─▶ GET /me ─▶ POST /sign-out ─▶ issuer ─▶ GET /signed-out
//! ```
//! Other paths go on to the API. No script runs on a page; what a form changes carries a key of the page.

mod html;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::gateway::Rooms;
use crate::gateway::about_me;
use crate::gateway::desk::{self, Viewer};
use crate::gateway::ledger::Trace;
use crate::gateway::sign_in::{self, Away, Returned, Visitor};
use crate::gateway::who::{Person, Terminal};
use crate::http::api;
use crate::http::api::input::{decoded, text_of};
use crate::http::host::{Addressed, addressed};
use crate::http::serve::Connection;
use crate::http::{METHOD, counted, guard, refused};
use crate::terms::{Lang, Refusal, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::full;

/// Largest form of a page, in octets.
const FORM_MAX: usize = 4 << 10;

/// The pages, by path.
const PAGES: [&str; 5] = ["/sign-in", "/sign-in/callback", "/me", "/sign-out", "/signed-out"];

/// Answers a request: a page of ours, or the API.
pub async fn answer(rooms: Arc<Rooms>, request: Request<Body>, connection: Connection) -> Response<Body> {
    let Some(route) = PAGES.into_iter().find(|page| *page == request.uri().path()) else {
        return api::answer(rooms, request, connection).await;
    };
    // A department's own host has pages of its own; a host that nobody knows is refused there as well.
    match addressed(&rooms, &request, connection.server_name.as_deref()) {
        Ok(Addressed::Us(_)) => {}
        _ => return api::answer(rooms, request, connection).await,
    }
    let method = if request.method() == Method::POST { "POST" } else { "GET" };
    let trace = Trace::new(api::new_trace(), method, route, UnixMillis::now());
    let from = connection.remote.ip();
    let (mut terminal, mut who) = (Terminal::Unknown, None);
    let answered = match counted::terminal(&rooms, &connection, &trace, &mut terminal) {
        // A session at a shared terminal ends, whatever the terminal may do.
        Err(refusal) if route != "/sign-out" => Err(refusal),
        _ => page(&rooms, request, &trace, &mut who).await,
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(refusal) => {
            let (told, _) = refused::keep(&rooms, &trace, from, (&terminal, who.as_ref()), refusal, |no| no).await;
            dressed(html::refusal(&told, &trace.id), &told, &rooms)
        }
    };
    if let Ok(id) = HeaderValue::try_from(&trace.id) {
        response.headers_mut().insert("tongban-trace", id);
    }
    response
}

fn dressed(page: String, refusal: &Refusal, rooms: &Rooms) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = shown(status, page, rooms);
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some((_, value)) = refusal.headers.iter().find(|(said, _)| name == *said)
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn page(
    rooms: &Arc<Rooms>,
    request: Request<Body>,
    trace: &Trace,
    who: &mut Option<Person>,
) -> Result<Response<Body>, Refusal> {
    guard::check(&request)?;
    let (head, body) = request.into_parts();
    let (headers, query) = (&head.headers, head.uri.query().unwrap_or_default());
    let get = |name: &str| parameter(query, name);
    // HEAD is GET without the body, but for the one address that GET uses up.
    let method = match (&head.method, trace.route) {
        (&Method::HEAD, route) if route != "/sign-in/callback" => &Method::GET,
        (method, _) => method,
    };
    // A session that cannot be put on record is not begun; one that is there ends all the same.
    if matches!(trace.route, "/sign-in" | "/sign-in/callback" | "/me") {
        rooms.log_state.may_begin(trace.at)?;
    }
    match (method, trace.route) {
        (&Method::GET, "/sign-in") => {
            let away = sign_in::begin(rooms, get("next").as_deref(), get("login_hint").as_deref(), trace.at)?;
            Ok(sent(&away))
        }
        (&Method::GET, "/sign-in/callback") => {
            let returned = Returned { code: get("code"), state: get("state"), iss: get("iss"), error: get("error") };
            Ok(sent(&sign_in::finish(rooms, trace, headers, &returned).await?))
        }
        (&Method::GET, "/me") => match sign_in::visitor(rooms, headers, trace.at).await? {
            None => Ok(sent(&Away { location: "/sign-in?next=/me".into(), cookies: Vec::new() })),
            Some(visitor) => {
                *who = Some(visitor.person.clone());
                rooms.paces.load().person(&visitor.person)?;
                me(rooms, trace, &visitor).await
            }
        },
        (&Method::POST, "/sign-out") => {
            let form = text_of(body, FORM_MAX).await?;
            let key = parameter(&form, "key").unwrap_or_default();
            Ok(sent(&sign_in::end(rooms, trace, headers, &key).await?))
        }
        (&Method::GET, "/signed-out") => Ok(shown(StatusCode::OK, html::signed_out(), rooms)),
        (_, route) => {
            let allow = match route {
                "/sign-out" => "POST",
                "/sign-in/callback" => "GET",
                _ => "GET, HEAD",
            };
            Err(Refusal::new(&METHOD, "the page takes another method").header("allow", allow))
        }
    }
}

/// The person's own page: who they are here, their cases, and who looked up what about them.
async fn me(rooms: &Arc<Rooms>, trace: &Trace, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    rooms.directory.load().in_force(trace.at)?;
    let viewer = Viewer { trace, terminal: &Terminal::Unknown, person: &visitor.person, errand: None };
    Terminal::Unknown.takes(&visitor.person)?;
    let cases = desk::list(rooms, &viewer, UnixMillis(i64::MAX)).await?;
    let all = UnixMillis(i64::MAX);
    let looked = about_me::page(rooms, trace, &Terminal::Unknown, &visitor.person, all, Lang::Zh).await?;
    let catalogue = rooms.catalogue.load();
    Ok(shown(StatusCode::OK, html::me(visitor, &cases, &looked, &catalogue), rooms))
}

fn parameter(text: &str, name: &str) -> Option<String> {
    text.split('&').find_map(|pair| {
        let (n, v) = pair.split_once('=').unwrap_or((pair, ""));
        (n == name).then(|| decoded(v)).flatten()
    })
}

fn sent(away: &Away) -> Response<Body> {
    let mut response = Response::new(full(String::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    careful(response.headers_mut(), "default-src 'none'");
    if let Ok(location) = HeaderValue::try_from(&away.location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    for cookie in away.cookies.iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn shown(status: StatusCode, page: String, rooms: &Rooms) -> Response<Body> {
    let mut response = Response::new(full(page));
    *response.status_mut() = status;
    // Signing out leads through a form to the issuer: browsers hold redirects of forms to the policy, too.
    let issuer = rooms.people.load().sign_in.as_ref().map(|s| s.issuer.clone()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {issuer}; base-uri 'none'; frame-ancestors 'none'"
    );
    careful(response.headers_mut(), &policy);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Pages are about a person: kept nowhere, framed nowhere, guessed at nowhere.
fn careful(headers: &mut HeaderMap, policy: &str) {
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
}
