//! From a certificate to an anchor: issuers by name, then by signature, within bounds; the best complete chain is kept.

use super::allowed::{authorities, leaf, understood};
use super::{Fault, Path, PathError, Purpose, Question, Rule, Status, Survey, names, revocation, strict};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::name;
use crate::trust::suite::SuiteError;

/// Most signature checks of one question: about 10 ms with ECDSA, 30 ms with SM2.
pub(super) const MOST_SIGNATURES: u32 = 100;
/// Most comparisons of a name with a constraint.
const MOST_COMPARISONS: u32 = 100_000;

/// What one question may still cost.
pub(super) struct Work {
    signatures: u32,
    comparisons: u32,
}

/// The bounds are reached.
pub(super) struct Exhausted;

impl Work {
    pub fn signature(&mut self) -> Result<(), Exhausted> {
        self.signatures = self.signatures.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    pub fn comparison(&mut self) -> Result<(), Exhausted> {
        self.comparisons = self.comparisons.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }
}

/// A chain that does not hold, or a search that has to end.
pub(super) enum Stop {
    Work,
    No(PathError),
}

impl From<Exhausted> for Stop {
    fn from(_: Exhausted) -> Self {
        Self::Work
    }
}

pub(super) fn no<T>(certificate: &Certificate, rule: Rule, why: &'static str) -> Result<T, Stop> {
    Err(Stop::No(PathError::Constraint { certificate: certificate.subject_text(), rule, why }))
}

/// The best complete chain, or why there is none.
pub(super) fn search(question: &Question<'_>, depth: usize, known_at: UnixMillis) -> Result<Survey, PathError> {
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
        // A complete chain was found, and what speaks against it: that tells more than that the search for a better one had to end.
        Err(Exhausted) => search.best.ok_or_else(|| PathError::TooMuchWork(leaf.subject_text())),
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
        let mut tried: Vec<&[u8]> = Vec::new();
        for (issuer, anchor) in anchors.chain(others) {
            // An authority is counted once it stands between leaf and anchor.
            let too_deep = !anchor && self.chain.len() > self.depth;
            if too_deep || !names_fit(last, issuer) || self.chain.iter().any(|c| same_authority(c, issuer)) {
                continue;
            }
            // However many copies came along, one of them tells all.
            if tried.contains(&issuer.der()) {
                continue;
            }
            tried.push(issuer.der());
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
