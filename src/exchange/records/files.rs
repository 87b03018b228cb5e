//! Which files of the vault a case has.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::exchange::message::Stored;
use crate::exchange::vault::Key;
use crate::exchange::{ExchangeError, PaperRow};
use crate::store::{StoreError, Tx};
use crate::terms::CaseNo;

/// Names of all files of a case in the vault: to be forgotten once its key is.
pub async fn vault_names(tx: &mut Tx, no: CaseNo) -> Result<Vec<String>, StoreError> {
    let rows =
        sqlx::query("SELECT vault FROM case_file WHERE no = $1").bind(no.to_string()).fetch_all(tx.run()).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
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
