//! A search index of one log: SQLite, in a file of its own beside the log's folder, made from the log and made again
//! whenever it is damaged. Never the record of truth: [`super::search_rows`] believes no row of it.
//!
//! ```text
//!  word   (field, value, at)    by case · person · actor · outlet · item · kind · decision
//!  moment (at, ts)              by time
//!  intent (leaf, case, at)      what closes an intent belongs to its case
//!  head   (key, next, leaf)     which log, how far, and the leaf hash of the last entry
//! ```
//! It holds what the log holds in clear, pseudonyms and codes, and is readable by its owner alone.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::Row;

use super::rows::{Rows, joined, wanted};
use super::{Filter, Page, Place};
use crate::audit::note::VerifierKey;
use crate::store::{Migration, Store, StoreError, Tx};
use crate::terms::Digest;

/// The tables. Another layout is another version: an index that is not of this one is made anew.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 3901,
    name: "a search index of a log",
    sql: "CREATE TABLE head (log_key TEXT PRIMARY KEY, next BIGINT NOT NULL, leaf TEXT NOT NULL);
          CREATE TABLE word (field BIGINT NOT NULL, value TEXT NOT NULL, at BIGINT NOT NULL,
            PRIMARY KEY (field, value, at)) WITHOUT ROWID;
          CREATE TABLE moment (at BIGINT PRIMARY KEY, ts BIGINT NOT NULL) WITHOUT ROWID;
          CREATE INDEX moment_ts ON moment (ts);
          CREATE TABLE intent (leaf TEXT PRIMARY KEY, case_id TEXT NOT NULL, at BIGINT NOT NULL) WITHOUT ROWID;
          CREATE INDEX intent_case ON intent (case_id)",
}];

/// What an index says; to be believed of no entry.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Entries of the page, in order.
    pub page: Vec<u64>,
    /// Intents of the case that is looked for.
    pub intents: Vec<u64>,
    /// All that fit from the page's first index on.
    pub matched: u64,
    pub unread: u64,
    /// Entries below are in the index.
    pub indexed: u64,
    /// The last of them.
    pub last: Option<Place>,
}

/// An open index.
#[derive(Clone, Debug)]
pub struct Index {
    store: Store,
    key: String,
}

/// Where the index of a log's folder is: beside it, so that the folder holds the log alone.
pub fn beside(log: &Path) -> PathBuf {
    let log = log.components().as_path(); // without a slash at its end
    let mut name = log.file_name().unwrap_or_default().to_owned();
    name.push("-index.db");
    log.with_file_name(name)
}

fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Whether an error says that the file is no index of ours, rather than that it cannot be reached now.
pub(super) fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Newer { .. } | StoreError::Drift(_) | StoreError::Unreadable { .. } => true,
        // SQLITE_ERROR: tables are missing; SQLITE_CORRUPT; SQLITE_NOTADB. Extended codes keep them in the low octet.
        StoreError::Sql(sqlx::Error::Database(e)) => {
            let code = e.code().and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 1 | 11 | 26 | 19))
        }
        StoreError::Sql(sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_)) => true,
        StoreError::Sql(_) | StoreError::Conflict(_) => false,
    }
}

impl Index {
    /// Opens the index in the file at `path`, or makes one. One that is damaged, of another log or of another layout
    /// is thrown away.
    ///
    /// # Errors
    /// A disk that does not let us.
    pub async fn open(path: &Path, key: &VerifierKey) -> Result<Self, StoreError> {
        match Self::try_open(path, key).await {
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, file = %path.display(), "the search index is made anew");
                Self::remove(path)?;
                Self::try_open(path, key).await
            }
            other => other,
        }
    }

    async fn try_open(path: &Path, key: &VerifierKey) -> Result<Self, StoreError> {
        if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            // A pool tries a file that is no database again and again; one connection says at once what is wrong.
            Self::probed(path).await?;
        }
        let store = Store::open(&format!("sqlite:{}", path.display()), MIGRATIONS).await?;
        let index = Self { store, key: key.to_string() };
        match index.checked().await {
            Ok(()) => Ok(index),
            Err(error) => {
                index.close().await;
                Err(error)
            }
        }
    }

    async fn probed(path: &Path) -> Result<(), StoreError> {
        let store = Store::open_to_read(path).await?;
        let mut tx = store.read().await?;
        let read = sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(tx.run()).await;
        drop(tx);
        store.close().await;
        Ok(read.map(drop)?)
    }

    /// An index that is there, to be read only; nothing is made or mended.
    ///
    /// # Errors
    /// There is none, or it is damaged, or of another log.
    pub async fn open_to_read(path: &Path, key: &VerifierKey) -> Result<Self, StoreError> {
        let store = Store::open_to_read(path).await?;
        let index = Self { store, key: key.to_string() };
        match index.checked().await {
            Ok(()) => Ok(index),
            Err(error) => {
                index.close().await;
                Err(error)
            }
        }
    }

    async fn checked(&self) -> Result<(), StoreError> {
        let mut tx = self.store.read().await?;
        let row = sqlx::query("SELECT log_key FROM head").fetch_optional(tx.run()).await?;
        let key: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        match key {
            Some(key) if key != self.key => Err(StoreError::unreadable("the search index", "it is of another log")),
            _ => Ok(()),
        }
    }

    /// Throws an index away; a file that is not there is no error.
    ///
    /// # Errors
    /// A disk that does not let us.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        for file in files(path) {
            match std::fs::remove_file(file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(sqlx::Error::Io(e).into()),
                _ => {}
            }
        }
        Ok(())
    }

    pub async fn close(&self) {
        self.store.close().await;
    }

    /// How far the index goes: the entry to go on with, and the last one that is in it.
    pub async fn head(&self) -> Result<(u64, Option<Place>), StoreError> {
        head(&mut self.store.read().await?).await
    }

    /// Takes entries from `first` on, where the index ends; all of them or none. Gives the entry to go on with.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the index does not end there: another process writes it, too.
    pub async fn add(&self, first: u64, entries: &[Vec<u8>]) -> Result<u64, StoreError> {
        let rows = Rows::of(first, entries);
        let mut tx = self.store.begin().await?;
        if head(&mut tx).await?.0 != first {
            return Err(StoreError::Conflict("the search index"));
        }
        let Some(last) = rows.last else { return Ok(first) };
        for (sql, list) in [
            (
                "INSERT OR IGNORE INTO intent (leaf, case_id, at) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1)",
                rows.intents,
            ),
            (
                "INSERT OR IGNORE INTO word (field, value, at) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1)",
                rows.words,
            ),
            ("INSERT OR IGNORE INTO moment (at, ts) SELECT value ->> 0, value ->> 1 FROM json_each($1)", rows.moments),
            (
                "INSERT OR IGNORE INTO word (field, value, at) SELECT 1, intent.case_id, value ->> 1 FROM json_each($1)
              JOIN intent ON intent.leaf = value ->> 0",
                rows.closing,
            ),
        ] {
            sqlx::query(sql).bind(Value::Array(list).to_string()).execute(tx.run()).await?;
        }
        let next = last.index + 1;
        sqlx::query(
            "INSERT INTO head (log_key, next, leaf) VALUES ($1, $2, $3)
             ON CONFLICT (log_key) DO UPDATE SET next = excluded.next, leaf = excluded.leaf",
        )
        .bind(&self.key)
        .bind(next as i64)
        .bind(last.leaf.to_string())
        .execute(tx.run())
        .await?;
        tx.commit(()).await?;
        Ok(next)
    }

    /// Passes over entries that the log does not hold any more, and forgets what is known of those below `minimum`.
    pub async fn prune(&self, minimum: u64, leaf: &Digest) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        for sql in
            ["DELETE FROM word WHERE at < $1", "DELETE FROM moment WHERE at < $1", "DELETE FROM intent WHERE at < $1"]
        {
            sqlx::query(sql).bind(minimum as i64).execute(tx.run()).await?;
        }
        sqlx::query(
            "INSERT INTO head (log_key, next, leaf) VALUES ($1, $2, $3)
             ON CONFLICT (log_key) DO UPDATE SET next = excluded.next, leaf = excluded.leaf
             WHERE head.next < excluded.next",
        )
        .bind(&self.key)
        .bind(minimum as i64)
        .bind(leaf.to_string())
        .execute(tx.run())
        .await?;
        tx.commit(()).await?;
        Ok(())
    }

    /// Entries below `size` that fit, as the rows say.
    pub async fn find(&self, filter: &Filter, page: Page, size: u64) -> Result<Candidates, StoreError> {
        let mut tx = self.store.read().await?;
        let (indexed, last) = head(&mut tx).await?;
        let mut found = Candidates { indexed, last, ..Candidates::default() };
        let words = wanted(filter);
        let limit = page.limit.min(i64::MAX as usize) as i64;
        let (joined, binds) = joined(&words, filter);
        // What it has beyond its own end is read in the log.
        let within = [page.from as i64, size.min(indexed).min(i64::MAX as u64) as i64];
        let mut count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {joined}")));
        let mut rows = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!(
            "SELECT at0 {joined} ORDER BY at0 LIMIT {limit} OFFSET {}",
            page.skip.min(i64::MAX as u64)
        )));
        for text in &binds {
            (count, rows) = (count.bind(text.clone()), rows.bind(text.clone()));
        }
        for number in within {
            (count, rows) = (count.bind(number), rows.bind(number));
        }
        found.matched = count.fetch_one(tx.run()).await?.max(0) as u64;
        found.page = rows.fetch_all(tx.run()).await?.into_iter().map(|at| at.max(0) as u64).collect();
        if let Some(case) = filter.case {
            let rows = sqlx::query_scalar::<_, i64>("SELECT at FROM intent WHERE case_id = $1 ORDER BY at");
            let rows = rows.bind(case.to_string()).fetch_all(tx.run()).await?;
            found.intents = rows.into_iter().map(|at| at.max(0) as u64).collect();
        }
        let unread = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM word WHERE field = 8");
        found.unread = unread.fetch_one(tx.run()).await?.max(0) as u64;
        Ok(found)
    }
}

async fn head(tx: &mut Tx) -> Result<(u64, Option<Place>), StoreError> {
    let row = sqlx::query("SELECT next, leaf FROM head").fetch_optional(tx.run()).await?;
    let Some(row) = row else { return Ok((0, None)) };
    let (next, leaf): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let leaf: Digest = leaf.parse().map_err(|_| StoreError::unreadable("the search index", "its last leaf hash"))?;
    let next = next.max(0) as u64;
    Ok((next, next.checked_sub(1).map(|index| Place { index, leaf })))
}
