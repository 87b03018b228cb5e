//! Pruning by whole segments, under a retention policy. What a crash after each step leaves behind:
//!
//! ```text
//!  walk the segments again        nothing
//!  entry on record, published     an announcement; the next round announces again
//!  level files synced             hashes that no longer depend on the segments
//!  base file written              segments below it; removed at the next start
//!  segments removed               fewer of them; the others are removed at the next start
//! ```
//! Nothing goes before every hash of it was compared with its level file: those are what proofs are made from ever after.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::base::{Base, PRUNED};
use super::disk::{Disk, DiskFile, is_full, replace};
use super::levels::{Levels, MAX_LEVELS};
use super::segment::{self, Chain, SEGMENT_ENTRIES, Visitor};
use super::{Committed, Log};
use crate::audit::entry::{EntryHead, Role};
use crate::audit::evidence::index::Last;
use crate::audit::gm::Sm3Tree;
use crate::audit::merkle::Frontier;
use crate::audit::retention::Pruning;
use crate::audit::tile::Tiled;
use crate::audit::{AuditError, Pseudonym};
use crate::terms::{Digest, UnixMillis};

/// Leaf hashes read at a time.
const STEP: u64 = 65_536;

/// What may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Only segments whose every entry is older.
    pub before: UnixMillis,
    /// Only segments that end at or below this size: published, witnessed, anchored, archived, read by whoever must.
    pub upto: u64,
    /// Cases on hold: a segment with an entry of one of them stays, and all after it.
    pub held: &'a HashSet<Pseudonym>,
}

/// Why a segment stays, and those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// Not full, or not beyond the bound.
    Bound,
    /// An entry is too young; its time in Unix milliseconds.
    Young(i64),
    Held(Pseudonym),
}

/// Segments that were walked again and may go.
#[derive(Clone, Debug)]
pub struct Plan {
    base: Base,
    from: u64,
    /// Why no further segment goes.
    pub stays: Stays,
}

impl Plan {
    /// What the entry on record says of it.
    pub fn pruning(&self, days: u32) -> Pruning {
        Pruning { minimum: self.base.minimum, root: self.base.root, newest: self.base.newest, days }
    }

    /// Entries that go.
    pub fn entries(&self) -> u64 {
        self.base.minimum - self.from
    }
}

impl Log {
    /// Entries below this index were pruned.
    pub fn minimum(&self) -> u64 {
        self.0.shared.minimum.load(Ordering::Acquire)
    }

    /// The right edge of the SM3 tree of the entries that were pruned.
    pub fn pruned_sm3(&self) -> Result<Option<Frontier>, AuditError> {
        let base = Base::read(&self.0.publisher.dir).map_err(|e| AuditError::io("reading the pruned state", &e))?;
        Ok(base.map(|base| base.sm3))
    }

    /// Walks the oldest segments again and gives those that may go; `Err` inside with the reason why none does. Reads each
    /// of them twice, and blocks for as long: about half a second a segment.
    ///
    /// # Errors
    /// [`AuditError::Corrupt`] where a segment or a level file is not what was signed: nothing may go then.
    pub fn prunable(&self, bounds: Bounds<'_>) -> Result<Result<Plan, Stays>, AuditError> {
        let dir = &self.0.publisher.dir;
        let before = Base::read(dir).map_err(|e| AuditError::io("reading the pruned state", &e))?;
        let mut walk = Walk::new(&self.0.shared.levels, before.as_ref(), self.0.key.name())?;
        let from = walk.chain.frontier.size();
        let mut number = from / SEGMENT_ENTRIES;
        // The segment that is being written to stays: it is full only once the next one is begun.
        let upto = bounds.upto.min(self.size().saturating_sub(1));
        let stays = loop {
            if (number + 1) * SEGMENT_ENTRIES > upto {
                break Stays::Bound;
            }
            let path = self.0.segments.join(segment::name(number));
            let file = self.0.disk.open(&path).map_err(|e| AuditError::io("opening a segment", &e))?;
            let mut look = Look { bounds, stays: None };
            walk_segment(&*file, number, self.0.key.name(), &mut walk.chain.clone(), &mut look)?;
            if let Some(stays) = look.stays {
                break stays;
            }
            let mut chain = walk.chain.clone();
            walk_segment(&*file, number, self.0.key.name(), &mut chain, &mut walk)?;
            walk.compare(number)?;
            walk.chain = chain;
            number += 1;
        };
        let minimum = walk.chain.frontier.size();
        Ok(if minimum == from { Err(stays) } else { Ok(Plan { base: walk.base(), from, stays }) })
    }

    /// Lets the segments go. `told` is the entry that says so: it must be published by now.
    ///
    /// # Errors
    /// [`AuditError::NotFound`] while the entry is not published; nothing was done. [`AuditError::Full`]: nothing went.
    /// [`AuditError::Dead`] when the disk failed.
    pub fn prune(&self, plan: Plan, told: &Committed) -> Result<(), AuditError> {
        let (shared, disk, dir) = (&self.0.shared, &self.0.disk, &self.0.publisher.dir);
        if told.index >= shared.published.load().size || told.index < plan.base.minimum || plan.from != self.minimum() {
            return Err(AuditError::NotFound);
        }
        let base = Base { told: told.index, ..plan.base };
        let dead = |doing: &str, error: std::io::Error| {
            let reason = format!("{doing}: {error}");
            shared.die(reason.clone());
            AuditError::Dead(reason)
        };
        shared.levels.sync().map_err(|error| dead("syncing level files", error))?;
        match replace(&**disk, dir, PRUNED, &base.encode()) {
            Err(error) if is_full(&error) => return Err(AuditError::Full(error.to_string())),
            other => other.map_err(|error| dead("keeping the pruned state", error))?,
        }
        shared.minimum.store(base.minimum, Ordering::Release);
        remove_below(&**disk, &self.0.segments, base.segment()).map_err(|e| AuditError::io("removing a segment", &e))
    }
}

/// Removes segment files below `number`, the oldest first.
pub(super) fn remove_below(disk: &dyn Disk, folder: &Path, number: u64) -> std::io::Result<()> {
    let mut old = BTreeMap::new();
    for item in std::fs::read_dir(folder)? {
        let name = item?.file_name().to_string_lossy().into_owned();
        let found = name.strip_suffix(".seg").and_then(|digits| digits.parse::<u64>().ok());
        if let Some(found) = found.filter(|found| *found < number && segment::name(*found) == name) {
            old.insert(found, name);
        }
    }
    for name in old.values() {
        disk.remove(&folder.join(name))?;
    }
    if old.is_empty() { Ok(()) } else { disk.sync_dir(folder) }
}

/// Compares the level files below the minimum index with each other and with the root that was kept: they cannot be
/// rebuilt any more.
pub(super) fn check_levels(levels: &Levels, base: &Base) -> Result<Frontier, AuditError> {
    let damaged = |level: usize, hash: u64| AuditError::Corrupt {
        file: format!("levels/{level}"),
        offset: hash * 32,
        what: "not the hash of those below it, and the entries were pruned: restore the file from a copy".into(),
    };
    let mut frontier = Frontier::new();
    let mut done = [0u64; MAX_LEVELS];
    for start in (0..base.minimum).step_by(STEP as usize) {
        let leaves = levels.bytes(0, start, STEP as usize)?;
        let mut above: [Vec<u8>; MAX_LEVELS] = Default::default();
        for leaf in leaves.as_chunks::<32>().0 {
            frontier.push_with(Digest(*leaf), |height, hash| {
                if height > 0 && height.is_multiple_of(8) && (height / 8) < MAX_LEVELS as u32 {
                    above[(height / 8) as usize].extend_from_slice(&hash.0);
                }
            });
        }
        for (level, want) in above.iter().enumerate().filter(|(_, want)| !want.is_empty()) {
            let stored = levels.bytes(level, done[level], want.len() / 32)?;
            if let Some(at) = stored.chunks(32).zip(want.chunks(32)).position(|(a, b)| a != b) {
                return Err(damaged(level, done[level] + at as u64));
            }
            done[level] += (want.len() / 32) as u64;
        }
    }
    if frontier.root() == base.root { Ok(frontier) } else { Err(damaged(0, 0)) }
}

fn walk_segment(
    file: &dyn DiskFile,
    number: u64,
    origin: &str,
    chain: &mut Chain,
    visitor: &mut dyn Visitor,
) -> Result<(), AuditError> {
    let damaged = |offset, what: &str| {
        let file = format!("segments/{}", segment::name(number));
        AuditError::Corrupt { file, offset, what: what.to_owned() }
    };
    let walked = segment::walk(file, number, origin, chain, visitor);
    let walked = walked.map_err(|e| AuditError::io("reading a segment", &e))?;
    match walked.fault {
        Some(fault) => Err(damaged(fault.offset, fault.what)),
        None if chain.frontier.size() != (number + 1) * SEGMENT_ENTRIES => {
            Err(damaged(walked.end, "entries are missing at the end of this segment"))
        }
        None => Ok(()),
    }
}

/// Whether a segment may go.
struct Look<'a> {
    bounds: Bounds<'a>,
    stays: Option<Stays>,
}

impl Visitor for Look<'_> {
    fn entry(&mut self, _: u64, _: u64, _: &Digest, bytes: &[u8]) {
        let Ok(head) = EntryHead::parse(bytes) else { return };
        let held = head.case.map(|link| link.id).filter(|case| self.bounds.held.contains(case));
        let young = (head.ts >= self.bounds.before.0).then_some(Stays::Young(head.ts));
        self.stays = self.stays.or(held.map(Stays::Held)).or(young);
    }

    fn hash(&mut self, _: u8, _: &Digest) {}

    fn batch(&mut self, _: &Chain) {}
}

/// What must be known of the segments that go.
struct Walk<'a> {
    levels: &'a Levels,
    chain: Chain,
    newest: i64,
    sm3: Sm3Tree,
    cases: BTreeMap<Pseudonym, (u32, u64)>,
    open: BTreeMap<Digest, u64>,
    hashes: [Vec<u8>; MAX_LEVELS],
    done: [u64; MAX_LEVELS],
}

impl<'a> Walk<'a> {
    fn new(levels: &'a Levels, base: Option<&Base>, origin: &str) -> Result<Self, AuditError> {
        let mut walk = Self {
            levels,
            chain: Chain::start(origin),
            newest: i64::MIN,
            sm3: Sm3Tree::default(),
            cases: BTreeMap::new(),
            open: BTreeMap::new(),
            hashes: Default::default(),
            done: [0; MAX_LEVELS],
        };
        if let Some(base) = base {
            let frontier = Frontier::at(&Tiled(levels), base.minimum)?;
            walk.chain = Chain { frontier, last_footer: base.last_footer };
            walk.newest = base.newest;
            walk.sm3 = Sm3Tree::after(base.sm3.clone());
            walk.cases = base.cases.iter().map(|last| (last.case, (last.seq, last.index))).collect();
            walk.open = base.open.iter().map(|(index, leaf)| (*leaf, *index)).collect();
            walk.done.iter_mut().enumerate().for_each(|(level, done)| *done = base.minimum >> (8 * level));
        }
        Ok(walk)
    }

    /// The hashes of a segment are those in the level files.
    fn compare(&mut self, number: u64) -> Result<(), AuditError> {
        for (level, want) in self.hashes.iter_mut().enumerate().filter(|(_, want)| !want.is_empty()) {
            let stored = self.levels.bytes(level, self.done[level], want.len() / 32)?;
            if let Some(at) = stored.chunks(32).zip(want.chunks(32)).position(|(a, b)| a != b) {
                let offset = (self.done[level] + at as u64) * 32;
                let what = format!("not the hash of the entries in {}", segment::name(number));
                return Err(AuditError::Corrupt { file: format!("levels/{level}"), offset, what });
            }
            self.done[level] += (want.len() / 32) as u64;
            want.clear();
        }
        Ok(())
    }

    fn base(self) -> Base {
        let last = |(case, (seq, index))| Last { case, seq, index };
        Base {
            minimum: self.chain.frontier.size(),
            root: self.chain.frontier.root(),
            last_footer: self.chain.last_footer,
            newest: self.newest,
            told: 0,
            sm3: self.sm3.edge().clone(),
            cases: self.cases.into_iter().map(last).collect(),
            open: self.open.into_iter().map(|(leaf, index)| (index, leaf)).collect(),
        }
    }
}

impl Visitor for Walk<'_> {
    fn entry(&mut self, index: u64, _: u64, leaf: &Digest, bytes: &[u8]) {
        self.sm3.push(bytes);
        let Ok(head) = EntryHead::parse(bytes) else { return };
        self.newest = self.newest.max(head.ts);
        if let Some(link) = &head.case {
            self.cases.insert(link.id, (link.seq, index));
        }
        match (head.kind.role(), head.of) {
            (Role::Intent, _) => drop(self.open.insert(*leaf, index)),
            (Role::Closing, Some(of)) => drop(self.open.remove(&of)),
            _ => {}
        }
    }

    fn hash(&mut self, level: u8, hash: &Digest) {
        if let Some(hashes) = self.hashes.get_mut(usize::from(level)) {
            hashes.extend_from_slice(&hash.0);
        }
    }

    fn batch(&mut self, _: &Chain) {}
}

#[cfg(test)]
mod tests;
