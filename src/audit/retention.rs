//! What a log says of its pruning: the minimum index for everyone, and the entry on record before anything goes.
//!
//! ```text
//!  GET /retention      gov.example/gw/1            the origin
//!                      minimum-index 131072        entries below are gone, their hashes are not
//!                      retention-days 730          or `none`: nothing is ever pruned
//!  GET /anchor-pruned  the first time-stamp over a checkpoint of at least so many entries
//!  entry `lifecycle`   facts event=prune segments=2 root=… newest=… days=730
//! ```
//! C2SP tlog-tiles lets a log prune only under a written policy, by a minimum index, and has no address for it yet.

use std::fmt;

use serde::Deserialize;

use super::checkpoint::decimal;
use super::log::segment::SEGMENT_ENTRIES;
use super::{Entry, Word};
use crate::terms::Digest;

/// Path of the document below the log's prefix.
pub const RETENTION: &str = "retention";
/// Path of the first time-stamp over all that was pruned: how old it was, by the word of somebody else.
pub const PRUNED_ANCHOR: &str = "anchor-pruned";
/// Longest document that is read.
pub const MAX_RETENTION: usize = 4_096;
/// Value of the fact `event`.
const PRUNE: &str = "prune";

/// The document. It is not signed: a verifier believes it only together with the entry that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    pub origin: String,
    pub minimum: u64,
    /// Days that entries are kept; `None`: for ever.
    pub days: Option<u32>,
}

impl Retention {
    /// Reads the document of `origin`'s log; `None` for anything else.
    pub fn parse(bytes: &[u8], origin: &str) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_RETENTION)?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != origin {
            return None;
        }
        let minimum = decimal(lines.next()?.strip_prefix("minimum-index ")?)?;
        let days = match lines.next()?.strip_prefix("retention-days ")? {
            "none" => None,
            days => Some(u32::try_from(decimal(days)?).ok()?),
        };
        (lines.next().is_none()).then(|| Self { origin: origin.to_owned(), minimum, days })
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.days.map_or("none".to_owned(), |days| days.to_string());
        write!(f, "{}\nminimum-index {}\nretention-days {days}\n", self.origin, self.minimum)
    }
}

/// What the entry says that announces a pruning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// Entries below this index go; a multiple of 65,536.
    pub minimum: u64,
    /// Root of the tree of those entries.
    pub root: Digest,
    /// Unix milliseconds of the newest of them.
    pub newest: i64,
    /// Days that the policy keeps entries.
    pub days: u32,
}

impl Pruning {
    /// Into an entry of kind `lifecycle`.
    pub fn write(&self, entry: Entry) -> Entry {
        let facts = [
            ("event", PRUNE.to_owned()),
            ("segments", (self.minimum / SEGMENT_ENTRIES).to_string()),
            ("root", self.root.to_string()),
            ("newest", self.newest.to_string()),
            ("days", self.days.to_string()),
        ];
        facts.iter().fold(entry, |entry, (name, value)| match (Word::new(name), Word::new(value)) {
            (Ok(name), Ok(value)) => entry.fact(name, value),
            _ => entry,
        })
    }

    /// Of an entry of kind `lifecycle`; `None` when it says something else.
    pub fn read(entry: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw {
            facts: Facts,
        }
        #[derive(Deserialize)]
        struct Facts {
            event: String,
            segments: String,
            root: Digest,
            newest: String,
            days: String,
        }
        let Raw { facts } = serde_json::from_slice(entry).ok()?;
        let minimum = decimal(&facts.segments)?.checked_mul(SEGMENT_ENTRIES)?;
        let newest = i64::try_from(decimal(&facts.newest)?).ok()?;
        let days = u32::try_from(decimal(&facts.days)?).ok()?;
        (facts.event == PRUNE).then_some(Self { minimum, root: facts.root, newest, days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Kind;
    use crate::terms::UnixMillis;

    #[test]
    fn a_document_reads_as_it_prints_and_nothing_else_does() {
        for (text, want) in [
            ("o\nminimum-index 131072\nretention-days 730\n", Some((131_072, Some(730)))),
            ("o\nminimum-index 0\nretention-days none\n", Some((0, None))),
            ("other\nminimum-index 0\nretention-days none\n", None), // of another log
            ("o\nminimum-index 007\nretention-days none\n", None),
            ("o\nminimum-index -1\nretention-days none\n", None),
            ("o\nminimum-index 1\nretention-days 4294967296\n", None),
            ("o\nminimum-index 1\nretention-days 7", None), // cut
            ("o\nminimum-index 1\nretention-days 7\nmore\n", None),
            ("", None),
        ] {
            let got = Retention::parse(text.as_bytes(), "o");
            assert_eq!(got.as_ref().map(|r| (r.minimum, r.days)), want, "{text:?}");
            assert!(got.is_none_or(|r| r.to_string() == text));
        }
    }

    #[test]
    fn an_entry_says_what_was_written_into_it() {
        let entry = Entry::new(Kind::Lifecycle, UnixMillis(5));
        let told = Pruning { minimum: 131_072, root: Digest([3; 32]), newest: 1_771_000_000_000, days: 730 };
        let bytes = |entry: Entry| {
            let mut out = Vec::new();
            entry.encode().unwrap().link(0, None, &mut out);
            out
        };
        assert_eq!(Pruning::read(&bytes(told.write(entry.clone()))), Some(told));
        assert_eq!(Pruning::read(&bytes(entry.clone())), None);
        // Times before there were any would be as old as is wanted.
        for newest in [-1, i64::MIN] {
            assert_eq!(Pruning::read(&bytes(Pruning { newest, ..told }.write(entry.clone()))), None, "{newest}");
        }
    }
}
