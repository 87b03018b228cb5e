//! What was ended before its time, until its time is over: every replica reads the same list.

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::UnixMillis;

/// Something that ended: `kind` says what `id` names, `issuer` whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    pub kind: String,
    pub issuer: String,
    pub id: String,
    /// When it ended.
    pub at: UnixMillis,
}

/// Remembers an end until `expires`; a later end of the same thing counts.
pub async fn add(tx: &mut Tx, end: &Revoked, expires: UnixMillis) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO revoked (kind, issuer, id, at, expires) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (kind, issuer, id) DO UPDATE SET at = excluded.at, expires = excluded.expires
         WHERE revoked.at < excluded.at",
    )
    .bind(&end.kind)
    .bind(&end.issuer)
    .bind(&end.id)
    .bind(end.at.0)
    .bind(expires.0)
    .execute(tx.run())
    .await?;
    Ok(())
}

/// Whether one thing has ended, as the store says at this moment.
pub async fn is_there(tx: &mut Tx, kind: &str, issuer: &str, id: &str, now: UnixMillis) -> Result<bool, StoreError> {
    let sql = "SELECT at FROM revoked WHERE kind = $1 AND issuer = $2 AND id = $3 AND expires > $4";
    let row = sqlx::query(sql).bind(kind).bind(issuer).bind(id).bind(now.0).fetch_optional(tx.run()).await?;
    Ok(row.is_some())
}

/// Takes an end back.
pub async fn remove(tx: &mut Tx, kind: &str, issuer: &str, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM revoked WHERE kind = $1 AND issuer = $2 AND id = $3")
        .bind(kind)
        .bind(issuer)
        .bind(id)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// All ends that still matter.
pub async fn all(tx: &mut Tx, now: UnixMillis) -> Result<Vec<Revoked>, StoreError> {
    let sql = "SELECT kind, issuer, id, at FROM revoked WHERE expires > $1 ORDER BY at";
    let rows = sqlx::query(sql).bind(now.0).fetch_all(tx.run()).await?;
    rows.iter()
        .map(|row| {
            Ok(Revoked {
                kind: row.try_get("kind")?,
                issuer: row.try_get("issuer")?,
                id: row.try_get("id")?,
                at: UnixMillis(row.try_get("at")?),
            })
        })
        .collect()
}

/// Forgets the rest.
pub async fn forget_expired(tx: &mut Tx, now: UnixMillis) -> Result<u64, StoreError> {
    Ok(sqlx::query("DELETE FROM revoked WHERE expires <= $1").bind(now.0).execute(tx.run()).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn ends_are_remembered_as_long_as_they_matter() {
        for fresh in testing::each(&[]).await {
            let end = |id: &str, at| Revoked {
                kind: "session".into(),
                issuer: "i".into(),
                id: id.into(),
                at: UnixMillis(at),
            };
            let mut tx = fresh.store.begin().await.unwrap();
            for (id, at, expires) in [("a", 5, 100), ("b", 6, 50), ("a", 9, 120), ("a", 7, 300)] {
                add(&mut tx, &end(id, at), UnixMillis(expires)).await.unwrap();
            }
            assert_eq!(all(&mut tx, UnixMillis(40)).await.unwrap(), [end("b", 6), end("a", 9)]);
            assert_eq!(all(&mut tx, UnixMillis(60)).await.unwrap(), [end("a", 9)]);
            remove(&mut tx, "session", "i", "a").await.unwrap();
            assert_eq!(all(&mut tx, UnixMillis(60)).await.unwrap(), []);
            add(&mut tx, &end("a", 9), UnixMillis(120)).await.unwrap();
            assert_eq!(forget_expired(&mut tx, UnixMillis(120)).await.unwrap(), 2);
            tx.commit(()).await.unwrap();
        }
    }
}
