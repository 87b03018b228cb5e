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

/// Takes `key` for a while, for an act whose outcome is not known yet; `false` when it is used, or taken by another. Who
/// dies in between holds nobody up beyond `until`. Ends in [`settle`] or [`release`], which know the claim by its `until`.
pub async fn claim(tx: &mut Tx, key: &str, now: UnixMillis, until: UnixMillis) -> Result<bool, StoreError> {
    let sql = "INSERT INTO once (key, expires) VALUES ($1, $2)
               ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE once.expires <= $3";
    let done = sqlx::query(sql).bind(key).bind(until.0).bind(now.0).execute(tx.run()).await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a claim a use, remembered until `expires`. `false` when the claim ran out and is another's, or forgotten.
pub async fn settle(tx: &mut Tx, key: &str, until: UnixMillis, expires: UnixMillis) -> Result<bool, StoreError> {
    let sql = "UPDATE once SET expires = $1 WHERE key = $2 AND expires = $3";
    let done = sqlx::query(sql).bind(expires.0).bind(key).bind(until.0).execute(tx.run()).await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a claim back unused: the next may have it at once.
pub async fn release(tx: &mut Tx, key: &str, until: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM once WHERE key = $1 AND expires = $2").bind(key).bind(until.0).execute(tx.run()).await?;
    Ok(())
}

/// Whether `key` has been used or is taken, as the store says at this moment.
pub async fn is_there(tx: &mut Tx, key: &str) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT expires FROM once WHERE key = $1").bind(key).fetch_optional(tx.run()).await?;
    Ok(row.is_some())
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

    /// One claim at a time; given back it is free at once, run out it is another's, settled it is used.
    #[tokio::test]
    async fn a_claim_is_settled_given_back_or_runs_out() {
        let at = UnixMillis;
        for fresh in testing::each(&[]).await {
            let mut tx = fresh.store.begin().await.unwrap();
            for (now, until, want) in [(0, 60, true), (1, 61, false), (59, 119, false), (60, 120, true)] {
                assert_eq!(claim(&mut tx, "paper:1", at(now), at(until)).await.unwrap(), want, "{now}");
            }
            assert!(!settle(&mut tx, "paper:1", at(60), at(1_000)).await.unwrap(), "it ran out, and is another's");
            release(&mut tx, "paper:1", at(60)).await.unwrap();
            assert!(!claim(&mut tx, "paper:1", at(70), at(130)).await.unwrap(), "nor is it given back by the first");
            release(&mut tx, "paper:1", at(120)).await.unwrap();
            assert!(claim(&mut tx, "paper:1", at(70), at(130)).await.unwrap(), "given back");
            assert!(settle(&mut tx, "paper:1", at(130), at(1_000)).await.unwrap());
            assert!(!claim(&mut tx, "paper:1", at(999), at(1_059)).await.unwrap(), "used");
            assert!(!first_use(&mut tx, "paper:1", at(1_000)).await.unwrap(), "used, whichever way it is asked");
            assert!(!settle(&mut tx, "paper:2", at(130), at(1_000)).await.unwrap(), "never claimed");
            assert!(is_there(&mut tx, "paper:1").await.unwrap() && !is_there(&mut tx, "paper:2").await.unwrap());
        }
    }

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
