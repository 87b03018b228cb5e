//! CMS SignedData (RFC 5652) and its national spelling (GB/T 35275): read, verified, made.
//!
//! ```text
//!  octets ─▶ SignedData ─▶ verify(content) ─▶ Verified { certificate, signing time, … } ─▶ path (who trusts it?)
//!                              ▲
//!        (a) no attributes: the signature is over the content     (b) attributes: over them, as received; they hold the
//!                                                                     digest of the content
//! ```
//! Whether the signer is trusted is asked of [`super::path`]; here only mathematics and form are judged.

mod along;
mod head;
mod make;
mod verify;

pub use along::Along;
use head::Kinds;
pub(crate) use make::sign_inside;
pub use make::{Spelling, TimeStamp, sign_detached, sign_detached_with};
pub use verify::{Content, Signed, Verified, verify_detached};

use std::collections::HashSet;

use super::certificate::{Certificate, CertificateError};
use super::crl::Crl;
use super::name;
use super::ocsp::Response;
use super::suite::{DigestAlgorithm, Identifier, SignatureAlgorithm, SuiteError};
use crate::formats::ber;
use crate::formats::der::{DerError, Element, Reader, tag, write};
use crate::terms::{Explain, Next, Told, UnixMillis, refusal::tolds};

pub(super) const SIGNED_DATA: [&str; 2] = ["1.2.840.113549.1.7.2", "1.2.156.10197.6.1.4.2.2"];
pub(super) const DATA: [&str; 2] = ["1.2.840.113549.1.7.1", "1.2.156.10197.6.1.4.2.1"];
pub(super) const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
pub(super) const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
pub(super) const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
pub(super) const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";
pub(super) const SIGNATURE_TIME_STAMP: &str = "1.2.840.113549.1.9.16.2.14";

/// Most certificates, lists, signers or attributes of one object; real ones have fewer than ten.
const MOST: usize = 64;

tolds! {
    /// Octets that are not the signature they should be.
    pub const MALFORMED = "TB-TRU-0201", 422,
        "签名数据格式不规范，请重新获取电子文件。",
        "The signature data is not in proper form: obtain the electronic file again.",
        Next::CorrectAndResend;
    /// The signed content was changed, or the signature is another's.
    pub const CHANGED = "TB-TRU-0202", 422,
        "文件内容与签名不一致，可能被改动，不能采用。",
        "The content is not what was signed; it may have been changed and cannot be used.",
        Next::BringOriginal;
    /// Nobody signed, or it cannot be told who.
    pub const NO_SIGNER = "TB-TRU-0203", 422,
        "文件没有可核验的签名人，不能采用。",
        "There is no signer who could be checked: the file cannot be used.",
        Next::BringOriginal;
    /// An algorithm that is weak, or not known here, or keys that do not fit.
    pub const ALGORITHM = "TB-TRU-0204", 422,
        "签名算法不被接受，请向签发机关重新申领。",
        "The algorithm of the signature is not accepted here: have the document issued again.",
        Next::BringOriginal;
}

impl Explain for CmsError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Der(_) | Self::Form(_) | Self::Certificate(_) | Self::NoContent | Self::Encrypted(_) => &MALFORMED,
            Self::NoSigner | Self::NoCertificate => &NO_SIGNER,
            Self::Digest | Self::Signature | Self::OtherCertificate => &CHANGED,
            Self::Suite(_) => &ALGORITHM,
        }
    }
}

/// Why a CMS object does not prove what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    #[error("CMS: {0}")]
    Der(#[from] DerError),
    #[error("CMS: {0}")]
    Form(&'static str),
    #[error("CMS: {0}")]
    Certificate(#[from] CertificateError),
    #[error("CMS: {0}")]
    Suite(#[from] SuiteError),
    #[error("CMS: encrypted ({0})")]
    Encrypted(&'static str),
    #[error("CMS: nobody signed it")]
    NoSigner,
    #[error("CMS: the signer's certificate is not in it")]
    NoCertificate,
    #[error("CMS: there is no content to check against")]
    NoContent,
    #[error("CMS: the digest of the content is another one")]
    Digest,
    #[error("CMS: the signature does not verify")]
    Signature,
    #[error("CMS: the signed attributes name another certificate")]
    OtherCertificate,
}

impl CmsError {
    /// Fine code for reports; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Der(_) => "CMS_DER",
            Self::Form(_) | Self::Certificate(_) => "CMS_STRUCTURE",
            Self::Suite(SuiteError::Weak(_)) => "CMS_ALG_WEAK",
            Self::Suite(_) => "CMS_ALG",
            Self::Encrypted(_) => "CMS_ENCRYPTED",
            Self::NoSigner => "CMS_NO_SIGNER",
            Self::NoCertificate => "CMS_NO_CERT",
            Self::NoContent => "CMS_NO_CONTENT",
            Self::Digest => "CMS_DIGEST_MISMATCH",
            Self::Signature => "CMS_SIGNATURE",
            Self::OtherCertificate => "CMS_SIGNING_CERTIFICATE",
        }
    }
}

/// A SignedData, as received.
#[derive(Clone, Debug)]
pub struct SignedData {
    /// With the national content types of GB/T 35275.
    pub national: bool,
    /// The frame was BER whose lengths are not told, as encoders that stream write it.
    pub streamed: bool,
    /// Dotted.
    pub content_type: String,
    /// The content, if it is inside.
    pub content: Option<Vec<u8>>,
    /// In the order received; nothing says that they belong together.
    pub certificates: Vec<Certificate>,
    /// Revocation lists, in the order received. What cannot be read says nothing.
    pub crls: Vec<Crl>,
    /// OCSP responses (RFC 5940), in the order received.
    pub ocsp: Vec<Response>,
    pub signers: Vec<SignerInfo>,
}

/// otherRevInfo, `[1]`.
const OTHER_REVOCATION: u8 = 0xa1;
const OCSP_RESPONSE: &str = "1.3.6.1.5.5.7.16.2";

fn ocsp_response(other: &Element<'_>) -> Result<Option<Response>, DerError> {
    let mut inside = other.inside();
    let is_ocsp = inside.oid()?.is(OCSP_RESPONSE);
    let value = inside.element()?;
    Ok(if is_ocsp { Response::parse(value.full).ok() } else { None })
}

/// How a signer is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerId {
    /// Issuer Name and serial INTEGER octets.
    IssuerSerial(Vec<u8>, Vec<u8>),
    KeyId(Vec<u8>),
}

/// One signature.
#[derive(Clone, Debug)]
pub struct SignerInfo {
    pub id: SignerId,
    pub digest: DigestAlgorithm,
    /// The signature algorithm as received: a key's own OID says nothing about the digest.
    pub algorithm: Identifier,
    pub signature: Vec<u8>,
    pub signed: Option<Attributes>,
    pub unsigned: Vec<Attribute>,
}

/// Signed attributes: their octets as received, with the tag they are hashed under.
#[derive(Clone, Debug)]
pub struct Attributes {
    octets: Vec<u8>,
    list: Vec<Attribute>,
}

/// One attribute: dotted type, and each value in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub oid: String,
    pub values: Vec<Vec<u8>>,
}

impl Attributes {
    /// The only value of the only attribute of this type.
    ///
    /// # Errors
    /// [`CmsError::Form`] when there are several: two readers could take different ones.
    pub fn one(&self, oid: &str) -> Result<Option<&[u8]>, CmsError> {
        let mut found = self.list.iter().filter(|a| a.oid == oid);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(Attribute { values, .. }), None) if values.len() == 1 => Ok(Some(&values[0])),
            _ => Err(CmsError::Form("an attribute with more than one value")),
        }
    }

    pub fn list(&self) -> &[Attribute] {
        &self.list
    }
}

impl SignedData {
    /// Reads a ContentInfo with SignedData, nothing after it. RFC 5652 asks for DER only where something is digested, so a
    /// frame in BER is taken, and [`SignedData::streamed`] tells of it.
    pub fn parse(octets: &[u8]) -> Result<Self, CmsError> {
        match Self::parse_der(octets) {
            Err(CmsError::Der(DerError::Length) | CmsError::Form(IN_PIECES)) => {
                let (der, used) = ber::definite(octets)?;
                if used != octets.len() {
                    return Err(DerError::Trailing.into());
                }
                Ok(Self { streamed: true, ..Self::parse_der(&der)? })
            }
            parsed => parsed,
        }
    }

    fn parse_der(der: &[u8]) -> Result<Self, CmsError> {
        let mut outer = Reader::new(der);
        let mut info = outer.sequence()?;
        outer.done()?;
        let kind = info.oid()?.to_string();
        let national = match SIGNED_DATA.iter().position(|k| *k == kind) {
            Some(at) => at == 1,
            None => {
                let sealed = ENCRYPTED.iter().find(|(_, kinds)| kinds.contains(&kind.as_str()));
                return Err(sealed.map_or(CmsError::Form("not SignedData"), |(name, _)| CmsError::Encrypted(name)));
            }
        };
        let mut body = info.expect(tag::context(0))?.inside();
        info.done()?;
        let mut data = body.sequence()?;
        body.done()?;
        let (version, digests) = (data.small()?, data.expect(tag::SET)?);
        let mut kinds = Kinds::default();
        let mut encapsulated = data.sequence()?;
        let content_type = encapsulated.oid()?.to_string();
        let content = match encapsulated.optional(tag::context(0))? {
            None => None,
            Some(wrapped) => {
                let mut wrapped = wrapped.inside();
                let content = content_octets(&wrapped.element()?)?;
                wrapped.done()?;
                Some(content)
            }
        };
        encapsulated.done()?;
        let mut certificates = Vec::new();
        if let Some(list) = data.optional(tag::context(0))? {
            for element in distinct(list.content)? {
                kinds.certificates.push(element.tag);
                // Other kinds of certificate ([0]..[3]) carry nothing that is judged here.
                if element.tag == tag::SEQUENCE {
                    certificates.push(Certificate::parse(element.full)?);
                }
            }
        }
        let (mut crls, mut ocsp) = (Vec::new(), Vec::new());
        if let Some(list) = data.optional(tag::context(1))? {
            for element in distinct(list.content)? {
                kinds.status.push(element.tag);
                match element.tag {
                    tag::SEQUENCE => crls.extend(Crl::parse(element.full).ok()),
                    OTHER_REVOCATION => ocsp.extend(ocsp_response(&element)?),
                    _ => {}
                }
            }
        }
        let infos = data.expect(tag::SET)?;
        data.done()?;
        let signers = elements(infos.content)?.iter().map(signer_info).collect::<Result<_, _>>()?;
        let all = Self { national, streamed: false, content_type, content, certificates, crls, ocsp, signers };
        head::check(version, &digests, &kinds, &all)?;
        Ok(all)
    }

    /// The certificate of a signer, if it is inside.
    pub fn certificate_of(&self, signer: &SignerInfo) -> Option<&Certificate> {
        self.certificates.iter().find(|c| match &signer.id {
            SignerId::IssuerSerial(issuer, serial) => c.serial() == serial && name::same_letters(c.issuer(), issuer),
            SignerId::KeyId(id) => c.extensions.subject_key_id.as_ref() == Some(id),
        })
    }
}

/// What nobody but its receiver can read: RFC 5652 §6 and §8, and GB/T 35275.
const ENCRYPTED: [(&str, &[&str]); 4] = [
    ("EnvelopedData", &["1.2.840.113549.1.7.3", "1.2.156.10197.6.1.4.2.3"]),
    ("SignedAndEnvelopedData", &["1.2.840.113549.1.7.4", "1.2.156.10197.6.1.4.2.4"]),
    ("EncryptedData", &["1.2.840.113549.1.7.6", "1.2.156.10197.6.1.4.2.5"]),
    ("AuthEnvelopedData", &["1.2.840.113549.1.9.16.1.23"]),
];

const IN_PIECES: &str = "content in pieces";

/// Content is an OCTET STRING in CMS, and anything in PKCS#7: then its octets without tag and length count.
fn content_octets(element: &Element<'_>) -> Result<Vec<u8>, CmsError> {
    match element.tag {
        0x24 => Err(CmsError::Form(IN_PIECES)),
        _ => Ok(element.content.to_vec()),
    }
}

fn elements(octets: &[u8]) -> Result<Vec<Element<'_>>, CmsError> {
    each(octets, |_| true)
}

/// As [`elements`], equal ones once: a copy says nothing new, and takes nobody's room.
fn distinct(octets: &[u8]) -> Result<Vec<Element<'_>>, CmsError> {
    let mut known = HashSet::new();
    each(octets, |element| known.insert(element.full))
}

fn each<'a>(octets: &'a [u8], mut take: impl FnMut(&Element<'a>) -> bool) -> Result<Vec<Element<'a>>, CmsError> {
    let mut reader = Reader::new(octets);
    let mut all = Vec::new();
    while !reader.is_empty() {
        let element = reader.element()?;
        if !take(&element) {
            continue;
        }
        if all.len() == MOST {
            return Err(CmsError::Form("more parts than any real object has"));
        }
        all.push(element);
    }
    Ok(all)
}

fn signer_info(element: &Element<'_>) -> Result<SignerInfo, CmsError> {
    if element.tag != tag::SEQUENCE {
        return Err(CmsError::Form("a signer that is not a SEQUENCE"));
    }
    let mut info = element.inside();
    let version = info.small()?;
    let id = match info.peek() {
        Some(0x80) => SignerId::KeyId(info.element()?.content.to_vec()),
        _ => {
            let mut pair = info.sequence()?;
            let id = SignerId::IssuerSerial(pair.expect(tag::SEQUENCE)?.full.to_vec(), pair.integer()?.to_vec());
            pair.done()?;
            id
        }
    };
    // RFC 5652 §5.3; GB/T 35275 knows the first only.
    if version != (if matches!(id, SignerId::IssuerSerial(..)) { 1 } else { 3 }) {
        return Err(CmsError::Form("a signer of another version than its identifier has"));
    }
    let digest = head::digest(&Identifier::read(&mut info)?)?;
    let signed = match info.optional(tag::context(0))? {
        None => None,
        Some(set) => Some(Attributes {
            // Hashed as a SET OF in the order received (RFC 5652 §5.4); never sorted again, some producers do not sort.
            octets: write::tlv(tag::SET, set.content),
            list: attributes(set.content)?,
        }),
    };
    let algorithm = Identifier::read(&mut info)?;
    let signature = info.octet_string()?.to_vec();
    let unsigned = match info.optional(tag::context(1))? {
        None => Vec::new(),
        Some(set) => attributes(set.content)?,
    };
    info.done()?;
    Ok(SignerInfo { id, digest, algorithm, signature, signed, unsigned })
}

fn attributes(octets: &[u8]) -> Result<Vec<Attribute>, CmsError> {
    let one = |element: Element<'_>| {
        let mut reader = Reader::new(element.full).sequence()?;
        let oid = reader.oid()?.to_string();
        let values = elements(reader.expect(tag::SET)?.content)?;
        reader.done()?;
        Ok(Attribute { oid, values: values.iter().map(|v| v.full.to_vec()).collect() })
    };
    elements(octets)?.into_iter().map(one).collect()
}

impl SignerInfo {
    /// When it was signed, as the signer says, whether or not the signature holds. A claim nobody can read is no claim.
    pub fn signing_time(&self) -> Option<UnixMillis> {
        let value = self.signed.as_ref()?.one(SIGNING_TIME).ok()??;
        Reader::new(value).time().ok()
    }

    /// What it was made with: its own digest, and that of the signature.
    pub fn digests(&self) -> Vec<DigestAlgorithm> {
        let signature = self.signature_algorithm().into_iter().flat_map(SignatureAlgorithm::own_digests);
        signature.chain([self.digest]).collect()
    }

    /// The algorithm in full. A bare key OID (RSA, EC, SM2) takes the digest the signer names.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, CmsError> {
        use DigestAlgorithm as D;
        use SignatureAlgorithm as S;
        let dotted = self.algorithm.oid.to_string();
        let algorithm = match (dotted.as_str(), self.digest) {
            ("1.2.840.113549.1.1.1", D::Sha256) => S::RsaPkcs1Sha256,
            ("1.2.840.113549.1.1.1", D::Sha384) => S::RsaPkcs1Sha384,
            ("1.2.840.113549.1.1.1", D::Sha512) => S::RsaPkcs1Sha512,
            ("1.2.840.10045.2.1", D::Sha256) => S::EcdsaP256Sha256,
            ("1.2.840.10045.2.1", D::Sha384) => S::EcdsaP384Sha384,
            ("1.2.840.10045.2.1", D::Sha512) => S::EcdsaSha512,
            ("1.2.840.10045.2.1", D::Sm3) => S::Sm2Sm3,
            // The key's own identifiers, and one without its ".1", stand for SM2 with SM3 in genuine files.
            (oid, D::Sm3) if S::SM2_SPELLINGS.contains(&oid) => S::Sm2Sm3,
            _ => S::from_identifier(&self.algorithm).map_err(CmsError::Suite)?,
        };
        // A signature algorithm with one digest over attributes with another is allowed for Ed25519 only (RFC 8419).
        if algorithm.digest() != self.digest && algorithm != S::Ed25519 {
            return Err(CmsError::Form("signature and digest algorithms that do not fit"));
        }
        Ok(algorithm)
    }
}

#[cfg(test)]
mod tests;
