//! Cases, their events and files, the outbox and the inbox. Statements take a transaction; callers commit.

mod events;
mod files;
mod keys;
mod once;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::ExchangeError;
use super::case::Case;
use super::message::Dossier;
use super::state::State;
use super::vault::Key;
use crate::store::{Migration, StoreError, Tx, counter};
use crate::terms::{CaseNo, Day, RegionCode, UnixMillis};

pub use events::{EventRow, Unlogged, add_event, events, mark_logged, unlogged};
pub use files::{add_file, files, is_named, vault_names};
pub use keys::{all_held, held, hold, holds_wait, release, shred, wrapped_key};
pub use once::{filed, forget_filing, receipt, receive, received, remember_filing};

pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 5001,
    name: "cases, events, files, outbox, inbox",
    sql: "CREATE TABLE case_record (no TEXT PRIMARY KEY, side TEXT NOT NULL, state TEXT NOT NULL, seq BIGINT NOT NULL,
            item TEXT NOT NULL, window_region TEXT NOT NULL, owner TEXT NOT NULL, collector TEXT NOT NULL,
            subject TEXT NOT NULL, opened BIGINT NOT NULL, updated BIGINT NOT NULL, core TEXT NOT NULL, dossier {bytes} NOT NULL);
          CREATE INDEX case_by_subject ON case_record (subject, opened);
          CREATE INDEX case_by_collector ON case_record (collector, opened);
          CREATE INDEX case_by_state ON case_record (state, updated);
          CREATE TABLE case_key (no TEXT PRIMARY KEY, wrapped {bytes});
          CREATE TABLE case_event (no TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, act TEXT NOT NULL,
            by_whom TEXT NOT NULL, state TEXT NOT NULL, note {bytes}, leaf BIGINT, PRIMARY KEY (no, seq));
          CREATE INDEX case_event_unlogged ON case_event (at) WHERE leaf IS NULL;
          CREATE TABLE case_file (no TEXT NOT NULL, path TEXT NOT NULL, role TEXT NOT NULL, seq BIGINT NOT NULL,
            vault TEXT NOT NULL, sealed {bytes} NOT NULL, PRIMARY KEY (no, path));
          CREATE INDEX case_file_vault ON case_file (vault);
          CREATE TABLE outbox (id TEXT PRIMARY KEY, no TEXT NOT NULL, way TEXT NOT NULL, target TEXT NOT NULL,
            path TEXT NOT NULL, attempts BIGINT NOT NULL, next_at BIGINT NOT NULL, done_at BIGINT, receipt TEXT);
          CREATE INDEX outbox_due ON outbox (done_at, next_at);
          CREATE TABLE inbox (id TEXT PRIMARY KEY, at BIGINT NOT NULL, digest TEXT NOT NULL, receipt TEXT NOT NULL);
          CREATE TABLE filing (key TEXT PRIMARY KEY, digest TEXT NOT NULL, no TEXT NOT NULL)",
}, Migration {
    version: 5002,
    name: "why a delivery is not taken",
    sql: "ALTER TABLE outbox ADD COLUMN trouble TEXT",
}, Migration {
    version: 5003,
    name: "cases whose keys must not be destroyed",
    sql: "CREATE TABLE case_hold (no TEXT PRIMARY KEY, at BIGINT NOT NULL, ground TEXT NOT NULL)",
}];

/// Case numbers one collecting gateway may give out for one owner on one day: the last four digits of the sequence.
/// The first four are the gateway's slot in the federation, so that two gateways never give the same number.
const NUMBERS_A_DAY: i64 = 9_999;

/// The next case number of `owner` on `day`, given by the gateway in `slot` (0–9999).
pub async fn next_number(tx: &mut Tx, owner: RegionCode, day: Day, slot: u16) -> Result<CaseNo, ExchangeError> {
    let key = format!("case-number:{owner}");
    let counters = [counter::Counter { key: key.clone(), limit: NUMBERS_A_DAY }];
    counter::take(tx, &counters, day).await?.map_err(|_| ExchangeError::NumbersUsedUp)?;
    let serial = counter::used(tx, &key, day).await?;
    CaseNo::new(owner, day, u32::from(slot) * 10_000 + serial as u32).ok_or(ExchangeError::NumbersUsedUp)
}

/// A case as it lies in the store.
#[derive(Clone, Debug)]
pub struct Record {
    pub case: Case,
    /// `collecting`, `owning` or `both`.
    pub side: String,
    pub item: String,
    pub window: RegionCode,
    /// `window:<id>` or `outlet:<id>` of the point that collected.
    pub collector: String,
    /// Pseudonym of the applicant.
    pub subject: String,
    pub opened: UnixMillis,
    pub updated: UnixMillis,
    sealed: Vec<u8>,
}

impl Record {
    pub fn dossier(&self, key: &Key) -> Result<Dossier, ExchangeError> {
        let plain = key.open("dossier", &self.sealed)?;
        serde_json::from_slice(&plain).map_err(|e| StoreError::unreadable("dossier", e).into())
    }
}

/// What a new case is made of.
pub struct NewCase<'a> {
    pub case: &'a Case,
    pub side: &'a str,
    pub collector: &'a str,
    pub subject: &'a str,
    pub dossier: &'a Dossier,
    pub now: UnixMillis,
}

pub async fn insert(tx: &mut Tx, new: &NewCase<'_>, key: &Key, wrapped: &[u8]) -> Result<(), ExchangeError> {
    let plain = serde_json::to_vec(new.dossier).map_err(|e| ExchangeError::Message(e.to_string()))?;
    sqlx::query("INSERT INTO case_key (no, wrapped) VALUES ($1, $2)")
        .bind(new.case.no.to_string())
        .bind(wrapped)
        .execute(tx.run())
        .await
        .map_err(StoreError::from)?;
    sqlx::query(
        "INSERT INTO case_record (no, side, state, seq, item, window_region, owner, collector, subject, opened, updated, core, dossier)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)",
    )
    .bind(new.case.no.to_string())
    .bind(new.side)
    .bind(new.case.state.word())
    .bind(new.case.seq as i64)
    .bind(new.dossier.item.to_string())
    .bind(new.dossier.window.to_string())
    .bind(new.dossier.owner.to_string())
    .bind(new.collector)
    .bind(new.subject)
    .bind(new.now.0)
    .bind(core(new.case))
    .bind(key.seal("dossier", &plain)?)
    .execute(tx.run())
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

fn core(case: &Case) -> String {
    serde_json::to_string(case).unwrap_or_default()
}

const COLUMNS: &str =
    "no, side, state, seq, item, window_region, owner, collector, subject, opened, updated, core, dossier";

fn record(row: &AnyRow) -> Result<Record, StoreError> {
    let text = |name: &'static str| row.try_get::<String, _>(name);
    let bad = |e: serde_json::Error| StoreError::unreadable("case", e);
    Ok(Record {
        case: serde_json::from_str(&text("core")?).map_err(bad)?,
        side: text("side")?,
        item: text("item")?,
        window: text("window_region")?.parse().map_err(|e| StoreError::unreadable("window", e))?,
        collector: text("collector")?,
        subject: text("subject")?,
        opened: UnixMillis(row.try_get("opened")?),
        updated: UnixMillis(row.try_get("updated")?),
        sealed: row.try_get("dossier")?,
    })
}

pub async fn load(tx: &mut Tx, no: CaseNo) -> Result<Option<Record>, StoreError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM case_record WHERE no = $1")))
        .bind(no.to_string())
        .fetch_optional(tx.run())
        .await?;
    row.as_ref().map(record).transpose()
}

/// Whether there is any case.
pub async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    Ok(sqlx::query("SELECT 1 FROM case_record LIMIT 1").fetch_optional(tx.run()).await?.is_some())
}

/// Whose cases to list.
pub enum Whose<'a> {
    Subject(&'a str),
    Collector(&'a str),
}

/// The newest cases opened before a time, with those that have ended or without.
pub async fn list(
    tx: &mut Tx,
    whose: Whose<'_>,
    ended: bool,
    before: UnixMillis,
    limit: i64,
) -> Result<Vec<Record>, StoreError> {
    let (column, value) = match whose {
        Whose::Subject(pid) => ("subject", pid),
        Whose::Collector(id) => ("collector", id),
    };
    let over: Vec<_> =
        State::ALL.iter().filter(|s| s.is_terminal() && !ended).map(|s| format!("'{}'", s.word())).collect();
    let open = if over.is_empty() { String::new() } else { format!("AND state NOT IN ({})", over.join(", ")) };
    let sql = format!(
        "SELECT {COLUMNS} FROM case_record WHERE {column} = $1 AND opened < $2 {open} ORDER BY opened DESC, no LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(value).bind(before.0).bind(limit).fetch_all(tx.run()).await?;
    rows.iter().map(record).collect()
}

/// Saves a case after a step: only if nobody else stepped it meanwhile.
pub async fn save(tx: &mut Tx, case: &Case, now: UnixMillis) -> Result<(), StoreError> {
    let done =
        sqlx::query("UPDATE case_record SET state = $1, seq = $2, updated = $3, core = $4 WHERE no = $5 AND seq = $6")
            .bind(case.state.word())
            .bind(case.seq as i64)
            .bind(now.0)
            .bind(core(case))
            .bind(case.no.to_string())
            .bind(case.seq as i64 - 1)
            .execute(tx.run())
            .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict("the case")) }
}

/// Whether anything of a case is still on its way.
pub async fn underway(tx: &mut Tx, no: CaseNo) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM outbox WHERE no = $1 AND done_at IS NULL");
    let row = row.bind(no.to_string()).fetch_one(tx.run()).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn day() -> Day {
        "2026-11-25".parse().unwrap()
    }

    #[tokio::test]
    async fn numbers_are_given_once_and_name_their_giver() {
        for fresh in testing::each(MIGRATIONS).await {
            let owner: RegionCode = "419001".parse().unwrap();
            let tries: Vec<_> = (0..20)
                .map(|_| {
                    let store = fresh.store.clone();
                    tokio::spawn(async move {
                        let mut tx = store.begin().await.unwrap();
                        let no = next_number(&mut tx, owner, day(), 12).await.unwrap();
                        tx.commit(no.to_string()).await.unwrap().into_inner()
                    })
                })
                .collect();
            let mut numbers = std::collections::BTreeSet::new();
            for t in tries {
                numbers.insert(t.await.unwrap());
            }
            assert_eq!(numbers.len(), 20);
            assert!(numbers.iter().all(|n| n.starts_with("419001000000202611250012")), "{numbers:?}");
        }
    }
}
