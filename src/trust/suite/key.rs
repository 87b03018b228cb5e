//! Public keys, as certificates carry them.

use ring::signature as rs;

use super::{DigestAlgorithm, RSA_BITS, RSA_PSS, SignatureAlgorithm, SuiteError, ecdsa, identifier, pss, sm2_suite};
use crate::formats::der::{DerError, Oid, Reader, tag, write};

/// What a key can verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Sm2(Vec<u8>),
    Ed25519(Vec<u8>),
    /// `RSAPublicKey` in DER; 2,048 to 8,192 bits.
    Rsa(Vec<u8>),
    /// The same, of a key that makes RSASSA-PSS signatures only, and with one digest and one of the mask only if it says so.
    RsaPss(Vec<u8>, Option<(DigestAlgorithm, DigestAlgorithm)>),
}

const EC: &str = "1.2.840.10045.2.1";
const RSA: &str = "1.2.840.113549.1.1.1";
const ED25519: &str = "1.3.101.112";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
const SM2: &str = "1.2.156.10197.1.301";

impl PublicKey {
    /// From a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`SuiteError::UnknownAlgorithm`] for another curve; [`SuiteError::Weak`] for an RSA key that is too short;
    /// [`SuiteError::Key`] for a point off its curve, or explicit curve parameters other than those of SM2.
    pub fn from_spki(spki: &[u8]) -> Result<Self, SuiteError> {
        let (algorithm, parameters, bits) = split(spki).map_err(|_| SuiteError::Key)?;
        let of_good_size = || match rsa_bits(bits) {
            Ok(n) if RSA_BITS.contains(&n) => Ok(()),
            Ok(n) if n < *RSA_BITS.start() => Err(SuiteError::Weak(format!("RSA with {n} bits"))),
            _ => Err(SuiteError::Key),
        };
        if algorithm.is(RSA) && parameters == Parameters::None {
            return of_good_size().map(|()| Self::Rsa(bits.to_vec()));
        }
        if algorithm.is(RSA_PSS) {
            let only = match parameters {
                Parameters::None => None,
                Parameters::Sequence(octets) => {
                    let (digest, mask, _) = identifier::read_pss(octets)?;
                    Some((digest, mask))
                }
                Parameters::Oid(_) => return Err(SuiteError::Key),
            };
            return of_good_size().map(|()| Self::RsaPss(bits.to_vec(), only));
        }
        if algorithm.is(ED25519) {
            return if bits.len() == 32 { Ok(Self::Ed25519(bits.to_vec())) } else { Err(SuiteError::Key) };
        }
        let curve = match parameters {
            Parameters::None => None,
            Parameters::Oid(curve) => Some(curve),
            Parameters::Sequence(octets) => Some(explicit_sm2(octets).map_err(|_| SuiteError::Key)?),
        };
        // Some SM2 certificates name the curve as the algorithm itself, alone or a second time as its parameter.
        let curve = match curve {
            Some(curve) if algorithm.is(EC) || algorithm.is(SM2) && curve.is(SM2) => curve,
            None if algorithm.is(SM2) => Oid::dotted(SM2),
            _ => return Err(SuiteError::UnknownAlgorithm(algorithm.to_string())),
        };
        let point = bits.to_vec();
        let uncompressed = |n: usize| point.len() == 1 + 2 * n && point[0] == 4;
        match () {
            () if curve.is(P256) && uncompressed(32) => Ok(Self::P256(point)),
            () if curve.is(P384) && uncompressed(48) => Ok(Self::P384(point)),
            () if curve.is(SM2) => sm2_suite::key(&point).map(Self::Sm2).ok_or(SuiteError::Key),
            () if curve.is(P256) => ecdsa::key::<p256::NistP256>(&point).map(Self::P256).ok_or(SuiteError::Key),
            () if curve.is(P384) => ecdsa::key::<p384::NistP384>(&point).map(Self::P384).ok_or(SuiteError::Key),
            () if curve.is(P521) => ecdsa::key::<p521::NistP521>(&point).map(Self::P521).ok_or(SuiteError::Key),
            () => Err(SuiteError::UnknownAlgorithm(curve.to_string())),
        }
    }

    /// Bits of the modulus of an `RSAPublicKey`.
    pub fn rsa_bits(key: &[u8]) -> Option<usize> {
        rsa_bits(key).ok()
    }

    /// Back to a `SubjectPublicKeyInfo`.
    pub fn to_spki(&self) -> Vec<u8> {
        let (identifier, bits) = match self {
            Self::P256(p) => (write::sequence(&[write::oid(EC), write::oid(P256)]), p),
            Self::P384(p) => (write::sequence(&[write::oid(EC), write::oid(P384)]), p),
            Self::P521(p) => (write::sequence(&[write::oid(EC), write::oid(P521)]), p),
            Self::Sm2(p) => (write::sequence(&[write::oid(EC), write::oid(SM2)]), p),
            Self::Ed25519(k) => (write::sequence(&[write::oid(ED25519)]), k),
            Self::Rsa(k) => (write::sequence(&[write::oid(RSA), write::null()]), k),
            Self::RsaPss(k, None) => (write::sequence(&[write::oid(RSA_PSS)]), k),
            Self::RsaPss(k, Some((digest, mask))) => (identifier::pss(*digest, *mask, digest.size() as u16), k),
        };
        write::sequence(&[identifier, write::bit_string(bits)])
    }

    /// [`PublicKey::verify`] where ECDSA signatures are `r‖s` in full length, as JOSE has them.
    pub fn verify_fixed(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SuiteError> {
        let half = match self {
            Self::P256(_) | Self::Sm2(_) => 32,
            Self::P384(_) => 48,
            Self::P521(_) => 66,
            _ => return self.verify(algorithm, message, signature),
        };
        let (r, s) = signature.split_at_checked(half).filter(|(_, s)| s.len() == half).ok_or(SuiteError::Encoding)?;
        self.verify(algorithm, message, &write::sequence(&[write::unsigned(r), write::unsigned(s)]))
    }

    /// Verifies `signature` over `message`. ECDSA and SM2 signatures are DER.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
        let by_ring = |scheme: &'static dyn rs::VerificationAlgorithm, key: &[u8]| {
            rs::UnparsedPublicKey::new(scheme, key).verify(message, signature).map_err(|_| SuiteError::Signature)
        };
        use SignatureAlgorithm as A;
        match (self, algorithm) {
            // ECDSA algorithms name a digest, and go with either curve (RFC 5758 §3.2).
            (Self::P256(k), A::EcdsaP384Sha384) => by_ring(&rs::ECDSA_P256_SHA384_ASN1, k),
            (Self::P384(k), A::EcdsaP256Sha256) => by_ring(&rs::ECDSA_P384_SHA256_ASN1, k),
            (Self::P256(k), A::EcdsaP256Sha256) => by_ring(&rs::ECDSA_P256_SHA256_ASN1, k),
            (Self::P384(k), A::EcdsaP384Sha384) => by_ring(&rs::ECDSA_P384_SHA384_ASN1, k),
            // ring has no SHA-512 for these two, and no P-521.
            (Self::P256(k), A::EcdsaSha512) => ecdsa::verify::<p256::NistP256>(k, algorithm, message, signature),
            (Self::P384(k), A::EcdsaSha512) => ecdsa::verify::<p384::NistP384>(k, algorithm, message, signature),
            (Self::P521(k), A::EcdsaP256Sha256 | A::EcdsaP384Sha384 | A::EcdsaSha512) => {
                ecdsa::verify::<p521::NistP521>(k, algorithm, message, signature)
            }
            (Self::Ed25519(k), A::Ed25519) => by_ring(&rs::ED25519, k),
            (Self::Rsa(k), A::RsaPkcs1Sha256) => by_ring(&rs::RSA_PKCS1_2048_8192_SHA256, k),
            (Self::Rsa(k), A::RsaPkcs1Sha384) => by_ring(&rs::RSA_PKCS1_2048_8192_SHA384, k),
            (Self::Rsa(k), A::RsaPkcs1Sha512) => by_ring(&rs::RSA_PKCS1_2048_8192_SHA512, k),
            (Self::RsaPss(_, Some(only)), A::RsaPss { digest, mask, .. }) if *only != (digest, mask) => {
                Err(SuiteError::Key)
            }
            (Self::Rsa(k) | Self::RsaPss(k, _), A::RsaPss { digest, mask, salt }) => {
                pss::verify(k, pss::Parts { digest, mask, salt: salt.into() }, message, signature)
            }
            (Self::Sm2(k), A::Sm2Sm3) => sm2_suite::verify(k, message, signature),
            _ => Err(SuiteError::Key),
        }
    }
}

/// Parameters of a key's algorithm.
#[derive(PartialEq)]
enum Parameters<'a> {
    /// Absent, or NULL.
    None,
    /// A named curve.
    Oid(Oid),
    /// Explicit curve parameters, or those of RSASSA-PSS.
    Sequence(&'a [u8]),
}

/// Algorithm, parameters and key octets of a `SubjectPublicKeyInfo`.
fn split(spki: &[u8]) -> Result<(Oid, Parameters<'_>, &[u8]), DerError> {
    let mut outer = Reader::new(spki);
    let mut inside = outer.sequence()?;
    outer.done()?;
    let mut identifier = inside.sequence()?;
    let algorithm = identifier.oid()?;
    let parameters = match identifier.peek() {
        None => Parameters::None,
        Some(tag::NULL) => {
            identifier.element()?;
            Parameters::None
        }
        Some(tag::OID) => Parameters::Oid(identifier.oid()?),
        Some(tag::SEQUENCE) => Parameters::Sequence(identifier.element()?.full),
        Some(_) => return Err(DerError::Value),
    };
    identifier.done()?;
    let (bits, unused) = inside.bit_string()?;
    inside.done()?;
    if unused == 0 { Ok((algorithm, parameters, bits)) } else { Err(DerError::Value) }
}

/// Explicit curve parameters (X9.62 `ECParameters`) are taken only when they are octet for octet those of SM2: any other
/// set could hide a curve on which discrete logarithms are easy.
fn explicit_sm2(octets: &[u8]) -> Result<Oid, DerError> {
    const P: &str = "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff";
    const A: &str = "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc";
    const B: &str = "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93";
    const G: &str = "0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
    const N: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
    let hex = crate::terms::digest::hex;
    let mut reader = Reader::new(octets).sequence()?;
    let mut good = reader.small()? == 1;
    let mut field = reader.sequence()?;
    good &= field.oid()?.is("1.2.840.10045.1.1") && hex(field.unsigned()?) == P;
    field.done()?;
    let mut curve = reader.sequence()?;
    good &= hex(curve.octet_string()?) == A && hex(curve.octet_string()?) == B;
    curve.optional(tag::BIT_STRING)?; // the seed says nothing about the curve
    curve.done()?;
    good &= hex(reader.octet_string()?) == G && hex(reader.unsigned()?) == N;
    if !reader.is_empty() {
        good &= reader.small()? == 1;
    }
    reader.done()?;
    if good { Ok(Oid::dotted(SM2)) } else { Err(DerError::Value) }
}

fn rsa_bits(key: &[u8]) -> Result<usize, DerError> {
    let mut outer = Reader::new(key);
    let mut inside = outer.sequence()?;
    outer.done()?;
    let n = inside.unsigned()?;
    inside.unsigned()?;
    inside.done()?;
    Ok(n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize))
}
