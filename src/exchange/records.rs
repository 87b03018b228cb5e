//! Cases, their events and files, the outbox and the inbox. Statements take a transaction; callers commit.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::case::Case;
use super::message::{Dossier, Stored};
use super::state::State;
use super::vault::Key;
use super::{ExchangeError, PaperRow};
use crate::store::{Dialect, Migration, StoreError, Tx, counter};
use crate::terms::{CaseNo, Day, Digest, RegionCode, UnixMillis};

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

pub async fn wrapped_key(tx: &mut Tx, no: CaseNo) -> Result<Vec<u8>, ExchangeError> {
    let row = sqlx::query("SELECT wrapped FROM case_key WHERE no = $1")
        .bind(no.to_string())
        .fetch_optional(tx.run())
        .await
        .map_err(StoreError::from)?;
    let row = row.ok_or(ExchangeError::NoCase)?;
    row.try_get::<Option<Vec<u8>>, _>(0).map_err(StoreError::from)?.ok_or(ExchangeError::Shredded)
}

/// Destroys the key of a case: everything encrypted under it is gone, in every copy and backup of files and log. What
/// was encrypted goes too, so that a key found later opens nothing here. `false` when it was destroyed before.
pub async fn shred(tx: &mut Tx, no: CaseNo) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE case_key SET wrapped = NULL WHERE no = $1 AND wrapped IS NOT NULL")
        .bind(no.to_string())
        .execute(tx.run())
        .await?;
    for sql in ["DELETE FROM case_file WHERE no = $1", "UPDATE case_event SET note = NULL WHERE no = $1"] {
        sqlx::query(sql).bind(no.to_string()).execute(tx.run()).await?;
    }
    let empty = sqlx::query("UPDATE case_record SET dossier = $1 WHERE no = $2");
    empty.bind(Vec::<u8>::new()).bind(no.to_string()).execute(tx.run()).await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the key of a case from being destroyed; the first ground stays. `false` when it was on hold already.
pub async fn hold(tx: &mut Tx, no: CaseNo, ground: &str, now: UnixMillis) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT INTO case_hold (no, at, ground) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(no.to_string())
        .bind(now.0)
        .bind(ground)
        .execute(tx.run())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Lifts a hold. `false` when there was none.
pub async fn release(tx: &mut Tx, no: CaseNo) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM case_hold WHERE no = $1").bind(no.to_string()).execute(tx.run()).await?;
    Ok(done.rows_affected() == 1)
}

/// The ground on which a case is on hold.
pub async fn held(tx: &mut Tx, no: CaseNo) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT ground FROM case_hold WHERE no = $1");
    let row = row.bind(no.to_string()).fetch_optional(tx.run()).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Whoever lays or lifts a hold waits until this transaction is over. SQLite has one writer at a time anyway.
pub async fn holds_wait(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("LOCK TABLE case_hold IN SHARE MODE").execute(tx.run()).await?;
    }
    Ok(())
}

/// Every case on hold.
pub async fn all_held(tx: &mut Tx) -> Result<Vec<CaseNo>, StoreError> {
    let rows = sqlx::query("SELECT no FROM case_hold ORDER BY no").fetch_all(tx.run()).await?;
    let texts = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.iter().filter_map(|no| no.parse().ok()).collect())
}

/// Names of all files of a case in the vault: to be forgotten once its key is.
pub async fn vault_names(tx: &mut Tx, no: CaseNo) -> Result<Vec<String>, StoreError> {
    let rows =
        sqlx::query("SELECT vault FROM case_file WHERE no = $1").bind(no.to_string()).fetch_all(tx.run()).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Whether anything of a case is still on its way.
pub async fn underway(tx: &mut Tx, no: CaseNo) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM outbox WHERE no = $1 AND done_at IS NULL");
    let row = row.bind(no.to_string()).fetch_one(tx.run()).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// One line of a case's history.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub seq: u64,
    pub at: UnixMillis,
    pub act: String,
    pub by: String,
    pub state: State,
}

pub async fn add_event(
    tx: &mut Tx,
    case: &Case,
    act: &str,
    by: &str,
    note: Option<&[u8]>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO case_event (no, seq, at, act, by_whom, state, note) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(case.no.to_string())
        .bind(case.seq as i64)
        .bind(now.0)
        .bind(act)
        .bind(by)
        .bind(case.state.word())
        .bind(note)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// The act is in the log, under this index.
pub async fn mark_logged(tx: &mut Tx, no: CaseNo, seq: u64, index: u64) -> Result<(), StoreError> {
    sqlx::query("UPDATE case_event SET leaf = $1 WHERE no = $2 AND seq = $3")
        .bind(index as i64)
        .bind(no.to_string())
        .bind(seq as i64)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// An act whose line in the log is missing.
pub struct Unlogged {
    pub no: CaseNo,
    pub seq: u64,
    pub act: String,
    pub by: String,
    /// Sealed under the key of the case.
    pub note: Option<Vec<u8>>,
}

/// Acts kept before `before` whose line in the log is missing: a crash came between the two.
pub async fn unlogged(tx: &mut Tx, before: UnixMillis, limit: i64) -> Result<Vec<Unlogged>, StoreError> {
    let sql = "SELECT no, seq, act, by_whom, note FROM case_event WHERE leaf IS NULL AND at < $1 ORDER BY at LIMIT $2";
    let rows = sqlx::query(sql).bind(before.0).bind(limit).fetch_all(tx.run()).await?;
    rows.iter()
        .map(|row| {
            let no: String = row.try_get(0)?;
            let no = no.parse().map_err(|e| StoreError::unreadable("case number", e))?;
            let seq = row.try_get::<i64, _>(1)? as u64;
            Ok(Unlogged { no, seq, act: row.try_get(2)?, by: row.try_get(3)?, note: row.try_get(4)? })
        })
        .collect()
}

pub async fn events(tx: &mut Tx, no: CaseNo, after: u64) -> Result<Vec<EventRow>, StoreError> {
    let rows =
        sqlx::query("SELECT seq, at, act, by_whom, state FROM case_event WHERE no = $1 AND seq > $2 ORDER BY seq")
            .bind(no.to_string())
            .bind(after as i64)
            .fetch_all(tx.run())
            .await?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state")?;
            Ok(EventRow {
                seq: row.try_get::<i64, _>("seq")? as u64,
                at: UnixMillis(row.try_get("at")?),
                act: row.try_get("act")?,
                by: row.try_get("by_whom")?,
                state: State::parse(&state).ok_or_else(|| StoreError::unreadable("state", &state))?,
            })
        })
        .collect()
}

/// Adds a file to a case. `role` is `material`, `paper` or `container`.
pub async fn add_file(
    tx: &mut Tx,
    no: CaseNo,
    role: &str,
    seq: u64,
    file: &Stored,
    key: &Key,
) -> Result<(), ExchangeError> {
    let plain = serde_json::to_vec(file).map_err(|e| ExchangeError::Message(e.to_string()))?;
    sqlx::query("INSERT INTO case_file (no, path, role, seq, vault, sealed) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(no.to_string())
        .bind(&file.path)
        .bind(role)
        .bind(seq as i64)
        .bind(&file.kept.id)
        .bind(key.seal(&format!("file/{}", file.path), &plain)?)
        .execute(tx.run())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Whether any case names a file of the vault.
pub async fn is_named(tx: &mut Tx, vault: &str) -> Result<bool, StoreError> {
    let row =
        sqlx::query("SELECT no FROM case_file WHERE vault = $1 LIMIT 1").bind(vault).fetch_optional(tx.run()).await?;
    Ok(row.is_some())
}

/// The files of a case, in the order they came.
pub async fn files(tx: &mut Tx, no: CaseNo, key: &Key) -> Result<Vec<PaperRow>, ExchangeError> {
    let rows = sqlx::query("SELECT path, role, seq, sealed FROM case_file WHERE no = $1 ORDER BY seq, path")
        .bind(no.to_string())
        .fetch_all(tx.run())
        .await
        .map_err(StoreError::from)?;
    rows.iter().map(|row| paper_row(row, key)).collect()
}

fn paper_row(row: &AnyRow, key: &Key) -> Result<PaperRow, ExchangeError> {
    let path: String = row.try_get("path").map_err(StoreError::from)?;
    let sealed: Vec<u8> = row.try_get("sealed").map_err(StoreError::from)?;
    let plain = key.open(&format!("file/{path}"), &sealed)?;
    Ok(PaperRow {
        role: row.try_get("role").map_err(StoreError::from)?,
        seq: row.try_get::<i64, _>("seq").map_err(StoreError::from)? as u64,
        stored: serde_json::from_slice(&plain).map_err(|e| StoreError::unreadable("file", e))?,
    })
}

/// The receipt given for a message, if it came before. `Err` when the same id came with other bytes.
pub async fn received(tx: &mut Tx, id: &str, digest: Digest) -> Result<Option<String>, ExchangeError> {
    let row = sqlx::query("SELECT digest, receipt FROM inbox WHERE id = $1")
        .bind(id)
        .fetch_optional(tx.run())
        .await
        .map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(None) };
    let was: String = row.try_get(0).map_err(StoreError::from)?;
    if was != digest.to_string() {
        return Err(ExchangeError::Message("this message id came before with other content".into()));
    }
    Ok(Some(row.try_get(1).map_err(StoreError::from)?))
}

pub async fn receive(tx: &mut Tx, id: &str, digest: Digest, receipt: &str, now: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO inbox (id, at, digest, receipt) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(now.0)
        .bind(digest.to_string())
        .bind(receipt)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// Replaces the receipt of a message by the one that names its line in the log.
pub async fn receipt(tx: &mut Tx, id: &str, receipt: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE inbox SET receipt = $1 WHERE id = $2").bind(receipt).bind(id).execute(tx.run()).await?;
    Ok(())
}

/// The case a filing key was used for. `Err` when the key came with another content.
pub async fn filed(tx: &mut Tx, key: &str, digest: Digest) -> Result<Option<CaseNo>, ExchangeError> {
    let row = sqlx::query("SELECT digest, no FROM filing WHERE key = $1")
        .bind(key)
        .fetch_optional(tx.run())
        .await
        .map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(None) };
    let (was, no): (String, String) =
        (row.try_get(0).map_err(StoreError::from)?, row.try_get(1).map_err(StoreError::from)?);
    if was != digest.to_string() {
        return Err(ExchangeError::KeyReused);
    }
    no.parse().map(Some).map_err(|e| StoreError::unreadable("case number", e).into())
}

pub async fn remember_filing(tx: &mut Tx, key: &str, digest: Digest, no: CaseNo) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO filing (key, digest, no) VALUES ($1, $2, $3)")
        .bind(key)
        .bind(digest.to_string())
        .bind(no.to_string())
        .execute(tx.run())
        .await?;
    Ok(())
}

/// Frees a filing key.
pub async fn forget_filing(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM filing WHERE key = $1").bind(key).execute(tx.run()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn day() -> Day {
        "2026-11-25".parse().unwrap()
    }

    #[tokio::test]
    async fn a_hold_waits_until_what_holds_decide_is_done() {
        for fresh in testing::each(MIGRATIONS).await {
            let no: CaseNo = "4190010000002026021300000017S".parse().unwrap();
            let mut deciding = fresh.store.begin().await.unwrap();
            holds_wait(&mut deciding).await.unwrap();
            assert_eq!(all_held(&mut deciding).await.unwrap(), []);
            let store = fresh.store.clone();
            let laying = tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                hold(&mut tx, no, "FY-1", UnixMillis(1)).await.unwrap();
                tx.commit(()).await.unwrap();
            });
            for _ in 0..20 {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                assert_eq!(all_held(&mut deciding).await.unwrap(), []);
                assert!(!laying.is_finished());
            }
            drop(deciding);
            laying.await.unwrap();
            assert_eq!(all_held(&mut fresh.store.read().await.unwrap()).await.unwrap(), [no]);
        }
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

    #[tokio::test]
    async fn a_message_or_filing_counts_once() {
        for fresh in testing::each(MIGRATIONS).await {
            let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
            let no: CaseNo = "4190010000002026021300000017S".parse().unwrap();
            let mut tx = fresh.store.begin().await.unwrap();
            assert_eq!(received(&mut tx, "m", one).await.unwrap(), None);
            receive(&mut tx, "m", one, "receipt", UnixMillis(0)).await.unwrap();
            assert_eq!(received(&mut tx, "m", one).await.unwrap().as_deref(), Some("receipt"));
            assert!(matches!(received(&mut tx, "m", other).await, Err(ExchangeError::Message(_))));
            remember_filing(&mut tx, "k", one, no).await.unwrap();
            assert_eq!(filed(&mut tx, "k", one).await.unwrap(), Some(no));
            assert!(matches!(filed(&mut tx, "k", other).await, Err(ExchangeError::KeyReused)));
            tx.commit(()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn shredding_empties_a_case() {
        for fresh in testing::each(MIGRATIONS).await {
            let no: CaseNo = "4190010000002026021300000017S".parse().unwrap();
            let mut tx = fresh.store.begin().await.unwrap();
            sqlx::query("INSERT INTO case_key (no, wrapped) VALUES ($1, $2)")
                .bind(no.to_string())
                .bind(vec![1u8, 2, 3])
                .execute(tx.run())
                .await
                .unwrap();
            assert_eq!(wrapped_key(&mut tx, no).await.unwrap(), [1, 2, 3]);
            assert!(shred(&mut tx, no).await.unwrap());
            assert!(matches!(wrapped_key(&mut tx, no).await, Err(ExchangeError::Shredded)));
            assert!(!shred(&mut tx, no).await.unwrap(), "once");
            assert!(hold(&mut tx, no, "dispute", UnixMillis(1)).await.unwrap());
            assert!(!hold(&mut tx, no, "another", UnixMillis(2)).await.unwrap());
            assert_eq!(held(&mut tx, no).await.unwrap().as_deref(), Some("dispute"));
            assert!(release(&mut tx, no).await.unwrap());
            assert_eq!((held(&mut tx, no).await.unwrap(), release(&mut tx, no).await.unwrap()), (None, false));
        }
    }
}
