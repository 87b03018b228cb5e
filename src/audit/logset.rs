//! Log sets: each replica of a gateway keeps a log of its own, and each log names all of them, with their newest heads.
//!
//! ```text
//!  replica 1 ─▶ log 1: … logset {1: 40, 2: 17} … logset {1: 95, 2: 60} …
//!  replica 2 ─▶ log 2: … logset {1: 38, 2: 20} …          │
//!                                                          └─ log 2 has at least 60 entries, with this root
//! ```
//! A log that was cut, rewritten or left out contradicts what the others say of it. A log never leaves its set: what a
//! retired replica has signed stays evidence.

use serde::Deserialize;

use super::Entry;
use super::entry::{LogHead, Word};
use super::note::{KeyKind, VerifierKey};
use crate::terms::Digest;

/// Most logs of a set: their heads have to fit into one entry.
pub const MAX_LOGS: usize = 40;

/// A log and how far it is known to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub key: VerifierKey,
    /// Entries that its newest known checkpoint covers.
    pub size: u64,
    /// Root of these.
    pub root: Digest,
}

impl Head {
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    fn part(&self) -> Option<LogHead> {
        let key = self.key.to_string();
        let (_, key) = key.split_once('+')?;
        Some(LogHead {
            key: Some(Word::new(key).ok()?),
            origin: Some(Word::new(self.origin()).ok()?),
            root: Some(self.root),
            size: Some(self.size),
        })
    }
}

/// The logs of a gateway, by origin; no two of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSet(Vec<Head>);

impl LogSet {
    /// `None` for no log, more than [`MAX_LOGS`], two of one name, or a key that is none of a log.
    pub fn new(mut heads: Vec<Head>) -> Option<Self> {
        heads.sort_by(|a, b| a.origin().cmp(b.origin()));
        let fits = (1..=MAX_LOGS).contains(&heads.len())
            && heads.windows(2).all(|pair| pair[0].origin() != pair[1].origin())
            && heads.iter().all(|head| head.key.kind() == KeyKind::Ed25519);
        fits.then_some(Self(heads))
    }

    pub fn heads(&self) -> &[Head] {
        &self.0
    }

    /// All logs of `before`, too, and none shorter than it was: what is told of them elsewhere may be lost, or taken away. `None` where
    /// they are too many.
    pub fn no_less(self, before: &LogSet) -> Option<Self> {
        let mut heads = self.0;
        for head in &before.0 {
            match heads.iter_mut().find(|now| now.origin() == head.origin()) {
                Some(now) if now.size >= head.size => {}
                Some(now) => *now = head.clone(),
                None => heads.push(head.clone()),
            }
        }
        Self::new(heads)
    }

    pub fn lists(&self, origin: &str) -> bool {
        self.0.binary_search_by(|head| head.origin().cmp(origin)).is_ok()
    }

    /// Whether every log of `before` is still listed.
    pub fn keeps(&self, before: &LogSet) -> bool {
        before.0.iter().all(|head| self.lists(head.origin()))
    }

    /// Whether both list the same logs with the same keys, however far these reach.
    pub fn same_logs(&self, other: &LogSet) -> bool {
        self.0.iter().map(|head| &head.key).eq(other.0.iter().map(|head| &head.key))
    }

    /// Puts the set into an entry; `None` when an origin is no plain word.
    pub fn write(&self, entry: Entry) -> Option<Entry> {
        Some(entry.set(self.0.iter().map(Head::part).collect::<Option<_>>()?))
    }

    /// Reads the set of a `logset` entry; `None` when it has none that could have been written.
    pub fn read(entry: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw {
            set: Vec<RawHead>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct RawHead {
            key: String,
            origin: String,
            root: Digest,
            size: u64,
        }
        let Raw { set } = serde_json::from_slice(entry).ok()?;
        let head = |raw: RawHead| {
            let key = format!("{}+{}", raw.origin, raw.key).parse().ok()?;
            Some(Head { key, size: raw.size, root: raw.root })
        };
        Self::new(set.into_iter().map(head).collect::<Option<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Kind;
    use crate::audit::note::Signer;
    use crate::terms::UnixMillis;

    fn head(origin: &str, size: u64) -> Head {
        let key = Signer::from_seed(origin, &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
        Head { key, size, root: Digest::of(&size.to_be_bytes()) }
    }

    fn written(set: &LogSet) -> Vec<u8> {
        let entry = set.write(Entry::new(Kind::LogSet, UnixMillis(0))).unwrap();
        let mut bytes = Vec::new();
        entry.encode().unwrap().link(0, None, &mut bytes);
        bytes
    }

    #[test]
    fn a_set_reads_as_it_was_written() {
        let long = format!("gov.example/{}", "x".repeat(110));
        for heads in [
            vec![head("gov.example/gw/1", 0)],
            vec![head("gov.example/gw/2", 9), head("gov.example/gw/1", 7)],
            (0..MAX_LOGS).map(|n| head(&format!("{long}/{n:02}"), u64::MAX >> 12)).collect(),
        ] {
            let set = LogSet::new(heads).unwrap();
            assert_eq!(LogSet::read(&written(&set)), Some(set));
        }
    }

    #[test]
    fn a_set_does_not_shrink() {
        let set = |heads: &[(&str, u64)]| LogSet::new(heads.iter().map(|(o, n)| head(o, *n)).collect()).unwrap();
        let before = set(&[("a", 5), ("b", 9)]);
        for (now, want) in [
            (&[("a", 6), ("b", 9)][..], &[("a", 6), ("b", 9)][..]),
            (&[("a", 6)], &[("a", 6), ("b", 9)]),
            (&[("a", 6), ("b", 2)], &[("a", 6), ("b", 9)]),
            (&[("a", 6), ("b", 9), ("c", 0)], &[("a", 6), ("b", 9), ("c", 0)]),
        ] {
            assert_eq!(set(now).no_less(&before), Some(set(want)), "{now:?}");
        }
    }

    #[test]
    fn what_is_no_set_is_not_read() {
        let good = String::from_utf8(written(&LogSet::new(vec![head("a", 1), head("b", 2)]).unwrap())).unwrap();
        for (from, to) in [
            ("\"origin\":\"b\"", "\"origin\":\"a\""),
            ("\"origin\":\"b\"", "\"origin\":\"c\""), // its key has another name
            ("\"size\":2", "\"size\":-2"),
            ("\"set\":", "\"sets\":"),
            ("\"size\":2", "\"size\":2,\"more\":1"),
        ] {
            assert!(good.contains(from));
            assert_eq!(LogSet::read(good.replace(from, to).as_bytes()), None, "{to}");
        }
        let witness = Signer::from_seed("a", &[7; 32]).unwrap().verifier(KeyKind::Cosignature);
        for heads in [
            vec![],
            vec![head("a", 1), head("a", 2)],
            vec![Head { key: witness, ..head("a", 1) }],
            (0..=MAX_LOGS).map(|n| head(&n.to_string(), 1)).collect(),
        ] {
            assert_eq!(LogSet::new(heads), None);
        }
    }

    #[test]
    fn a_log_stays_in_its_set() {
        let set = |names: &[&str]| LogSet::new(names.iter().map(|name| head(name, 1)).collect()).unwrap();
        for (before, now, keeps, same) in [
            (&["a"][..], &["a"][..], true, true),
            (&["a"], &["a", "b"], true, false),
            (&["a", "b"], &["b"], false, false),
            (&["a", "b"], &["a", "c"], false, false),
        ] {
            let (before, now) = (set(before), set(now));
            assert_eq!((now.keeps(&before), now.same_logs(&before)), (keeps, same), "{before:?} {now:?}");
        }
    }
}
