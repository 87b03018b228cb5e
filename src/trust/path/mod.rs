//! From a certificate to an anchor: is it trusted, for this purpose, at this time, and is it revoked?
//!
//! ```text
//!  leaf ─▶ issuers by name, then by signature ─▶ … ─▶ anchor      (bounded: depth, signatures, comparisons)
//!                                                       │ every complete chain
//!            dates · authority bits · depth · names · purpose · revocation
//!                                                       │
//!                 judge ─▶ Path │ the most telling PathError       survey ─▶ the best chain, all that speaks against it
//! ```
//! RFC 5280 §6 for all suites alike; a chain may mix them. For TLS the stricter rules of [`strict`] come on top, because
//! the library that checks handshakes is lenient there. Outcomes carry the words of ETSI EN 319 102-1.

mod names;
mod revocation;
mod strict;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use names::speaks_for;
pub use revocation::{Revocation, Status};

use super::certificate::{Certificate, KeyUsage};
use super::crl::Crl;
use super::name;
use super::ocsp::Response;
use super::suite::{Strengths, SuiteError, Weakness};
use crate::terms::{Explain, Next, Told, UnixMillis, refusal::tolds};

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
/// Most signature checks of one question: about 10 ms with ECDSA, 30 ms with SM2.
const MOST_SIGNATURES: u32 = 100;
/// Most comparisons of a name with a constraint.
const MOST_COMPARISONS: u32 = 100_000;

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
    fn weight(&self) -> u8 {
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

/// What one question may still cost.
struct Work {
    signatures: u32,
    comparisons: u32,
}

/// The bounds are reached.
struct Exhausted;

impl Work {
    fn signature(&mut self) -> Result<(), Exhausted> {
        self.signatures = self.signatures.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    fn comparison(&mut self) -> Result<(), Exhausted> {
        self.comparisons = self.comparisons.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }
}

/// A chain that does not hold, or a search that has to end.
enum Stop {
    Work,
    No(PathError),
}

impl From<Exhausted> for Stop {
    fn from(_: Exhausted) -> Self {
        Self::Work
    }
}

fn no<T>(certificate: &Certificate, rule: Rule, why: &'static str) -> Result<T, Stop> {
    Err(Stop::No(PathError::Constraint { certificate: certificate.subject_text(), rule, why }))
}

/// Finds a path and judges it, with at most [`DEFAULT_DEPTH`] authorities between leaf and anchor.
///
/// # Errors
/// The most telling failure of all chains tried; [`PathError::TooMuchWork`] when the bounds end the search.
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

/// The best complete chain, or why there is none.
fn search(question: &Question<'_>, depth: usize, known_at: UnixMillis) -> Result<Survey, PathError> {
    if question.anchors.is_empty() {
        return Err(PathError::NoAnchors);
    }
    let leaf = question.leaf;
    let mut search = Search {
        question,
        depth,
        known_at,
        work: Work { signatures: MOST_SIGNATURES, comparisons: MOST_COMPARISONS },
        chain: vec![leaf],
        best: None,
        no_chain: None,
    };
    let ended = if question.anchors.iter().any(|anchor| anchor.der() == leaf.der()) {
        search.complete().map(|_| ())
    } else {
        search.extend().map(|_| ())
    };
    match ended {
        Ok(()) => {
            let no_chain = || search.no_chain.unwrap_or_else(|| PathError::NoChain(leaf.subject_text()));
            search.best.ok_or_else(no_chain)
        }
        Err(Exhausted) => Err(PathError::TooMuchWork(leaf.subject_text())),
    }
}

struct Search<'a, 'q> {
    question: &'q Question<'a>,
    depth: usize,
    known_at: UnixMillis,
    work: Work,
    /// Leaf first.
    chain: Vec<&'a Certificate>,
    best: Option<Survey>,
    /// Why there is none, where it is more than that no issuer is known.
    no_chain: Option<PathError>,
}

impl Search<'_, '_> {
    /// Extends the chain by every possible issuer, anchors first, until one chain holds: then `true`.
    fn extend(&mut self) -> Result<bool, Exhausted> {
        let last = self.chain[self.chain.len() - 1];
        let question = self.question;
        let anchors = question.anchors.iter().map(|c| (c, true));
        let others = question.intermediates.iter().map(|c| (c, false));
        for (issuer, anchor) in anchors.chain(others) {
            // An authority is counted once it stands between leaf and anchor.
            let too_deep = !anchor && self.chain.len() > self.depth;
            if too_deep || !names_fit(last, issuer) || self.chain.iter().any(|c| same_authority(c, issuer)) {
                continue;
            }
            self.work.signature()?;
            match last.signed_by(issuer) {
                Ok(()) => {}
                // Same name, other key: a namesake is no issuer.
                Err(SuiteError::Signature | SuiteError::Key) => continue,
                Err(error) => {
                    self.no_chain = Some(PathError::Suite { certificate: last.subject_text(), error });
                    continue;
                }
            }
            self.chain.push(issuer);
            let holds = if anchor { self.complete()? } else { self.extend()? };
            self.chain.pop();
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Judges a chain that reaches an anchor, and keeps it if it is the best so far; `true` when nothing speaks against it.
    fn complete(&mut self) -> Result<bool, Exhausted> {
        let (faults, statuses) = self.faults()?;
        let holds = faults.is_empty();
        let rank = |faults: &[Fault]| faults.iter().map(|f| f.error.weight()).min().unwrap_or(u8::MAX);
        if self.best.as_ref().is_none_or(|best| rank(&faults) > rank(&best.faults)) {
            let chain = self.chain.iter().map(|c| (*c).clone()).collect();
            self.best = Some(Survey { path: Path { chain, statuses }, faults });
        }
        Ok(holds)
    }

    /// What speaks against the chain, and what is known of revocation.
    fn faults(&mut self) -> Result<(Vec<Fault>, Vec<Status>), Exhausted> {
        let question = self.question;
        let mut faults = Vec::new();
        for (place, certificate) in self.chain.iter().enumerate() {
            if !certificate.valid_at(question.at) {
                let error = PathError::Validity { certificate: certificate.subject_text(), at: question.at };
                faults.push(Fault { place, error });
            }
            if place > 0 {
                faults.extend(fault(place, understood(certificate))?);
            }
            faults.extend(self.weak(place, certificate).map(|error| Fault { place, error }));
        }
        faults.extend(fault(0, leaf(question.leaf, question.purpose, self.chain.len() == 1))?);
        let (place, held) = authorities(&self.chain, question.purpose);
        faults.extend(fault(place, held)?);
        if matches!(question.purpose, Purpose::TlsServer | Purpose::TlsClient) {
            faults.extend(fault(0, strict::check(&self.chain))?);
        }
        faults.extend(fault(0, names::check(&self.chain, &mut self.work))?);
        let statuses = revocation::statuses(&self.chain, question, self.known_at, &mut self.work)?;
        faults.extend(revocation::faults(&statuses, question));
        Ok((faults, statuses))
    }

    /// Whether a certificate's key, or the signature on it, is too weak at the time asked about. An anchor's own signature is
    /// not looked at: it is trusted by decision.
    fn weak(&self, place: usize, certificate: &Certificate) -> Option<PathError> {
        let (strengths, at) = (self.question.strengths, self.question.at);
        // What is no key, or is signed by what is not known here, is told elsewhere.
        let key = certificate.public_key().map_or(Ok(()), |key| strengths.key(&key, at));
        let signed = certificate.algorithm().ok().filter(|_| place + 1 < self.chain.len());
        let signed = signed.map_or(Ok(()), |algorithm| strengths.signature(algorithm, at));
        let weakness = key.and(signed).err()?;
        Some(PathError::Weak { certificate: certificate.subject_text(), weakness })
    }
}

fn fault(place: usize, held: Result<(), Stop>) -> Result<Option<Fault>, Exhausted> {
    match held {
        Ok(()) => Ok(None),
        Err(Stop::No(error)) => Ok(Some(Fault { place, error })),
        Err(Stop::Work) => Err(Exhausted),
    }
}

/// Key identifiers equal where both are given, and the issuer's name.
fn names_fit(child: &Certificate, issuer: &Certificate) -> bool {
    const EMPTY_NAME: [u8; 2] = [0x30, 0];
    let keys = match (&child.extensions.authority_key_id, &issuer.extensions.subject_key_id) {
        (Some(named), Some(own)) => named == own,
        _ => true,
    };
    keys && child.issuer() != EMPTY_NAME && name::same(child.issuer(), issuer.subject())
}

/// The same name with the same key adds nothing to a chain but length.
fn same_authority(a: &Certificate, b: &Certificate) -> bool {
    name::same(a.subject(), b.subject()) && a.spki() == b.spki()
}

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
const ANY_USE: &str = "2.5.29.37.0";
/// Uses that have nothing to do with papers.
const NO_PAPERS: [&str; 3] = [SERVER_AUTH, TIME_STAMPING, super::ocsp::OCSP_SIGNING];

/// The extended use a purpose needs, if it needs one.
fn extended_use(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::TlsServer => Some(SERVER_AUTH),
        Purpose::TlsClient => Some(CLIENT_AUTH),
        Purpose::TimeStamping => Some(TIME_STAMPING),
        Purpose::Signer | Purpose::SealMaker | Purpose::LicenceIssuer | Purpose::CrlIssuer => None,
    }
}

/// May a certificate do what it is asked about, wherever it comes from? Part of [`judge`] and [`survey`].
///
/// # Errors
/// [`PathError::Constraint`], or [`PathError::Suite`] for a key that is none.
pub fn fit(certificate: &Certificate, purpose: Purpose) -> Result<(), PathError> {
    leaf(certificate, purpose, false).map_err(|stop| match stop {
        Stop::No(error) => error,
        Stop::Work => PathError::TooMuchWork(certificate.subject_text()),
    })
}

fn understood(certificate: &Certificate) -> Result<(), Stop> {
    if certificate.extensions.unknown_critical.is_empty() {
        Ok(())
    } else {
        no(certificate, Rule::Critical, "a critical extension that is not understood")
    }
}

/// `anchor` tells whether it is trusted for itself.
fn leaf(leaf: &Certificate, purpose: Purpose, anchor: bool) -> Result<(), Stop> {
    understood(leaf)?;
    let signs_papers = matches!(purpose, Purpose::Signer | Purpose::SealMaker | Purpose::LicenceIssuer);
    // Real seal certificates carry more bits than they need: what counts is that a signing bit is among them. The
    // encipherment half of a dual pair has none.
    let bits = match purpose {
        Purpose::CrlIssuer => KeyUsage::CRL_SIGN,
        Purpose::TlsServer | Purpose::TlsClient => KeyUsage::DIGITAL_SIGNATURE,
        _ => KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION,
    };
    if leaf.extensions.key_usage.is_some_and(|usage| !usage.has(bits)) {
        return no(leaf, Rule::KeyUsage, "a key that is not for signing");
    }
    if let Some(wanted) = extended_use(purpose) {
        let uses = leaf.extensions.extended_key_usage.as_deref().unwrap_or_default();
        if !uses.iter().any(|u| u == wanted) {
            return no(leaf, Rule::Purpose, "a certificate that is not for this purpose");
        }
    }
    // Signers' certificates say nothing of their use, or name mail, clients, documents or codes of their maker's own:
    // ETSI EN 319 412 asks for none. What is for other ends only signs no papers.
    if let (true, Some(uses)) = (signs_papers, &leaf.extensions.extended_key_usage)
        && uses.iter().all(|u| NO_PAPERS.contains(&u.as_str()))
    {
        return no(leaf, Rule::Purpose, "a certificate that is for another purpose only");
    }
    if leaf.extensions.name_constraints.is_some() && !leaf.is_ca() {
        return no(leaf, Rule::Names, "name constraints in a certificate that is no authority");
    }
    // Who made a certificate for itself often called itself an authority: where it is trusted for itself, nobody is misled.
    if leaf.is_ca() && (purpose == Purpose::TimeStamping || signs_papers && !anchor) {
        return no(leaf, Rule::Authority, "an authority's certificate where an end entity's must be");
    }
    match leaf.public_key() {
        Ok(_) => Ok(()),
        Err(error) => Err(Stop::No(PathError::Suite { certificate: leaf.subject_text(), error })),
    }
}

/// May the authorities above it issue what they issued? If not, which cannot, and why.
///
/// The anchor's own bits count only for TLS: elsewhere an anchor is trusted by decision, and real roots lack some of them.
/// But a certificate that is trusted for itself does not become an authority by that: it must say that it is one, or be
/// a root of the time before certificates could.
fn authorities(chain: &[&Certificate], purpose: Purpose) -> (usize, Result<(), Stop>) {
    let tls = matches!(purpose, Purpose::TlsServer | Purpose::TlsClient);
    let mut below = 0; // authorities between this one and the leaf, self-issued ones not counted (§6.1.4 (l))
    for (n, authority) in chain.iter().enumerate().skip(1) {
        let anchor = n + 1 == chain.len();
        let extensions = &authority.extensions;
        let (ca, depth) = extensions.basic_constraints.unwrap_or((false, None));
        let self_issued = name::same(authority.subject(), authority.issuer());
        let old_root = anchor && !tls && self_issued && authority.version() < 3;
        if !ca && !old_root {
            return (n, no(authority, Rule::Authority, "an issuer that is no authority"));
        }
        if extensions.key_usage.is_some_and(|usage| !usage.has(KeyUsage::KEY_CERT_SIGN)) && (tls || !anchor) {
            return (n, no(authority, Rule::KeyUsage, "an authority whose key is not for certificates"));
        }
        if depth.is_some_and(|most| below > most) {
            return (n, no(authority, Rule::Authority, "more authorities than one above allows"));
        }
        if let (Some(wanted), Some(uses), false) = (extended_use(purpose), &extensions.extended_key_usage, anchor)
            && !uses.iter().any(|u| u == wanted || u == ANY_USE)
        {
            return (n, no(authority, Rule::Purpose, "an authority that is not for this purpose"));
        }
        if !self_issued {
            below += 1;
        }
    }
    (0, Ok(()))
}
