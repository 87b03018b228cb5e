//! Signed PDF (ISO 32000-1 §7.5, §12.8), as far as signatures go: who signed which octets, what came after, and a place for
//! one more.
//!
//! ```text
//!  startxref ─▶ sections, newest first ─▶ objects ─▶ catalog ─▶ form fields ─▶ signatures
//!                     │                                                          │ ByteRange · Contents
//!                     └── updates after the signed octets ◀──────────────────────┘
//! ```
//! Nothing is rendered and nothing repaired: a file whose tables are wrong, which readers mend each in its own way, is
//! refused. Only the objects on the way to the signatures are read, each in a window of bounded size.

mod document;
mod filter;
mod form;
mod kinds;
mod lex;
mod place;
mod repair;
mod signature;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod update;

pub use document::Document;
pub use place::{Labels, Place};
pub use signature::{Kind, Lock, Signature};
pub use store::Store;
pub use update::Update;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    #[error("cut short")]
    Short,
    #[error("syntax: {0} must be there")]
    Syntax(&'static str),
    #[error("too big: {0}")]
    TooBig(&'static str),
    #[error("structure: {0}")]
    Structure(&'static str),
    #[error("a filter that is not known here")]
    Filter,
    #[error("objects are encrypted")]
    Encrypted,
    #[error("signature: {0}")]
    Signature(&'static str),
    #[error("reading: {0}")]
    Io(#[from] std::io::Error),
}

impl PartialEq for PdfError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl PdfError {
    /// Fine code for reports; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Short | Self::Syntax(_) => "PDF_SYNTAX",
            Self::TooBig(_) => "PDF_TOO_BIG",
            Self::Structure(_) => "PDF_STRUCTURE",
            Self::Filter => "PDF_FILTER",
            Self::Encrypted => "PDF_ENCRYPTED",
            Self::Signature(_) => "PDF_SIGNATURE",
            Self::Io(_) => "PDF_IO",
        }
    }
}
