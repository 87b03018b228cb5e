//! Entries: one JSON object each, canonical, hashed as stored; no verifier ever re-encodes one.
//!
//! ```text
//!  Entry::new(Kind::CaseIntent, now).node(…).actor(…).case(pseudonym)
//!        │ encode: canonical JSON, at most 16 KiB, nothing personal in clear
//!        ▼
//!  {"actor":{…},"case":{"id":…,"prev":…,"seq":…},…,"kind":"case.intent","nonce":…,"ts":…,"v":1}
//!                       └ filled in by the log's writer, which alone knows the order
//! ```

mod fields;
mod kind;
mod manual;
mod read;
mod scan;
mod seal;
mod word;

use std::cell::Cell;
use std::collections::BTreeMap;

use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

pub use fields::{
    Actor, Behalf, Decision, Evidence, ItemRef, Jurisdiction, LogHead, Node, Outcome, PeerReceipt, Purpose, Request,
    Subject, Upstream,
};
pub use kind::{Kind, Role};
pub use manual::manual;
pub use read::{CaseLink, EntryHead, Receipt, Unjudged};
pub use seal::{CaseKeys, LogKey, NOTE_MAX, Named, Opened, Personal, SealedBox, is_sealed};
pub use word::{Pseudonym, Pseudonymiser, Word};
pub(super) use word::{push_hex, unhex};

use super::error;
use crate::terms::{Digest, Explain, Told, UnixMillis};

/// Version of the entry format.
pub const VERSION: u64 = 1;
/// Longest entry, in bytes. Documents go in as digests.
pub const MAX_ENTRY: usize = 16 * 1024;
/// Room kept for the case link, which the writer fills in.
const CASE_ROOM: usize = 200;

/// Why an entry is not written, or a sealed part does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("not a plain word of 1 to 128 visible ASCII characters, nor the number of an official document")]
    Word,
    #[error("a resident or telephone number in clear")]
    Personal,
    #[error("unknown kind of entry")]
    Kind,
    #[error("an entry of this kind names the intent it closes, and only such an entry does")]
    Of,
    #[error("the entry is longer than {MAX_ENTRY} bytes")]
    TooLong,
    #[error("no canonical form: {0}")]
    Canonical(&'static str),
    #[error("the system gave no random bytes")]
    Random,
    #[error("the sealed part does not open")]
    Sealed,
}

impl Explain for EntryError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Sealed => &error::SEALED,
            _ => &error::ENTRY,
        }
    }
}

/// An entry in the making. Every member but kind, time and nonce may be left out.
#[derive(Clone, Debug)]
pub struct Entry {
    kind: Kind,
    ts: UnixMillis,
    nonce: Option<[u8; 32]>,
    node: Option<Node>,
    trace: Option<Word>,
    actor: Option<Actor>,
    behalf: Option<Behalf>,
    subj: Option<Subject>,
    why: Option<Purpose>,
    item: Option<ItemRef>,
    jur: Option<Jurisdiction>,
    req: Option<Request>,
    dec: Option<Decision>,
    ev: Vec<Evidence>,
    up: Option<Upstream>,
    out: Option<Outcome>,
    of: Option<Digest>,
    case: Option<Pseudonym>,
    enc: Option<SealedBox>,
    facts: BTreeMap<Word, Word>,
    set: Vec<LogHead>,
}

macro_rules! setters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty;)+) => {
        $($(#[doc = $doc])+ #[must_use] pub fn $name(mut self, $name: $type) -> Self { self.$name = Some($name); self })+
    };
}

impl Entry {
    /// `now` in Unix milliseconds. Takes 32 bytes that nobody can guess, so that public leaf hashes hide what could
    /// be guessed; the same `Entry` always encodes to the same bytes.
    pub fn new(kind: Kind, now: UnixMillis) -> Self {
        Self {
            kind,
            ts: now,
            nonce: nonce(),
            node: None,
            trace: None,
            actor: None,
            behalf: None,
            subj: None,
            why: None,
            item: None,
            jur: None,
            req: None,
            dec: None,
            ev: Vec::new(),
            up: None,
            out: None,
            of: None,
            case: None,
            enc: None,
            facts: BTreeMap::new(),
            set: Vec::new(),
        }
    }

    /// The same, of another moment than the one its making began with.
    #[must_use]
    pub fn at(mut self, ts: UnixMillis) -> Self {
        self.ts = ts;
        self
    }

    /// With a nonce that is no secret: for tests that compare logs.
    #[cfg(test)]
    pub(in crate::audit) fn with_nonce(mut self, nonce: [u8; 32]) -> Self {
        self.nonce = Some(nonce);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    setters! {
        /// Which gateway writes this.
        node: Node;
        /// W3C trace id.
        trace: Word;
        /// Who acted.
        actor: Actor;
        /// For whom.
        behalf: Behalf;
        /// About whom.
        subj: Subject;
        /// Purpose and ground.
        why: Purpose;
        /// Service item.
        item: ItemRef;
        /// Places.
        jur: Jurisdiction;
        /// The request.
        req: Request;
        /// The decision.
        dec: Decision;
        /// The system behind and the peer's receipt.
        up: Upstream;
        /// The answer.
        out: Outcome;
        /// Leaf hash of the intent that this entry closes.
        of: Digest;
        /// The case: puts the entry into the case's chain (`seq`, `prev`).
        case: Pseudonym;
        /// The encrypted part, made by [`LogKey::seal`].
        enc: SealedBox;
    }

    /// Adds a piece of evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: Evidence) -> Self {
        self.ev.push(evidence);
        self
    }

    /// The logs of the gateway's set.
    #[must_use]
    pub fn set(mut self, set: Vec<LogHead>) -> Self {
        self.set = set;
        self
    }

    /// Adds a fact for which no member exists, e.g. a key id or a policy's version.
    #[must_use]
    pub fn fact(mut self, name: Word, value: Word) -> Self {
        self.facts.insert(name, value);
        self
    }

    /// The canonical bytes, with the place where the writer puts the case link.
    pub fn encode(&self) -> Result<Encoded, EntryError> {
        if (self.kind.role() == Role::Closing) != self.of.is_some() {
            return Err(EntryError::Of);
        }
        let nonce = self.nonce.ok_or(EntryError::Random)?;
        let mut out = Members(Vec::with_capacity(1024));
        out.0.push(b'{');
        // Alphabetical order is the canonical order; a test compares with `terms::json::canonical`.
        out.put_some("actor", &self.actor)?;
        out.put_some("behalf", &self.behalf)?;
        let case_at = out.0.len();
        out.put_some("dec", &self.dec)?;
        out.put_some("enc", &self.enc)?;
        if !self.ev.is_empty() {
            out.put("ev", &self.ev)?;
        }
        if !self.facts.is_empty() {
            out.put("facts", &self.facts)?;
        }
        out.put_some("item", &self.item)?;
        out.put_some("jur", &self.jur)?;
        out.put("kind", &self.kind)?;
        out.put_some("node", &self.node)?;
        out.0.extend_from_slice(b"\"nonce\":\"");
        push_hex(&mut out.0, &nonce);
        out.0.extend_from_slice(b"\",");
        out.put_some("of", &self.of)?;
        out.put_some("out", &self.out)?;
        out.put_some("req", &self.req)?;
        if !self.set.is_empty() {
            out.put("set", &self.set)?;
        }
        out.put_some("subj", &self.subj)?;
        out.put_some("trace", &self.trace)?;
        out.put("ts", &self.ts.0)?;
        out.put_some("up", &self.up)?;
        out.put("v", &VERSION)?;
        out.put_some("why", &self.why)?;
        let mut bytes = out.0;
        bytes.pop(); // the last comma
        bytes.push(b'}');
        let index = self.up.as_ref().and_then(|up| up.receipt.as_ref()?.index);
        let mut numbers = self.set.iter().filter_map(|head| head.size).chain(index);
        if !(0..1 << 53).contains(&self.ts.0) || numbers.any(|n| n >= 1 << 53) {
            return Err(EntryError::Canonical("a number of 2^53 or more"));
        }
        if bytes.len() + CASE_ROOM > MAX_ENTRY {
            return Err(EntryError::TooLong);
        }
        Ok(Encoded { bytes, case_at, case: self.case, intent: self.kind.role() == Role::Intent, of: self.of })
    }
}

/// Nonces made of one secret before a new one is taken from the system.
const NONCES_A_SECRET: u32 = 1_024;

/// 32 bytes that nobody can guess: SHA-256 over a secret of this thread and a counter. A call of the system for each
/// entry would cost more than everything else about it; `None` when the system gives no random bytes.
fn nonce() -> Option<[u8; 32]> {
    thread_local! {
        static SECRET: Cell<([u8; 32], u32)> = const { Cell::new(([0; 32], 0)) };
    }
    SECRET.with(|secret| {
        let (mut key, mut left) = secret.get();
        if left == 0 {
            SystemRandom::new().fill(&mut key).ok()?;
            left = NONCES_A_SECRET;
        }
        secret.set((key, left - 1));
        let mut input = [0; 36];
        input[..32].copy_from_slice(&key);
        input[32..].copy_from_slice(&left.to_be_bytes());
        Some(Digest::of(&input).0)
    })
}

/// Members of an object being written, each with a comma after it.
struct Members(Vec<u8>);

impl Members {
    fn put<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), EntryError> {
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        serde_json::to_writer(&mut self.0, value).map_err(|_| EntryError::Canonical("not JSON"))?;
        self.0.push(b',');
        Ok(())
    }

    fn put_some<T: Serialize>(&mut self, name: &str, value: &Option<T>) -> Result<(), EntryError> {
        value.as_ref().map_or(Ok(()), |value| self.put(name, value))
    }
}

/// An entry's bytes before its case link is known.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Vec<u8>,
    case_at: usize,
    pub(super) case: Option<Pseudonym>,
    pub(super) intent: bool,
    pub(super) of: Option<Digest>,
}

impl Encoded {
    /// The bytes to store: with the case's next `seq` and the leaf hash of its previous entry.
    /// `link` is ignored for an entry without a case.
    pub fn link(&self, seq: u32, prev: Option<&Digest>, out: &mut Vec<u8>) {
        let Some(case) = self.case else {
            out.extend_from_slice(&self.bytes);
            return;
        };
        let (head, tail) = self.bytes.split_at(self.case_at);
        out.extend_from_slice(head);
        out.extend_from_slice(b"\"case\":{\"id\":\"");
        push_hex(out, &case.0);
        if let Some(prev) = prev {
            out.extend_from_slice(b"\",\"prev\":\"");
            push_hex(out, &prev.0);
        }
        out.extend_from_slice(b"\",\"seq\":");
        out.extend_from_slice(seq.to_string().as_bytes());
        out.extend_from_slice(b"},");
        out.extend_from_slice(tail);
    }

    /// Upper bound of the stored length, in bytes.
    pub fn max_len(&self) -> usize {
        self.bytes.len() + CASE_ROOM
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::terms::json;

    pub(in crate::audit) fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    /// An entry with every member filled, of about the size of a real one.
    pub(in crate::audit) fn full(kind: Kind) -> Entry {
        let entry = Entry::new(kind, UnixMillis(1_771_000_000_000))
            .node(Node { name: Some(word("gw-1")) })
            .trace(word("4bf92f3577b34da6a3ce929d0e0e4736"))
            .actor(Actor { kind: Some(word("clerk")), staff: Some(word("S0017")), ..Actor::default() })
            .behalf(Behalf { pid: Some(Pseudonym([3; 16])), relation: Some(word("agent")), mandate: None })
            .subj(Subject { epoch: Some(2026), pid: Some(Pseudonym([4; 16])) })
            .why(Purpose { purpose: Some(word("P01")), basis: Some(word("L-17")), ..Purpose::default() })
            .jur(Jurisdiction { owner: Some("419001".parse().unwrap()), route: None, window: None })
            .req(Request { method: Some(word("POST")), route: Some(word("/v1/cases")) })
            .dec(Decision { verdict: Some(word("allow")), rules: vec![word("r1"), word("r2")], ..Decision::default() })
            .evidence(Evidence { r#type: Some(word("licence")), digest: Some(Digest::of(b"x")), ..Evidence::default() })
            .up(Upstream {
                receipt: Some(PeerReceipt { index: Some(5), leaf: Some(Digest::of(b"p")), origin: Some(word("peer")) }),
                ..Upstream::default()
            })
            .out(Outcome { status: Some(202), due: Some(UnixMillis(1_771_000_900_000)), ..Outcome::default() })
            .fact(word("b"), word("2"))
            .fact(word("a"), word("1"));
        if kind.role() == Role::Closing { entry.of(Digest::of(b"intent")) } else { entry }
    }

    #[test]
    fn what_is_written_is_canonical_and_reads_back() {
        for kind in Kind::ALL {
            for (seq, prev, case) in [(1, None, None), (1, None, Some(7)), (12, Some(Digest::of(b"before")), Some(7))] {
                let mut entry = full(*kind);
                if let Some(n) = case {
                    entry = entry.case(Pseudonym([n; 16]));
                }
                let (mut bytes, encoded) = (Vec::new(), entry.encode().unwrap());
                encoded.link(seq, prev.as_ref(), &mut bytes);
                assert!(bytes.len() <= encoded.max_len());
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(json::canonical(&value).unwrap(), bytes, "{kind}");
                let head = EntryHead::parse(&bytes).unwrap();
                assert_eq!((head.kind, head.ts), (*kind, 1_771_000_000_000));
                let link = case.map(|n| CaseLink { id: Pseudonym([n; 16]), seq, prev });
                assert_eq!(head.case, link);
            }
        }
    }

    #[test]
    fn no_nonce_comes_twice() {
        let all: std::collections::BTreeSet<_> = (0..5_000).map(|_| nonce().unwrap()).collect();
        let other = std::thread::spawn(|| nonce().unwrap()).join().unwrap();
        assert!(all.len() == 5_000 && !all.contains(&other) && !all.contains(&[0; 32]));
    }

    #[test]
    fn entries_keep_their_rules() {
        let now = UnixMillis(0);
        assert_eq!(Entry::new(Kind::CaseOutcome, now).encode().err(), Some(EntryError::Of));
        assert_eq!(Entry::new(Kind::Deny, now).of(Digest::of(b"")).encode().err(), Some(EntryError::Of));
        assert!(Entry::new(Kind::Deny, UnixMillis(i64::MIN)).encode().is_err());
        let mut long = Entry::new(Kind::Deny, now);
        for n in 0..200 {
            long = long.fact(word(&format!("n{n}")), word(&"x".repeat(128)));
        }
        assert_eq!(long.encode().err(), Some(EntryError::TooLong));
    }
}
