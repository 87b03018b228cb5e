//! A copy of a log, verified as it is made: nothing is written that is not tied to the signed root.
//!
//! ```text
//!  checkpoint ──signature──▶ right edge ──▶ hash tiles (each found in its parent) ──▶ bundles (each entry a leaf)
//!       │                                        └──────────── written once, whole ─────────────┘
//!       └── our older checkpoint is a prefix of it? ──no──▶ Contradiction: both are kept, nothing is overwritten
//!  bundles below the minimum index that the log claims: only their hashes; whether it may is for who verifies the copy
//!  last of all the new checkpoint       crash before: the next run goes on, what is there is compared, not fetched
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::bundle;
use super::checkpoint::{self, CheckpointError, MAP, SignedCheckpoint};
use super::log::disk::{Disk, RealDisk, replace};
use super::merkle::leaf_hash;
use super::note::{MAX_NOTE, VerifierKey};
use super::plain;
use super::retention::{PRUNED_ANCHOR, RETENTION, Retention};
use super::tile::{Level, TileHashes, TilePath, WIDTH, nodes_at, tiles_at};
use super::verify::{
    Fetch, PART, Pinned, Question, Report, Sparse, SparseError, Verdict, claimed_minimum, optional, read_bundle,
    witnessed,
};
use crate::terms::{Digest, UnixMillis};

/// Bundles asked for before they are read.
const AHEAD: u64 = 4;

/// What stopped a copy.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("the copy's {path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("the log's checkpoint: {0}")]
    Checkpoint(CheckpointError),
    #[error("the copy's own checkpoint: {0}")]
    Own(CheckpointError),
    #[error(transparent)]
    Tree(#[from] SparseError),
    #[error("{0} is not what the signed root says")]
    Forged(String),
    /// The log showed us another past: kept beside the copy as evidence.
    #[error("the log contradicts itself: {0}")]
    Contradiction(String),
}

impl MirrorError {
    /// Whether this disproves the log, and is no mere hindrance.
    pub fn is_proof(&self) -> bool {
        matches!(
            self,
            Self::Checkpoint(_)
                | Self::Forged(_)
                | Self::Contradiction(_)
                | Self::Tree(SparseError::Forged(_) | SparseError::Missing(_))
        )
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Entries that the copy has now.
    pub size: u64,
    /// Entries it had before.
    pub before: u64,
    /// Files written, and files that were there and held.
    pub written: u64,
    pub kept: u64,
    /// Entries that the log has pruned, and the copy does not have.
    pub pruned: u64,
}

/// Brings the copy in `dir` up to the log's checkpoint. `keys` are those of the log: the one it signs with now, and those it
/// signed with before, under which the copy's own checkpoint may stand. `progress` hears of entries copied and of their number.
pub fn run(
    fetch: &dyn Fetch,
    dir: &Path,
    keys: &[VerifierKey],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Copied, MirrorError> {
    run_on(&RealDisk, fetch, dir, keys, progress)
}

/// As [`run`], on another disk; for tests that break it.
pub fn run_on(
    disk: &dyn Disk,
    fetch: &dyn Fetch,
    dir: &Path,
    keys: &[VerifierKey],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Copied, MirrorError> {
    // In this order: what the first one promises, the second one has.
    let mapped = optional(fetch, MAP).map_err(|source| MirrorError::Read { path: MAP.into(), source })?;
    let read = |source| MirrorError::Read { path: "checkpoint".into(), source };
    let note = fetch.get("checkpoint").map_err(read)?.ok_or_else(|| read(io::ErrorKind::NotFound.into()))?;
    let (key, signed) = opened(&note, keys).map_err(MirrorError::Checkpoint)?;
    let minimum = claimed_minimum(fetch, key.name(), signed.size())
        .map_err(|source| MirrorError::Read { path: RETENTION.into(), source })?;
    let mut copy = Copy { dir: dir.to_owned(), minimum, copied: Copied { size: signed.size(), ..Copied::default() } };
    let own = copy.own(keys)?;
    if let Some(own) = &own
        && own.size() > signed.size()
    {
        let what = format!("{} entries were shown before, {} now: rolled back", own.size(), signed.size());
        return Err(copy.contradiction(&signed, what));
    }
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    if let Some(own) = &own {
        copy.copied.before = own.size();
        if sparse.root_at(own.size())? != own.root() {
            let what = format!("its first {} entries are not those it showed before", own.size());
            return Err(copy.contradiction(&signed, what));
        }
    }
    for path in ["anchor", PRUNED_ANCHOR] {
        let found = fetch.get(path).map_err(|source| MirrorError::Read { path: path.into(), source })?;
        found.map_or(Ok(()), |anchor| copy.write(path, &anchor))?;
    }
    copy.write("key", format!("{key}\n").as_bytes())?;
    let size = signed.size();
    for index in 0..size.div_ceil(WIDTH) {
        ahead(fetch, index, size);
        copy.bundle(fetch, &sparse, index, size)?;
        progress((index * WIDTH + WIDTH).min(size), size);
    }
    for level in 1..8u8 {
        for tile in tiles_at(Level::Hashes(level), size) {
            copy.hashes(&sparse, tile)?;
        }
    }
    if copy.copied.pruned > 0 {
        let claim = Retention { origin: key.name().to_owned(), minimum, days: None };
        copy.write(RETENTION, claim.to_string().as_bytes())?;
    }
    copy.whole(disk, &note)?;
    copy.map(mapped.as_deref(), keys, &sparse)?;
    Ok(copy.copied)
}

/// What the policy's witnesses say of the checkpoint that the copy in `dir` has now.
///
/// # Errors
/// [`MirrorError::Own`] where it has none under one of `keys`.
pub fn witnesses(dir: &Path, keys: &[VerifierKey], pinned: &Pinned, now: UnixMillis) -> Result<Report, MirrorError> {
    let file = dir.join("checkpoint");
    let own = |source| MirrorError::Read { path: file.display().to_string(), source };
    let note = plain::read(&file, MAX_NOTE as u64).map_err(own)?;
    let (_, signed) = opened(&note, keys).map_err(MirrorError::Own)?;
    let mut report = Report::default();
    // Every octet was tied to the root as it was copied.
    report.answer(Question::Integrity, Verdict::Proven);
    witnessed(&mut report, pinned, Some(now), &signed);
    Ok(report)
}

fn ahead(fetch: &dyn Fetch, index: u64, size: u64) {
    let soon = index..size.div_ceil(WIDTH).min(index + AHEAD);
    let paths = soon.flat_map(|index| {
        let width = (size - index * WIDTH).min(WIDTH) as u16;
        [Level::Entries, Level::Hashes(0)].map(|level| TilePath { level, index, width }.to_string())
    });
    fetch.ahead(&paths.collect::<Vec<_>>());
}

/// A checkpoint under whichever of the keys signed it, and that key.
fn opened<'k>(note: &[u8], keys: &'k [VerifierKey]) -> Result<(&'k VerifierKey, SignedCheckpoint), CheckpointError> {
    checkpoint::open_any(note, keys, None)
}

struct Copy {
    dir: PathBuf,
    /// The log claims to have pruned what is below.
    minimum: u64,
    copied: Copied,
}

impl Copy {
    /// The checkpoint up to which the copy is whole.
    fn own(&self, keys: &[VerifierKey]) -> Result<Option<SignedCheckpoint>, MirrorError> {
        match self.read("checkpoint", MAX_NOTE as u64)? {
            None => Ok(None),
            Some(note) => opened(&note, keys).map(|(_, signed)| Some(signed)).map_err(MirrorError::Own),
        }
    }

    /// Keeps the checkpoint that ends with a map of cases, after everything that it promises. A log without one has changed its key
    /// since.
    fn map(&self, note: Option<&[u8]>, keys: &[VerifierKey], sparse: &Sparse<'_>) -> Result<(), MirrorError> {
        let signed = note.and_then(|note| opened(note, keys).ok()).map(|(_, signed)| signed);
        let Some(signed) = signed.filter(|signed| signed.size() <= sparse.size()) else {
            return match std::fs::remove_file(self.dir.join(MAP)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(MirrorError::Write { path: MAP.into(), source })
                }
                _ => Ok(()),
            };
        };
        if sparse.root_at(signed.size())? != signed.root() {
            let what = format!("its checkpoint of {} entries is of another log than the one behind it", signed.size());
            return Err(self.contradiction(&signed, what));
        }
        self.write(MAP, signed.note().as_bytes())
    }

    /// Keeps a checkpoint that contradicts ours; ours stays as it is.
    fn contradiction(&self, signed: &SignedCheckpoint, what: String) -> MirrorError {
        let name = format!("contradiction.{}.{}", signed.size(), signed.root());
        match replace(&RealDisk, &self.dir, &name, signed.note().as_bytes()) {
            Ok(()) => MirrorError::Contradiction(format!("{what}; kept as {name}")),
            Err(error) => MirrorError::Contradiction(format!("{what}; it could not be kept: {error}")),
        }
    }

    /// Entries of a bundle and the tile of their hashes.
    fn bundle(&mut self, fetch: &dyn Fetch, sparse: &Sparse<'_>, index: u64, size: u64) -> Result<(), MirrorError> {
        let width = (size - index * WIDTH).min(WIDTH) as u16;
        let tile = TilePath { level: Level::Entries, index, width };
        let hash_tile = TilePath { level: Level::Hashes(0), index, width };
        let path = tile.to_string();
        let leaves = sparse.hashes(0, index * WIDTH, usize::from(width))?;
        self.hashes(sparse, hash_tile)?;
        if let Some(bytes) = self.read(&path, super::verify::MAX_RESOURCE)?
            && is_of(&bytes, width, &leaves)
        {
            self.copied.kept += 1;
            return Ok(());
        }
        let found =
            read_bundle(fetch, index, size).map_err(|source| MirrorError::Read { path: path.clone(), source })?;
        let Some((found, bytes)) = found else {
            if (index + 1) * WIDTH <= self.minimum {
                self.copied.pruned += WIDTH;
                return Ok(());
            }
            return Err(SparseError::Missing(path).into());
        };
        let entries = bundle::parse(&bytes, found.width).ok_or_else(|| MirrorError::Forged(path.clone()))?;
        let mut whole = Vec::with_capacity(bytes.len());
        for entry in entries.iter().take(usize::from(width)) {
            if !bundle::push(&mut whole, entry) {
                return Err(MirrorError::Forged(path));
            }
        }
        if !is_of(&whole, width, &leaves) {
            return Err(MirrorError::Forged(path));
        }
        self.write(&path, &whole)?;
        self.copied.written += 1;
        Ok(())
    }

    fn hashes(&mut self, sparse: &Sparse<'_>, tile: TilePath) -> Result<(), MirrorError> {
        let Level::Hashes(level) = tile.level else { return Ok(()) };
        debug_assert!(nodes_at(tile.level, self.copied.size) >= tile.index * WIDTH);
        let hashes = sparse.hashes(level, tile.index * WIDTH, usize::from(tile.width))?;
        let (path, bytes) = (tile.to_string(), hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>());
        if self.read(&path, 256 * 32)?.is_some_and(|stored| stored == bytes) {
            self.copied.kept += 1;
            return Ok(());
        }
        self.write(&path, &bytes)?;
        self.copied.written += 1;
        Ok(())
    }

    fn read(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, MirrorError> {
        let wrong = |source| MirrorError::Write { path: path.to_owned(), source };
        let file = self.dir.join(path);
        match plain::read(&file, max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Ok(None),
            Err(e) => Err(wrong(e)),
        }
    }

    /// Writes the checkpoint, which says that the copy is whole: everything that was written is durable before it. The log may have
    /// pruned by then what a crash would lose.
    fn whole(&self, disk: &dyn Disk, note: &[u8]) -> Result<(), MirrorError> {
        let wrong = |source| MirrorError::Write { path: "checkpoint".into(), source };
        disk.sync_all(&self.dir).and_then(|()| replace(disk, &self.dir, "checkpoint", note)).map_err(wrong)
    }

    /// Writes a file whole. Tiles are not synced one by one, but all at once before the checkpoint.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), MirrorError> {
        let wrong = |source| MirrorError::Write { path: path.to_owned(), source };
        let file = self.dir.join(path);
        let folder = file.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let part = file.with_extension(PART);
        std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &file)).map_err(wrong)
    }
}

fn is_of(bundle: &[u8], width: u16, leaves: &[Digest]) -> bool {
    let entries = bundle::parse(bundle, width);
    entries.is_some_and(|all| all.len() == leaves.len() && all.iter().zip(leaves).all(|(e, l)| leaf_hash(e) == *l))
}
