//! The map from every case to its last entry, as one root in the log: shows that a case ends where it seems to.
//!
//! ```text
//!  leaf = case 16 · seq 4 · index 8 (big-endian), sorted by case ──RFC 6962──▶ root ─┐
//!  entry `index`: facts cases = number of leaves, root ◀────────────────────────────┘
//! ```
//! Written each day and when the gateway stops. It covers exactly the entries before it: only the log's writer knows
//! them, so the writer makes it.

use serde::{Deserialize, Serialize};

use crate::audit::Pseudonym;
use crate::audit::merkle::{self, Frontier, Nodes, leaf_hash};
use crate::terms::Digest;

/// Names of the facts of an `index` entry.
pub const CASES: &str = "cases";
pub const ROOT: &str = "root";
pub const PSEUDONYMS: &str = "pseudonyms";

/// The last entry of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Last {
    pub case: Pseudonym,
    pub seq: u32,
    pub index: u64,
}

impl Last {
    pub fn leaf(&self) -> Digest {
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&self.case.0);
        bytes[16..20].copy_from_slice(&self.seq.to_be_bytes());
        bytes[20..].copy_from_slice(&self.index.to_be_bytes());
        leaf_hash(&bytes)
    }
}

/// Root of the map; `all` in any order, each case once.
pub fn root(mut all: Vec<Last>) -> Digest {
    all.sort_unstable();
    let mut frontier = Frontier::new();
    all.iter().for_each(|last| frontier.push(last.leaf()));
    frontier.root()
}

/// A leaf of the map with the proof that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Pseudonym of the case, its last entry and the `seq` of that.
    pub case: String,
    pub last: u64,
    pub seq: u32,
    /// Place in the sorted map.
    pub place: u64,
    pub proof: Vec<Digest>,
}

impl Shown {
    /// The leaf, when it is where it says.
    fn check(&self, cases: u64, root: &Digest) -> Result<Last, &'static str> {
        let case = self.case.parse().map_err(|_| "a case of the map is no pseudonym")?;
        let last = Last { case, seq: self.seq, index: self.last };
        match merkle::check_inclusion(&last.leaf(), self.place, cases, root, &self.proof) {
            Ok(()) => Ok(last),
            Err(_) => Err("the map does not have what is said of it"),
        }
    }
}

/// The leaf of `case`; where the map has none, the two between which it would stand (one at the ends, none in an empty map).
pub fn show(mut all: Vec<Last>, case: &Pseudonym) -> Vec<Shown> {
    all.sort_unstable();
    let places = match all.binary_search_by(|last| last.case.cmp(case)) {
        Ok(at) => at..at + 1,
        Err(at) => at.saturating_sub(1)..all.len().min(at + 1),
    };
    let leaves = Leaves(all.iter().map(Last::leaf).collect());
    let shown = |place: usize| {
        let Last { case, seq, index: last } = all[place];
        let proof = merkle::inclusion(&leaves, place as u64, all.len() as u64).ok()?;
        Some(Shown { case: case.to_string(), last, seq, place: place as u64, proof })
    };
    places.filter_map(shown).collect()
}

/// What a map of so many cases with that root says of `case`, by the leaves that are shown: its last entry, or that it has none.
///
/// # Errors
/// Why they show neither.
pub fn standing(case: &Pseudonym, cases: u64, root: &Digest, shown: &[Shown]) -> Result<Option<Last>, &'static str> {
    let leaves = shown.iter().map(|shown| Ok((shown.place, shown.check(cases, root)?)));
    let leaves: Vec<(u64, Last)> = leaves.collect::<Result<_, &'static str>>()?;
    let encloses = match &leaves[..] {
        [(_, last)] if last.case == *case => return Ok(Some(*last)),
        [] => cases == 0 && *root == Frontier::new().root(),
        [(0, first)] if first.case > *case => true,
        [(place, last)] => last.case < *case && place + 1 == cases,
        [(left, before), (right, after)] => left + 1 == *right && before.case < *case && *case < after.case,
        _ => false,
    };
    if encloses { Ok(None) } else { Err("what is shown of the map does not say where the case stands") }
}

struct Leaves(Vec<Digest>);

impl Nodes for Leaves {
    type Error = std::convert::Infallible;
    fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error> {
        let start = (index << height) as usize;
        let mut frontier = Frontier::new();
        self.0.iter().skip(start).take(1 << height).for_each(|leaf| frontier.push(*leaf));
        Ok(frontier.root())
    }
}

/// What an `index` entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    pub cases: u64,
    pub root: Digest,
    /// Which key made the pseudonyms of its cases ([`Pseudonymiser::print`](crate::audit::Pseudonymiser::print)).
    pub pseudonyms: Option<Pseudonym>,
}

/// Reads an `index` entry.
pub fn read(entry: &[u8]) -> Option<Map> {
    #[derive(Deserialize)]
    struct Raw {
        facts: Facts,
    }
    #[derive(Deserialize)]
    struct Facts {
        cases: String,
        root: Digest,
        pseudonyms: Option<String>,
    }
    let Raw { facts: Facts { cases, root, pseudonyms } } = serde_json::from_slice(entry).ok()?;
    let pseudonyms = pseudonyms.map(|print| print.parse()).transpose().ok()?;
    Some(Map { cases: cases.parse().ok()?, root, pseudonyms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u8) -> Last {
        Last { case: Pseudonym([n; 16]), seq: n.into(), index: n.into() }
    }

    #[test]
    fn every_case_is_where_the_map_says_and_no_other_is_there() {
        for count in [0u8, 1, 2, 3, 7, 40] {
            let all: Vec<Last> = (1..=count).rev().map(|n| at(2 * n)).collect();
            let (size, root) = (u64::from(count), root(all.clone()));
            for n in 1..=2 * count + 1 {
                let case = Pseudonym([n; 16]);
                let shown = show(all.clone(), &case);
                let want = (n % 2 == 0).then(|| at(n));
                assert_eq!(standing(&case, size, &root, &shown), Ok(want), "{n} of {count}");
            }
        }
    }

    /// Somebody who would like to hide a case, or where it ends.
    #[test]
    fn what_is_shown_of_the_map_proves_nothing_else() {
        let all: Vec<Last> = [2, 4, 6, 8].map(at).to_vec();
        let (root, case) = (root(all.clone()), Pseudonym([4; 16]));
        let of = |n: u8| show(all.clone(), &Pseudonym([n; 16]));
        let own = of(4);
        let bent = |change: fn(&mut Shown)| {
            let mut shown = own.clone();
            change(&mut shown[0]);
            shown
        };
        for (what, shown) in [
            ("nothing", vec![]),
            ("another case", of(6)),
            ("its neighbours, and not itself", [of(2), of(6)].concat()),
            ("itself beside another", [of(4), of(6)].concat()),
            ("two that are apart", of(5)),
            ("the first of all", of(1)),
            ("the last of all", of(9)),
            ("an earlier end", bent(|shown| shown.seq -= 1)),
            ("another last entry", bent(|shown| shown.last += 1)),
            ("another place", bent(|shown| shown.place += 1)),
            ("another proof", bent(|shown| shown.proof[0].0[0] ^= 1)),
            ("no pseudonym", bent(|shown| shown.case.push('0'))),
        ] {
            assert!(standing(&case, 4, &root, &shown).is_err(), "{what}");
        }
        assert!(standing(&case, 0, &root, &[]).is_err(), "an empty map has another root");
        assert!(standing(&case, 5, &root, &of(9)).is_err(), "as if one more were there");
    }
}
