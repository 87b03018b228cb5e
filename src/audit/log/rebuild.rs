//! A log folder made anew from a mirror: the same entries, byte for byte, each tied to the signed root before it is written.
//!
//! ```text
//!  mirror ─▶ checkpoint, signed by the log ─▶ every checkpoint known elsewhere a prefix of it? ──no──▶ refused
//!         ─▶ bundle by bundle: each entry the leaf that the root covers ─▶ segments, a batch a bundle
//!         ─▶ checkpoint last                 levels, chains, map of cases: rebuilt when the log is opened
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::base::{Base, PRUNED};
use super::disk::{Disk, DiskFile, RealDisk, replace};
use super::segment::{self, Chain, Footer, HEADER_LEN, RECORD_HEAD, SEGMENT_ENTRIES};
use crate::audit::anchor::{Anchor, MAX_ANCHOR};
use crate::audit::bundle;
use crate::audit::checkpoint::{self, Checkpoint, CheckpointError, SignedCheckpoint};
use crate::audit::merkle::leaf_hash;
use crate::audit::note::{Note, VerifierKey};
use crate::audit::tile::{TileHashes, WIDTH};
use crate::audit::verify::{Fetch, Sparse, SparseError, read_bundle};
use crate::terms::Digest;

/// Why a mirror gives no log.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("the mirror's {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("the new folder: {0}")]
    Write(io::Error),
    #[error("the mirror's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Tree(#[from] SparseError),
    #[error("the mirror has {mirror} entries, {who} knows a checkpoint of {known}: a newer mirror is needed")]
    Short { mirror: u64, known: u64, who: &'static str },
    #[error(
        "{who} knows another root for the first {size} entries: this mirror is of another log, or the log was forked"
    )]
    Contradiction { size: u64, who: &'static str },
    #[error("{0} is not what the signed root says")]
    Forged(String),
    #[error("entries below {0} are not in the mirror, and the old folder does not hold what was kept of them")]
    Pruned(u64),
}

impl RebuildError {
    /// Whether the mirror is disproven, and not only unusable.
    pub fn is_proof(&self) -> bool {
        let forged = |error: &SparseError| matches!(error, SparseError::Forged(_));
        matches!(self, Self::Contradiction { .. } | Self::Forged(_)) || matches!(self, Self::Tree(e) if forged(e))
    }
}

/// A mirror whose checkpoint holds, and keeps every promise that is known.
pub struct Source<'a> {
    fetch: &'a dyn Fetch,
    key: VerifierKey,
    signed: SignedCheckpoint,
    sparse: Sparse<'a>,
}

impl<'a> Source<'a> {
    /// Opens a mirror of `key`'s log. `known` are checkpoints of it, each with who holds it.
    pub fn open(
        fetch: &'a dyn Fetch,
        key: &VerifierKey,
        known: &[(&'static str, Checkpoint)],
    ) -> Result<Self, RebuildError> {
        let read = |source| RebuildError::Read { path: "checkpoint".into(), source };
        let note = fetch.get("checkpoint").map_err(read)?.ok_or_else(|| read(io::ErrorKind::NotFound.into()))?;
        let signed = checkpoint::open(&note, key, None)?;
        let sparse = Sparse::new(fetch, signed.checkpoint())?;
        for (who, known) in known {
            if known.size > signed.size() {
                return Err(RebuildError::Short { mirror: signed.size(), known: known.size, who });
            }
            if sparse.root_at(known.size)? != known.root {
                return Err(RebuildError::Contradiction { size: known.size, who });
            }
        }
        Ok(Self { fetch, key: key.clone(), signed, sparse })
    }

    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// Writes the log into the empty folder `dir`. `old` is the folder it takes the place of: its time-stamps come along,
    /// and what it kept of entries that were pruned and are not in the mirror. `progress` hears of entries written.
    pub fn rebuild(&self, dir: &Path, old: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), RebuildError> {
        let (origin, size) = (self.signed.checkpoint().origin.as_str(), self.signed.size());
        for folder in ["segments", "levels", "anchors"] {
            std::fs::create_dir_all(dir.join(folder)).map_err(RebuildError::Write)?;
        }
        let folder = dir.join("segments");
        let mut chain = Chain::start(origin);
        if let Some(base) = self.base(old)? {
            self.leaves(dir, base.minimum)?;
            replace(&RealDisk, dir, PRUNED, &base.encode()).map_err(RebuildError::Write)?;
            chain = Chain { frontier: self.sparse.frontier(base.minimum)?, last_footer: base.last_footer };
        }
        let mut open: Option<(Arc<dyn DiskFile>, u64)> = None;
        while chain.frontier.size() < size {
            let start = chain.frontier.size();
            if start.is_multiple_of(SEGMENT_ENTRIES) {
                sealed(open.take()).map_err(RebuildError::Write)?;
                let number = start / SEGMENT_ENTRIES;
                let file = RealDisk.open(&folder.join(segment::name(number))).map_err(RebuildError::Write)?;
                file.write_at(&segment::header(number, origin), 0).map_err(RebuildError::Write)?;
                open = Some((file, HEADER_LEN as u64));
            }
            let batch = self.batch(start, &mut chain)?;
            if let Some((file, end)) = &mut open {
                file.write_at(&batch, *end).map_err(RebuildError::Write)?;
                *end += batch.len() as u64;
            }
            progress(chain.frontier.size(), size);
        }
        sealed(open.take()).and_then(|()| RealDisk.sync_dir(&folder)).map_err(RebuildError::Write)?;
        self.anchors(dir, old)?;
        replace(&RealDisk, dir, "key", format!("{}\n", self.key).as_bytes()).map_err(RebuildError::Write)?;
        let note = own_lines(self.signed.note(), origin);
        replace(&RealDisk, dir, "checkpoint", note.as_bytes()).map_err(RebuildError::Write)
    }

    /// What the old folder kept of pruned entries, where the mirror does not have them either.
    fn base(&self, old: &Path) -> Result<Option<Base>, RebuildError> {
        let read = |source| RebuildError::Read { path: "tile/entries/000".into(), source };
        let has_all =
            self.signed.size() < WIDTH || read_bundle(self.fetch, 0, self.signed.size()).map_err(read)?.is_some();
        if has_all {
            return Ok(None);
        }
        let kept = Base::read(old).ok().flatten();
        let kept = kept.ok_or(RebuildError::Pruned(WIDTH))?;
        let fits = kept.minimum <= self.signed.size() && self.sparse.root_at(kept.minimum)? == kept.root;
        if fits { Ok(Some(kept)) } else { Err(RebuildError::Pruned(kept.minimum)) }
    }

    /// The hashes of entries that are in no mirror: all levels, up to the minimum index.
    fn leaves(&self, dir: &Path, minimum: u64) -> Result<(), RebuildError> {
        for level in 0..8u8 {
            let nodes = minimum >> (8 * u32::from(level));
            if nodes == 0 {
                break;
            }
            let file = RealDisk.open(&dir.join("levels").join(level.to_string())).map_err(RebuildError::Write)?;
            for start in (0..nodes).step_by(WIDTH as usize) {
                let hashes = self.sparse.hashes(level, start, (nodes - start).min(WIDTH) as usize)?;
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                file.write_at(&bytes, start * 32).map_err(RebuildError::Write)?;
            }
            file.sync().map_err(RebuildError::Write)?;
        }
        Ok(())
    }

    /// The bundle that begins at `start`, as a batch of a segment.
    fn batch(&self, start: u64, chain: &mut Chain) -> Result<Vec<u8>, RebuildError> {
        let (size, index) = (self.signed.size(), start / WIDTH);
        let width = (size - start).min(WIDTH) as usize;
        let name = format!("tile/entries, bundle {index}");
        let found = read_bundle(self.fetch, index, size);
        let found = found.map_err(|source| RebuildError::Read { path: name.clone(), source })?;
        let (tile, bytes) = found.ok_or_else(|| SparseError::Missing(name.clone()))?;
        let entries = bundle::parse(&bytes, tile.width).ok_or_else(|| RebuildError::Forged(name.clone()))?;
        let leaves = self.sparse.hashes(0, start, width)?;
        let mut batch = Vec::with_capacity(bytes.len() + width * RECORD_HEAD + 128);
        for (entry, leaf) in entries.into_iter().zip(&leaves) {
            if leaf_hash(entry) != *leaf {
                return Err(RebuildError::Forged(name));
            }
            let at = batch.len();
            batch.extend_from_slice(&[0; RECORD_HEAD]);
            batch.extend_from_slice(entry);
            segment::close_record(&mut batch, at);
            chain.frontier.push(*leaf);
        }
        let (now, root) = (chain.frontier.size(), chain.frontier.root());
        let footer =
            Footer { first: start, count: (now - start) as u32, size: now, root, previous: chain.last_footer }.encode();
        chain.last_footer = Digest::of(&footer);
        batch.extend_from_slice(&footer);
        Ok(batch)
    }

    /// Time-stamps over the past of this log: those of the old folder, and the newest that the mirror shows.
    fn anchors(&self, dir: &Path, old: &Path) -> Result<(), RebuildError> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for item in std::fs::read_dir(old.join("anchors")).into_iter().flatten().flatten() {
            if item.metadata().is_ok_and(|meta| meta.len() <= MAX_ANCHOR as u64) {
                all.extend(std::fs::read(item.path()));
            }
        }
        all.extend(self.fetch.get("anchor").ok().flatten());
        for bytes in all {
            let Ok(anchor) = Anchor::parse(&bytes) else { continue };
            let Ok(signed) = checkpoint::open(anchor.note.as_bytes(), &self.key, None) else { continue };
            if signed.size() <= self.signed.size() && self.sparse.root_at(signed.size())? == signed.root() {
                let name = format!("{:020}", signed.size());
                replace(&RealDisk, &dir.join("anchors"), &name, &bytes).map_err(RebuildError::Write)?;
            }
        }
        Ok(())
    }
}

fn sealed(open: Option<(Arc<dyn DiskFile>, u64)>) -> io::Result<()> {
    open.map_or(Ok(()), |(file, _)| file.sync())
}

/// The note with the log's own lines only: the keys of its witnesses are not in the new folder.
fn own_lines(note: &str, origin: &str) -> String {
    let Ok(parsed) = Note::parse(note.as_bytes()) else { return note.to_owned() };
    let lines: String = parsed.signatures().iter().filter(|l| l.name == origin).map(|l| l.line).collect();
    format!("{}\n{lines}", parsed.text())
}
