//! Case chains: the next `seq` and `prev` of every case, and the intents that nobody has closed yet.

use crate::audit::FastMap;
use crate::audit::entry::{CaseLink, Pseudonym};
use crate::audit::evidence::index;
use crate::terms::Digest;

/// The last entry of each case: rebuilt when the log is opened, kept by the writer. About 45 bytes a case.
#[derive(Debug, Default)]
pub struct CaseChain {
    last: FastMap<Pseudonym, Last>,
    /// Intents by leaf hash.
    open: FastMap<Digest, u64>,
    /// Of the batch being written: not yet durable.
    pending: FastMap<Pseudonym, (Last, Digest)>,
    pending_open: Vec<(Digest, u64)>,
    pending_closed: Vec<Digest>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    seq: u32,
    index: u64,
}

/// Where the next entry of a case hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The case's first entry.
    Nothing,
    /// The entry before is in the batch being written.
    Leaf(Digest),
    /// The entry before is in the log; its leaf hash is in level file 0.
    Index(u64),
}

impl CaseChain {
    /// As they were kept: the last entry of every case, the open intents.
    pub fn restored(cases: &[index::Last], open: &[(u64, Digest)]) -> Self {
        let last = cases.iter().map(|last| (last.case, Last { seq: last.seq, index: last.index }));
        let open = open.iter().map(|(index, leaf)| (*leaf, *index));
        Self { last: last.collect(), open: open.collect(), ..Self::default() }
    }

    /// `seq` of the case's next entry and the entry before it.
    pub fn next(&self, case: &Pseudonym) -> (u32, Before) {
        match (self.pending.get(case), self.last.get(case)) {
            (Some((last, leaf)), _) => (last.seq.saturating_add(1), Before::Leaf(*leaf)),
            (None, Some(last)) => (last.seq.saturating_add(1), Before::Index(last.index)),
            (None, None) => (1, Before::Nothing),
        }
    }

    pub fn add(&mut self, case: Pseudonym, seq: u32, index: u64, leaf: Digest) {
        self.pending.insert(case, (Last { seq, index }, leaf));
    }

    /// As [`Self::add`], from an entry that was read.
    pub fn add_link(&mut self, link: &CaseLink, index: u64, leaf: Digest) {
        self.add(link.id, link.seq, index, leaf);
    }

    pub fn open_intent(&mut self, leaf: Digest, index: u64) {
        self.pending_open.push((leaf, index));
    }

    pub fn close_intent(&mut self, leaf: Digest) {
        self.pending_closed.push(leaf);
    }

    /// The last durable entry of every case.
    pub fn lasts(&self) -> Vec<index::Last> {
        let all = self.last.iter();
        all.map(|(case, last)| index::Last { case: *case, seq: last.seq, index: last.index }).collect()
    }

    /// The batch is durable.
    pub fn keep(&mut self) {
        for (case, (last, _)) in self.pending.drain() {
            self.last.insert(case, last);
        }
        self.open.extend(self.pending_open.drain(..));
        for leaf in self.pending_closed.drain(..) {
            self.open.remove(&leaf);
        }
    }

    /// The batch was not written.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.pending_open.clear();
        self.pending_closed.clear();
    }

    /// Intents that no entry closed, oldest first.
    pub fn unanswered(&self) -> Vec<(u64, Digest)> {
        let mut open: Vec<(u64, Digest)> = self.open.iter().map(|(leaf, index)| (*index, *leaf)).collect();
        open.sort_unstable();
        open
    }
}
