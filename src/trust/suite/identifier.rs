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
        let (digest, mask, salt) = read_pss(parameters)?;
        Ok(Self::RsaPss { digest, mask, salt })
    }
}

const MGF1: &str = "1.2.840.113549.1.1.8";

/// `RSASSA-PSS-params`: digest, digest of the mask, octets of salt.
pub(super) fn read_pss(parameters: &[u8]) -> Result<(DigestAlgorithm, DigestAlgorithm, u16), SuiteError> {
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
        Ok(salt) if mask.oid.is(MGF1) && trailer == 1 => Ok((digest, inner, salt)),
        _ => Err(SuiteError::UnknownAlgorithm(RSA_PSS.to_owned())),
    }
}

/// The identifier of RSASSA-PSS with these parameters.
pub(super) fn pss(digest: DigestAlgorithm, mask: DigestAlgorithm, salt: u16) -> Vec<u8> {
    let mask = write::sequence(&[write::oid(MGF1), mask.identifier()]);
    let parameters = write::sequence(&[
        write::explicit(0, &digest.identifier()),
        write::explicit(1, &mask),
        write::explicit(2, &write::small(salt.into())),
    ]);
    write::sequence(&[write::oid(RSA_PSS), parameters])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_as_written() {
        for digest in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512] {
            for (mask, salt) in
                [(digest, 0), (digest, 222), (DigestAlgorithm::Sha256, 20), (DigestAlgorithm::Sha512, 32)]
            {
                let algorithm = SignatureAlgorithm::RsaPss { digest, mask, salt };
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
}
