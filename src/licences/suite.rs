//! The room's view of algorithms: names and numbers as seals and packages spell them.

use std::io::{self, Read};

use crate::formats::der::Oid;
use crate::trust::certificate::Certificate;
use crate::trust::suite::{DigestAlgorithm, Hasher, SignatureAlgorithm, SuiteError};

/// What a `CheckMethod` says.
pub(super) enum CheckMethod {
    Known(DigestAlgorithm),
    /// SM3 with a key, where there is no key.
    Keyed,
    /// Allowed by the OFD text, refused by policy.
    Weak,
    Unknown,
}

/// Reads a `CheckMethod`: a name or an object identifier. GB/T 33190 says MD5 where none is written.
pub(super) fn check_method(text: &str) -> CheckMethod {
    let name: String = text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect::<String>().to_ascii_uppercase();
    match name.as_str() {
        "SM3" | "1.2.156.10197.1.401" | "1.2.156.10197.1.401.1" => CheckMethod::Known(DigestAlgorithm::Sm3),
        "1.2.156.10197.1.401.2" => CheckMethod::Keyed,
        "SHA256" | "2.16.840.1.101.3.4.2.1" => CheckMethod::Known(DigestAlgorithm::Sha256),
        "SHA384" | "2.16.840.1.101.3.4.2.2" => CheckMethod::Known(DigestAlgorithm::Sha384),
        "SHA512" | "2.16.840.1.101.3.4.2.3" => CheckMethod::Known(DigestAlgorithm::Sha512),
        "" | "MD5" | "1.2.840.113549.2.5" | "SHA1" | "SHA" | "1.3.14.3.2.26" => CheckMethod::Weak,
        _ => CheckMethod::Unknown,
    }
}

pub(super) fn digest_stream(algorithm: DigestAlgorithm, from: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut hasher, mut buf) = (Hasher::new(algorithm), vec![0; 32 << 10]);
    loop {
        match from.read(&mut buf)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buf[..n]),
        }
    }
}

/// Whether `digest` is the digest of `bytes` by the algorithm its length tells: 32 octets are SM3 or SHA-256.
pub(super) fn is_digest_of(digest: &[u8], bytes: &[u8]) -> bool {
    let all = [DigestAlgorithm::Sm3, DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512];
    all.iter().any(|a| a.of(bytes) == digest)
}

pub(super) fn sm3(bytes: &[u8]) -> Vec<u8> {
    DigestAlgorithm::Sm3.of(bytes)
}

/// Whether one value of a seal's digest list names the certificate. The algorithm's name is free text; SM3 unless it says
/// otherwise.
pub(super) fn names_certificate(kind: &str, digest: &[u8], certificate: &[u8]) -> bool {
    match check_method(kind) {
        CheckMethod::Known(algorithm) => algorithm.of(certificate) == digest,
        CheckMethod::Weak if !kind.is_empty() => false,
        _ => sm3(certificate) == digest,
    }
}

/// Why a signature does not count, or how it is odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Good, but `r‖s` in 64 octets instead of DER: one vendor's habit.
    Raw,
    Algorithm(String),
    Bad,
}

/// Checks a signature by the key of `cert`.
pub(super) fn check(cert: &Certificate, algorithm: &Oid, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
    let algorithm = self::algorithm(algorithm).map_err(|_| Fault::Algorithm(algorithm.to_string()))?;
    match cert.verify_tolerant(algorithm, message, signature) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fault::Raw),
        // Nothing is known against the signature itself.
        Err(error @ (SuiteError::Weak(_) | SuiteError::UnknownAlgorithm(_))) => {
            Err(Fault::Algorithm(error.to_string()))
        }
        Err(_) => Err(Fault::Bad),
    }
}

/// As seals spell it.
pub(super) fn algorithm(oid: &Oid) -> Result<SignatureAlgorithm, SuiteError> {
    if SignatureAlgorithm::SM2_SPELLINGS.iter().any(|spelling| oid.is(spelling)) {
        return Ok(SignatureAlgorithm::Sm2Sm3);
    }
    SignatureAlgorithm::from_oid(oid)
}
