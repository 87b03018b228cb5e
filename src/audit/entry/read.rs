//! Entries as a verifier reads them: only what its checks need, borrowed from the stored bytes.

use serde::Deserialize;

use super::word::unhex;
use super::{Kind, Pseudonym, VERSION, scan};
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

impl EntryHead {
    /// Reads an entry as stored.
    ///
    /// # Errors
    /// [`Unjudged::Malformed`] for what no writer of this version makes, [`Unjudged::Unknown`] for what another one may have made.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unjudged> {
        read(bytes).map_err(|error| if is_of_another_version(bytes) { Unjudged::Unknown } else { error })
    }
}

/// Whether it is a JSON object that names another version or a kind that this one does not know.
fn is_of_another_version(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named {
        v: u64,
        kind: String,
    }
    serde_json::from_slice::<Named>(bytes).is_ok_and(|named| named.v != VERSION || named.kind.parse::<Kind>().is_err())
}

fn read(bytes: &[u8]) -> Result<EntryHead, Unjudged> {
    use Unjudged::Malformed;
    let (mut kind, mut ts, mut v, mut nonce) = (None, None, None, false);
    let (mut case, mut of, mut up) = (None, None, None);
    scan::entry(bytes, &mut |name, value| match name {
        "kind" => kind = std::str::from_utf8(value).ok(),
        "ts" => ts = number(value),
        "v" => v = number(value),
        "nonce" => nonce = true,
        "case" => case = Some(value),
        "of" => of = Some(value),
        "up" => up = Some(value),
        _ => {}
    })?;
    let kind = kind.ok_or(Malformed("kind"))?.parse::<Kind>().map_err(|_| Unjudged::Unknown)?;
    if v.ok_or(Malformed("v"))? != VERSION {
        return Err(Unjudged::Unknown);
    }
    if !nonce {
        return Err(Malformed("nonce"));
    }
    Ok(EntryHead {
        kind,
        ts: ts.and_then(|ts| i64::try_from(ts).ok()).ok_or(Malformed("ts"))?,
        case: case.map(link).transpose()?,
        of: of.map(|of| hex(of).map(Digest).ok_or(Malformed("of"))).transpose()?,
        receipt: up.map(receipt).transpose()?.flatten(),
    })
}

/// Canonical by now, so that its members stand where they stand in every entry.
fn link(bytes: &[u8]) -> Result<CaseLink, Unjudged> {
    let read = || {
        let (id, rest) = bytes.strip_prefix(b"{\"id\":\"")?.split_at_checked(32)?;
        let (prev, rest) = match rest.strip_prefix(b"\",\"prev\":\"") {
            Some(rest) => rest.split_at_checked(64).map(|(prev, rest)| (Some(prev), rest))?,
            None => (None, rest),
        };
        let seq = number(rest.strip_prefix(b"\",\"seq\":")?.strip_suffix(b"}")?)?;
        let prev = match prev {
            Some(prev) => Some(Digest(hex(prev)?)),
            None => None,
        };
        Some(CaseLink { id: Pseudonym(hex(id)?), seq: u32::try_from(seq).ok()?, prev })
    };
    read().ok_or(Unjudged::Malformed("case"))
}

fn receipt(up: &[u8]) -> Result<Option<Receipt>, Unjudged> {
    let mut found = None;
    scan::inside("up", up, &mut |name, value| found = if name == "receipt" { Some(value) } else { found })?;
    let Some(found) = found else { return Ok(None) };
    let (mut origin, mut index, mut leaf) = (None, None, None);
    scan::inside("up.receipt", found, &mut |name, value| match name {
        "origin" => origin = std::str::from_utf8(value).ok(),
        "index" => index = number(value),
        _ => leaf = hex(value).map(Digest),
    })?;
    match (origin, index, leaf) {
        (Some(origin), Some(index), Some(leaf)) => Ok(Some(Receipt { origin: origin.to_owned(), index, leaf })),
        _ => Err(Unjudged::Malformed("up.receipt")),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    unhex(std::str::from_utf8(digits).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_known_is_not_judged() {
        let nonce = "0".repeat(64);
        let malformed = |what| Some(Unjudged::Malformed(what));
        let (escape, number) = ("an escape in a string", "a number below 2^53 is wanted");
        let order = "members in another order, or one twice";
        let word = "not a plain word, or a personal number in clear";
        for (text, want) in [
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), None),
            (format!(r#"{{"kind":"later","nonce":"{nonce}","ts":1,"v":1}}"#), Some(Unjudged::Unknown)),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":2}}"#), Some(Unjudged::Unknown)),
            (format!(r#"{{"kind":"deny","new":1,"nonce":"{nonce}","ts":1,"v":1}}"#), Some(Unjudged::Unknown)),
            (r#"{"kind":"deny","nonce":"00","ts":1,"v":1}"#.into(), malformed("not a digest, pseudonym or nonce")),
            ("hello".into(), malformed("not canonical JSON")),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":1}} "#), malformed("octets after the object")),
            (format!(r#"{{ "kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), malformed("not canonical JSON")),
            (format!(r#"{{"kind":"den\u0079","nonce":"{nonce}","ts":1,"v":1}}"#), malformed(escape)),
            (format!(r#"{{"kind":"deny","ts":1,"nonce":"{nonce}","v":1}}"#), malformed(order)),
            (format!(r#"{{"kind":"deny","kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), malformed(order)),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":-1,"v":1}}"#), malformed(number)),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":9007199254740992,"v":1}}"#), malformed(number)),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":01,"v":1}}"#), malformed(number)),
            (format!(r#"{{"dec":7,"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), malformed("not canonical JSON")),
            (
                format!(r#"{{"actor":{{"name":"张三"}},"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#),
                Some(Unjudged::Unknown),
            ),
            (
                format!(r#"{{"actor":{{"staff":"张三"}},"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#),
                malformed(word),
            ),
            (
                format!(r#"{{"facts":{{"x":"id11010519491231002X"}},"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#),
                malformed(word),
            ),
            (
                format!(r#"{{"ev":[{{"type":"13912345678"}}],"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#),
                malformed(word),
            ),
            (format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"v":1,"why":{{"basis":"青监〔2026〕17号"}}}}"#), None),
            (
                format!(
                    r#"{{"case":{{"id":"{}","seq":1}},"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#,
                    "a".repeat(32)
                ),
                None,
            ),
            (format!(r#"{{"case":{{"seq":1}},"kind":"deny","nonce":"{nonce}","ts":1,"v":1}}"#), malformed("case")),
            (
                format!(r#"{{"kind":"deny","nonce":"{nonce}","ts":1,"up":{{"receipt":{{"index":1}}}},"v":1}}"#),
                malformed("up.receipt"),
            ),
            (r#"{"kind":"deny","ts":1,"v":1}"#.into(), malformed("nonce")),
            // Whatever else another version says, or how: it is not for this one to judge.
            (r#"{"v":2,"kind":"deny", "more":[1.5]}"#.into(), Some(Unjudged::Unknown)),
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
