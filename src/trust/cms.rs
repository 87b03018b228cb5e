//! CMS SignedData (RFC 5652; GB/T 35275 with its own object identifiers): detached signatures, made and checked.

use super::certificate::{Certificate, CertificateError};
use super::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SuiteError, sm2_suite};
use crate::formats::der::{DerError, Element, Reader, tag, write};
use crate::terms::UnixMillis;

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const GM_SIGNED_DATA: &str = "1.2.156.10197.6.1.4.2.2";
const DATA: &str = "1.2.840.113549.1.7.1";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
/// signing-certificate-v2 (RFC 5035), the attribute that makes it CAdES-B.
const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    #[error("CMS: {0}")]
    Der(#[from] DerError),
    #[error("CMS: {0}")]
    Certificate(#[from] CertificateError),
    #[error("CMS: {0}")]
    Suite(#[from] SuiteError),
    #[error("CMS: {0}")]
    Form(&'static str),
    #[error("CMS: no certificate of the signer in it")]
    NoCertificate,
    #[error("CMS: the content is not what was signed")]
    Digest,
    #[error("CMS: the signed attribute names another certificate")]
    OtherCertificate,
}

/// One checked signature.
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
}

/// Makes a detached CAdES-B signature over content of which `digest` (of the signer's digest algorithm) is given.
/// `chain` begins with the signer's certificate.
pub fn sign_detached(
    signer: &dyn Signer,
    chain: &[Certificate],
    digest: &[u8],
    at: UnixMillis,
) -> Result<Vec<u8>, CmsError> {
    let own = chain.first().ok_or(CmsError::NoCertificate)?;
    let algorithm = signer.algorithm();
    let digest_algorithm = algorithm.digest();
    let attribute = |oid: &str, value: Vec<u8>| write::sequence(&[write::oid(oid), write::set_of(&[value])]);
    // ESSCertIDv2: SHA-256 is the default algorithm and must then be left out.
    let hash = write::octet_string(&digest_algorithm.of(own.der()));
    let cert_id = match digest_algorithm {
        DigestAlgorithm::Sha256 => write::sequence(&[hash]),
        other => write::sequence(&[other.identifier(), hash]),
    };
    let attributes = write::set_of(&[
        attribute(CONTENT_TYPE, write::oid(DATA)),
        attribute(MESSAGE_DIGEST, write::octet_string(digest)),
        attribute(SIGNING_TIME, write::certificate_time(at)),
        attribute(SIGNING_CERTIFICATE_V2, write::sequence(&[write::sequence(&[cert_id])])),
    ]);
    let value = signer.sign(&attributes)?;
    let mut implicit = attributes;
    implicit[0] = tag::context(0);
    let info = write::sequence(&[
        write::small(1),
        write::sequence(&[own.issuer().to_vec(), write::tlv(tag::INTEGER, own.serial())]),
        digest_algorithm.identifier(),
        implicit,
        algorithm.identifier(),
        write::octet_string(&value),
    ]);
    let mut certificates: Vec<&[u8]> = chain.iter().map(Certificate::der).collect();
    certificates.sort_unstable();
    let signed_data = write::sequence(&[
        write::small(1),
        write::set_of(&[digest_algorithm.identifier()]),
        write::sequence(&[write::oid(DATA)]),
        write::explicit(0, &certificates.concat()),
        write::set_of(&[info]),
    ]);
    Ok(write::sequence(&[write::oid(SIGNED_DATA), write::explicit(0, &signed_data)]))
}

/// Checks a detached signature with one signer. `digest_of` gives the digest of the content by the named algorithm.
///
/// Trust in the signer is the caller's to judge ([`super::path`]).
pub fn verify_detached(der: &[u8], digest_of: &mut dyn FnMut(DigestAlgorithm) -> Vec<u8>) -> Result<Signed, CmsError> {
    let mut outer = Reader::new(der);
    let mut info = outer.sequence()?;
    outer.done()?;
    let kind = info.oid()?;
    if !kind.is(SIGNED_DATA) && !kind.is(GM_SIGNED_DATA) {
        return Err(CmsError::Form("not signed data"));
    }
    let mut data = info.expect(tag::context(0))?.inside().sequence()?;
    info.done()?;
    data.small()?;
    data.set()?; // digest algorithms: the signer's own counts
    let mut content = data.sequence()?;
    content.oid()?;
    if !content.is_empty() {
        return Err(CmsError::Form("it carries content where none may be"));
    }
    let mut certificates = Vec::new();
    if let Some(list) = data.optional(tag::context(0))? {
        let mut list = list.inside();
        while !list.is_empty() {
            certificates.push(Certificate::parse(list.expect(tag::SEQUENCE)?.full)?);
        }
    }
    data.optional(tag::context(1))?;
    let mut signers = data.set()?;
    data.done()?;
    let signer = signers.sequence()?;
    if !signers.is_empty() {
        return Err(CmsError::Form("more than one signer"));
    }
    signer_info(signer, certificates, digest_of)
}

fn signer_info(
    mut info: Reader<'_>,
    certificates: Vec<Certificate>,
    digest_of: &mut dyn FnMut(DigestAlgorithm) -> Vec<u8>,
) -> Result<Signed, CmsError> {
    info.small()?;
    let mut sid = info.sequence()?;
    let (issuer, serial) = (sid.expect(tag::SEQUENCE)?.full, sid.integer()?);
    sid.done()?;
    let digest = DigestAlgorithm::from_oid(&info.sequence()?.oid()?)?;
    let attributes = info.expect(tag::context(0))?;
    let algorithm = info.sequence()?.oid()?;
    let value = info.octet_string()?;
    info.optional(tag::context(1))?;
    info.done()?;
    let signer = certificates
        .iter()
        .find(|c| c.issuer() == issuer && c.serial() == serial)
        .cloned()
        .ok_or(CmsError::NoCertificate)?;
    let algorithm = match algorithm.to_string().as_str() {
        // SM2's own identifiers stand for SM2 with SM3 in GB/T 35275; ECDSA's key for ECDSA with the digest named.
        "1.2.156.10197.1.301" | "1.2.156.10197.1.301.1" => SignatureAlgorithm::Sm2Sm3,
        "1.2.840.113549.1.1.1" if digest == DigestAlgorithm::Sha256 => SignatureAlgorithm::RsaPkcs1Sha256,
        _ => SignatureAlgorithm::from_oid(&algorithm)?,
    };
    if algorithm.digest() != digest && algorithm != SignatureAlgorithm::Ed25519 {
        return Err(CmsError::Form("digest and signature algorithm do not belong together"));
    }
    let read = read_attributes(attributes, digest, &signer)?;
    if read.digest != digest_of(digest) {
        return Err(CmsError::Digest);
    }
    // Signed is the SET OF as received, under its own tag.
    let mut signed = attributes.full.to_vec();
    signed[0] = tag::SET;
    match (signer.public_key()?, algorithm) {
        (super::suite::PublicKey::Sm2(key), SignatureAlgorithm::Sm2Sm3) if value.len() == 64 => {
            sm2_suite::verify_raw(&key, &signed, value)?;
        }
        (key, _) => key.verify(algorithm, &signed, value)?,
    }
    Ok(Signed {
        signer,
        certificates,
        signing_time: read.signing_time,
        digest,
        signature_value: value.to_vec(),
        certificate_bound: read.certificate_bound,
    })
}

struct Attributes {
    digest: Vec<u8>,
    signing_time: Option<UnixMillis>,
    certificate_bound: bool,
}

fn read_attributes(set: Element<'_>, digest: DigestAlgorithm, signer: &Certificate) -> Result<Attributes, CmsError> {
    let mut list = set.inside();
    let (mut message_digest, mut signing_time, mut certificate_bound) = (None, None, false);
    let mut seen = Vec::new();
    while !list.is_empty() {
        let mut attribute = list.sequence()?;
        let oid = attribute.oid()?.to_string();
        let mut values = attribute.set()?;
        attribute.done()?;
        if seen.contains(&oid) {
            return Err(CmsError::Form("the same attribute twice"));
        }
        match oid.as_str() {
            MESSAGE_DIGEST => {
                message_digest = Some(values.octet_string()?.to_vec());
                values.done()?;
            }
            SIGNING_TIME => signing_time = values.time().ok(),
            SIGNING_CERTIFICATE_V2 => {
                bound(values, digest, signer)?;
                certificate_bound = true;
            }
            _ => {}
        }
        seen.push(oid);
    }
    let digest = message_digest.ok_or(CmsError::Form("no message digest among the signed attributes"))?;
    Ok(Attributes { digest, signing_time, certificate_bound })
}

/// The first certificate id must be the signer's.
fn bound(mut values: Reader<'_>, _digest: DigestAlgorithm, signer: &Certificate) -> Result<(), CmsError> {
    let mut id = values.sequence()?.sequence()?.sequence()?;
    let algorithm = match id.optional(tag::SEQUENCE)? {
        Some(a) => DigestAlgorithm::from_oid(&a.inside().oid()?)?,
        None => DigestAlgorithm::Sha256,
    };
    let hash = id.octet_string()?;
    if algorithm.of(signer.der()) == hash { Ok(()) } else { Err(CmsError::OtherCertificate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::SigningKey;

    fn made(algorithm: SignatureAlgorithm) -> (SigningKey, Certificate) {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let subject = Subject::named("signer", "test");
        let der = issue::certificate(
            &Issuer::root(&key, &subject),
            &subject,
            &key.public_key().to_spki(),
            Use::Signer,
            UnixMillis(0),
            UnixMillis(4_000_000_000_000),
        );
        let certificate = Certificate::parse(&der.unwrap()).unwrap();
        (key, certificate)
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else() {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::Ed25519]
        {
            let (key, certificate) = made(algorithm);
            let at = UnixMillis(1_790_000_000_000);
            let digest = algorithm.digest().of(b"content");
            let cms = sign_detached(&key, std::slice::from_ref(&certificate), &digest, at).unwrap();
            let signed = verify_detached(&cms, &mut |a| a.of(b"content")).unwrap();
            assert_eq!((signed.signer, signed.signing_time), (certificate, Some(at)));
            assert!(signed.certificate_bound);
            assert_eq!(verify_detached(&cms, &mut |a| a.of(b"other")).unwrap_err(), CmsError::Digest);
            for at in 0..cms.len() {
                let mut bent = cms.clone();
                bent[at] ^= 0x01;
                if let Ok(signed) = verify_detached(&bent, &mut |a| a.of(b"content")) {
                    // What is not signed (the list of digests, the version) may differ; the signature itself may not.
                    assert!(
                        cms.windows(signed.signature_value.len()).any(|w| w == signed.signature_value),
                        "octet {at}"
                    );
                    assert_eq!(signed.signing_time, Some(UnixMillis(1_790_000_000_000)), "octet {at}");
                }
            }
        }
    }
}
