//! Floor 3: the log that strangers can check. A C2SP tlog-tiles log inside the gateway.
//!
//! ```text
//!  Entry ──encode──▶ queue ──▶ writer: segment file, one fdatasync a batch ──▶ Committed { index, leaf }
//!                                 │                                              (only now may the answer leave)
//!                                 ▼
//!                              level files ──▶ publisher, each second: sign, store, serve
//!                                                 │
//!      auditor ◀── checkpoint · tile/… · tile/entries/… · tlog-proof ◀──┘        verify: trusts nobody
//! ```
//!
//! Main types: [`log::Log`], [`entry::Entry`], [`verify::verify`].

pub mod anchor;
pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod error;
pub mod evidence;
pub mod gm;
pub mod log;
pub mod logset;
pub mod merkle;
pub mod mirror;
pub mod note;
pub mod plain;
pub mod proof;
pub mod retention;
pub mod search;
pub mod tile;
pub mod verify;
pub mod witness;
pub mod witness_policy;

#[cfg(test)]
mod adversary;
#[cfg(test)]
mod vectors;

pub use entry::{Entry, Kind, Pseudonym, Pseudonymiser, Word};
pub use error::AuditError;
pub use log::{Committed, Log, OpenOptions};

use std::collections::HashMap;

use crate::terms::Told;

/// By pseudonym or leaf hash, in the writer and the verifier. Keyed: the log being judged may be an attacker's.
type FastMap<K, V> = HashMap<K, V, foldhash::quality::RandomState>;

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    error::TOLDS.to_vec()
}
