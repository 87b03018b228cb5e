//! The decisions of a gateway's log, decided again: under the rules of then, which must say the same, and under others.
//!
//! ```text
//!  DATA/log ─▶ verdict · rules · version · digest of the question
//!  DATA/decisions/*.jsonl ─▶ the question ─┬─ DATA/policies/<version> ─▶ said then what it says now? (or somebody lied)
//!                                          └─ --policies DIR ──────────▶ what would change
//! ```
//! Questions are written behind the answer: a crash loses those of its last moment, and nobody else may.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::path::Path;

use super::{Named, Paint, Trouble, counted, load, told};
use crate::audit::Kind;
use crate::audit::entry::EntryHead;
use crate::cli::again::{self, Archive};
use crate::cli::audit::each_entry;
use crate::policy::replay::{self, Asked, Logged};
use crate::terms::{Digest, UnixMillis};

/// How long before a crash questions may have been asked that it took along, in milliseconds.
const LAST_MOMENT_MS: i64 = 2_000;

/// Replays; `false` when somebody would be treated otherwise, or the log does not say what the rules of then say.
///
/// # Errors
/// What cannot be read; and, where all else is the same, that so many questions are missing or changed that nobody can
/// decide.
pub fn replay(out: &mut impl Write, paint: Paint, data: &Path, dir: Option<&Path>) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let mut missing = Missing::since(UnixMillis::now());
    let asked = questions(&data.join("decisions"))?;
    let (archived, mut lost) = (Archive::new(data), HashSet::new());
    let (mut counts, mut unchanged, mut disputed) = ([0usize; 3], 0usize, 0usize);
    let mut index = 0usize;
    let mut trouble = None;
    let walked = each_entry(&data.join("log"), &mut |entry| {
        let place = index.to_string();
        index += 1;
        missing.entry(entry);
        let Some(logged) = Logged::read(entry) else { return Ok(()) };
        let Some(Asked { ask, .. }) = asked.get(&logged.asked) else {
            missing.add(logged.at);
            return Ok(());
        };
        match archived.set(logged.version).map(|set| again::differs(&set, &logged, ask)) {
            Ok(None) => {}
            Ok(Some(why)) => {
                disputed += 1;
                writeln!(
                    out,
                    "{place}  {}  {}: {why}",
                    logged.at,
                    paint.bad("与当时的规则不符 · not what the rules said")
                )?;
            }
            Err(error) => {
                if lost.insert(logged.version) {
                    trouble.get_or_insert(error);
                }
            }
        }
        let record = logged.with(ask.clone());
        let again = replay::replay([&record], &set);
        unchanged += again.unchanged;
        for change in again.changes {
            counts[told(out, paint, &place, &record, &change)?] += 1;
        }
        Ok(())
    });
    walked.map_err(|why| Named::Records.unread(&data.join("log"), why))??;
    let same = counted(out, unchanged, counts)?;
    let (lost_at_a_crash, unexplained) = missing.end();
    if lost_at_a_crash + unexplained > 0 {
        writeln!(out, "无原始请求 · questions that were not kept: {}", lost_at_a_crash + unexplained)?;
    }
    if disputed > 0 {
        writeln!(out, "{}", paint.bad(&format!("与当时的规则不符 · not what the rules of then say: {disputed}")))?;
    }
    if let Some(error) = trouble {
        writeln!(out, "{}", paint.bad(&format!("归档策略 · the archive: {error}")))?;
        return Ok(false);
    }
    writeln!(out, "{}", paint.quiet(&format!("新策略版本 · decided under {}", set.version())))?;
    match same && disputed == 0 {
        true if unexplained > 0 => Err(Trouble::Said(format!(
            "无法判定：{unexplained} 项判定的原始请求缺失或被改动，且不在崩溃前的最后一刻 · {unexplained} decisions cannot be decided \
             again: their questions are missing or were changed, and were not asked in a crash's last moment\n    → 自备份恢复 \
             decisions/ 后再重放 · restore decisions/ from a backup and replay again"
        ))),
        done => Ok(done),
    }
}

/// Decisions whose questions are missing: those that a crash explains, and those that nothing does.
///
/// The log tells of a crash when the gateway comes back: by the intents that it closes as recovered. What was asked in the
/// last moment before that, or before the log's end, may not have been written.
struct Missing {
    /// When the questions were read: one asked since may be kept by now.
    read_at: UnixMillis,
    /// The newest entry.
    last: UnixMillis,
    /// Whether that one is of a return.
    returning: bool,
    /// Those that may be of a last moment.
    recent: VecDeque<UnixMillis>,
    explained: usize,
    unexplained: usize,
}

impl Missing {
    fn since(read_at: UnixMillis) -> Self {
        let last = UnixMillis(i64::MIN);
        Self { read_at, last, returning: false, recent: VecDeque::new(), explained: 0, unexplained: 0 }
    }

    /// The next entry of the log, decision or not.
    fn entry(&mut self, entry: &[u8]) {
        let Ok(head) = EntryHead::parse(entry) else { return };
        let returns = head.kind == Kind::Recovered;
        if returns && !self.returning {
            self.settle(self.last);
        }
        (self.last, self.returning) = (UnixMillis(head.ts), returns);
    }

    /// The decision of the newest entry has no question.
    fn add(&mut self, at: UnixMillis) {
        self.recent.push_back(at);
        let moment = at.min(self.read_at).0.saturating_sub(LAST_MOMENT_MS);
        while self.recent.front().is_some_and(|first| first.0 < moment) {
            self.recent.pop_front();
            self.unexplained += 1;
        }
    }

    /// The gateway ended at this time.
    fn settle(&mut self, end: UnixMillis) {
        for at in self.recent.drain(..) {
            match at.0 >= end.0.saturating_sub(LAST_MOMENT_MS) {
                true => self.explained += 1,
                false => self.unexplained += 1,
            }
        }
    }

    /// How many a crash explains, and how many nothing does.
    fn end(mut self) -> (usize, usize) {
        self.settle(self.last.min(self.read_at));
        (self.explained, self.unexplained)
    }
}

/// All questions that were kept.
fn questions(folder: &Path) -> Result<HashMap<Digest, Asked>, Trouble> {
    let said = |e: std::io::Error| Named::Records.unread(folder, e);
    let mut all = HashMap::new();
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            all.extend(again::questions(&path).map_err(Trouble::Said)?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;

    /// Entries by second: `.` with its question, `x` without, `r` closes an intent after a return.
    #[test]
    fn only_the_last_moment_before_a_return_or_the_end_explains_what_is_missing() {
        const READ_AT: i64 = 100;
        for (log, want) in [
            (&[][..], (0, 0)),
            (&[(10, '.'), (11, '.')], (0, 0)),
            (&[(10, '.'), (11, 'x')], (1, 0)),
            (&[(10, 'x'), (11, '.')], (1, 0)),
            (&[(10, 'x'), (12, 'x'), (13, '.')], (1, 1)),
            (&[(10, 'x'), (20, '.')], (0, 1)),
            (&[(10, 'x'), (20, 'x'), (30, 'x')], (1, 2)),
            // Back after a crash, soon or late.
            (&[(10, '.'), (11, 'x'), (12, 'r'), (20, '.')], (1, 0)),
            (&[(10, '.'), (11, 'x'), (60, 'r'), (61, 'r'), (90, '.')], (1, 0)),
            (&[(10, 'x'), (20, '.'), (60, 'r'), (90, '.')], (0, 1)),
            (&[(10, '.'), (20, 'r'), (21, 'x'), (30, '.')], (0, 1)),
            (&[(10, 'x'), (20, 'r'), (21, 'x'), (30, 'x'), (31, 'r'), (32, 'x')], (3, 1)),
            // What was asked after the questions were read.
            (&[(99, 'x'), (150, 'x'), (200, 'x')], (3, 0)),
            (&[(90, 'x'), (150, 'x'), (200, '.')], (1, 1)),
        ] {
            let mut missing = Missing::since(UnixMillis(READ_AT * 1_000));
            for (second, what) in log {
                let (at, mut text) = (UnixMillis(second * 1_000), Vec::new());
                let entry = match what {
                    'r' => Entry::new(Kind::Recovered, at).of(Digest::of(b"an intent")),
                    _ => Entry::new(Kind::Deny, at),
                };
                entry.encode().unwrap().link(0, None, &mut text);
                missing.entry(&text);
                if *what == 'x' {
                    missing.add(at);
                }
            }
            assert_eq!(missing.end(), want, "{log:?}");
        }
    }
}
