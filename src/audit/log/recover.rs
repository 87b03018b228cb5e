//! Opening a folder: walk all segments, rebuild what is derived, drop a torn tail, refuse what is damaged.
//!
//! ```text
//!  every segment ──walk──▶ chain of footers holds? ──no──▶ torn by a crash? ──no──▶ Corrupt: refuse, touch nothing
//!                                │yes                            │yes: its callers got no answer, drop it
//!                                ▼                               ▼
//!                   checkpoint and known checkpoints agree?   last segment copied to a new file and synced:
//!                                │no ──▶ RolledBack            what a failed fsync left in the page cache is
//!                                ▼                             not trusted
//!                              open
//! ```

use std::path::Path;
use std::sync::Arc;

use super::base::{self, Base};
use super::chain::CaseChain;
use super::disk::{Disk, DiskFile, is_full};
use super::levels::{Levels, MAX_LEVELS};
use super::prune;
use super::segment::{self, Chain, HEADER_LEN, SEGMENT_ENTRIES, Tail, Visitor, Walked};
use crate::audit::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::audit::entry::{EntryHead, Role};
use crate::audit::evidence::index::{self, Map};
use crate::audit::logset::LogSet;
use crate::audit::merkle;
use crate::audit::tile::Tiled;
use crate::audit::{AuditError, Kind, Pseudonym};
use crate::terms::Digest;

/// Bytes after the last good footer that are looked at: more than a batch can have.
const MAX_TAIL: u64 = 6 << 20;

/// What opening the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    pub entries: u64,
    /// Bytes of a torn batch that were dropped; nobody had been told that they were kept.
    pub dropped_bytes: u64,
    /// Batches whose derived hashes had to be written again.
    pub repaired: u64,
    /// Intents without an outcome, (index, leaf hash): each is to be closed by a `recovered` entry.
    pub unanswered: Vec<(u64, Digest)>,
    /// The logs of all replicas, as this one named them last.
    pub set: Option<LogSet>,
    /// Which key made the pseudonyms, as the last map of cases says.
    pub pseudonyms: Option<Pseudonym>,
    /// Where that map is.
    pub map: Option<u64>,
}

pub(super) struct Opened {
    pub chain: Chain,
    pub cases: CaseChain,
    pub bundles: Vec<u32>,
    /// The segment to write to, and the end of its last batch.
    pub segment: u64,
    pub file: Arc<dyn DiskFile>,
    pub end: u64,
    /// Entries below were pruned.
    pub minimum: u64,
    pub recovery: Recovery,
}

pub(super) fn segments(disk: &Arc<dyn Disk>, dir: &Path, origin: &str, levels: &Levels) -> Result<Opened, AuditError> {
    let folder = dir.join("segments");
    let mut chain = Chain::start(origin);
    let mut rebuild = Rebuild::new(levels);
    let mut first = 0;
    if let Some(base) = pruned(dir)? {
        let frontier = prune::check_levels(levels, &base)?;
        chain = Chain { frontier, last_footer: base.last_footer };
        rebuild.after(&base);
        first = base.segment();
        // A crash came between the base and the last of the files below it.
        prune::remove_below(&**disk, &folder, first).map_err(|e| AuditError::io("removing a pruned segment", &e))?;
    }
    let count = count_segments(disk, &folder, first)?;
    if first > 0 && count == first {
        return Err(corrupt(&segment::name(first), 0, "the file is missing, and those before it were pruned"));
    }
    let mut opened = None;
    for number in first..count {
        let file_name = segment::name(number);
        let path = folder.join(&file_name);
        let file = disk.open(&path).map_err(|e| AuditError::io("opening a segment", &e))?;
        let walked = segment::walk(&*file, number, origin, &mut chain, &mut rebuild)
            .map_err(|e| AuditError::io("reading a segment", &e))?;
        rebuild.forget();
        if let Some(error) = rebuild.error.take() {
            return Err(AuditError::io("writing level files", &error));
        }
        let is_last = number + 1 == count;
        let is_full = chain.frontier.size() == (number + 1) * SEGMENT_ENTRIES;
        let dropped = match &walked.fault {
            None if is_last || is_full => 0,
            Some(_) if is_last => torn_tail(&*file, &walked, &chain)?,
            fault => {
                let (offset, what) = match fault {
                    Some(fault) => (fault.offset, fault.what),
                    None => (walked.end, "entries are missing at the end of a segment that is not the last"),
                };
                return Err(corrupt(&file_name, offset, what));
            }
        };
        if is_last {
            rebuild.report.dropped_bytes = dropped;
            let end = walked.end.max(HEADER_LEN as u64);
            let file = fresh_copy(disk, &folder, number, origin, &*file, end)?;
            opened = Some((number, file, end));
        }
    }
    let (segment, file, end) = match opened {
        Some(opened) => opened,
        None => (0, new_segment(disk, &folder, 0, origin)?, HEADER_LEN as u64),
    };
    let mut recovery = rebuild.report;
    recovery.entries = chain.frontier.size();
    recovery.unanswered = rebuild.cases.unanswered();
    let minimum = first * SEGMENT_ENTRIES;
    Ok(Opened { chain, cases: rebuild.cases, bundles: rebuild.bundles, segment, file, end, minimum, recovery })
}

fn corrupt(file: &str, offset: u64, what: impl Into<String>) -> AuditError {
    AuditError::Corrupt { file: format!("segments/{file}"), offset, what: what.into() }
}

/// What was kept when segments were pruned.
fn pruned(dir: &Path) -> Result<Option<Base>, AuditError> {
    Base::read(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            let what = "what was kept of pruned segments is damaged: restore the file from a copy".into();
            AuditError::Corrupt { file: base::PRUNED.into(), offset: 0, what }
        }
        _ => AuditError::io("reading the pruned state", &error),
    })
}

/// Segments must be numbered from `first` without gaps; gives the number after the last. Left-over copies of an interrupted
/// recovery are removed.
fn count_segments(disk: &Arc<dyn Disk>, folder: &Path, first: u64) -> Result<u64, AuditError> {
    let listing = std::fs::read_dir(folder).map_err(|e| AuditError::io("listing segments", &e))?;
    let mut names = Vec::new();
    for item in listing {
        let item = item.map_err(|e| AuditError::io("listing segments", &e))?;
        let name = item.file_name().to_string_lossy().into_owned();
        if name.ends_with(".new") {
            disk.remove(&item.path()).map_err(|e| AuditError::io("removing a left-over copy", &e))?;
        } else {
            names.push(name);
        }
    }
    names.sort_unstable();
    for (number, name) in (first..).zip(&names) {
        if *name != segment::name(number) {
            return Err(corrupt(name, 0, format!("{} is missing, or this file is no segment", segment::name(number))));
        }
    }
    Ok(first + names.len() as u64)
}

/// Number of bytes to drop after the last good footer, or `Corrupt` when they cannot come from a crash.
fn torn_tail(file: &dyn DiskFile, walked: &Walked, chain: &Chain) -> Result<u64, AuditError> {
    let read = tail(file, walked.end, chain).map_err(|e| AuditError::io("reading a segment", &e))?;
    match read {
        (Tail::Cut | Tail::Torn, used) => Ok(used),
        (Tail::Damaged, _) => {
            let number = chain.frontier.size() / SEGMENT_ENTRIES;
            let fault = walked.fault.as_ref().map_or((walked.end, "damage"), |fault| (fault.offset, fault.what));
            Err(corrupt(&segment::name(number), fault.0, fault.1))
        }
    }
}

/// What follows the last good footer of the last segment, which ends at `end`, and its length in bytes.
pub fn tail(file: &dyn DiskFile, end: u64, chain: &Chain) -> std::io::Result<(Tail, u64)> {
    let mut bytes = vec![0; file.size()?.saturating_sub(end).min(MAX_TAIL) as usize];
    let got = file.read_at(&mut bytes, end)?;
    bytes.truncate(got);
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let tail = match end {
        0 if used <= HEADER_LEN => Tail::Cut, // the crash came while the file was being made
        0 => Tail::Damaged,
        _ if used as u64 > MAX_TAIL - 4 => Tail::Damaged,
        _ => segment::tail(&bytes, end, &chain.last_footer),
    };
    Ok((tail, used as u64))
}

/// Makes a new segment file with its header, durable together with its name.
///
/// # Errors
/// [`AuditError::Full`]: try again when there is room; what is left of the file is begun anew.
pub(super) fn new_segment(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    number: u64,
    origin: &str,
) -> Result<Arc<dyn DiskFile>, AuditError> {
    let failed = |e: std::io::Error| AuditError::io("making a segment", &e);
    let make = || {
        let file = disk.open(&folder.join(segment::name(number)))?;
        file.set_len(0)?;
        file.write_at(&segment::header(number, origin), 0)?;
        Ok(file)
    };
    let file = make().map_err(|e| if is_full(&e) { AuditError::Full(e.to_string()) } else { failed(e) })?;
    file.sync().and_then(|()| disk.sync_dir(folder)).map_err(failed)?;
    Ok(file)
}

fn fresh_copy(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    number: u64,
    origin: &str,
    from: &dyn DiskFile,
    end: u64,
) -> Result<Arc<dyn DiskFile>, AuditError> {
    let (name, new) = (segment::name(number), format!("{}.new", segment::name(number)));
    let copy = || {
        let to = disk.open(&folder.join(&new))?;
        to.set_len(0)?;
        to.write_at(&segment::header(number, origin), 0)?;
        let (mut at, mut buffer) = (HEADER_LEN as u64, vec![0; 1 << 20]);
        while at < end {
            let want = buffer.len().min((end - at) as usize);
            let got = from.read_at(&mut buffer[..want], at)?;
            if got == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            to.write_at(&buffer[..got], at)?;
            at += got as u64;
        }
        to.sync()?;
        disk.rename(&folder.join(&new), &folder.join(&name))?;
        disk.sync_dir(folder)?;
        Ok(to)
    };
    copy().map_err(|e: std::io::Error| AuditError::io("copying the last segment", &e))
}

/// Compares what was recovered with what was promised before: by our own last checkpoints, and those of others.
pub(super) fn promises_kept<'s>(
    opened: &Opened,
    levels: &Levels,
    stored: impl Iterator<Item = &'s SignedCheckpoint>,
    known: &'s [Checkpoint],
    origin: &str,
) -> Result<(), AuditError> {
    let size = opened.chain.frontier.size();
    let known = known.iter().filter(|checkpoint| checkpoint.origin == origin);
    for checkpoint in stored.map(SignedCheckpoint::checkpoint).chain(known) {
        if checkpoint.size > size {
            return Err(AuditError::RolledBack(format!(
                "a checkpoint of {} entries is known, the folder has {size}",
                checkpoint.size
            )));
        }
        if merkle::range_root(&Tiled(levels), 0, checkpoint.size)? != checkpoint.root {
            return Err(AuditError::RolledBack(format!("another root was promised for {} entries", checkpoint.size)));
        }
    }
    Ok(())
}

/// Rebuilds level files, bundle offsets and case chains while the segments are walked.
struct Rebuild<'a> {
    levels: &'a Levels,
    cases: CaseChain,
    bundles: Vec<u32>,
    written: [u64; MAX_LEVELS],
    hashes: [Vec<u8>; MAX_LEVELS],
    offsets: Vec<u32>,
    report: Recovery,
    /// What the batch that is read says of logs and pseudonyms.
    set: Option<LogSet>,
    pseudonyms: Option<Pseudonym>,
    map: Option<u64>,
    error: Option<std::io::Error>,
}

impl<'a> Rebuild<'a> {
    fn new(levels: &'a Levels) -> Self {
        Self {
            levels,
            cases: CaseChain::default(),
            bundles: Vec::new(),
            written: [0; MAX_LEVELS],
            hashes: Default::default(),
            offsets: Vec::new(),
            report: Recovery::default(),
            set: None,
            pseudonyms: None,
            map: None,
            error: None,
        }
    }

    /// Begins after the segments that were pruned.
    fn after(&mut self, base: &Base) {
        self.cases = CaseChain::restored(&base.cases, &base.open);
        self.bundles = vec![u32::MAX; (base.minimum / 256) as usize];
        self.written.iter_mut().enumerate().for_each(|(level, count)| *count = base.minimum >> (8 * level));
    }

    /// Forgets the batch that did not hold.
    fn forget(&mut self) {
        self.cases.forget();
        (self.set, self.pseudonyms, self.map) = (None, None, None);
        self.offsets.clear();
        self.hashes.iter_mut().for_each(Vec::clear);
    }
}

impl Visitor for Rebuild<'_> {
    fn entry(&mut self, index: u64, offset: u64, leaf: &Digest, bytes: &[u8]) {
        if index.is_multiple_of(256) {
            self.offsets.push(offset as u32);
        }
        // What cannot be read has no place in a chain; the verifier names it.
        let Ok(head) = EntryHead::parse(bytes) else { return };
        if let Some(link) = &head.case {
            self.cases.add_link(link, index, *leaf);
        }
        if matches!(head.kind, Kind::LogSet | Kind::Index)
            && let Some(set) = LogSet::read(bytes)
        {
            self.set = Some(set);
        }
        if head.kind == Kind::Index
            && let Some(Map { pseudonyms, .. }) = index::read(bytes)
        {
            self.map = Some(index);
            self.pseudonyms = pseudonyms.or(self.pseudonyms);
        }
        match (head.kind.role(), head.of) {
            (Role::Intent, _) => self.cases.open_intent(*leaf, index),
            (Role::Closing, Some(of)) => self.cases.close_intent(of),
            _ => {}
        }
    }

    fn hash(&mut self, level: u8, hash: &Digest) {
        if let Some(hashes) = self.hashes.get_mut(usize::from(level)) {
            hashes.extend_from_slice(&hash.0);
        }
    }

    fn batch(&mut self, _: &Chain) {
        self.cases.keep();
        self.report.set = self.set.take().or_else(|| self.report.set.take());
        self.report.pseudonyms = self.pseudonyms.take().or(self.report.pseudonyms);
        self.report.map = self.map.take().or(self.report.map);
        self.bundles.append(&mut self.offsets);
        let mut repaired = false;
        for (level, hashes) in self.hashes.iter_mut().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            match self.levels.repair(level, self.written[level], hashes) {
                Ok(wrote) => repaired |= wrote,
                Err(error) => self.error = Some(error),
            }
            self.written[level] += (hashes.len() / 32) as u64;
            hashes.clear();
        }
        self.report.repaired += u64::from(repaired);
    }
}
