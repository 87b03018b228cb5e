//! SM2 with SM3 (GB/T 32918): the only file that names the curve's crate.

use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::sec1::ToSec1Point;

use super::SuiteError;
use crate::formats::der::{DerError, Reader, write};

/// The default identity; certificates, seals and CMS in use all have it.
pub const IDENTITY: &str = "1234567812345678";

/// Checks that octets are an uncompressed point on the curve.
pub fn is_key(point: &[u8]) -> bool {
    point.len() == 65 && point[0] == 4 && VerifyingKey::from_sec1_bytes(IDENTITY, point).is_ok()
}

/// Verifies a DER signature over `message` under an uncompressed point.
///
/// # Errors
/// [`SuiteError::Encoding`] when the signature is not a DER SEQUENCE of two INTEGERs in range.
pub fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
    verify_raw(point, message, &raw_from_der(signature)?)
}

/// Verifies `r‖s`, 64 octets: one vendor's habit. Callers who take it must say so in their report.
pub fn verify_raw(point: &[u8], message: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    verify_raw_as(IDENTITY, point, message, raw)
}

/// [`verify_raw`] under another identity.
pub(super) fn verify_raw_as(identity: &str, point: &[u8], message: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    let key = VerifyingKey::from_sec1_bytes(identity, point).map_err(|_| SuiteError::Key)?;
    let signature = Signature::from_slice(raw).map_err(|_| SuiteError::Encoding)?;
    key.verify(message, &signature).map_err(|_| SuiteError::Signature)
}

/// Over a digest that is given, for vectors about the curve alone: documents are never verified without Z_A.
#[cfg(test)]
pub(super) fn verify_prehash(point: &[u8], e: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    use sm2::dsa::signature::hazmat::PrehashVerifier;
    let key = VerifyingKey::from_sec1_bytes(IDENTITY, point).map_err(|_| SuiteError::Key)?;
    let signature = Signature::from_slice(raw).map_err(|_| SuiteError::Encoding)?;
    let mut digest = [0; 32];
    let start = 32usize.checked_sub(e.len()).ok_or(SuiteError::Encoding)?;
    digest[start..].copy_from_slice(e);
    key.verify_prehash(&digest, &signature).map_err(|_| SuiteError::Signature)
}

/// `r‖s` of a DER signature over a 256-bit curve.
pub(super) fn raw_from_der(signature: &[u8]) -> Result<[u8; 64], SuiteError> {
    let mut raw = [0; 64];
    let mut read = || -> Result<(), DerError> {
        let mut outer = Reader::new(signature);
        let mut inside = outer.sequence()?;
        outer.done()?;
        for half in raw.chunks_exact_mut(32) {
            let number = inside.unsigned()?;
            let at = 32usize.checked_sub(number.len()).ok_or(DerError::Value)?;
            half[at..].copy_from_slice(number);
        }
        inside.done()
    };
    read().map_err(|_| SuiteError::Encoding)?;
    Ok(raw)
}

/// An SM2 private key.
pub struct Sm2Key(SigningKey);

impl Sm2Key {
    pub fn generate() -> Result<Self, SuiteError> {
        let random = ring::rand::SystemRandom::new();
        // A random number is a private key unless it is zero or beyond the order: try again then.
        for _ in 0..64 {
            let mut scalar = zeroize::Zeroizing::new([0u8; 32]);
            ring::rand::SecureRandom::fill(&random, &mut scalar[..])
                .map_err(|_| SuiteError::Signing("no randomness".into()))?;
            if let Ok(key) = SigningKey::from_slice(IDENTITY, &scalar[..]) {
                return Ok(Self(key));
            }
        }
        Err(SuiteError::Signing("no key found".into()))
    }

    pub fn from_scalar(scalar: &[u8]) -> Result<Self, SuiteError> {
        SigningKey::from_slice(IDENTITY, scalar).map(Self).map_err(|_| SuiteError::Key)
    }

    pub fn scalar(&self) -> zeroize::Zeroizing<Vec<u8>> {
        zeroize::Zeroizing::new(self.0.to_bytes().to_vec())
    }

    /// Uncompressed public point, 65 octets.
    pub fn point(&self) -> Vec<u8> {
        self.0.verifying_key().as_affine().to_sec1_point(false).as_bytes().to_vec()
    }

    /// A DER signature.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        // The secret number of each signature comes from key and message (RFC 6979): no randomness to fail or repeat.
        let signature: Signature = self.0.try_sign(message).map_err(|e| SuiteError::Signing(e.to_string()))?;
        let raw = signature.to_bytes();
        Ok(write::sequence(&[write::unsigned(&raw[..32]), write::unsigned(&raw[32..])]))
    }
}
