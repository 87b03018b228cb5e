//! Floor 1: records and transactions, on SQLite or PostgreSQL by one line of configuration.
//!
//! ```text
//!  room/records.rs ──SQL──▶ Tx ──commit──▶ Committed<T>      (only a durable commit can make one)
//!                            │
//!            SQLite: WAL, synchronous=FULL, BEGIN IMMEDIATE (one writer)
//!            PostgreSQL: READ COMMITTED, rows swapped by compare-and-swap
//! ```
//! SQL sits in each room's `records.rs` and takes a [`Tx`], so that one transaction can hold a case, its outbox line
//! and its quota. Statements are written once, with `$1` parameters, BIGINT, TEXT and the token `{bytes}`.
//! Small records that several rooms need are here: [`lease`], [`counter`], [`once`].

pub mod asker;
pub mod counter;
pub mod head;
pub mod lease;
pub mod migrate;
pub mod news;
pub mod once;
pub mod revoked;
pub mod session;

use std::os::unix::fs::OpenOptionsExt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Connection, Executor, Row};

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Told};
pub use migrate::Migration;

tolds! {
    /// The store did not answer, or is full.
    pub const UNAVAILABLE = "TB-STO-0001", 503,
        "系统暂时无法保存，请稍后再试；未显示回执的材料请重新提交。",
        "The gateway cannot save right now. Try again; what has no receipt was not kept.",
        Next::TryLater;
    /// Somebody else changed the same record first.
    pub const CONFLICT = "TB-STO-0002", 409,
        "该记录刚被他人更改，请刷新后再操作。",
        "Somebody else has just changed this record: reload and try again.",
        Next::CorrectAndResend;
    /// The store holds something this program cannot read.
    pub const UNREADABLE = "TB-STO-0003", 500,
        "系统数据异常，已通知运维人员。",
        "A stored record cannot be read; the operator has been told.",
        Next::AskOperator;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

/// What can go wrong between us and the disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("store: {0} was changed by somebody else")]
    Conflict(&'static str),
    #[error("store: {what} cannot be read: {why}")]
    Unreadable { what: &'static str, why: String },
    #[error("store: schema is at version {found}, this program knows up to {known}")]
    Newer { found: i64, known: i64 },
    #[error("store: migration {0} differs from the one that was applied")]
    Drift(i64),
}

impl Explain for StoreError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Sql(_) => &UNAVAILABLE,
            Self::Conflict(_) => &CONFLICT,
            Self::Unreadable { .. } | Self::Newer { .. } | Self::Drift(_) => &UNREADABLE,
        }
    }
}

impl StoreError {
    /// For columns that do not parse back into their type.
    pub fn unreadable(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }

    /// A key that is already there.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(e)) if e.is_unique_violation())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// A pool of connections to one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    url: std::sync::Arc<str>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({:?})", self.dialect) // the address may hold a password
    }
}

/// One transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
pub struct Tx {
    inner: sqlx::Transaction<'static, Any>,
    dialect: Dialect,
}

/// What was decided together with the commit that made it durable. Only [`Tx::commit`] makes one.
#[derive(Debug)]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Committed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// An SQLite file that is made now is for nobody else to read; the files beside it take after it.
fn make_private(url: &str) -> std::io::Result<()> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    if path.is_empty() || path.starts_with(':') || path.contains('?') {
        return Ok(());
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

impl Store {
    /// Opens `sqlite:FILE` or `postgres://…` and brings the schema up to date (forward only).
    ///
    /// # Errors
    /// [`StoreError::Newer`] when the store was written by a newer program, [`StoreError::Drift`] when an applied
    /// migration is not the one we carry.
    pub async fn open(url: &str, migrations: &[Migration]) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = if url.starts_with("sqlite:") { Dialect::Sqlite } else { Dialect::Postgres };
        if dialect == Dialect::Sqlite {
            make_private(url).map_err(sqlx::Error::Io)?;
        }
        let options = AnyConnectOptions::from_str(&Self::url(url, dialect))?;
        let pool = AnyPoolOptions::new()
            .max_connections(if dialect == Dialect::Sqlite { 8 } else { 16 })
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if dialect == Dialect::Sqlite {
                        // FULL: a commit that was answered survives a power cut. secure_delete: what is deleted is gone.
                        connection.execute("PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;").await?;
                    }
                    Ok(())
                })
            })
            .before_acquire(|connection, _| {
                // Where the disk was full a transaction may not have come to its end: such a connection is given up.
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
            .connect_with(options)
            .await?;
        let store = Self { pool, dialect, url: url.into() };
        migrate::run(&store, migrations).await?;
        Ok(store)
    }

    /// Opens an SQLite file that is there, to be read only: nothing is made, nothing is brought up to date.
    ///
    /// # Errors
    /// There is none, or it is no such file.
    pub async fn open_to_read(path: &std::path::Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}?mode=ro", path.display());
        let options = AnyConnectOptions::from_str(&url)?;
        let pool = AnyPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10));
        let pool = pool.connect_with(options).await?;
        Ok(Self { pool, dialect: Dialect::Sqlite, url: url.into() })
    }

    fn url(url: &str, dialect: Dialect) -> String {
        match dialect {
            Dialect::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where other processes may share the store: its address.
    fn shared_url(&self) -> Option<&str> {
        (self.dialect == Dialect::Postgres).then_some(&*self.url)
    }

    /// Begins a transaction that may write. On SQLite the write lock is taken at once, so that a transaction that has
    /// read never fails later because another wrote in between.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = match self.dialect {
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Dialect::Postgres => self.pool.begin().await?,
        };
        Ok(Tx { inner, dialect: self.dialect })
    }

    /// Begins a transaction that only reads.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        Ok(Tx { inner: self.pool.begin().await?, dialect: self.dialect })
    }

    /// Whether the store answers; what readiness asks.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Leaves no copy of what was deleted in the store's own files: SQLite's write-ahead file is emptied. Whether it
    /// could be; a reader that is at work is waited for. PostgreSQL keeps dead rows until `VACUUM FULL`.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        if self.dialect == Dialect::Postgres {
            return Ok(false);
        }
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Tx {
    /// The connection, for `sqlx::query(…).execute(tx.run())`.
    pub fn run(&mut self) -> &mut sqlx::AnyConnection {
        &mut self.inner
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Makes everything in this transaction durable and hands `value` on as [`Committed`].
    pub async fn commit<T>(self, value: T) -> Result<Committed<T>, StoreError> {
        self.inner.commit().await?;
        Ok(Committed(value))
    }
}

/// A fresh store for tests of any room: SQLite in a temporary folder, and PostgreSQL too where
/// `TONGBAN_TEST_POSTGRES` names a server (each test gets its own schema).
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) struct Fresh {
        pub store: Store,
        _folder: Option<tempfile::TempDir>,
    }

    pub(crate) async fn each(migrations: &[Migration]) -> Vec<Fresh> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let mut all = vec![Fresh { store: Store::open(&url, migrations).await.unwrap(), _folder: Some(folder) }];
        match std::env::var("TONGBAN_TEST_POSTGRES") {
            Ok(server) => {
                let url = own_schema(&server).await;
                all.push(Fresh { store: Store::open(&url, migrations).await.unwrap(), _folder: None });
            }
            Err(_) => println!("TONGBAN_TEST_POSTGRES is not set: tested on SQLite only"),
        }
        all
    }

    async fn own_schema(server: &str) -> String {
        sqlx::any::install_default_drivers();
        let mut nonce = [0u8; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce).unwrap();
        let schema = format!("t{}", crate::terms::digest::hex(&nonce));
        let pool = AnyPoolOptions::new().max_connections(1).connect(server).await.unwrap();
        let sql = format!("CREATE SCHEMA {schema}");
        pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let joint = if server.contains('?') { '&' } else { '?' };
        format!("{server}{joint}options=-c%20search_path%3D{schema}")
    }
}
