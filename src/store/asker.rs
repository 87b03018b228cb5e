//! Who asked about what: every replica knows whom to tell when it changes, also after a restart.

use std::collections::BTreeSet;

use sqlx::Row;

use super::{StoreError, Tx};
use crate::terms::UnixMillis;

/// Remembers until `expires` that `peer` asked for this resource of this person, by pseudonym; a later time counts.
pub async fn note(
    tx: &mut Tx,
    (resource, subject): (&str, &str),
    peer: &str,
    expires: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO asker (resource, subject, peer, expires) VALUES ($1, $2, $3, $4)
         ON CONFLICT (resource, subject, peer) DO UPDATE SET expires = excluded.expires
         WHERE asker.expires < excluded.expires",
    )
    .bind(resource)
    .bind(subject)
    .bind(peer)
    .bind(expires.0)
    .execute(tx.run())
    .await?;
    Ok(())
}

/// Peers that asked for a resource of this person, or of anybody.
pub async fn of(
    tx: &mut Tx,
    resource: &str,
    subject: Option<&str>,
    now: UnixMillis,
) -> Result<BTreeSet<String>, StoreError> {
    let rows = match subject {
        Some(subject) => {
            let sql = "SELECT DISTINCT peer FROM asker WHERE resource = $1 AND subject = $2 AND expires > $3";
            sqlx::query(sql).bind(resource).bind(subject).bind(now.0).fetch_all(tx.run()).await?
        }
        None => {
            let sql = "SELECT DISTINCT peer FROM asker WHERE resource = $1 AND expires > $2";
            sqlx::query(sql).bind(resource).bind(now.0).fetch_all(tx.run()).await?
        }
    };
    rows.iter().map(|row| Ok(row.try_get("peer")?)).collect()
}

/// Forgets what a peer asked for longest ago, beyond `keep` rows of its own.
pub async fn forget_oldest(tx: &mut Tx, peer: &str, keep: u32) -> Result<u64, StoreError> {
    // SQLite takes an OFFSET only after a LIMIT.
    let done = sqlx::query(
        "DELETE FROM asker WHERE (resource, subject, peer) IN
         (SELECT resource, subject, peer FROM asker WHERE peer = $1 ORDER BY expires DESC LIMIT $2 OFFSET $3)",
    )
    .bind(peer)
    .bind(i64::from(u32::MAX))
    .bind(i64::from(keep))
    .execute(tx.run())
    .await?;
    Ok(done.rows_affected())
}

/// Forgets at most `limit` that have expired: there may be as many as peers have asked.
pub async fn forget_expired(tx: &mut Tx, now: UnixMillis, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM asker WHERE (resource, subject, peer) IN
         (SELECT resource, subject, peer FROM asker WHERE expires <= $1 ORDER BY expires LIMIT $2)",
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
    async fn whoever_asked_is_known_for_a_while() {
        for fresh in testing::each(&[]).await {
            let mut tx = fresh.store.begin().await.unwrap();
            for (resource, subject, peer, expires) in [
                ("DR-HH", "zhang", "gw-b", 100),
                ("DR-HH", "zhang", "gw-c", 50),
                ("DR-HH", "li", "gw-d", 100),
                ("DR-TAX", "zhang", "gw-e", 100),
                ("DR-HH", "zhang", "gw-c", 120), // asked again
                ("DR-HH", "zhang", "gw-b", 60),  // later news of an earlier question
            ] {
                note(&mut tx, (resource, subject), peer, UnixMillis(expires)).await.unwrap();
            }
            for (subject, now, want) in [
                (Some("zhang"), 60, &["gw-b", "gw-c"][..]),
                (Some("zhang"), 110, &["gw-c"]),
                (None, 60, &["gw-b", "gw-c", "gw-d"]),
                (Some("nobody"), 60, &[]),
            ] {
                let got = of(&mut tx, "DR-HH", subject, UnixMillis(now)).await.unwrap();
                assert_eq!(got.iter().collect::<Vec<_>>(), want, "{subject:?} at {now}");
            }
            for gone in [2, 1, 0] {
                assert_eq!(forget_expired(&mut tx, UnixMillis(110), 2).await.unwrap(), gone);
            }
            tx.commit(()).await.unwrap();
        }
    }
}
