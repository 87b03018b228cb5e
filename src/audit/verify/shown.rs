//! What others hold of a log: older checkpoints, time-stamps, cosignatures. Each is a promise about the log's first entries, and is kept
//! when the walk comes there.

use super::judge::Judge;
use super::pinned::witnessed;
use super::report::{Question, Verdict};
use crate::audit::anchor::{Anchor, AnchorError};
use crate::audit::checkpoint::{CheckpointError, MAP, SignedCheckpoint};
use crate::audit::note::NoteError;
use crate::terms::Digest;

impl Judge<'_> {
    pub(super) fn promise(&mut self, who: &str, signed: &SignedCheckpoint, question: Question) {
        self.promises.entry(signed.size()).or_default().push((who.to_owned(), signed.root(), question));
    }

    pub(super) fn old(&mut self, n: usize, note: &[u8], current: &SignedCheckpoint) {
        let who = format!("old checkpoint {n}");
        self.report.answer(Question::AppendOnly, Verdict::Proven);
        match self.options.open(note) {
            Err(error) => self.fault(Question::AppendOnly, Verdict::Undecided, &who, None, &error.to_string()),
            Ok(old) if old.size() > current.size() => {
                let what =
                    format!("{} entries were promised, the log shows {}: rolled back", old.size(), current.size());
                self.fault(Question::AppendOnly, Verdict::Disproven, &who, None, &what);
            }
            Ok(old) => {
                if let Some(at) = self.cosigned_at(note) {
                    self.shown(old.size(), at);
                }
                self.promise(&who, &old, Question::AppendOnly);
            }
        }
    }

    /// The checkpoint that ends with a map of cases must be one of this log's past, and end with one.
    pub(super) fn mapped(&mut self, note: &[u8]) {
        match self.options.open(note) {
            Ok(signed) => {
                if let Some(at) = self.cosigned_at(note) {
                    self.shown(signed.size(), at);
                }
                self.map_at = signed.size().checked_sub(1);
                self.promise(MAP, &signed, Question::Integrity);
            }
            Err(error) => {
                // What nobody signed whose key is known convicts nobody.
                let is_strange = matches!(error, CheckpointError::Note(NoteError::Unsigned | NoteError::Syntax(_)));
                let verdict = if is_strange { Verdict::Undecided } else { Verdict::Disproven };
                self.fault(Question::Integrity, verdict, MAP, None, &error.to_string());
            }
        }
    }

    /// When the first witness of the policy cosigned it, in Unix milliseconds.
    pub(super) fn cosigned_at(&self, note: &[u8]) -> Option<i64> {
        self.options.policy.as_ref()?.cosigned_at(note)
    }

    /// Judges an anchor that the log shows; its checkpoint must then be one of this log's past.
    pub fn anchor(&mut self, bytes: &[u8]) {
        self.stamped(bytes, false);
    }

    /// As [`Judge::anchor`]; one that the auditor brought along and that is of nobody, or of another log, says nothing of this one.
    pub(super) fn stamped(&mut self, bytes: &[u8], is_brought: bool) {
        if self.options.time_authorities.is_empty() {
            return;
        }
        let judged = Anchor::parse(bytes).and_then(|anchor| {
            let signed = self.options.open(anchor.note.as_bytes())?;
            Ok((signed, anchor.time(&self.options.time_authorities)?, Digest::of(&anchor.token)))
        });
        let (signed, at, token) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                use CheckpointError::{Note, Origin};
                let verdict = match error {
                    // Signed by a key of before, which was not given.
                    AnchorError::Authority(_) | AnchorError::Checkpoint(Note(NoteError::Unsigned)) => {
                        Verdict::Undecided
                    }
                    AnchorError::Syntax | AnchorError::Checkpoint(Note(NoteError::Syntax(_)) | Origin { .. })
                        if is_brought =>
                    {
                        Verdict::Undecided
                    }
                    _ => Verdict::Disproven,
                };
                return self.fault(Question::Anchored, verdict, "anchor", None, &error.to_string());
            }
        };
        if signed.size() > self.report.size {
            let what =
                format!("{} entries were stamped, the log shows {}: rolled back", signed.size(), self.report.size);
            return self.fault(Question::AppendOnly, Verdict::Disproven, "anchor", None, &what);
        }
        self.report.answer(Question::Anchored, Verdict::Proven);
        self.shown(signed.size(), at.0);
        self.clocks.stamp(token, at.0);
        self.promise("the time-stamp", &signed, Question::Anchored);
        if self.report.anchored.is_none_or(|(known, _)| known < at) {
            self.report.anchored = Some((at, signed.size()));
        }
    }

    /// After all anchors: is there one, and is it young enough?
    pub(super) fn anchored(&mut self) {
        let max_age = self.options.policy.as_ref().and_then(|policy| policy.max_anchor_age_s);
        if self.options.time_authorities.is_empty() {
            if max_age.is_some() {
                let what = "the policy limits the age of time-stamps, and nobody's count: say with --tsa whose do";
                self.fault(Question::Anchored, Verdict::Undecided, "anchor", None, what);
            }
            return;
        }
        let Some((at, _)) = self.report.anchored else {
            let what = "no time-stamp that holds is at hand";
            return self.fault(Question::Anchored, Verdict::Undecided, "anchor", None, what);
        };
        if let (Some(max), Some(now)) = (max_age, self.options.now)
            && now.0.saturating_sub(at.0) / 1000 > i64::try_from(max).unwrap_or(i64::MAX)
        {
            // Old, and not false: a copy grows old, too.
            let what = "the newest time-stamp is older than the policy allows";
            self.fault(Question::Anchored, Verdict::Undecided, "anchor", None, what);
        }
    }

    pub(super) fn witnesses(&mut self, signed: &SignedCheckpoint) {
        if let Some(pinned) = &self.options.policy {
            witnessed(&mut self.report, pinned, self.options.now, signed);
        }
    }

    /// Promises about sizes below `size`, taken out: whoever knows the root there compares them.
    pub fn promises_below(&mut self, size: u64) -> Vec<(u64, String, Digest, Question)> {
        let later = self.promises.split_off(&size);
        let before = std::mem::replace(&mut self.promises, later);
        before.into_iter().flat_map(|(n, all)| all.into_iter().map(move |(w, d, q)| (n, w, d, q))).collect()
    }

    pub fn keep_promises(&mut self, file: &str) {
        let size = self.frontier.size();
        let due = self.promises.first_key_value().is_some_and(|(at, _)| *at == size);
        let Some((_, promises)) = due.then(|| self.promises.pop_first()).flatten() else { return };
        let root = self.frontier.root();
        for (who, promised, question) in promises {
            if promised != root {
                let what = format!("{who} promises another root for {size} entries");
                self.fault(question, Verdict::Disproven, file, size.checked_sub(1), &what);
            }
        }
    }
}
