//! Signing in at a page: Authorization Code with PKCE, and a session that stays at the gateway.
//!
//! ```text
//!  begin ─▶ issuer's page, with state · nonce · challenge (in a sealed cookie of this browser)
//!  finish ─▶ iss (RFC 9207) · state, once · code + verifier ─▶ ID token: nonce · aud ─▶ access token: as of every caller
//!         ─▶ session row, sealed; the browser gets a number in a `__Host-` cookie and never a token
//!  page ─▶ number ─▶ row ─▶ access token judged anew: what was revoked or signed out is out
//! ```

use std::sync::Arc;

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client_auth::{Credentials, encoded};
use super::door::{Door, From, person};
use super::issuers::Endpoints;
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{Person, Terminal};
use crate::audit::Kind;
use crate::audit::entry::Outcome;
use crate::identity::error::Challenge;
use crate::identity::issue::random_id;
use crate::identity::{IdentityError, id_token, jose};
use crate::store::{once, session};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Next, Refusal, UnixMillis};

tolds! {
    /// Pages are not offered here.
    pub const NO_SIGN_IN = "TB-GW-0120", 404,
        "本网关未开通网页登录。",
        "Signing in at a page is not offered by this gateway.",
        Next::GoToWindow;
    /// The answer of the identity provider does not belong to a sign-in of this browser.
    pub const NOT_OUR_SIGN_IN = "TB-GW-0121", 400,
        "登录未完成或已超时，请重新登录。",
        "This sign-in was not begun here, or took too long: sign in again.",
        Next::SignInAgain;
    /// The identity provider said no.
    pub const SIGN_IN_REFUSED = "TB-GW-0122", 403,
        "统一身份认证未通过，请重新登录。",
        "The identity provider did not sign you in: sign in again.",
        Next::SignInAgain;
    /// The identity provider cannot be reached.
    pub const SIGN_IN_DOWN = "TB-GW-0123", 503,
        "统一身份认证暂不可用，请稍后再试。",
        "The identity provider cannot be reached: try again in a moment.",
        Next::TryLater;
    /// A form that did not come from our own page.
    pub const FORGED_FORM = "TB-GW-0124", 403,
        "请求不是从本页面发出的，请刷新后重试。",
        "The request did not come from this page: load it again.",
        Next::CorrectAndResend;
}

/// Cookie of a sign-in under way, and of a session; both for this host and over TLS only.
const BEGUN: &str = "__Host-tongban-signin";
const SESSION: &str = "__Host-tongban";
/// A sign-in may take this long, in seconds.
const TAKES_S: i64 = 600;
/// Largest answer of a token endpoint, in octets, and the longest wait for it.
const ANSWER_MAX: usize = 64 << 10;
const WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Longest address to come back to, and longest name to suggest to the issuer, in octets.
const NEXT_MAX: usize = 512;
const HINT_MAX: usize = 128;

/// Where people sign in.
#[derive(Clone, Debug)]
pub struct SignIn {
    pub issuer: String,
    pub credentials: Credentials,
    pub scope: String,
}

/// What the browser keeps, sealed, while it is away at the issuer.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    until: UnixMillis,
}

/// What the row of a session holds, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_token: String,
    id_token: String,
    issuer: String,
    subject: String,
    sid: Option<String>,
    form_key: String,
}

/// Somebody at a page.
pub struct Visitor {
    pub person: Person,
    /// Goes into every form of ours, and must come back with it.
    pub form_key: String,
}

/// Where the browser goes next, with a cookie.
pub struct Away {
    pub location: String,
    pub cookies: Vec<String>,
}

fn settings(rooms: &Rooms) -> Result<SignIn, Refusal> {
    let settings = rooms.people.load().sign_in.clone();
    settings.ok_or_else(|| Refusal::new(&NO_SIGN_IN, "no [sign_in] in the configuration"))
}

fn endpoints(rooms: &Rooms, issuer: &str) -> Result<Endpoints, Refusal> {
    let found = rooms.services.endpoints.load().get(issuer).cloned();
    found.ok_or_else(|| Refusal::new(&SIGN_IN_DOWN, "the issuer's addresses are not known yet"))
}

fn fail(error: &IdentityError) -> Refusal {
    error.refusal(&Challenge { realm: "tongban", ..Challenge::default() })
}

fn cookie(name: &str, value: &str, max_age_s: i64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_s}")
}

/// The one cookie of this name; two of a name are none, for one of them is somebody's else.
fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found =
        lines.flat_map(|line| line.split("; ")).filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.next().filter(|_| found.next().is_none())
}

fn callback(rooms: &Rooms) -> Result<String, Refusal> {
    Ok(format!("{}/sign-in/callback", rooms.issuer()?))
}

/// An address of ours to come back to: a plain path, never another host.
fn ours(next: Option<&str>) -> String {
    let plain = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.len() <= NEXT_MAX
            && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    next.filter(plain).unwrap_or("/me").to_owned()
}

/// Sends the browser to the issuer.
///
/// # Errors
/// `TB-GW-0120` where pages are not offered, `TB-GW-0123` before the issuer's addresses are known.
pub fn begin(rooms: &Rooms, next: Option<&str>, hint: Option<&str>, now: UnixMillis) -> Result<Away, Refusal> {
    let settings = settings(rooms)?;
    let found = endpoints(rooms, &settings.issuer)?;
    let down = || Refusal::new(&SIGN_IN_DOWN, "the issuer names no page to sign in at");
    let page = found.authorization_endpoint.ok_or_else(down)?;
    let random = || random_id().map_err(|e| fail(&e));
    let begun = Begun {
        state: random()?,
        nonce: random()?,
        verifier: format!("{}{}", random()?, random()?),
        next: ours(next),
        until: now.plus_seconds(TAKES_S),
    };
    let challenge = jose::encode(&Digest::of(begun.verifier.as_bytes()).0);
    let (callback, us) = (callback(rooms)?, rooms.issuer()?);
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", &settings.credentials.client_id),
        ("redirect_uri", &callback),
        ("scope", &settings.scope),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", &us),
    ];
    query.extend(hint.filter(|hint| hint.len() <= HINT_MAX).map(|hint| ("login_hint", hint)));
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let joint = if page.contains('?') { '&' } else { '?' };
    let sealed = seal(rooms, &begun, BEGUN)?;
    Ok(Away { location: format!("{page}{joint}{}", query.join("&")), cookies: vec![cookie(BEGUN, &sealed, TAKES_S)] })
}

fn seal(rooms: &Rooms, value: &impl Serialize, about: &str) -> Result<String, Refusal> {
    let octets = serde_json::to_vec(value).map_err(|e| Refusal::new(&crate::store::UNAVAILABLE, e.to_string()))?;
    rooms.secrets.cover.close(octets, about.as_bytes()).map_err(|e| fail(&e))
}

fn unseal<T: serde::de::DeserializeOwned>(rooms: &Rooms, text: &str, about: &str) -> Option<T> {
    let octets = Zeroizing::new(rooms.secrets.cover.open(text, about.as_bytes())?);
    serde_json::from_slice(&octets).ok()
}

/// What the issuer sends back through the browser.
#[derive(Debug, Default)]
pub struct Returned {
    pub code: Option<String>,
    pub state: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// Takes the browser back and opens a session.
///
/// # Errors
/// `TB-GW-0121` for an answer to nobody's question, `TB-GW-0122` for a no of the issuer, `TB-GW-0123` for none, and whatever
/// is wrong with the tokens.
pub async fn finish(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    headers: &HeaderMap,
    returned: &Returned,
) -> Result<Away, Refusal> {
    let now = trace.at;
    let settings = settings(rooms)?;
    let found = endpoints(rooms, &settings.issuer)?;
    let strange = |why: &str| Refusal::new(&NOT_OUR_SIGN_IN, why);
    let begun = cookie_of(headers, BEGUN).and_then(|text| unseal::<Begun>(rooms, text, BEGUN));
    let begun = begun.ok_or_else(|| strange("this browser began no sign-in"))?;
    if begun.until <= now {
        return Err(strange("the sign-in took too long"));
    }
    if returned.state.as_deref() != Some(begun.state.as_str()) {
        return Err(strange("another state than the one sent"));
    }
    // Another issuer's answer may not pass for this one's (RFC 9207): one that names itself always does.
    match returned.iss.as_deref() {
        Some(iss) if iss == settings.issuer => {}
        None if !found.authorization_response_iss_parameter_supported => {}
        _ => return Err(strange("another issuer than the one asked")),
    }
    let mut tx = rooms.store.begin().await?;
    let first =
        once::first_use(&mut tx, &format!("sign-in:{}", Digest::of(begun.state.as_bytes())), begun.until).await?;
    tx.commit(()).await?;
    if !first {
        return Err(strange("the answer came before"));
    }
    if returned.error.is_some() {
        return Err(Refusal::new(&SIGN_IN_REFUSED, "the issuer refused"));
    }
    let code = returned.code.as_deref().ok_or_else(|| strange("no code"))?;
    let tokens = redeem(rooms, &settings, &found, code, &begun.verifier).await?;
    let who = {
        let book = rooms.issuers.load();
        let client = &settings.credentials.client_id;
        id_token::read(&tokens.id_token, &settings.issuer, client, &begun.nonce, &book, now).map_err(|e| fail(&e))?
    };
    let checked = judge(rooms, &tokens.access_token, &who.issuer, now).await?;
    let caller = &checked.caller;
    if caller.issuer() != who.issuer || caller.subject() != who.subject {
        return Err(fail(&IdentityError::TokenMalformed("the two tokens are of two people")));
    }
    let number = format!("{}{}", random_id().map_err(|e| fail(&e))?, random_id().map_err(|e| fail(&e))?);
    let kept = Kept {
        access_token: tokens.access_token,
        id_token: tokens.id_token,
        issuer: who.issuer,
        subject: who.subject,
        sid: who.session,
        form_key: random_id().map_err(|e| fail(&e))?,
    };
    let sealed = seal(rooms, &kept, SESSION)?;
    let mut tx = rooms.store.begin().await?;
    // Whoever sat here before is out.
    if let Some(before) = cookie_of(headers, SESSION) {
        session::remove(&mut tx, &row(before)).await?;
    }
    session::put(&mut tx, &row(&number), &sealed, caller.expires()).await?;
    tx.commit(()).await?;
    record(rooms, trace, &person(caller), "sign-in").await?;
    let lives_s = (caller.expires().seconds() - now.seconds()).max(0);
    let cookies = vec![cookie(SESSION, &number, lives_s), cookie(BEGUN, "", 0)];
    Ok(Away { location: begun.next, cookies })
}

/// The store knows a session by the digest of its number: who reads the store cannot sit down in one.
fn row(number: &str) -> String {
    Digest::of(number.as_bytes()).to_string()
}

async fn record(rooms: &Rooms, trace: &Trace, person: &Person, what: &str) -> Result<(), Refusal> {
    let line = trace.about(rooms, Kind::Login, Some(person), &Terminal::Unknown).subj(person.as_subject(rooms));
    let outcome = Outcome { status: Some(200), receipt: ledger::word(what), ..Outcome::default() };
    rooms.log.append(&line.out(outcome)).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    id_token: String,
    token_type: String,
}

async fn redeem(
    rooms: &Rooms,
    settings: &SignIn,
    found: &Endpoints,
    code: &str,
    verifier: &str,
) -> Result<Tokens, Refusal> {
    let down = |why: String| Refusal::new(&SIGN_IN_DOWN, why);
    let who = &settings.credentials;
    let endpoint = found.token(who).ok_or_else(|| down("no token endpoint is known".into()))?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback(rooms)?),
        ("code_verifier", verifier),
    ];
    let place = (settings.issuer.as_str(), endpoint);
    let response = rooms.services.post(place, who, &form, (WAIT, ANSWER_MAX)).await.map_err(down)?;
    match response.status().as_u16() {
        200 => {}
        400..500 => return Err(Refusal::new(&SIGN_IN_REFUSED, format!("token endpoint: {}", response.status()))),
        _ => return Err(down(format!("token endpoint: {}", response.status()))),
    }
    let tokens: Tokens =
        serde_json::from_slice(response.body()).map_err(|_| down("an answer that is no tokens".into()))?;
    match tokens.token_type.eq_ignore_ascii_case("bearer") {
        true => Ok(tokens),
        false => Err(down("tokens of a type we did not ask for".into())),
    }
}

/// The session's access token, as of any caller.
async fn judge(
    rooms: &Arc<Rooms>,
    token: &str,
    issuer: &str,
    now: UnixMillis,
) -> Result<crate::identity::access::Checked, Refusal> {
    let headers = HeaderMap::new();
    let from = From::Session(issuer);
    let door = Door { headers: &headers, method: "GET", url: "", certificate: None, from, now };
    door.bearer(rooms, token).await
}

/// Who sits at this browser. `None` without a session; one that has ended, at the issuer or here, is gone.
///
/// # Errors
/// `TB-GW-0120` where pages are not offered; the store's and the issuer's silence.
pub async fn visitor(rooms: &Arc<Rooms>, headers: &HeaderMap, now: UnixMillis) -> Result<Option<Visitor>, Refusal> {
    settings(rooms)?;
    let Some(number) = cookie_of(headers, SESSION) else { return Ok(None) };
    let Some(kept) = kept(rooms, number, now).await? else { return Ok(None) };
    let ended = kept.sid.as_deref().is_some_and(|sid| rooms.ended.load().is_session_ended(&kept.issuer, sid));
    let judged = match ended {
        true => None,
        false => match judge(rooms, &kept.access_token, &kept.issuer, now).await {
            Ok(checked) => Some(checked),
            Err(refusal) if refusal.told.status == 503 => return Err(refusal),
            Err(_) => None,
        },
    };
    match judged {
        Some(checked) => Ok(Some(Visitor { person: person(&checked.caller), form_key: kept.form_key })),
        None => {
            let mut tx = rooms.store.begin().await?;
            session::remove(&mut tx, &row(number)).await?;
            tx.commit(()).await?;
            Ok(None)
        }
    }
}

async fn kept(rooms: &Rooms, number: &str, now: UnixMillis) -> Result<Option<Kept>, Refusal> {
    let mut tx = rooms.store.read().await?;
    let sealed = session::get(&mut tx, &row(number), now).await?;
    Ok(sealed.and_then(|sealed| unseal(rooms, &sealed, SESSION)))
}

/// Ends the session here, and sends the browser on to end it at the issuer.
///
/// # Errors
/// `TB-GW-0124` for a form that is not of our own page.
pub async fn end(rooms: &Arc<Rooms>, trace: &Trace, headers: &HeaderMap, form_key: &str) -> Result<Away, Refusal> {
    let settings = settings(rooms)?;
    let away = |location: String| Away { location, cookies: vec![cookie(SESSION, "", 0)] };
    let Some(number) = cookie_of(headers, SESSION) else { return Ok(away("/signed-out".into())) };
    let Some(kept) = kept(rooms, number, trace.at).await? else { return Ok(away("/signed-out".into())) };
    if kept.form_key != form_key {
        return Err(Refusal::new(&FORGED_FORM, "another key than that of the page"));
    }
    let visitor = visitor(rooms, headers, trace.at).await?;
    let mut tx = rooms.store.begin().await?;
    session::remove(&mut tx, &row(number)).await?;
    tx.commit(()).await?;
    if let Some(visitor) = visitor {
        record(rooms, trace, &visitor.person, "sign-out").await?;
    }
    let page = endpoints(rooms, &settings.issuer)?.end_session_endpoint;
    let Some(page) = page else { return Ok(away("/signed-out".into())) };
    let back = format!("{}/signed-out", rooms.issuer()?);
    let query = [
        ("id_token_hint", kept.id_token.as_str()),
        ("client_id", &settings.credentials.client_id),
        ("post_logout_redirect_uri", &back),
    ];
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let joint = if page.contains('?') { '&' } else { '?' };
    Ok(away(format!("{page}{joint}{}", query.join("&"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (next, want) in [
            (Some("/me"), "/me"),
            (Some("/me/cases?before=x"), "/me/cases?before=x"),
            (Some("//evil.example/"), "/me"),
            (Some("https://evil.example/"), "/me"),
            (Some("/\\evil.example"), "/me"),
            (Some("/a\r\nSet-Cookie: x"), "/me"),
            (Some("javascript:alert(1)"), "/me"),
            (Some(""), "/me"),
            (None, "/me"),
        ] {
            assert_eq!(ours(next), want, "{next:?}");
        }
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        for (lines, want) in [
            (vec!["__Host-tongban=a"], Some("a")),
            (vec!["x=1; __Host-tongban=a; y=2"], Some("a")),
            (vec!["__Host-tongban-signin=b"], None), // another name that begins the same
            (vec!["__Host-tongban=a; __Host-tongban=b"], None),
            (vec!["__Host-tongban=a", "__Host-tongban=a"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(header::COOKIE, line.parse().unwrap());
            }
            assert_eq!(cookie_of(&headers, SESSION), want, "{lines:?}");
        }
    }
}
