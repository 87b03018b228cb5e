//! Past decisions under a new set: what would change?

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::set::PolicySet;
use crate::terms::{Digest, UnixMillis};

/// A decision as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub at: UnixMillis,
    pub ask: Ask,
    pub permitted: bool,
    /// Rules that spoke, the deciding one first; empty when no rule permitted.
    pub rules: Vec<String>,
    /// Version of the set that decided.
    pub version: Digest,
}

impl Recorded {
    /// Decides and keeps what came out.
    pub fn of(set: &PolicySet, ask: &Ask, at: UnixMillis) -> Self {
        let (permitted, rules) = match set.decide(ask, at) {
            Ok(permit) => (true, permit.rules().to_vec()),
            Err(denial) => (false, denial.rules().to_vec()),
        };
        let rules = rules.iter().map(ToString::to_string).collect();
        Self { at, ask: ask.clone(), permitted, rules, version: set.version() }
    }
}

/// How one decision would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// What was permitted would be denied.
    NowDenied,
    /// What was denied would be permitted: look at these first.
    NowPermitted,
    /// The same verdict for other reasons.
    OtherRules,
}

#[derive(Clone, Debug)]
pub struct Change {
    /// Place in the records, from 0.
    pub index: usize,
    pub turn: Turn,
    pub was: Vec<String>,
    pub would_be: Vec<String>,
}

/// What would change, in the order of the records; unchanged ones are only counted.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    pub changes: Vec<Change>,
    pub unchanged: usize,
}

/// Decides each record again under `set`.
pub fn replay<'a>(records: impl IntoIterator<Item = &'a Recorded>, set: &PolicySet) -> Replay {
    let mut out = Replay::default();
    for (index, record) in records.into_iter().enumerate() {
        let again = match set.evaluate(&record.ask, record.at) {
            Ok(permit) => (true, permit.rules().to_vec()),
            Err(denial) => (false, denial.rules().to_vec()),
        };
        let would_be: Vec<String> = again.1.iter().map(ToString::to_string).collect();
        let turn = match (record.permitted, again.0) {
            (true, false) => Turn::NowDenied,
            (false, true) => Turn::NowPermitted,
            _ if would_be != record.rules => Turn::OtherRules,
            _ => {
                out.unchanged += 1;
                continue;
            }
        };
        out.changes.push(Change { index, turn, was: record.rules.clone(), would_be });
    }
    out
}
