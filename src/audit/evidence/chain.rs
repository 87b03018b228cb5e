//! Whether all of a case is in its bundle: its chain, its end, and what peers have of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::{Check, Proven};
use super::index::Map;
use super::own::Own;
use super::{LogPart, MANIFEST, Manifest, checkpoint_path, entry_path, index};
use crate::audit::checkpoint::SignedCheckpoint;
use crate::audit::entry::{Receipt, Role};
use crate::audit::verify::{Question, Verdict};
use crate::audit::{Kind, Pseudonym};
use crate::formats::zip::Source;
use crate::terms::Digest;
use crate::trust::asic::Open;

impl Check<'_> {
    /// The case's chain has no gap, and its intents are closed.
    pub(super) fn chain(&mut self, case: &Pseudonym, own: &Own<'_>) {
        let (mut seq, mut prev) = (0u32, None);
        let mut intents: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for entry in &own.entries {
            let (Some(head), path) = (&entry.head, &entry.path) else { continue };
            *kinds.entry(head.kind.word()).or_default() += 1;
            match (head.case, head.of) {
                (Some(link), _) if link.id == *case => {
                    if link.seq != seq.saturating_add(1) || link.prev != prev {
                        let want = seq.saturating_add(1);
                        let what = format!("seq {} where {want} is due, or another `prev`: left out", link.seq);
                        self.fault(Question::Complete, Verdict::Disproven, path, Some(entry.index), what);
                    }
                    (seq, prev) = (link.seq, Some(entry.leaf));
                }
                (None, Some(of)) if intents.contains_key(&of) => {}
                (None, None) if head.kind == Kind::Index => {}
                _ => {
                    let what = "an entry that does not belong to the case";
                    self.fault(Question::Content, Verdict::Disproven, path, Some(entry.index), what);
                }
            }
            match (head.kind.role(), head.of) {
                (Role::Intent, _) => drop(intents.insert(entry.leaf, entry.index)),
                (Role::Closing, Some(of)) => drop(intents.remove(&of)),
                _ => {}
            }
        }
        for index in intents.into_values() {
            let what = "an intent without outcome: the result is not known, or was left out";
            self.fault(Question::Complete, Verdict::Undecided, &entry_path(own.log, index), Some(index), what);
        }
        for (kind, count) in kinds {
            *self.report.kinds.entry(kind).or_default() += count;
        }
    }

    /// The chain's end is its end, and a log without the case has none: an `index` entry of the log says so.
    pub(super) fn end(&mut self, case: &Pseudonym, own: &Own<'_>) {
        let Some(part) = &own.part.index else {
            let what =
                format!("no index entry of {} covers the case: later entries may have been left out", own.part.origin);
            return self.fault(Question::Complete, Verdict::Undecided, MANIFEST, None, what);
        };
        let Some((map, Map { cases, root, .. })) = own.map().and_then(|map| Some((map, index::read(&map.bytes)?)))
        else {
            let what = "the index entry is missing, or is none";
            return self.fault(Question::Complete, Verdict::Disproven, MANIFEST, Some(part.entry), what);
        };
        let last = match index::standing(case, cases, &root, &part.shown) {
            Ok(last) => last.map(|last| (last.index, last.seq)),
            Err(what) => return self.fault(Question::Complete, Verdict::Disproven, &map.path, Some(part.entry), what),
        };
        let links = own.entries.iter();
        let links =
            links.filter_map(|entry| Some((entry.index, entry.head.as_ref()?.case.filter(|c| c.id == *case)?.seq)));
        let (before, after): (Vec<_>, Vec<_>) = links.partition(|(index, _)| *index < part.entry);
        if before.last().copied() != last {
            let what = match last {
                Some((index, seq)) => format!("the index says that the case went on to seq {seq} at entry {index}"),
                None => "the index says that the log has no entry of the case".to_owned(),
            };
            return self.fault(Question::Complete, Verdict::Disproven, &map.path, last.map(|(index, _)| index), what);
        }
        if last.is_none() && !after.is_empty() {
            let what = "the newest map of cases is from before the case: later entries may have been left out";
            return self.fault(Question::Complete, Verdict::Undecided, &map.path, Some(part.entry), what);
        }
        let Some(at) = own.as_of() else { return };
        // Between the map and the checkpoint the case may have gone on, and nobody says so.
        if part.entry + 1 != own.signed.size() {
            let what = format!(
                "the map of cases is of {at}, and the log went on after it: later entries of the case may have been left out (an \
                 export from the running gateway makes a new map, and is signed up to it)"
            );
            self.fault(Question::Complete, Verdict::Undecided, &map.path, Some(part.entry), what);
        }
        let origin = &own.part.origin;
        self.report.notes.push(match last {
            Some(_) => format!(
                "{origin} 中办件链截至 {at} 完备（以其办件索引为准，核验整份日志可重算索引） the case's chain is complete there as of that time, as the \
                 log's map of cases says: a verification of the whole log makes the map again"
            ),
            None => format!("截至 {at}，{origin} 中无该办件 no entry of the case was there as of that time"),
        });
    }

    /// A peer's entries are the ones that our receipts name, whoever saw its log; a reader is told who did not.
    fn peer_witnessed(&mut self, part: &LogPart, signed: &SignedCheckpoint) {
        let Some(policy) = self.by.policy else { return };
        let by = signed.cosigned_by(policy.witnesses.witnesses()).unwrap_or_default();
        if !policy.witnesses.is_met(|place| by.iter().any(|by| by.key == place)) {
            self.report.notes.push(format!(
                "对端日志未达见证法定数 {} is a peer's log, and the quorum of the policy did not cosign it: its entries are the ones \
                 that the receipts name, and no more is shown of it",
                part.origin
            ));
        }
    }

    /// What our entries say is in a peer's log is there, and nothing else of it.
    pub(super) fn peers<S: Source>(
        &mut self,
        manifest: &Manifest,
        owns: &[Own<'_>],
        replicas: &[String],
        open: &Open<S>,
    ) {
        let receipts = owns.iter().flat_map(|own| &own.entries);
        let receipts = receipts.filter_map(|entry| Some((entry, entry.head.as_ref()?.receipt.clone()?)));
        let receipts: Vec<(&Proven, Receipt)> = receipts.collect();
        let named: BTreeSet<(&str, u64)> = receipts.iter().map(|(_, r)| (&*r.origin, r.index)).collect();
        let mut theirs: HashMap<(String, u64), Digest> = HashMap::new();
        let mut unpinned = BTreeSet::new();
        for (log, part) in manifest.logs.iter().enumerate().skip(1) {
            if replicas.contains(&part.origin) {
                continue;
            }
            let stray = part.entries.iter().find(|at| !named.contains(&(&*part.origin, **at))).copied();
            if part.index.is_some() && stray.is_some() {
                // A replica's, exported by one whose newest map is from before it joined.
                let what = format!("no map of cases in the bundle names {}: it is not judged", part.origin);
                self.fault(Question::Complete, Verdict::Undecided, &checkpoint_path(log), None, what);
                continue;
            }
            if stray.is_some() || part.entries.is_empty() {
                let what = format!("no receipt of this case names what is in it of {}", part.origin);
                self.fault(Question::Content, Verdict::Disproven, &checkpoint_path(log), stray, what);
            }
            if self.by.keys.iter().all(|key| key.name() != part.origin) {
                unpinned.insert(part.origin.clone());
                continue;
            }
            if let Some((signed, proven)) = self.half(log, part, open) {
                proven.iter().for_each(|entry| self.readable(entry, &entry.path));
                self.peer_witnessed(part, &signed);
                theirs.extend(proven.into_iter().map(|entry| ((part.origin.clone(), entry.index), entry.leaf)));
            }
        }
        for (entry, Receipt { origin, index, leaf }) in receipts {
            *self.report.peers.entry(origin.clone()).or_default() += 1;
            match theirs.get(&(origin.clone(), index)) {
                Some(found) if *found == leaf => {}
                Some(_) => {
                    let what = format!("entry {index} of {origin} is not the one that the receipt names");
                    self.fault(Question::Complete, Verdict::Disproven, &entry.path, Some(entry.index), what);
                }
                None => {
                    let what = match unpinned.contains(&origin) {
                        true => format!("no key of {origin} is pinned, so that its half is not judged"),
                        false => format!("entry {index} of {origin} is not in the bundle"),
                    };
                    self.fault(Question::Complete, Verdict::Undecided, &entry.path, Some(entry.index), what);
                }
            }
        }
    }
}
