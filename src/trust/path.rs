//! From a certificate to an anchor, for one purpose, at one time, with its status.

use super::certificate::{AltName, Certificate, KeyUsage};
use super::crl::Crl;
use crate::terms::UnixMillis;

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs documents, seals, case files.
    Signer,
    SealMaker,
    TimeStamping,
    TlsServer,
    TlsClient,
}

impl Purpose {
    /// The extended key usage it needs, where one is needed at all.
    fn extended(self) -> Option<&'static str> {
        match self {
            Self::Signer | Self::SealMaker => None,
            Self::TimeStamping => Some("1.3.6.1.5.5.7.3.8"),
            Self::TlsServer => Some("1.3.6.1.5.5.7.3.1"),
            Self::TlsClient => Some("1.3.6.1.5.5.7.3.2"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Unknown is not valid.
    Require,
    IfAvailable,
    Ignore,
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub leaf: &'a Certificate,
    pub intermediates: &'a [Certificate],
    /// Authorities, or certificates trusted directly.
    pub anchors: &'a [Certificate],
    pub purpose: Purpose,
    pub at: UnixMillis,
    pub crls: &'a [Crl],
    pub revocation: Revocation,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("no anchors are configured")]
    NoAnchors,
    #[error("no chain from {0} to an anchor")]
    NoChain(String),
    #[error("{certificate}: {why}")]
    Constraint { certificate: String, why: &'static str },
    #[error("{certificate}: not valid at {at}")]
    Validity { certificate: String, at: UnixMillis },
    #[error("{certificate}: revoked at {since}")]
    Revoked { certificate: String, since: UnixMillis },
    #[error("{0}: no fresh revocation data")]
    NoStatus(String),
}

/// The status of one certificate of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub certificate: String,
    /// Seconds since the list was made; `None` when nothing was known.
    pub age_s: Option<i64>,
}

/// A certificate with its way to an anchor; leaf first, anchor last.
#[derive(Clone, Debug)]
pub struct Path {
    pub chain: Vec<Certificate>,
    pub statuses: Vec<Status>,
}

/// Longest chain, and most signature checks for one question: a hostile set of certificates must not keep us busy.
const DEPTH: usize = 8;
const CHECKS: usize = 64;

/// Finds a path and judges it.
///
/// # Errors
/// The reason of the first candidate path that failed a rule, or [`PathError::NoChain`] when there is no candidate.
pub fn judge(question: &Question<'_>) -> Result<Path, PathError> {
    if question.anchors.is_empty() {
        return Err(PathError::NoAnchors);
    }
    let mut search = Search { question, checks: CHECKS, failure: None };
    let mut chain = vec![question.leaf];
    match search.extend(&mut chain) {
        Some(path) => Ok(path),
        None => Err(search.failure.unwrap_or_else(|| PathError::NoChain(question.leaf.subject_text()))),
    }
}

struct Search<'q, 'a> {
    question: &'q Question<'a>,
    checks: usize,
    failure: Option<PathError>,
}

impl<'a> Search<'_, 'a> {
    fn extend(&mut self, chain: &mut Vec<&'a Certificate>) -> Option<Path> {
        let last = chain[chain.len() - 1];
        if self.question.anchors.iter().any(|a| a.der() == last.der()) {
            match check(self.question, chain) {
                Ok(statuses) => return Some(Path { chain: chain.iter().map(|c| (*c).clone()).collect(), statuses }),
                Err(why) => {
                    self.failure.get_or_insert(why);
                    return None;
                }
            }
        }
        if chain.len() == DEPTH {
            return None;
        }
        let (anchors, between) = (self.question.anchors, self.question.intermediates);
        for candidate in anchors.iter().chain(between) {
            let key_named = match (&last.extensions.authority_key_id, &candidate.extensions.subject_key_id) {
                (Some(wanted), Some(has)) => wanted == has,
                _ => true,
            };
            let fits =
                candidate.subject() == last.issuer() && key_named && chain.iter().all(|c| c.der() != candidate.der());
            if !fits || self.checks == 0 {
                continue;
            }
            self.checks -= 1;
            if last.signed_by(candidate).is_err() {
                continue;
            }
            chain.push(candidate);
            if let Some(path) = self.extend(chain) {
                return Some(path);
            }
            chain.pop();
        }
        None
    }
}

/// Judges a complete chain.
fn check(question: &Question<'_>, chain: &[&Certificate]) -> Result<Vec<Status>, PathError> {
    let leaf = chain[0];
    let wrong = |c: &Certificate, why| Err(PathError::Constraint { certificate: c.subject_text(), why });
    for certificate in chain {
        if !certificate.valid_at(question.at) {
            return Err(PathError::Validity { certificate: certificate.subject_text(), at: question.at });
        }
        if !certificate.extensions.unknown_critical.is_empty() {
            return wrong(certificate, "a critical extension that is not understood");
        }
    }
    let signs = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
    if leaf.extensions.key_usage.is_some_and(|ku| !ku.has(signs)) {
        return wrong(leaf, "key usage does not allow signing");
    }
    if let Some(needed) = question.purpose.extended() {
        let named = leaf.extensions.extended_key_usage.as_ref().is_some_and(|all| all.iter().any(|o| o == needed));
        if !named {
            return wrong(leaf, "extended key usage does not name this purpose");
        }
        if leaf.is_ca() {
            return wrong(leaf, "an authority's certificate where an end entity's must be");
        }
    }
    for (below, authority) in chain.iter().skip(1).enumerate() {
        match authority.extensions.basic_constraints {
            Some((true, None)) => {}
            Some((true, Some(longest))) if below as u64 <= longest => {}
            Some((true, Some(_))) => return wrong(authority, "the chain below is longer than allowed"),
            _ => return wrong(authority, "not an authority"),
        }
        if authority.extensions.key_usage.is_some_and(|ku| !ku.has(KeyUsage::KEY_CERT_SIGN)) {
            return wrong(authority, "key usage does not allow signing certificates");
        }
        if let Some(constraints) = &authority.extensions.name_constraints
            && !chain[..=below].iter().all(|c| names_fit(c, &constraints.permitted, &constraints.excluded))
        {
            return wrong(authority, "a name below is outside its name constraints");
        }
    }
    statuses(question, chain)
}

/// Names of kinds the constraints speak of must lie inside permitted and outside excluded trees. A constraint on a kind
/// we cannot compare fails, rather than being passed over.
fn names_fit(certificate: &Certificate, permitted: &[AltName], excluded: &[AltName]) -> bool {
    let all = || permitted.iter().chain(excluded);
    if all().any(|c| matches!(c, AltName::Other)) {
        return false;
    }
    certificate.extensions.alt_names.iter().all(|name| {
        let of_kind: Vec<_> =
            permitted.iter().filter(|p| std::mem::discriminant(*p) == std::mem::discriminant(name)).collect();
        (of_kind.is_empty() || of_kind.iter().any(|tree| inside(name, tree)))
            && !excluded.iter().any(|tree| inside(name, tree))
    })
}

fn inside(name: &AltName, tree: &AltName) -> bool {
    let domain = |name: &str, tree: &str| {
        let (name, tree) = (name.to_ascii_lowercase(), tree.to_ascii_lowercase());
        match tree.strip_prefix('.') {
            Some(parent) => name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
            None => name == tree || name.strip_suffix(&tree).is_some_and(|rest| tree.is_empty() || rest.ends_with('.')),
        }
    };
    match (name, tree) {
        (AltName::Dns(name), AltName::Dns(tree)) => domain(name, tree),
        (AltName::Uri(name), AltName::Uri(tree)) => {
            let host =
                name.split_once("://").map_or("", |(_, rest)| rest.split(['/', ':', '?', '#']).next().unwrap_or(""));
            // RFC 5280: without a leading dot exactly that host.
            if tree.starts_with('.') { domain(host, tree) } else { host.eq_ignore_ascii_case(tree) }
        }
        (AltName::Email(name), AltName::Email(tree)) => match (name.split_once('@'), tree.contains('@')) {
            (_, true) => name == tree,
            (Some((_, host)), false) if tree.starts_with('.') => domain(host, tree),
            (Some((_, host)), false) => host.eq_ignore_ascii_case(tree),
            (None, false) => false,
        },
        (AltName::Ip(name), AltName::Ip(tree)) if tree.len() == 2 * name.len() => {
            let (net, mask) = tree.split_at(name.len());
            name.iter().zip(net).zip(mask).all(|((n, t), m)| n & m == t & m)
        }
        _ => false,
    }
}

fn statuses(question: &Question<'_>, chain: &[&Certificate]) -> Result<Vec<Status>, PathError> {
    if question.revocation == Revocation::Ignore {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    // The anchor answers for itself; a leaf trusted directly has no issuer here to ask.
    for pair in chain.windows(2) {
        let (certificate, issuer) = (pair[0], pair[1]);
        let lists = question.crls.iter().filter(|crl| crl.is_by(issuer).unwrap_or(false));
        let mut newest: Option<&Crl> = None;
        for list in lists {
            if let Some(entry) = list.entry(certificate.serial())
                && entry.at <= question.at
            {
                return Err(PathError::Revoked { certificate: certificate.subject_text(), since: entry.at });
            }
            let usable = list.partial().is_none() && list.this_update() <= question.at;
            if usable && newest.is_none_or(|n| n.this_update() < list.this_update()) {
                newest = Some(list);
            }
        }
        let fresh = newest.filter(|list| list.next_update().is_none_or(|next| question.at <= next));
        if fresh.is_none() && question.revocation == Revocation::Require {
            return Err(PathError::NoStatus(certificate.subject_text()));
        }
        let age_s = fresh.map(|list| question.at.seconds() - list.this_update().seconds());
        all.push(Status { certificate: certificate.subject_text(), age_s });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    const DAY_MS: i64 = 86_400_000;
    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    struct Made {
        key: SigningKey,
        certificate: Certificate,
    }

    fn make(by: Option<&Made>, algorithm: SignatureAlgorithm, cn: &str, purpose: Use, days: (i64, i64)) -> Made {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let subject = Subject::named(cn, "test");
        let spki = key.public_key().to_spki();
        let issuer = match by {
            None => Issuer::root(&key, &subject),
            Some(by) => Issuer::of(&by.key, &by.certificate),
        };
        let (from, to) = (UnixMillis(NOW.0 + days.0 * DAY_MS), UnixMillis(NOW.0 + days.1 * DAY_MS));
        let der = issue::certificate(&issuer, &subject, &spki, purpose, from, to).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        Made { key, certificate }
    }

    fn ask(leaf: &Made, between: &[&Made], anchor: &Made, purpose: Purpose) -> Result<Path, PathError> {
        let between: Vec<_> = between.iter().map(|m| m.certificate.clone()).collect();
        judge(&Question {
            leaf: &leaf.certificate,
            intermediates: &between,
            anchors: std::slice::from_ref(&anchor.certificate),
            purpose,
            at: NOW,
            crls: &[],
            revocation: Revocation::IfAvailable,
        })
    }

    #[test]
    fn chains_of_both_suites_and_what_breaks_them() {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3] {
            let year = (-1, 365);
            let root = make(None, algorithm, "root", Use::Root, year);
            let middle = make(Some(&root), algorithm, "middle", Use::Intermediate(0), year);
            let leaf = make(Some(&middle), algorithm, "leaf", Use::Signer, year);
            assert_eq!(ask(&leaf, &[&middle], &root, Purpose::Signer).unwrap().chain.len(), 3);
            assert!(matches!(ask(&leaf, &[], &root, Purpose::Signer), Err(PathError::NoChain(_))));
            let lookalike = make(None, algorithm, "root", Use::Root, year);
            assert!(matches!(ask(&leaf, &[&middle], &lookalike, Purpose::Signer), Err(PathError::NoChain(_))));
            assert!(matches!(ask(&leaf, &[&middle], &root, Purpose::TlsServer), Err(PathError::Constraint { .. })));
            let deep = make(Some(&middle), algorithm, "deep", Use::Intermediate(0), year);
            let under = make(Some(&deep), algorithm, "under", Use::Signer, year);
            assert!(matches!(
                ask(&under, &[&middle, &deep], &root, Purpose::Signer),
                Err(PathError::Constraint { .. })
            ));
            let forged = make(Some(&leaf), algorithm, "forged", Use::Signer, year);
            assert!(matches!(
                ask(&forged, &[&middle, &leaf], &root, Purpose::Signer),
                Err(PathError::Constraint { .. })
            ));
            let past = make(Some(&root), algorithm, "past", Use::Signer, (-30, -2));
            assert!(matches!(ask(&past, &[], &root, Purpose::Signer), Err(PathError::Validity { .. })));
            assert!(ask(&leaf, &[], &leaf, Purpose::Signer).is_ok(), "a certificate trusted directly");
        }
    }

    #[test]
    fn unknown_is_not_valid_and_revoked_is_revoked() {
        let sm2 = SignatureAlgorithm::Sm2Sm3;
        let root = make(None, sm2, "root", Use::Root, (-1, 365));
        let namesake = make(None, sm2, "root", Use::Root, (-1, 365));
        let leaf = make(Some(&root), sm2, "leaf", Use::Signer, (-1, 365));
        let list = |by: &Made, revoked: bool, made: i64, next: i64| {
            let entry = (leaf.certificate.serial().to_vec(), UnixMillis(NOW.0 - DAY_MS));
            let entries = if revoked { vec![entry] } else { vec![] };
            let issuer = Issuer::of(&by.key, &by.certificate);
            let (this, next) = (UnixMillis(NOW.0 + made * DAY_MS), UnixMillis(NOW.0 + next * DAY_MS));
            Crl::parse(&issue::crl(&issuer, &entries, 1, this, next).unwrap()).unwrap()
        };
        for (crls, want) in [
            (vec![], "NoStatus"),
            (vec![list(&root, false, -1, 1)], "ok"),
            (vec![list(&root, false, -3, -1)], "NoStatus"), // out of date
            (vec![list(&root, true, -1, 1)], "Revoked"),
            (vec![list(&root, true, -3, -1), list(&root, false, -1, 1)], "Revoked"),
            (vec![list(&namesake, true, -1, 1), list(&root, false, -1, 1)], "ok"), // a namesake's list counts for nothing
        ] {
            let got = judge(&Question {
                leaf: &leaf.certificate,
                intermediates: &[],
                anchors: std::slice::from_ref(&root.certificate),
                purpose: Purpose::Signer,
                at: NOW,
                crls: &crls,
                revocation: Revocation::Require,
            });
            let got = match got {
                Ok(_) => "ok",
                Err(PathError::Revoked { .. }) => "Revoked",
                Err(PathError::NoStatus(_)) => "NoStatus",
                Err(_) => "other",
            };
            assert_eq!(got, want, "{} lists", crls.len());
        }
    }
}
