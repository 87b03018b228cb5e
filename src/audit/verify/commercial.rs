//! Commercial cryptography (商用密码): SM2 lines on checkpoints, and SM3 roots over the same entries.

use super::judge::{Judge, Place};
use super::report::{Question, Verdict};
use crate::audit::checkpoint::SignedCheckpoint;
use crate::audit::gm::{GmRoot, Sm3Tree};
use crate::audit::note::Note;

/// Roots computed again at most: decades of daily ones.
const MAX_ROOTS: u64 = 100_000;

/// The SM3 tree beside the log's own, while it can be followed.
#[derive(Debug, Default)]
pub struct Commercial {
    tree: Option<Sm3Tree>,
    roots: u64,
}

impl Commercial {
    pub fn asked(asked: bool) -> Self {
        Self { tree: asked.then(Sm3Tree::default), roots: 0 }
    }

    pub fn push(&mut self, entry: &[u8]) {
        if let Some(tree) = &mut self.tree {
            tree.push(entry);
        }
    }
}

impl Judge<'_> {
    /// The SM2 line of the log's own checkpoint.
    pub(super) fn gm_line(&mut self, signed: &SignedCheckpoint) {
        let keys = &self.options.gm;
        if keys.is_empty() {
            return;
        }
        let Ok(note) = Note::parse(signed.note().as_bytes()) else { return }; // it was read already
        let lines: Vec<bool> = keys.iter().filter_map(|key| key.signed(&note)).collect();
        let fault = |judge: &mut Self, verdict, what| {
            judge.fault(Question::Commercial, verdict, "checkpoint", None, what);
        };
        match () {
            () if lines.contains(&false) => fault(self, Verdict::Disproven, "the SM2 signature does not verify"),
            () if lines.is_empty() => fault(self, Verdict::Undecided, "no signature of the SM2 key that was given"),
            () => self.report.answer(Question::Commercial, Verdict::Proven),
        }
    }

    /// Not all entries are read from the first on: SM3 roots cannot be computed.
    pub(super) fn gm_unread(&mut self, file: &str) {
        if self.commercial.tree.take().is_some() {
            let what = "SM3 roots are computed from all entries, and not all are read here";
            self.fault(Question::Commercial, Verdict::Undecided, file, None, what);
        }
    }

    /// A `gm.root` entry: signed, and the root of the entries before it.
    pub(super) fn gm_root(&mut self, bytes: &[u8], index: u64, place: Place<'_>) {
        let Some(tree) = &self.commercial.tree else { return };
        let fault = |judge: &mut Self, verdict, what| {
            judge.fault_at(Question::Commercial, verdict, place, Some(index), what);
        };
        self.commercial.roots += 1;
        let Some(root) = GmRoot::read(bytes) else {
            return fault(self, Verdict::Disproven, "a root without its facts");
        };
        match root.signed_by(&self.options.gm) {
            None => return fault(self, Verdict::Undecided, "a root of an SM2 key that was not given"),
            Some(false) => return fault(self, Verdict::Disproven, "the SM2 signature of the root does not verify"),
            Some(true) => {}
        }
        match tree.root(root.size) {
            _ if root.size > index => fault(self, Verdict::Disproven, "a root over entries that come after it"),
            _ if self.commercial.roots > MAX_ROOTS => fault(self, Verdict::Undecided, "too many roots to compute"),
            None => fault(self, Verdict::Undecided, "a root over entries too far back"),
            Some(computed) if computed != root.root => {
                fault(self, Verdict::Disproven, "not the SM3 root of the entries before it");
            }
            Some(_) => self.report.gm_root = self.report.gm_root.max(Some(root.size)),
        }
    }
}
