//! Entries as a verifier reads them: only what its checks need, borrowed from the stored bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use super::word::unhex;
use super::{Kind, Pseudonym, VERSION};
use crate::terms::Digest;

/// What the checks of a verifier need to know of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHead {
    pub kind: Kind,
    /// Unix milliseconds.
    pub ts: i64,
    pub case: Option<CaseLink>,
    /// Leaf hash of the intent that this entry closes.
    pub of: Option<Digest>,
    /// The peer's receipt.
    pub receipt: Option<Receipt>,
}

/// The leaf in a peer's log that mirrors an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub origin: String,
    pub index: u64,
    pub leaf: Digest,
}

/// An entry's place in the chain of its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseLink {
    pub id: Pseudonym,
    /// 1 for the first entry of the case.
    pub seq: u32,
    /// Leaf hash of the entry before.
    pub prev: Option<Digest>,
}

/// Why an entry cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// JSON, but of another version, kind, or with members this version does not know.
    #[error("an entry of an unknown kind, version or with unknown members")]
    Unknown,
    #[error("not an entry: {0}")]
    Malformed(&'static str),
}

/// `N` bytes in hexadecimal; `None` inside when it is another text.
struct Hex<const N: usize>(Option<[u8; N]>);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const N: usize>;
        impl<const N: usize> Visitor<'_> for Text<N> {
            type Value = Hex<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Hex<N>, E> {
                Ok(Hex(unhex(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    ts: i64,
    nonce: Hex<32>,
    of: Option<Hex<32>>,
    case: Option<RawCase>,
    #[serde(borrow)]
    up: Option<RawUp<'a>>,
    #[serde(rename = "node")]
    _node: Option<IgnoredAny>,
    #[serde(rename = "trace")]
    _trace: Option<IgnoredAny>,
    #[serde(rename = "actor")]
    _actor: Option<IgnoredAny>,
    #[serde(rename = "behalf")]
    _behalf: Option<IgnoredAny>,
    #[serde(rename = "subj")]
    _subj: Option<IgnoredAny>,
    #[serde(rename = "why")]
    _why: Option<IgnoredAny>,
    #[serde(rename = "item")]
    _item: Option<IgnoredAny>,
    #[serde(rename = "jur")]
    _jur: Option<IgnoredAny>,
    #[serde(rename = "req")]
    _req: Option<IgnoredAny>,
    #[serde(rename = "dec")]
    _dec: Option<IgnoredAny>,
    #[serde(rename = "ev")]
    _ev: Option<IgnoredAny>,
    #[serde(rename = "out")]
    _out: Option<IgnoredAny>,
    #[serde(rename = "enc")]
    _enc: Option<IgnoredAny>,
    #[serde(rename = "facts")]
    _facts: Option<IgnoredAny>,
    #[serde(rename = "set")]
    _set: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: Hex<16>,
    seq: u32,
    prev: Option<Hex<32>>,
}

#[derive(Deserialize)]
struct RawUp<'a> {
    #[serde(borrow)]
    receipt: Option<RawReceipt<'a>>,
}

#[derive(Deserialize)]
struct RawReceipt<'a> {
    #[serde(borrow)]
    origin: Option<Cow<'a, str>>,
    index: Option<u64>,
    leaf: Option<Hex<32>>,
}

impl EntryHead {
    /// Reads an entry as stored.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unjudged> {
        use Unjudged::Malformed;
        let Ok(raw) = serde_json::from_slice::<Raw<'_>>(bytes) else {
            // Any JSON object might be an entry of a later version; what is not even that is none.
            return Err(match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes) {
                Ok(map) if map.contains_key("v") => Unjudged::Unknown,
                _ => Malformed("not a JSON object with a version"),
            });
        };
        let Ok(kind) = raw.kind.parse::<Kind>() else { return Err(Unjudged::Unknown) };
        if raw.v != VERSION {
            return Err(Unjudged::Unknown);
        }
        raw.nonce.0.ok_or(Malformed("nonce"))?;
        let case = match raw.case {
            None => None,
            Some(case) => {
                let id = case.id.0.map(Pseudonym).ok_or(Malformed("case.id"))?;
                let prev = match case.prev {
                    None => None,
                    Some(hex) => Some(hex.0.map(Digest).ok_or(Malformed("case.prev"))?),
                };
                Some(CaseLink { id, seq: case.seq, prev })
            }
        };
        let of = match raw.of {
            None => None,
            Some(hex) => Some(hex.0.map(Digest).ok_or(Malformed("of"))?),
        };
        let receipt = match raw.up.and_then(|up| up.receipt) {
            None => None,
            Some(RawReceipt { origin: Some(origin), index: Some(index), leaf: Some(leaf) }) => {
                let leaf = leaf.0.map(Digest).ok_or(Malformed("up.receipt.leaf"))?;
                Some(Receipt { origin: origin.into_owned(), index, leaf })
            }
            Some(_) => return Err(Malformed("up.receipt")),
        };
        Ok(Self { kind, ts: raw.ts, case, of, receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_known_is_not_judged() {
        let nonce = "0".repeat(64);
        for (text, want) in [
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), None),
            (format!(r#"{{"kind":"later","nonce":"{nonce}","ts":1,"v":1}}"#), Some(Unjudged::Unknown)),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":2}}"#), Some(Unjudged::Unknown)),
            (format!(r#"{{"kind":"deny","new":1,"nonce":"{nonce}","ts":1,"v":1}}"#), Some(Unjudged::Unknown)),
            (r#"{"kind":"deny","nonce":"00","ts":1,"v":1}"#.into(), Some(Unjudged::Malformed("nonce"))),
            ("hello".into(), Some(Unjudged::Malformed("not a JSON object with a version"))),
        ] {
            assert_eq!(EntryHead::parse(text.as_bytes()).err(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in r#"[{}\[\]",:a-z0-9]{0,60}"#) {
            let _ = (EntryHead::parse(&bytes), EntryHead::parse(text.as_bytes()));
        }
    }
}
