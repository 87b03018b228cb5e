//! Finds entries of a log by what they say. No index is believed: all entries are read, and what was found counts only
//! when all of them together give the signed root.

use std::collections::HashSet;
use std::io;

use serde_json::Value;

use super::checkpoint::{self, CheckpointError};
use super::entry::{EntryHead, Role};
use super::merkle::{Frontier, leaf_hash};
use super::note::VerifierKey;
use super::proof::TlogProof;
use super::tile::{Level, TilePath, WIDTH, parse_hashes};
use super::verify::{Fetch, Sparse, SparseError, claimed_minimum, read_bundle};
use super::{Pseudonym, bundle};
use crate::terms::{Digest, UnixMillis};

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

/// One entry that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub index: u64,
    pub leaf: Digest,
    /// Unix milliseconds, as the entry says itself.
    pub ts: i64,
    pub entry: Value,
    /// Bytes that were hashed.
    pub bytes: Vec<u8>,
}

/// What a log holds of it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The page that was asked for, by index.
    pub hits: Vec<Hit>,
    /// All that fit, on this page or not.
    pub matched: u64,
    /// Entries that cannot be read as ours: whether they fit is undecided.
    pub unread: u64,
    /// Entries that the log has pruned: whether they fit is undecided.
    pub pruned: u64,
    pub size: u64,
    /// The signed note that the hits were checked against.
    pub checkpoint: String,
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
    #[error(transparent)]
    Proof(#[from] SparseError),
}

impl SearchError {
    /// Whether the log is disproven, or could only not be read.
    pub fn is_proof(&self) -> bool {
        match self {
            Self::Bundle(_) | Self::Root => true,
            Self::Proof(error) => matches!(error, SparseError::Forged(_)),
            Self::Read { .. } | Self::Checkpoint(_) => false,
        }
    }
}

impl Filter {
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

/// Reads the whole log of `key` and gives at most `limit` entries that fit, after the first `skip` of them.
///
/// # Errors
/// [`SearchError::Root`] where an entry is not the one that was signed; then nothing was found.
pub fn search(
    fetch: &dyn Fetch,
    key: &VerifierKey,
    filter: &Filter,
    skip: u64,
    limit: usize,
) -> Result<Found, SearchError> {
    let read = |path: &str, found: io::Result<Option<Vec<u8>>>| {
        let failed = |source| SearchError::Read { path: path.to_owned(), source };
        found.map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    };
    let signed = checkpoint::open(&read("checkpoint", fetch.get("checkpoint"))?, key, None)?;
    let mut found = Found { size: signed.size(), checkpoint: signed.note().to_owned(), ..Found::default() };
    let (mut frontier, mut intents, mut minimum) = (Frontier::new(), HashSet::new(), None);
    for number in 0..signed.size().div_ceil(WIDTH) {
        let path = format!("tile/entries, bundle {number}");
        let failed = |source| SearchError::Read { path: path.clone(), source };
        let got = read_bundle(fetch, number, signed.size()).map_err(failed)?;
        let Some((tile, bytes)) = got else {
            let minimum = *minimum.get_or_insert_with(|| claimed_minimum(fetch, key.name(), signed.size()));
            if (number + 1) * WIDTH > minimum {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            let leaves = TilePath { level: Level::Hashes(0), index: number, width: 256 }.to_string();
            let hashes = parse_hashes(&read(&leaves, fetch.get(&leaves))?, 256).ok_or(SearchError::Bundle(leaves))?;
            hashes.into_iter().for_each(|leaf| frontier.push(leaf));
            found.pruned += WIDTH;
            continue;
        };
        let all = bundle::parse(&bytes, tile.width).ok_or_else(|| SearchError::Bundle(path.clone()))?;
        for bytes in all.into_iter().take((signed.size() - number * WIDTH).min(WIDTH) as usize) {
            let (index, leaf) = (frontier.size(), leaf_hash(bytes));
            frontier.push(leaf);
            let (Ok(head), Ok(entry)) = (EntryHead::parse(bytes), serde_json::from_slice::<Value>(bytes)) else {
                found.unread += 1;
                continue;
            };
            let is_of = head.case.as_ref().is_some_and(|link| Some(link.id) == filter.case);
            let of_case = is_of || head.of.is_some_and(|of| intents.contains(&of));
            if is_of && head.kind.role() == Role::Intent {
                intents.insert(leaf);
            }
            if filter.fits(&head, &entry, of_case) {
                if found.matched >= skip && found.hits.len() < limit {
                    found.hits.push(Hit { index, leaf, ts: head.ts, entry, bytes: bytes.to_vec() });
                }
                found.matched += 1;
            }
        }
    }
    match frontier.root() == signed.root() {
        true => Ok(found),
        false => Err(SearchError::Root),
    }
}

/// A proof for each hit, in their order, under the checkpoint of the search.
///
/// # Errors
/// [`SearchError::Proof`] where the log's tiles are missing or not what the signed root says.
pub fn prove(fetch: &dyn Fetch, key: &VerifierKey, found: &Found) -> Result<Vec<TlogProof>, SearchError> {
    let signed = checkpoint::open(found.checkpoint.as_bytes(), key, None)?;
    if found.hits.is_empty() {
        return Ok(Vec::new());
    }
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    let mut proofs = Vec::with_capacity(found.hits.len());
    for hit in &found.hits {
        let hashes = sparse.inclusion(hit.index)?;
        let proof = TlogProof { extra: None, index: hit.index, hashes, checkpoint: found.checkpoint.clone() };
        proof.verify(&hit.bytes, key).map_err(|_| SearchError::Root)?;
        proofs.push(proof);
    }
    Ok(proofs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Actor, Decision, Entry, Subject, Word};
    use crate::audit::note::{KeyKind, Signer};
    use crate::audit::verify::SegmentFolder;
    use crate::audit::{Kind, Log, OpenOptions};

    const CASE: Pseudonym = Pseudonym([7; 16]);
    const PERSON: Pseudonym = Pseudonym([9; 16]);

    fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    /// 300 events of others (two bundles), and among them four that are looked for.
    fn world() -> (tempfile::TempDir, VerifierKey) {
        let (dir, signer) = (tempfile::tempdir().unwrap(), Signer::from_seed("own.example/gw", &[7; 32]).unwrap());
        let key = signer.verifier(KeyKind::Ed25519);
        let log = Log::open(dir.path(), OpenOptions::new(signer)).unwrap();
        let others = |ts| {
            for k in 0..150 {
                let entry = Entry::new(Kind::CaseEvent, UnixMillis(ts)).case(Pseudonym([100 + k % 9; 16]));
                log.append_blocking(&entry).unwrap();
            }
        };
        others(1);
        let clerk = Actor { staff: Some(word("S1")), terminal: Some(word("W7")), ..Actor::default() };
        let intent = Entry::new(Kind::CaseIntent, UnixMillis(1_000)).case(CASE).actor(clerk);
        let intent = log.append_blocking(&intent).unwrap();
        log.append_blocking(&Entry::new(Kind::Recovered, UnixMillis(2_000)).of(intent.leaf)).unwrap();
        let subject = Subject { pid: Some(PERSON), ..Subject::default() };
        let no = Decision { verdict: Some(word("deny")), rules: vec![word("r1"), word("r2")], ..Decision::default() };
        log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(3_000)).subj(subject).dec(no)).unwrap();
        others(4_000);
        log.append_blocking(&Entry::new(Kind::CaseEvent, UnixMillis(5_000)).case(CASE)).unwrap();
        log.publish();
        (dir, key)
    }

    #[test]
    fn what_fits_is_found_and_nothing_else() {
        let (dir, key) = world();
        let folder = SegmentFolder(dir.path().to_owned());
        let text = |text: &str| Some(text.to_owned());
        let any = Filter::default;
        let rows = [
            ("a case with what closes its intents", Filter { case: Some(CASE), ..any() }, vec![150, 151, 303]),
            ("a person", Filter { person: Some(PERSON), ..any() }, vec![152]),
            ("a case is no person", Filter { person: Some(CASE), ..any() }, vec![]),
            ("a clerk", Filter { actor: text("S1"), ..any() }, vec![150]),
            ("a window", Filter { outlet: text("W7"), ..any() }, vec![150]),
            ("a verdict", Filter { decision: text("deny"), ..any() }, vec![152]),
            ("a rule", Filter { decision: text("r2"), ..any() }, vec![152]),
            ("a part of a rule's name is no rule", Filter { decision: text("r"), ..any() }, vec![]),
            ("a kind", Filter { kind: text("recovered"), ..any() }, vec![151]),
            ("an item that nobody asked for", Filter { item: text("000105103000"), ..any() }, vec![]),
            (
                "a time, its end left out",
                Filter { since: Some(UnixMillis(1_000)), until: Some(UnixMillis(3_000)), ..any() },
                vec![150, 151],
            ),
            (
                "all at once",
                Filter { case: Some(CASE), since: Some(UnixMillis(2_000)), kind: text("case.event"), ..any() },
                vec![303],
            ),
        ];
        for (name, filter, want) in rows {
            let found = search(&folder, &key, &filter, 0, 100).unwrap();
            let got: Vec<u64> = found.hits.iter().map(|hit| hit.index).collect();
            assert_eq!((got, found.matched, found.unread), (want.clone(), want.len() as u64, 0), "{name}");
            let proofs = prove(&folder, &key, &found).unwrap();
            for (hit, proof) in found.hits.iter().zip(&proofs) {
                assert!(TlogProof::parse(&proof.to_string()).unwrap().verify(&hit.bytes, &key).is_ok(), "{name}");
            }
            assert_eq!(proofs.len(), want.len(), "{name}");
        }
        let case = Filter { case: Some(CASE), ..any() };
        for (skip, limit, want) in [(0, 2, vec![150, 151]), (2, 2, vec![303]), (3, 2, vec![]), (1, 1, vec![151])] {
            let page = search(&folder, &key, &case, skip, limit).unwrap();
            let got: Vec<u64> = page.hits.iter().map(|hit| hit.index).collect();
            assert_eq!((got, page.matched), (want, 3), "{skip} {limit}");
        }
    }

    /// The first bundle with one byte changed; it holds what is looked for, and much that is not.
    struct Changed<'a>(&'a SegmentFolder, usize);

    impl Fetch for Changed<'_> {
        fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
            let mut found = self.0.get(path)?;
            if let Some(bytes) = found.as_mut().filter(|_| path.starts_with("tile/entries/000")) {
                let at = self.1 % bytes.len();
                bytes[at] ^= 1;
            }
            Ok(found)
        }
    }

    #[test]
    fn a_changed_byte_anywhere_leaves_nothing_found() {
        let (dir, key) = world();
        let folder = SegmentFolder(dir.path().to_owned());
        let filter = Filter { person: Some(PERSON), ..Filter::default() };
        for at in (0..40_000).step_by(1_009) {
            let error = search(&Changed(&folder, at), &key, &filter, 0, 10).unwrap_err();
            assert!(error.is_proof(), "byte {at}: {error}");
        }
        let stranger = Signer::from_seed("own.example/gw", &[8; 32]).unwrap().verifier(KeyKind::Ed25519);
        assert!(matches!(search(&folder, &stranger, &filter, 0, 10), Err(SearchError::Checkpoint(_))));
    }
}
