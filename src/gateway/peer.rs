//! Calls to other gateways: mutual TLS, and a signed word of ours about who acts for whom.
//!
//! ```text
//!  A: {aud: B, digest of the body, who, level, for whom} signed by A ──▶ B: A's key from the directory, aud, time, digest;
//!                                                                        and only for places A may speak for
//! ```

use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use serde::{Deserialize, Serialize};

use super::ledger::{self, Trace};
use super::receipt;
use super::rooms::Rooms;
use super::who::{Person, PersonKind};
use super::word::{self, WordError};
use crate::audit::Pseudonym;
use crate::audit::entry::{Actor, PeerReceipt};
use crate::federation::{FederationError, Member};
use crate::store::once;
use crate::terms::Next;
use crate::terms::{Digest, Refusal, RegionCode, UnixMillis, refusal::tolds};
use crate::upstream::body::full;

tolds! {
    /// A gateway's word about who acts does not hold.
    pub const BAD_ASSERTION = "TB-GW-0201", 401,
        "对方网关的身份声明无效，已拒绝并记录。",
        "The other gateway's statement of who acts does not hold; refused and recorded.",
        Next::AskOperator;
    /// The other gateway refused.
    pub const PEER_REFUSED = "TB-GW-0202", 502,
        "对方地区网关未接受该请求，请查看原因。",
        "The other region's gateway did not take the request: see the reason.",
        Next::GoToOwner;
}

/// Header in which an assertion travels.
pub const ASSERTION: &str = "tongban-assertion";
/// Media type of the token, in its `typ`.
const TYP: &str = "tongban-assertion+jwt";
/// An assertion lives this long, in seconds, and clocks may differ by the leeway.
const LIVES_S: i64 = 60;
const LEEWAY_S: i64 = 10;
/// Longest wait for a peer's answer, and the largest answer.
const WAIT: Duration = Duration::from_secs(15);
const ANSWER_MAX: usize = 1 << 20;

/// Who acts, as one gateway tells another. Nothing about the applicant but level and pairwise name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    /// SHA-256 of the body it goes with.
    digest: Digest,
    /// Where the person stands: a place of the gateway that says so.
    place: RegionCode,
    actor: String,
    actor_kind: String,
    level: u8,
    level_at: UnixMillis,
    terminal: String,
    /// Digest of the power of attorney under which an agent acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paper: Option<Digest>,
    /// For whom staff or an agent ask, in a live request.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    of: Option<Of>,
}

/// For whom somebody acts, in so far as another needs it: a name for that reader alone, and the level. Nothing else travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    pub sub: String,
    pub level: u8,
}

/// What a peer vouches for, after its word has been checked.
#[derive(Clone, Debug)]
pub struct Vouched {
    pub actor: String,
    pub actor_kind: String,
    pub level: u8,
    pub level_at: UnixMillis,
    pub terminal: String,
    /// The power of attorney under which an agent acts; its registrar says whether it holds.
    pub paper: Option<Digest>,
    /// For whom somebody asks.
    pub of: Option<Of>,
    /// Places the peer may speak for.
    pub places: Vec<RegionCode>,
    /// To be remembered until the word runs out: the same word twice is a replay.
    once: (String, UnixMillis),
}

impl Vouched {
    /// As the log names who acted there: staff by the peer's number for them, others by a pseudonym of the name that the peer
    /// has for them here, so that no peer can name another's.
    pub fn actor(&self, rooms: &Rooms, peer: &str) -> Actor {
        let staff = self.actor_kind == "staff";
        Actor {
            assurance: Some(self.level),
            issuer: ledger::word(peer),
            kind: ledger::word(match self.actor_kind.as_str() {
                "staff" if self.terminal.starts_with("outlet:") => "proxy-point",
                "staff" => "clerk",
                "citizen" if self.paper.is_some() => "agent",
                "citizen" => "citizen",
                _ => "system",
            }),
            staff: ledger::word(&format!("{peer}/{}", self.actor)).filter(|_| staff),
            pid: (!staff).then(|| Self::person(rooms, peer, &self.actor)),
            terminal: ledger::word(&match self.terminal.as_str() {
                own if own == peer => format!("peer:{peer}"),
                terminal => format!("peer:{peer}/{terminal}"),
            }),
            ..Actor::default()
        }
    }

    /// The pseudonym of somebody whom a peer calls so.
    pub fn person(rooms: &Rooms, peer: &str, name: &str) -> Pseudonym {
        rooms.pseudonyms.of("peer", &format!("{peer}/{name}"))
    }
}

/// What somebody is called before a peer: a citizen goes by another name at each; staff answer for what they do by their
/// number.
pub fn called(rooms: &Rooms, audience: &str, actor: &Person) -> String {
    match actor.kind {
        PersonKind::Citizen => rooms.secrets.names.name(audience, &actor.issuer, &actor.id),
        _ => actor.id.clone(),
    }
}

/// Signs an assertion for `audience` over a body: who acts, and for whom where the body does not say it.
pub fn vouch(
    rooms: &Rooms,
    audience: &str,
    body: Digest,
    (actor, of): (&Person, Option<&Person>),
    terminal: &str,
    now: UnixMillis,
) -> Result<String, Refusal> {
    let mut jti = [0u8; 16];
    let random = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut jti);
    random.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "no randomness"))?;
    let claims = Claims {
        iss: rooms.me.id.clone(),
        aud: audience.to_owned(),
        iat: now.seconds(),
        exp: now.seconds() + LIVES_S,
        jti: crate::terms::digest::hex(&jti),
        digest: body,
        place: rooms.me.region,
        actor: called(rooms, audience, actor),
        actor_kind: actor.kind.word().to_owned(),
        level: actor.level,
        level_at: actor.level_at,
        terminal: terminal.to_owned(),
        paper: actor.paper.as_ref().and(actor.behalf.as_ref()).and_then(|behalf| behalf.mandate),
        of: of.map(|person| Of { sub: called(rooms, audience, person), level: person.level }),
    };
    word::sign(rooms, TYP, &claims)
}

/// Checks a peer's assertion over a body that came from `peer` itself.
pub fn check(rooms: &Rooms, peer: &str, assertion: &str, body: Digest, now: UnixMillis) -> Result<Vouched, Refusal> {
    let wrong = |why: &str| Refusal::new(&BAD_ASSERTION, format!("{peer}: {why}"));
    let (claims, member) = word::read::<Claims>(rooms, peer, TYP, assertion, now).map_err(|e| match e {
        WordError::Member(error) => error.into(),
        WordError::Wrong(why) => Refusal::new(&BAD_ASSERTION, why),
    })?;
    if claims.iss != peer || claims.aud != rooms.me.id {
        return Err(wrong("made by or for somebody else"));
    }
    if !word::in_time((claims.iat, claims.exp), now, LIVES_S, LEEWAY_S) {
        return Err(wrong("out of time"));
    }
    if !member.speaks_for(claims.place) {
        return Err(wrong("speaks for a place outside its divisions"));
    }
    if claims.digest != body {
        return Err(wrong("made for another body"));
    }
    Ok(Vouched {
        actor: claims.actor,
        actor_kind: claims.actor_kind,
        level: claims.level,
        level_at: claims.level_at,
        terminal: claims.terminal,
        paper: claims.paper,
        of: claims.of,
        places: member.places,
        once: (format!("assertion:{peer}:{}", claims.jti), UnixMillis::from_seconds(claims.exp + LEEWAY_S + 1)),
    })
}

/// Remembers a word of a peer about a live request; messages have an id of their own.
///
/// # Errors
/// `TB-GW-0201` when the same word came before, at whichever replica.
pub async fn first(rooms: &Rooms, peer: &str, vouched: &Vouched) -> Result<(), Refusal> {
    let mut tx = rooms.store.begin().await?;
    let first = once::first_use(&mut tx, &vouched.once.0, vouched.once.1).await?;
    tx.commit(()).await?;
    if first { Ok(()) } else { Err(Refusal::new(&BAD_ASSERTION, format!("{peer}: the same word came before"))) }
}

/// Posts JSON to the gateway of a place; gives its answer or its refusal as ours.
pub async fn post_json(
    rooms: &Arc<Rooms>,
    place: RegionCode,
    path: &str,
    body: &[u8],
    actor: &Person,
    trace: &Trace,
) -> Result<(bytes::Bytes, Option<PeerReceipt>), Refusal> {
    let member = rooms.directory.load().member_for(place)?.clone();
    let assertion = vouch(rooms, &member.id, Digest::of(body), (actor, None), &rooms.me.id, trace.at)?;
    let request = Request::post(format!("{}{path}", member.api))
        .header(header::CONTENT_TYPE, "application/json")
        .header(ASSERTION, assertion)
        .header("traceparent", format!("00-{}-{}-01", trace.id, &trace.id[..16]))
        .body(full(body.to_vec()))
        .map_err(|e| Refusal::new(&PEER_REFUSED, e.to_string()))?;
    let response = rooms.peer(&member.id, trace.at)?.lookups.fetch(request, WAIT, ANSWER_MAX).await?;
    if response.status().is_success() {
        let leaf = receipt::named(response.headers());
        return Ok((response.into_body(), leaf));
    }
    Err(relayed(&member, response.status().as_u16(), response.body()))
}

/// Posts JSON to a member, in our own name and nobody else's; gives its answer or its refusal as ours.
pub async fn tell(
    rooms: &Arc<Rooms>,
    member: &str,
    path: &str,
    body: Vec<u8>,
    trace: &Trace,
) -> Result<bytes::Bytes, Refusal> {
    let client = rooms.peer(member, UnixMillis::now())?;
    let listed = rooms.directory.load().member(member).cloned();
    let listed = listed.ok_or_else(|| FederationError::NotThatMember(format!("no member {member}")))?;
    let request = Request::post(format!("{}{path}", listed.api))
        .header(header::CONTENT_TYPE, "application/json")
        .header("traceparent", format!("00-{}-{}-01", trace.id, &trace.id[..16]))
        .body(full(body))
        .map_err(|e| Refusal::new(&PEER_REFUSED, e.to_string()))?;
    let response = client.lookups.fetch(request, WAIT, ANSWER_MAX).await?;
    match response.status().is_success() {
        true => Ok(response.into_body()),
        false => Err(relayed(&listed, response.status().as_u16(), response.body())),
    }
}

/// A peer's refusal, with its code and sentence for the clerk.
pub fn relayed(member: &Member, status: u16, body: &[u8]) -> Refusal {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| {
        problem.get(name).and_then(|v| v.as_str()).unwrap_or_default().chars().take(300).collect::<String>()
    };
    Refusal::new(&PEER_REFUSED, format!("{}: {status} {}", member.id, text("code")))
        .with("peer", member.id.clone())
        .with("peer_status", status)
        .with("peer_code", text("code"))
        .with("peer_title", text("title"))
}
