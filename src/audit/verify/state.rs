//! What a finished verification remembers, so that the next one begins where it ended.
//!
//! ```text
//!  "TBVERIFY2\n" · length of the checkpoint 4 · checkpoint · last time 8
//!  · which key made the pseudonyms 16 (zeros: not known)
//!  · number of cases 8 · (case 16 · seq 4 · leaf 16 · index 8) …    the last entry of each case
//!  · number of intents 8 · (leaf 32 · index 8 · time 8) … those still open
//!  · SHA-256 of everything before 32
//! ```
//! Integers are little-endian. The file is the auditor's own: the digest guards against accidents, not against people.

use crate::audit::FastMap;
use crate::audit::Pseudonym;
use crate::audit::note::MAX_NOTE;
use crate::terms::Digest;

const MAGIC: &[u8; 10] = b"TBVERIFY2\n";

const UNKNOWN: Pseudonym = Pseudonym([0; 16]);

/// First half of a leaf hash: to name another entry with the same half takes 2^128 tries, and half the memory does.
pub(super) type Half = [u8; 16];

pub(super) fn half(leaf: &Digest) -> Half {
    let mut out = [0; 16];
    out.copy_from_slice(&leaf.0[..16]);
    out
}

/// Chains and open intents after the entries that a checkpoint covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The checkpoint's note.
    pub note: Vec<u8>,
    pub(super) last_ts: i64,
    pub(super) pseudonyms: Option<Pseudonym>,
    pub(super) cases: FastMap<Pseudonym, (u32, Half, u64)>,
    pub(super) intents: FastMap<Digest, (u64, i64)>,
}

impl State {
    /// The bytes to keep; the same state gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(self.note.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.note);
        out.extend_from_slice(&self.last_ts.to_le_bytes());
        out.extend_from_slice(&self.pseudonyms.unwrap_or(UNKNOWN).0);
        let mut cases: Vec<_> = self.cases.iter().collect();
        cases.sort_unstable();
        out.extend_from_slice(&(cases.len() as u64).to_le_bytes());
        for (case, (seq, leaf, index)) in cases {
            out.extend_from_slice(&case.0);
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(leaf);
            out.extend_from_slice(&index.to_le_bytes());
        }
        let mut intents: Vec<_> = self.intents.iter().collect();
        intents.sort_unstable();
        out.extend_from_slice(&(intents.len() as u64).to_le_bytes());
        for (leaf, (index, ts)) in intents {
            out.extend_from_slice(&leaf.0);
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(&ts.to_le_bytes());
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(&digest.0);
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_last_chunk::<32>()?;
        let rest = body.strip_prefix(MAGIC)?;
        if Digest::of(body).0 != *digest {
            return None;
        }
        let mut rest = Rest(rest);
        let len = u32::from_le_bytes(rest.take()?) as usize;
        let (note, tail) = rest.0.split_at_checked(len).filter(|_| len <= MAX_NOTE)?;
        rest.0 = tail;
        let last_ts = i64::from_le_bytes(rest.take()?);
        let pseudonyms = Some(Pseudonym(rest.take()?)).filter(|print| *print != UNKNOWN);
        let mut state = Self { note: note.to_vec(), last_ts, pseudonyms, ..Self::default() };
        for _ in 0..u64::from_le_bytes(rest.take()?) {
            let (case, seq) = (Pseudonym(rest.take()?), u32::from_le_bytes(rest.take()?));
            state.cases.insert(case, (seq, rest.take()?, u64::from_le_bytes(rest.take()?)));
        }
        for _ in 0..u64::from_le_bytes(rest.take()?) {
            let leaf = Digest(rest.take()?);
            state.intents.insert(leaf, (u64::from_le_bytes(rest.take()?), i64::from_le_bytes(rest.take()?)));
        }
        rest.0.is_empty().then_some(state)
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_state_reads_as_it_was_kept(
            note: Vec<u8>,
            last_ts: i64,
            print: Option<[u8; 16]>,
            cases: Vec<([u8; 16], u32, [u8; 16], u64)>,
            intents: Vec<([u8; 32], u64, i64)>,
            flip: usize,
        ) {
            let state = State {
                note,
                last_ts,
                pseudonyms: print.map(Pseudonym).filter(|print| *print != UNKNOWN),
                cases: cases.into_iter().map(|(c, s, l, i)| (Pseudonym(c), (s, l, i))).collect(),
                intents: intents.into_iter().map(|(l, i, t)| (Digest(l), (i, t))).collect(),
            };
            let mut bytes = state.encode();
            prop_assert_eq!(State::decode(&bytes), Some(state));
            let at = flip % bytes.len();
            bytes[at] ^= 1;
            prop_assert_eq!(State::decode(&bytes), None);
        }
    }
}
