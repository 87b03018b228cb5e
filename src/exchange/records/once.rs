//! What counts once, however often it comes: messages of peers, and filings under one key.

use sqlx::Row;

use crate::exchange::ExchangeError;
use crate::store::{StoreError, Tx};
use crate::terms::{CaseNo, Digest, UnixMillis};

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
    use crate::exchange::records::MIGRATIONS;
    use crate::store::testing;

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
}
