//! Checks a log offline and trusts nobody: not the gateway, not its folder, not its tiles.
//!
//! ```text
//!  folder of a stopped gateway ─┐                             ┌─ integrity     ┐
//!  folder of tiles, URL (Fetch) ├─▶ entries in order ─▶ Judge ─┼─ append_only   │ each proven,
//!  pinned key, policy ──────────┤                             ├─ witnessed     │ disproven,
//!  old checkpoints ─────────────┘                             ├─ complete      │ undecided or
//!                                                             └─ content …     ┘ not asked
//! ```

mod folder;
mod judge;
mod report;
mod sparse;
mod tree;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use report::{Fault, Question, Report, Verdict};
pub use sparse::{Sparse, SparseError};
pub use tree::{Fetch, TileFolder};

use super::note::VerifierKey;
use super::witness_policy::WitnessPolicy;

/// Hears how many entries have been judged.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// What the verifier brings along; nothing is taken from the log that is judged.
#[derive(Clone, Debug)]
pub struct Options {
    pub key: VerifierKey,
    /// Origin of the log when it is not the name of its key.
    pub origin: Option<String>,
    pub policy: Option<WitnessPolicy>,
    /// Older checkpoints at hand, signed notes.
    pub old: Vec<Vec<u8>>,
    /// `false` for logs of other systems: entries are bytes then, and chains are not asked about.
    pub entries_are_ours: bool,
    /// Cases followed at most, about 100 bytes each; more make `complete` undecided.
    pub max_cases: usize,
}

impl Options {
    pub fn new(key: VerifierKey) -> Self {
        Self { key, origin: None, policy: None, old: Vec::new(), entries_are_ours: true, max_cases: 4_000_000 }
    }

    fn origin(&self) -> &str {
        self.origin.as_deref().unwrap_or(self.key.name())
    }
}

/// Verifies a folder: the data folder of a stopped gateway, or a log in tlog-tiles layout.
pub fn verify(dir: &Path, options: &Options, progress: Progress<'_>) -> Report {
    if dir.join("segments").is_dir() {
        folder::verify(dir, options, progress)
    } else {
        tree::verify(&TileFolder(dir.to_owned()), options, progress)
    }
}

/// Verifies a log in tlog-tiles layout behind any [`Fetch`].
pub fn verify_tree(fetch: &dyn Fetch, options: &Options, progress: Progress<'_>) -> Report {
    tree::verify(fetch, options, progress)
}
