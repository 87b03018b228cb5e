//! Forward-only migrations, each applied once, in order, and remembered with its digest.

use sqlx::{AssertSqlSafe, Row};

use super::{Dialect, Store, StoreError, Tx};
use crate::terms::Digest;

/// One step of the schema. Versions are numbered by room (e.g. 2001 is step 1 of room 2) and never change once
/// released.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    /// Statements for both stores; `{bytes}` becomes the type of octet strings.
    pub sql: &'static str,
}

/// The tables of this room.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1001,
    name: "leases, counters, things used once",
    sql:
        "CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL, fence BIGINT NOT NULL);
          CREATE TABLE counter (key TEXT NOT NULL, day TEXT NOT NULL, used BIGINT NOT NULL, PRIMARY KEY (key, day));
          CREATE TABLE once (key TEXT PRIMARY KEY, expires BIGINT NOT NULL);
          CREATE INDEX once_expires ON once (expires);",
}, Migration {
    version: 1002,
    name: "what was ended before its time",
    sql: "CREATE TABLE revoked (kind TEXT NOT NULL, issuer TEXT NOT NULL, id TEXT NOT NULL, at BIGINT NOT NULL,
            expires BIGINT NOT NULL, PRIMARY KEY (kind, issuer, id))",
}, Migration {
    version: 1003,
    name: "the newest checkpoint of each log",
    sql: "CREATE TABLE log_head (origin TEXT PRIMARY KEY, size BIGINT NOT NULL, root TEXT NOT NULL)",
}, Migration {
    version: 1004,
    name: "sessions of people at a browser",
    sql: "CREATE TABLE session (id TEXT PRIMARY KEY, body TEXT NOT NULL, expires BIGINT NOT NULL)",
}, Migration {
    version: 1005,
    name: "the key of each log",
    sql: "ALTER TABLE log_head ADD COLUMN log_key TEXT",
}, Migration {
    version: 1006,
    name: "peers that asked for shared data",
    sql: "CREATE TABLE asker (resource TEXT NOT NULL, subject TEXT NOT NULL, peer TEXT NOT NULL, expires BIGINT NOT NULL,
            PRIMARY KEY (resource, subject, peer));
          CREATE INDEX asker_expires ON asker (expires);",
}, Migration {
    version: 1007,
    name: "what each peer asked for, by age",
    sql: "CREATE INDEX asker_peer ON asker (peer, expires)",
}];

/// A number for PostgreSQL's advisory lock, so that two replicas starting together migrate one after the other.
const ADVISORY_LOCK: i64 = 0x746f_6e67_6261_6e01;

pub(super) async fn run(store: &Store, migrations: &[Migration]) -> Result<(), StoreError> {
    let mut all: Vec<&Migration> = MIGRATIONS.iter().chain(migrations).collect();
    all.sort_by_key(|m| m.version);
    let mut tx = store.begin().await?;
    if store.dialect() == Dialect::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADVISORY_LOCK).execute(tx.run()).await?;
    }
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)",
    )
    .execute(tx.run())
    .await?;
    let applied = applied(&mut tx).await?;
    let known = all.last().map_or(0, |m| m.version);
    if let Some((found, _)) = applied.iter().find(|(version, _)| all.iter().all(|m| m.version != *version)) {
        return Err(StoreError::Newer { found: *found, known });
    }
    for migration in all {
        let digest = Digest::of(migration.sql.as_bytes()).to_string();
        match applied.iter().find(|(version, _)| *version == migration.version) {
            Some((_, was)) if *was == digest => {}
            Some(_) => return Err(StoreError::Drift(migration.version)),
            None => apply(&mut tx, migration, &digest).await?,
        }
    }
    tx.commit(()).await?;
    Ok(())
}

async fn applied(tx: &mut Tx) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = sqlx::query("SELECT version, digest FROM migration").fetch_all(tx.run()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn apply(tx: &mut Tx, migration: &Migration, digest: &str) -> Result<(), StoreError> {
    let bytes = match tx.dialect() {
        Dialect::Sqlite => "BLOB",
        Dialect::Postgres => "BYTEA",
    };
    for statement in migration.sql.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let sql = statement.replace("{bytes}", bytes);
        sqlx::query(AssertSqlSafe(sql)).execute(tx.run()).await?;
    }
    sqlx::query("INSERT INTO migration (version, name, digest) VALUES ($1, $2, $3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(digest)
        .execute(tx.run())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration { version: 9001, name: "one", sql: "CREATE TABLE one (n BIGINT, b {bytes})" };

    #[tokio::test]
    async fn a_store_only_goes_forward() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("m.db").display());
        for _ in 0..2 {
            Store::open(&url, &[ONE]).await.unwrap().close().await;
        }
        let older = Store::open(&url, &[]).await;
        assert!(matches!(older, Err(StoreError::Newer { found: 9001, .. })), "{older:?}");
        let changed = Migration { sql: "CREATE TABLE one (n BIGINT)", ..ONE };
        let drift = Store::open(&url, &[changed]).await;
        assert!(matches!(drift, Err(StoreError::Drift(9001))), "{drift:?}");
    }
}
