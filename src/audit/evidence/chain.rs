//! Whether all of a case is in its bundle: its chain, its end, and what peers have of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::{Check, Proven};
use super::index::{self, Last};
use super::{IndexPart, MANIFEST, Manifest, entry_path};
use crate::audit::entry::{Receipt, Role};
use crate::audit::logset::{Head, LogSet};
use crate::audit::merkle;
use crate::audit::verify::{Question, Verdict};
use crate::audit::{Kind, Pseudonym};
use crate::formats::zip::Source;
use crate::terms::{Digest, UnixMillis};
use crate::trust::asic::Open;

/// How far a checkpoint may be from the map before it, in milliseconds by the witnesses' clocks, or in entries where there is none: what a
/// running gateway takes in while it signs.
const NEAR_MS: i64 = 120_000;
const NEAR_ENTRIES: u64 = 4_096;

impl Check<'_> {
    /// The case's chain has no gap, and its intents are closed.
    pub(super) fn chain(&mut self, case: &Pseudonym, entries: &[Proven]) {
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
    pub(super) fn end(&mut self, case: &Pseudonym, part: Option<&IndexPart>, entries: &[Proven], size: u64) {
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
        let others = LogSet::read(&entry.bytes).map_or(Vec::new(), |set| set.heads().to_vec());
        let others = others.iter().map(Head::origin).filter(|origin| *origin != self.report.origin);
        let others: Vec<String> = others.map(str::to_owned).collect();
        if !others.is_empty() {
            let what = format!(
                "replicas of this gateway keep logs of their own: the case may have entries in {} too, which no bundle of one \
                 log shows (audit search reads them all)",
                others.join(", ")
            );
            self.fault(Question::Complete, Verdict::Undecided, &path, Some(part.entry), what);
        }
        if let Some(head) = &entry.head {
            let at = UnixMillis(head.ts);
            // Between the map and the checkpoint the case may have gone on, and nobody says so.
            let cosigned = self.report.witnesses.values().max().map(|time| UnixMillis::from_seconds(*time as i64));
            let is_near = match cosigned {
                _ if part.entry + 1 == size => true,
                Some(cosigned) => cosigned.0.saturating_sub(at.0) <= NEAR_MS,
                None => size - part.entry <= NEAR_ENTRIES,
            };
            if !is_near {
                let what = format!(
                    "the map of cases is of {at}, and the log went on for long after it: later entries of the case may have been left \
                     out (an export from the running gateway makes a new map)"
                );
                self.fault(Question::Complete, Verdict::Undecided, &path, Some(part.entry), what);
            }
            self.report.notes.push(format!("办件链截至 {at} 完备 the case's chain is complete as of that time"));
        }
    }

    /// What our entries say is in a peer's log is there.
    pub(super) fn peers<S: Source>(&mut self, manifest: &Manifest, entries: &[Proven], open: &Open<S>) {
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
}
