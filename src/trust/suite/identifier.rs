//! `AlgorithmIdentifier`: an OID, and parameters that matter for RSASSA-PSS only (RFC 4055 §3.1).

use super::{DigestAlgorithm, RSA_PSS, SignatureAlgorithm, SuiteError};
use crate::formats::der::{DerError, Oid, Reader, tag, write};

/// An `AlgorithmIdentifier` as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    pub oid: Oid,
    /// In DER; absent parameters and NULL are the same to all algorithms we take.
    pub parameters: Option<Vec<u8>>,
}

impl Identifier {
    /// Reads the next element.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        let mut inside = reader.sequence()?;
        let oid = inside.oid()?;
        let parameters = if inside.is_empty() { None } else { Some(inside.element()?) };
        inside.done()?;
        let parameters = parameters.filter(|p| p.tag != tag::NULL).map(|p| p.full.to_vec());
        Ok(Self { oid, parameters })
    }
}

impl SignatureAlgorithm {
    /// By OID, and for RSASSA-PSS by its parameters.
    ///
    /// # Errors
    /// [`SuiteError::Weak`] also for PSS parameters left at their default, which is SHA-1; [`SuiteError::UnknownAlgorithm`].
    pub fn from_identifier(identifier: &Identifier) -> Result<Self, SuiteError> {
        if !identifier.oid.is(RSA_PSS) {
            return Self::from_oid(&identifier.oid);
        }
        let parameters = identifier.parameters.as_deref().ok_or_else(|| SuiteError::Weak(RSA_PSS.to_owned()))?;
        read_pss(parameters)
    }
}

const MGF1: &str = "1.2.840.113549.1.1.8";

/// `RSASSA-PSS-params`.
pub(super) fn read_pss(parameters: &[u8]) -> Result<SignatureAlgorithm, SuiteError> {
    let other = |_: DerError| SuiteError::UnknownAlgorithm(RSA_PSS.to_owned());
    // The DEFAULT of each digest is SHA-1.
    let weak = || SuiteError::Weak(RSA_PSS.to_owned());
    let mut outer = Reader::new(parameters);
    let mut fields = outer.sequence().map_err(other)?;
    outer.done().map_err(other)?;
    let hash = fields.optional(tag::context(0)).map_err(other)?.ok_or_else(weak)?;
    let digest = DigestAlgorithm::from_oid(&Identifier::read(&mut hash.inside()).map_err(other)?.oid)?;
    let mask = fields.optional(tag::context(1)).map_err(other)?.ok_or_else(weak)?;
    let mask = Identifier::read(&mut mask.inside()).map_err(other)?;
    let inner = mask.parameters.as_deref().ok_or_else(weak)?;
    let inner = DigestAlgorithm::from_oid(&Identifier::read(&mut Reader::new(inner)).map_err(other)?.oid)?;
    let salt = match fields.optional(tag::context(2)).map_err(other)? {
        None => 20,
        Some(salt) => salt.inside().small().map_err(other)?,
    };
    let trailer = match fields.optional(tag::context(3)).map_err(other)? {
        None => 1,
        Some(trailer) => trailer.inside().small().map_err(other)?,
    };
    fields.done().map_err(other)?;
    match u16::try_from(salt) {
        Ok(salt) if mask.oid.is(MGF1) && inner == digest && trailer == 1 => {
            Ok(SignatureAlgorithm::RsaPss { digest, salt })
        }
        _ => Err(SuiteError::UnknownAlgorithm(RSA_PSS.to_owned())),
    }
}

/// The identifier of RSASSA-PSS with these parameters.
pub(super) fn pss(digest: DigestAlgorithm, salt: u16) -> Vec<u8> {
    let mask = write::sequence(&[write::oid(MGF1), digest.identifier()]);
    let parameters = write::sequence(&[
        write::explicit(0, &digest.identifier()),
        write::explicit(1, &mask),
        write::explicit(2, &write::small(salt.into())),
    ]);
    write::sequence(&[write::oid(RSA_PSS), parameters])
}

#[cfg(test)]
mod tests {
    use rsa::Generate;
    use rsa::pkcs1::EncodeRsaPublicKey;
    use rsa::pss::SigningKey;
    use rsa::signature::{SignatureEncoding, Signer};

    use super::*;
    use crate::trust::suite::PublicKey;

    #[test]
    fn identifiers_are_read_as_written() {
        for digest in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512] {
            for salt in [0, 20, 32, 222] {
                let algorithm = SignatureAlgorithm::RsaPss { digest, salt };
                let read = Identifier::read(&mut Reader::new(&algorithm.identifier())).unwrap();
                assert_eq!(SignatureAlgorithm::from_identifier(&read), Ok(algorithm));
            }
        }
        let bare = write::sequence(&[write::oid(RSA_PSS)]);
        let defaults = write::sequence(&[write::oid(RSA_PSS), write::sequence::<Vec<u8>>(&[])]);
        for octets in [bare, defaults] {
            let read = Identifier::read(&mut Reader::new(&octets)).unwrap();
            assert_eq!(SignatureAlgorithm::from_identifier(&read), Err(SuiteError::Weak(RSA_PSS.to_owned())));
        }
    }

    #[test]
    fn salts_of_any_length_verify_and_only_as_stated() {
        let private = rsa::PrivateKey::try_generate().unwrap();
        let public = rsa::PublicKey::from(&private).to_pkcs1_der().unwrap();
        let keys = [PublicKey::Rsa(public.as_bytes().to_vec()), PublicKey::RsaPss(public.as_bytes().to_vec(), None)];
        for salt in [0u16, 20, 32, 222] {
            let key = SigningKey::<rsa::sha2::Sha256>::new_with_salt_len(private.clone(), salt.into());
            let signature = key.sign(b"message").to_vec();
            for key in &keys {
                let check = |salt, message: &[u8]| {
                    key.verify(
                        SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt },
                        message,
                        &signature,
                    )
                };
                assert_eq!(check(salt, b"message"), Ok(()), "{salt}");
                assert_eq!(check(salt, b"messagf"), Err(SuiteError::Signature), "{salt}");
                assert_eq!(check(salt + 1, b"message"), Err(SuiteError::Signature), "{salt}");
            }
            assert_eq!(
                keys[1].verify(SignatureAlgorithm::RsaPkcs1Sha256, b"message", &signature),
                Err(SuiteError::Key)
            );
        }
    }
}
