//! Does the signature hold over this content?

use super::{
    CONTENT_TYPE, CmsError, MESSAGE_DIGEST, SIGNATURE_TIME_STAMP, SIGNING_CERTIFICATE_V2, SIGNING_TIME, SignedData,
    SignerInfo,
};
use crate::formats::der::{Reader, tag};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm, SuiteError};

/// What was signed.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// The content inside the object.
    Inside,
    /// Content that stands elsewhere. If there is content inside as well, both must be equal.
    Bytes(&'a [u8]),
    /// Digests of content that stands elsewhere, made while it was copied. Serves signatures with attributes only.
    Digests(&'a [(DigestAlgorithm, Vec<u8>)]),
}

/// A signature that holds.
#[derive(Clone, Debug)]
pub struct Verified<'a> {
    pub certificate: &'a Certificate,
    pub algorithm: SignatureAlgorithm,
    /// What the signer claims; a time-stamp proves.
    pub signing_time: Option<UnixMillis>,
    /// Signed attributes bind the signer's certificate (CAdES-B).
    pub binds_certificate: bool,
    /// The signature was `r‖s` in 64 octets instead of DER: one vendor's habit, to be reported.
    pub raw_signature: bool,
    pub signature: &'a [u8],
    /// Time-stamp tokens over the signature value; not verified here.
    pub time_stamps: Vec<&'a [u8]>,
}

/// A detached signature that holds, with what it brought along.
#[derive(Clone, Debug)]
pub struct Signed {
    pub signer: Certificate,
    /// All certificates in it.
    pub certificates: Vec<Certificate>,
    /// What the signer claims; proves nothing.
    pub signing_time: Option<UnixMillis>,
    pub digest: DigestAlgorithm,
    pub signature_value: Vec<u8>,
    /// The signature binds its certificate (CAdES).
    pub certificate_bound: bool,
    /// Time-stamp token over the signature value, the first if there are several; not verified here.
    pub time_stamp: Option<Vec<u8>>,
}

/// Checks a detached signature with signed attributes and one signer. `digest_of` gives the digest of the content by the
/// named algorithm.
///
/// Trust in the signer is the caller's to judge ([`crate::trust::path`]).
pub fn verify_detached(der: &[u8], digest_of: &mut dyn FnMut(DigestAlgorithm) -> Vec<u8>) -> Result<Signed, CmsError> {
    let data = SignedData::parse(der)?;
    let [signer] = data.signers.as_slice() else {
        return Err(if data.signers.is_empty() { CmsError::NoSigner } else { CmsError::Form("more than one signer") });
    };
    if data.content.is_some() {
        return Err(CmsError::Form("it carries content where none may be"));
    }
    let digests = [(signer.digest, digest_of(signer.digest))];
    let verified = data.verify_one(signer, None, Content::Digests(&digests))?;
    Ok(Signed {
        signer: verified.certificate.clone(),
        signing_time: verified.signing_time,
        digest: signer.digest,
        signature_value: signer.signature.clone(),
        certificate_bound: verified.binds_certificate,
        time_stamp: verified.time_stamps.first().map(|token| token.to_vec()),
        certificates: data.certificates.clone(),
    })
}

impl SignedData {
    /// Verifies every signature; each must hold.
    ///
    /// # Errors
    /// [`CmsError::NoSigner`] for an object without signatures; otherwise the first that does not hold.
    pub fn verify(&self, content: Content<'_>) -> Result<Vec<Verified<'_>>, CmsError> {
        if self.signers.is_empty() {
            return Err(CmsError::NoSigner);
        }
        self.signers.iter().map(|signer| self.verify_one(signer, None, content)).collect()
    }

    /// Verifies one signature. `known` is the signer's certificate when the object does not carry it.
    pub fn verify_one<'a>(
        &'a self,
        signer: &'a SignerInfo,
        known: Option<&'a Certificate>,
        content: Content<'_>,
    ) -> Result<Verified<'a>, CmsError> {
        let certificate = self.certificate_of(signer).or(known).ok_or(CmsError::NoCertificate)?;
        let algorithm = signer.signature_algorithm()?;
        let content = self.content_for(content)?;
        let mut signed = Verified {
            certificate,
            algorithm,
            signing_time: None,
            binds_certificate: false,
            raw_signature: false,
            signature: &signer.signature,
            time_stamps: time_stamps(signer),
        };
        let message = match &signer.signed {
            // Without attributes the content type cannot be told from the octets: only plain data may be signed so.
            None if !super::DATA.contains(&self.content_type.as_str()) => {
                return Err(CmsError::Form("content of a special type without signed attributes"));
            }
            None => match content {
                Content::Bytes(bytes) => bytes,
                _ => return Err(CmsError::NoContent),
            },
            Some(attributes) => {
                let kind = attributes.one(CONTENT_TYPE)?.ok_or(CmsError::Form("no content type attribute"))?;
                let kind = Reader::new(kind).oid()?.to_string();
                // Some producers write the PKCS#7 type outside and the national one inside: both mean plain data.
                let data = |t: &str| super::DATA.contains(&t);
                if kind != self.content_type && !(data(&kind) && data(&self.content_type)) {
                    return Err(CmsError::Form("content type attribute of another type"));
                }
                let digest = attributes.one(MESSAGE_DIGEST)?.ok_or(CmsError::Form("no message digest attribute"))?;
                if Reader::new(digest).octet_string()? != content_digest(content, signer.digest)? {
                    return Err(CmsError::Digest);
                }
                if let Some(value) = attributes.one(SIGNING_TIME)? {
                    // A claim nobody can read is no claim.
                    signed.signing_time = Reader::new(value).time().ok();
                }
                if let Some(value) = attributes.one(SIGNING_CERTIFICATE_V2)? {
                    names_certificate(value, certificate)?;
                    signed.binds_certificate = true;
                }
                &attributes.octets
            }
        };
        signed.raw_signature = check(certificate, algorithm, message, &signer.signature)?;
        Ok(signed)
    }

    /// The content to judge on, with what is inside taken into account.
    fn content_for<'c>(&'c self, content: Content<'c>) -> Result<Content<'c>, CmsError> {
        match (content, &self.content) {
            (Content::Inside, Some(inside)) => Ok(Content::Bytes(inside)),
            (Content::Inside, None) => Err(CmsError::NoContent),
            (Content::Bytes(bytes), Some(inside)) if bytes != inside.as_slice() => Err(CmsError::Digest),
            (Content::Digests(digests), Some(inside)) => {
                let equal = digests.iter().all(|(algorithm, digest)| algorithm.of(inside) == *digest);
                if equal && !digests.is_empty() { Ok(Content::Bytes(inside)) } else { Err(CmsError::Digest) }
            }
            (content, _) => Ok(content),
        }
    }
}

fn content_digest(content: Content<'_>, algorithm: DigestAlgorithm) -> Result<Vec<u8>, CmsError> {
    match content {
        Content::Inside => Err(CmsError::NoContent),
        Content::Bytes(bytes) => Ok(algorithm.of(bytes)),
        Content::Digests(all) => {
            all.iter().find(|(a, _)| *a == algorithm).map(|(_, d)| d.clone()).ok_or(CmsError::NoContent)
        }
    }
}

/// Verifies; says whether an SM2 signature came as 64 raw octets.
fn check(
    certificate: &Certificate,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, CmsError> {
    certificate.verify_tolerant(algorithm, message, signature).map_err(|error| match error {
        SuiteError::Signature | SuiteError::Encoding => CmsError::Signature,
        other => CmsError::Suite(other),
    })
}

/// ESS signing-certificate-v2 (RFC 5035 §3): its first entry must be the digest of the signer's certificate.
fn names_certificate(value: &[u8], certificate: &Certificate) -> Result<(), CmsError> {
    let mut certificates = Reader::new(value).sequence()?.sequence()?;
    let mut first = certificates.sequence()?;
    let algorithm = match first.optional(tag::SEQUENCE)? {
        None => DigestAlgorithm::Sha256,
        Some(identifier) => DigestAlgorithm::from_oid(&identifier.inside().oid()?).map_err(CmsError::Suite)?,
    };
    if first.octet_string()? == algorithm.of(certificate.der()) { Ok(()) } else { Err(CmsError::OtherCertificate) }
}

/// Most time-stamps of one signature: each is a signature to be verified.
const STAMPS: usize = 8;

/// Several authorities may stamp one signature, each in an attribute of its own (RFC 5126 §6.1.1).
fn time_stamps(signer: &SignerInfo) -> Vec<&[u8]> {
    let found = signer.unsigned.iter().filter(|a| a.oid == SIGNATURE_TIME_STAMP);
    found.flat_map(|attribute| &attribute.values).take(STAMPS).map(Vec::as_slice).collect()
}
