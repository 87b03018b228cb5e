//! Past decisions under a new set: what would change?

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::set::PolicySet;
use crate::terms::json::canonical;
use crate::terms::{Digest, UnixMillis};

/// Digest of a question over its canonical JSON (RFC 8785): what a line of the log names.
pub fn digest(ask: &Ask) -> Digest {
    // Fails for maps with odd keys and floats only; an ask has none.
    canonical(ask).map_or_else(|_| Digest::of(b""), |text| Digest::of(&text))
}

/// A question as it was kept.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: UnixMillis,
    pub ask: Ask,
    /// As it was asked, canonical: a program that knows more of such questions would write it otherwise, under another digest.
    pub text: Vec<u8>,
}

impl Asked {
    /// What the line of the log names.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.text)
    }

    fn read(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Line {
            at: UnixMillis,
            ask: serde_json::Value,
        }
        let Line { at, ask } = serde_json::from_str(line).ok()?;
        let text = canonical(&ask).ok()?;
        Some(Self { at, ask: serde_json::from_value(ask).ok()?, text })
    }
}

/// One line of a file of questions, with its end.
pub fn line(ask: &Ask, at: UnixMillis) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        at: UnixMillis,
        ask: &'a Ask,
    }
    serde_json::to_string(&Line { at, ask }).unwrap_or_default() + "\n"
}

/// Reads a file of questions. A last line that a crash cut off is passed over.
///
/// # Errors
/// The number of a line that is none, from 1.
pub fn read(text: &str) -> Result<Vec<Asked>, usize> {
    let mut all = Vec::new();
    for (n, line) in text.split_inclusive('\n').enumerate() {
        match Asked::read(line) {
            Some(asked) => all.push(asked),
            None if !line.ends_with('\n') => {}
            None => return Err(n + 1),
        }
    }
    Ok(all)
}

/// What a line of the log says of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub at: UnixMillis,
    /// Digest of the question.
    pub asked: Digest,
    /// Version of the set that decided.
    pub version: Digest,
    pub permitted: bool,
    /// Rules that spoke, the deciding one first.
    pub rules: Vec<String>,
}

impl Logged {
    /// Reads an entry of the log; `None` for one that records no decision of the rules.
    pub fn read(entry: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Entry {
            ts: i64,
            dec: Option<Decision>,
        }
        #[derive(Deserialize)]
        struct Decision {
            ask: Option<Digest>,
            policy: Option<Digest>,
            verdict: Option<String>,
            #[serde(default)]
            rules: Vec<String>,
        }
        let entry: Entry = serde_json::from_slice(entry).ok()?;
        let dec = entry.dec?;
        let permitted = match dec.verdict.as_deref() {
            Some("allow") => true,
            Some("deny") => false,
            _ => return None,
        };
        Some(Self { at: UnixMillis(entry.ts), asked: dec.ask?, version: dec.policy?, permitted, rules: dec.rules })
    }

    /// The decision with its question.
    pub fn with(self, ask: Ask) -> Recorded {
        let Self { at, version, permitted, rules, .. } = self;
        Recorded { at, ask, permitted, rules, version }
    }
}

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
