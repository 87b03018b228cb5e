//! The newest checkpoint of each log that works with this store: a folder restored from an older copy is told from it.

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::Digest;

/// Remembers that the log of `origin` has a checkpoint of `size` entries with this root; a smaller one changes nothing.
pub async fn keep(tx: &mut Tx, origin: &str, size: u64, root: Digest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO log_head (origin, size, root) VALUES ($1, $2, $3)
         ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root
         WHERE log_head.size < excluded.size",
    )
    .bind(origin)
    .bind(size as i64)
    .bind(root.to_string())
    .execute(tx.run())
    .await?;
    Ok(())
}

/// Size and root of the newest checkpoint that is remembered.
pub async fn newest(tx: &mut Tx, origin: &str) -> Result<Option<(u64, Digest)>, StoreError> {
    let sql = "SELECT size, root FROM log_head WHERE origin = $1";
    let Some(row) = sqlx::query(sql).bind(origin).fetch_optional(tx.run()).await? else { return Ok(None) };
    let (size, root): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let root = root.parse().map_err(|e| StoreError::unreadable("the root of a checkpoint", e))?;
    Ok(Some((size as u64, root)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn the_largest_is_kept_for_each_log() {
        for fresh in testing::each(&[]).await {
            let mut tx = fresh.store.begin().await.unwrap();
            for (origin, size) in [("a", 5), ("a", 9), ("b", 2), ("a", 7)] {
                keep(&mut tx, origin, size, Digest::of(&[size as u8])).await.unwrap();
            }
            for (origin, want) in [("a", Some(9)), ("b", Some(2)), ("c", None)] {
                let want = want.map(|size: u64| (size, Digest::of(&[size as u8])));
                assert_eq!(newest(&mut tx, origin).await.unwrap(), want, "{origin}");
            }
            tx.commit(()).await.unwrap();
        }
    }
}
