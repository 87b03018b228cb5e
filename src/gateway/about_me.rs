//! The citizen's view: who looked up what about me, when and why. From the log, for the person alone.
//!
//! ```text
//!  log ─▶ entries about a person: data read, licence verified, case looked at, contact, look refused ─▶ a row by pseudonym
//!  the person's own token ─▶ pseudonym ─▶ rules (about = myself) ─▶ what is not in the rows yet ─▶ page
//! ```
//! The rows are an index and can be made again from the log; each names the line it was made from, so that it can be checked.
//! Each replica reads its own log in the background; what another one wrote is there within the time of a round.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Row;

use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use super::{contacts, desk, door, facts, verify};
use crate::audit::Kind;
use crate::audit::entry::Outcome;
use crate::catalogue::Catalogue;
use crate::policy::{Ask, Denial, LogReading};
use crate::store::{Migration, StoreError, Tx};
use crate::terms::{ItemCode, Lang, Refusal, UnixMillis};

pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 6003,
    name: "entries about people",
    sql: "CREATE TABLE about_person (log TEXT NOT NULL, at_index BIGINT NOT NULL, subject TEXT NOT NULL, at BIGINT NOT NULL,
            leaf TEXT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (log, at_index));
          CREATE INDEX about_person_subject ON about_person (subject, at);
          CREATE TABLE about_head (log TEXT PRIMARY KEY, next BIGINT NOT NULL)",
}];

/// Most lines of one page.
const PAGE: i64 = 100;
/// Entries that are read before their rows are kept.
const STEP: u64 = 4_096;

/// What a row needs of an entry.
#[derive(Deserialize)]
struct Line {
    kind: String,
    ts: i64,
    #[serde(default)]
    subj: Option<Subj>,
    #[serde(default)]
    req: Option<Req>,
    #[serde(default)]
    ev: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    facts: BTreeMap<String, serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Subj {
    #[serde(default)]
    pid: Option<String>,
}

#[derive(Deserialize)]
struct Req {
    #[serde(default)]
    method: Option<String>,
}

/// An entry that somebody should be able to see, because it is about them.
struct About {
    index: u64,
    subject: String,
    at: i64,
    leaf: String,
    entry: String,
}

impl About {
    fn read(index: u64, bytes: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(bytes).ok()?;
        // A case is looked at by reading it; what moves it stands in its own history.
        let looked = line.req.and_then(|req| req.method).is_some_and(|method| method == "GET");
        let counts = match line.kind.as_str() {
            kind if kind == Kind::DataRead.word() || kind == Kind::LicenceCheck.word() => true,
            // At data, or at a case; an act that was refused is no look.
            kind if kind == Kind::Deny.word() => looked || !line.ev.is_empty(),
            kind => kind == Kind::CaseEvent.word() && (looked || line.facts.contains_key(contacts::FACT)),
        };
        let subject = line.subj.and_then(|subj| subj.pid).filter(|_| counts)?;
        let leaf = crate::audit::merkle::leaf_hash(bytes).to_string();
        let entry = std::str::from_utf8(bytes).ok()?.to_owned();
        Some(Self { index, subject, at: line.ts, leaf, entry })
    }
}

/// Reads what is new in our own log into the rows.
///
/// # Errors
/// The store's or the log's.
pub async fn catch_up(rooms: &Arc<Rooms>) -> Result<(), Refusal> {
    let log = rooms.log.key().name().to_owned();
    let mut tx = rooms.store.read().await?;
    let mut next = head(&mut tx, &log).await?;
    drop(tx);
    while next < rooms.log.size() {
        let (from, reading) = (next, rooms.log.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            let end = reading.entries(from, STEP, |index, bytes| found.extend(About::read(index, bytes)))?;
            Ok::<_, crate::audit::AuditError>((found, end))
        });
        let read = read.await.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "reading was cut off"))?;
        let (found, end) = read?;
        let mut tx = rooms.store.begin().await?;
        for about in &found {
            keep(&mut tx, &log, about).await?;
        }
        set_head(&mut tx, &log, end).await?;
        tx.commit(()).await?;
        next = end;
    }
    Ok(())
}

/// Entries of our own log below this index have been read into the rows.
pub async fn read_to(rooms: &Rooms) -> Result<u64, StoreError> {
    let mut tx = rooms.store.read().await?;
    head(&mut tx, rooms.log.key().name()).await
}

async fn head(tx: &mut Tx, log: &str) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT next FROM about_head WHERE log = $1").bind(log).fetch_optional(tx.run()).await?;
    Ok(row.map(|row| row.try_get::<i64, _>(0)).transpose()?.map_or(0, |next| next.max(0) as u64))
}

async fn set_head(tx: &mut Tx, log: &str, next: u64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO about_head (log, next) VALUES ($1, $2) ON CONFLICT (log) DO UPDATE SET next = excluded.next
         WHERE about_head.next < excluded.next",
    )
    .bind(log)
    .bind(next as i64)
    .execute(tx.run())
    .await?;
    Ok(())
}

async fn keep(tx: &mut Tx, log: &str, about: &About) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO about_person (log, at_index, subject, at, leaf, entry) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (log, at_index) DO NOTHING",
    )
    .bind(log)
    .bind(about.index as i64)
    .bind(&about.subject)
    .bind(about.at)
    .bind(&about.leaf)
    .bind(&about.entry)
    .execute(tx.run())
    .await?;
    Ok(())
}

/// Rows about one person that are older than `before`, newest first.
async fn of(
    tx: &mut Tx,
    subject: &str,
    before: UnixMillis,
) -> Result<Vec<(String, u64, i64, String, String)>, StoreError> {
    let rows = sqlx::query(
        "SELECT log, at_index, at, leaf, entry FROM about_person WHERE subject = $1 AND at < $2
         ORDER BY at DESC, at_index DESC LIMIT $3",
    )
    .bind(subject)
    .bind(before.0)
    .bind(PAGE)
    .fetch_all(tx.run())
    .await?;
    rows.iter()
        .map(|row| {
            let index: i64 = row.try_get(1)?;
            Ok((row.try_get(0)?, index.max(0) as u64, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
        })
        .collect()
}

/// The page that a citizen asks for with their own token, nobody beside.
///
/// # Errors
/// `TB-GW-0103` for everybody else, and the rules' no.
pub async fn page(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    person: &Person,
    before: UnixMillis,
    lang: Lang,
) -> Result<Value, Refusal> {
    if person.kind != PersonKind::Citizen {
        return Err(Refusal::new(&WRONG_KIND, "only the person whom it is about sees this"));
    }
    let me = person.pseudonym(rooms).to_string();
    let ask = Ask::ReadLog(LogReading {
        who: facts::who(rooms, person, terminal, true, true, trace.at),
        log: rooms.log.key().name().to_owned(),
        place: rooms.me.region,
        about: Some(me.clone()),
        unmasked: false,
        ground: None,
    });
    let denied = |denial: Denial| door::step_up(rooms, person, &ask, denial.refusal());
    let permit = rooms.policies.decide(&ask, trace.at).map_err(denied)?;
    catch_up(rooms).await?;
    let mut tx = rooms.store.read().await?;
    let rows = of(&mut tx, &me, before).await?;
    drop(tx);
    let entry = trace
        .about(rooms, Kind::AuditRead, Some(person), terminal)
        .subj(person.as_subject(rooms))
        .dec(ledger::allowed(&permit))
        .out(Outcome { status: Some(200), ..Outcome::default() });
    rooms.log.append(&entry).await?;
    let catalogue = rooms.catalogue.load();
    let last = rows.last().map(|(_, _, at, _, _)| UnixMillis(*at).to_string());
    let lines: Vec<Value> = rows
        .iter()
        .filter_map(|(log, index, at, leaf, entry)| {
            let entry: Value = serde_json::from_str(entry).ok()?;
            let mut line = told(&entry, &me, &catalogue, lang);
            line["at"] = UnixMillis(*at).to_string().into();
            line["leaf"] = json!({ "origin": log, "index": index, "leaf": leaf });
            Some(line)
        })
        .collect();
    Ok(json!({ "lookups": lines, "before": last }))
}

/// One line in words: who, what, why.
fn told(entry: &Value, me: &str, catalogue: &Catalogue, lang: Lang) -> Value {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    let refused = text("/kind") == Some(Kind::Deny.word());
    let what = match (text("/kind"), text("/ev/0/type")) {
        (Some(kind), Some(verify::FILE)) if refused || kind == Kind::LicenceCheck.word() => "licence",
        (_, Some(desk::CASE)) if refused => "case",
        (Some(kind), about) if kind == Kind::DataRead.word() || (refused && about.is_some()) => "data",
        (Some(kind), _) if kind == Kind::LicenceCheck.word() => "licence",
        _ if text("/facts/contact").is_some() => "contact",
        _ => "case",
    };
    let id = text("/ev/0/type").filter(|_| what == "data");
    let name = id.and_then(|id| {
        let data = catalogue.resources.get(id).map(|resource| resource.name(lang));
        data.or_else(|| catalogue.licence_types.get(id).map(|kind| kind.name(lang)))
    });
    let item = text("/item/code").and_then(|code| code.parse::<ItemCode>().ok());
    let item_name = item.and_then(|code| catalogue.items.get(&code)).map(|item| item.name(lang));
    let basis = text("/why/basis");
    let basis_text = basis.and_then(|id| catalogue.bases.get(id)).map(|basis| basis.text.as_str());
    json!({
        "what": what,
        "resource": id,
        "name": name,
        "who": {
            "kind": text("/actor/kind"), "at": text("/actor/terminal"), "staff": text("/actor/staff").or(text("/facts/by")),
            "myself": text("/actor/pid") == Some(me),
        },
        "why": {
            "purpose": text("/why/purpose"), "basis": basis, "basis_text": basis_text, "item": item,
            "item_name": item_name,
        },
        "from": text("/ev/0/age").filter(|_| what == "data"),
        "result": if refused { Some("refused") } else { text("/up/result") },
        "contact": text("/facts/contact").and_then(|way| way.parse::<contacts::Way>().ok()).map(|way| json!({
            "way": way, "name": way.name(lang), "alone": text("/facts/alone") == Some("yes"),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn what_concerns_a_person_and_what_does_not() {
        for (entry, want) in [
            (json!({"kind": "data.read", "ts": 1, "subj": {"pid": "aa"}}), Some("aa")),
            (json!({"kind": "licence.check", "ts": 1, "subj": {"pid": "aa"}}), Some("aa")),
            (json!({"kind": "case.event", "ts": 1, "subj": {"pid": "aa"}, "req": {"method": "GET"}}), Some("aa")),
            (json!({"kind": "case.event", "ts": 1, "subj": {"pid": "aa"}, "req": {"method": "POST"}}), None),
            (
                json!({"kind": "case.event", "ts": 1, "subj": {"pid": "aa"}, "facts": {"contact": "telephone"}}),
                Some("aa"),
            ),
            // Looks that were refused, and an act that was.
            (json!({"kind": "deny", "ts": 1, "subj": {"pid": "aa"}, "ev": [{"type": "DR-HH"}]}), Some("aa")),
            (json!({"kind": "deny", "ts": 1, "subj": {"pid": "aa"}, "req": {"method": "GET"}}), Some("aa")),
            (json!({"kind": "deny", "ts": 1, "subj": {"pid": "aa"}, "req": {"method": "POST"}}), None),
            (json!({"kind": "deny", "ts": 1}), None),
            (json!({"kind": "data.read", "ts": 1}), None),
            (json!({"kind": "audit.read", "ts": 1, "subj": {"pid": "aa"}}), None),
            (json!([]), None),
        ] {
            let got = About::read(7, entry.to_string().as_bytes()).map(|about| about.subject);
            assert_eq!(got.as_deref(), want, "{entry}");
        }
    }

    #[tokio::test]
    async fn rows_are_kept_once_and_told_to_one_person() {
        for fresh in testing::each(MIGRATIONS).await {
            let about = |index, subject: &str, at| About {
                index,
                subject: subject.into(),
                at,
                leaf: "l".into(),
                entry: "{}".into(),
            };
            let mut tx = fresh.store.begin().await.unwrap();
            for (index, subject, at) in [(1, "a", 10), (2, "b", 11), (3, "a", 12), (1, "a", 10)] {
                keep(&mut tx, "log", &about(index, subject, at)).await.unwrap();
            }
            let found =
                |rows: Vec<(String, u64, i64, String, String)>| rows.into_iter().map(|r| r.1).collect::<Vec<_>>();
            assert_eq!(found(of(&mut tx, "a", UnixMillis(100)).await.unwrap()), [3, 1]);
            assert_eq!(found(of(&mut tx, "a", UnixMillis(12)).await.unwrap()), [1]);
            assert_eq!(found(of(&mut tx, "c", UnixMillis(100)).await.unwrap()), Vec::<u64>::new());
            for (to, want) in [(5, 5), (9, 9), (7, 9)] {
                set_head(&mut tx, "log", to).await.unwrap();
                assert_eq!(head(&mut tx, "log").await.unwrap(), want);
            }
        }
    }
}
