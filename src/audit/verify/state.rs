//! What a finished verification remembers, so that the next one begins where it ended.
//!
//! ```text
//!  "TBVERIFY3\n" · length of the checkpoint 4 · checkpoint · last time 8
//!  · which key made the pseudonyms 16 (zeros: not known)
//!  · time of the newest time-stamp that an entry names 8 (the least: none)
//!  · length of the newest log set 4 (0: none) · it: index 8, time 8, and a line "VKEY SIZE ROOT" for each log
//!  · number of cases 8 · (case 16 · seq 4 · leaf 16 · index 8) …    the last entry of each case
//!  · number of intents 8 · (leaf 32 · index 8 · time 8) … those still open
//!  · SHA-256 of everything before 32
//! ```
//! Integers are little-endian. "TBVERIFY2\n", of a version before, has neither time-stamp nor set. The file is the auditor's own: the
//! digest guards against accidents, not against people.

use crate::audit::FastMap;
use crate::audit::Pseudonym;
use crate::audit::logset::{Head, LogSet};
use crate::audit::note::MAX_NOTE;
use crate::terms::Digest;

const MAGIC: &[u8; 10] = b"TBVERIFY3\n";
const BEFORE: &[u8; 10] = b"TBVERIFY2\n";

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
    pub(super) stamped: Option<i64>,
    /// Index, time, and what it lists.
    pub(super) set: Option<(u64, i64, LogSet)>,
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
        out.extend_from_slice(&self.stamped.unwrap_or(i64::MIN).to_le_bytes());
        let set = self.set.as_ref().map_or(Vec::new(), |(index, ts, set)| {
            let heads = set.heads().iter().map(|head| format!("{} {} {}\n", head.key, head.size, head.root));
            [&index.to_le_bytes()[..], &ts.to_le_bytes(), heads.collect::<String>().as_bytes()].concat()
        });
        out.extend_from_slice(&(set.len() as u32).to_le_bytes());
        out.extend_from_slice(&set);
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
        let (rest, is_before) = match body.strip_prefix(MAGIC) {
            Some(rest) => (rest, false),
            None => (body.strip_prefix(BEFORE)?, true),
        };
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
        if !is_before {
            state.stamped = Some(i64::from_le_bytes(rest.take()?)).filter(|at| *at != i64::MIN);
            let len = u32::from_le_bytes(rest.take()?) as usize;
            let (set, tail) = rest.0.split_at_checked(len)?;
            rest.0 = tail;
            state.set = if set.is_empty() { None } else { Some(set_of(set)?) };
        }
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

fn set_of(bytes: &[u8]) -> Option<(u64, i64, LogSet)> {
    let mut rest = Rest(bytes);
    let (index, ts) = (u64::from_le_bytes(rest.take()?), i64::from_le_bytes(rest.take()?));
    let head = |line: &str| {
        let mut words = line.split(' ');
        let (key, size, root) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Head { key, size, root })
    };
    let heads = std::str::from_utf8(rest.0).ok()?.lines().map(head).collect::<Option<_>>()?;
    Some((index, ts, LogSet::new(heads)?))
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
    use crate::audit::note::{KeyKind, Signer};
    use proptest::prelude::*;

    fn head(origin: &str, size: u64) -> Head {
        let key = Signer::from_seed(origin, &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
        Head { key, size, root: Digest::of(&size.to_be_bytes()) }
    }

    /// As a version of before kept it.
    #[test]
    fn a_state_without_time_stamp_and_set_is_read() {
        let mut before = BEFORE.to_vec();
        before.extend_from_slice(&[&[1, 0, 0, 0, b'n'][..], &9i64.to_le_bytes(), &[3; 16], &[0; 16]].concat());
        let digest = Digest::of(&before);
        before.extend_from_slice(&digest.0);
        let want = State { note: b"n".to_vec(), last_ts: 9, pseudonyms: Some(Pseudonym([3; 16])), ..State::default() };
        assert_eq!(State::decode(&before), Some(want));
    }

    proptest! {
        #[test]
        fn a_state_reads_as_it_was_kept(
            note: Vec<u8>,
            last_ts: i64,
            print: Option<[u8; 16]>,
            stamped: Option<i64>,
            set: Option<(u64, i64, u64)>,
            cases: Vec<([u8; 16], u32, [u8; 16], u64)>,
            intents: Vec<([u8; 32], u64, i64)>,
            flip: usize,
        ) {
            let state = State {
                note,
                last_ts,
                pseudonyms: print.map(Pseudonym).filter(|print| *print != UNKNOWN),
                stamped: stamped.filter(|at| *at != i64::MIN),
                set: set.map(|(index, ts, size)| (index, ts, LogSet::new(vec![head("gw/1", size), head("gw/2", 7)]).unwrap())),
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
