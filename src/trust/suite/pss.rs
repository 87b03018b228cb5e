//! RSASSA-PSS (RFC 8017 §8.1.2), with any salt, and a mask by another digest than the message's.
//!
//! ring takes one length of salt only, the crate `rsa` one digest for both: of that comes the power modulo n, and what it must look like
//! is the page of the RFC, §9.1.2. Verification only, of public data.

use rsa::BoxedUint;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;

use super::{DigestAlgorithm, Hasher, SuiteError};

/// What an `AlgorithmIdentifier` of RSASSA-PSS says; `salt` in octets.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub digest: DigestAlgorithm,
    pub mask: DigestAlgorithm,
    pub salt: usize,
}

/// Verifies `signature` under an `RSAPublicKey` in DER.
///
/// # Errors
/// [`SuiteError::Key`], [`SuiteError::Encoding`] for a length that is not the key's; [`SuiteError::UnknownAlgorithm`] for SM3, which
/// no standard puts here.
pub(super) fn verify(key: &[u8], parts: Parts, message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
    if [parts.digest, parts.mask].contains(&DigestAlgorithm::Sm3) {
        return Err(SuiteError::UnknownAlgorithm("RSASSA-PSS with SM3".to_owned()));
    }
    // Refuses an exponent of more than 33 bits as well: no stranger makes this slow.
    let key = rsa::PublicKey::from_pkcs1_der(key).map_err(|_| SuiteError::Key)?;
    if signature.len() != key.size() {
        return Err(SuiteError::Encoding);
    }
    let number = BoxedUint::from_be_slice(signature, key.n_bits_precision()).map_err(|_| SuiteError::Encoding)?;
    if number >= *key.n().as_ref() {
        return Err(SuiteError::Signature);
    }
    let encoded = rsa::hazmat::rsa_encrypt(&key, &number).map_err(|_| SuiteError::Signature)?;
    let bits = key.n().bit_width() as usize - 1;
    // Of a modulus of 8n + 1 bits the message takes an octet less than the signature.
    let octets = encoded.to_be_bytes();
    let (above, octets) = octets.split_at(octets.len() - bits.div_ceil(8));
    let holds = above.iter().all(|octet| *octet == 0) && is_encoded(octets, bits, parts, message);
    if holds { Ok(()) } else { Err(SuiteError::Signature) }
}

/// EMSA-PSS-VERIFY: whether `encoded`, of `bits`, stands for `message`.
fn is_encoded(encoded: &[u8], bits: usize, Parts { digest, mask, salt }: Parts, message: &[u8]) -> bool {
    let [padded @ .., 0xbc] = encoded else { return false };
    let Some(at) = padded.len().checked_sub(digest.size()) else { return false };
    let (masked, hash) = padded.split_at(at);
    let Some(zeros) = masked.len().checked_sub(salt + 1) else { return false };
    let first = 0xff_u8 >> (8 * encoded.len() - bits);
    if masked[0] & !first != 0 {
        return false;
    }
    let mut block: Vec<u8> = masked.iter().zip(mgf1(mask, hash)).map(|(octet, mask)| octet ^ mask).collect();
    block[0] &= first;
    let (padding, salt) = block.split_at(zeros + 1);
    let mut again = Hasher::new(digest);
    again.update(&[0; 8]);
    again.update(&digest.of(message));
    again.update(salt);
    padding[..zeros].iter().all(|octet| *octet == 0) && padding[zeros] == 1 && again.finish() == hash
}

/// The mask (RFC 8017 §B.2.1), as much of it as is taken.
fn mgf1(digest: DigestAlgorithm, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0u32..).flat_map(move |count| digest.of(&[seed, &count.to_be_bytes()].concat()))
}
