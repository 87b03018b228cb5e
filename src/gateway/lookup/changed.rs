//! A provider says that its data changed: what is kept of them anywhere is not used again.
//!
//! ```text
//!  provider ─ signed word ─▶ its gateway ─▶ line ─▶ NOTIFY ─▶ every replica forgets
//!                                │ our signed word, to the gateways that asked, at whichever replica
//!                                └────────────▶ peer ─▶ line ─▶ NOTIFY ─▶ every replica there forgets
//! ```
//! A word that does not arrive costs freshness, never more than the resource's own bound.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::audit::entry::{Evidence, Outcome, Subject};
use crate::audit::{Committed, Kind};
use crate::gateway::ledger::{self, Trace};
use crate::gateway::rooms::{Rooms, SystemKind};
use crate::gateway::who::Terminal;
use crate::gateway::word::{self, WordError};
use crate::identity::issue::random_id;
use crate::identity::jose::{Embedded, Unverified, encode};
use crate::identity::keys::PublicKey;
use crate::lookups::Changed;
use crate::store::{StoreError, Tx, asker, news, once};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Next, Refusal, ResidentId, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::suite::PublicKey as CertificateKey;
use crate::upstream::body::full;

tolds! {
    /// A word about changed data is not signed by its provider, or not about its resources.
    pub const BAD_CHANGE = "TB-GW-0621", 401,
        "数据变更通知无效，已拒绝并记录。",
        "The notice of changed data does not hold; refused and recorded.",
        Next::AskOperator;
}

/// Kind of the signed word, of providers and of peers.
pub const TYP: &str = "tongban-change+jwt";
/// Channel between replicas.
pub const CHANNEL: &str = "tongban_changed";
const LIVES_S: i64 = 300;
const LEEWAY_S: i64 = 60;
/// How often a peer is told, how long it may take, and the pause in between.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(3);
const ANSWER_MAX: usize = 64 << 10;

/// What a provider says. Peers are told in the same words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
    pub resource: String,
    /// Number of the person; everybody's data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::new(&BAD_CHANGE, why)
}

/// The key of a client certificate, as words are signed with it: P-256.
fn key_of(client: &[CertificateDer<'_>]) -> Result<PublicKey, Refusal> {
    let leaf = client.first().ok_or_else(|| bad("no client certificate"))?;
    let certificate = Certificate::parse(leaf).map_err(|e| bad(e.to_string()))?;
    let CertificateKey::P256(point) = certificate.public_key().map_err(|e| bad(e.to_string()))? else {
        return Err(bad("the certificate's key is not P-256"));
    };
    let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
    let jwk = jwk.as_object().cloned().unwrap_or_default();
    PublicKey::from_jwk(&jwk, &[jsonwebtoken::Algorithm::ES256]).map_err(bad)
}

/// Takes a provider's word, signed with the key of the certificate with which it calls.
///
/// # Errors
/// `TB-GW-0621`.
pub async fn by_provider(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    client: &[CertificateDer<'_>],
    token: &str,
) -> Result<Committed, Refusal> {
    let system = match terminal {
        Terminal::System(system) => Some(system).filter(|system| system.kind == SystemKind::Provider),
        _ => None,
    };
    let system = system.ok_or_else(|| bad("not an enrolled data provider"))?;
    let unverified = Unverified::parse(token.trim(), Embedded::Refused).map_err(|e| bad(e.to_string()))?;
    if unverified.header.typ.as_deref() != Some(TYP) {
        return Err(bad(format!("not a {TYP}")));
    }
    let verified = unverified.verify(&key_of(client)?).map_err(|e| bad(e.to_string()))?;
    let claims: Claims = serde_json::from_slice(&verified.payload).map_err(|e| bad(e.to_string()))?;
    if claims.iss != system.id || !system.resources.contains(&claims.resource) {
        return Err(bad("about data that this provider does not answer for"));
    }
    take(rooms, trace, terminal, &rooms.me.id, &claims, token).await
}

/// Takes the word of the peer that answers for the data.
///
/// # Errors
/// `TB-GW-0621`, or that there is no such member.
pub async fn by_peer(rooms: &Arc<Rooms>, trace: &Trace, peer: &str, token: &str) -> Result<Committed, Refusal> {
    let (claims, _) = word::read::<Claims>(rooms, peer, TYP, token.trim(), trace.at).map_err(|e| match e {
        WordError::Member(error) => error.into(),
        WordError::Wrong(why) => bad(why),
    })?;
    if claims.iss != peer {
        return Err(bad("made by somebody else"));
    }
    take(rooms, trace, &Terminal::Peer(peer.to_owned()), peer, &claims, token).await
}

/// The line, then all replicas forget, and the gateways that asked are told of what is ours. Who is to be told is read in the
/// transaction that remembers the word: one that could not be passed on is not remembered, and may come again as it is.
async fn take(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    source: &str,
    claims: &Claims,
    token: &str,
) -> Result<Committed, Refusal> {
    if claims.aud != rooms.me.id {
        return Err(bad("for another gateway"));
    }
    if !word::in_time((claims.iat, claims.exp), trace.at, LIVES_S, LEEWAY_S) {
        return Err(bad("out of time, or for longer than five minutes"));
    }
    let resident: Option<ResidentId> = match &claims.subject {
        Some(number) => Some(number.parse().map_err(|_| bad("not a resident number"))?),
        None => None,
    };
    let pid = resident.as_ref().map(|resident| rooms.pseudonyms.resident(resident));
    let subject = pid.map(|pid| pid.to_string());
    let change = Changed { source: source.to_owned(), resource: claims.resource.clone(), subject };
    let mut tx = rooms.store.begin().await?;
    let until = UnixMillis((claims.exp + LEEWAY_S).saturating_mul(1_000));
    // Told twice is told once: forgetting again does no harm, and needs no second line.
    let first = once::first_use(&mut tx, &format!("change:{}:{}", claims.iss, claims.jti), until).await?;
    if !first {
        return Err(bad("the same word came before"));
    }
    let peers = match source == rooms.me.id {
        true => asker::of(&mut tx, &claims.resource, change.subject.as_deref(), trace.at).await?,
        false => BTreeSet::new(),
    };
    let mut entry = trace
        .about(rooms, Kind::SnapshotLoad, None, terminal)
        .evidence(Evidence {
            r#type: ledger::word(&claims.resource),
            digest: Some(Digest::of(token.trim().as_bytes())),
            ..Evidence::default()
        })
        .out(Outcome { status: Some(200), ..Outcome::default() });
    if pid.is_some() {
        entry = entry.subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid });
    }
    entry = ledger::facts(entry, &[("part", "data")]);
    let committed = rooms.log.append(&entry).await?;
    tell(&mut tx, rooms, What::Change(change.clone())).await?;
    let kept = tx.commit(()).await;
    // A commit that failed may have been kept after all. To forget once more than is needed does no harm.
    rooms.lookups.changed(&change).await;
    pass_on(rooms, claims, peers, trace.at);
    kept?;
    Ok(committed)
}

/// What replicas tell each other. One database may serve several gateways.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    gateway: String,
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Data changed at their source.
    Change(Changed),
    /// A person, by pseudonym, took a paper back.
    Person(String),
}

async fn tell(tx: &mut Tx, rooms: &Rooms, what: What) -> Result<(), StoreError> {
    let told = serde_json::to_string(&Told { gateway: rooms.me.id.clone(), what });
    news::tell(tx, CHANNEL, &told.unwrap_or_default()).await
}

/// A person takes a paper back: in the transaction that keeps it, all replicas are told to use nothing more that was looked up
/// about them. The caller's own forgets when that is kept.
///
/// # Errors
/// The store's.
pub async fn paper_gone(tx: &mut Tx, rooms: &Rooms, person: &str) -> Result<(), StoreError> {
    tell(tx, rooms, What::Person(person.to_owned())).await
}

/// Another replica, or we ourselves, took a word.
pub async fn heard(rooms: &Rooms, text: &str) {
    match serde_json::from_str::<Told>(text) {
        Ok(told) if told.gateway == rooms.me.id => match told.what {
            What::Change(change) => rooms.lookups.changed(&change).await,
            What::Person(person) => rooms.lookups.forget_person(&person).await,
        },
        Ok(_) => {}
        // Better to ask once more than to use what somebody wanted forgotten.
        Err(_) => rooms.lookups.forget_all(),
    }
}

/// Tells the gateways that asked, in the background.
fn pass_on(rooms: &Arc<Rooms>, claims: &Claims, peers: BTreeSet<String>, now: UnixMillis) {
    for peer in peers {
        let ours = Claims {
            iss: rooms.me.id.clone(),
            aud: peer.clone(),
            iat: now.seconds(),
            exp: now.seconds() + LIVES_S,
            jti: String::new(), // each try has its own
            resource: claims.resource.clone(),
            subject: claims.subject.clone(),
        };
        let rooms = rooms.clone();
        tokio::spawn(async move {
            for _ in 0..TRIES {
                match tell_peer(&rooms, &peer, &ours).await {
                    Ok(()) => return,
                    Err(why) => tracing::warn!(peer, %why, "a peer does not know yet that data changed"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}

async fn tell_peer(rooms: &Rooms, peer: &str, claims: &Claims) -> Result<(), Refusal> {
    // A word whose answer was lost, or which is told anew because we could not keep it, is no replay.
    let jti = random_id().map_err(|e| bad(e.to_string()))?;
    let token = word::sign(rooms, TYP, &Claims { jti, ..claims.clone() })?;
    let api = rooms.directory.load().member(peer).map(|member| member.api.clone());
    let api = api.ok_or_else(|| bad(format!("no member {peer}")))?;
    let body = serde_json::json!({ "change": token }).to_string();
    let request = Request::post(format!("{api}/peer/v1/changes"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(full(body))
        .map_err(|e| bad(e.to_string()))?;
    let client = rooms.peer(peer, UnixMillis::now())?;
    let answer = client.lookups.fetch(request, WAIT, ANSWER_MAX).await?;
    if answer.status().is_success() { Ok(()) } else { Err(bad(answer.status().to_string())) }
}
