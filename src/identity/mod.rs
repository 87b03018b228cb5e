//! Floor 4: who is this person? Tokens judged against a snapshot of issuers and keys; nothing is fetched here.
//!
//! ```text
//!  token ─▶ strict ─▶ jose ─▶ book (issuer · keys) ─▶ access ─▶ Checked { Caller, proof to remember }
//!                                                        └─ dpop · client certificate: in whose hands?
//! ```
//! What a pure checker cannot do it says: a newer key set may help ([`IdentityError::UnknownKey`]), a proof must be
//! remembered ([`dpop::Replay`]).

pub mod access;
pub mod book;
pub mod dpop;
pub mod error;
pub mod jose;
pub mod keys;
pub mod refresh;
pub mod ring_provider;
pub mod strict;
pub use error::IdentityError;

/// All answers of this room.
pub fn tolds() -> Vec<&'static crate::terms::Told> {
    error::TOLDS.to_vec()
}
