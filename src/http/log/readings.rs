//! Who reads entries now, and what: two lines a reading, however much is read.

use std::collections::HashMap;

use crate::terms::UnixMillis;

/// Longest reading, in milliseconds.
const READING_MS: i64 = 300_000;

/// Who reads. All strangers count as one: they must not be able to fill the log, nor our memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reader {
    Known(String),
    Stranger,
}

/// Bundles read, or asked for in vain, by one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) since: UnixMillis,
    pub(super) count: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) is_allowed: bool,
}

/// Readings that are open now.
#[derive(Debug, Default)]
pub(super) struct Readings(HashMap<Reader, Reading>);

impl Readings {
    /// Counts one bundle into an open reading; `false` when one has to be opened, with a line, first.
    pub(super) fn count(&mut self, reader: &Reader, bundle: u64, is_allowed: bool, now: UnixMillis) -> bool {
        match self.0.get_mut(reader) {
            Some(open) if open.is_allowed == is_allowed && now.0 - open.since.0 < READING_MS => {
                (open.count, open.first, open.last) = (open.count + 1, open.first.min(bundle), open.last.max(bundle));
                true
            }
            _ => false,
        }
    }

    /// Opens a reading; gives the one before it, whose end is not on record yet.
    pub(super) fn open(&mut self, reader: Reader, bundle: u64, is_allowed: bool, now: UnixMillis) -> Option<Reading> {
        self.0.insert(reader, Reading { since: now, count: 1, first: bundle, last: bundle, is_allowed })
    }

    /// Takes out those that are over by `now`.
    pub(super) fn ended(&mut self, now: UnixMillis) -> Vec<(Reader, Reading)> {
        let over = |reading: &Reading| now.0 - reading.since.0 >= READING_MS;
        let mut ended: Vec<_> = self.0.extract_if(|_, reading| over(reading)).collect();
        ended.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_follows_the_log_makes_two_lines_not_a_loop() {
        let (mut readings, reader) = (Readings::default(), Reader::Known("auditor-1".into()));
        let mut lines = 0;
        for second in 0..600i64 {
            let now = UnixMillis(second * 1000);
            // Each look reads the newest bundle, which holds the line about the look before.
            if !readings.count(&reader, second as u64, true, now) {
                lines += 1 + u64::from(readings.open(reader.clone(), second as u64, true, now).is_some());
            }
            lines += readings.ended(now).len() as u64;
        }
        lines += readings.ended(UnixMillis(i64::MAX)).len() as u64;
        assert_eq!(lines, 4, "ten minutes are two readings");
    }

    #[test]
    fn a_reading_tells_what_was_read_and_a_refusal_is_no_reading() {
        let (mut readings, reader) = (Readings::default(), Reader::Stranger);
        assert!(!readings.count(&reader, 9, false, UnixMillis(0)));
        assert_eq!(readings.open(reader.clone(), 9, false, UnixMillis(0)), None);
        assert!(readings.count(&reader, 4, false, UnixMillis(5)));
        assert!(readings.count(&reader, 30, false, UnixMillis(9)));
        assert!(!readings.count(&reader, 4, true, UnixMillis(10)), "what is allowed is another line");
        assert!(readings.ended(UnixMillis(READING_MS - 1)).is_empty());
        let want = Reading { since: UnixMillis(0), count: 3, first: 4, last: 30, is_allowed: false };
        assert_eq!(readings.ended(UnixMillis(READING_MS)), [(reader, want)]);
    }
}
