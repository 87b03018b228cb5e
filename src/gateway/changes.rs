//! What a gateway works by, and every change of it, on record: configuration, policies, catalogue, directory, contracts,
//! keys.
//!
//! ```text
//!  new versions ─▶ compare with what was in force ─▶ a line for each change ─▶ swap ─▶ remembered
//!                  crash after the line: the next start finds the same difference and says it again
//! ```
//! The line comes first: nothing decides under a version that the log does not name.

use std::fmt;

use sqlx::Row;

use super::ledger;
use super::rooms::Rooms;
use crate::audit::entry::Decision;
use crate::audit::{Entry, Kind};
use crate::store::{Migration, StoreError, Tx};
use crate::terms::{Digest, Refusal, UnixMillis};

pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 6001,
    name: "what was in force last, by log",
    sql: "CREATE TABLE in_force (log TEXT NOT NULL, part TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (log, part))",
}];

/// A part of what the gateway works by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// e.g. `policies`, `key.envelope`.
    pub name: &'static str,
    /// The kind of line that tells of its changes.
    pub kind: Kind,
    pub version: Digest,
}

impl Part {
    pub fn new(name: &'static str, kind: Kind, version: Digest) -> Self {
        Self { name, kind, version }
    }
}

/// A part whose version is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub part: Part,
    /// The version before; none at the first start.
    pub before: Option<Digest>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: Digest| digest.to_string().chars().take(12).collect::<String>();
        let before = self.before.map_or_else(|| "—".to_owned(), short);
        write!(f, "{} {before} → {}", self.part.name, short(self.part.version))
    }
}

/// What sets a change going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Start,
    /// SIGHUP.
    Signal,
    /// The operator, at the admin address.
    Operator,
    /// The federation issued a newer directory.
    Federation,
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "signal",
            Self::Operator => "operator",
            Self::Federation => "federation",
        }
    }
}

fn line(rooms: &Rooms, kind: Kind, cause: Cause, now: UnixMillis) -> Entry {
    let entry = ledger::line(rooms, kind, now).actor(ledger::system());
    ledger::facts(entry, &[("cause", cause.word())])
}

/// Puts what differs from what was in force last on record; gives the changes. They may take effect now.
///
/// # Errors
/// The store's or the log's: then nothing may take effect.
pub async fn announce(rooms: &Rooms, parts: &[Part], cause: Cause, now: UnixMillis) -> Result<Vec<Change>, Refusal> {
    let mut tx = rooms.store.read().await?;
    let known = known(&mut tx, rooms.log.key().name()).await?;
    drop(tx);
    let mut changes = Vec::new();
    for part in parts {
        let before = known.iter().find(|(name, _)| name == part.name).map(|(_, version)| *version);
        if before == Some(part.version) {
            continue;
        }
        let mut entry = line(rooms, part.kind, cause, now);
        entry = ledger::facts(entry, &[("part", part.name), ("version", &part.version.to_string())]);
        if let Some(before) = before {
            entry = ledger::facts(entry, &[("before", &before.to_string())]);
        }
        let policy = (part.kind == Kind::PolicyLoad).then_some(part.version);
        entry = entry.dec(Decision { policy, verdict: ledger::word("allow"), ..Decision::default() });
        rooms.log.append(&entry).await?;
        changes.push(Change { part: part.clone(), before });
    }
    Ok(changes)
}

/// Remembers changes that are in force.
pub async fn settle(rooms: &Rooms, changes: &[Change]) -> Result<(), Refusal> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut tx = rooms.store.begin().await?;
    for change in changes {
        keep(&mut tx, rooms.log.key().name(), change.part.name, change.part.version).await?;
    }
    tx.commit(()).await?;
    Ok(())
}

/// Puts on record that something was not taken, and that what was in force stays.
pub async fn refused(
    rooms: &Rooms,
    kinds: &[Kind],
    mistakes: usize,
    cause: Cause,
    now: UnixMillis,
) -> Result<(), Refusal> {
    for kind in kinds {
        let entry = ledger::facts(line(rooms, *kind, cause, now), &[("mistakes", &mistakes.to_string())]);
        let entry = entry.dec(Decision { verdict: ledger::word("deny"), ..Decision::default() });
        rooms.log.append(&entry).await?;
    }
    Ok(())
}

async fn known(tx: &mut Tx, log: &str) -> Result<Vec<(String, Digest)>, StoreError> {
    let rows = sqlx::query("SELECT part, version FROM in_force WHERE log = $1").bind(log).fetch_all(tx.run()).await?;
    rows.iter()
        .map(|row| {
            let (part, version): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let version = version.parse().map_err(|e| StoreError::unreadable("a version in force", e))?;
            Ok((part, version))
        })
        .collect()
}

async fn keep(tx: &mut Tx, log: &str, part: &str, version: Digest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO in_force (log, part, version) VALUES ($1, $2, $3)
         ON CONFLICT (log, part) DO UPDATE SET version = excluded.version",
    )
    .bind(log)
    .bind(part)
    .bind(version.to_string())
    .execute(tx.run())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn each_log_remembers_its_own_versions() {
        for fresh in testing::each(MIGRATIONS).await {
            let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
            let mut tx = fresh.store.begin().await.unwrap();
            for (log, part, version) in [("one", "policies", a), ("two", "policies", b), ("one", "policies", b)] {
                keep(&mut tx, log, part, version).await.unwrap();
            }
            keep(&mut tx, "two", "contracts", a).await.unwrap();
            assert_eq!(known(&mut tx, "one").await.unwrap(), [("policies".to_owned(), b)]);
            assert_eq!(known(&mut tx, "two").await.unwrap().len(), 2);
            assert!(known(&mut tx, "three").await.unwrap().is_empty());
        }
    }
}
