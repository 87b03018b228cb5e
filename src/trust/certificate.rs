//! X.509 certificates (RFC 5280), SM2 and international, read strictly and kept as received.

use std::ops::Deref;
use std::sync::Arc;

use super::name;
use super::suite::{self, Identifier, PublicKey, SignatureAlgorithm, SuiteError, sm2_suite};
use crate::formats::der::{DerError, Reader, tag, write};
use crate::terms::{Digest, UnixMillis};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("certificate: {0}")]
    Der(#[from] DerError),
    #[error("certificate: {0}")]
    Suite(#[from] SuiteError),
    #[error("certificate: {0}")]
    Form(&'static str),
}

/// Key usage bits (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    pub const DIGITAL_SIGNATURE: u16 = 0x8000;
    pub const NON_REPUDIATION: u16 = 0x4000;
    pub const KEY_CERT_SIGN: u16 = 0x0400;
    pub const CRL_SIGN: u16 = 0x0200;

    /// Whether any of the bits is set.
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    Dns(String),
    Uri(String),
    Email(String),
    Ip(Vec<u8>),
    /// A Name in DER.
    Directory(Vec<u8>),
    Other,
}

/// Name constraints: permitted and excluded subtrees; kept as general names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    pub permitted: Vec<AltName>,
    pub excluded: Vec<AltName>,
}

/// A certificate: its octets, and what is judged on. A copy costs nothing: chains are made of them, and every examination hands
/// them on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(Arc<Body>);

impl Deref for Certificate {
    type Target = Body;
    fn deref(&self) -> &Body {
        &self.0
    }
}

/// The content of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    der: Vec<u8>,
    tbs: std::ops::Range<usize>,
    version: u8,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: UnixMillis,
    not_after: UnixMillis,
    spki: Vec<u8>,
    algorithm: Identifier,
    signature: Vec<u8>,
    pub extensions: Extensions,
}

/// What the extensions say; absent ones are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// (cA, pathLenConstraint)
    pub basic_constraints: Option<(bool, Option<u64>)>,
    pub key_usage: Option<KeyUsage>,
    /// OIDs in dotted form.
    pub extended_key_usage: Option<Vec<String>>,
    pub alt_names: Vec<AltName>,
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    pub policies: Vec<String>,
    pub name_constraints: Option<NameConstraints>,
    /// Critical extensions nobody here understands.
    pub unknown_critical: Vec<String>,
    /// Extensions that are known but could not be read, and stand here as absent.
    pub unreadable: Vec<String>,
    /// All critical extensions.
    pub critical: Vec<String>,
    /// The authority is named by its own issuer and serial number, too.
    pub authority_by_serial: bool,
    /// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): a responder whose own status its authority asks nobody to check.
    pub ocsp_no_check: bool,
}

/// Longest certificate: those for websites with hundreds of names have some ten kilobytes, those with the largest keys a hundred.
const LONGEST: usize = 256 << 10;
/// Most extensions, most names in each of their lists, and most identifiers: websites have some hundred names, papers have five.
const EXTENSIONS: usize = 100;
const NAMES: usize = 1_000;
const IDENTIFIERS: usize = 100;

impl Certificate {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > LONGEST {
            return Err(CertificateError::Form("longer than any certificate"));
        }
        let mut outer = Reader::new(der);
        let mut whole = outer.sequence()?;
        outer.done()?;
        let tbs_element = whole.expect(tag::SEQUENCE)?;
        let outer_algorithm = Identifier::read(&mut whole)?;
        // Producers on OpenSSL count trailing zero bits as unused, and cut zero octets: it is the signature all the same.
        let (signature, _) = whole.bit_string()?;
        whole.done()?;
        let mut tbs = tbs_element.inside();
        let version = match tbs.optional(tag::context(0))? {
            None => 0,
            Some(v) => v.inside().small()?,
        };
        if version > 2 {
            return Err(CertificateError::Form("a version above 3"));
        }
        let serial = tbs.integer()?.to_vec();
        let algorithm = Identifier::read(&mut tbs)?;
        if algorithm != outer_algorithm {
            return Err(CertificateError::Form("two different signature algorithms"));
        }
        let issuer = tbs.expect(tag::SEQUENCE)?.full.to_vec();
        let mut validity = tbs.sequence()?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        validity.done()?;
        let subject = tbs.expect(tag::SEQUENCE)?.full.to_vec();
        let spki = tbs.expect(tag::SEQUENCE)?.full.to_vec();
        tbs.optional(tag::primitive(1))?;
        tbs.optional(tag::primitive(2))?;
        let extensions = match tbs.optional(tag::context(3))? {
            None => Extensions::default(),
            Some(_) if version != 2 => return Err(CertificateError::Form("extensions in an old version")),
            Some(e) => read_extensions(e.content)?,
        };
        tbs.done()?;
        let start = tbs_element.full.as_ptr() as usize - der.as_ptr() as usize;
        Ok(Self(Arc::new(Body {
            der: der.to_vec(),
            tbs: start..start + tbs_element.full.len(),
            version: version as u8 + 1,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            algorithm,
            signature: suite::restored(signature),
            extensions,
        })))
    }

    /// As if it had been issued with other extensions; its signature does not hold any more.
    #[cfg(test)]
    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        &mut Arc::make_mut(&mut self.0).extensions
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// 1 to 3; only the third has extensions.
    pub fn version(&self) -> u8 {
        self.version
    }
    /// INTEGER octets, as received.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }
    /// The Name, as received.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }
    pub fn not_before(&self) -> UnixMillis {
        self.not_before
    }
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
    pub fn subject_text(&self) -> String {
        name::text(&self.subject)
    }
    pub fn issuer_text(&self) -> String {
        name::text(&self.issuer)
    }
    pub fn common_name(&self) -> Option<String> {
        name::common_name(&self.subject)
    }
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// The key alone: the octets of the BIT STRING in [`Certificate::spki`].
    pub fn key_bits(&self) -> Vec<u8> {
        let bits = || {
            let mut inside = Reader::new(&self.spki).sequence()?;
            inside.sequence()?;
            inside.bit_string()
        };
        bits().map_or_else(|_| Vec::new(), |(bits, _)| bits.to_vec())
    }

    pub fn public_key(&self) -> Result<PublicKey, SuiteError> {
        PublicKey::from_spki(&self.spki)
    }

    /// The algorithm it was signed with.
    pub fn algorithm(&self) -> Result<SignatureAlgorithm, SuiteError> {
        SignatureAlgorithm::from_identifier(&self.algorithm)
    }

    /// Verifies a signature that the holder made.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
        self.public_key()?.verify(algorithm, message, signature)
    }

    /// As [`Certificate::verify`], but takes an SM2 signature of `r‖s` in 64 octets, too: one vendor's habit. `true` if it
    /// came so, which is to be reported.
    pub fn verify_tolerant(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, SuiteError> {
        match self.public_key()? {
            // No DER signature of SM2 has 64 octets and begins otherwise than with SEQUENCE, its length and INTEGER.
            PublicKey::Sm2(point)
                if algorithm == SignatureAlgorithm::Sm2Sm3
                    && signature.len() == 64
                    && signature[..3] != [tag::SEQUENCE, 62, tag::INTEGER] =>
            {
                sm2_suite::verify_raw(&point, message, signature).map(|()| true)
            }
            key => key.verify(algorithm, message, signature).map(|()| false),
        }
    }

    /// Whether `issuer`'s key signed this certificate.
    pub fn signed_by(&self, issuer: &Certificate) -> Result<(), SuiteError> {
        issuer.verify(self.algorithm()?, &self.der[self.tbs.clone()], &self.signature)
    }

    pub fn valid_at(&self, at: UnixMillis) -> bool {
        // notAfter names a second that still counts whole.
        self.not_before <= at && at.seconds() <= self.not_after.seconds()
    }

    pub fn is_ca(&self) -> bool {
        self.extensions.basic_constraints.is_some_and(|(ca, _)| ca)
    }

    /// The URIs among its names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.extensions.alt_names.iter().filter_map(|n| match n {
            AltName::Uri(uri) => Some(uri.as_str()),
            _ => None,
        })
    }
}

/// subjectAltName.
pub(super) const ALT_NAMES: &str = "2.5.29.17";
/// id-pkix-ocsp-nocheck; its value is NULL.
pub(super) const OCSP_NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";

fn read_extensions(octets: &[u8]) -> Result<Extensions, CertificateError> {
    let mut out = Extensions::default();
    let mut outer = Reader::new(octets);
    let mut list = outer.sequence()?;
    outer.done()?;
    let mut seen = Vec::new();
    while !list.is_empty() {
        if seen.len() == EXTENSIONS {
            return Err(CertificateError::Form("more extensions than any certificate has"));
        }
        let mut extension = list.sequence()?;
        let oid = extension.oid()?;
        // DEFAULT FALSE written out is against DER, but common.
        let critical = if extension.peek() == Some(tag::BOOLEAN) { extension.boolean()? } else { false };
        let value = extension.octet_string()?;
        extension.done()?;
        let dotted = oid.to_string();
        if seen.contains(&dotted) {
            return Err(CertificateError::Form("the same extension twice"));
        }
        let known = match read_extension(&mut out, &dotted, value) {
            // Genuine signers' certificates hold names and key identifiers that are no such thing (a second OCTET STRING
            // around them): nothing is trusted for what nobody can read, and nothing refused unless it is critical.
            Err(_) if matches!(dotted.as_str(), "2.5.29.14" | ALT_NAMES | "2.5.29.32" | "2.5.29.35") => {
                out.unreadable.push(dotted.clone());
                false
            }
            other => other?,
        };
        if critical {
            out.critical.push(dotted.clone());
            if !known {
                out.unknown_critical.push(dotted.clone());
            }
        }
        seen.push(dotted);
    }
    Ok(out)
}

/// Reads one extension; `false` when it is not known.
fn read_extension(out: &mut Extensions, oid: &str, value: &[u8]) -> Result<bool, CertificateError> {
    let mut reader = Reader::new(value);
    match oid {
        "2.5.29.19" => {
            let mut inside = reader.sequence()?;
            let ca = if inside.peek() == Some(tag::BOOLEAN) { inside.boolean()? } else { false };
            let length = if inside.is_empty() { None } else { Some(inside.small()?) };
            inside.done()?;
            out.basic_constraints = Some((ca, length));
        }
        "2.5.29.15" => {
            let (bits, _) = reader.bit_string()?;
            let bit = |n: usize| u16::from(bits.get(n).copied().unwrap_or(0));
            out.key_usage = Some(KeyUsage(bit(0) << 8 | bit(1)));
        }
        "2.5.29.37" => {
            let mut inside = reader.sequence()?;
            let mut all = Vec::new();
            while !inside.is_empty() {
                all.push(inside.oid()?.to_string());
                few(&all, IDENTIFIERS)?;
            }
            out.extended_key_usage = Some(all);
        }
        "2.5.29.17" => out.alt_names = general_names(reader.sequence()?)?,
        "2.5.29.14" => out.subject_key_id = Some(reader.octet_string()?.to_vec()),
        "2.5.29.35" => {
            let mut inside = reader.sequence()?;
            out.authority_key_id = inside.optional(tag::primitive(0))?.map(|e| e.content.to_vec());
            out.authority_by_serial = !inside.is_empty();
        }
        "2.5.29.32" => {
            let mut inside = reader.sequence()?;
            while !inside.is_empty() {
                out.policies.push(inside.sequence()?.oid()?.to_string());
                few(&out.policies, IDENTIFIERS)?;
            }
        }
        "2.5.29.30" => {
            let mut inside = reader.sequence()?;
            let mut trees = |n: u8| -> Result<Vec<AltName>, DerError> {
                let Some(list) = inside.optional(tag::context(n))? else { return Ok(Vec::new()) };
                let (mut list, mut all) = (list.inside(), Vec::new());
                while !list.is_empty() {
                    all.push(general_name(&mut list.sequence()?)?);
                    few(&all, NAMES)?;
                }
                Ok(all)
            };
            out.name_constraints = Some(NameConstraints { permitted: trees(0)?, excluded: trees(1)? });
            inside.done()?;
        }
        // Key identifiers of issuers, CRL and authority addresses: never followed, so never judged on.
        "2.5.29.31" | "1.3.6.1.5.5.7.1.1" | "2.5.29.18" | "2.5.29.46" => return Ok(true),
        OCSP_NO_CHECK => {
            out.ocsp_no_check = value == write::null();
            return Ok(out.ocsp_no_check);
        }
        _ => return Ok(false),
    }
    if matches!(
        oid,
        "2.5.29.19" | "2.5.29.15" | "2.5.29.37" | "2.5.29.17" | "2.5.29.14" | "2.5.29.35" | "2.5.29.32" | "2.5.29.30"
    ) {
        reader.done()?;
    }
    Ok(true)
}

fn general_names(mut list: Reader<'_>) -> Result<Vec<AltName>, DerError> {
    let mut all = Vec::new();
    while !list.is_empty() {
        all.push(general_name(&mut list)?);
        few(&all, NAMES)?;
    }
    Ok(all)
}

fn few<T>(all: &[T], most: usize) -> Result<(), DerError> {
    if all.len() > most { Err(DerError::Value) } else { Ok(()) }
}

fn general_name(reader: &mut Reader<'_>) -> Result<AltName, DerError> {
    let element = reader.element()?;
    let text = || {
        let plain = element.content.iter().all(|b| (0x20..0x7f).contains(b));
        if plain {
            Ok(element.content.iter().map(|b| char::from(*b)).collect::<String>())
        } else {
            Err(DerError::Value)
        }
    };
    Ok(match element.tag {
        0x81 => AltName::Email(text()?),
        0x82 => AltName::Dns(text()?),
        0x86 => AltName::Uri(text()?),
        0x87 => AltName::Ip(element.content.to_vec()),
        0xa4 => AltName::Directory(element.content.to_vec()),
        _ => AltName::Other,
    })
}
