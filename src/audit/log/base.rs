//! What a log must know of the segments that were pruned: kept beside the segments, durable before the first of them goes.
//!
//! ```text
//!  <dir>/pruned   "TBPRUNE1\n" · minimum index 8 · root of the entries below 32 · hash of the last footer below 32
//!                 · time of the newest entry below 8 · entry that announced it 8
//!                 · edge of the SM3 tree: count 8, hashes 32 each
//!                 · last entry of each case: count 8, (case 16 · seq 4 · index 8) …
//!                 · open intents: count 8, (index 8 · leaf 32) …
//!                 · SHA-256 of everything before 32
//! ```
//! Integers are little-endian. Entries below the minimum index are gone; their hashes stay in the level files.

use std::io;
use std::path::Path;

use super::segment::SEGMENT_ENTRIES;
use crate::audit::Pseudonym;
use crate::audit::evidence::index::Last;
use crate::audit::merkle::Frontier;
use crate::audit::plain;
use crate::terms::Digest;

/// Name of the file.
pub const PRUNED: &str = "pruned";
const MAGIC: &[u8; 9] = b"TBPRUNE1\n";

/// The state of the log at its minimum index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Entries below this index are gone; a multiple of 65,536.
    pub minimum: u64,
    /// Root of those entries.
    pub root: Digest,
    /// SHA-256 of the last footer below: the next one names it.
    pub last_footer: Digest,
    /// Unix milliseconds.
    pub newest: i64,
    /// Index of the entry that says so.
    pub told: u64,
    pub sm3: Frontier,
    pub cases: Vec<Last>,
    pub open: Vec<(u64, Digest)>,
}

/// Largest file: the cases of a log of 40 million.
const MAX_BASE: u64 = 4 << 30;

impl Base {
    /// The base in a log folder; `None` where nothing was pruned.
    ///
    /// # Errors
    /// Kind `InvalidData` for a file that is damaged.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match plain::read(&dir.join(PRUNED), MAX_BASE) {
            Ok(bytes) => Self::decode(&bytes).map(Some).ok_or(io::ErrorKind::InvalidData.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Number of the first segment that is kept.
    pub fn segment(&self) -> u64 {
        self.minimum / SEGMENT_ENTRIES
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&self.minimum.to_le_bytes());
        put(&self.root.0);
        put(&self.last_footer.0);
        put(&self.newest.to_le_bytes());
        put(&self.told.to_le_bytes());
        put(&(self.sm3.edge().len() as u64).to_le_bytes());
        self.sm3.edge().iter().for_each(|hash| put(&hash.0));
        put(&(self.cases.len() as u64).to_le_bytes());
        for last in &self.cases {
            put(&last.case.0);
            put(&last.seq.to_le_bytes());
            put(&last.index.to_le_bytes());
        }
        put(&(self.open.len() as u64).to_le_bytes());
        for (index, leaf) in &self.open {
            put(&index.to_le_bytes());
            put(&leaf.0);
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(&digest.0);
        out
    }

    /// Reads what [`Base::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_last_chunk::<32>()?;
        let mut rest = Rest(body.strip_prefix(MAGIC)?);
        if Digest::of(body).0 != *digest {
            return None;
        }
        let minimum = rest.number()?;
        let (root, last_footer) = (Digest(rest.take()?), Digest(rest.take()?));
        let (newest, told) = (i64::from_le_bytes(rest.take()?), rest.number()?);
        let edge = (0..rest.number()?).map(|_| rest.take().map(Digest)).collect::<Option<Vec<_>>>()?;
        let case = |rest: &mut Rest<'_>| {
            let (case, seq) = (Pseudonym(rest.take()?), u32::from_le_bytes(rest.take()?));
            Some(Last { case, seq, index: rest.number()? })
        };
        let cases = (0..rest.number()?).map(|_| case(&mut rest)).collect::<Option<Vec<_>>>()?;
        let intent = |rest: &mut Rest<'_>| Some((rest.number()?, Digest(rest.take()?)));
        let open = (0..rest.number()?).map(|_| intent(&mut rest)).collect::<Option<Vec<_>>>()?;
        let sm3 = Frontier::from_edge(minimum, edge)?;
        let whole = rest.0.is_empty() && minimum > 0 && minimum.is_multiple_of(SEGMENT_ENTRIES);
        whole.then_some(Self { minimum, root, last_footer, newest, told, sm3, cases, open })
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_base_reads_as_it_was_kept(
            segments in 1u64..9,
            newest: i64,
            told: u64,
            cases: Vec<([u8; 16], u32, u64)>,
            open: Vec<(u64, [u8; 32])>,
            flip: usize,
        ) {
            let minimum = segments * SEGMENT_ENTRIES;
            let edge = vec![Digest([7; 32]); minimum.count_ones() as usize];
            let base = Base {
                minimum,
                root: Digest([1; 32]),
                last_footer: Digest([2; 32]),
                newest,
                told,
                sm3: Frontier::from_edge(minimum, edge).unwrap(),
                cases: cases.into_iter().map(|(c, seq, index)| Last { case: Pseudonym(c), seq, index }).collect(),
                open: open.into_iter().map(|(index, leaf)| (index, Digest(leaf))).collect(),
            };
            let mut bytes = base.encode();
            prop_assert_eq!(Base::decode(&bytes), Some(base));
            let at = flip % bytes.len();
            bytes[at] ^= 1;
            prop_assert_eq!(Base::decode(&bytes), None);
        }
    }
}
