//! The newest checkpoint of each log that works with this store: a folder restored from an older copy is told from it,
//! and replicas learn of each other's logs.

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::Digest;

/// A log as its replica last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub origin: String,
    /// Verifier key of the log; `None` from a gateway that did not say yet.
    pub key: Option<String>,
    /// Entries of its newest checkpoint.
    pub size: u64,
    /// Root of these.
    pub root: Digest,
}

/// Remembers that the log of `origin`, which signs with `key`, has a checkpoint of `size` entries with this root; a smaller
/// one changes nothing.
pub async fn keep(tx: &mut Tx, origin: &str, key: &str, size: u64, root: Digest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO log_head (origin, size, root, log_key) VALUES ($1, $2, $3, $4)
         ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, log_key = excluded.log_key
         WHERE log_head.size <= excluded.size",
    )
    .bind(origin)
    .bind(size as i64)
    .bind(root.to_string())
    .bind(key)
    .execute(tx.run())
    .await?;
    Ok(())
}

/// Size and root of the newest checkpoint that is remembered.
pub async fn newest(tx: &mut Tx, origin: &str) -> Result<Option<(u64, Digest)>, StoreError> {
    let sql = "SELECT size, root FROM log_head WHERE origin = $1";
    let Some(row) = sqlx::query(sql).bind(origin).fetch_optional(tx.run()).await? else { return Ok(None) };
    let (size, root): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some((size as u64, parse(&root)?)))
}

/// All logs that ever worked with this store, by origin.
pub async fn all(tx: &mut Tx) -> Result<Vec<Known>, StoreError> {
    let rows =
        sqlx::query("SELECT origin, log_key, size, root FROM log_head ORDER BY origin").fetch_all(tx.run()).await?;
    let known = |row: &sqlx::any::AnyRow| {
        let (size, root): (i64, String) = (row.try_get(2)?, row.try_get(3)?);
        Ok(Known { origin: row.try_get(0)?, key: row.try_get(1)?, size: size as u64, root: parse(&root)? })
    };
    rows.iter().map(known).collect()
}

fn parse(root: &str) -> Result<Digest, StoreError> {
    root.parse().map_err(|e| StoreError::unreadable("the root of a checkpoint", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn the_largest_is_kept_for_each_log() {
        for fresh in testing::each(&[]).await {
            let mut tx = fresh.store.begin().await.unwrap();
            let root = |size: u64| Digest::of(&[size as u8]);
            for (origin, key, size) in
                [("a", "a+1", 5), ("a", "a+1", 9), ("b", "b+1", 2), ("a", "a+0", 7), ("b", "b+2", 2)]
            {
                keep(&mut tx, origin, key, size, root(size)).await.unwrap();
            }
            for (origin, want) in [("a", Some(9)), ("b", Some(2)), ("c", None)] {
                assert_eq!(newest(&mut tx, origin).await.unwrap(), want.map(|n| (n, root(n))), "{origin}");
            }
            let known = |origin: &str, key: &str, size| Known {
                origin: origin.into(),
                key: Some(key.into()),
                size,
                root: root(size),
            };
            assert_eq!(all(&mut tx).await.unwrap(), [known("a", "a+1", 9), known("b", "b+2", 2)]);
            tx.commit(()).await.unwrap();
        }
    }
}
