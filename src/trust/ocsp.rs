//! Answers about single certificates (RFC 6960): asked, read, tied to their authority.
//!
//! ```text
//!  request(certificate, issuer) ─▶ responder ─▶ Response::parse ─▶ about(certificate, issuer)
//!                                                                   └─ signed by the issuer, or by one it made for this,
//!                                                                      whose own status must be known unless its issuer waives it
//! ```
//! An answer counts however it came, stapled, archived or fetched, because its signature is verified. "Unknown" is no answer.

use std::ops::Deref;
use std::sync::Arc;

use super::certificate::{Certificate, CertificateError, KeyUsage};
use super::crl::{INVALIDITY_DATE, Revoked};
use super::name;
use super::suite::{self, DigestAlgorithm, Identifier, SignatureAlgorithm, SuiteError};
use crate::formats::der::{DerError, Oid, Reader, tag, write};
use crate::terms::UnixMillis;

const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
pub(super) const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
/// SHA-1 names certificates here and protects nothing; nearly all responders use it.
const SHA1: &str = "1.3.14.3.2.26";
/// ENUMERATED.
const ENUMERATED: u8 = 0x0a;

/// What an answer says of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Good,
    Revoked(Revoked),
    Unknown,
}

/// One answer with its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    algorithm: Oid,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
    pub answer: Answer,
    pub this_update: UnixMillis,
    /// None: newer information is there at any time.
    pub next_update: Option<UnixMillis>,
}

/// A response as received; a copy costs nothing.
#[derive(Clone, Debug)]
pub struct Response(Arc<Basic>);

impl Deref for Response {
    type Target = Basic;
    fn deref(&self) -> &Basic {
        &self.0
    }
}

/// The content of a response.
#[derive(Clone, Debug)]
pub struct Basic {
    /// What is signed, in `der`.
    tbs: std::ops::Range<usize>,
    algorithm: Identifier,
    signature: Vec<u8>,
    pub produced_at: UnixMillis,
    pub answers: Vec<Single>,
    certificates: Vec<Certificate>,
    der: Vec<u8>,
}

/// Most answers and certificates of one response.
const MOST: usize = 100;
/// Most certificates tried for the one that answered: each costs two signature checks.
const MOST_DELEGATES: usize = 4;

/// Who signed an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    Issuer,
    /// A responder that the issuer made for this (§4.2.2.2).
    Delegate(&'a Certificate),
}

impl Response {
    /// Reads an `OCSPResponse`, or the `BasicOCSPResponse` inside one.
    ///
    /// # Errors
    /// Also for a response that says only that there is no answer (tryLater, unauthorized, …).
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let mut outer = Reader::new(der);
        let mut whole = outer.sequence()?;
        outer.done()?;
        if whole.peek() != Some(ENUMERATED) {
            return Ok(Self(Arc::new(basic(der, der)?)));
        }
        if whole.expect(ENUMERATED)?.content != [0] {
            return Err(CertificateError::Form("a responder without an answer"));
        }
        let bytes = whole.expect(tag::context(0))?;
        whole.done()?;
        let mut bytes = bytes.inside().sequence()?;
        if !bytes.oid()?.is(BASIC) {
            return Err(CertificateError::Form("a response of an unknown type"));
        }
        let response = basic(bytes.octet_string()?, der)?;
        bytes.done()?;
        Ok(Self(Arc::new(response)))
    }
}

impl Basic {
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The newest answer about a certificate that its issuer answers for at `at`, and who signed it; `None` when there is
    /// none. Of two in one response that contradict each other, the one that says revoked. Whether a responder is itself revoked is not known here: [`super::path`] asks.
    pub fn about(&self, certificate: &Certificate, issuer: &Certificate, at: UnixMillis) -> Option<(&Single, By<'_>)> {
        let names = |single: &&Single| single.names(certificate, issuer);
        let weight = |single: &&Single| (matches!(single.answer, Answer::Revoked(_)), single.this_update);
        let single = self.answers.iter().filter(names).max_by_key(weight)?;
        Some((single, self.signed_for(issuer, at)?))
    }

    /// The algorithm it was signed with.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, SuiteError> {
        SignatureAlgorithm::from_identifier(&self.algorithm)
    }

    /// Whether the issuer signed, or a responder whose certificate it made for this purpose (§4.2.2.2).
    fn signed_for(&self, issuer: &Certificate, at: UnixMillis) -> Option<By<'_>> {
        let algorithm = self.signature_algorithm().ok()?;
        let signed = |by: &Certificate| by.verify(algorithm, &self.der[self.tbs.clone()], &self.signature).is_ok();
        if signed(issuer) {
            return Some(By::Issuer);
        }
        let delegate = |by: &&Certificate| {
            let extensions = &by.extensions;
            let uses = extensions.extended_key_usage.as_deref().unwrap_or_default();
            let signs = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
            name::same(by.issuer(), issuer.subject())
                && uses.iter().any(|oid| oid == OCSP_SIGNING)
                && extensions.key_usage.is_none_or(|usage| usage.has(signs))
                && extensions.unknown_critical.is_empty()
                && (by.valid_at(at) || by.valid_at(self.produced_at))
        };
        let mut delegates = self.certificates.iter().filter(delegate).take(MOST_DELEGATES);
        delegates.find(|by| signed(by) && by.signed_by(issuer).is_ok()).map(By::Delegate)
    }
}

impl Single {
    /// Whether it could be about a certificate of that number: asked first, since it costs nothing.
    pub fn may_name(&self, serial: &[u8]) -> bool {
        self.serial == serial
    }

    fn names(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let is = |octets: &[u8], hashed: &[u8]| hash(&self.algorithm, octets).is_some_and(|hash| hash == hashed);
        // One name in two spellings has two digests.
        certificate.serial() == self.serial
            && name::same(certificate.issuer(), issuer.subject())
            && (is(issuer.subject(), &self.name_hash) || is(certificate.issuer(), &self.name_hash))
            && is(&issuer.key_bits(), &self.key_hash)
    }
}

fn hash(algorithm: &Oid, octets: &[u8]) -> Option<Vec<u8>> {
    if algorithm.is(SHA1) {
        let sha1 = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
        return Some(ring::digest::digest(sha1, octets).as_ref().to_vec());
    }
    DigestAlgorithm::from_oid(algorithm).ok().map(|algorithm| algorithm.of(octets))
}

/// Reads a `BasicOCSPResponse` that is, or stands in, `all`.
fn basic(octets: &[u8], all: &[u8]) -> Result<Basic, CertificateError> {
    let mut outer = Reader::new(octets);
    let mut whole = outer.sequence()?;
    outer.done()?;
    let tbs = whole.expect(tag::SEQUENCE)?;
    let algorithm = Identifier::read(&mut whole)?;
    let (signature, _) = whole.bit_string()?;
    let mut certificates = Vec::new();
    if let Some(list) = whole.optional(tag::context(0))? {
        let mut list = list.inside().sequence()?;
        while !list.is_empty() && certificates.len() < MOST {
            // One that cannot be read vouches for nothing; another may.
            certificates.extend(Certificate::parse(list.element()?.full).ok());
        }
    }
    whole.done()?;
    let mut inside = tbs.inside();
    if let Some(version) = inside.optional(tag::context(0))?
        && version.inside().small()? != 0
    {
        return Err(CertificateError::Form("a response of an unknown version"));
    }
    // Who answers is told by the signature, whatever the name says.
    inside.element()?;
    let produced_at = inside.time()?;
    let mut list = inside.sequence()?;
    let mut answers = Vec::new();
    while !list.is_empty() {
        if answers.len() == MOST {
            return Err(CertificateError::Form("too many answers"));
        }
        answers.push(single(list.sequence()?)?);
    }
    if let Some(extensions) = inside.optional(tag::context(1))? {
        not_critical(extensions.inside().sequence()?)?;
    }
    inside.done()?;
    let start = tbs.full.as_ptr() as usize - all.as_ptr() as usize;
    Ok(Basic {
        tbs: start..start + tbs.full.len(),
        algorithm,
        signature: suite::restored(signature),
        produced_at,
        answers,
        certificates,
        der: all.to_vec(),
    })
}

fn single(mut one: Reader<'_>) -> Result<Single, CertificateError> {
    let mut id = one.sequence()?;
    let algorithm = Identifier::read(&mut id)?.oid;
    let (name_hash, key_hash) = (id.octet_string()?.to_vec(), id.octet_string()?.to_vec());
    let serial = id.integer()?.to_vec();
    id.done()?;
    let status = one.element()?;
    let mut answer = match status.tag {
        0x80 => Answer::Good,
        0xa1 => {
            let mut info = status.inside();
            let at = info.time()?;
            let reason = match info.optional(tag::context(0))? {
                Some(reason) => reason.inside().expect(ENUMERATED)?.content.first().copied(),
                None => None,
            };
            info.done()?;
            Answer::Revoked(Revoked { serial: serial.clone(), at, reason })
        }
        0x82 => Answer::Unknown,
        _ => return Err(DerError::Value.into()),
    };
    let this_update = one.time()?;
    let next_update = one.optional(tag::context(0))?.map(|next| next.inside().time()).transpose()?;
    if let Some(extensions) = one.optional(tag::context(1))? {
        let invalid = not_critical(extensions.inside().sequence()?)?;
        if let (Answer::Revoked(entry), Some(since)) = (&mut answer, invalid) {
            entry.at = entry.at.min(since);
        }
    }
    one.done()?;
    Ok(Single { algorithm, name_hash, key_hash, serial, answer, this_update, next_update })
}

/// What is critical and not known here might change what an answer means. Gives the invalidityDate, which an answer may have like an
/// entry of a list (RFC 6960 §4.4.5).
fn not_critical(mut list: Reader<'_>) -> Result<Option<UnixMillis>, CertificateError> {
    let mut invalid = None;
    while !list.is_empty() {
        let mut one = list.sequence()?;
        let oid = one.oid()?;
        if one.peek() == Some(tag::BOOLEAN) && one.boolean()? {
            return Err(CertificateError::Form("a critical extension that is not known here"));
        }
        if oid.is(INVALIDITY_DATE) {
            invalid = Reader::new(one.octet_string()?).time().ok();
        }
    }
    Ok(invalid)
}

fn certificate_id(serial: &[u8], issuer: &Certificate) -> Vec<u8> {
    let sha1 = |octets: &[u8]| {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, octets);
        write::octet_string(digest.as_ref())
    };
    write::sequence(&[
        write::sequence(&[write::oid(SHA1), write::null()]),
        sha1(issuer.subject()),
        sha1(&issuer.key_bits()),
        write::tlv(tag::INTEGER, serial),
    ])
}

/// What is sent to a responder (media type `application/ocsp-request`): one question, without a nonce, so that answers may
/// come from a cache.
pub fn request(certificate: &Certificate, issuer: &Certificate) -> Vec<u8> {
    let one = write::sequence(&[certificate_id(certificate.serial(), issuer)]);
    write::sequence(&[write::sequence(&[write::sequence(&[one])])])
}

/// Gives an answer, signed by the issuer itself: test material and small authorities.
///
/// # Errors
/// When signing fails.
pub fn respond(
    issuer: (&dyn super::suite::Signer, &Certificate),
    serial: &[u8],
    answer: &Answer,
    this_update: UnixMillis,
    next_update: UnixMillis,
) -> Result<Vec<u8>, super::suite::SuiteError> {
    respond_by(issuer, issuer.1, serial, answer, (this_update, next_update))
}

/// As [`respond`], by a responder for `issuer`: its certificate goes with the answer.
///
/// # Errors
/// When signing fails.
pub fn respond_by(
    by: (&dyn super::suite::Signer, &Certificate),
    issuer: &Certificate,
    serial: &[u8],
    answer: &Answer,
    period: (UnixMillis, UnixMillis),
) -> Result<Vec<u8>, super::suite::SuiteError> {
    respond_with(by, issuer, serial, answer, period, &[])
}

/// As [`respond_by`], with extensions of the answer, in DER.
fn respond_with(
    (signer, by): (&dyn super::suite::Signer, &Certificate),
    issuer: &Certificate,
    serial: &[u8],
    answer: &Answer,
    (this_update, next_update): (UnixMillis, UnixMillis),
    extensions: &[Vec<u8>],
) -> Result<Vec<u8>, super::suite::SuiteError> {
    let status = match answer {
        Answer::Good => write::tlv(0x80, &[]),
        Answer::Unknown => write::tlv(0x82, &[]),
        Answer::Revoked(entry) => {
            let reason = entry.reason.map(|reason| write::explicit(0, &write::tlv(ENUMERATED, &[reason])));
            write::tlv(0xa1, &[write::generalized_time(entry.at), reason.unwrap_or_default()].concat())
        }
    };
    let single = write::sequence(&[
        certificate_id(serial, issuer),
        status,
        write::generalized_time(this_update),
        write::explicit(0, &write::generalized_time(next_update)),
        if extensions.is_empty() { Vec::new() } else { write::explicit(1, &write::sequence(extensions)) },
    ]);
    signed_by((signer, by), issuer, &[single], this_update)
}

fn signed_by(
    (signer, by): (&dyn super::suite::Signer, &Certificate),
    issuer: &Certificate,
    answers: &[Vec<u8>],
    produced_at: UnixMillis,
) -> Result<Vec<u8>, super::suite::SuiteError> {
    let tbs = write::sequence(&[
        write::explicit(1, by.subject()),
        write::generalized_time(produced_at),
        write::sequence(answers),
    ]);
    let signature = write::bit_string(&signer.sign(&tbs)?);
    let mut basic = vec![tbs, signer.algorithm().identifier(), signature];
    if by != issuer {
        basic.push(write::explicit(0, &write::sequence(&[by.der()])));
    }
    let basic = write::sequence(&basic);
    let bytes = write::sequence(&[write::oid(BASIC), write::octet_string(&basic)]);
    Ok(write::sequence(&[write::tlv(ENUMERATED, &[0]), write::explicit(0, &bytes)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{Signer, SigningKey};

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn made(
        by: Option<(&SigningKey, &Certificate)>,
        algorithm: SignatureAlgorithm,
        purpose: Use,
    ) -> (SigningKey, Certificate) {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let subject = Subject::named(if by.is_some() { "leaf" } else { "root" }, "test");
        let issuer = by.map_or_else(|| Issuer::root(&key, &subject), |(key, cert)| Issuer::of(key, cert));
        let (from, to) = (NOW.plus_seconds(-86_400), NOW.plus_seconds(86_400));
        let spki = key.public_key().to_spki();
        let der = issue::certificate(&issuer, &subject, &spki, purpose, from, to).unwrap();
        (key, Certificate::parse(&der).unwrap())
    }

    #[test]
    fn answers_are_read_as_given_and_only_from_the_issuer() {
        for algorithm in [SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::EcdsaP256Sha256] {
            let (key, root) = made(None, algorithm, Use::Root);
            let (_, leaf) = made(Some((&key, &root)), algorithm, Use::Signer);
            let (other_key, other) = made(None, algorithm, Use::Root);
            let serial = leaf.serial().to_vec();
            let revoked =
                Answer::Revoked(Revoked { serial: serial.clone(), at: NOW.plus_seconds(-60), reason: Some(1) });
            for answer in [Answer::Good, revoked, Answer::Unknown] {
                let give = |key: &SigningKey, cert: &Certificate, serial: &[u8]| {
                    let der = respond((key, cert), serial, &answer, NOW, NOW.plus_seconds(600)).unwrap();
                    Response::parse(&der).unwrap()
                };
                let given = give(&key, &root, &serial);
                let (single, by) = given.about(&leaf, &root, NOW).unwrap();
                assert_eq!(by, By::Issuer);
                let single = single.clone();
                assert_eq!((single.answer, single.this_update), (answer.clone(), NOW));
                assert_eq!(give(&key, &root, &[7]).about(&leaf, &root, NOW), None, "about another certificate");
                assert_eq!(give(&other_key, &root, &serial).about(&leaf, &root, NOW), None, "signed by another");
                assert_eq!(
                    give(&other_key, &other, &serial).about(&leaf, &root, NOW),
                    None,
                    "a namesake of the issuer"
                );
            }
        }
    }

    #[test]
    fn a_revocation_counts_from_the_day_the_key_was_lost() {
        let (key, root) = made(None, SignatureAlgorithm::Sm2Sm3, Use::Root);
        let (_, leaf) = made(Some((&key, &root)), SignatureAlgorithm::Sm2Sm3, Use::Signer);
        let (lost, revoked) = (NOW.plus_seconds(-7_200), NOW.plus_seconds(-60));
        let extension = |oid: &str, critical: bool, value: Vec<u8>| {
            let critical = if critical { write::boolean(true) } else { Vec::new() };
            write::sequence(&[write::oid(oid), critical, write::octet_string(&value)])
        };
        let invalid = |at: UnixMillis| extension(INVALIDITY_DATE, false, write::generalized_time(at));
        let entry = |at| Answer::Revoked(Revoked { serial: leaf.serial().to_vec(), at, reason: Some(1) });
        for (name, answer, extensions, want) in [
            ("nothing more", entry(revoked), vec![], Some(entry(revoked))),
            ("lost before", entry(revoked), vec![invalid(lost)], Some(entry(lost))),
            ("a later day is none", entry(revoked), vec![invalid(NOW)], Some(entry(revoked))),
            (
                "unreadable",
                entry(revoked),
                vec![extension(INVALIDITY_DATE, false, write::octet_string(b"then"))],
                Some(entry(revoked)),
            ),
            (
                "beside another",
                entry(revoked),
                vec![extension("1.2.3", false, vec![5, 0]), invalid(lost)],
                Some(entry(lost)),
            ),
            ("of one that is good", Answer::Good, vec![invalid(lost)], Some(Answer::Good)),
            ("critical and not known", entry(revoked), vec![extension("1.2.3", true, vec![5, 0])], None),
        ] {
            let period = (NOW, NOW.plus_seconds(600));
            let der = respond_with((&key, &root), &root, leaf.serial(), &answer, period, &extensions).unwrap();
            let told = Response::parse(&der).ok();
            let told = told.as_ref().map(|told| told.about(&leaf, &root, NOW).unwrap().0.answer.clone());
            assert_eq!(told, want, "{name}");
        }
    }

    #[test]
    fn of_two_answers_in_one_response_the_worse_counts() {
        let (key, root) = made(None, SignatureAlgorithm::EcdsaP256Sha256, Use::Root);
        let (_, leaf) = made(Some((&key, &root)), SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
        let revoked = Answer::Revoked(Revoked { serial: leaf.serial().to_vec(), at: NOW, reason: None });
        let one = |answer: &Answer, days: i64| {
            let status = match answer {
                Answer::Revoked(entry) => write::tlv(0xa1, &write::generalized_time(entry.at)),
                _ => write::tlv(0x80, &[]),
            };
            let at = write::generalized_time(NOW.plus_seconds(days * 86_400));
            write::sequence(&[certificate_id(leaf.serial(), &root), status, at])
        };
        for (name, answers, want) in [
            ("good, then good", [(&Answer::Good, -1), (&Answer::Good, 0)], (&Answer::Good, 0)),
            ("revoked, good later", [(&revoked, -1), (&Answer::Good, 0)], (&revoked, -1)),
            ("good, revoked later", [(&Answer::Good, -1), (&revoked, 0)], (&revoked, 0)),
            ("both at once", [(&revoked, 0), (&Answer::Good, 0)], (&revoked, 0)),
        ] {
            let answers: Vec<_> = answers.into_iter().map(|(answer, days)| one(answer, days)).collect();
            let response = Response::parse(&signed_by((&key, &root), &root, &answers, NOW).unwrap()).unwrap();
            let (single, _) = response.about(&leaf, &root, NOW).unwrap();
            let at = NOW.plus_seconds(want.1 * 86_400);
            assert_eq!((&single.answer, single.this_update), (want.0, at), "{name}");
        }
    }

    #[test]
    fn no_octet_can_be_bent() {
        let (key, root) = made(None, SignatureAlgorithm::EcdsaP256Sha256, Use::Root);
        let (_, leaf) = made(Some((&key, &root)), SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
        let der = respond((&key, &root), leaf.serial(), &Answer::Good, NOW, NOW.plus_seconds(600)).unwrap();
        let told = |response: &Response| response.about(&leaf, &root, NOW).map(|(single, _)| single.clone());
        let good = told(&Response::parse(&der).unwrap());
        assert!(good.is_some());
        for at in 0..der.len() {
            for bit in [0x01, 0x80] {
                let mut bent = der.clone();
                bent[at] ^= bit;
                if let Ok(response) = Response::parse(&bent) {
                    let got = told(&response);
                    assert!(got.is_none() || got == good, "octet {at}");
                }
            }
            assert!(Response::parse(&der[..at]).is_err());
        }
        // tryLater
        assert!(Response::parse(&write::sequence(&[write::tlv(ENUMERATED, &[3])])).is_err());
        assert!(Reader::new(&request(&leaf, &root)).sequence().is_ok());
    }
}
