//! The acts of a case, and which of them the log has.

use sqlx::Row;

use crate::exchange::case::Case;
use crate::exchange::state::State;
use crate::store::{StoreError, Tx};
use crate::terms::{CaseNo, UnixMillis};

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
