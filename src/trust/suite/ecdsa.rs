//! ECDSA where ring has none: SHA-512 on P-256 and P-384, and all of P-521. Verification only, of public data.

use ::ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ::ecdsa::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize};
use ::ecdsa::signature::hazmat::PrehashVerifier;
use ::ecdsa::{EcdsaCurve, Signature, VerifyingKey};

use super::{SignatureAlgorithm, SuiteError};
use crate::formats::der::{DerError, Reader};

/// Verifies a DER signature over `message` by the digest that `algorithm` names (FIPS 186-5 §6.4.2).
///
/// # Errors
/// [`SuiteError::Key`] for no point of the curve, [`SuiteError::Encoding`] for no DER SEQUENCE of two INTEGERs of its size.
pub(super) fn verify<C>(
    point: &[u8],
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SuiteError>
where
    C: EcdsaCurve + CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let key = VerifyingKey::<C>::from_sec1_bytes(point).map_err(|_| SuiteError::Key)?;
    let mut raw = vec![0; 2 * (point.len() / 2)];
    raw_from_der(signature, &mut raw).map_err(|_| SuiteError::Encoding)?;
    // Numbers out of range, zero among them, are no signature.
    let signature = Signature::<C>::from_slice(&raw).map_err(|_| SuiteError::Signature)?;
    key.verify_prehash(&algorithm.digest().of(message), &signature).map_err(|_| SuiteError::Signature)
}

/// A public key as an uncompressed point, from that or from a compressed one (RFC 5480 §2.2); `None` for no point of the curve.
pub(super) fn key<C>(octets: &[u8]) -> Option<Vec<u8>>
where
    C: EcdsaCurve + CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    Some(VerifyingKey::<C>::from_sec1_bytes(octets).ok()?.to_sec1_point(false).as_bytes().to_vec())
}

/// `r‖s` of a DER signature into `raw`, which is zero, a half for each.
pub(super) fn raw_from_der(signature: &[u8], raw: &mut [u8]) -> Result<(), DerError> {
    let half = raw.len() / 2;
    let mut outer = Reader::new(signature);
    let mut inside = outer.sequence()?;
    outer.done()?;
    for place in raw.chunks_exact_mut(half) {
        let number = inside.unsigned()?;
        let at = half.checked_sub(number.len()).ok_or(DerError::Value)?;
        place[at..].copy_from_slice(number);
    }
    inside.done()
}
