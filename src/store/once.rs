//! Things that may be used once: DPoP proofs, tickets, one-use mandates, idempotency keys.

use super::{StoreError, Tx};
use crate::terms::UnixMillis;

/// Remembers `key` until `expires`. `false` when it was used before: the second use loses, also when both come at once
/// or at two replicas. The memory survives a restart.
pub async fn first_use(tx: &mut Tx, key: &str, expires: UnixMillis) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT INTO once (key, expires) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
        .bind(key)
        .bind(expires.0)
        .execute(tx.run())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets what has expired; at most `limit` rows a call, so that a flood of proofs never stalls the store.
pub async fn forget_expired(tx: &mut Tx, now: UnixMillis, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE expires <= $1 ORDER BY expires LIMIT $2)",
    )
    .bind(now.0)
    .bind(limit)
    .execute(tx.run())
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn thirty_at_once_one_wins() {
        for fresh in testing::each(&[]).await {
            let tries: Vec<_> = (0..30)
                .map(|_| {
                    let store = fresh.store.clone();
                    tokio::spawn(async move {
                        let mut tx = store.begin().await.unwrap();
                        let first = first_use(&mut tx, "dpop:abc", UnixMillis(1_000)).await.unwrap();
                        tx.commit(first).await.unwrap().into_inner()
                    })
                })
                .collect();
            let mut won = 0;
            for t in tries {
                won += usize::from(t.await.unwrap());
            }
            assert_eq!(won, 1);
            let mut tx = fresh.store.begin().await.unwrap();
            assert_eq!(forget_expired(&mut tx, UnixMillis(999), 10).await.unwrap(), 0);
            assert_eq!(forget_expired(&mut tx, UnixMillis(1_000), 10).await.unwrap(), 1);
            assert!(first_use(&mut tx, "dpop:abc", UnixMillis(2_000)).await.unwrap());
        }
    }
}
