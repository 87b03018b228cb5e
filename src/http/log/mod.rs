//! The log's own address: checkpoints and hashes for everyone, entries for auditors and mirrors, and every reading of
//! entries on record.
//!
//! ```text
//!  GET /checkpoint · /map · /key · /gm-key · /tile/N/…   anyone
//!  POST /add-checkpoint                    a peer's log ─▶ our cosignature (C2SP tlog-witness)
//!  GET /witness                            the key of our cosignatures
//!  GET /anchor                             the newest time-stamp over a checkpoint
//!  GET /retention                          the minimum index: bundles below it were pruned (410 for everyone)
//!  POST /search                            auditors find entries, with a ground (see `search`)
//!  GET /tile/entries/…                     client certificate ─▶ [[auditor]] ─▶ the rules ─▶ line ─▶ answer
//!                                               │no            │no            │no
//!                                               └──────────────┴─────────────┴─▶ 403, on record too
//! ```
//! A line for each bundle would feed itself: whoever follows the log reads the line about their own reading, and makes
//! the next. So a reader's first bundle opens a reading, with a line that is durable before the bundle leaves; the
//! reading's end, at most five minutes later, is a second line with what was read. Two lines, however much is read.

mod packed;
mod readings;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use readings::{Reader, Reading, Readings};
use rustls_pki_types::CertificateDer;
use tokio::sync::{Mutex, watch};

use super::api::new_trace;
use super::serve::Connection;
use super::{METHOD, NOT_FOUND, TOO_LARGE, guard, problem, search};
use crate::audit::entry::{Actor, Decision, Outcome};
use crate::audit::error::ENTRIES;
use crate::audit::log::Resource;
use crate::audit::retention::{PRUNED_ANCHOR, RETENTION};
use crate::audit::tile::{Level, TilePath, WIDTH};
use crate::audit::witness::{MAX_REQUEST, Witness, WitnessError};
use crate::audit::{AuditError, Entry, Kind};
use crate::gateway::intake::SLOW;
use crate::gateway::ledger::{self, Trace, word};
use crate::gateway::who::standing;
use crate::gateway::{Rooms, stopped};
use crate::policy::{Ask, Kind as WhoKind, LogReading, Permit, Who};
use crate::terms::{Digest, Refusal, RegionCode, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::{full, whole};

/// Where a log asks for our cosignature.
const COSIGN: &str = "/add-checkpoint";
/// Longest wait for the body of a request to cosign.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// How often ended readings are looked for, in seconds.
const LOOK_S: u64 = 30;

/// Somebody who may read entries, known by a client certificate; the rules still have their say.
#[derive(Clone, Debug)]
pub struct Auditor {
    pub id: String,
    /// A mirror of the supervising office, not a person.
    pub is_mirror: bool,
    /// Whose logs it may read.
    pub places: Vec<RegionCode>,
}

/// The log's address.
pub struct LogDoor {
    rooms: Arc<Rooms>,
    /// By SHA-256 of the client certificate; a reload may put others in their place.
    auditors: Arc<ArcSwap<HashMap<Digest, Auditor>>>,
    readings: Mutex<Readings>,
    witness: Arc<Witness>,
    /// How long the retention policy keeps entries, in days; for ever without one.
    days: Option<u32>,
    desk: search::Desk,
}

impl LogDoor {
    pub fn new(
        rooms: Arc<Rooms>,
        auditors: Arc<ArcSwap<HashMap<Digest, Auditor>>>,
        witness: Witness,
        days: Option<u32>,
        index: PathBuf,
    ) -> Self {
        let (readings, desk) = (Mutex::default(), search::Desk::new(index));
        Self { rooms, auditors, readings, witness: Arc::new(witness), days, desk }
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> Response<Body> {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::POST, COSIGN) => self.cosign(request).await,
            // The work goes on when the client hangs up: what was found gets its line.
            (&Method::POST, search::ROUTE) => {
                let found = tokio::spawn(async move { self.search(request, connection).await }).await;
                return found.unwrap_or_else(|error| {
                    tracing::error!(%error, "a search was cut off");
                    problem::answer(&Refusal::new(&crate::store::UNAVAILABLE, "cut off"), "", None)
                });
            }
            _ => self.read(&request, &connection.client).await,
        };
        answer.unwrap_or_else(|refusal| problem::answer(&refusal, "", None))
    }

    /// Finds entries for an auditor; a refusal is on record like what was found.
    async fn search(&self, request: Request<Body>, connection: Connection) -> Response<Body> {
        let trace = Trace::new(new_trace(), "POST", search::ROUTE, UnixMillis::now());
        let auditors = self.auditors.load_full();
        let known = connection.client.first().map(|leaf| Digest::of(leaf)).and_then(|print| {
            let auditor = auditors.get(&print)?;
            Some((auditor, print))
        });
        match self.searched(request, &connection, known, &trace).await {
            Ok(answer) => answer,
            Err(refusal) => {
                let (refusal, leaf) =
                    search::refused(&self.rooms, known, connection.remote.ip(), &trace, refusal).await;
                problem::answer(&refusal, &trace.id, leaf)
            }
        }
    }

    async fn searched(
        &self,
        request: Request<Body>,
        connection: &Connection,
        known: Option<(&Auditor, Digest)>,
        trace: &Trace,
    ) -> Result<Response<Body>, Refusal> {
        guard::check(&request)?;
        let (auditor, certificate) =
            known.ok_or_else(|| Refusal::new(&ENTRIES, "no certificate of an auditor or a mirror"))?;
        connection.client.first().map_or(Ok(()), |leaf| standing(&self.rooms, leaf, UnixMillis::now()))?;
        self.desk.take(&auditor.id)?;
        let (head, body) = request.into_parts();
        let body = whole(body, search::MAX_REQUEST);
        let body = tokio::time::timeout(BODY_WAIT, body).await.map_err(|_| Refusal::new(&SLOW, "a slow body"))?;
        let body = body.map_err(|_| Refusal::new(&TOO_LARGE, "a body that is cut off, or too large"))?;
        let asked = search::Asked::read(&self.rooms, &head.headers, &body)?;
        trace.concerns(asked.concern());
        let permit = self.decide(auditor, asked.about(), Some(asked.ground.to_string()), trace.at)?;
        let reader = search::Reader { auditor, certificate, permit };
        search::answer(&self.rooms, &self.desk, reader, asked, trace).await
    }

    /// Cosigns a checkpoint of a log that the directory lists, as C2SP tlog-witness says. The log's signature says who
    /// asks; no certificate is wanted.
    async fn cosign(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        guard::check(&request)?;
        let body = whole(request.into_body(), MAX_REQUEST);
        let body = tokio::time::timeout(BODY_WAIT, body).await.map_err(|_| Refusal::new(&SLOW, "a slow body"))?;
        let body = body.map_err(|_| Refusal::new(&TOO_LARGE, "a body that is cut off, or too large"))?;
        let directory = self.rooms.directory.load();
        let logs = directory.log_keys(&self.rooms.me.id);
        let (witness, now_s) = (self.witness.clone(), u64::try_from(UnixMillis::now().0 / 1000).unwrap_or(0));
        let judged = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, &logs, now_s)).await;
        match judged.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "cosigning was cut off"))? {
            Ok(line) => Ok(text(line)),
            Err(error) => Ok(refused_to_cosign(&error)),
        }
    }

    async fn read<B>(
        &self,
        request: &Request<B>,
        client: &[CertificateDer<'static>],
    ) -> Result<Response<Body>, Refusal> {
        guard::check(request)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let allow = match request.uri().path() {
                COSIGN | search::ROUTE => "POST",
                _ => "GET, HEAD",
            };
            return Err(Refusal::new(&METHOD, "the address takes another method").header("allow", allow));
        }
        if matches!(request.uri().path(), COSIGN | search::ROUTE) {
            return Err(Refusal::new(&METHOD, "the address takes POST").header("allow", "POST"));
        }
        // One address for each resource: under another one a cache would keep it twice.
        if request.uri().query().is_some() {
            return Err(Refusal::new(&NOT_FOUND, "resources of a log have no query"));
        }
        let path = request.uri().path().trim_start_matches('/').to_owned();
        match path.as_str() {
            "key" => return Ok(text(self.rooms.log.keys().iter().map(|key| format!("{key}\n")).collect())),
            "gm-key" => {
                let gm = self.rooms.log.gm().ok_or_else(|| Refusal::new(&NOT_FOUND, "this log has no SM2 key"))?;
                return Ok(text(format!("{}\n", gm.key())));
            }
            "anchor" | PRUNED_ANCHOR => {
                let log = self.rooms.log.clone();
                let is_newest = path == "anchor";
                let read = move || if is_newest { log.anchor() } else { log.anchor_pruned() };
                let found = tokio::task::spawn_blocking(read).await;
                let found = found.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "reading was cut off"))?;
                let none = |_| Refusal::new(&NOT_FOUND, "no time-stamp over this log yet");
                return Ok(text(String::from_utf8_lossy(&found.map_err(none)?).into_owned()));
            }
            RETENTION => return Ok(text(self.rooms.log.retention(self.days).to_string())),
            "witness" => return Ok(text(format!("{}\n", self.witness.key()))),
            _ => {}
        }
        let tile = TilePath::parse(&path);
        if let Some(TilePath { level: Level::Entries, index, .. }) = tile {
            let minimum = self.rooms.log.minimum();
            if index.checked_mul(WIDTH).is_some_and(|first| first < minimum) {
                return Err(AuditError::Pruned { minimum }.into()); // nothing is read, so there is nothing to record
            }
            self.allow(index, client, UnixMillis::now()).await?;
        }
        let log = self.rooms.log.clone();
        let is_wanted = tile.is_some_and(|tile| tile.level == Level::Entries) && packed::is_taken(request.headers());
        let read = move || {
            let mut resource = log.read(&path)?;
            let packed = is_wanted.then(|| packed::gzip(&resource.bytes).ok()).flatten();
            let is_packed = packed.is_some();
            resource.bytes = packed.unwrap_or(resource.bytes);
            Ok::<_, AuditError>((resource, is_packed))
        };
        let found = tokio::task::spawn_blocking(read).await;
        match found.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "reading was cut off"))? {
            Ok((resource, is_packed)) => Ok(resource_answer(resource, tile, is_packed)),
            Err(AuditError::NotFound) => Err(Refusal::new(&NOT_FOUND, "no such resource of this log")),
            Err(error) => Err(error.into()),
        }
    }

    /// May this client read entries? The answer is on record before it is given.
    async fn allow(&self, bundle: u64, client: &[CertificateDer<'static>], now: UnixMillis) -> Result<(), Refusal> {
        let auditors = self.auditors.load();
        let known = client.first().map(|leaf| Digest::of(leaf)).and_then(|print| {
            let auditor = auditors.get(&print)?;
            Some((auditor, print))
        });
        let dead = client.first().and_then(|leaf| standing(&self.rooms, leaf, UnixMillis::now()).err());
        let judged = match (known, dead) {
            (Some(_), Some(refusal)) => Err(refusal),
            (Some((auditor, _)), None) => self.decide(auditor, None, None, now),
            (None, _) => Err(Refusal::new(&ENTRIES, "no certificate of an auditor or a mirror")),
        };
        let reader = known.map_or(Reader::Stranger, |(auditor, _)| Reader::Known(auditor.id.clone()));
        let mut readings = self.readings.lock().await;
        if !readings.count(&reader, bundle, judged.is_ok(), now) {
            let line = self.opening(known, &judged, bundle, now);
            self.rooms.log.append(&line).await?;
            if let Some(before) = readings.open(reader.clone(), bundle, judged.is_ok(), now) {
                self.rooms.log.append(&self.closing(&reader, &before, now)).await?;
            }
        }
        judged.map(|_| ())
    }

    fn decide(
        &self,
        auditor: &Auditor,
        about: Option<String>,
        ground: Option<String>,
        now: UnixMillis,
    ) -> Result<Permit, Refusal> {
        let kind = if auditor.is_mirror { WhoKind::Supervisor } else { WhoKind::Auditor };
        let mut who = Who::new(kind, &auditor.id);
        who.places = auditor.places.clone();
        let ask = Ask::Audit(LogReading {
            who,
            log: self.rooms.log.key().name().to_owned(),
            place: self.rooms.me.region,
            about,
            unmasked: false,
            ground,
        });
        self.rooms.policies.decide(&ask, now).map_err(|denial| denial.refusal())
    }

    fn trace(&self, now: UnixMillis) -> Trace {
        Trace::new(String::new(), "GET", "/tile/entries/{*tile}", now)
    }

    fn opening(
        &self,
        known: Option<(&Auditor, Digest)>,
        judged: &Result<Permit, Refusal>,
        bundle: u64,
        now: UnixMillis,
    ) -> Entry {
        let kind = if judged.is_ok() { Kind::AuditRead } else { Kind::Deny };
        let actor = match known {
            Some((auditor, print)) => Actor {
                kind: word(if auditor.is_mirror { "mirror" } else { "auditor" }),
                staff: word(&auditor.id),
                session: Some(print),
                ..Actor::default()
            },
            None => Actor { kind: word("stranger"), ..Actor::default() },
        };
        let (decision, status) = match judged {
            Ok(permit) => (ledger::allowed(permit), 200),
            Err(refusal) => {
                let reason = word(refusal.told.code);
                (Decision { verdict: word("deny"), reason, ..Decision::default() }, refusal.told.status)
            }
        };
        let entry = self.trace(now).entry(&self.rooms, kind).actor(actor).dec(decision);
        ledger::facts(entry.out(Outcome { status: Some(status), ..Outcome::default() }), &[("bundle", bundle)])
    }

    fn closing(&self, reader: &Reader, reading: &Reading, now: UnixMillis) -> Entry {
        let kind = if reading.is_allowed { Kind::AuditRead } else { Kind::Deny };
        let actor = match reader {
            Reader::Known(id) => Actor { staff: word(id), ..Actor::default() },
            Reader::Stranger => Actor { kind: word("stranger"), ..Actor::default() },
        };
        let since = u64::try_from(reading.since.0).unwrap_or(0);
        let all = [("bundles", reading.count), ("first", reading.first), ("last", reading.last), ("since", since)];
        ledger::facts(self.trace(now).entry(&self.rooms, kind).actor(actor), &all)
    }

    /// Writes the lines of readings that have ended; all of them when the gateway stops.
    pub async fn settle(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = tokio::select! {
                () = stopped(&mut stop) => true,
                () = tokio::time::sleep(Duration::from_secs(LOOK_S)) => false,
            };
            let now = UnixMillis::now();
            let by = if stopping { UnixMillis(i64::MAX) } else { now };
            let ended = self.readings.lock().await.ended(by);
            for (reader, reading) in ended {
                if let Err(error) = self.rooms.log.append(&self.closing(&reader, &reading, now)).await {
                    tracing::warn!(%error, "what was read could not be put on record");
                }
            }
            if stopping {
                return;
            }
        }
    }
}

/// The answers that C2SP tlog-witness lays down.
fn refused_to_cosign(error: &WitnessError) -> Response<Body> {
    let (line, kind) = match error {
        WitnessError::Size(size) | WitnessError::Split(size) => (format!("{size}\n"), "text/x.tlog.size"),
        other => (format!("{other}\n"), "text/plain; charset=utf-8"),
    };
    let mut response = text(line);
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn text(line: String) -> Response<Body> {
    let mut response = Response::new(full(line));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Entries are for whoever asked and no cache between: the next reader has to be judged, and to be on record, too.
fn resource_answer(resource: Resource, tile: Option<TilePath>, is_packed: bool) -> Response<Body> {
    let mut response = Response::new(full(resource.bytes));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(resource.content_type));
    let cache = match tile.map(|tile| tile.level) {
        Some(Level::Entries) => "private, max-age=31536000, immutable",
        _ if resource.immutable => "public, max-age=31536000, immutable",
        _ => "no-cache",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if tile.is_some_and(|tile| tile.level == Level::Entries) {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_out_of_shared_caches() {
        for (path, immutable, want) in [
            ("checkpoint", false, "no-cache"),
            ("tile/0/000", true, "public, max-age=31536000, immutable"),
            ("tile/1/000.p/7", true, "public, max-age=31536000, immutable"),
            ("tile/entries/000", true, "private, max-age=31536000, immutable"),
            ("tile/entries/x001/000.p/9", true, "private, max-age=31536000, immutable"),
        ] {
            let resource = Resource { bytes: Vec::new(), content_type: "application/octet-stream", immutable };
            let answer = resource_answer(resource, TilePath::parse(path), false);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], want, "{path}");
            // What is kept for one encoding is not given to who wants another.
            assert_eq!(answer.headers().contains_key(header::VARY), path.contains("entries"), "{path}");
        }
    }
}
