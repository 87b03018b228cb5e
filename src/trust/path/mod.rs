//! From a certificate to an anchor: is it trusted, for this purpose, at this time, and is it revoked?
//!
//! ```text
//!  leaf ─▶ issuers by name, then by signature ─▶ … ─▶ anchor      (bounded: depth, signatures, comparisons)
//!                                                       │ every complete chain
//!            dates · authority bits · depth · names · purpose · revocation
//!                                                       │
//!                 judge ─▶ Path │ the most telling PathError       survey ─▶ the best chain, all that speaks against it
//! ```
//! Our own, and not the library of the handshakes (rustls-webpki) with SM2 plugged in: docs/x509.md says what that library does
//! not do. RFC 5280 §6 for all suites alike; a chain may mix them. For TLS the stricter rules of [`strict`] come on top, because
//! the library that checks handshakes is lenient there. Outcomes carry the words of ETSI EN 319 102-1.

mod allowed;
mod fault;
mod names;
mod revocation;
mod search;
#[cfg(test)]
mod serials;
mod strict;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use allowed::fit;
pub use fault::{Fault, NO_CHAIN, NOT_ALLOWED, OUT_OF_DATE, PathError, REVOKED, Rule, STATUS_UNKNOWN, TOLDS};
pub use names::speaks_for;
pub use revocation::{Revocation, Status};
use search::{Exhausted, Stop, Work, no, search};

use super::certificate::Certificate;
use super::crl::Crl;
use super::ocsp::Response;
use super::suite::Strengths;
use crate::terms::UnixMillis;

/// What the leaf is to be trusted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Signing documents with an organisation's or a person's key.
    Signer,
    /// Making seals: signing the seal structure itself.
    SealMaker,
    LicenceIssuer,
    TimeStamping,
    TlsServer,
    TlsClient,
    CrlIssuer,
}

/// Most authorities between leaf and anchor unless the caller says otherwise; real chains have one to three.
pub const DEFAULT_DEPTH: usize = 6;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub leaf: &'a Certificate,
    /// From the package, the handshake, configuration: nothing in here is trusted.
    pub intermediates: &'a [Certificate],
    /// Authorities trusted for this purpose, or certificates trusted directly: the leaf itself may be among them.
    pub anchors: &'a [Certificate],
    pub purpose: Purpose,
    /// The time the question is about: now for TLS, the signing time for documents.
    pub at: UnixMillis,
    pub crls: &'a [Crl],
    pub ocsp: &'a [Response],
    pub revocation: Revocation,
    /// Which algorithms and keys count, asked at `at`.
    pub strengths: &'a Strengths,
}

/// A certificate with its way to an anchor.
#[derive(Clone, Debug)]
pub struct Path {
    /// Leaf first, anchor last; only the leaf when it is itself an anchor.
    pub chain: Vec<Certificate>,
    /// What is known about the revocation of each certificate below the anchor, in the same order.
    pub statuses: Vec<Status>,
}

/// The best chain there is, and everything that speaks against it: for reports that tell more than one reason.
#[derive(Clone, Debug)]
pub struct Survey {
    pub path: Path,
    /// In the order of examination; none when [`judge`] would say yes.
    pub faults: Vec<Fault>,
}

/// Finds a path and judges it, with at most [`DEFAULT_DEPTH`] authorities between leaf and anchor.
///
/// # Errors
/// The most telling failure of all chains tried; [`PathError::TooMuchWork`] when the bounds end the search before any.
pub fn judge(question: &Question<'_>) -> Result<Path, PathError> {
    judge_within(question, DEFAULT_DEPTH)
}

/// [`judge`] with at most `depth` authorities between leaf and anchor.
pub fn judge_within(question: &Question<'_>, depth: usize) -> Result<Path, PathError> {
    let survey = search(question, depth, question.at)?;
    match survey.faults.into_iter().next() {
        None => Ok(survey.path),
        Some(fault) => Err(fault.error),
    }
}

/// Finds the best chain and tells all that speaks against it. Dates and revocation are judged at `question.at`; the age
/// of revocation data is that at `known_at`, the time of validation.
///
/// # Errors
/// When no chain reaches an anchor.
pub fn survey(question: &Question<'_>, known_at: UnixMillis) -> Result<Survey, PathError> {
    search(question, DEFAULT_DEPTH, known_at)
}
