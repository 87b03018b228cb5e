//! SM2's curve (GB/T 32918.5), for one purpose: to be quick where the gateway verifies and signs.
//!
//! ```text
//!  field   numbers modulo p                       no branch, no lookup that depends on a value
//!  point   points, and the sums of two
//!  verify  s·G + t·P, compared with r − e         public data only, time varies with it
//!  secret  x of k·G                               k is secret: every window reads the whole table
//! ```
//! There is no encoding, no digest and no key here: `tongban::trust::suite::sm2_suite` has those.

#![forbid(unsafe_code)]

pub mod field;
pub mod point;
pub mod secret;
pub mod verify;
