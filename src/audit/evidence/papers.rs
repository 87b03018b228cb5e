//! What stands beside the entries of a bundle: time-stamp, documents, decisions made again, seals examined again.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::again::examined;
use super::check::{Check, Proven};
use super::heads::is_same_log;
use super::own::Own;
use super::{MANIFEST, Manifest, anchor_path};
use crate::audit::Kind;
use crate::audit::anchor::{Anchor, AnchorError, MAX_ANCHOR};
use crate::audit::checkpoint::CheckpointError;
use crate::audit::entry::is_sealed;
use crate::audit::note::NoteError;
use crate::audit::verify::{Clocks, Question, Verdict};
use crate::formats::zip::{Limits, Source};
use crate::terms::Digest;
use crate::trust::asic::{self, Open};

/// Largest container inside the bundle that is opened, in octets.
const MAX_CONTAINER: u64 = 256 << 20;

impl Check<'_> {
    /// When all of it was there, by the word of a time-stamp authority.
    pub(super) fn stamped<S: Source>(&mut self, own: &Own<'_>, open: &Open<S>) {
        // Those about the export itself are later than any stamp that goes into it.
        let of_export = |kind| matches!(kind, Kind::AuditExport | Kind::Index);
        let asked = own.entries.iter().filter(|entry| entry.head.as_ref().is_none_or(|head| !of_export(head.kind)));
        let asked: Vec<&Proven> = asked.collect();
        let (path, signed) = (anchor_path(own.log), &own.signed);
        if self.by.time_authorities.is_empty() || asked.is_empty() {
            let octets = own.part.anchor.as_ref().map(|_| open.archive.read(&path, MAX_ANCHOR as u64));
            if octets.is_some_and(|octets| octets.is_ok_and(|octets| Anchor::parse(&octets).is_err())) {
                self.fault(Question::Integrity, Verdict::Disproven, &path, None, "not a time-stamp over a checkpoint");
            }
            return;
        }
        let Some(part) = &own.part.anchor else {
            let what = "no time-stamp over the log covers the case";
            return self.fault(Question::Anchored, Verdict::Undecided, &path, None, what);
        };
        let origin = &signed.checkpoint().origin;
        let octets = open.archive.read(&path, MAX_ANCHOR as u64).map_err(|e| (Verdict::Disproven, e.to_string()));
        let judged = octets.and_then(|octets| {
            let anchor = Anchor::parse(&octets).and_then(|anchor| {
                // Stamped under whichever key the log had then.
                let by = |key| anchor.verify(key, None, self.by.time_authorities);
                let keys = self.by.keys_of(origin);
                keys.map(by).reduce(Result::or).unwrap_or(Err(AnchorError::Checkpoint(NoteError::Unsigned.into())))
            });
            anchor.map_err(|error| {
                // Signed by a key of before, which was not given: that is no lie.
                use AnchorError::{Authority, Checkpoint};
                let untrusted = matches!(error, Authority(_) | Checkpoint(CheckpointError::Note(NoteError::Unsigned)));
                (if untrusted { Verdict::Undecided } else { Verdict::Disproven }, error.to_string())
            })
        });
        match judged {
            Err((verdict, what)) => self.fault(Question::Anchored, verdict, &path, None, what),
            Ok((then, at)) => {
                let is_it = then.size() == part.size && is_same_log((part.size, &then.root()), signed, &part.proof);
                if !is_it {
                    let what = "the stamped checkpoint is not of the log of the bundle's";
                    return self.fault(Question::Anchored, Verdict::Disproven, &path, None, what);
                }
                self.report.answer(Question::Anchored, Verdict::Proven);
                let mut clocks = Clocks::default();
                clocks.seen(then.size(), at.0);
                self.in_time(&clocks, own.entries.iter());
                if self.report.anchored.is_none_or(|(before, _)| before < at) {
                    self.report.anchored = Some((at, then.size()));
                }
                let mut later = asked.iter().filter(|entry| entry.index >= then.size());
                if let Some(first) = later.next() {
                    let what =
                        format!("this entry and {} more of the case are later than the time-stamp", later.count());
                    self.fault(Question::Anchored, Verdict::Undecided, &first.path, Some(first.index), what);
                }
            }
        }
    }

    /// Documents are those that the entries name, or stand in a container that they name.
    pub(super) fn documents<S: Source>(&mut self, manifest: &Manifest, entries: &[&Proven], open: &Open<S>) {
        let named = named_by(entries.iter());
        let destroyed = destroyed(entries);
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
                // Rightly so only where a crash left a line without its papers.
                let what = "no entry names this document: nothing says that it is of this case";
                self.fault(Question::Content, Verdict::Undecided, &document.path, None, what);
            }
        }
        // Answers to lookups are used and not kept, orders about a case are no papers of it: their digests alone are on record.
        let is_beside = |kind| matches!(kind, Kind::DataRead | Kind::KeyShred);
        let stands_beside = |entry: &&&Proven| entry.head.as_ref().is_some_and(|head| is_beside(head.kind));
        let beside = named_by(entries.iter().filter(stands_beside));
        let here: BTreeSet<Digest> = manifest.documents.iter().map(|document| document.digest).collect();
        let absent = |digest: &&Digest| !here.contains(*digest) && !beside.contains(*digest);
        let withheld = named_by(entries.iter().filter(|entry| !is_before(entry, destroyed)));
        let (absent, withheld) = (named.iter().filter(absent).count(), withheld.iter().filter(absent).count());
        // A copy of the log has no documents at all; where there are some, one that is missing was destroyed on record, or withheld.
        if withheld > 0 && !here.is_empty() {
            let what = format!(
                "{withheld} documents that the entries name are not here, and no entry says that they were destroyed"
            );
            self.fault(Question::Content, Verdict::Undecided, MANIFEST, None, what);
        }
        self.report.notes.push(format!(
            "文件 documents: {} in the bundle, {unnamed} of them named by no entry; {absent} named and not here (shredded or not exported); \
             what they are called is the exporter's word",
            manifest.documents.len()
        ));
    }

    /// What was decided is what the rules of then say.
    pub(super) fn decisions<S: Source>(&mut self, manifest: &Manifest, entries: &[&Proven], open: &Open<S>) {
        let Some(again) = self.by.again else { return };
        let read = |path: &str| open.archive.read(path, MAX_CONTAINER).ok();
        for entry in entries {
            match again.decision(&entry.bytes, &manifest.policies, &read) {
                None => {}
                Some(Ok(())) => self.report.answer(Question::Decisions, Verdict::Proven),
                Some(Err((verdict, what))) => {
                    self.fault(Question::Decisions, verdict, &entry.path, Some(entry.index), what);
                }
            }
        }
    }

    /// The verdict on each licence that is here is the one that what was known then gives.
    pub(super) fn seals<S: Source>(&mut self, manifest: &Manifest, entries: &[&Proven], open: &Open<S>) {
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
                        self.fault(Question::Seals, verdict, &entry.path, Some(entry.index), what);
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

    /// With the key of the case, the sealed parts of its entries open.
    pub(super) fn sealed<S: Source>(&mut self, manifest: &Manifest, entries: &[&Proven], open: &Open<S>) {
        let mut keys = self.by.case_keys.clone();
        for path in &manifest.keys {
            let file = open.archive.read(path, MAX_KEY).map_err(|error| error.to_string());
            if let Err(what) = file.and_then(|file| keys.add(&file).map_err(|_| "not the file of a key".to_owned())) {
                self.fault(Question::Opened, Verdict::Disproven, path, None, what);
            }
        }
        let (mut closed, mut withheld) = (0, 0);
        let destroyed = destroyed(entries);
        for entry in entries {
            match keys.open(&entry.bytes) {
                None if is_sealed(&entry.bytes) => {
                    closed += 1;
                    withheld += u64::from(!is_before(entry, destroyed));
                }
                None => {}
                Some(said) => {
                    if let Some((verdict, what)) = self.report.opened(&said) {
                        self.fault(Question::Opened, verdict, &entry.path, Some(entry.index), what);
                    }
                }
            }
        }
        if withheld > 0 && !manifest.documents.is_empty() {
            let what = "no key of the case opens them, and no entry says that it was destroyed";
            self.fault(Question::Opened, Verdict::Undecided, MANIFEST, None, what);
        }
        if closed > 0 {
            self.report.notes.push(format!(
                "{closed} 处加密内容无密钥，未解 sealed parts stay closed: no key of the case is here (destroyed, or not exported)"
            ));
        }
    }
}

/// When the key of the case was destroyed and its documents with it, as the log says: an order to do so that was allowed.
fn destroyed(entries: &[&Proven]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Raw {
        facts: Facts,
        dec: Decided,
    }
    #[derive(Deserialize)]
    struct Facts {
        order: String,
    }
    #[derive(Deserialize)]
    struct Decided {
        verdict: String,
    }
    let orders = entries.iter().filter_map(|entry| Some((entry, entry.head.as_ref()?)));
    let orders = orders.filter(|(_, head)| head.kind == Kind::KeyShred);
    let done = orders.filter(|(entry, _)| {
        let order = serde_json::from_slice::<Raw>(&entry.bytes);
        order.is_ok_and(|Raw { facts, dec }| facts.order == "shred" && dec.verdict == "allow")
    });
    done.map(|(_, head)| head.ts).max()
}

/// Whether an entry is from before the case's key was destroyed.
fn is_before(entry: &Proven, destroyed: Option<i64>) -> bool {
    destroyed.is_some_and(|at| entry.head.as_ref().is_some_and(|head| head.ts <= at))
}

/// Largest file of a key, in octets.
const MAX_KEY: u64 = 4 << 10;

/// Digests of the documents that entries name.
fn named_by<'e>(entries: impl Iterator<Item = &'e &'e Proven>) -> BTreeSet<Digest> {
    entries.flat_map(|entry| evidence(&entry.bytes)).collect()
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
