//! The beginning of a log that is not there any more: its hashes must be, and an entry on record must say so.
//!
//! ```text
//!  entries missing at the beginning ─▶ hashes judged in their place ─▶ they lead to the signed root? ──no──▶ disproven
//!       │ how many: what the log claims; believed only with …
//!       ▼
//!  … an entry `lifecycle` that names this very minimum index and the root below it ──none──▶ disproven
//!       │
//!       ▼
//!  the auditor's policy allows it (`#tongban retention DAYS`)? ──no word──▶ complete, content: undecided
//!       │yes                                   pruned too early, by its word or by that of others ──▶ disproven
//!       ▼
//!  somebody else saw the entries so many days before? ──nobody──▶ complete, content: undecided
//!       │yes: what is kept holds
//! ```

use super::judge::{Judge, Place};
use super::report::{Pruned, Question, Verdict};
use crate::audit::log::segment::SEGMENT_ENTRIES;
use crate::audit::retention::Pruning;
use crate::terms::{Digest, UnixMillis};

const DAY_MS: i64 = 86_400_000;
/// By how much the clocks of a log and of its witnesses may differ, in milliseconds.
const CLOCKS_MS: i64 = DAY_MS;

/// Entries that were not there when they were asked for.
#[derive(Debug, Default)]
pub(super) struct Gap {
    pub entries: u64,
    /// Index after the last of them, and the root there.
    end: Option<(u64, Digest)>,
    /// Announcements on record: index and time of the entry.
    told: Vec<(u64, i64, Pruning)>,
    /// By the word of others, the log had only so many entries at that time, in Unix milliseconds.
    shown: Vec<(u64, i64)>,
}

impl Judge<'_> {
    /// A witness or a time-stamp authority saw a checkpoint of `size` entries at `at`: what comes after them is younger.
    pub(super) fn shown(&mut self, size: u64, at: i64) {
        self.gap.shown.push((size, at));
        self.clocks.seen(size, at);
    }

    /// The next `count` entries are not there; their leaf hashes were judged just now.
    pub(super) fn not_kept(&mut self, count: u64, file: &str) {
        if self.gap.entries == 0 {
            self.begun_before.get_or_insert(0);
            self.gm_unread(file);
        }
        self.gap.entries += count;
        // The root is wanted where a pruning may end only: it costs an edge of hashes each time.
        if self.frontier.size().is_multiple_of(SEGMENT_ENTRIES) {
            self.gap.end = Some((self.frontier.size(), self.frontier.root()));
        }
    }

    /// A `lifecycle` entry; those that say nothing of pruning are passed over.
    pub(super) fn lifecycle(&mut self, bytes: &[u8], index: u64, ts: i64, place: Place<'_>) {
        let Some(pruning) = Pruning::read(bytes) else { return };
        let early =
            |days: u64| ts.saturating_sub(pruning.newest) < i64::try_from(days).map_or(i64::MAX, |d| d * DAY_MS);
        let policy = self.options.policy.as_ref().and_then(|policy| policy.retention_days);
        if early(u64::from(pruning.days)) {
            let what = "announces a pruning of entries younger than the log's own policy says";
            self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), what);
        } else if policy.is_some_and(early) {
            let what = "announces a pruning of entries younger than the auditor's policy allows";
            self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), what);
        }
        self.gap.told.push((index, ts, pruning));
    }

    /// After the last entry: was what is missing pruned on record?
    pub(super) fn pruned(&mut self) {
        if self.gap.entries == 0 {
            return;
        }
        let end = self.gap.end;
        let minimum = end.map_or(self.gap.entries, |(end, _)| end);
        let names = |told: &&(u64, i64, Pruning)| end == Some((told.2.minimum, told.2.root));
        let told = self.gap.told.iter().find(names);
        let newest = told.map(|told| told.2.newest);
        let announced = told.map(|told| told.1);
        let told = told.map(|told| told.0);
        // The announcement's own word on how old the entries were, against those of others.
        let younger = |(size, at): &&(u64, i64)| {
            *size < minimum && newest.is_some_and(|newest| at.saturating_sub(newest) > CLOCKS_MS)
        };
        if let Some((size, at)) = self.gap.shown.iter().find(younger).copied() {
            let what = format!(
                "entries from {size} on were written after {}, as others saw it; the log says that it pruned older ones only",
                UnixMillis(at)
            );
            self.fault(Question::Complete, Verdict::Disproven, "tile/entries", told, &what);
        }
        self.report.pruned = Some(Pruned { minimum, entries: self.gap.entries, told });
        if !self.options.entries_are_ours || !self.entries_seen {
            let what = "entries are missing at the beginning, and whether the log may prune them was not read";
            return self.fault(Question::Integrity, Verdict::Undecided, "tile/entries", Some(0), what);
        }
        if told.is_none() {
            let what =
                format!("entries below {minimum} are missing, and no entry on record says that they were pruned");
            // The entry that says so may be among those that could not be read.
            let verdict = if self.stopped { Verdict::Undecided } else { Verdict::Disproven };
            return self.fault(Question::Integrity, verdict, "tile/entries", Some(0), &what);
        }
        let links = self.begun_before.unwrap_or(0);
        if links > 0 {
            self.report.notes.push(format!("{links} 处链接指向已清除条目 links to entries that were pruned"));
        }
        let allowed = self.options.policy.as_ref().and_then(|policy| policy.retention_days);
        let what = match allowed.zip(announced) {
            Some((days, announced)) if self.was_old(minimum, announced, days) => None,
            Some(_) => Some(
                "nobody else's word says how old they were: it takes the time-stamps (--tsa), or a checkpoint of then that a \
                 witness of the policy cosigned (--old)",
            ),
            None => {
                Some("an archive, a mirror or a kept state has them; `#tongban retention DAYS` in the policy allows it")
            }
        };
        for question in [Question::Complete, Question::Content] {
            match what {
                None => self.report.answer(question, Verdict::Kept),
                Some(what) => {
                    let what = format!("entries below {minimum} were pruned on record: {what}");
                    self.fault(question, Verdict::Undecided, "tile/entries", Some(0), &what);
                }
            }
        }
    }

    /// Whether a witness or a time-stamp authority saw all that was pruned, so many days before it was announced.
    fn was_old(&self, minimum: u64, announced: i64, days: u64) -> bool {
        let days = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        let by = announced.saturating_sub(days).saturating_add(CLOCKS_MS);
        self.gap.shown.iter().any(|(size, at)| *size >= minimum && *at <= by)
    }
}
