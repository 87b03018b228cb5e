//! Floor 0: the words of the trade, and how to say no.
//!
//! ```text
//!  text at the door ──parse once──▶ DivisionCode · RegionCode · ItemCode · CaseNo · …
//!                        │no
//!                        ▼
//!                     Refusal ──▶ status + TB-… code + a sentence (zh, en) + next step
//! ```
//! Nothing here opens a file, a socket or a clock.

pub mod attribute;
pub mod case_no;
pub mod check_char;
pub mod digest;
pub mod division;
pub mod holder;
pub mod item_code;
pub mod json;
pub mod licence_id;
pub mod mistake;
pub mod refusal;
pub mod strict_toml;
#[cfg(test)]
pub(crate) mod testing;
pub mod when;
pub mod words;

pub use attribute::{Attribute, Attributes};
pub use case_no::CaseNo;
pub use digest::Digest;
pub use division::{DivisionCode, RegionCode};
pub use holder::{CreditCode, ResidentId};
pub use item_code::{HandlingCode, ImplementationCode, ItemCode};
pub use licence_id::LicenceId;
pub use mistake::{Mistake, Mistakes};
pub use refusal::{Explain, Next, Refusal, Told};
pub use when::{Day, UnixMillis};
pub use words::{Lang, OutletKind, Presence};

use refusal::tolds;

tolds! {
    /// A word of the trade that does not have the shape it must have.
    pub const IDENTIFIER = "TB-GEN-0001", 400,
        "编号格式不正确，请核对后重新填写。",
        "An identifier does not have the right form: check it and enter it again.",
        Next::CorrectAndResend;
}

/// Why a text is not the identifier it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    #[error("wrong length or a character that is not allowed")]
    Shape,
    #[error("the check character does not match")]
    Check,
    #[error("the date in it does not exist")]
    Date,
    #[error("a part of it is outside its list of values")]
    Part,
}

impl Explain for IdentifierError {
    fn told(&self) -> &'static Told {
        &IDENTIFIER
    }
}
