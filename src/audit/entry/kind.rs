//! What an entry records.

use std::fmt;
use std::str::FromStr;

use super::EntryError;

/// Whether an entry opens something that must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Written before the effect; an entry with `of` = this entry's leaf hash must follow.
    Intent,
    /// Closes the intent named in `of`.
    Closing,
    Plain,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $role:ident;)+) => {
        /// The kinds of entries. A verifier that meets another one cannot judge the entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[doc = $doc])+ $name),+ }
        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$name),+];
            pub fn word(self) -> &'static str { match self { $(Self::$name => $word),+ } }
            pub fn role(self) -> Role { match self { $(Self::$name => Role::$role),+ } }
            /// One sentence, for the manual.
            pub fn about(self) -> &'static str { match self { $(Self::$name => concat!($($doc),+)),+ } }
        }
        impl FromStr for Kind {
            type Err = EntryError;
            fn from_str(text: &str) -> Result<Self, EntryError> {
                match text { $($word => Ok(Self::$name),)+ _ => Err(EntryError::Kind) }
            }
        }
    };
}

kinds! {
    /// A case is about to be handed on; written before the upstream or the peer sees it.
    CaseIntent = "case.intent", Intent;
    /// What became of a case handed on; written before the last byte of the answer.
    CaseOutcome = "case.outcome", Closing;
    /// A case changed state: filed, received, supplement asked, accepted, decided, delivered, withdrawn.
    CaseEvent = "case.event", Plain;
    /// A live request is about to be passed on.
    PassIntent = "pass.intent", Intent;
    /// What became of a live request.
    PassOutcome = "pass.outcome", Closing;
    /// Shared data were looked up, from a provider or from cache.
    DataRead = "data.read", Plain;
    /// A licence was checked.
    LicenceCheck = "licence.check", Plain;
    /// Somebody signed in or out, or failed to.
    Login = "login", Plain;
    /// A request was refused.
    Deny = "deny", Plain;
    /// Input could not be read at all.
    InputReject = "input.reject", Plain;
    /// Configuration changed.
    AdminConfig = "admin.config", Plain;
    /// A policy set was loaded or refused.
    PolicyLoad = "policy.load", Plain;
    /// A catalogue, directory, calendar or trust list was loaded or refused.
    SnapshotLoad = "snapshot.load", Plain;
    /// A partner, its contract or its quota changed.
    PartnerChange = "partner.change", Plain;
    /// A key was taken into use or retired.
    KeyRotate = "key.rotate", Plain;
    /// A case's data key was destroyed, or a destruction was held.
    KeyShred = "key.shred", Plain;
    /// The log was searched or read.
    AuditRead = "audit.read", Plain;
    /// An evidence bundle was exported.
    AuditExport = "audit.export", Plain;
    /// A time-stamp over a checkpoint was received.
    Anchor = "anchor", Plain;
    /// The daily SM3 root over the same entries.
    GmRoot = "gm.root", Plain;
    /// The daily root of the map from cases to their last entries.
    Index = "index", Plain;
    /// The logs of all nodes of this gateway.
    LogSet = "logset", Plain;
    /// After a crash: the intent named in `of` has no known result.
    Recovered = "recovered", Closing;
    /// Something happened to the log itself: entries were pruned under the retention policy, or it was recovered from a
    /// mirror.
    Lifecycle = "lifecycle", Plain;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
