//! The parts of an entry. Members stand in alphabetical order, so that writing them down is already canonical.

use serde::Serialize;

use super::{Pseudonym, Word};
use crate::terms::{CreditCode, Digest, ItemCode, RegionCode, UnixMillis};

/// Declares the structs and, from the same lines, the tables of the manual.
macro_rules! parts {
    ($($(#[doc = $sdoc:literal])+ $part:ident { $($(#[doc = $doc:literal])+ $(#[serde($($s:tt)*)])? $field:ident: $type:ty,)+ })+) => {
        $($(#[doc = $sdoc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct $part { $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Absent::absent")] pub $field: $type),+ })+
        /// Part, what it is, and its members with their types and meanings.
        pub(super) const PARTS: &[(&str, &str, &[(&str, &str, &str)])] = &[
            $((stringify!($part), concat!($($sdoc),+), &[$((stringify!($field), stringify!($type), concat!($($doc),+))),+])),+
        ];
    };
}

/// What is left out when it says nothing.
pub(super) trait Absent {
    fn absent(&self) -> bool;
}
impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}
impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}

parts! {
    /// `actor`: who acted.
    Actor {
        /// Assurance level of the login.
        assurance: Option<u8>,
        /// Issuer of the token.
        issuer: Option<Word>,
        /// citizen, agent, clerk, proxy-point, auditor, operator, official (of an office), system.
        kind: Option<Word>,
        /// Login methods (RFC 8176), joined with `+`.
        method: Option<Word>,
        /// Unified social credit code of the organisation.
        org: Option<CreditCode>,
        /// Pseudonym of a person.
        pid: Option<Pseudonym>,
        /// Digest of the session.
        session: Option<Digest>,
        /// Staff number.
        staff: Option<Word>,
        /// Window or terminal.
        terminal: Option<Word>,
    }
    /// `behalf`: for whom the actor acted.
    Behalf {
        /// Digest of the mandate.
        mandate: Option<Digest>,
        /// Pseudonym of the represented person or company.
        pid: Option<Pseudonym>,
        /// agent (委托代理人), window (窗口), proxy-point (代办点).
        relation: Option<Word>,
    }
    /// `subj`: whom it is about.
    Subject {
        /// Epoch of the pseudonym key.
        epoch: Option<u32>,
        /// Pseudonym.
        pid: Option<Pseudonym>,
    }
    /// `why`: purpose and ground; of a refusal, as claimed.
    Purpose {
        /// Legal basis: `id` of a `[[basis]]` of the catalogue, consent (本人同意), own-request (本人申请), duty (履行职责).
        basis: Option<Word>,
        /// Digest of a consent or mandate.
        consent: Option<Digest>,
        /// What it is necessary for: the item's material, by number in the guide.
        necessary: Option<Word>,
        /// Purpose code.
        purpose: Option<Word>,
    }
    /// `item`: the service item.
    ItemRef {
        /// Channel: window, outlet, portal.
        channel: Option<Word>,
        /// Basic code.
        code: Option<ItemCode>,
        /// Digest of the guide (办事指南) in force at filing.
        version: Option<Word>,
    }
    /// `jur`: places.
    Jurisdiction {
        /// Region that owns the case; of shared data, where they are.
        owner: Option<RegionCode>,
        /// How far the window is from the owner: town (跨镇), city (全市), province (省内), nation (跨省).
        route: Option<Word>,
        /// Region of the window.
        window: Option<RegionCode>,
    }
    /// `req`: the request, without its query and body.
    Request {
        /// Method.
        method: Option<Word>,
        /// Route template, never the path with its values.
        route: Option<Word>,
    }
    /// `dec`: the decision.
    Decision {
        /// Digest of what the rules were asked, as kept for a replay.
        ask: Option<Digest>,
        /// Materials that could not be had and may follow (容缺), by number in the guide.
        missing: Vec<Word>,
        /// Digest of the policy set.
        policy: Option<Digest>,
        /// Stable code TB-… of a refusal.
        reason: Option<Word>,
        /// Ids of the rules that decided.
        rules: Vec<Word>,
        /// allow, deny.
        verdict: Option<Word>,
    }
    /// `ev[]`: a piece of evidence.
    Evidence {
        /// fresh, cached or stale.
        age: Option<Word>,
        /// Time that a time-stamp gives.
        at: Option<UnixMillis>,
        /// Digest of the document; of shared data a keyed one, which only the gateway can make again.
        digest: Option<Digest>,
        /// Seal id.
        seal: Option<Word>,
        /// Digest of the signer's certificate.
        signer: Option<Digest>,
        /// Digest of what the verdict was reached by: anchors, certificates, revocation lists and answers.
        trust: Option<Digest>,
        /// Type of document or fact.
        r#type: Option<Word>,
        /// Verdict code on the seal.
        verdict: Option<Word>,
    }
    /// `up`: the system behind, and the peer's receipt.
    Upstream {
        /// Name of the upstream or peer.
        name: Option<Word>,
        /// The peer gateway's receipt.
        receipt: Option<PeerReceipt>,
        /// Class of the answer: 2xx, 4xx, 5xx, timeout; broken, when it broke off; abandoned, when the caller went away before its end.
        result: Option<Word>,
    }
    /// `up.receipt`: the leaf in the peer's log that mirrors this entry.
    PeerReceipt {
        /// Index in the peer's log.
        index: Option<u64>,
        /// Leaf hash.
        leaf: Option<Digest>,
        /// Origin of the peer's log.
        origin: Option<Word>,
    }
    /// `out`: the answer.
    Outcome {
        /// Until when the decision was promised.
        due: Option<UnixMillis>,
        /// Receipt number (受理凭证编号).
        receipt: Option<Word>,
        /// HTTP status.
        status: Option<u16>,
    }
    /// `set[]`: a log of the gateway's set, as it stood.
    LogHead {
        /// Its verifier key, without the name: key hash and key, joined by a plus sign.
        key: Option<Word>,
        /// Its origin.
        origin: Option<Word>,
        /// Root of its first `size` entries.
        root: Option<Digest>,
        /// Entries that its newest known checkpoint covers.
        size: Option<u64>,
    }
    /// `node`: which gateway wrote it.
    Node {
        /// Name of the node.
        name: Option<Word>,
    }
}
