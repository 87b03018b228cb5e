//! SM2 with SM3 (GB/T 32918): encodings, Z_A, and keys.
//!
//! ```text
//!  verify  r‖s, e = SM3(Z_A ‖ message) ─▶ known: the key's own table, if it is met often ─▶ tongban_curve
//!  sign    k of RFC 6979 ─▶ x of k·G (tongban_curve, constant time) ─▶ s modulo n (crate `sm2`, constant time)
//! ```
//! `tongban_curve` is ours for its speed; the crate `sm2`, slower and read by more people, is what tests hold it against.

use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::{FieldBytes, NonZeroScalar, PublicKey, Scalar, U256};
use sm3::{Digest, Sm3};
use tongban_curve::point::Affine;
use tongban_curve::{secret, verify as curve};
use zeroize::{Zeroize, Zeroizing};

use super::{SuiteError, ecdsa, hmac_sm3, known};
use crate::formats::der::write;

/// The default identity; certificates, seals and CMS in use all have it.
pub const IDENTITY: &str = "1234567812345678";

/// Checks that octets are an uncompressed point on the curve.
pub fn is_key(point: &[u8]) -> bool {
    Affine::from_octets(point).is_some()
}

/// A public key in 65 octets, from that or from a compressed point (GB/T 32918.1 §4.2.9); `None` for no point of the curve.
pub(super) fn key(octets: &[u8]) -> Option<Vec<u8>> {
    if let ([2 | 3, ..], 33) = (octets, octets.len()) {
        let point = PublicKey::from_sec1_bytes(octets).ok()?.to_sec1_point(false);
        return Some(point.as_bytes().to_vec());
    }
    is_key(octets).then(|| octets.to_vec())
}

/// Verifies a DER signature over `message` under an uncompressed point.
///
/// # Errors
/// [`SuiteError::Encoding`] when the signature is not a DER SEQUENCE of two INTEGERs in range.
pub fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
    verify_raw(point, message, &raw_from_der(signature)?)
}

/// Verifies `r‖s`, 64 octets: one vendor's habit. Callers who take it must say so in their report.
///
/// A key met often gets a table of its own, which verifies in a third of the time.
pub fn verify_raw(point: &[u8], message: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    match known::meet(point) {
        Some(known) => holds(&curve::Key::Known(&known.table), &digest(&known.z_a, message), raw),
        None => verify_raw_as(IDENTITY, point, message, raw),
    }
}

/// [`verify_raw`] under another identity.
pub(super) fn verify_raw_as(identity: &str, point: &[u8], message: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    let key = Affine::from_octets(point).ok_or(SuiteError::Key)?;
    holds(&curve::Key::Bare(&key), &digest(&z_a(identity, point).ok_or(SuiteError::Key)?, message), raw)
}

fn holds(key: &curve::Key<'_>, e: &[u8; 32], raw: &[u8]) -> Result<(), SuiteError> {
    let (r, s) = raw.split_first_chunk::<32>().ok_or(SuiteError::Encoding)?;
    let s = s.try_into().map_err(|_| SuiteError::Encoding)?;
    if curve::holds(key, e, r, s) { Ok(()) } else { Err(SuiteError::Signature) }
}

/// What stands for signer and curve before the message (GB/T 32918.2 §5.5); `None` for an identity of 8,192 octets or more.
pub(super) fn z_a(identity: &str, point: &[u8]) -> Option<[u8; 32]> {
    const A: [u8; 32] = [
        255, 255, 255, 254, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0,
        255, 255, 255, 255, 255, 255, 255, 252,
    ];
    const B: [u8; 32] = [
        0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7, 0xf3, 0x97,
        0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93,
    ];
    const G: [u8; 64] = [
        0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9, 0x94, 0x8f, 0xe3,
        0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c, 0x74, 0xc7, 0xbc, 0x37, 0x36, 0xa2,
        0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21, 0x53, 0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a,
        0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39, 0xf0, 0xa0,
    ];
    let bits = u16::try_from(identity.len() * 8).ok()?;
    let start = Sm3::new().chain_update(bits.to_be_bytes()).chain_update(identity);
    let curve = start.chain_update(A).chain_update(B).chain_update(G);
    Some(curve.chain_update(point.get(1..)?).finalize().into())
}

fn digest(z_a: &[u8; 32], message: &[u8]) -> [u8; 32] {
    Sm3::new().chain_update(z_a).chain_update(message).finalize().into()
}

/// Over a digest that is given, for vectors about the curve alone: documents are never verified without Z_A.
#[cfg(test)]
pub(super) fn verify_prehash(point: &[u8], e: &[u8], raw: &[u8]) -> Result<(), SuiteError> {
    let key = Affine::from_octets(point).ok_or(SuiteError::Key)?;
    let mut digest = [0; 32];
    let start = 32usize.checked_sub(e.len()).ok_or(SuiteError::Encoding)?;
    digest[start..].copy_from_slice(e);
    holds(&curve::Key::Bare(&key), &digest, raw)
}

/// `r‖s` of a DER signature over a 256-bit curve.
pub(super) fn raw_from_der(signature: &[u8]) -> Result<[u8; 64], SuiteError> {
    let mut raw = [0; 64];
    ecdsa::raw_from_der(signature, &mut raw).map_err(|_| SuiteError::Encoding)?;
    Ok(raw)
}

/// An SM2 private key.
pub struct Sm2Key {
    secret: Scalar,
    /// (1 + secret)⁻¹ modulo n, which every signature needs.
    inverse: Scalar,
    point: [u8; 65],
    z_a: [u8; 32],
}

impl Drop for Sm2Key {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.inverse.zeroize();
    }
}

impl Sm2Key {
    pub fn generate() -> Result<Self, SuiteError> {
        let random = ring::rand::SystemRandom::new();
        // A random number is a private key unless it is zero or beyond the order: try again then.
        for _ in 0..64 {
            let mut scalar = Zeroizing::new([0u8; 32]);
            ring::rand::SecureRandom::fill(&random, &mut scalar[..])
                .map_err(|_| SuiteError::Signing("no randomness".into()))?;
            if let Ok(key) = Self::from_scalar(&scalar[..]) {
                return Ok(key);
            }
        }
        Err(SuiteError::Signing("no key found".into()))
    }

    /// From 32 octets, most significant first.
    ///
    /// # Errors
    /// [`SuiteError::Key`] unless the number is from 1 to n − 2.
    pub fn from_scalar(scalar: &[u8]) -> Result<Self, SuiteError> {
        let secret = NonZeroScalar::try_from(scalar).map_err(|_| SuiteError::Key)?;
        let inverse = (*secret + Scalar::ONE).invert().into_option().ok_or(SuiteError::Key)?;
        let point = PublicKey::from_secret_scalar(&secret).as_affine().to_sec1_point(false);
        let point: [u8; 65] = point.as_bytes().try_into().map_err(|_| SuiteError::Key)?;
        let z_a = z_a(IDENTITY, &point).ok_or(SuiteError::Key)?;
        Ok(Self { secret: *secret, inverse, point, z_a })
    }

    pub fn scalar(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.to_repr().to_vec())
    }

    /// Uncompressed public point, 65 octets.
    pub fn point(&self) -> Vec<u8> {
        self.point.to_vec()
    }

    /// A DER signature.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let raw = self.sign_prehash(&digest(&self.z_a, message))?;
        Ok(write::sequence(&[write::unsigned(&raw[..32]), write::unsigned(&raw[32..])]))
    }

    /// `r‖s` over e (GB/T 32918.2 §6.1), in constant time.
    pub(super) fn sign_prehash(&self, e: &[u8; 32]) -> Result<[u8; 64], SuiteError> {
        let e = reduced(e);
        // The secret number of each signature comes from key and message (RFC 6979): no randomness to fail or repeat.
        let mut numbers = Numbers::new(&self.secret, &e);
        // Both ifs are taken once in 2^224 signatures or less.
        for _ in 0..64 {
            let octets = numbers.next();
            let Some(mut k) = Scalar::from_repr(FieldBytes::from(*octets)).into_option() else { continue };
            let r = e + reduced(&secret::base_x(&octets));
            // (1 + d)⁻¹·(k − r·d) is (1 + d)⁻¹·(k + r) − r: the secret itself is not needed.
            let s = self.inverse * (k + r) - r;
            let fits = k != Scalar::ZERO && r != Scalar::ZERO && r + k != Scalar::ZERO && s != Scalar::ZERO;
            k.zeroize();
            if fits {
                let mut raw = [0; 64];
                raw[..32].copy_from_slice(&r.to_repr());
                raw[32..].copy_from_slice(&s.to_repr());
                return Ok(raw);
            }
        }
        Err(SuiteError::Signing("no number fits".into()))
    }
}

fn reduced(octets: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<U256>>::reduce(&U256::from_be_slice(octets))
}

/// Secret numbers of RFC 6979 §3.2 with HMAC-SM3.
struct Numbers {
    key: Zeroizing<[u8; 32]>,
    value: Zeroizing<[u8; 32]>,
    begun: bool,
}

impl Numbers {
    fn new(secret: &Scalar, e: &Scalar) -> Self {
        let mut numbers = Self { key: Zeroizing::new([0; 32]), value: Zeroizing::new([1; 32]), begun: false };
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(&secret.to_repr());
        both[32..].copy_from_slice(&e.to_repr());
        numbers.stir(0, &both[..]);
        numbers.stir(1, &both[..]);
        numbers
    }

    fn stir(&mut self, step: u8, more: &[u8]) {
        let mut input = Zeroizing::new([0; 97]);
        input[..32].copy_from_slice(&self.value[..]);
        input[32] = step;
        input[33..33 + more.len()].copy_from_slice(more);
        *self.key = hmac_sm3(&self.key[..], &input[..33 + more.len()]);
        *self.value = hmac_sm3(&self.key[..], &self.value[..]);
    }

    fn next(&mut self) -> Zeroizing<[u8; 32]> {
        if self.begun {
            self.stir(0, &[]);
        }
        self.begun = true;
        *self.value = hmac_sm3(&self.key[..], &self.value[..]);
        self.value.clone()
    }
}
