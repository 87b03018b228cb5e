//! Takes the entries of a case out of a log, with their proofs: a gateway's folder, a mirror, an archive, a URL. Takes no lock: what
//! a checkpoint covers never changes, so this works beside a running gateway too.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use memchr::memmem::Finder;

use super::heads::anchored;
use super::index::{self, Last};
use super::{EvidenceError, IndexPart, LogPart, MAX_ENTRIES, anchor_path, checkpoint_path, entry_path, proof_path};
use crate::audit::checkpoint::{self, MAP, SignedCheckpoint};
use crate::audit::entry::{EntryHead, Receipt, Role};
use crate::audit::log::base::{Base, PRUNED};
use crate::audit::merkle::leaf_hash;
use crate::audit::note::VerifierKey;
use crate::audit::proof::TlogProof;
use crate::audit::tile::WIDTH;
use crate::audit::verify::{Fetch, Sparse, claimed_minimum, optional, read_bundle};
use crate::audit::{Kind, Pseudonym, bundle};
use crate::terms::Digest;

/// Entries of one log with their proofs.
#[derive(Clone)]
pub struct Half {
    pub part: LogPart,
    pub checkpoint: String,
    /// Index, bytes, proof; by index.
    pub entries: Vec<(u64, Vec<u8>, TlogProof)>,
    /// The time-stamp of [`LogPart::anchor`].
    pub anchor: Option<Vec<u8>>,
    /// Whether the log has entries of the case; what else it shows is that it has none.
    pub has_case: bool,
    /// Unix milliseconds of the newest entry, as it says itself.
    pub newest: i64,
    /// Entries of the case that came after the map, and are not in it.
    pub later: usize,
}

impl Half {
    /// The files of this half, as they stand in the bundle under `log`.
    pub fn files(&self, log: usize) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![(checkpoint_path(log), self.checkpoint.clone().into_bytes())];
        for (index, bytes, _) in &self.entries {
            files.push((entry_path(log, *index), bytes.clone()));
        }
        for (index, _, proof) in &self.entries {
            files.push((proof_path(log, *index), proof.to_string().into_bytes()));
        }
        files.extend(self.anchor.iter().map(|octets| (anchor_path(log), octets.clone())));
        files
    }

    /// Receipts of peers that the entries name.
    pub fn receipts(&self) -> Vec<Receipt> {
        let heads = self.entries.iter().filter_map(|(_, bytes, _)| EntryHead::parse(bytes).ok());
        heads.filter_map(|head| head.receipt).collect()
    }
}

/// The entries of `case` in a log of ours, those that close its intents, and the newest `index` entry: also where there are none,
/// because another replica had the case. All of it as of the newest checkpoint that ends with a map, unless the case is younger.
/// `folder` is the gateway's own, where it is at hand: it knows all time-stamps, and what was pruned.
///
/// # Errors
/// [`EvidenceError::Pruned`] where some of them are not kept here any more.
pub fn gather(
    fetch: &dyn Fetch,
    folder: Option<&Path>,
    key: &VerifierKey,
    case: &Pseudonym,
) -> Result<Half, EvidenceError> {
    // In this order: what the first one promises, the second one has.
    let mapped = mapped(fetch, key)?;
    let newest = checkpoint::open(&must(fetch, "checkpoint")?, key, None)?;
    let base = folder.map(pruned).transpose()?.flatten();
    if let Some(base) = &base
        && base.cases.iter().any(|last| last.case == *case)
    {
        return Err(EvidenceError::Pruned(base.minimum));
    }
    let kept = Kept::of(fetch, &newest)?;
    let mut wanted = Wanted::new(case);
    kept.walk(newest.size(), |index, bytes| wanted.look(index, bytes))?;
    match wanted.found.first() {
        None if kept.from > 0 && base.is_none() => return Err(EvidenceError::Pruned(kept.from)),
        // Its chain begins in what is not here.
        Some((_, bytes)) if !begins(bytes) => return Err(EvidenceError::Pruned(kept.from)),
        _ => {}
    }
    let sparse = Sparse::new(fetch, newest.checkpoint())?;
    let newest_map = wanted.newest_index.take();
    let ends_with_map = newest_map.as_ref().is_some_and(|(at, _)| at + 1 == newest.size());
    let is_younger = |size: u64| wanted.found.first().is_some_and(|(at, _)| *at >= size);
    let its_map = match &mapped {
        Some(mapped) if !ends_with_map && !is_younger(mapped.size()) => its_map(fetch, &sparse, mapped)?,
        _ => None,
    };
    let (signed, map) = match (mapped, its_map) {
        (Some(mapped), Some(map)) => (mapped, Some(map)),
        _ => (newest, newest_map),
    };
    let all = wanted.found.len();
    wanted.found.retain(|(at, _)| *at < signed.size());
    let (has_case, later) = (!wanted.found.is_empty(), all - wanted.found.len());
    // What is only about this export, and is later than any time-stamp, needs none.
    let is_told = |bytes: &[u8]| EntryHead::parse(bytes).is_ok_and(|head| head.kind != Kind::AuditExport);
    let last = wanted.found.iter().filter(|(_, bytes)| is_told(bytes)).map(|(at, _)| *at).max();
    let index = match map {
        // What the map says of cases that are not here nobody can compute again.
        Some((at, bytes)) if kept.from == 0 || base.is_some() => {
            let part = kept.index_part(base.map(|base| base.cases).unwrap_or_default(), at, case)?;
            wanted.found.push((at, bytes));
            wanted.found.sort_unstable();
            Some(part)
        }
        _ => None,
    };
    let anchor = match last {
        Some(last) => anchored(fetch, folder, last, &signed, &sparse)?,
        None => None,
    };
    let mut half = half(&signed, &sparse, key, wanted.found)?;
    half.part.index = index;
    (half.has_case, half.later) = (has_case, later);
    (half.part.anchor, half.anchor) = anchor.unzip();
    Ok(half)
}

/// The checkpoint that ends with a map of cases, where the log has one under this key.
fn mapped(fetch: &dyn Fetch, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, EvidenceError> {
    let note = optional(fetch, MAP).map_err(|source| EvidenceError::Read { file: MAP.to_owned(), source })?;
    // Of before its key was changed: without it the end stays open, which the bundle says.
    Ok(note.and_then(|note| checkpoint::open(&note, key, None).ok()))
}

/// The map that a checkpoint ends with: what ends with something else, or is of another log, is no use, whoever put it there.
fn its_map(
    fetch: &dyn Fetch,
    sparse: &Sparse<'_>,
    mapped: &SignedCheckpoint,
) -> Result<Option<(u64, Vec<u8>)>, EvidenceError> {
    let size = mapped.size();
    if !(1..=sparse.size()).contains(&size) || sparse.root_at(size)? != mapped.root() {
        return Ok(None);
    }
    let bytes = entry(fetch, size - 1, sparse.size())?;
    Ok(index::read(&bytes).is_some().then_some((size - 1, bytes)))
}

/// Entries that the log had with its newest map of cases for which a checkpoint is there; none without one.
///
/// # Errors
/// What cannot be read.
pub fn mapped_size(fetch: &dyn Fetch, key: &VerifierKey) -> Result<Option<u64>, EvidenceError> {
    Ok(mapped(fetch, key)?.map(|signed| signed.size()))
}

pub(super) fn must(fetch: &dyn Fetch, path: &str) -> Result<Vec<u8>, EvidenceError> {
    let failed = |source| EvidenceError::Read { file: path.to_owned(), source };
    fetch.get(path).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// Whether an entry is the first of its case.
fn begins(bytes: &[u8]) -> bool {
    EntryHead::parse(bytes).is_ok_and(|head| head.case.is_some_and(|link| link.prev.is_none()))
}

/// The entries of a peer's log that receipts name.
pub fn named_by_peers(
    fetch: &dyn Fetch,
    key: &VerifierKey,
    receipts: &[Receipt],
) -> Result<Option<Half>, EvidenceError> {
    let signed = checkpoint::open(&must(fetch, "checkpoint")?, key, None)?;
    let mine = receipts.iter().filter(|receipt| receipt.origin == key.name() && receipt.index < signed.size());
    let mut indices: Vec<u64> = mine.map(|receipt| receipt.index).collect();
    indices.sort_unstable();
    indices.dedup();
    let mut entries = Vec::new();
    for at in indices {
        entries.push((at, entry(fetch, at, signed.size())?));
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    half(&signed, &sparse, key, entries).map(Some)
}

/// One entry of a log that has `size` of them.
fn entry(fetch: &dyn Fetch, at: u64, size: u64) -> Result<Vec<u8>, EvidenceError> {
    let failed = |source| EvidenceError::Read { file: "tile/entries".to_owned(), source };
    let found = read_bundle(fetch, at / WIDTH, size).map_err(failed)?;
    let (tile, bytes) = found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let all = bundle::parse(&bytes, tile.width).ok_or(EvidenceError::Proof(at))?;
    Ok(all.get((at % WIDTH) as usize).ok_or(EvidenceError::Proof(at))?.to_vec())
}

/// These entries with their proofs under `signed`, which may be a past of what `sparse` reads.
fn half(
    signed: &SignedCheckpoint,
    sparse: &Sparse<'_>,
    key: &VerifierKey,
    entries: Vec<(u64, Vec<u8>)>,
) -> Result<Half, EvidenceError> {
    let indices = entries.iter().map(|(at, _)| *at).collect();
    let (origin, size) = (key.name().to_owned(), signed.size());
    let key_text = key.to_string();
    let part = LogPart { origin, key: key_text, size, entries: indices, index: None, anchor: None, named: Vec::new() };
    let (mut proven, mut newest) = (Vec::with_capacity(entries.len()), 0);
    for (at, bytes) in entries {
        let hashes = sparse.inclusion_in(at, signed.size())?;
        let proof = TlogProof { extra: None, index: at, hashes, checkpoint: signed.note().to_owned() };
        proof.verify(&bytes, key).map_err(|_| EvidenceError::Proof(at))?;
        newest = EntryHead::parse(&bytes).map_or(newest, |head| newest.max(head.ts));
        proven.push((at, bytes, proof));
    }
    Ok(Half {
        part,
        checkpoint: signed.note().to_owned(),
        entries: proven,
        anchor: None,
        has_case: true,
        newest,
        later: 0,
    })
}

/// Picks entries while the log goes by; most of them are passed over without being read.
struct Wanted<'a> {
    case: &'a Pseudonym,
    digits: Finder<'static>,
    recovered: Finder<'static>,
    index: Finder<'static>,
    intents: HashSet<Digest>,
    found: Vec<(u64, Vec<u8>)>,
    newest_index: Option<(u64, Vec<u8>)>,
}

impl<'a> Wanted<'a> {
    fn new(case: &'a Pseudonym) -> Self {
        let finder = |text: &str| Finder::new(text).into_owned();
        let kind = |kind: Kind| finder(&format!("\"kind\":\"{kind}\""));
        Self {
            case,
            digits: finder(&case.to_string()),
            recovered: kind(Kind::Recovered),
            index: kind(Kind::Index),
            intents: HashSet::new(),
            found: Vec::new(),
            newest_index: None,
        }
    }

    fn look(&mut self, at: u64, bytes: &[u8]) -> Result<(), EvidenceError> {
        if self.index.find(bytes).is_some() && index::read(bytes).is_some() {
            self.newest_index = Some((at, bytes.to_vec()));
        }
        if self.digits.find(bytes).is_none() && self.recovered.find(bytes).is_none() {
            return Ok(());
        }
        let Ok(head) = EntryHead::parse(bytes) else { return Ok(()) };
        let is_ours = head.case.is_some_and(|link| link.id == *self.case);
        let closes_ours = head.of.is_some_and(|of| self.intents.contains(&of));
        if is_ours || closes_ours {
            if head.kind.role() == Role::Intent {
                self.intents.insert(leaf_hash(bytes));
            }
            if self.found.len() == MAX_ENTRIES {
                return Err(EvidenceError::TooMany);
            }
            self.found.push((at, bytes.to_vec()));
        }
        Ok(())
    }
}

/// What was kept of segments that were pruned.
fn pruned(dir: &Path) -> Result<Option<Base>, EvidenceError> {
    Base::read(dir).map_err(|source| EvidenceError::Read { file: PRUNED.to_owned(), source })
}

/// The entries of a log that are there.
struct Kept<'a> {
    fetch: &'a dyn Fetch,
    size: u64,
    /// Index of the first of them.
    from: u64,
}

impl<'a> Kept<'a> {
    fn of(fetch: &'a dyn Fetch, signed: &SignedCheckpoint) -> Result<Self, EvidenceError> {
        let failed = |source| EvidenceError::Read { file: "tile/entries".to_owned(), source };
        let size = signed.size();
        let from = match size > 0 && read_bundle(fetch, 0, size).map_err(failed)?.is_none() {
            true => claimed_minimum(fetch, &signed.checkpoint().origin, size).map_err(failed)? / WIDTH * WIDTH,
            false => 0,
        };
        Ok(Self { fetch, size, from })
    }

    /// Hears of them, up to entry `end`.
    fn walk(
        &self,
        end: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        for number in self.from / WIDTH..end.div_ceil(WIDTH) {
            let file = || format!("tile/entries, bundle {number}");
            let failed = |source| EvidenceError::Read { file: file(), source };
            let found = read_bundle(self.fetch, number, self.size).map_err(failed)?;
            let (tile, bytes) = found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let all = bundle::parse(&bytes, tile.width).ok_or_else(|| EvidenceError::Damaged(file()))?;
            for (at, entry) in (number * WIDTH..end).zip(all) {
                each(at, entry)?;
            }
        }
        Ok(())
    }

    /// The map of all cases before the entry `at`, and where `case` stands in it; `before` are those that were pruned.
    fn index_part(&self, before: Vec<Last>, at: u64, case: &Pseudonym) -> Result<IndexPart, EvidenceError> {
        let mut last: HashMap<Pseudonym, (u32, u64)> =
            before.into_iter().map(|last| (last.case, (last.seq, last.index))).collect();
        self.walk(at, |index, bytes| {
            if let Ok(EntryHead { case: Some(link), .. }) = EntryHead::parse(bytes) {
                last.insert(link.id, (link.seq, index));
            }
            Ok(())
        })?;
        let all = last.into_iter().map(|(case, (seq, index))| Last { case, seq, index }).collect();
        Ok(IndexPart { entry: at, shown: index::show(all, case) })
    }
}
