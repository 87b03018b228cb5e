//! identity
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
