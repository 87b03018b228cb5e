//! Floor 4: may they? Cedar rules, decided in microseconds, explained in sentences.
//!
//! ```text
//!  policies/*.cedar ──load, strictly──▶ PolicySet ◀──swap, all or nothing── PolicyBook
//!                                           │
//!  Who · ItemFacts · CaseFacts · … ─▶ Ask ──┤ decide(ask, now)
//!                                           ├─▶ Permit  (proof: who, what, to what, which rules, which version)
//!                                           └─▶ Denial  (the rule that spoke, its sentence, TB-POL-…)
//! ```
//! Default is no. Every rule has an id, a sentence in two languages and, where it rests on law, the citation.
//! Facts come in verified: this room opens no file but policy files, asks no clock and no network.

pub mod archive;
mod ask;
mod book;
mod cases;
mod denial;
mod embedded;
mod entities;
mod facts;
mod load;
mod permit;
pub mod replay;
mod set;
mod who;

pub use ask::{
    Act, Administration, Arrival, Ask, CaseAct, Exchange, Filing, Ground, LicenceCheck, Listing, LogReading, Lookup,
    Operation, Passing, Step,
};
pub use book::{AskKeeper, PolicyBook};
pub use cases::{CaseOutcome, CaseRun, Want, embedded_cases, read_cases, run_cases};
pub use denial::{CONSENT, Denial, NOT_LISTED, Nearest, PURPOSE};
pub use entities::AskError;
pub use facts::{
    AnswerForm, CaseFacts, CaseLink, DataResource, Demand, ItemFacts, LicenceFacts, Mode, Person, Presence, RouteFacts,
    Scope, SharingClass, Source, State,
};
pub use load::{Fault, LoadError, Rule};
pub use permit::Permit;
pub use set::{Finding, PolicySet};
pub use who::{Kind, Mandate, Outlet, OutletKind, Paper, PaperKind, Post, Role, Who};

/// All answers of this room, for `docs/errors.md`.
pub fn tolds() -> Vec<&'static crate::terms::Told> {
    denial::TOLDS.to_vec()
}

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod tests;
