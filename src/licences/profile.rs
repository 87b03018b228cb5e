//! What is trusted, what is known, and how strict to be: the policy of an examination, as one value.

use std::sync::Arc;

use super::report::TimeBasis;
use super::sdjwt::{Binding, IssuerKey, StatusList};
use crate::formats::zip;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::TrustList;
use crate::trust::ocsp::Response;
use crate::trust::suite::Strengths;

pub use crate::trust::path::Revocation;

/// What must be covered by a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverageRule {
    /// All files, save the signatures' own and the OFD.xml of a package of one document (three of ten producers leave
    /// it out).
    Protect,
    /// OFD.xml too.
    Strict,
}

/// Certificates trusted, each set for one purpose.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Issuers of seal and signature certificates, or such certificates themselves.
    pub signers: Vec<Certificate>,
    /// Seal makers, or their issuers. A list of makers is a set of their own certificates.
    pub makers: Vec<Certificate>,
    /// Time-stamp authorities.
    pub tsas: Vec<Certificate>,
}

/// The policy of an examination. All of it is data: nothing is fetched.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Trusted without limits.
    pub anchors: Anchors,
    /// Trusted for what the list says, where, and from when until when: what was trusted at the time that is judged by.
    pub trust: Arc<TrustList>,
    /// Certificates that may help to build a chain; not trusted by themselves.
    pub intermediates: Vec<Certificate>,
    pub crls: Vec<Crl>,
    /// Answers about single certificates (OCSP), fetched or archived.
    pub ocsp: Vec<Response>,
    /// Keys of issuers of credentials, for those that bring no certificates.
    pub issuer_keys: Vec<IssuerKey>,
    /// What issuers of credentials say of them now.
    pub status_lists: Vec<StatusList>,
    /// What is asked of the holder of a credential.
    pub binding: Binding,
    /// Time of validation.
    pub at: UnixMillis,
    pub time_basis: TimeBasis,
    pub coverage: CoverageRule,
    pub revocation: Revocation,
    /// Lists and answers older than this, in seconds, are stale whatever their own period; no bound when absent.
    pub status_max_age_s: Option<i64>,
    /// Which algorithms and keys count, and until when.
    pub strengths: Strengths,
    pub zip: zip::Limits,
}

impl Profile {
    /// Nobody is trusted; time-stamps prove time, OFD.xml may be uncovered, revocation is judged where data are at hand.
    pub fn new(at: UnixMillis) -> Self {
        Self {
            anchors: Anchors::default(),
            trust: Arc::default(),
            intermediates: Vec::new(),
            crls: Vec::new(),
            ocsp: Vec::new(),
            issuer_keys: Vec::new(),
            status_lists: Vec::new(),
            binding: Binding::default(),
            at,
            time_basis: TimeBasis::TimeStamp,
            coverage: CoverageRule::Protect,
            revocation: Revocation::IfAvailable,
            status_max_age_s: None,
            strengths: Strengths::default(),
            zip: zip::Limits::default(),
        }
    }

    /// The same, for a register that must be asked: unknown is not valid.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.coverage = CoverageRule::Strict;
        self.revocation = Revocation::Require;
        self
    }
}
