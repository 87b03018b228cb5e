//! `POST /search` at the log's address: an auditor finds entries, and the finding is an entry.
//!
//! ```text
//!  certificate ─▶ [[auditor]] ─▶ rate ─▶ what is asked, the ground ─▶ the rules ─▶ index + log ─▶ line ─▶ answer
//!       │no           │no         │no          │no                       │no         │no
//!       └─────────────┴───────────┴────────────┴─────────────────────────┴───────────┴─▶ a refusal, on record too
//! ```
//! A person or case may be named by its number, in the body alone; here it becomes the pseudonym, and nothing else of it
//! is kept. The line says who, on what ground, what was looked for and how much was found, before anything leaves.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::log::Auditor;
use super::problem::json_response;
use super::{BUSY, CONTENT, MEDIA};
use crate::audit::entry::{Actor, Outcome};
use crate::audit::error::{INDEX, SEARCHES};
use crate::audit::search::Served;
use crate::audit::search::index::Index;
use crate::audit::search::{Entries, Filter, Found, Page, Prover, SearchError, search_rows};
use crate::audit::{Kind, Log, Pseudonym, Word};
use crate::gateway::Rooms;
use crate::gateway::concern::Concern;
use crate::gateway::intake::object;
use crate::gateway::ledger::{self, Trace, word};
use crate::policy::Permit;
use crate::terms::{CaseNo, CreditCode, Digest, ItemCode, Refusal, ResidentId, UnixMillis};
use crate::upstream::Body;

/// The address, as lines in the log name it.
pub const ROUTE: &str = "/search";
/// Largest request in octets.
pub const MAX_REQUEST: usize = 8 << 10;
/// Results of a page: as many as are asked for, and these without a wish. With the longest entries there are 3 MiB.
const LIMIT: u16 = 50;
pub const MAX_LIMIT: u16 = 200;
/// Entries at the log's end that are read one by one where the index has not come so far yet.
const MAX_REST: u64 = 16_384;
/// Searches a second for one auditor, and at once after quiet.
const EACH: NonZeroU32 = NonZeroU32::new(2).expect("not zero");
const EACH_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Searches at work at the same time.
const AT_ONCE: usize = 2;

/// What an auditor sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    ground: String,
    case: Option<String>,
    person: Option<SentPerson>,
    actor: Option<String>,
    outlet: Option<String>,
    item: Option<String>,
    kind: Option<String>,
    decision: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    from: u64,
    limit: Option<u16>,
    #[serde(default)]
    proof: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentPerson {
    kind: String,
    number: String,
}

/// What is looked for, and what of it goes on record.
pub(super) struct Asked {
    pub ground: Word,
    filter: Filter,
    page: Page,
    proof: bool,
}

/// The means of searching: where the index is, and how much of it is for whom.
pub(super) struct Desk {
    index: PathBuf,
    rates: RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock>,
    places: Arc<Semaphore>,
}

impl Desk {
    pub fn new(index: PathBuf) -> Self {
        let rates = RateLimiter::keyed(Quota::per_second(EACH).allow_burst(EACH_AT_ONCE));
        Self { index, rates, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// One search of this auditor more.
    ///
    /// # Errors
    /// `TB-AUD-0305`.
    pub fn take(&self, auditor: &str) -> Result<(), Refusal> {
        self.rates
            .check_key(&auditor.to_owned())
            .map_err(|_| Refusal::new(&SEARCHES, "more searches than two a second"))
    }
}

fn wrong(member: &str, why: &str) -> Refusal {
    Refusal::new(&CONTENT, format!("{member}: {why}"))
}

impl Asked {
    /// Reads the body of a request. No number of a person gets into a refusal.
    ///
    /// # Errors
    /// `TB-HTTP-0005`, `TB-HTTP-0009`: what is wrong with which member.
    pub fn read(rooms: &Rooms, headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        if media.split(';').next().is_none_or(|media| !media.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Refusal::new(&MEDIA, "application/json is wanted"));
        }
        // A reader's own words could repeat what stands in the body.
        let sent: Sent =
            object(body).map_err(|_| wrong("body", "not an object with the members that are described"))?;
        let ground = "the file under which this is asked: 4 to 128 visible ASCII characters, or like 青监〔2026〕17号; no number of a person";
        let ground = match word(&sent.ground).filter(|word| word.as_str().len() >= 4) {
            Some(word) => word,
            None => return Err(wrong("ground", ground)),
        };
        let limit = sent.limit.unwrap_or(LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(wrong("limit", "1 to 200"));
        }
        let plain = |member: &'static str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) if word(&text).is_some() => Ok(Some(text)),
            Some(_) => Err(wrong(member, "a code without blanks; a person's number stands in `person` alone")),
        };
        let time = |member: &'static str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => match UnixMillis::parse_rfc3339(&text) {
                Some(at) => Ok(Some(at)),
                None => Err(wrong(member, "a time as RFC 3339 writes it, like 2026-02-13T00:00:00+08:00")),
            },
        };
        if sent.item.as_ref().is_some_and(|item| item.parse::<ItemCode>().is_err()) {
            return Err(wrong("item", "not the basic code of an item"));
        }
        if sent.kind.as_ref().is_some_and(|kind| Kind::ALL.iter().all(|known| known.word() != kind)) {
            return Err(wrong("kind", "no kind of entry"));
        }
        let filter = Filter {
            case: sent.case.map(|case| case_of(rooms, &case)).transpose()?,
            person: sent.person.map(|person| person_of(rooms, &person)).transpose()?,
            actor: plain("actor", sent.actor)?,
            outlet: plain("outlet", sent.outlet)?,
            item: sent.item,
            kind: sent.kind,
            decision: plain("decision", sent.decision)?,
            since: time("since", sent.since)?,
            until: time("until", sent.until)?,
        };
        let page = Page { from: sent.from.min(i64::MAX as u64), skip: 0, limit: usize::from(limit) };
        Ok(Self { ground, filter, page, proof: sent.proof })
    }

    /// The person that is looked for, as the rules are asked.
    pub fn about(&self) -> Option<String> {
        self.filter.person.map(|person| person.to_string())
    }

    /// What is looked for, as the line has it: codes and pseudonyms.
    pub fn concern(&self) -> Concern {
        let filter = &self.filter;
        let shown = |at: Option<UnixMillis>| at.map(|at| at.to_string());
        let all = [
            ("ground", Some(self.ground.to_string())),
            ("find.case", filter.case.map(|id| id.to_string())),
            ("find.person", filter.person.map(|id| id.to_string())),
            ("find.actor", filter.actor.clone()),
            ("find.outlet", filter.outlet.clone()),
            ("find.item", filter.item.clone()),
            ("find.kind", filter.kind.clone()),
            ("find.decision", filter.decision.clone()),
            ("find.since", shown(filter.since)),
            ("find.until", shown(filter.until)),
            ("find.from", Some(self.page.from.to_string())),
            ("find.limit", Some(self.page.limit.to_string())),
        ];
        let facts = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Concern { subject: filter.person, facts, ..Concern::default() }
    }
}

fn case_of(rooms: &Rooms, text: &str) -> Result<Pseudonym, Refusal> {
    match (text.parse::<CaseNo>(), text.parse::<Pseudonym>()) {
        (Ok(no), _) => Ok(rooms.pseudonyms.case(no)),
        (_, Ok(pseudonym)) => Ok(pseudonym),
        _ => Err(wrong("case", "neither a case number nor a pseudonym (32 hexadecimal digits)")),
    }
}

fn person_of(rooms: &Rooms, person: &SentPerson) -> Result<Pseudonym, Refusal> {
    let number = person.number.trim();
    let found = match person.kind.as_str() {
        "resident" => ResidentId::normalise(number).parse::<ResidentId>().ok().map(|id| rooms.pseudonyms.resident(&id)),
        "company" => number.parse::<CreditCode>().ok().map(|code| rooms.pseudonyms.company(&code)),
        "pseudonym" => number.parse().ok(),
        _ => return Err(wrong("person.kind", "resident, company or pseudonym")),
    };
    found.ok_or_else(|| wrong("person.number", "not a number of this kind"))
}

/// Who searches, once the rules have said yes.
pub(super) struct Reader<'a> {
    pub auditor: &'a Auditor,
    pub certificate: Digest,
    pub permit: Permit,
}

/// Finds, puts it on record, answers.
///
/// # Errors
/// `TB-AUD-0304` while the index is not there or too far behind; `TB-HTTP-0007`; what the log says when it takes no line.
pub(super) async fn answer(
    rooms: &Rooms,
    desk: &Desk,
    reader: Reader<'_>,
    asked: Asked,
    trace: &Trace,
) -> Result<Response<Body>, Refusal> {
    let _place = desk.places.try_acquire().map_err(|_| Refusal::new(&BUSY, "other searches are at work"))?;
    let log = rooms.log.clone();
    let behind = |why: String| Refusal::new(&INDEX, why);
    let size = log.checkpoint().size;
    let index = Index::open_to_read(&desk.index, log.key()).await.map_err(|e| behind(e.to_string()))?;
    let rows = index.find(&asked.filter, asked.page, size).await;
    index.close().await;
    let rows = rows.map_err(|e| behind(e.to_string()))?;
    if rows.indexed.saturating_add(MAX_REST) < size {
        return Err(behind(format!("the index ends at entry {} of {size}", rows.indexed)));
    }
    let asked = Arc::new(asked);
    let own = asked.clone();
    let found = tokio::task::spawn_blocking(move || find(log, &own, &rows)).await;
    let found = found.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "searching was cut off"))?;
    let (mut told, count) = found.map_err(|error| behind(error.to_string()))?;
    let line = trace
        .told(rooms, trace.entry(rooms, Kind::AuditRead))
        .actor(actor(reader.auditor, reader.certificate))
        .dec(ledger::allowed(&reader.permit))
        .out(Outcome { status: Some(200), ..Outcome::default() });
    let line = ledger::facts(line, &[("results", count)]);
    let committed = rooms.log.append(&line).await?;
    told["record"] = ledger::receipt(rooms, committed);
    Ok(json_response(StatusCode::OK, &told))
}

/// The answer without its own line, and the number of its results.
fn find(
    log: Log,
    asked: &Asked,
    rows: &crate::audit::search::index::Candidates,
) -> Result<(Value, usize), SearchError> {
    let (key, served) = (log.key().clone(), Served(log));
    let found: Found = search_rows(&served, &key, &asked.filter, asked.page, rows)?;
    let entries = Entries::new(&served, found.size);
    let prover = if asked.proof { Some(Prover::new(&served, &key, &found)?) } else { None };
    let mut results = Vec::with_capacity(found.places.len());
    for place in &found.places {
        let hit = entries.hit(*place)?;
        let mut shown = json!({ "index": place.index, "leaf": place.leaf.to_string(), "entry": hit.entry });
        if let Some(prover) = &prover {
            shown["proof"] = prover.prove(&hit)?.to_string().into();
            shown["bytes"] = String::from_utf8_lossy(&hit.bytes).into();
        }
        results.push(shown);
    }
    let count = results.len();
    let is_last = found.matched <= count as u64;
    let next = found.places.last().filter(|_| !is_last).map(|place| place.index + 1);
    let told = json!({
        "origin": key.name(), "size": found.size, "checkpoint": found.checkpoint, "indexed": found.indexed,
        "matched": found.matched, "unread": found.unread, "pruned": found.pruned, "next": next, "results": results,
    });
    Ok((told, count))
}

fn actor(auditor: &Auditor, certificate: Digest) -> Actor {
    Actor {
        kind: word(if auditor.is_mirror { "mirror" } else { "auditor" }),
        staff: word(&auditor.id),
        session: Some(certificate),
        ..Actor::default()
    }
}

/// Keeps the refusal of a search; a stranger's goes unrecorded once there are too many of them.
///
/// # Errors
/// The refusal to answer with: the one given, or that there are too many.
pub(super) async fn refused(
    rooms: &Rooms,
    known: Option<(&Auditor, Digest)>,
    from: IpAddr,
    trace: &Trace,
    refusal: Refusal,
) -> (Refusal, Option<u64>) {
    if known.is_none()
        && let Err(flood) = rooms.strangers.take(from)
    {
        return (flood, None);
    }
    let who = known.map_or_else(
        || Actor { kind: word("stranger"), ..Actor::default() },
        |(auditor, certificate)| actor(auditor, certificate),
    );
    let out = Outcome { status: Some(refusal.told.status), ..Outcome::default() };
    let line = trace.told(rooms, trace.entry(rooms, Kind::Deny)).actor(who).dec(ledger::denied(&refusal)).out(out);
    match rooms.log.append(&line).await {
        Ok(committed) => (refusal, Some(committed.index)),
        Err(error) => (error.into(), None),
    }
}
