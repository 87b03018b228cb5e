//! What can speak against a chain, in the words of ETSI EN 319 102-1, and what the person at the window hears of it.

use crate::terms::{Explain, Next, Told, UnixMillis, refusal::tolds};
use crate::trust::suite::{SuiteError, Weakness};

tolds! {
    /// No chain from a certificate to an anchor of the purpose asked for.
    pub const NO_CHAIN = "TB-TRU-0301", 422,
        "签名证书的颁发机构不在信任列表内，请携带证照原件。",
        "The issuer of the certificate is not on the trust list: bring the original.",
        Next::BringOriginal;
    /// A certificate in the chain is not allowed to do what it does.
    pub const NOT_ALLOWED = "TB-TRU-0302", 422,
        "签名证书的用途或签发权限不符，请携带证照原件。",
        "A certificate is used for something it is not meant for: bring the original.",
        Next::BringOriginal;
    /// Outside its validity.
    pub const OUT_OF_DATE = "TB-TRU-0303", 422,
        "签名证书不在有效期内，请重新签发。",
        "A certificate is not within its validity: have it issued again.",
        Next::BringOriginal;
    /// Revoked.
    pub const REVOKED = "TB-TRU-0304", 422,
        "签名证书已被吊销，请重新签发。",
        "A certificate has been revoked: have it issued again.",
        Next::BringOriginal;
    /// Nobody can say now whether it is revoked.
    pub const STATUS_UNKNOWN = "TB-TRU-0305", 503,
        "暂时无法核实证书是否被吊销，请稍后再试。",
        "Whether a certificate is revoked cannot be told at the moment: try again later.",
        Next::TryLater;
}

/// One thing that speaks against a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Place in the chain; 0 is the leaf.
    pub place: usize,
    pub error: PathError,
}

/// What a certificate keeps to, of a chain that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Key usage: what the key may do (RFC 5280 §4.2.1.3).
    KeyUsage,
    /// Extended key usage: what the certificate is for (§4.2.1.12).
    Purpose,
    /// Who is an authority, and how far down (§4.2.1.9).
    Authority,
    /// Name constraints (§4.2.1.10).
    Names,
    /// Critical extensions, all understood (§4.2).
    Critical,
    /// The profile of certificates for TLS.
    Profile,
}

/// Why there is no chain to rely on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("no anchors are configured")]
    NoAnchors,
    #[error("no chain from {0} to an anchor")]
    NoChain(String),
    #[error("too much work to find a chain from {0}")]
    TooMuchWork(String),
    #[error("{certificate}: {error}")]
    Suite { certificate: String, error: SuiteError },
    /// Known and right, and not taken by policy, or no longer.
    #[error("{certificate}: {weakness}")]
    Weak { certificate: String, weakness: Weakness },
    #[error("{certificate}: {why}")]
    Constraint { certificate: String, rule: Rule, why: &'static str },
    #[error("{certificate}: not valid at {at}")]
    Validity { certificate: String, at: UnixMillis },
    #[error("{certificate}: revoked at {since}")]
    Revoked {
        certificate: String,
        since: UnixMillis,
        /// CRLReason.
        reason: Option<u8>,
        /// An authority of the chain, not the leaf.
        authority: bool,
    },
    #[error("{0}: no fresh revocation data")]
    NoStatus(String),
}

impl PathError {
    /// Sub-indication of ETSI EN 319 102-1 when nothing proves that the signature existed earlier; all are INDETERMINATE.
    pub fn sub_indication(&self) -> &'static str {
        match self {
            Self::NoAnchors | Self::NoChain(_) | Self::TooMuchWork(_) => "NO_CERTIFICATE_CHAIN_FOUND",
            Self::Suite { .. } | Self::Weak { .. } => "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
            Self::Constraint { .. } => "CHAIN_CONSTRAINTS_FAILURE",
            Self::Validity { .. } => "OUT_OF_BOUNDS_NO_POE",
            Self::Revoked { authority: true, .. } => "REVOKED_CA_NO_POE",
            Self::Revoked { authority: false, .. } => "REVOKED_NO_POE",
            Self::NoStatus(_) => "TRY_LATER",
        }
    }

    /// The further a chain got, the more its failure says.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Self::NoAnchors | Self::NoChain(_) => 0,
            Self::Suite { .. } | Self::Weak { .. } => 1,
            Self::Constraint { .. } => 2,
            Self::Validity { .. } => 3,
            Self::NoStatus(_) => 4,
            Self::Revoked { .. } => 5,
            Self::TooMuchWork(_) => 6,
        }
    }
}

impl Explain for PathError {
    fn told(&self) -> &'static Told {
        match self {
            Self::NoAnchors | Self::NoChain(_) | Self::TooMuchWork(_) => &NO_CHAIN,
            Self::Suite { .. } | Self::Weak { .. } | Self::Constraint { .. } => &NOT_ALLOWED,
            Self::Validity { .. } => &OUT_OF_DATE,
            Self::Revoked { .. } => &REVOKED,
            Self::NoStatus(_) => &STATUS_UNKNOWN,
        }
    }
}
