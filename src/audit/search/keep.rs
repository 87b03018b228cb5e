//! Keeping an index up to its log.

use std::io;
use std::path::{Path, PathBuf};

use super::index::{Index, is_damage};
use super::{Place, SearchError};
use crate::audit::note::VerifierKey;
use crate::audit::retention::RETENTION;
use crate::audit::tile::{Level, TilePath, WIDTH};
use crate::audit::verify::{Fetch, read_bundle};
use crate::audit::{AuditError, Log, bundle, checkpoint};
use crate::store::StoreError;
use crate::terms::Digest;

/// Entries that go in with one transaction: 2 MiB of entries as they usually are, 33 MiB of the longest.
const STEP: u64 = 2_048;

/// What an index takes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Entries from where the index ends.
    Entries(u64, Vec<Vec<u8>>),
    /// The log does not hold what is below this index any more; the leaf hash of the entry before it.
    Pruned(u64, Digest),
    /// There is nothing more under the log's checkpoint.
    Done(u64),
    /// The index goes on from an entry that this log does not have.
    Foreign,
}

/// Reads what comes after `head` of an index. Nothing is believed of it that a search would not check again.
///
/// # Errors
/// The log's checkpoint is not signed by `key`, or the log cannot be read.
pub fn step(fetch: &dyn Fetch, key: &VerifierKey, head: (u64, Option<Place>)) -> Result<Step, SearchError> {
    let signed = checkpoint::open(&super::read(fetch, "checkpoint")?, key, None)?;
    let ((next, last), size) = (head, signed.size());
    let leaf = |index: u64| -> Result<Digest, SearchError> {
        let width = (size - index / WIDTH * WIDTH).min(WIDTH) as u16;
        let path = TilePath { level: Level::Hashes(0), index: index / WIDTH, width };
        let full = TilePath { width: 256, ..path };
        let bytes = super::read(fetch, &path.to_string()).or_else(|_| super::read(fetch, &full.to_string()))?;
        let at = (index % WIDTH) as usize * 32;
        let hash = bytes.get(at..at + 32).and_then(|hash| hash.try_into().ok());
        hash.map(Digest).ok_or_else(|| SearchError::Bundle(path.to_string()))
    };
    if next > size {
        return Ok(Step::Foreign);
    }
    if let Some(last) = last
        && leaf(last.index)? != last.leaf
    {
        return Ok(Step::Foreign);
    }
    if next == size {
        return Ok(Step::Done(size));
    }
    let minimum = super::minimum(fetch, key, size)?;
    if next < minimum {
        return Ok(Step::Pruned(minimum, leaf(minimum - 1)?));
    }
    let end = size.min((next / WIDTH * WIDTH).saturating_add(STEP));
    let mut entries = Vec::new();
    for number in next / WIDTH..end.div_ceil(WIDTH) {
        let path = format!("tile/entries, bundle {number}");
        let failed = |source| SearchError::Read { path: path.clone(), source };
        let got = read_bundle(fetch, number, size).map_err(failed)?;
        let (tile, bytes) = got.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let all = bundle::parse(&bytes, tile.width).ok_or_else(|| SearchError::Bundle(path.clone()))?;
        let wanted = (number * WIDTH..).zip(all).filter(|(at, _)| *at >= next && *at < end);
        entries.extend(wanted.map(|(_, bytes)| bytes.to_vec()));
    }
    Ok(Step::Entries(next, entries))
}

/// A log that is open in this process, read as strangers would.
pub struct Served(pub Log);

impl Fetch for Served {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if path == RETENTION {
            return Ok(Some(self.0.retention(None).to_string().into_bytes()));
        }
        match self.0.read(path) {
            Ok(found) => Ok(Some(found.bytes)),
            Err(AuditError::NotFound | AuditError::Pruned { .. }) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Keeps the index in one file up to its log.
pub struct Keeper {
    path: PathBuf,
    key: VerifierKey,
    index: Index,
}

impl Keeper {
    /// # Errors
    /// As [`Index::open`].
    pub async fn open(path: &Path, key: &VerifierKey) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), key: key.clone(), index: Index::open(path, key).await? })
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Does what a [`step`] says; whether there is more to do. An index that turns out damaged, or of another log, is
    /// thrown away: the next step begins at the log's beginning.
    ///
    /// # Errors
    /// A disk that does not let us.
    pub async fn take(&mut self, step: Step) -> Result<bool, StoreError> {
        let done = match step {
            Step::Entries(first, entries) => self.index.add(first, &entries).await.map(|_| true),
            Step::Pruned(minimum, leaf) => self.index.prune(minimum, &leaf).await.map(|()| true),
            Step::Done(_) => return Ok(false),
            Step::Foreign => return self.anew().await,
        };
        match done {
            Err(error) if is_damage(&error) => self.anew().await,
            other => other,
        }
    }

    /// How far the index goes; a damaged one goes nowhere and is thrown away.
    ///
    /// # Errors
    /// A disk that does not let us.
    pub async fn head(&mut self) -> Result<(u64, Option<Place>), StoreError> {
        match self.index.head().await {
            Err(error) if is_damage(&error) => {
                self.anew().await?;
                self.index.head().await
            }
            other => other,
        }
    }

    async fn anew(&mut self) -> Result<bool, StoreError> {
        tracing::warn!(file = %self.path.display(), "the search index is damaged or of another log: it is made anew");
        self.index.close().await;
        Index::remove(&self.path)?;
        self.index = Index::open(&self.path, &self.key).await?;
        Ok(true)
    }
}
