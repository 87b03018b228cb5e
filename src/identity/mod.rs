//! identity
pub mod book;
pub mod error;
pub mod jose;
pub mod keys;
pub mod refresh;
pub mod ring_provider;
pub mod strict;
pub use error::IdentityError;
