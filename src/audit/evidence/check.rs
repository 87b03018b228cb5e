//! Judges an evidence bundle offline, by the auditor's own keys and policy; the bundle's word counts for nothing.

use std::collections::BTreeSet;

use super::again::Again;
use super::own::Own;
use super::{LogPart, MANIFEST, Manifest, VERSION, anchor_path, checkpoint_path, entry_path, proof_path};
use crate::audit::Pseudonym;
use crate::audit::checkpoint::{self, CheckpointError, SignedCheckpoint};
use crate::audit::entry::{CaseKeys, EntryHead, Unjudged};
use crate::audit::logset::MAX_LOGS;
use crate::audit::merkle::leaf_hash;
use crate::audit::note::{MAX_NOTE, NoteError, VerifierKey};
use crate::audit::proof::TlogProof;
use crate::audit::verify::{ANOTHER_KEY, Clocks, Fault, Pinned, Question, Report, Verdict};
use crate::formats::zip::{Limits, Source, ZipError};
use crate::terms::{CaseNo, Digest, UnixMillis};
use crate::trust::asic::{self, AsicError, Open};
use crate::trust::certificate::Certificate;

/// Largest manifest, in octets: that of as many entries as a bundle holds has 5 MiB.
const MAX_MANIFEST: u64 = 16 << 20;
/// Most logs in it: a set of replicas, and as many peers as a case may meet.
const MAX_PARTS: usize = 2 * MAX_LOGS;
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
    /// Log keys of cases, besides those in the bundle.
    pub case_keys: CaseKeys,
}

impl<'a> Auditor<'a> {
    pub(super) fn keys_of(&self, origin: &str) -> impl Iterator<Item = &'a VerifierKey> {
        self.keys.iter().filter(move |key| key.name() == origin)
    }
}

/// Judges a bundle by what the auditor brings along; nothing is taken from it.
pub fn verify<S: Source>(source: S, by: &Auditor<'_>) -> Judged {
    let mut check = Check { report: Report::default(), by };
    check.report.answer(Question::Integrity, Verdict::Proven);
    check.report.answer(Question::Complete, Verdict::Proven);
    check.report.answer(Question::Content, Verdict::Proven);
    let open = match asic::open(source, &Limits::default()) {
        Ok(open) => open,
        Err(error) => {
            // What is beyond our limits is not false.
            let beyond = matches!(error, AsicError::Zip(ZipError::TooBig(_)));
            let verdict = if beyond { Verdict::Undecided } else { Verdict::Disproven };
            check.fault(Question::Integrity, verdict, "bundle", None, error.to_string());
            check.unread();
            return Judged { report: check.report, sealed_by: None };
        }
    };
    check.bundle(&open);
    check.unread();
    Judged { report: check.report, sealed_by: Some(open.signed.signer) }
}

pub(super) struct Check<'a> {
    pub report: Report,
    pub by: &'a Auditor<'a>,
}

/// An entry whose place in its log is proven.
pub(super) struct Proven {
    /// Path in the bundle.
    pub path: String,
    pub index: u64,
    pub leaf: Digest,
    pub bytes: Vec<u8>,
    pub head: Option<EntryHead>,
}

impl Check<'_> {
    pub(super) fn fault(
        &mut self,
        question: Question,
        verdict: Verdict,
        file: &str,
        index: Option<u64>,
        what: impl Into<String>,
    ) {
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
        let listed: usize = manifest.logs.iter().map(|part| part.entries.len()).sum();
        if manifest.logs.len() > MAX_PARTS || listed > open.files.len() {
            let what = "more logs or entries than there are files";
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, what);
        }
        if let Some(what) = twice(&manifest) {
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, what);
        }
        self.nothing_beside(&manifest, open);
        let Some(first) = manifest.logs.first() else {
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, "no log is in it");
        };
        self.report.origin = first.origin.clone();
        let Ok(case) = manifest.case.parse::<Pseudonym>() else {
            return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, "the case is no pseudonym");
        };
        self.report.case = Some(case);
        if let Some(no) = &manifest.case_no {
            if no.parse::<CaseNo>().is_err() {
                let what = "what stands there as the number of the case is none";
                return self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, what);
            }
            // Only the gateway can tell which number a pseudonym stands for.
            self.report.notes.push(format!("办件编号（导出者所称，未经证明） case number, as the exporter says: {no}"));
        }
        let (owns, replicas) = self.owns(&manifest, open);
        if owns.is_empty() {
            return;
        }
        for own in &owns {
            self.stamped(own, open);
            self.chain(&case, own);
            self.end(&case, own);
        }
        self.is_of_case(&owns);
        if let ([_, _, ..], Some(at)) = (&owns[..], owns.iter().filter_map(Own::as_of).min()) {
            let logs = owns.len();
            self.report.notes.push(format!(
                "{logs} 份副本日志合计，办件所示截至 {at} over all {logs} logs of this gateway, the case is shown as of that time, not later"
            ));
        }
        self.peers(&manifest, &owns, &replicas, open);
        let entries: Vec<&Proven> = owns.iter().flat_map(|own| &own.entries).collect();
        self.documents(&manifest, &entries, open);
        self.behind(&manifest, &case, &entries, open);
        self.decisions(&manifest, &entries, open);
        self.seals(&manifest, &entries, open);
        self.sealed(&manifest, &entries, open);
    }

    /// Every file must be one that the manifest speaks of.
    fn nothing_beside<S: Source>(&mut self, manifest: &Manifest, open: &Open<S>) {
        let mut known: BTreeSet<String> = BTreeSet::from([MANIFEST.to_owned()]);
        for (log, part) in manifest.logs.iter().enumerate() {
            known.insert(checkpoint_path(log));
            known.extend(part.entries.iter().flat_map(|at| [entry_path(log, *at), proof_path(log, *at)]));
            known.extend(part.anchor.iter().map(|_| anchor_path(log)));
        }
        known.extend(manifest.documents.iter().map(|d| d.path.clone()));
        let listed = [&manifest.certificates, &manifest.policies, &manifest.trust, &manifest.keys];
        known.extend(listed.into_iter().flatten().cloned());
        for file in open.files.iter().filter(|file| !known.contains(&file.name)) {
            let what = "the manifest does not speak of this file";
            self.fault(Question::Integrity, Verdict::Disproven, &file.name, None, what);
        }
        // Octets that no seal covers: an export has none, and without them no octet could be another one unnoticed.
        for finding in open.archive.findings() {
            let what = format!("{}: octets that nobody sealed, the archive is not as it was exported", finding.code());
            self.fault(Question::Integrity, Verdict::Disproven, "bundle", None, what);
        }
    }

    /// Entries of one log, each proven against the log's checkpoint; `None` when nothing can be said about it.
    pub(super) fn half<S: Source>(
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
        let (key, signed) = match checkpoint::open_any(&note, self.by.keys_of(&part.origin), None) {
            Ok(opened) => opened,
            Err(error) => {
                self.fault(Question::Integrity, Verdict::Disproven, &path, None, error.to_string());
                if matches!(error, CheckpointError::Note(NoteError::Unsigned)) {
                    self.report.notes.push(ANOTHER_KEY.to_owned());
                }
                return None;
            }
        };
        if signed.size() != part.size {
            let what = "the manifest does not fit the checkpoint";
            self.fault(Question::Integrity, Verdict::Disproven, MANIFEST, None, what);
        }
        let mut entries = Vec::new();
        for at in &part.entries {
            match proven(log, *at, key, &signed, open) {
                Ok(entry) => entries.push(entry),
                Err((file, what)) => self.fault(Question::Integrity, Verdict::Disproven, &file, Some(*at), what),
            }
        }
        let mut clocks = Clocks::default();
        if let Some(now) = self.by.now {
            clocks.seen(u64::MAX, now.0);
        }
        if let Some(at) = self.by.policy.and_then(|policy| policy.cosigned_at(note.as_slice())) {
            clocks.seen(signed.size(), at);
        }
        self.in_time(&clocks, &entries);
        Some((signed, entries))
    }

    /// No entry says that it is later than others saw it.
    pub(super) fn in_time<'e>(&mut self, clocks: &Clocks, entries: impl IntoIterator<Item = &'e Proven>) {
        for entry in entries {
            let Some(ts) = entry.head.as_ref().map(|head| head.ts) else { continue };
            if let Some(what) = clocks.against_others(entry.index, ts) {
                self.fault(Question::Content, Verdict::Disproven, &entry.path, Some(entry.index), what);
            }
        }
    }

    pub(super) fn readable(&mut self, entry: &Proven, path: &str) {
        if let Err(error) = EntryHead::parse(&entry.bytes) {
            let verdict = if error == Unjudged::Unknown { Verdict::Undecided } else { Verdict::Disproven };
            self.fault(Question::Content, verdict, path, Some(entry.index), error.to_string());
        }
    }
}

/// What a manifest says twice, or in disorder: it would be read twice, too, and an export has none of it.
fn twice(manifest: &Manifest) -> Option<&'static str> {
    fn is_set<'a>(all: impl Iterator<Item = &'a String>) -> bool {
        let mut seen = BTreeSet::new();
        all.into_iter().all(|one| seen.insert(one))
    }
    let in_order =
        |part: &LogPart| part.entries.is_sorted_by(|a, b| a < b) && part.named.is_sorted_by(|a, b| a.size < b.size);
    let lists = [&manifest.policies, &manifest.trust, &manifest.keys, &manifest.certificates];
    if !is_set(manifest.logs.iter().map(|part| &part.origin)) || !manifest.logs.iter().all(in_order) {
        return Some("a log, an entry or a head twice, or in disorder");
    }
    let once = lists.into_iter().all(|list| is_set(list.iter())) && is_set(manifest.documents.iter().map(|d| &d.path));
    (!once).then_some("a file twice")
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
    let (path, bytes) = read(entry_path(log, at))?;
    let (proof_path, text) = read(proof_path(log, at))?;
    let wrong = |what: String| (proof_path.clone(), what);
    let text = String::from_utf8(text).map_err(|_| wrong("not UTF-8".into()))?;
    let proof = TlogProof::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let proven = proof.verify(&bytes, key).map_err(|error| wrong(error.to_string()))?;
    if proof.index != at || (proven.size(), proven.root()) != (signed.size(), signed.root()) {
        return Err(wrong("a proof of another entry, or for another checkpoint".into()));
    }
    Ok(Proven { path, index: at, leaf: leaf_hash(&bytes), head: EntryHead::parse(&bytes).ok(), bytes })
}
