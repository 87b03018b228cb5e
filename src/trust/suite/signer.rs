//! Private keys that sign, kept as PKCS#8.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature as rs;
use ring::signature::KeyPair;
use zeroize::Zeroizing;

use super::sm2_suite::Sm2Key;
use super::{PublicKey, SignatureAlgorithm, SuiteError};
use crate::formats::der::{DerError, Oid, Reader, tag, write};
use crate::trust::pem;

/// Whatever can sign: a key in a file here, a token elsewhere.
pub trait Signer: Send + Sync {
    fn algorithm(&self) -> SignatureAlgorithm;
    fn public_key(&self) -> PublicKey;
    /// ECDSA and SM2 signatures are DER.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError>;
}

/// A key held in memory.
pub enum SigningKey {
    P256(rs::EcdsaKeyPair),
    Ed25519(rs::Ed25519KeyPair),
    Rsa(rs::RsaKeyPair),
    Sm2(Sm2Key),
}

const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const SM2: &str = "1.2.156.10197.1.301";

impl SigningKey {
    /// Makes a key for `algorithm`; gives its PKCS#8 octets. RSA keys are made elsewhere.
    pub fn generate(algorithm: SignatureAlgorithm) -> Result<Zeroizing<Vec<u8>>, SuiteError> {
        let random = SystemRandom::new();
        let failed = |_| SuiteError::Signing("no randomness".into());
        let document = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => {
                rs::EcdsaKeyPair::generate_pkcs8(&rs::ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(failed)?
            }
            SignatureAlgorithm::Ed25519 => rs::Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?,
            SignatureAlgorithm::Sm2Sm3 => return Ok(sm2_pkcs8(&Sm2Key::generate()?)),
            other => return Err(SuiteError::UnknownAlgorithm(format!("{other:?}"))),
        };
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` in DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SuiteError> {
        let random = SystemRandom::new();
        if let Ok(key) = rs::EcdsaKeyPair::from_pkcs8(&rs::ECDSA_P256_SHA256_ASN1_SIGNING, der, &random) {
            return Ok(Self::P256(key));
        }
        if let Some(EcPrivate { curve, number, point }) = ec_private(der).map_err(|_| SuiteError::Key)? {
            let number = full_length(number).ok_or(SuiteError::Key)?;
            if curve.is(SM2) {
                return Sm2Key::from_scalar(&number[..]).map(Self::Sm2);
            }
            let scheme = &rs::ECDSA_P256_SHA256_ASN1_SIGNING;
            if !curve.is(P256) {
                return Err(SuiteError::Key);
            }
            // ring makes no public key from a private one, and compares it with the one that is there.
            let point = point.ok_or(SuiteError::PublicKeyMissing)?;
            let key = rs::EcdsaKeyPair::from_private_key_and_public_key(scheme, &number[..], point, &random);
            return key.map(Self::P256).map_err(|_| SuiteError::Key);
        }
        if let Ok(key) = rs::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(key));
        }
        rs::RsaKeyPair::from_pkcs8(der).map(Self::Rsa).map_err(|_| SuiteError::Key)
    }
}

impl SigningKey {
    /// A signature as JOSE writes it: ECDSA as `r‖s` (RFC 7518 §3.4), others as they are.
    pub fn sign_jose(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let signature = self.sign(message)?;
        match self {
            Self::P256(_) => Ok(super::sm2_suite::raw_from_der(&signature)?.to_vec()),
            _ => Ok(signature),
        }
    }
}

/// Reads a key file: PEM `PRIVATE KEY`.
pub fn load_key(file: &Path) -> Result<SigningKey, String> {
    load_key_with(file, None)
}

/// Reads a key file: PEM `PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY` (PKCS #8 with PBES2; AES, or SM4) under a password.
///
/// # Errors
/// What is wrong, in words, with the name of the file; nothing of key or password.
pub fn load_key_with(file: &Path, password: Option<&[u8]>) -> Result<SigningKey, String> {
    let text = Zeroizing::new(std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?);
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let blocks = pem::decode(&text).map_err(|e| wrong(&e))?;
    if let Some(sealed) = blocks.iter().find(|b| b.label == "ENCRYPTED PRIVATE KEY") {
        let password = password.ok_or_else(|| wrong(&"the key is under a password, and none was given"))?;
        if let Some(opened) = super::password::open(&sealed.octets, password) {
            let der = opened.map_err(|e| wrong(&e))?;
            return SigningKey::from_pkcs8(&der).map_err(|_| wrong(&"the password does not open it"));
        }
        let sealed = pkcs8::EncryptedPrivateKeyInfoRef::try_from(&sealed.octets[..]).map_err(|e| wrong(&e))?;
        // The work factor is the file's: a file of our own, not a stranger's.
        let der = sealed.decrypt(password).map_err(|_| wrong(&"the password does not open it"))?;
        return SigningKey::from_pkcs8(der.as_bytes()).map_err(|e| wrong(&e));
    }
    let der = blocks.iter().find(|b| b.label == "PRIVATE KEY").ok_or_else(|| wrong(&"no PRIVATE KEY in it"))?;
    SigningKey::from_pkcs8(&der.octets).map_err(|e| wrong(&e))
}

/// A private key of a curve (RFC 5915), as it stands in PKCS#8.
struct EcPrivate<'a> {
    curve: Oid,
    number: &'a [u8],
    /// The public key, where it is there too.
    point: Option<&'a [u8]>,
}

/// `None` when it is a key of another kind.
fn ec_private(der: &[u8]) -> Result<Option<EcPrivate<'_>>, DerError> {
    let mut outer = Reader::new(der);
    let mut inside = outer.sequence()?;
    outer.done()?;
    inside.small()?;
    let mut identifier = inside.sequence()?;
    let algorithm = identifier.oid()?;
    if !algorithm.is(EC) || identifier.peek() != Some(tag::OID) {
        return Ok(None);
    }
    let curve = identifier.oid()?;
    let key = inside.octet_string()?;
    let mut key = Reader::new(key).sequence()?;
    key.small()?;
    let number = key.octet_string()?;
    key.optional(tag::context(0))?;
    let point = key.optional(tag::context(1))?.map(|point| point.inside().bit_string()).transpose()?;
    Ok(Some(EcPrivate { curve, number, point: point.map(|(octets, _)| octets) }))
}

/// A private number in full length (RFC 5915 §3). Encoders of whole numbers leave out the zeros before it, as one key in 256 has
/// them, or write one more for its sign.
fn full_length(number: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let number = &number[zeros..];
    let mut full = Zeroizing::new([0; 32]);
    full[32usize.checked_sub(number.len())?..].copy_from_slice(number);
    Some(full)
}

fn sm2_pkcs8(key: &Sm2Key) -> Zeroizing<Vec<u8>> {
    let inner = Zeroizing::new(write::sequence(&[
        write::small(1),
        write::octet_string(&key.scalar()),
        write::explicit(1, &write::bit_string(&key.point())),
    ]));
    Zeroizing::new(write::sequence(&[
        write::small(0),
        write::sequence(&[write::oid(EC), write::oid(SM2)]),
        write::octet_string(&inner),
    ]))
}

impl Signer for SigningKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
            Self::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Self::Rsa(_) => SignatureAlgorithm::RsaPkcs1Sha256,
            Self::Sm2(_) => SignatureAlgorithm::Sm2Sm3,
        }
    }

    fn public_key(&self) -> PublicKey {
        match self {
            Self::P256(k) => PublicKey::P256(k.public_key().as_ref().to_vec()),
            Self::Ed25519(k) => PublicKey::Ed25519(k.public_key().as_ref().to_vec()),
            Self::Rsa(k) => PublicKey::Rsa(k.public_key().as_ref().to_vec()),
            Self::Sm2(k) => PublicKey::Sm2(k.point()),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let failed = || SuiteError::Signing("the key cannot sign this".into());
        match self {
            Self::P256(k) => k.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).map_err(|_| failed()),
            Self::Ed25519(k) => Ok(k.sign(message).as_ref().to_vec()),
            Self::Rsa(k) => {
                let mut signature = vec![0; k.public().modulus_len()];
                k.sign(&rs::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| failed())?;
                Ok(signature)
            }
            Self::Sm2(k) => k.sign(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::testing;

    /// The key whose private number is `number`, written as `written`.
    fn pkcs8(curve: &str, written: &[u8], point: &[u8]) -> Vec<u8> {
        let inner = write::sequence(&[
            write::small(1),
            write::octet_string(written),
            write::explicit(1, &write::bit_string(point)),
        ]);
        let identifier = write::sequence(&[write::oid(EC), write::oid(curve)]);
        write::sequence(&[write::small(0), identifier, write::octet_string(&inner)])
    }

    #[test]
    fn a_private_number_is_the_same_with_other_zeros_before_it() {
        // 1 as a private number: its public key is the base point.
        let octets = |digits: &str| -> Vec<u8> {
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
        };
        let p256 = octets(concat!(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ));
        let sm2 = octets(concat!(
            "0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7",
            "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
        ));
        let full = [&[0; 31][..], &[1]].concat();
        for (curve, point) in [(P256, p256), (SM2, sm2)] {
            for (written, good) in [
                (full.clone(), true),
                (vec![1], true),
                (full[1..].to_vec(), true),
                ([&[0][..], &full].concat(), true), // a sign
                ([&[1][..], &full].concat(), false),
                (vec![0; 32], false),
            ] {
                let key = SigningKey::from_pkcs8(&pkcs8(curve, &written, &point));
                assert_eq!(key.is_ok(), good, "{curve} {written:02x?}");
                if let Ok(key) = key {
                    let signature = key.sign(b"message").unwrap();
                    let public = PublicKey::from_spki(&key.public_key().to_spki()).unwrap();
                    assert_eq!(public.verify(key.algorithm(), b"message", &signature), Ok(()), "{curve}");
                }
            }
        }
    }

    #[test]
    fn every_key_signs_what_its_public_key_verifies() {
        use SignatureAlgorithm::{EcdsaP256Sha256, Ed25519, Sm2Sm3};
        for algorithm in [EcdsaP256Sha256, Ed25519, Sm2Sm3] {
            let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let public = PublicKey::from_spki(&key.public_key().to_spki()).unwrap();
            assert_eq!(public, key.public_key());
            let mut signature = key.sign(b"message").unwrap();
            assert_eq!(public.verify(algorithm, b"message", &signature), Ok(()));
            assert_eq!(public.verify(algorithm, b"messagf", &signature), Err(SuiteError::Signature));
            let last = signature.len() - 1;
            signature[last] ^= 1;
            assert!(public.verify(algorithm, b"message", &signature).is_err());
        }
    }

    #[test]
    fn a_key_without_its_public_key_is_told_how_to_get_one() {
        use SignatureAlgorithm::{EcdsaP256Sha256, Sm2Sm3};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for (algorithm, curve, opens) in [(EcdsaP256Sha256, P256, false), (Sm2Sm3, SM2, true)] {
            let der = SigningKey::generate(algorithm).unwrap();
            let whole = SigningKey::from_pkcs8(&der).unwrap();
            let number = ec_private(&der).unwrap().unwrap().number;
            let inner = write::sequence(&[write::small(1), write::octet_string(number)]);
            let identifier = write::sequence(&[write::oid(EC), write::oid(curve)]);
            let short = write::sequence(&[write::small(0), identifier, write::octet_string(&inner)]);
            std::fs::write(at("short"), pem::encode("PRIVATE KEY", &short)).unwrap();
            match load_key(at("short").as_ref()) {
                Ok(key) => assert!(opens && key.public_key() == whole.public_key(), "{algorithm:?}"),
                Err(told) => assert!(!opens && told.contains("openssl ec -in KEY -conv_form uncompressed"), "{told}"),
            }
            // What the sentence says is done.
            let script = "openssl ec -in \"$0\" -conv_form uncompressed | openssl pkcs8 -topk8 -nocrypt -out \"$1\"";
            let line = ["-c", script, &at("short"), &at("new")];
            testing::other("openssl", ["version"]);
            let done = testing::other("sh", line);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert_eq!(load_key(at("new").as_ref()).unwrap().public_key(), whole.public_key(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_key_file_of_openssl_opens_under_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for algorithm in [SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::EcdsaP256Sha256] {
            let der = SigningKey::generate(algorithm).unwrap();
            std::fs::write(at("plain"), pem::encode("PRIVATE KEY", &der)).unwrap();
            for cipher in ["sm4-cbc", "aes-256-cbc"] {
                let (plain, sealed) = (at("plain"), at("sealed"));
                let line =
                    ["pkcs8", "-topk8", "-in", &plain, "-v2", cipher, "-passout", "pass:geheim", "-out", &sealed];
                let done = testing::other("openssl", line);
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
                let key = load_key_with(sealed.as_ref(), Some(b"geheim")).unwrap();
                assert_eq!(key.public_key(), SigningKey::from_pkcs8(&der).unwrap().public_key(), "{cipher}");
                assert!(load_key_with(sealed.as_ref(), Some(b"geheimer")).is_err(), "{cipher}");
            }
        }
    }
}
