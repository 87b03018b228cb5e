//! Leases: of several replicas, one at a time does a thing.

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::UnixMillis;

/// The right to do the named thing until the lease runs out. `fence` grows with every change of holder, so that a
/// late write of an earlier holder can be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub fence: i64,
}

/// Takes or renews the lease `name` for `holder` until `now + ttl_ms`. `None` while somebody else holds it.
pub async fn acquire(
    tx: &mut Tx,
    name: &str,
    holder: &str,
    now: UnixMillis,
    ttl_ms: i64,
) -> Result<Option<Lease>, StoreError> {
    let row = sqlx::query(
        "INSERT INTO lease (name, holder, until, fence) VALUES ($1, $2, $3, 1)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until,
            fence = lease.fence + CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END
         WHERE lease.until <= $4 OR lease.holder = excluded.holder
         RETURNING fence",
    )
    .bind(name)
    .bind(holder)
    .bind(now.0 + ttl_ms)
    .bind(now.0)
    .fetch_optional(tx.run())
    .await?;
    row.map(|row| Ok(Lease { name: name.to_owned(), fence: row.try_get(0)? })).transpose()
}

/// Gives the lease back early.
pub async fn release(tx: &mut Tx, name: &str, holder: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM lease WHERE name = $1 AND holder = $2").bind(name).bind(holder).execute(tx.run()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn one_holder_at_a_time() {
        for fresh in testing::each(&[]).await {
            let rows = [
                ("a", 0, Some(1)),
                ("b", 500, None),      // a still holds it
                ("a", 900, Some(1)),   // renewed
                ("b", 1_500, None),    // until 1,900
                ("b", 1_900, Some(2)), // ran out: a new holder, a new fence
                ("a", 2_000, None),
            ];
            for (holder, at, want) in rows {
                let mut tx = fresh.store.begin().await.unwrap();
                let got = acquire(&mut tx, "deliver", holder, UnixMillis(at), 1_000).await.unwrap();
                tx.commit(()).await.unwrap();
                assert_eq!(got.map(|l| l.fence), want, "{holder} at {at}");
            }
        }
    }
}
