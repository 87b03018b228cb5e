//! Passing a live request to the system that owns it: here, or behind a peer.
//!
//! ```text
//!  /pass/{system}/…            ─▶ rules ─▶ line (intent) ─▶ system, with a signed word of who asks ─▶ line (outcome) ─▶ end
//!  /pass/{region}/{system}/…   ─▶ the region's gateway, which asks the same questions again
//! ```
//! Bodies stream both ways. Identity headers of the client never get through; ours are added afterwards.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri};

use super::ledger::{self, Trace};
use super::passed::Closing;
use super::peer::{self, Of, Vouched};
use super::rooms::{Rooms, System, SystemKind};
use super::who::{Person, PersonKind, Terminal};
use super::word;
use super::{door, facts, receipt};
use crate::audit::entry::{Jurisdiction, Subject, Upstream};
use crate::audit::{Entry, Kind};
use crate::policy::{Ask, Kind as WhoKind, Passing, Permit, RouteFacts, Who};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Next, Refusal, RegionCode, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::streamed;

tolds! {
    /// No system is reached under this address.
    pub const NO_SYSTEM = "TB-GW-0301", 404,
        "没有这个业务系统，或者您无权访问。",
        "There is no such department system, or not for you.",
        Next::CorrectAndResend;
}

/// Header in which a department's system learns who asks: a signed, short-lived token, and nothing else.
pub const IDENTITY: &str = "tongban-identity";
const TYP: &str = "tongban-identity+jwt";
const LIVES_S: i64 = 60;
/// Longest wait for the head of a system's answer.
const WAIT: Duration = Duration::from_secs(30);
/// The scope a token needs, and the level, unless a route says otherwise.
const SCOPE: &str = "pass";
const MIN_LEVEL: u8 = 2;
const LEVEL_AGE_MIN: u32 = 12 * 60;

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Target {
    /// Another region, when the path names one.
    pub region: Option<RegionCode>,
    /// One of our systems, when the host named it: then `rest` is the path as it came.
    pub system: Option<Arc<System>>,
    /// `/{system}/…`, with the query.
    pub rest: String,
}

impl Target {
    /// Reads `/pass/…`; a first segment of six or twelve digits is a region.
    pub fn read(path_and_query: &str) -> Option<Self> {
        let rest = path_and_query.strip_prefix("/pass/")?;
        let first = rest.split(['/', '?']).next().unwrap_or_default();
        match first.parse::<RegionCode>() {
            Ok(region) => Some(Self { region: Some(region), ..Self::here(rest[first.len()..].to_owned()) }),
            Err(_) => Some(Self::here(format!("/{rest}"))),
        }
    }

    /// `/{system}/…` behind this gateway.
    pub fn here(rest: String) -> Self {
        Self { region: None, system: None, rest }
    }

    /// The system whose own host name was asked for.
    pub fn system(system: Arc<System>, path_and_query: &str) -> Self {
        Self { region: None, system: Some(system), rest: path_and_query.to_owned() }
    }
}

/// Who asks, as a department's system is told.
pub enum Asker<'a> {
    /// `of`: for whom, where somebody else's token came beside or within.
    Person {
        person: &'a Person,
        of: Option<&'a Person>,
        terminal: &'a Terminal,
    },
    Peer {
        id: &'a str,
        vouched: &'a Vouched,
    },
}

impl Asker<'_> {
    /// A line about a live request to a system of `owner`: about whom is who asks, or for whom somebody asks.
    fn line(&self, rooms: &Rooms, trace: &Trace, kind: Kind, owner: RegionCode) -> Entry {
        let epoch = Some(rooms.pseudonyms.epoch());
        let (line, subject, window) = match self {
            Self::Person { person, of, terminal } => {
                let about = of.or(Some(person)).filter(|person| person.kind == PersonKind::Citizen);
                let line = trace.about(rooms, kind, Some(person), terminal);
                (line, about.map(|person| person.as_subject(rooms)), terminal.region())
            }
            Self::Peer { id, vouched } => {
                let name = match &vouched.of {
                    Some(of) => Some(&of.sub),
                    None => Some(&vouched.actor).filter(|_| vouched.actor_kind == "citizen"),
                };
                let pid = name.map(|name| Vouched::person(rooms, id, name));
                let line = trace.about(rooms, kind, None, &Terminal::Peer((*id).to_owned()));
                (line, pid.map(|pid| Subject { epoch, pid: Some(pid) }), None)
            }
        };
        let jur = Jurisdiction { owner: Some(owner), window, ..Jurisdiction::default() };
        // Staff who ask for nobody ask in the course of their duty.
        let basis = if subject.is_some() { "own-request" } else { "duty" };
        let line = line.jur(jur).why(ledger::purpose("pass", basis));
        subject.map_or(line.clone(), |subject| line.subj(subject))
    }
}

/// Passes a request on. `head` and headers have been through the guard.
pub async fn pass(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    asker: Asker<'_>,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let there = target.region.filter(|region| !rooms.is_ours(*region));
    match (there, &asker) {
        (Some(region), Asker::Person { person, of, terminal }) => {
            let permit = permitted(rooms, trace, &asker, &target.rest, region)?;
            let member = rooms.directory.load().member_for(region)?.clone();
            // A slow system behind the peer says nothing about the peer: cases and lookups must still cross.
            let client = rooms.peer(&member.id, trace.at)?.lookups.relayed();
            // The peer asks its own rules; our word is about who asks, bound to what is asked.
            let named = Digest::of(format!("{} {}", request.method(), target.rest).as_bytes());
            let vouched = peer::vouch(rooms, &member.id, named, (person, *of), &terminal.word(rooms), trace.at)?;
            let url = format!("{}/peer/v1/pass{}", member.api, target.rest);
            forward(
                rooms,
                trace,
                &asker,
                &permit,
                &client,
                (&member.id, first(&target.rest)),
                url,
                region,
                (peer::ASSERTION, vouched),
                request,
            )
            .await
        }
        (Some(_), Asker::Peer { .. }) => Err(Refusal::new(&NO_SYSTEM, "a peer's request is not passed on again")),
        (None, _) => {
            let found = match &target.system {
                Some(system) => Some((system.clone(), target.rest.clone())),
                None => find(rooms, &target.rest),
            };
            let (system, rest) = found.ok_or_else(|| Refusal::new(&NO_SYSTEM, "no such system"))?;
            let permit = permitted(rooms, trace, &asker, &format!("/{}", system.id), system.region)?;
            let told = handoff(rooms, &system, &asker, trace.at)?;
            let url = format!("{}{rest}", system.url);
            forward(
                rooms,
                trace,
                &asker,
                &permit,
                &system.client,
                (&system.id, &system.id),
                url,
                system.region,
                (IDENTITY, told),
                request,
            )
            .await
        }
    }
}

fn find(rooms: &Rooms, rest: &str) -> Option<(Arc<System>, String)> {
    rooms.systems.load().iter().filter(|s| s.kind == SystemKind::Proxy).find_map(|system| {
        let own = system.path.as_deref()?.strip_prefix("/pass")?;
        let tail = rest.strip_prefix(own)?;
        // `/pass/social` must not reach `/pass/social-security`.
        (tail.is_empty() || tail.starts_with(['/', '?'])).then(|| (system.clone(), tail.to_owned()))
    })
}

/// The name of a system, with which a path begins.
fn first(path: &str) -> &str {
    path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default()
}

fn permitted(
    rooms: &Rooms,
    trace: &Trace,
    asker: &Asker<'_>,
    route: &str,
    owner: RegionCode,
) -> Result<Permit, Refusal> {
    let who = match asker {
        // An outlet uses nobody's system but for the customer whose token came along.
        Asker::Person { person, terminal, of } => facts::who(rooms, person, terminal, true, of.is_some(), trace.at),
        Asker::Peer { id, vouched } => {
            let mut who = Who::new(WhoKind::Peer, *id);
            who.places = vouched.places.clone();
            who.level = vouched.level;
            who.scopes = vec![SCOPE.to_owned()];
            who
        }
    };
    let route = first(route);
    let ask = Ask::Pass(Passing {
        who,
        route: RouteFacts {
            id: route.to_owned(),
            owner,
            kinds: vec![WhoKind::Citizen, WhoKind::Clerk, WhoKind::Outlet, WhoKind::Department, WhoKind::Peer],
            scope: SCOPE.to_owned(),
            min_level: MIN_LEVEL,
            max_level_age_min: LEVEL_AGE_MIN,
        },
        // For whom somebody asks: the person at the counter, or whoever gave a paper. Of a peer's people it has judged itself.
        person: match asker {
            Asker::Person { person, of: Some(of), terminal } => {
                Some(of.as_person(rooms, person.kind.is_staff() && terminal.region().is_some(), trace.at))
            }
            _ => None,
        },
    });
    rooms.policies.decide(&ask, trace.at).map_err(|denial| match asker {
        Asker::Person { person, of, .. } => door::step_up(rooms, of.unwrap_or(person), &ask, denial.refusal()),
        Asker::Peer { .. } => denial.refusal(),
    })
}

/// The signed token for a department's system.
fn handoff(rooms: &Rooms, system: &System, asker: &Asker<'_>, now: UnixMillis) -> Result<String, Refusal> {
    let (subject, kind, level, via, of) = match asker {
        Asker::Person { person, of, terminal } => (
            match person.kind {
                PersonKind::Citizen => person.pseudonym(rooms).to_string(),
                _ => person.id.clone(), // by number, as a peer names staff
            },
            person.kind.word().to_owned(),
            person.level,
            terminal.word(rooms),
            of.map(|person| Of { sub: person.pseudonym(rooms).to_string(), level: person.level }),
        ),
        Asker::Peer { id, vouched } => (
            vouched.actor.clone(),
            vouched.actor_kind.clone(),
            vouched.level,
            format!("peer:{id}/{}", vouched.terminal),
            vouched.of.clone(),
        ),
    };
    let mut claims = serde_json::json!({
        "iss": rooms.me.id, "aud": system.id, "iat": now.seconds(), "exp": now.seconds() + LIVES_S,
        "sub": subject, "kind": kind, "level": level, "via": via,
    });
    if let Some(of) = of {
        claims["for"] = serde_json::to_value(of).unwrap_or_default();
    }
    word::sign(rooms, TYP, &claims)
}

#[expect(clippy::too_many_arguments, reason = "one exchange, with both of its lines")]
async fn forward(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    asker: &Asker<'_>,
    permit: &Permit,
    client: &crate::upstream::Client,
    (name, system): (&str, &str),
    url: String,
    owner: RegionCode,
    word: (&'static str, String),
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let line = |kind| ledger::facts(asker.line(rooms, trace, kind, owner), &[("system", system)]);
    let up = Upstream { name: ledger::word(name), ..Upstream::default() };
    let intent = line(Kind::PassIntent).dec(ledger::allowed(permit)).up(up);
    let intent = rooms.log.append(&intent).await?;
    let (mut head, body) = request.into_parts();
    head.uri = url.parse::<Uri>().map_err(|e| Refusal::new(&NO_SYSTEM, e.to_string()))?;
    head.version = http::Version::HTTP_11;
    head.headers.remove(http::header::HOST);
    let value = HeaderValue::try_from(word.1).map_err(|e| Refusal::new(&NO_SYSTEM, e.to_string()))?;
    head.headers.insert(word.0, value);
    let traceparent = format!("00-{}-{}-01", trace.id, &trace.id[..16]);
    if let Ok(value) = HeaderValue::try_from(traceparent) {
        head.headers.insert("traceparent", value);
    }
    let outcome = client.send(Request::from_parts(head, body), WAIT).await;
    // A peer names its line; a department's system has none to name.
    let leaf = outcome.as_ref().ok().filter(|_| word.0 == peer::ASSERTION).and_then(|r| receipt::named(r.headers()));
    let closing = Closing {
        rooms: rooms.clone(),
        line: line(Kind::PassOutcome),
        intent: intent.leaf,
        name: name.to_owned(),
        status: outcome.as_ref().map_or(502, |response| response.status().as_u16()),
        receipt: leaf,
    };
    let (head, body) = match outcome {
        Ok(response) => response.into_parts(),
        Err(error) => {
            closing.write(None, None).await?;
            return Err(error.into());
        }
    };
    let mut response = Response::from_parts(head, closing.over(streamed(body)).await?);
    receipt::name(response.headers_mut(), rooms, intent);
    for hop in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authenticate", "te", "trailer"] {
        response.headers_mut().remove(hop);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_here_or_to_a_region() {
        for (path, want) in [
            ("/pass/social-security/status?x=1", Some((None, "/social-security/status?x=1"))),
            ("/pass/419001/social-security/status", Some((Some("419001000000"), "/social-security/status"))),
            ("/pass/419001101000/a", Some((Some("419001101000"), "/a"))),
            ("/pass/999999/a", Some((None, "/999999/a"))),
            ("/other", None),
        ] {
            let got = Target::read(path).map(|t| (t.region.map(|r| r.to_string()), t.rest));
            let want = want.map(|(r, rest): (Option<&str>, &str)| (r.map(str::to_owned), rest.to_owned()));
            assert_eq!(got, want, "{path}");
        }
    }
}
