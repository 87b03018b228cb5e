//! The directory's envelope: a compact JWS (RFC 7515), ES256, with one fixed header: nothing to negotiate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::FederationError;

/// The header, octet for octet.
const HEADER: &str = r#"{"alg":"ES256","typ":"tongban-directory+jws"}"#;
/// Largest directory in octets: 3,400 members with their certificates.
const MAX: usize = 32 << 20;

/// What is signed for `payload`: sign these octets with the operator's key.
pub fn signing_input(payload: &[u8]) -> String {
    format!("{}.{}", B64.encode(HEADER), B64.encode(payload))
}

/// The envelope from its parts; `signature` is r‖s, 64 octets.
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", B64.encode(signature))
}

/// Opens an envelope under the operator's public key (uncompressed point, 65 octets).
///
/// # Errors
/// [`FederationError::Directory`] for another form, [`FederationError::Signature`] when it does not verify.
pub fn open(envelope: &str, operator: &[u8]) -> Result<Vec<u8>, FederationError> {
    let form = |why: &str| FederationError::Directory(why.to_owned());
    let envelope = envelope.trim();
    if envelope.len() > MAX {
        return Err(form("larger than a directory may be"));
    }
    let (input, signature) = envelope.rsplit_once('.').ok_or_else(|| form("not a signed document"))?;
    let (header, payload) = input.split_once('.').ok_or_else(|| form("not a signed document"))?;
    if B64.decode(header).ok().as_deref() != Some(HEADER.as_bytes()) {
        return Err(form("the header is not that of a directory"));
    }
    let signature = B64.decode(signature).map_err(|_| form("the signature is not base64url"))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, operator)
        .verify(input.as_bytes(), &signature)
        .map_err(|_| FederationError::Signature)?;
    B64.decode(payload).map_err(|_| form("the payload is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    #[test]
    fn only_the_operator_signs_directories() {
        let rng = SystemRandom::new();
        let make = || {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap()
        };
        let (operator, other) = (make(), make());
        let input = signing_input(b"{}");
        let envelope = assemble(&input, operator.sign(&rng, input.as_bytes()).unwrap().as_ref());
        assert_eq!(open(&envelope, operator.public_key().as_ref()).unwrap(), b"{}");
        assert!(matches!(open(&envelope, other.public_key().as_ref()), Err(FederationError::Signature)));
        for at in (0..envelope.len()).step_by(3) {
            let mut bent = envelope.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            assert!(open(&bent, operator.public_key().as_ref()).is_err(), "octet {at}");
        }
    }
}
