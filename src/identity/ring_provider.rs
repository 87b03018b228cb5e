//! jsonwebtoken's cryptography on ring: ES256/384, RS/PS 256/384/512, EdDSA. No HMAC: nobody here shares a secret.
//!
//! ```text
//!  jsonwebtoken ──CryptoProvider──▶ signer_factory / verifier_factory / key_utils ──▶ ring
//! ```
//! [`verify`] is the one door to signature checks of this room; the provider goes through it too.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, RsaParameters,
    UnparsedPublicKey, VerificationAlgorithm,
};
use signature::{Signer, Verifier};

/// Makes ring the process-wide cryptography of jsonwebtoken. Calling it again changes nothing.
pub fn install() {
    // A second call finds the provider set already: that is the wish, not an error.
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: new_signer,
    verifier_factory: new_verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_from_private,
        rsa_pub_components_from_public_key: rsa_from_public,
        ec_pub_components_from_private_key: ec_from_private,
        ed_pub_components_from_private_key: ed_from_private,
        compute_digest,
    },
};

/// Checks one signature in JOSE form (RFC 7518 §3: ECDSA as r‖s of fixed length; RFC 8037 for EdDSA).
///
/// `false` for any doubt: wrong length, a key of another kind, a point off the curve, RSA below 2048 bits, HMAC.
pub fn verify(algorithm: Algorithm, key: &DecodingKey, message: &[u8], signature: &[u8]) -> bool {
    if key.family() != algorithm.family() {
        return false; // a key serves one family only (RFC 8725 §3.1)
    }
    let point = |algorithm: &'static dyn VerificationAlgorithm| match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => {
            UnparsedPublicKey::new(algorithm, bytes).verify(message, signature).is_ok()
        }
        DecodingKeyKind::RsaModulusExponent { .. } => false,
    };
    match algorithm {
        Algorithm::ES256 => point(&sig::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => point(&sig::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => point(&sig::ED25519),
        _ => match (rsa_parameters(algorithm), key.kind()) {
            (Some(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                PublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (Some(parameters), DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(parameters, der).verify(message, signature).is_ok()
            }
            (None, _) => false,
        },
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &sig::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        if verify(self.algorithm, &self.key, message, signature) { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn new_verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Err(ErrorKind::InvalidAlgorithm.into()),
        _ if key.family() != algorithm.family() => Err(ErrorKind::InvalidAlgorithm.into()),
        _ => Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() })),
    }
}

/// A private key ready to sign; parsing it is dear (RSA: milliseconds), so it is done once.
pub(super) enum RingSigner {
    Ec(Algorithm, EcdsaKeyPair),
    Rsa(Algorithm, &'static dyn RsaEncoding, RsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl RingSigner {
    /// Takes PKCS#8; for RSA also PKCS#1, as jsonwebtoken hands it over.
    pub(super) fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self> {
        Ok(match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => Self::Ec(algorithm, ec_pair(algorithm, der)?),
            Algorithm::EdDSA => Self::Ed(ed_pair(der)?),
            Algorithm::RS256 => Self::Rsa(algorithm, &sig::RSA_PKCS1_SHA256, rsa_pair(der)?),
            Algorithm::RS384 => Self::Rsa(algorithm, &sig::RSA_PKCS1_SHA384, rsa_pair(der)?),
            Algorithm::RS512 => Self::Rsa(algorithm, &sig::RSA_PKCS1_SHA512, rsa_pair(der)?),
            Algorithm::PS256 => Self::Rsa(algorithm, &sig::RSA_PSS_SHA256, rsa_pair(der)?),
            Algorithm::PS384 => Self::Rsa(algorithm, &sig::RSA_PSS_SHA384, rsa_pair(der)?),
            Algorithm::PS512 => Self::Rsa(algorithm, &sig::RSA_PSS_SHA512, rsa_pair(der)?),
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        })
    }

    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::Ec(_, pair) => pair.public_key().as_ref(),
            Self::Ed(pair) => pair.public_key().as_ref(),
            Self::Rsa(_, _, pair) => pair.public_key().as_ref(),
        }
    }

    /// Modulus and exponent, big-endian without leading zeros; `None` for curves.
    pub(super) fn rsa_components(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::Rsa(_, _, pair) => Some(components(pair)),
            _ => None,
        }
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let rng = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match self {
            Self::Ec(_, pair) => Ok(pair.sign(&rng, message).map_err(failed)?.as_ref().to_vec()),
            Self::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(_, padding, pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &rng, message, &mut out).map_err(failed)?;
                Ok(out)
            }
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec(algorithm, _) | Self::Rsa(algorithm, _, _) => *algorithm,
            Self::Ed(_) => Algorithm::EdDSA,
        }
    }
}

fn new_signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingSigner::from_der(*algorithm, key.as_bytes())?))
}

fn ec_pair(algorithm: Algorithm, pkcs8: &[u8]) -> Result<EcdsaKeyPair> {
    let curve: &'static EcdsaSigningAlgorithm = match algorithm {
        Algorithm::ES256 => &sig::ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &sig::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    EcdsaKeyPair::from_pkcs8(curve, pkcs8, &SystemRandom::new()).map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

fn ed_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair> {
    // Version 1 files (openssl) lack the public key; version 2 (ring) has it.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(der)
        .or_else(|_| RsaKeyPair::from_der(der))
        .map_err(|_| Error::from(ErrorKind::InvalidRsaKey("not a usable RSA key".into())))
}

fn components(pair: &RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let parts: PublicKeyComponents<Vec<u8>> = pair.public().into();
    (parts.n, parts.e)
}

fn rsa_from_private(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    Ok(components(&rsa_pair(der)?))
}

/// Reads `RSAPublicKey ::= SEQUENCE { INTEGER n, INTEGER e }` (RFC 8017 A.1.1).
fn rsa_from_public(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    use rsa::pkcs1::DecodeRsaPublicKey;
    use rsa::traits::PublicKeyParts;
    let key = rsa::PublicKey::from_pkcs1_der(der).map_err(|_| ErrorKind::InvalidRsaKey("not PKCS#1".into()))?;
    let bare = |bytes: Box<[u8]>| bytes.iter().copied().skip_while(|b| *b == 0).collect();
    Ok((bare(key.n().to_be_bytes()), bare(key.e().to_be_bytes())))
}

fn ec_from_private(der: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let pair = ec_pair(algorithm, der)?;
    let (curve, size) = match algorithm {
        Algorithm::ES256 => (EllipticCurve::P256, 32),
        _ => (EllipticCurve::P384, 48),
    };
    match pair.public_key().as_ref() {
        [4, xy @ ..] if xy.len() == 2 * size => Ok((curve, xy[..size].to_vec(), xy[size..].to_vec())),
        _ => Err(ErrorKind::InvalidEcdsaKey.into()),
    }
}

fn ed_from_private(der: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    match curve {
        EllipticCurve::Ed25519 => Ok(ed_pair(der)?.public_key().as_ref().to_vec()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &ring::digest::SHA256,
        ThumbprintHash::SHA384 => &ring::digest::SHA384,
        ThumbprintHash::SHA512 => &ring::digest::SHA512,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(ring::digest::digest(algorithm, data).as_ref().to_vec())
}
