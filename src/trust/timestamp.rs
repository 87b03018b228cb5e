//! Time-stamps (RFC 3161; GM/T 0033 and GB/T 20520 have the same layout): asked for, given, read, verified.
//!
//! ```text
//!  Request::over(signature value) ─▶ authority ─▶ response ─token_of─▶ token ─▶ stored with the signature
//!                                                                        │
//!                                        Token::parse ─▶ verify(message) ─▶ Stamp { at, authority } ─▶ path
//! ```
//! A token proves that its message existed at `at`, if the authority is trusted for time-stamping: ask [`super::path`].

use super::certificate::Certificate;
use super::cms::{self, Along, CmsError, Content, SignedData};
use super::name;
use super::suite::{DigestAlgorithm, Signer, SuiteError};
use crate::formats::der::{DerError, Reader, tag, write};
use crate::terms::{Explain, Next, Told, UnixMillis, refusal::tolds};

const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
const EKU_TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

tolds! {
    /// A token that proves no time.
    pub const TIME_STAMP = "TB-TRU-0401", 422,
        "时间戳未通过核验，不能证明签名时间。",
        "The time-stamp did not verify and proves no time.",
        Next::CorrectAndResend;
    /// The authority answered no, or answered something else.
    pub const NOT_STAMPED = "TB-TRU-0402", 503,
        "时间戳服务暂时不可用，材料已保留，请稍后再试。",
        "No time-stamp could be obtained now; what was handed in is kept.",
        Next::TryLater;
}

impl Explain for TimeStampError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Refused(_) | Self::Nonce => &NOT_STAMPED,
            _ => &TIME_STAMP,
        }
    }
}

/// Why there is no proof of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeStampError {
    #[error("time-stamp: {0}")]
    Der(#[from] DerError),
    #[error("time-stamp: {0}")]
    Cms(#[from] CmsError),
    #[error("time-stamp: {0}")]
    Suite(#[from] SuiteError),
    #[error("time-stamp: {0}")]
    Form(&'static str),
    #[error("time-stamp: the authority refused, status {0}")]
    Refused(u64),
    #[error("time-stamp: it is over something else")]
    Imprint,
    #[error("time-stamp: the answer is to another request")]
    Nonce,
    #[error("time-stamp: the certificate is not one for time-stamping alone")]
    Authority,
}

impl TimeStampError {
    /// Fine code for reports; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Der(_) | Self::Form(_) => "TIMESTAMP_STRUCTURE",
            Self::Cms(CmsError::Signature) => "TIMESTAMP_SIGNATURE",
            Self::Cms(_) => "TIMESTAMP_CMS",
            Self::Suite(_) => "TIMESTAMP_ALG",
            Self::Refused(_) => "TIMESTAMP_REFUSED",
            Self::Imprint => "TIMESTAMP_IMPRINT",
            Self::Nonce => "TIMESTAMP_NONCE",
            Self::Authority => "TIMESTAMP_AUTHORITY",
        }
    }
}

/// What is sent to an authority (media type `application/timestamp-query`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub algorithm: DigestAlgorithm,
    pub imprint: Vec<u8>,
    /// INTEGER octets; ties the answer to this request. Some make it of a random number with a sign, so that half of theirs are negative.
    pub nonce: Option<Vec<u8>>,
    /// Whether the token shall carry the authority's certificate.
    pub certificates: bool,
}

impl Request {
    /// Over a message, with a nonce of 8 random octets from the caller.
    pub fn over(algorithm: DigestAlgorithm, message: &[u8], nonce: [u8; 8]) -> Self {
        let number = write::unsigned(&nonce);
        let nonce = Reader::new(&number).integer().map(<[u8]>::to_vec).ok();
        Self { algorithm, imprint: algorithm.of(message), nonce, certificates: true }
    }

    pub fn to_der(&self) -> Vec<u8> {
        let mut parts = vec![write::small(1), imprint(self.algorithm, &self.imprint)];
        parts.extend(self.nonce.as_deref().map(|nonce| write::tlv(tag::INTEGER, nonce)));
        if self.certificates {
            parts.push(write::boolean(true));
        }
        write::sequence(&parts)
    }

    /// As an authority reads it.
    pub fn parse(der: &[u8]) -> Result<Self, TimeStampError> {
        let mut outer = Reader::new(der);
        let mut request = outer.sequence()?;
        outer.done()?;
        if request.small()? != 1 {
            return Err(TimeStampError::Form("a request of an unknown version"));
        }
        let (algorithm, imprint) = read_imprint(&mut request)?;
        request.optional(tag::OID)?; // a policy: there is one only
        let nonce = if request.peek() == Some(tag::INTEGER) { Some(request.integer()?.to_vec()) } else { None };
        let certificates = request.peek() == Some(tag::BOOLEAN) && request.boolean()?;
        if !request.is_empty() {
            return Err(TimeStampError::Form("a request with extensions"));
        }
        Ok(Self { algorithm, imprint, nonce, certificates })
    }
}

/// The token of a response (media type `application/timestamp-reply`) to `request`; its signature is not verified yet.
///
/// # Errors
/// [`TimeStampError::Refused`] when the authority says no; [`TimeStampError::Nonce`] and [`TimeStampError::Imprint`] when
/// the token answers another request.
pub fn token_of(response: &[u8], request: &Request) -> Result<Token, TimeStampError> {
    let mut outer = Reader::new(response);
    let mut reply = outer.sequence()?;
    outer.done()?;
    let status = reply.sequence()?.small()?;
    if status > 1 {
        return Err(TimeStampError::Refused(status));
    }
    let token = Token::parse(reply.element()?.full)?;
    reply.done()?;
    if token.nonce != request.nonce {
        return Err(TimeStampError::Nonce);
    }
    if (token.algorithm, &token.imprint) != (request.algorithm, &request.imprint) {
        return Err(TimeStampError::Imprint);
    }
    Ok(token)
}

/// A token as received.
#[derive(Clone, Debug)]
pub struct Token {
    der: Vec<u8>,
    data: SignedData,
    pub algorithm: DigestAlgorithm,
    pub imprint: Vec<u8>,
    /// Dotted.
    pub policy: String,
    pub serial: Vec<u8>,
    /// The authority's clock.
    pub at: UnixMillis,
    /// How far its clock may be off.
    pub accuracy_ms: Option<u64>,
    pub nonce: Option<Vec<u8>>,
}

/// A token whose signature holds over its message.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    pub at: UnixMillis,
    pub accuracy_ms: Option<u64>,
    /// To be judged for time-stamping at `at`.
    pub authority: &'a Certificate,
    /// What came along and may help to find a path.
    pub certificates: &'a [Certificate],
}

impl Token {
    /// Reads a TimeStampToken: a ContentInfo with SignedData over a TSTInfo.
    pub fn parse(der: &[u8]) -> Result<Self, TimeStampError> {
        let data = SignedData::parse(der)?;
        if data.content_type != TST_INFO {
            return Err(TimeStampError::Form("not a time-stamp"));
        }
        let content = data.content.as_deref().ok_or(TimeStampError::Form("no content"))?;
        let mut outer = Reader::new(content);
        let mut info = outer.sequence()?;
        outer.done()?;
        if info.small()? != 1 {
            return Err(TimeStampError::Form("an unknown version"));
        }
        let policy = info.oid()?.to_string();
        let (algorithm, imprint) = read_imprint(&mut info)?;
        let serial = info.integer()?.to_vec();
        let at = read_time(&mut info)?;
        let accuracy_ms = match info.optional(tag::SEQUENCE)? {
            None => None,
            Some(accuracy) => Some(read_accuracy(accuracy.inside())?),
        };
        if info.peek() == Some(tag::BOOLEAN) {
            info.boolean()?;
        }
        let nonce = if info.peek() == Some(tag::INTEGER) { Some(info.integer()?.to_vec()) } else { None };
        info.optional(tag::context(0))?; // the authority's name: the certificate has it
        if let Some(extensions) = info.optional(tag::context(1))? {
            no_critical(extensions.inside())?;
        }
        info.done()?;
        Ok(Self { der: der.to_vec(), data, algorithm, imprint, policy, serial, at, accuracy_ms, nonce })
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What came along and may help to judge the authority: status as well as certificates.
    pub fn along(&self) -> Along {
        self.data.signers.first().map(|signer| self.data.along(signer)).unwrap_or_default()
    }

    /// What it was made with: the digest of the imprint, the signer's own and that of the signature.
    pub fn digests(&self) -> Vec<DigestAlgorithm> {
        self.data.signers.iter().flat_map(cms::SignerInfo::digests).chain([self.algorithm]).collect()
    }

    /// Verifies the token over `message`. `known` are certificates of authorities, for tokens that carry none.
    ///
    /// # Errors
    /// [`TimeStampError::Imprint`] for another message, [`TimeStampError::Authority`] for a certificate whose extended
    /// key usage is not time-stamping alone (RFC 3161 §2.3), [`TimeStampError::Cms`] for a signature that does not hold.
    pub fn verify<'a>(&'a self, message: &[u8], known: &'a [Certificate]) -> Result<Stamp<'a>, TimeStampError> {
        self.verify_digest(&self.algorithm.of(message), known)
    }

    /// As [`Token::verify`], with the message's digest by [`Token::algorithm`], for messages not in memory.
    pub fn verify_digest<'a>(&'a self, digest: &[u8], known: &'a [Certificate]) -> Result<Stamp<'a>, TimeStampError> {
        if digest != self.imprint {
            return Err(TimeStampError::Imprint);
        }
        let [signer] = self.data.signers.as_slice() else {
            return Err(TimeStampError::Form("a token has one signer"));
        };
        let mut candidates = known.iter().filter(|c| match &signer.id {
            cms::SignerId::IssuerSerial(issuer, serial) => c.serial() == serial && name::same(c.issuer(), issuer),
            cms::SignerId::KeyId(id) => c.extensions.subject_key_id.as_ref() == Some(id),
        });
        let verified = self.data.verify_one(signer, candidates.next(), Content::Inside)?;
        let authority = verified.certificate;
        if authority.extensions.extended_key_usage.as_deref() != Some(&[EKU_TIME_STAMPING.to_owned()]) {
            return Err(TimeStampError::Authority);
        }
        Ok(Stamp { at: self.at, accuracy_ms: self.accuracy_ms, authority, certificates: &self.data.certificates })
    }
}

/// Answers a request as the development authority does: granted, with a token of whole-second time.
///
/// # Errors
/// When signing fails, or `chain` does not begin with the signer's certificate.
pub fn respond(
    request: &Request,
    signer: &dyn Signer,
    chain: &[Certificate],
    policy: &str,
    serial: u64,
    at: UnixMillis,
) -> Result<Vec<u8>, TimeStampError> {
    let mut parts = vec![
        write::small(1),
        write::oid(policy),
        imprint(request.algorithm, &request.imprint),
        write::small(serial),
        write::generalized_time(at),
        write::sequence(&[write::small(1)]), // within one second: the fraction is cut off
    ];
    parts.extend(request.nonce.as_deref().map(|nonce| write::tlv(tag::INTEGER, nonce)));
    let token = cms::sign_inside(signer, chain, TST_INFO, &write::sequence(&parts), at)?;
    Ok(write::sequence(&[write::sequence(&[write::small(0)]), token]))
}

/// Extensions say more about the authority, such as that it is a qualified one; only a critical one must be understood.
fn no_critical(mut list: Reader<'_>) -> Result<(), TimeStampError> {
    while !list.is_empty() {
        let mut extension = list.sequence()?;
        extension.oid()?;
        if extension.peek() == Some(tag::BOOLEAN) && extension.boolean()? {
            return Err(TimeStampError::Form("a critical extension that is not understood"));
        }
        extension.octet_string()?;
        extension.done()?;
    }
    Ok(())
}

fn imprint(algorithm: DigestAlgorithm, digest: &[u8]) -> Vec<u8> {
    write::sequence(&[algorithm.identifier(), write::octet_string(digest)])
}

fn read_imprint(reader: &mut Reader<'_>) -> Result<(DigestAlgorithm, Vec<u8>), TimeStampError> {
    let mut imprint = reader.sequence()?;
    let algorithm = DigestAlgorithm::from_oid(&imprint.sequence()?.oid()?)?;
    let digest = imprint.octet_string()?.to_vec();
    imprint.done()?;
    if digest.len() == algorithm.of(b"").len() {
        Ok((algorithm, digest))
    } else {
        Err(TimeStampError::Form("a digest of another length than its algorithm's"))
    }
}

/// GeneralizedTime with an optional fraction. It should not end with a zero (RFC 3161 §2.4.2); what some authorities write
/// all the same is as readable, and signed as received.
fn read_time(reader: &mut Reader<'_>) -> Result<UnixMillis, TimeStampError> {
    let element = reader.expect(tag::GENERALIZED_TIME)?;
    let wrong = TimeStampError::Form("a time that is not one");
    let Some(digits) = element.content.strip_suffix(b"Z") else { return Err(wrong) };
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        None => (digits, &[][..]),
        Some(at) => (&digits[..at], &digits[at + 1..]),
    };
    let neat = fraction.iter().all(u8::is_ascii_digit) && fraction.len() <= 9;
    if !neat || (fraction.is_empty() && whole.len() != digits.len()) {
        return Err(wrong);
    }
    let whole = Reader::new(&write::tlv(tag::GENERALIZED_TIME, &[whole, b"Z"].concat())).time()?;
    let millis = (0..3).fold(0, |all, n| all * 10 + fraction.get(n).map_or(0, |b| i64::from(b - b'0')));
    Ok(UnixMillis(whole.0.saturating_add(millis)))
}

/// In milliseconds, rounded up.
fn read_accuracy(mut reader: Reader<'_>) -> Result<u64, TimeStampError> {
    let seconds = if reader.peek() == Some(tag::INTEGER) { reader.small()? } else { 0 };
    let mut part = |n: u8| -> Result<u64, TimeStampError> {
        let Some(element) = reader.optional(tag::primitive(n))? else { return Ok(0) };
        let value = Reader::new(&write::tlv(tag::INTEGER, element.content)).small()?;
        if (1..=999).contains(&value) { Ok(value) } else { Err(TimeStampError::Form("an accuracy out of range")) }
    };
    let (millis, micros) = (part(0)?, part(1)?);
    reader.done()?;
    Ok(seconds.saturating_mul(1_000).saturating_add(millis).saturating_add(u64::from(micros > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, SigningKey};
    use proptest::prelude::*;

    const AT: UnixMillis = UnixMillis(1_790_000_000_000);

    fn authority(algorithm: SignatureAlgorithm, purpose: Use) -> (SigningKey, Certificate) {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let subject = Subject::named("tsa", "test");
        let spki = key.public_key().to_spki();
        let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
        let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, purpose, from, to).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        (key, certificate)
    }

    #[test]
    fn a_token_proves_its_message_and_no_other() {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3] {
            let (key, certificate) = authority(algorithm, Use::TimeStamping);
            for nonce in [[0; 8], [0, 0, 0x80, 1, 2, 3, 4, 5], [7; 8]] {
                let request = Request::over(algorithm.digest(), b"signature value", nonce);
                assert_eq!(Request::parse(&request.to_der()).unwrap(), request);
                let chain = std::slice::from_ref(&certificate);
                let response = respond(&request, &key, chain, "1.2.3.4", 9, AT).unwrap();
                let token = token_of(&response, &request).unwrap();
                let stamp = token.verify(b"signature value", &[]).unwrap();
                assert_eq!((stamp.at, stamp.accuracy_ms, stamp.authority), (AT, Some(1_000), &certificate));
                assert_eq!(token.verify(b"another value", &[]).unwrap_err(), TimeStampError::Imprint);
                let other = Request::over(algorithm.digest(), b"signature value", [9; 8]);
                assert_eq!(token_of(&response, &other).unwrap_err(), TimeStampError::Nonce);
                let other = Request { imprint: algorithm.digest().of(b"x"), ..request };
                assert_eq!(token_of(&response, &other).unwrap_err(), TimeStampError::Imprint);
            }
        }
    }

    #[test]
    fn nonces_are_numbers_of_any_sign() {
        let (key, certificate) = authority(SignatureAlgorithm::EcdsaP256Sha256, Use::TimeStamping);
        for nonce in [&[0x80][..], &[0xff, 0x7f], &[0x9c, 0, 0, 1], &[0], &[0x7f], &[0, 0x80]] {
            let request = Request {
                nonce: Some(nonce.to_vec()),
                ..Request::over(DigestAlgorithm::Sha256, b"signature value", [1; 8])
            };
            assert_eq!(Request::parse(&request.to_der()).unwrap(), request, "{nonce:02x?}");
            let response = respond(&request, &key, std::slice::from_ref(&certificate), "1.2.3", 1, AT).unwrap();
            let token = token_of(&response, &request).unwrap_or_else(|e| panic!("{nonce:02x?}: {e}"));
            assert_eq!(token.nonce.as_deref(), Some(nonce));
            assert_eq!(token.verify(b"signature value", &[]).unwrap().at, AT, "{nonce:02x?}");
        }
        // What is sent is positive, whatever the random octets are.
        for (octets, want) in [([0; 8], &[0][..]), ([0xff; 8], &[0, 255, 255, 255, 255, 255, 255, 255, 255])] {
            assert_eq!(Request::over(DigestAlgorithm::Sha256, b"x", octets).nonce.as_deref(), Some(want));
        }
    }

    #[test]
    fn only_a_time_stamping_certificate_proves_time() {
        for purpose in [Use::Signer, Use::TlsServer, Use::Root] {
            let (key, certificate) = authority(SignatureAlgorithm::Sm2Sm3, purpose);
            let request = Request::over(DigestAlgorithm::Sm3, b"x", [1; 8]);
            let response = respond(&request, &key, &[certificate], "1.2.3", 1, AT).unwrap();
            let token = token_of(&response, &request).unwrap();
            assert_eq!(token.verify(b"x", &[]).unwrap_err(), TimeStampError::Authority, "{purpose:?}");
        }
    }

    #[test]
    fn a_bent_token_proves_nothing_else() {
        let (key, certificate) = authority(SignatureAlgorithm::EcdsaP256Sha256, Use::TimeStamping);
        let request = Request::over(DigestAlgorithm::Sha256, b"x", [1; 8]);
        let response = respond(&request, &key, &[certificate], "1.2.3", 1, AT).unwrap();
        let der = token_of(&response, &request).unwrap().der().to_vec();
        for at in 0..der.len() {
            let mut bent = der.clone();
            bent[at] ^= 0x01;
            if let Ok(token) = Token::parse(&bent)
                && let Ok(stamp) = token.verify(b"x", &[])
            {
                assert_eq!(stamp.at, AT, "octet {at}");
            }
        }
    }

    #[test]
    fn times_may_have_fractions() {
        for (text, want) in [
            ("20260213100000Z", Some("2026-02-13T10:00:00.000Z")),
            ("20260213100000.5Z", Some("2026-02-13T10:00:00.500Z")),
            ("20260213100000.123456Z", Some("2026-02-13T10:00:00.123Z")),
            ("20260213100000.50Z", Some("2026-02-13T10:00:00.500Z")), // a needless zero
            ("20260213100000.Z", None),
            ("20260213100000", None), // local time
            ("20260213100000+0800", None),
            ("20261313100000Z", None),
        ] {
            let der = write::tlv(tag::GENERALIZED_TIME, text.as_bytes());
            let got = read_time(&mut Reader::new(&der)).ok().map(|at| at.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told() {
        let request = Request::over(DigestAlgorithm::Sm3, b"x", [1; 8]);
        let refusal = write::sequence(&[write::sequence(&[write::small(2)])]);
        assert_eq!(token_of(&refusal, &request).unwrap_err(), TimeStampError::Refused(2));
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let request = Request::over(DigestAlgorithm::Sm3, b"x", [1; 8]);
            let _ = (Token::parse(&octets), Request::parse(&octets), token_of(&octets, &request));
            let mut reader = Reader::new(&octets);
            let _ = (read_time(&mut reader), read_accuracy(Reader::new(&octets)));
        }
    }
}
