//! Digests, streaming.

use super::SuiteError;
use crate::formats::der::{Oid, write};

/// SM3 as GM/T 0006 spells it where SM3 with a key could be meant, too.
const SM3_WITHOUT_KEY: &str = "1.2.156.10197.1.401.1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    Sha256,
    Sha384,
    Sha512,
    Sm3,
}

impl DigestAlgorithm {
    const OIDS: [(Self, &'static str); 4] = [
        (Self::Sha256, "2.16.840.1.101.3.4.2.1"),
        (Self::Sha384, "2.16.840.1.101.3.4.2.2"),
        (Self::Sha512, "2.16.840.1.101.3.4.2.3"),
        (Self::Sm3, "1.2.156.10197.1.401"),
    ];
    /// MD5 and SHA-1.
    const WEAK: [&'static str; 2] = ["1.2.840.113549.2.5", "1.3.14.3.2.26"];

    /// # Errors
    /// [`SuiteError::Weak`], [`SuiteError::UnknownAlgorithm`].
    pub fn from_oid(oid: &Oid) -> Result<Self, SuiteError> {
        if oid.is(SM3_WITHOUT_KEY) {
            return Ok(Self::Sm3);
        }
        if let Some((algorithm, _)) = Self::OIDS.iter().find(|(_, dotted)| oid.is(dotted)) {
            return Ok(*algorithm);
        }
        if Self::WEAK.iter().any(|dotted| oid.is(dotted)) {
            return Err(SuiteError::Weak(oid.to_string()));
        }
        Err(SuiteError::UnknownAlgorithm(oid.to_string()))
    }

    pub fn oid(self) -> &'static str {
        Self::OIDS.iter().find(|(a, _)| *a == self).map_or("", |(_, dotted)| dotted)
    }

    /// Octets of a digest.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// `AlgorithmIdentifier` in DER, without parameters.
    pub fn identifier(self) -> Vec<u8> {
        write::sequence(&[write::oid(self.oid())])
    }

    /// The algorithm's URI in XML (RFC 9231; SM3 by its OID).
    pub fn uri(self) -> &'static str {
        match self {
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha384 => "http://www.w3.org/2001/04/xmldsig-more#sha384",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
            Self::Sm3 => "urn:oid:1.2.156.10197.1.401",
        }
    }

    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::OIDS.iter().map(|(a, _)| *a).find(|a| a.uri() == uri)
    }

    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A digest in the making.
pub enum Hasher {
    Ring(Box<ring::digest::Context>),
    Sm3(sm3::Sm3),
}

impl Hasher {
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        let ring = |a| Self::Ring(Box::new(ring::digest::Context::new(a)));
        match algorithm {
            DigestAlgorithm::Sha256 => ring(&ring::digest::SHA256),
            DigestAlgorithm::Sha384 => ring(&ring::digest::SHA384),
            DigestAlgorithm::Sha512 => ring(&ring::digest::SHA512),
            DigestAlgorithm::Sm3 => Self::Sm3(sm3::Digest::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Ring(context) => context.update(bytes),
            Self::Sm3(sm3) => sm3::Digest::update(sm3, bytes),
        }
    }

    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Ring(context) => context.finish().as_ref().to_vec(),
            Self::Sm3(sm3) => sm3::Digest::finalize(sm3).to_vec(),
        }
    }
}

/// HMAC (RFC 2104) over SM3. Compare it in constant time (`subtle`), not with `==`.
pub fn hmac_sm3(key: &[u8], message: &[u8]) -> [u8; 32] {
    use sm3::{Digest as _, Sm3};
    use zeroize::Zeroizing;
    let mut block = Zeroizing::new([0u8; 64]);
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sm3::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| Zeroizing::new(block.map(|b| b ^ byte));
    let inner = Sm3::new().chain_update(*pad(0x36)).chain_update(message).finalize();
    Sm3::new().chain_update(*pad(0x5c)).chain_update(inner).finalize().into()
}
