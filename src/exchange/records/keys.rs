//! Keys of cases: to be destroyed, and kept from it.

use sqlx::Row;

use crate::exchange::ExchangeError;
use crate::store::{Dialect, StoreError, Tx};
use crate::terms::{CaseNo, UnixMillis};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::records::MIGRATIONS;
    use crate::store::testing;

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
