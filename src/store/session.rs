//! Sessions of people at a browser: what is in them is sealed by whoever keeps it.

use super::{StoreError, Tx};
use crate::terms::UnixMillis;

/// Keeps a session under the digest of its number.
pub async fn put(tx: &mut Tx, id: &str, sealed: &str, expires: UnixMillis) -> Result<(), StoreError> {
    let sql = "INSERT INTO session (id, body, expires) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(id).bind(sealed).bind(expires.0).execute(tx.run()).await?;
    Ok(())
}

/// The session, while it lasts.
pub async fn get(tx: &mut Tx, id: &str, now: UnixMillis) -> Result<Option<String>, StoreError> {
    use sqlx::Row;
    let sql = "SELECT body FROM session WHERE id = $1 AND expires > $2";
    let row = sqlx::query(sql).bind(id).bind(now.0).fetch_optional(tx.run()).await?;
    Ok(row.map(|row| row.try_get("body")).transpose()?)
}

pub async fn remove(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM session WHERE id = $1").bind(id).execute(tx.run()).await?;
    Ok(())
}

/// Forgets what has expired.
pub async fn forget_expired(tx: &mut Tx, now: UnixMillis) -> Result<u64, StoreError> {
    Ok(sqlx::query("DELETE FROM session WHERE expires <= $1").bind(now.0).execute(tx.run()).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn a_session_lasts_until_its_time_or_its_end() {
        for fresh in testing::each(&[]).await {
            let mut tx = fresh.store.begin().await.unwrap();
            put(&mut tx, "a", "sealed", UnixMillis(100)).await.unwrap();
            put(&mut tx, "b", "sealed", UnixMillis(50)).await.unwrap();
            assert_eq!(get(&mut tx, "a", UnixMillis(99)).await.unwrap().as_deref(), Some("sealed"));
            assert_eq!(get(&mut tx, "a", UnixMillis(100)).await.unwrap(), None);
            assert_eq!(forget_expired(&mut tx, UnixMillis(60)).await.unwrap(), 1);
            remove(&mut tx, "a").await.unwrap();
            assert_eq!(get(&mut tx, "a", UnixMillis(1)).await.unwrap(), None);
            tx.commit(()).await.unwrap();
        }
    }
}
