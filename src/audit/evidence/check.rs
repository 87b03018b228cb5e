//! Judges an evidence bundle offline, by the auditor's own keys and policy; the bundle's word counts for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::index::{self, Last};
use super::{ANCHOR, IndexPart, LogPart, MANIFEST, Manifest, VERSION, checkpoint_path, entry_path, proof_path};
use crate::audit::anchor::{Anchor, AnchorError, MAX_ANCHOR};
use crate::audit::checkpoint::{self, SignedCheckpoint};
use crate::audit::entry::{EntryHead, Receipt, Role, Unjudged};
use crate::audit::merkle::{self, leaf_hash};
use crate::audit::note::{MAX_NOTE, NoteError, VerifierKey};
use crate::audit::proof::TlogProof;
use crate::audit::verify::{Fault, Pinned, Question, Report, Verdict, witnessed};
use crate::audit::{Kind, Pseudonym};
use crate::formats::zip::{Finding, Limits, Source};
use crate::terms::{Digest, UnixMillis};
use crate::trust::asic::{self, Open};
use crate::trust::certificate::Certificate;

/// Largest manifest, and largest container inside the bundle that is opened, in octets.
const MAX_MANIFEST: u64 = 64 << 20;
const MAX_CONTAINER: u64 = 256 << 20;
/// Largest entry and proof, in octets.
const MAX_SMALL: u64 = 2 * MAX_NOTE as u64;

/// The report, and who sealed the bundle: whether that seal is worth anything is for the reader to say.
pub struct Judged {
    pub report: Report,
    pub sealed_by: Option<Certificate>,
}

/// What the auditor brings along.
#[derive(Default)]
pub struct Auditor<'a> {
    /// Keys of the logs; half 0 must be of one of them.
    pub keys: &'a [VerifierKey],
    pub policy: Option<&'a Pinned>,
    /// For the policy's limits of age.
    pub now: Option<UnixMillis>,
    /// Authorities trusted for time-stamps; without them nothing is asked about time.
    pub time_authorities: &'a [Certificate],
    /// Decides and examines again; without it nothing is asked about decisions and seals.
    pub again: Option<&'a dyn Again>,
}

impl<'a> Auditor<'a> {
    fn keys_of(&self, origin: &str) -> impl Iterator<Item = &'a VerifierKey> {
        self.keys.iter().filter(move |key| key.name() == origin)
    }
}

/// Does again what entries say was decided and examined, by what is in the bundle. Lives above this room.
pub trait Again {
    /// By the rules and questions of then; `None` for an entry that records no decision. `names` are the bundle's files of
    /// rules and questions.
    ///
    /// # Errors
    /// Disproven, or undecided where rules or question are missing, and why.
    fn decision(&self, entry: &[u8], names: &[String], read: ReadFile<'_>) -> Option<Result<(), (Verdict, String)>>;

    /// A licence's seals, by what was trusted and known then.
    ///
    /// # Errors
    /// Disproven, or undecided where something is missing, and why.
    fn licence(&self, examined: &Examined, document: Vec<u8>, read: ReadFile<'_>) -> Result<(), (Verdict, String)>;
}

/// What an entry says of the examination of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Examined {
    /// Unix milliseconds of the examination.
    #[serde(skip)]
    pub at: i64,
    /// Of the document.
    pub digest: Digest,
    pub verdict: String,
    /// Of what it was judged by.
    pub trust: Digest,
}

/// The examinations that an entry records, as far as they can be made again.
pub fn examined(entry: &[u8]) -> Vec<Examined> {
    #[derive(Deserialize)]
    struct Raw {
        ts: i64,
        #[serde(default)]
        ev: Vec<serde_json::Value>,
    }
    let Ok(raw) = serde_json::from_slice::<Raw>(entry) else { return Vec::new() };
    let one = |ev| serde_json::from_value::<Examined>(ev).ok();
    raw.ev.into_iter().filter_map(one).map(|examined| Examined { at: raw.ts, ..examined }).collect()
}

/// Reads a file of the bundle.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Judges a bundle by what the auditor brings along; nothing is taken from it.
pub fn verify<S: Source>(source: S, by: &Auditor<'_>) -> Judged {
    let mut check = Check { report: Report::default(), by };
    check.report.answer(Question::Integrity, Verdict::Proven);
    check.report.answer(Question::Complete, Verdict::Proven);
    check.report.answer(Question::Content, Verdict::Proven);
    let open = match asic::open(source, &Limits::default()) {
        Ok(open) => open,
        Err(error) => {
            check.fault(Question::Integrity, Verdict::Disproven, "bundle", None, error.to_string());
            check.unread();
            return Judged { report: check.report, sealed_by: None };
        }
    };
    check.bundle(&open);
    check.unread();
    Judged { report: check.report, sealed_by: Some(open.signed.signer) }
}

struct Check<'a> {
    report: Report,
    by: &'a Auditor<'a>,
}

/// An entry whose place in its log is proven.
struct Proven {
    index: u64,
    leaf: Digest,
    bytes: Vec<u8>,
    head: Option<EntryHead>,
}

impl Check<'_> {
    fn fault(&mut self, question: Question, verdict: Verdict, file: &str, index: Option<u64>, what: impl Into<String>) {
        self.report.fault(Fault { question, verdict, file: file.to_owned(), offset: None, index, what: what.into() });
    }

    /// Nothing is said about entries whose checkpoint was not even opened.
    fn unread(&mut self) {
        if self.report.root.is_none() {
            self.report.answer(Question::Complete, Verdict::Undecided);
            self.report.answer(Question::Content, Verdict::Undecided);
        }
    }

    fn bundle<S: Source>(&mut self, open: &Open<S>) {
        let manifest = match open.archive.read(MANIFEST, MAX_MANIFEST) {
            Ok(bytes) => match serde_json::from_slice::<Manifest>(&bytes) {
                Ok(manifest) if manifest.v == VERSION => manifest,
                Ok(_) => return self.fault(Question::Integrity, Verdict::Undecided, MANIFEST, None, "another version"),
                Err(error) => {
                    return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, error.to_string());
                }
            },
            Err(error) => {
                return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, error.to_string());
            }
        };
        self.nothing_beside(&manifest, open);
        let Some(own) = manifest.logs.first() else {
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, "no log is in it");
        };
        self.report.origin = own.origin.clone();
        let Ok(case) = manifest.case.parse::<Pseudonym>() else {
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, "the case is no pseudonym");
        };
        let Some((signed, entries)) = self.half(0, own, open) else { return };
        self.report.size = signed.size();
        self.report.root = Some(signed.root());
        self.report.entries = entries.len() as u64;
        if let Some(policy) = self.by.policy {
            witnessed(&mut self.report, policy, self.by.now, &signed);
        }
        self.stamped(&manifest, &signed, open);
        self.chain(&case, &entries);
        self.end(&case, manifest.index.as_ref(), &entries);
        self.peers(&manifest, &entries, open);
        self.documents(&manifest, &entries, open);
        self.decisions(&manifest, &entries, open);
        self.seals(&manifest, &entries, open);
    }

    /// When all of it was there, by the word of a time-stamp authority.
    fn stamped<S: Source>(&mut self, manifest: &Manifest, signed: &SignedCheckpoint, open: &Open<S>) {
        if self.by.time_authorities.is_empty() {
            return;
        }
        let Some(part) = &manifest.anchor else {
            let what = "no time-stamp over the log covers the case";
            return self.fault(Question::Anchored, Verdict::Undecided, ANCHOR, None, what);
        };
        let origin = &signed.checkpoint().origin;
        let octets = open.archive.read(ANCHOR, MAX_ANCHOR as u64).map_err(|e| (Verdict::Disproven, e.to_string()));
        let judged = octets.and_then(|octets| {
            let anchor = Anchor::parse(&octets).and_then(|anchor| {
                // Stamped under whichever key the log had then.
                let by = |key| anchor.verify(key, None, self.by.time_authorities);
                let keys = self.by.keys_of(origin);
                keys.map(by).reduce(Result::or).unwrap_or(Err(AnchorError::Checkpoint(NoteError::Unsigned.into())))
            });
            anchor.map_err(|error| {
                let untrusted = matches!(error, AnchorError::Authority(_));
                (if untrusted { Verdict::Undecided } else { Verdict::Disproven }, error.to_string())
            })
        });
        match judged {
            Err((verdict, what)) => self.fault(Question::Anchored, verdict, ANCHOR, None, what),
            Ok((then, at)) => {
                let (old, new) = ((then.size(), &then.root()), (signed.size(), &signed.root()));
                if then.size() != part.size || merkle::check_consistency(old, new, &part.proof).is_err() {
                    let what = "the stamped checkpoint is no past of the bundle's";
                    return self.fault(Question::Anchored, Verdict::Disproven, ANCHOR, None, what);
                }
                self.report.answer(Question::Anchored, Verdict::Proven);
                self.report.anchored = Some((at, then.size()));
            }
        }
    }

    /// What was decided is what the rules of then say.
    fn decisions<S: Source>(&mut self, manifest: &Manifest, entries: &[Proven], open: &Open<S>) {
        let Some(again) = self.by.again else { return };
        let read = |path: &str| open.archive.read(path, MAX_CONTAINER).ok();
        for entry in entries {
            match again.decision(&entry.bytes, &manifest.policies, &read) {
                None => {}
                Some(Ok(())) => self.report.answer(Question::Decisions, Verdict::Proven),
                Some(Err((verdict, what))) => {
                    self.fault(Question::Decisions, verdict, &entry_path(0, entry.index), Some(entry.index), what);
                }
            }
        }
    }

    /// Every file must be one that the manifest speaks of.
    fn nothing_beside<S: Source>(&mut self, manifest: &Manifest, open: &Open<S>) {
        let mut known: BTreeSet<String> = BTreeSet::from([MANIFEST.to_owned()]);
        for (log, part) in manifest.logs.iter().enumerate() {
            known.insert(checkpoint_path(log));
            known.extend(part.entries.iter().flat_map(|at| [entry_path(log, *at), proof_path(log, *at)]));
        }
        known.extend(manifest.documents.iter().map(|d| d.path.clone()));
        known.extend(manifest.certificates.iter().cloned());
        known.extend(manifest.policies.iter().filter(|path| path.starts_with("policy/")).cloned());
        known.extend(manifest.trust.iter().filter(|path| path.starts_with("trust/")).cloned());
        known.extend(manifest.anchor.iter().map(|_| ANCHOR.to_owned()));
        for file in open.files.iter().filter(|file| !known.contains(&file.name)) {
            let what = "the manifest does not speak of this file";
            self.fault(Question::Integrity, Verdict::Disproven, &file.name, None, what);
        }
        // Places where anybody may add octets afterwards, which no seal covers.
        let places = [Finding::Prefix, Finding::Trailer, Finding::Gap, Finding::Comment];
        for finding in open.archive.findings().iter().filter(|finding| places.contains(finding)) {
            let what = format!("{}: octets that nobody sealed", finding.code());
            self.fault(Question::Integrity, Verdict::Disproven, "bundle", None, what);
        }
    }

    /// Entries of one log, each proven against the log's checkpoint; `None` when nothing can be said about it.
    fn half<S: Source>(
        &mut self,
        log: usize,
        part: &LogPart,
        open: &Open<S>,
    ) -> Option<(SignedCheckpoint, Vec<Proven>)> {
        let path = checkpoint_path(log);
        if self.by.keys_of(&part.origin).next().is_none() {
            let what = format!("no key of {} is pinned: give --key, or a policy that names it", part.origin);
            self.fault(Question::Integrity, Verdict::Undecided, &path, None, what);
            return None;
        }
        let note = match open.archive.read(&path, MAX_NOTE as u64) {
            Ok(note) => note,
            Err(error) => {
                self.fault(Question::Integrity, Verdict::Disproven, &path, None, error.to_string());
                return None;
            }
        };
        // A log that changes its key has two of them for a while.
        let opened =
            self.by.keys_of(&part.origin).map(|key| checkpoint::open(&note, key, None).map(|signed| (key, signed)));
        let (key, signed) = match opened.reduce(Result::or) {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => {
                self.fault(Question::Integrity, Verdict::Disproven, &path, None, error.to_string());
                return None;
            }
            None => return None,
        };
        if signed.size() != part.size || !part.entries.is_sorted_by(|a, b| a < b) {
            let what = "the manifest does not fit the checkpoint, or its entries are not in order";
            self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, what);
        }
        let mut entries = Vec::new();
        for at in &part.entries {
            match proven(log, *at, key, &signed, open) {
                Ok(entry) => {
                    if log == 0 {
                        self.readable(&entry, &entry_path(log, *at));
                    }
                    entries.push(entry);
                }
                Err((file, what)) => self.fault(Question::Integrity, Verdict::Disproven, &file, Some(*at), what),
            }
        }
        Some((signed, entries))
    }

    fn readable(&mut self, entry: &Proven, path: &str) {
        if let Err(error) = EntryHead::parse(&entry.bytes) {
            let verdict = if error == Unjudged::Unknown { Verdict::Undecided } else { Verdict::Disproven };
            self.fault(Question::Content, verdict, path, Some(entry.index), error.to_string());
        }
    }

    /// The case's chain has no gap, and its intents are closed.
    fn chain(&mut self, case: &Pseudonym, entries: &[Proven]) {
        let (mut seq, mut prev) = (0u32, None);
        let mut intents: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for entry in entries {
            let (Some(head), path) = (&entry.head, entry_path(0, entry.index)) else { continue };
            *kinds.entry(head.kind.word()).or_default() += 1;
            match (head.case, head.of) {
                (Some(link), _) if link.id == *case => {
                    if link.seq != seq.saturating_add(1) || link.prev != prev {
                        let want = seq.saturating_add(1);
                        let what = format!("seq {} where {want} is due, or another `prev`: left out", link.seq);
                        self.fault(Question::Complete, Verdict::Disproven, &path, Some(entry.index), what);
                    }
                    (seq, prev) = (link.seq, Some(entry.leaf));
                }
                (None, Some(of)) if intents.contains_key(&of) => {}
                (None, None) if head.kind == Kind::Index => {}
                _ => {
                    let what = "an entry that does not belong to the case";
                    self.fault(Question::Content, Verdict::Disproven, &path, Some(entry.index), what);
                }
            }
            match (head.kind.role(), head.of) {
                (Role::Intent, _) => drop(intents.insert(entry.leaf, entry.index)),
                (Role::Closing, Some(of)) => drop(intents.remove(&of)),
                _ => {}
            }
        }
        if seq == 0 {
            self.fault(Question::Complete, Verdict::Disproven, MANIFEST, None, "no entry of the case is in it");
        }
        for index in intents.into_values() {
            let what = "an intent without outcome: the result is not known, or was left out";
            self.fault(Question::Complete, Verdict::Undecided, &entry_path(0, index), Some(index), what);
        }
        self.report.kinds = kinds;
    }

    /// The chain's end is its end: an `index` entry of the log says so.
    fn end(&mut self, case: &Pseudonym, part: Option<&IndexPart>, entries: &[Proven]) {
        let Some(part) = part else {
            let what = "no index entry of the log covers the case: later entries may have been left out";
            return self.fault(Question::Complete, Verdict::Undecided, MANIFEST, None, what);
        };
        let entry = entries.iter().find(|entry| entry.index == part.entry);
        let entry = entry.filter(|entry| entry.head.as_ref().is_some_and(|head| head.kind == Kind::Index));
        let map = entry.and_then(|entry| Some((entry, index::read(&entry.bytes)?)));
        let Some((entry, (cases, root))) = map else {
            let what = "the index entry is missing, or is none";
            return self.fault(Question::Complete, Verdict::Disproven, MANIFEST, Some(part.entry), what);
        };
        let last = Last { case: *case, seq: part.seq, index: part.last };
        let proof = merkle::check_inclusion(&last.leaf(), part.place, cases, &root, &part.proof);
        let path = entry_path(0, part.entry);
        if let Err(error) = proof {
            let what = format!("the case's place in the index: {error}");
            return self.fault(Question::Complete, Verdict::Disproven, &path, Some(part.entry), what);
        }
        let links = entries.iter().filter(|entry| entry.index < part.entry);
        let mut links =
            links.filter_map(|entry| Some((entry.index, entry.head.as_ref()?.case.filter(|c| c.id == *case)?)));
        let newest = links.next_back().map(|(index, link)| (index, link.seq));
        if newest != Some((part.last, part.seq)) {
            let what = format!("the index says that the case went on to seq {} at entry {}", part.seq, part.last);
            return self.fault(Question::Complete, Verdict::Disproven, &path, Some(part.last), what);
        }
        if let Some(head) = &entry.head {
            let at = UnixMillis(head.ts);
            self.report.notes.push(format!("办件链截至 {at} 完备 the case's chain is complete as of that time"));
        }
    }

    /// What our entries say is in a peer's log is there.
    fn peers<S: Source>(&mut self, manifest: &Manifest, entries: &[Proven], open: &Open<S>) {
        let mut theirs: HashMap<(String, u64), Digest> = HashMap::new();
        let mut unpinned = BTreeSet::new();
        for (log, part) in manifest.logs.iter().enumerate().skip(1) {
            if self.by.keys.iter().all(|key| key.name() != part.origin) {
                unpinned.insert(part.origin.clone());
                continue;
            }
            if let Some((_, proven)) = self.half(log, part, open) {
                theirs.extend(proven.into_iter().map(|entry| ((part.origin.clone(), entry.index), entry.leaf)));
            }
        }
        for entry in entries {
            let Some(Receipt { origin, index, leaf }) = entry.head.as_ref().and_then(|head| head.receipt.clone())
            else {
                continue;
            };
            *self.report.peers.entry(origin.clone()).or_default() += 1;
            let path = entry_path(0, entry.index);
            match theirs.get(&(origin.clone(), index)) {
                Some(found) if *found == leaf => {}
                Some(_) => {
                    let what = format!("entry {index} of {origin} is not the one that the receipt names");
                    self.fault(Question::Complete, Verdict::Disproven, &path, Some(entry.index), what);
                }
                None => {
                    let what = match unpinned.contains(&origin) {
                        true => format!("no key of {origin} is pinned, so that its half is not judged"),
                        false => format!("entry {index} of {origin} is not in the bundle"),
                    };
                    self.fault(Question::Complete, Verdict::Undecided, &path, Some(entry.index), what);
                }
            }
        }
    }

    /// Documents are those that the entries name, or stand in a container that they name.
    fn documents<S: Source>(&mut self, manifest: &Manifest, entries: &[Proven], open: &Open<S>) {
        let named: BTreeSet<Digest> = entries.iter().flat_map(|entry| evidence(&entry.bytes)).collect();
        let mut inside: BTreeSet<Digest> = BTreeSet::new();
        for document in &manifest.documents {
            let sealed = open.files.iter().find(|file| file.name == document.path);
            if sealed.is_none_or(|file| file.digest != document.digest || file.size != document.size) {
                let what = "not the document that the manifest says";
                self.fault(Question::Integrity, Verdict::Disproven, &document.path, None, what);
            } else if named.contains(&document.digest) && document.path.ends_with(".asice") {
                let opened = open.archive.read(&document.path, MAX_CONTAINER).map_err(asic::AsicError::from);
                match opened.and_then(|bytes| asic::open(bytes, &Limits::default())) {
                    Ok(container) => inside.extend(container.files.iter().map(|file| file.digest)),
                    Err(error) => {
                        self.fault(Question::Content, Verdict::Disproven, &document.path, None, error.to_string());
                    }
                }
            }
        }
        let mut unnamed = 0;
        for document in &manifest.documents {
            let is_known = named.contains(&document.digest) || inside.contains(&document.digest);
            if !is_known {
                unnamed += 1;
                self.report.notes.push(format!("{} 未被任何条目提及 no entry names this document", document.path));
            }
        }
        // Answers to lookups are used and not kept; their digests alone are on record.
        let is_answer = |entry: &&Proven| entry.head.as_ref().is_some_and(|head| head.kind == Kind::DataRead);
        let answers: BTreeSet<Digest> =
            entries.iter().filter(is_answer).flat_map(|entry| evidence(&entry.bytes)).collect();
        let here: BTreeSet<Digest> = manifest.documents.iter().map(|document| document.digest).collect();
        let absent = named.iter().filter(|digest| !here.contains(digest) && !answers.contains(digest)).count();
        self.report.notes.push(format!(
            "文件 documents: {} in the bundle, {unnamed} of them named by no entry; {absent} named and not here (shredded or not exported)",
            manifest.documents.len()
        ));
    }
}

impl Check<'_> {
    /// The verdict on each licence that is here is the one that what was known then gives.
    fn seals<S: Source>(&mut self, manifest: &Manifest, entries: &[Proven], open: &Open<S>) {
        let Some(again) = self.by.again else { return };
        let read = |path: &str| open.archive.read(path, MAX_CONTAINER).ok();
        let mut absent = 0;
        for entry in entries {
            for examined in examined(&entry.bytes) {
                let document = manifest.documents.iter().find(|document| document.digest == examined.digest);
                let Some(octets) = document.and_then(|document| read(&document.path)) else {
                    absent += 1;
                    continue;
                };
                match again.licence(&examined, octets, &read) {
                    Ok(()) => self.report.answer(Question::Seals, Verdict::Proven),
                    Err((verdict, what)) => {
                        self.fault(Question::Seals, verdict, &entry_path(0, entry.index), Some(entry.index), what);
                    }
                }
            }
        }
        if absent > 0 {
            self.report
                .notes
                .push(format!("{absent} 份证照不在包内，未重验 licences are not here and not examined again"));
        }
    }
}

/// Reads an entry with its proof and ties it to the checkpoint.
fn proven<S: Source>(
    log: usize,
    at: u64,
    key: &VerifierKey,
    signed: &SignedCheckpoint,
    open: &Open<S>,
) -> Result<Proven, (String, String)> {
    let read = |path: String| match open.archive.read(&path, MAX_SMALL) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err((path, error.to_string())),
    };
    let (_, bytes) = read(entry_path(log, at))?;
    let (path, text) = read(proof_path(log, at))?;
    let wrong = |what: String| (path.clone(), what);
    let text = String::from_utf8(text).map_err(|_| wrong("not UTF-8".into()))?;
    let proof = TlogProof::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let proven = proof.verify(&bytes, key).map_err(|error| wrong(error.to_string()))?;
    if proof.index != at || (proven.size(), proven.root()) != (signed.size(), signed.root()) {
        return Err(wrong("a proof of another entry, or for another checkpoint".into()));
    }
    Ok(Proven { index: at, leaf: leaf_hash(&bytes), head: EntryHead::parse(&bytes).ok(), bytes })
}

/// Digests of the documents that an entry names.
fn evidence(entry: &[u8]) -> Vec<Digest> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        ev: Vec<Piece>,
    }
    #[derive(Deserialize)]
    struct Piece {
        digest: Option<Digest>,
    }
    let raw = serde_json::from_slice::<Raw>(entry);
    raw.map(|raw| raw.ev.into_iter().filter_map(|piece| piece.digest).collect()).unwrap_or_default()
}
