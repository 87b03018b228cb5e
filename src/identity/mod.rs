//! Floor 4: who is it? Tokens, keys, proofs of possession, papers of delegation, names for peers.
//!
//! ```text
//!   text ─▶ jose ─▶ book + keys ─▶ access ─▶ Caller          delegation ─▶ Grant<PowerOfAttorney | …>
//!           strict    ▲  refresh    │  ▲ dpop · revocation     exchange · exchanged ─▶ a clerk's token for a citizen's matter
//!                     └─ Needs ◀────┘  └ cache                 pairwise ─▶ names of people for one peer only
//!                                                              issue · ring_provider ─▶ keys and signatures
//! ```
//! This room judges: it fetches no key, remembers no `jti` and reads no clock. What it lacks it names
//! ([`Needs`]); what must be remembered it hands back ([`access::Replay`], [`delegation::Once`]).
//!
//! Main door: [`access::check_for`] gives a [`access::Checked`] with a [`access::Caller`], which nothing else can make.

pub mod access;
pub mod book;
pub mod cache;
pub mod caller;
pub mod delegation;
pub mod dpop;
pub mod error;
pub mod exchange;
pub mod exchanged;
pub mod id_token;
pub mod issue;
pub mod jose;
pub mod keys;
pub mod logout;
pub mod nonce;
pub mod pairwise;
pub mod refresh;
pub mod revocation;
pub mod ring_provider;
pub use crate::formats::json as strict;

#[cfg(test)]
mod tests;

pub use error::{IdentityError, Needs};

/// All answers of this room.
pub fn tolds() -> Vec<&'static crate::terms::Told> {
    [error::TOLDS, delegation::TOLDS].concat()
}
