//! Takes the entries of a case out of a log folder, with their proofs. Takes no lock: what a checkpoint covers never
//! changes, so this works beside a running gateway too.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use super::index::{self, Last};
use super::{
    ANCHOR, AnchorPart, EvidenceError, IndexPart, LogPart, MAX_ENTRIES, checkpoint_path, entry_path, proof_path,
};
use crate::audit::anchor::{self, MAX_ANCHOR};
use crate::audit::checkpoint::{self, SignedCheckpoint};
use crate::audit::entry::{EntryHead, Receipt, Role};
use crate::audit::log::base::{Base, PRUNED};
use crate::audit::log::segment::{self, Cursor, HEADER_LEN, Unit};
use crate::audit::merkle::{self, leaf_hash};
use crate::audit::note::{MAX_NOTE, VerifierKey};
use crate::audit::plain;
use crate::audit::proof::TlogProof;
use crate::audit::tile::{TileHashes, Tiled, WIDTH};
use crate::audit::verify::{Fetch, Sparse, read_bundle};
use crate::audit::{AuditError, Kind, Pseudonym, bundle};
use crate::terms::Digest;

/// Entries of one log with their proofs.
pub struct Half {
    pub part: LogPart,
    pub checkpoint: String,
    /// Index, bytes, proof; by index.
    pub entries: Vec<(u64, Vec<u8>, TlogProof)>,
    pub index: Option<IndexPart>,
    /// A time-stamp over the log that covers the case, with its octets.
    pub anchor: Option<(AnchorPart, Vec<u8>)>,
    /// Unix milliseconds of the newest entry, as it says itself.
    pub newest: i64,
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
        files.extend(self.anchor.iter().map(|(_, octets)| (ANCHOR.to_owned(), octets.clone())));
        files
    }

    /// Receipts of peers that these entries name.
    pub fn receipts(&self) -> Vec<Receipt> {
        let heads = self.entries.iter().filter_map(|(_, bytes, _)| EntryHead::parse(bytes).ok());
        heads.filter_map(|head| head.receipt).collect()
    }
}

/// The entries of `case` in the log folder `dir`, those that close its intents, and the newest `index` entry.
pub fn gather(dir: &Path, key: &VerifierKey, case: &Pseudonym) -> Result<Half, EvidenceError> {
    let read = |file: &str| {
        plain::read(&dir.join(file), MAX_NOTE as u64)
            .map_err(|source| EvidenceError::Read { file: file.to_owned(), source })
    };
    let signed = checkpoint::open(&read("checkpoint")?, key, None)?;
    if let Some(base) = pruned(dir)?
        && base.cases.iter().any(|last| last.case == *case)
    {
        return Err(EvidenceError::Pruned(base.minimum));
    }
    let mut wanted = Wanted::new(case);
    walk(dir, signed.size(), |index, bytes| wanted.look(index, bytes))?;
    if wanted.found.is_empty() {
        return Err(EvidenceError::NoCase);
    }
    let index = match wanted.newest_index.take() {
        None => None,
        Some((at, bytes)) => {
            let part = index_part(dir, at, case)?;
            if part.is_some() {
                wanted.found.push((at, bytes));
                wanted.found.sort_unstable();
            }
            part
        }
    };
    let levels = LevelFolder(dir.join("levels"));
    let last = wanted.found.iter().map(|(at, _)| *at).filter(|at| index.as_ref().is_none_or(|part| part.entry != *at));
    let anchor = anchored(dir, last.max().unwrap_or(0), &signed, &levels)?;
    let prove = |at: u64| merkle::inclusion(&Tiled(&levels), at, signed.size());
    let half = half(&signed, key, wanted.found, index, |at| prove(at).map_err(EvidenceError::from))?;
    Ok(Half { anchor, ..half })
}

/// The first time-stamp over the log that covers entry `last`: the nearest proof of when it was there.
fn anchored(
    dir: &Path,
    last: u64,
    signed: &SignedCheckpoint,
    levels: &LevelFolder,
) -> Result<Option<(AnchorPart, Vec<u8>)>, EvidenceError> {
    let failed = |source| EvidenceError::Read { file: "anchors".to_owned(), source };
    let all = anchor::all(dir).map_err(failed)?;
    let Some((size, file)) = all.range(last + 1..=signed.size()).next() else { return Ok(None) };
    let octets = plain::read(file, MAX_ANCHOR as u64).map_err(failed)?;
    let proof = merkle::consistency(&Tiled(levels), *size, signed.size())?;
    Ok(Some((AnchorPart { size: *size, proof }, octets)))
}

/// The entries of a peer's log that receipts name.
pub fn named_by_peers(
    fetch: &dyn Fetch,
    key: &VerifierKey,
    receipts: &[Receipt],
) -> Result<Option<Half>, EvidenceError> {
    let read = |path: &str| {
        let failed = |source| EvidenceError::Read { file: path.to_owned(), source };
        fetch.get(path).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    };
    let signed = checkpoint::open(&read("checkpoint")?, key, None)?;
    let mine = receipts.iter().filter(|receipt| receipt.origin == key.name() && receipt.index < signed.size());
    let mut indices: Vec<u64> = mine.map(|receipt| receipt.index).collect();
    indices.sort_unstable();
    indices.dedup();
    let mut entries = Vec::new();
    for at in indices {
        let failed = |source| EvidenceError::Read { file: "tile/entries".to_owned(), source };
        let found = read_bundle(fetch, at / WIDTH, signed.size()).map_err(failed)?;
        let (tile, bytes) = found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let all = bundle::parse(&bytes, tile.width).ok_or(EvidenceError::Proof(at))?;
        entries.push((at, all.get((at % WIDTH) as usize).ok_or(EvidenceError::Proof(at))?.to_vec()));
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    half(&signed, key, entries, None, |at| sparse.inclusion(at).map_err(EvidenceError::from)).map(Some)
}

fn half(
    signed: &SignedCheckpoint,
    key: &VerifierKey,
    entries: Vec<(u64, Vec<u8>)>,
    index: Option<IndexPart>,
    prove: impl Fn(u64) -> Result<Vec<Digest>, EvidenceError>,
) -> Result<Half, EvidenceError> {
    let indices = entries.iter().map(|(at, _)| *at).collect();
    let part = LogPart { origin: key.name().to_owned(), key: key.to_string(), size: signed.size(), entries: indices };
    let (mut proven, mut newest) = (Vec::with_capacity(entries.len()), 0);
    for (at, bytes) in entries {
        let proof = TlogProof { extra: None, index: at, hashes: prove(at)?, checkpoint: signed.note().to_owned() };
        proof.verify(&bytes, key).map_err(|_| EvidenceError::Proof(at))?;
        newest = EntryHead::parse(&bytes).map_or(newest, |head| newest.max(head.ts));
        proven.push((at, bytes, proof));
    }
    Ok(Half { part, checkpoint: signed.note().to_owned(), entries: proven, index, anchor: None, newest })
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

/// The map of all cases before the entry `at`, and where `case` stands in it.
fn index_part(dir: &Path, at: u64, case: &Pseudonym) -> Result<Option<IndexPart>, EvidenceError> {
    let before = pruned(dir)?.map(|base| base.cases).unwrap_or_default();
    let mut last: HashMap<Pseudonym, (u32, u64)> =
        before.into_iter().map(|last| (last.case, (last.seq, last.index))).collect();
    walk(dir, at, |index, bytes| {
        if let Ok(EntryHead { case: Some(link), .. }) = EntryHead::parse(bytes) {
            last.insert(link.id, (link.seq, index));
        }
        Ok(())
    })?;
    let all = last.into_iter().map(|(case, (seq, index))| Last { case, seq, index }).collect();
    let part = index::prove(all, case);
    Ok(part.map(|(place, last, proof)| IndexPart { entry: at, last: last.index, seq: last.seq, place, proof }))
}

/// What was kept of segments that were pruned.
fn pruned(dir: &Path) -> Result<Option<Base>, EvidenceError> {
    Base::read(dir).map_err(|source| EvidenceError::Read { file: PRUNED.to_owned(), source })
}

/// Hears of the first `size` entries of a folder's segments, but for those that were pruned.
fn walk(
    dir: &Path,
    size: u64,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), EvidenceError>,
) -> Result<(), EvidenceError> {
    let base = pruned(dir)?;
    let (mut at, first) = base.map_or((0, 0), |base| (base.minimum, base.segment()));
    for number in first.. {
        if at >= size {
            break;
        }
        let file = format!("segments/{}", segment::name(number));
        let failed = |source| EvidenceError::Read { file: file.clone(), source };
        let open = plain::open(&dir.join(&file)).map_err(failed)?;
        let mut cursor = Cursor::new(&open, HEADER_LEN as u64);
        let end = (number + 1) * segment::SEGMENT_ENTRIES;
        while at < size.min(end) {
            let offset = cursor.offset();
            let (unit, len) = segment::unit(&mut cursor).map_err(failed)?;
            match unit {
                Unit::Entry(bytes) => {
                    each(at, bytes)?;
                    at += 1;
                }
                Unit::Footer(..) => {}
                Unit::Blank => {
                    let what = "entries that the checkpoint covers are missing";
                    return Err(EvidenceError::Damaged { file, offset, what });
                }
                Unit::Bad(what) => return Err(EvidenceError::Damaged { file, offset, what }),
            }
            cursor.skip(len);
        }
    }
    Ok(())
}

/// Level files, only read.
struct LevelFolder(PathBuf);

impl TileHashes for LevelFolder {
    type Error = AuditError;
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, AuditError> {
        let io = |e: io::Error| AuditError::io("reading a level file", &e);
        let mut bytes = vec![0; count * 32];
        plain::open(&self.0.join(level.to_string()))
            .and_then(|f| f.read_exact_at(&mut bytes, start * 32))
            .map_err(io)?;
        Ok(bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash)).collect())
    }
}
