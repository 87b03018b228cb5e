//! Floor 4: licences and their seals. A workshop: it judges what it is given, it never fetches.
//!
//! ```text
//!                    Profile: anchors, lists, time, rules
//!                          │
//!  any file ──▶ verify ────┴──▶ Report ──▶ judge(need) ──▶ VerifiedLicence
//!               21 steps        verdicts,   holder, type,   the only way to
//!                               findings,   issuer, period  have one
//!                               data
//!  Paper ──▶ make::seal ──▶ sealed OFD: licences, receipts, vouchers
//! ```
//! Standards: GB/T 33190 (OFD), GB/T 38540 and GM/T 0031 (seals), GM/T 0099 and GB/T 35275 (signatures), GB/T 36903 and
//! 36904 (licence data), RFC 9901 (SD-JWT), ETSI EN 319 102-1 (the words of a verdict).

mod asic;
mod collect;
#[cfg(test)]
mod containers;
mod data;
mod examine;
mod judge;
mod limits;
mod loose;
pub mod make;
pub mod material;
pub mod ofd;
mod opened;
mod package;
mod pdf;
mod polyglot;
mod profile;
mod report;
#[cfg(test)]
mod schema;
mod sdjwt;
mod seals;
pub mod ses;
mod signed_data;
mod status;
mod strength;
mod suite;
pub mod times;
mod trusted;
#[cfg(test)]
mod variations;
#[cfg(test)]
mod vectors;
mod verdict;
mod verify;
mod when;

pub use data::{Datum, LicenceData, NoDatum, names};
pub use judge::{Holder, LicenceError, Need, VerifiedLicence, judge};
pub use material::Material;
pub use profile::{Anchors, CoverageRule, Profile, Revocation};
pub use report::{CertificateFacts, Coverage, Format, Report, SealFacts, SignatureVerdict, TimeBasis, visible};
pub use sdjwt::{Binding, IssuerKey, ListError, StatusList};
pub use status::{NotUsable, Status};
pub use verdict::{Finding, Indication, Outcome, SubIndication};
pub use verify::{detached, unreadable, verify, verify_with};

use crate::terms::Told;

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    [judge::TOLDS, status::TOLDS, make::TOLDS].concat()
}
