//! The map from every case to its last entry, as one root in the log: shows that a case ends where it seems to.
//!
//! ```text
//!  leaf = case 16 · seq 4 · index 8 (big-endian), sorted by case ──RFC 6962──▶ root ─┐
//!  entry `index`: facts cases = number of leaves, root ◀────────────────────────────┘
//! ```
//! Written each day and when the gateway stops. It covers exactly the entries before it: only the log's writer knows
//! them, so the writer makes it.

use serde::Deserialize;

use crate::audit::Pseudonym;
use crate::audit::merkle::{self, Frontier, Nodes, leaf_hash};
use crate::terms::Digest;

/// Names of the facts of an `index` entry.
pub const CASES: &str = "cases";
pub const ROOT: &str = "root";

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

/// Place of a case in the map, its last entry, and the proof for it.
pub fn prove(mut all: Vec<Last>, case: &Pseudonym) -> Option<(u64, Last, Vec<Digest>)> {
    all.sort_unstable();
    let place = all.binary_search_by(|last| last.case.cmp(case)).ok()?;
    let leaves = Leaves(all.iter().map(Last::leaf).collect());
    let proof = merkle::inclusion(&leaves, place as u64, all.len() as u64).ok()?;
    Some((place as u64, all[place], proof))
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

/// What an `index` entry says: number of cases and root.
pub fn read(entry: &[u8]) -> Option<(u64, Digest)> {
    #[derive(Deserialize)]
    struct Raw {
        facts: Facts,
    }
    #[derive(Deserialize)]
    struct Facts {
        cases: String,
        root: Digest,
    }
    let Raw { facts } = serde_json::from_slice(entry).ok()?;
    Some((facts.cases.parse().ok()?, facts.root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_where_the_map_says() {
        for count in [1u8, 2, 3, 7, 40] {
            let last = |n: u8| Last { case: Pseudonym([n.wrapping_mul(37); 16]), seq: n.into(), index: n.into() };
            let all: Vec<Last> = (1..=count).map(last).collect();
            let root = root(all.clone());
            for want in &all {
                let (place, found, proof) = prove(all.clone(), &want.case).unwrap();
                assert_eq!(found, *want);
                let size = u64::from(count);
                assert_eq!(merkle::check_inclusion(&found.leaf(), place, size, &root, &proof), Ok(()));
                let cut = Last { seq: found.seq - 1, ..found };
                assert!(merkle::check_inclusion(&cut.leaf(), place, size, &root, &proof).is_err());
            }
            assert_eq!(prove(all, &Pseudonym([1; 16])), None);
        }
    }
}
