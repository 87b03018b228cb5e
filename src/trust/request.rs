//! Certification requests (PKCS#10, RFC 2986): made by a terminal, read by the authority. Of what a request says only the
//! key is taken, with the proof that its maker holds it; names come from whoever approved.

use super::suite::{Identifier, PublicKey, SignatureAlgorithm, Signer, SuiteError};
use crate::formats::der::{DerError, Reader, tag, write};

/// Largest request in octets.
pub const MAX: usize = 16 * 1024;

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("not a certification request: {0}")]
    Form(#[from] DerError),
    #[error("longer than a request is")]
    TooLong,
    #[error("a key that certificates are not issued for: {0}")]
    Key(SuiteError),
    #[error("its signature does not verify under its own key")]
    Signature,
}

/// A request in DER under `signer`'s key, with an empty name.
///
/// # Errors
/// The signer's.
pub fn make(signer: &dyn Signer) -> Result<Vec<u8>, SuiteError> {
    let info = write::sequence(&[
        write::small(0),
        write::sequence::<Vec<u8>>(&[]),
        signer.public_key().to_spki(),
        write::tlv(tag::context(0), &[]),
    ]);
    let signature = signer.sign(&info)?;
    Ok(write::sequence(&[info, signer.algorithm().identifier(), write::bit_string(&signature)]))
}

/// The `SubjectPublicKeyInfo` of a request whose maker holds the key. P-256 only: it is a key for TLS.
///
/// # Errors
/// [`RequestError`].
pub fn read(der: &[u8]) -> Result<Vec<u8>, RequestError> {
    if der.len() > MAX {
        return Err(RequestError::TooLong);
    }
    let mut outer = Reader::new(der);
    let mut whole = outer.sequence()?;
    outer.done()?;
    let info = whole.expect(tag::SEQUENCE)?;
    let algorithm = Identifier::read(&mut whole)?;
    let (signature, unused) = whole.bit_string()?;
    whole.done()?;
    let mut inside = info.inside();
    if inside.small()? != 0 || unused != 0 {
        return Err(DerError::Value.into());
    }
    inside.sequence()?;
    let spki = inside.expect(tag::SEQUENCE)?.full;
    // Attributes are asked for by many tools; none of them is granted.
    inside.optional(tag::context(0))?;
    inside.done()?;
    let key = PublicKey::from_spki(spki).map_err(RequestError::Key)?;
    if !matches!(key, PublicKey::P256(_)) {
        return Err(RequestError::Key(SuiteError::UnknownAlgorithm("not P-256".into())));
    }
    let algorithm = SignatureAlgorithm::from_identifier(&algorithm).map_err(RequestError::Key)?;
    key.verify(algorithm, info.full, signature).map_err(|_| RequestError::Signature)?;
    Ok(spki.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::suite::SigningKey;

    fn key(algorithm: SignatureAlgorithm) -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap()
    }

    #[test]
    fn only_the_holder_of_a_key_asks_for_it() {
        let own = key(SignatureAlgorithm::EcdsaP256Sha256);
        let request = make(&own).unwrap();
        assert_eq!(read(&request).unwrap(), own.public_key().to_spki());
        for at in 0..request.len() {
            let mut bent = request.clone();
            bent[at] ^= 1;
            assert!(read(&bent).is_err(), "octet {at}");
        }
        for length in 0..request.len() {
            assert!(read(&request[..length]).is_err(), "{length} octets");
        }
        let other = make(&key(SignatureAlgorithm::Ed25519)).unwrap();
        assert!(matches!(read(&other), Err(RequestError::Key(_))));
        assert_eq!(read(&vec![0x30; MAX + 1]), Err(RequestError::TooLong));
    }

    /// `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=t2 -addext subjectAltName=…`
    #[test]
    fn requests_of_other_tools_are_read() {
        let key =
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
        let rest = ["-subj", "/CN=t2/O=bank", "-addext", "subjectAltName=URI:urn:x", "-outform", "DER"];
        let made = crate::terms::testing::other("openssl", key.iter().chain(&rest));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(read(&made.stdout).is_ok(), "{:?}", read(&made.stdout));
    }
}
