//! Checks a log offline and trusts nobody: not the gateway, not its folder, not its tiles.
//!
//! ```text
//!  folder of a stopped gateway ─┐                             ┌─ integrity     ┐
//!  folder of tiles, URL (Fetch) ├─▶ entries in order ─▶ Judge ─┼─ append_only   │ each proven,
//!  pinned key, policy ──────────┤                             ├─ witnessed     │ disproven,
//!  old checkpoints ─────────────┘                             ├─ complete      │ undecided or
//!                                                             └─ content …     ┘ not asked
//! ```

mod clocks;
mod commercial;
mod folder;
mod judge;
mod peers;
mod pinned;
mod pruned;
mod report;
mod sample;
mod segments;
mod set;
mod shown;
mod sparse;
mod state;
mod tree;

#[cfg(test)]
mod tests;

use std::path::Path;

pub(in crate::audit) use clocks::Clocks;
pub use peers::Peer;
pub use pinned::Pinned;
pub(in crate::audit) use pinned::witnessed;
pub use report::{Fault, Pruned, Question, Report, Verdict};
pub use segments::SegmentFolder;
pub use set::{Member, SetReport, Sets, disagreements, verify_set};
pub use sparse::{Sparse, SparseError};
pub use state::State;
pub(in crate::audit) use tree::optional;
pub use tree::{Fetch, MAX_RESOURCE, PART, TileFolder, claimed_minimum, read_bundle};

use super::checkpoint::{self, CheckpointError, SignedCheckpoint};
use super::entry::CaseKeys;
use super::gm::GmKey;
use super::note::VerifierKey;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;

/// What a reader is told where no pinned key signed.
pub const ANOTHER_KEY: &str =
    "公钥是否已更换？向网关索取新旧公钥 · has the log changed its key? then its operator has the old and the new one";

/// Hears how many entries have been judged, and how many there are as far as is known.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Leaves of maps hashed without being asked: minutes, for years of daily maps of a county, or a year of a large city's.
const MAX_MAP_WORK: u64 = 1_000_000_000;

/// What the verifier brings along; nothing is taken from the log that is judged.
#[derive(Clone, Debug)]
pub struct Options {
    pub key: VerifierKey,
    /// Other keys of the same log, before and after it changed: for older checkpoints and time-stamps.
    pub other_keys: Vec<VerifierKey>,
    /// Origin of the log when it is not the name of its key.
    pub origin: Option<String>,
    pub policy: Option<Pinned>,
    /// For the policy's limits of age; without it they are not asked about.
    pub now: Option<UnixMillis>,
    /// Authorities trusted for time-stamps; without them nothing is asked about time.
    pub time_authorities: Vec<Certificate>,
    /// The log's SM2 keys, now and before; without them nothing is asked about commercial cryptography.
    pub gm: Vec<GmKey>,
    /// Logs of peers at hand; receipts of other peers are counted only.
    pub peers: Vec<Peer>,
    /// Anchors at hand, besides the one that the log itself shows.
    pub anchors: Vec<Vec<u8>>,
    /// Older checkpoints at hand, signed notes.
    pub old: Vec<Vec<u8>>,
    /// `false` for logs of other systems: entries are bytes then, and chains are not asked about.
    pub entries_are_ours: bool,
    /// Cases followed at most, about 60 bytes each; more make `complete` undecided.
    pub max_cases: usize,
    /// A signed checkpoint whose entries were verified before: they are not read again where tiles allow it.
    pub since: Option<Vec<u8>>,
    /// What the verification up to `since` remembers of chains and intents.
    pub state: Option<State>,
    /// Whether [`Report::state`] is wanted.
    pub keep_state: bool,
    /// Leaves hashed at most for the daily maps of cases; more make `complete` undecided.
    pub max_map_work: u64,
    /// Log keys of cases: their sealed parts must open.
    pub case_keys: CaseKeys,
    /// Reads only so many entries, drawn with the seed.
    pub sample: Option<(u64, [u8; 32])>,
}

impl Options {
    pub fn new(key: VerifierKey) -> Self {
        Self {
            key,
            other_keys: Vec::new(),
            origin: None,
            policy: None,
            now: None,
            time_authorities: Vec::new(),
            gm: Vec::new(),
            peers: Vec::new(),
            anchors: Vec::new(),
            old: Vec::new(),
            entries_are_ours: true,
            max_cases: 4_000_000,
            since: None,
            state: None,
            keep_state: false,
            max_map_work: MAX_MAP_WORK,
            case_keys: CaseKeys::default(),
            sample: None,
        }
    }

    /// Opens a checkpoint of the log, under whichever of its keys signed it.
    fn open(&self, note: &[u8]) -> Result<SignedCheckpoint, CheckpointError> {
        let keys = std::iter::once(&self.key).chain(&self.other_keys);
        checkpoint::open_any(note, keys, self.origin.as_deref()).map(|(_, signed)| signed)
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
