//! The times that entries give themselves, against those that others vouch for.
//!
//! ```text
//!  a witness or an authority saw n entries at T ─▶ none of those n says that it is later
//!  an `anchor` entry names a token of T         ─▶ none after it says that it is earlier
//! ```

use std::collections::HashMap;

use crate::terms::{Digest, UnixMillis};

/// By how much clocks may differ, in milliseconds: an hour, so that a clock gone wrong for a while convicts nobody of minutes.
const LEEWAY_MS: i64 = 3_600_000;

#[derive(Default)]
pub(in crate::audit) struct Clocks {
    /// The log had at least so many entries at that time, in Unix milliseconds; by size, each with the earliest time at which so many
    /// or more were seen.
    seen: Vec<(u64, i64)>,
    /// Time-stamps at hand, by the digest of their token.
    stamps: HashMap<Digest, i64>,
    /// The newest time-stamp that an entry before names.
    stamped: Option<i64>,
    /// The latest time of an entry, and how often, and where first, the log's clock went back.
    last: Option<i64>,
    back: Option<(u64, u64)>,
}

impl Clocks {
    /// Somebody else saw `size` entries at `at`.
    pub fn seen(&mut self, size: u64, at: i64) {
        self.seen.push((size, at));
        self.seen.sort_unstable();
        let mut earliest = i64::MAX;
        for (_, at) in self.seen.iter_mut().rev() {
            earliest = earliest.min(*at);
            *at = earliest;
        }
    }

    /// Goes on after entries of which the latest said that it is of `last`, and named a time-stamp of `stamped`.
    pub fn resume(&mut self, last: i64, stamped: Option<i64>) {
        (self.last, self.stamped) = (Some(last).filter(|last| *last != i64::MIN), stamped);
    }

    /// The newest time-stamp that an entry names.
    pub fn stamped(&self) -> Option<i64> {
        self.stamped
    }

    /// A time-stamp that holds.
    pub fn stamp(&mut self, token: Digest, at: i64) {
        self.stamps.insert(token, at);
    }

    /// Entry `index` says that it is of `ts`: what is wrong with that.
    pub fn against_others(&self, index: u64, ts: i64) -> Option<String> {
        let place = self.seen.partition_point(|(size, _)| *size <= index);
        let (_, at) = self.seen.get(place)?;
        (ts.saturating_sub(*at) > LEEWAY_MS)
            .then(|| format!("says that it is of {}, and was seen at {}", UnixMillis(ts), UnixMillis(*at)))
    }

    /// As [`Clocks::against_others`], for entries that come in order; `token` is what the entry itself names as a time-stamp's.
    pub fn next(&mut self, index: u64, ts: i64, token: Option<Digest>) -> Option<String> {
        let early = self.stamped.filter(|at| at.saturating_sub(ts) > LEEWAY_MS);
        let early = early.map(|at| {
            format!("says that it is of {}, and comes after a time-stamp of {}", UnixMillis(ts), UnixMillis(at))
        });
        if let Some(at) = token.and_then(|token| self.stamps.get(&token)) {
            self.stamped = self.stamped.max(Some(*at));
        }
        if self.last.is_some_and(|last| last.saturating_sub(ts) > LEEWAY_MS) {
            let (first, count) = self.back.unwrap_or((index, 0));
            self.back = Some((first, count + 1));
        }
        self.last = self.last.max(Some(ts));
        early.or_else(|| self.against_others(index, ts))
    }

    /// What a reader should know of the log's own clock.
    pub fn note(&self) -> Option<String> {
        let (first, count) = self.back?;
        Some(format!(
            "日志时钟曾回拨：自条目 {first} 起 {count} 条早于其前条目一小时以上 the log's clock went back by more than an hour: {count} entries, \
             from {first} on"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = LEEWAY_MS;

    #[test]
    fn an_entry_is_as_old_as_others_saw_it() {
        let mut clocks = Clocks::default();
        clocks.seen(20, 50 * HOUR);
        clocks.seen(10, 60 * HOUR); // stamped later, and seen earlier all the same
        clocks.seen(30, 70 * HOUR);
        for (index, ts, is_right) in [
            (0, 51 * HOUR, true),
            (0, 51 * HOUR + 1, false),
            (19, 51 * HOUR + 1, false),
            (20, 51 * HOUR + 1, true),
            (29, 71 * HOUR, true),
            (29, 71 * HOUR + 1, false),
            (30, i64::MAX, true),
            (5, i64::MIN, true),
        ] {
            assert_eq!(clocks.against_others(index, ts).is_none(), is_right, "{index} {ts}");
        }
    }

    #[test]
    fn no_entry_is_older_than_the_time_stamp_before_it() {
        let (mut clocks, token) = (Clocks::default(), Digest::of(b"token"));
        clocks.stamp(token, 100 * HOUR);
        assert_eq!(clocks.next(0, 3, None), None, "before it anything goes");
        assert_eq!(clocks.next(1, 100 * HOUR, Some(token)), None);
        assert_eq!(clocks.next(2, 99 * HOUR, Some(Digest::of(b"unknown"))), None);
        assert!(clocks.next(3, 99 * HOUR - 1, None).is_some());
        assert!(clocks.note().is_some_and(|note| note.contains("1 entries, from 3")), "{:?}", clocks.note());
    }
}
