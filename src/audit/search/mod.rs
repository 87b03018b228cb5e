//! Finds entries of a log by what they say. What was found counts only when the log's signed root says so, too.
//!
//! ```text
//!  all of it:  every entry ─▶ tree ─▶ signed root?  ─▶ those that fit, by index and leaf hash ─▶ read again, shown
//!  an index:   rows ─▶ the entries they name ─▶ leaf under the signed root? ─▶ fits? ─┘
//!              and every entry that came after the index was written
//! ```
//! An index can therefore invent nothing and change nothing. It can *hide* an entry: who must be sure reads all of it.

pub mod index;
mod keep;
mod rows;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;

use serde_json::Value;

use super::checkpoint::{self, CheckpointError};
use super::entry::{EntryHead, Role};
use super::logset::LogSet;
use super::merkle::{Frontier, leaf_hash};
use super::note::VerifierKey;
use super::proof::TlogProof;
use super::retention::RETENTION;
use super::tile::{Level, TilePath, WIDTH, parse_hashes};
use super::verify::{Fetch, Sparse, SparseError, claimed_minimum, read_bundle};
use super::{Kind, Pseudonym, bundle};
use crate::terms::{Digest, UnixMillis};
use index::Candidates;
pub use keep::{Keeper, Served, Step, step};

/// What is looked for; an entry must fit all that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Entries of the case, and those that close its intents.
    pub case: Option<Pseudonym>,
    /// As actor, represented or subject.
    pub person: Option<Pseudonym>,
    /// Staff number, or pseudonym of a person.
    pub actor: Option<String>,
    /// Window or terminal, or social credit code of the organisation.
    pub outlet: Option<String>,
    /// Basic code of the item.
    pub item: Option<String>,
    pub kind: Option<String>,
    /// The verdict, its reason, or one of its rules.
    pub decision: Option<String>,
    /// First moment, and the first one after the last.
    pub since: Option<UnixMillis>,
    pub until: Option<UnixMillis>,
}

/// Which of the entries that fit are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Entries below this index are passed over, and so are the first `skip` that fit.
    pub from: u64,
    pub skip: u64,
    pub limit: usize,
}

/// Where an entry that fits stands, and what the signed root says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub index: u64,
    pub leaf: Digest,
}

/// One entry that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub place: Place,
    /// Unix milliseconds, as the entry says itself.
    pub ts: i64,
    pub entry: Value,
    /// Bytes that were hashed.
    pub bytes: Vec<u8>,
}

/// What a log holds of it: 40 bytes a hit, however long the entries are.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The page that was asked for, by index.
    pub places: Vec<Place>,
    /// All that fit from the page's first index on, listed or not; where an index was used, by its own count.
    pub matched: u64,
    /// Entries that cannot be read as ours: whether they fit is undecided.
    pub unread: u64,
    /// Entries that the log has pruned: whether they fit is undecided.
    pub pruned: u64,
    pub size: u64,
    /// The signed note that the hits were checked against.
    pub checkpoint: String,
    /// Entries below this index were looked up in an index, and may be hidden by it.
    pub indexed: u64,
    /// Entries read that say which logs belong together.
    pub sets: Vec<Place>,
}

/// Why a search says nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}: not a bundle of entries")]
    Bundle(String),
    #[error("the entries do not give the signed root: the log was changed")]
    Root,
    #[error("entry {0} is not the one that was signed: the log was changed")]
    Changed(u64),
    #[error(transparent)]
    Proof(#[from] SparseError),
    #[error("the index does not belong to this log, or was changed: {0}")]
    Index(String),
}

impl SearchError {
    /// Whether the log is disproven, or could only not be read.
    pub fn is_proof(&self) -> bool {
        match self {
            Self::Bundle(_) | Self::Root | Self::Changed(_) => true,
            Self::Proof(error) => matches!(error, SparseError::Forged(_)),
            // A folder whose own checksums, or signed entries, do not hold.
            Self::Read { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            Self::Checkpoint(_) | Self::Index(_) => false,
        }
    }
}

impl Filter {
    /// Whether an entry fits; `of_case` says whether it belongs to the case that is looked for.
    fn fits(&self, head: &EntryHead, entry: &Value, of_case: bool) -> bool {
        let at = |path: &str| entry.pointer(path).and_then(Value::as_str);
        let any = |wanted: &Option<String>, paths: &[&str]| {
            wanted.as_deref().is_none_or(|wanted| paths.iter().any(|path| at(path) == Some(wanted)))
        };
        let rules = entry.pointer("/dec/rules").and_then(Value::as_array);
        let is_rule = |rule: &str| rules.is_some_and(|rules| rules.iter().any(|found| found == rule));
        (self.case.is_none() || of_case)
            && any(&self.person.map(|pid| pid.to_string()), &["/actor/pid", "/behalf/pid", "/subj/pid"])
            && any(&self.actor, &["/actor/staff", "/actor/pid"])
            && any(&self.outlet, &["/actor/terminal", "/actor/org"])
            && any(&self.item, &["/item/code"])
            && any(&self.kind, &["/kind"])
            && (any(&self.decision, &["/dec/verdict", "/dec/reason"]) || self.decision.as_deref().is_some_and(is_rule))
            && self.since.is_none_or(|since| head.ts >= since.0)
            && self.until.is_none_or(|until| head.ts < until.0)
    }
}

/// What was read of an entry, if it is one of ours.
fn judged(bytes: &[u8]) -> Option<(EntryHead, Value)> {
    Some((EntryHead::parse(bytes).ok()?, serde_json::from_slice(bytes).ok()?))
}

/// Judges entries one by one, in their order.
struct Sieve<'a> {
    filter: &'a Filter,
    page: Page,
    /// Intents of the case that is looked for.
    intents: HashSet<Digest>,
    found: Found,
}

impl Sieve<'_> {
    fn entry(&mut self, place: Place, bytes: &[u8]) {
        let Some((head, entry)) = judged(bytes) else {
            self.found.unread += 1;
            return;
        };
        let is_of = head.case.as_ref().is_some_and(|link| Some(link.id) == self.filter.case);
        let of_case = is_of || head.of.is_some_and(|of| self.intents.contains(&of));
        if is_of && head.kind.role() == Role::Intent {
            self.intents.insert(place.leaf);
        }
        // A map of cases names all logs of its set, too.
        if head.kind == Kind::LogSet || head.kind == Kind::Index && LogSet::read(bytes).is_some() {
            self.found.sets.push(place);
        }
        if place.index >= self.page.from && self.filter.fits(&head, &entry, of_case) {
            self.take(place);
        }
    }

    fn take(&mut self, place: Place) {
        if self.found.matched >= self.page.skip && self.found.places.len() < self.page.limit {
            self.found.places.push(place);
        }
        self.found.matched += 1;
    }
}

fn read(fetch: &dyn Fetch, path: &str) -> Result<Vec<u8>, SearchError> {
    let failed = |source| SearchError::Read { path: path.to_owned(), source };
    fetch.get(path).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// The minimum index that the log claims.
fn minimum(fetch: &dyn Fetch, key: &VerifierKey, size: u64) -> Result<u64, SearchError> {
    let failed = |source| SearchError::Read { path: RETENTION.into(), source };
    claimed_minimum(fetch, key.name(), size).map_err(failed)
}

/// Reads the whole log of `key` and gives the page of the entries that fit.
///
/// # Errors
/// [`SearchError::Root`] where an entry is not the one that was signed; then nothing was found.
pub fn search(fetch: &dyn Fetch, key: &VerifierKey, filter: &Filter, page: Page) -> Result<Found, SearchError> {
    let signed = checkpoint::open(&read(fetch, "checkpoint")?, key, None)?;
    let found = Found { size: signed.size(), checkpoint: signed.note().to_owned(), ..Found::default() };
    let mut sieve = Sieve { filter, page, intents: HashSet::new(), found };
    let (mut frontier, mut minimum) = (Frontier::new(), None);
    for number in 0..signed.size().div_ceil(WIDTH) {
        let path = format!("tile/entries, bundle {number}");
        let failed = |source| SearchError::Read { path: path.clone(), source };
        let Some((tile, bytes)) = read_bundle(fetch, number, signed.size()).map_err(failed)? else {
            let claimed = match minimum {
                Some(claimed) => claimed,
                None => *minimum.insert(self::minimum(fetch, key, signed.size())?),
            };
            if (number + 1) * WIDTH > claimed {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            let leaves = TilePath { level: Level::Hashes(0), index: number, width: 256 }.to_string();
            let hashes = parse_hashes(&read(fetch, &leaves)?, 256).ok_or(SearchError::Bundle(leaves))?;
            hashes.into_iter().for_each(|leaf| frontier.push(leaf));
            sieve.found.pruned += WIDTH;
            continue;
        };
        let all = bundle::parse(&bytes, tile.width).ok_or_else(|| SearchError::Bundle(path.clone()))?;
        for bytes in all.into_iter().take((signed.size() - number * WIDTH).min(WIDTH) as usize) {
            let place = Place { index: frontier.size(), leaf: leaf_hash(bytes) };
            frontier.push(place.leaf);
            sieve.entry(place, bytes);
        }
    }
    match frontier.root() == signed.root() {
        true => Ok(sieve.found),
        false => Err(SearchError::Root),
    }
}

/// As [`search`], by the rows of an index; only what they name is read, and what came after them.
///
/// # Errors
/// [`SearchError::Index`] where the rows say what the log does not: then the index is worth nothing.
pub fn search_rows(
    fetch: &dyn Fetch,
    key: &VerifierKey,
    filter: &Filter,
    page: Page,
    rows: &Candidates,
) -> Result<Found, SearchError> {
    let signed = checkpoint::open(&read(fetch, "checkpoint")?, key, None)?;
    let (size, indexed) = (signed.size(), rows.indexed.min(signed.size()));
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    if let Some(last) = rows.last.filter(|last| last.index < size)
        && sparse.leaf(last.index)? != last.leaf
    {
        return Err(SearchError::Index(format!("entry {} has another hash", last.index)));
    }
    let minimum = minimum(fetch, key, size)?;
    let entries = Entries::new(fetch, size);
    let found = Found {
        size,
        checkpoint: signed.note().to_owned(),
        indexed,
        unread: rows.unread,
        pruned: minimum,
        ..Found::default()
    };
    let mut sieve = Sieve { filter, page: Page { skip: 0, ..page }, intents: HashSet::new(), found };
    let proven = |index: u64| -> Result<(Place, Vec<u8>), SearchError> {
        let place = Place { index, leaf: sparse.leaf(index)? };
        Ok((place, entries.bytes(place)?))
    };
    let kept = |index: &&u64| **index >= minimum && **index < indexed;
    // The intents of the case first: what closes them belongs to it.
    for index in rows.intents.iter().filter(kept) {
        let (place, bytes) = proven(*index)?;
        let intent = judged(&bytes).filter(|(head, _)| head.kind.role() == Role::Intent);
        if intent.and_then(|(head, _)| head.case).is_some_and(|link| Some(link.id) == filter.case) {
            sieve.intents.insert(place.leaf);
        }
    }
    for index in rows.page.iter().filter(kept) {
        let before = sieve.found.matched;
        let (place, bytes) = proven(*index)?;
        sieve.entry(place, &bytes);
        if sieve.found.matched == before {
            return Err(SearchError::Index(format!("entry {index} is not what the index says")));
        }
    }
    // What fits in the index before and after this page, by its own count.
    sieve.found.matched = rows.matched;
    sieve.page.skip = page.skip;
    for index in indexed.max(minimum)..size {
        let (place, bytes) = proven(index)?;
        sieve.entry(place, &bytes);
    }
    Ok(sieve.found)
}

/// Entries of a log, one by one; the last bundle is kept for the next.
pub struct Entries<'a> {
    fetch: &'a dyn Fetch,
    size: u64,
    last: RefCell<Option<(u64, u16, Vec<u8>)>>,
}

impl<'a> Entries<'a> {
    pub fn new(fetch: &'a dyn Fetch, size: u64) -> Self {
        Self { fetch, size, last: RefCell::default() }
    }

    /// The bytes of the entry with this leaf hash.
    ///
    /// # Errors
    /// [`SearchError::Changed`] when another entry stands there.
    pub fn bytes(&self, place: Place) -> Result<Vec<u8>, SearchError> {
        let number = place.index / WIDTH;
        let path = || format!("tile/entries, bundle {number}");
        let failed = |source| SearchError::Read { path: path(), source };
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(have, ..)| *have != number) {
            let got = read_bundle(self.fetch, number, self.size).map_err(failed)?;
            let (tile, bytes) = got.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            *last = Some((number, tile.width, bytes));
        }
        let (_, width, bytes) = last.as_ref().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let all = bundle::parse(bytes, *width).ok_or_else(|| SearchError::Bundle(path()))?;
        let found = all.get((place.index % WIDTH) as usize).ok_or_else(|| SearchError::Bundle(path()))?;
        match leaf_hash(found) == place.leaf {
            true => Ok(found.to_vec()),
            false => Err(SearchError::Changed(place.index)),
        }
    }

    /// The entry with this leaf hash, read.
    ///
    /// # Errors
    /// As [`Entries::bytes`].
    pub fn hit(&self, place: Place) -> Result<Hit, SearchError> {
        let bytes = self.bytes(place)?;
        let (head, entry) = judged(&bytes).ok_or(SearchError::Changed(place.index))?;
        Ok(Hit { place, ts: head.ts, entry, bytes })
    }
}

/// Makes proofs for what was found, under the checkpoint of the search.
pub struct Prover<'a> {
    sparse: Sparse<'a>,
    key: VerifierKey,
    checkpoint: String,
}

impl<'a> Prover<'a> {
    /// # Errors
    /// [`SearchError::Proof`] where the log's tiles are missing or not what the signed root says.
    pub fn new(fetch: &'a dyn Fetch, key: &VerifierKey, found: &Found) -> Result<Self, SearchError> {
        let signed = checkpoint::open(found.checkpoint.as_bytes(), key, None)?;
        let sparse = Sparse::new(fetch, signed.checkpoint())?;
        Ok(Self { sparse, key: key.clone(), checkpoint: found.checkpoint.clone() })
    }

    /// # Errors
    /// As [`Prover::new`].
    pub fn prove(&self, hit: &Hit) -> Result<TlogProof, SearchError> {
        let hashes = self.sparse.inclusion(hit.place.index)?;
        let proof = TlogProof { extra: None, index: hit.place.index, hashes, checkpoint: self.checkpoint.clone() };
        proof.verify(&hit.bytes, &self.key).map_err(|_| SearchError::Changed(hit.place.index))?;
        Ok(proof)
    }
}
