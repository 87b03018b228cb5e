//! Floor 2: keys, certificates, chains, status, algorithm suites, sealed containers.
//!
//! ```text
//!  suite  (ring · SM2/SM3) ─▶ certificate ─▶ path to an anchor, for a purpose, at a time ─▶ Path
//!                                 │              ▲ crl, ocsp: revoked? how old is that answer?
//!                                 ▼              │
//!                                cms ─▶ asic: files + manifest + signature in one ZIP
//! ```

pub mod answers;
pub mod asic;
pub mod certificate;
pub mod cms;
pub mod crl;
pub mod issue;
pub mod jose;
pub mod keyring;
pub mod name;
pub mod ocsp;
pub mod path;
pub mod pem;
pub mod request;
pub mod suite;
pub mod timestamp;
mod told;

use crate::terms::Told;

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    [told::TOLDS, cms::TOLDS, path::TOLDS, timestamp::TOLDS].concat()
}

#[cfg(test)]
mod crosscheck;
