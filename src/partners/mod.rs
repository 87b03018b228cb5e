//! Floor 4: partner outlets (政银合作 and others): what a bank, post office, shop or terminal may do, where and when.
//!
//! ```text
//!  contracts.toml ─▶ Contracts ─▶ find_by_terminal ─▶ check ─────▶ Allowed ─▶ plan ─▶ counters taken ─▶ Slot
//!   mistakes: all     frozen      certificate         contract,     may        keys    in the store's    one unit
//!   at once                       → outlet            act, item,    act        limits  transaction       of quota
//!                                                     place, now        └▶ Rates: per second, by certificate
//! ```
//! Nothing here reads a clock or a store; [`Contracts`] never changes and sits in an `ArcSwap` upstairs. Neither
//! [`Allowed`] nor [`Slot`] can be made elsewhere.

pub mod acts;
pub mod check;
pub mod contract;
pub mod error;
pub mod hours;
pub mod masking;
pub mod quota;
pub mod rates;
mod read;
pub mod stopped;
#[cfg(test)]
mod tests;

pub use acts::Act;
pub use check::{Allowed, ItemTerms, check};
pub use contract::{Contract, Contracts, MandatePaper, OutletId, Standing, Terminal, TerminalId, Unmandated};
pub use error::PartnerError;
pub use hours::Hours;
pub use masking::Masking;
pub use quota::{QuotaKey, QuotaPlan, Slot, Taken};
pub use rates::Rates;
pub use stopped::Stopped;

use crate::terms::Told;

/// A commented contract file to start from; the tests read it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    error::TOLDS.to_vec()
}
