//! The evidence of one case, in one sealed file that is checked without any network (ASiC-E).
//!
//! ```text
//!  manifest.json                          what is here, and how it hangs together
//!  logs/0/checkpoint                      our log, with the cosignatures of its witnesses
//!  logs/0/entries/000000000042.json       the entries of the case, byte for byte
//!  logs/0/proofs/000000000042.tlog-proof  that each is in the log
//!  logs/0/anchor                          the first time-stamp over the log that covers the case
//!  logs/1/…                               the same of a replica's log: one case may have entries in each
//!  logs/2/…                               the entries of the peer's log that ours name
//!  policy/<version>/…  policy/asked/…     the rules that decided, and what they were asked
//!  trust/<SHA-256>                        what licences were judged by as of then
//!  keys/<case>.json                       what opens the sealed parts of the entries
//!  documents/…  certificates/…            papers and containers of the case; who sealed them
//! ```
//! An inclusion proof cannot show that nothing was left out. Three things do: the chain of the case (`seq`, `prev`)
//! for its middle, the [`index`] entry for its end, and the peer's receipts for the other side.
//! The same log, case and checkpoint give the same bytes.

pub mod index;

mod again;
mod behind;
mod chain;
mod check;
mod gather;
mod heads;
mod own;
mod papers;

#[cfg(test)]
mod tests;

use std::io;

use serde::{Deserialize, Serialize};

use super::Pseudonym;
use super::checkpoint::CheckpointError;
use super::verify::SparseError;
use crate::terms::Digest;

pub use again::{Again, Examined, ReadFile, examined};
pub use behind::certificate_path;
pub use check::{Auditor, Judged, verify};
pub use gather::{Half, gather, mapped_size, named_by_peers};
pub use heads::OtherHead;
pub use index::Shown;

/// Version of the manifest.
pub const VERSION: u32 = 1;
pub const MANIFEST: &str = "manifest.json";
/// Most entries that a bundle holds, each in two files: a verifier opens no container of more than 20,000.
pub const MAX_ENTRIES: usize = 9_500;

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub v: u32,
    /// Pseudonym of the case in the log of [`Manifest::logs`]`[0]`.
    pub case: String,
    /// Its number, where the exporter knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_no: Option<String>,
    /// Ours first, then those of replicas, then peers'. Which are which the `index` entry of ours says.
    pub logs: Vec<LogPart>,
    /// Paths of the rules that decided, each set under its version, and of the questions they were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Paths of what licences were judged by: anchors, certificates, revocation lists and answers as of then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust: Vec<String>,
    /// Paths of log keys: what opens the sealed parts of the entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    pub documents: Vec<DocumentPart>,
    pub certificates: Vec<String>,
}

/// Entries of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    pub origin: String,
    /// Verifier key as the exporter knows it; whoever checks brings their own.
    pub key: String,
    pub size: u64,
    pub entries: Vec<u64>,
    /// Of our own logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexPart>,
    /// The first time-stamp over the log that covers the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<OtherHead>,
    /// What the maps of other replicas name of this log: its heads as of then, by size, without the bundle's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<OtherHead>,
}

/// Where the case stands in the map of an `index` entry: its last entry as of then, or that it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexPart {
    /// The `index` entry.
    pub entry: u64,
    pub shown: Vec<Shown>,
}

/// A file of the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentPart {
    /// Path in the bundle.
    pub path: String,
    pub media: String,
    pub digest: Digest,
    pub size: u64,
}

/// Why no bundle can be made.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("reading {file}: {source}")]
    Read { file: String, source: io::Error },
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}: not a bundle of entries")]
    Damaged(String),
    #[error("the log has no entry of this case")]
    NoCase,
    #[error(
        "entries below {0} are not kept here, and the case may have some of them: export from the archive or a mirror (--from)"
    )]
    Pruned(u64),
    #[error(
        "the case has more than {MAX_ENTRIES} entries: no bundle holds them; the whole log does (audit mirror, search --case)"
    )]
    TooMany,
    #[error("entry {0}: the hashes on disk do not lead to the signed root")]
    Proof(u64),
    #[error("the log's tiles: {0}")]
    Tiles(#[from] SparseError),
}

/// Path of an entry.
pub fn entry_path(log: usize, index: u64) -> String {
    format!("logs/{log}/entries/{index:012}.json")
}

/// Path of its proof.
pub fn proof_path(log: usize, index: u64) -> String {
    format!("logs/{log}/proofs/{index:012}.tlog-proof")
}

/// Path of the time-stamp over a log of ours.
pub fn anchor_path(log: usize) -> String {
    format!("logs/{log}/anchor")
}

/// Path of a file of the rules that decided.
pub fn policy_path(version: Digest, file: &str) -> String {
    format!("policy/{version}/{file}")
}

/// Path of a question that was asked of them.
pub fn asked_path(digest: Digest) -> String {
    format!("policy/asked/{digest}.json")
}

/// Path of what a licence was judged by, or of a part of it.
pub fn trust_path(digest: Digest) -> String {
    format!("trust/{digest}")
}

/// Path of a case's log key.
pub fn key_path(case: &Pseudonym) -> String {
    format!("keys/{case}.json")
}

/// Path of a log's checkpoint.
pub fn checkpoint_path(log: usize) -> String {
    format!("logs/{log}/checkpoint")
}
