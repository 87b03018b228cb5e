//! Counters per day: quotas that survive a restart and are shared by replicas.

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::Day;

/// One counter to take a unit from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// What is counted, e.g. `outlet:PSBC-440305-01`. Never a person's number in clear.
    pub key: String,
    pub limit: i64,
}

/// Takes one unit from every counter, or from none: `Err(index)` names the first that is used up, and the caller must
/// then drop the transaction. Counters are taken in the order of their keys, so that two takers never wait for each
/// other in a circle.
pub async fn take(tx: &mut Tx, counters: &[Counter], day: Day) -> Result<Result<(), usize>, StoreError> {
    let mut order: Vec<usize> = (0..counters.len()).collect();
    order.sort_by(|a, b| counters[*a].key.cmp(&counters[*b].key));
    for index in order {
        let counter = &counters[index];
        let taken = sqlx::query(
            "INSERT INTO counter (key, day, used) SELECT $1, $2, 1 WHERE $3 > 0
             ON CONFLICT (key, day) DO UPDATE SET used = counter.used + 1 WHERE counter.used < $3",
        )
        .bind(&counter.key)
        .bind(day.to_string())
        .bind(counter.limit)
        .execute(tx.run())
        .await?;
        if taken.rows_affected() == 0 {
            return Ok(Err(index));
        }
    }
    Ok(Ok(()))
}

/// Units used of one counter on one day.
pub async fn used(tx: &mut Tx, key: &str, day: Day) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT used FROM counter WHERE key = $1 AND day = $2")
        .bind(key)
        .bind(day.to_string())
        .fetch_optional(tx.run())
        .await?;
    Ok(row.map(|r| r.try_get(0)).transpose()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn a_quota_raced_by_many_is_never_overdrawn() {
        for fresh in testing::each(&[]).await {
            let day: Day = "2026-11-25".parse().unwrap();
            let tries = (0..40).map(|n| {
                let store = fresh.store.clone();
                tokio::spawn(async move {
                    let counters = [
                        Counter { key: "outlet:1".into(), limit: 10 },
                        Counter { key: format!("clerk:{}", n % 2), limit: 100 },
                    ];
                    let mut tx = store.begin().await.unwrap();
                    match take(&mut tx, &counters, day).await.unwrap() {
                        Ok(()) => tx.commit(()).await.map(|_| true).unwrap(),
                        Err(index) => {
                            assert_eq!(index, 0);
                            false
                        }
                    }
                })
            });
            let mut won = 0;
            for t in tries.collect::<Vec<_>>() {
                won += usize::from(t.await.unwrap());
            }
            assert_eq!(won, 10);
            let mut tx = fresh.store.read().await.unwrap();
            assert_eq!(used(&mut tx, "outlet:1", day).await.unwrap(), 10);
            let clerks = used(&mut tx, "clerk:0", day).await.unwrap() + used(&mut tx, "clerk:1", day).await.unwrap();
            assert_eq!(clerks, 10, "a refusal takes nothing from any counter");
        }
    }
}
