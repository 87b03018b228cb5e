//! Certificate revocation lists (RFC 5280 §5): read, tied to their issuer, asked by serial.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::certificate::{Certificate, CertificateError, KeyUsage};
use super::name;
use super::suite::{Identifier, SignatureAlgorithm, SuiteError};
use crate::formats::der::{Reader, tag};
use crate::terms::{Digest, UnixMillis};

/// A list as received. A copy costs nothing: lists are long, and every examination has them.
#[derive(Clone, Debug)]
pub struct Crl(Arc<List>);

impl Deref for Crl {
    type Target = List;
    fn deref(&self) -> &List {
        &self.0
    }
}

/// The content of a list.
#[derive(Debug)]
pub struct List {
    der: Vec<u8>,
    tbs: std::ops::Range<usize>,
    issuer: Vec<u8>,
    algorithm: Identifier,
    signature: Vec<u8>,
    this_update: UnixMillis,
    next_update: Option<UnixMillis>,
    /// Sorted by serial.
    revoked: Vec<Revoked>,
    /// Critical extensions, or a partial list: not to be taken for a full one.
    partial: Option<String>,
    /// CRLNumber, without leading zeros.
    number: Option<Vec<u8>>,
    /// BaseCRLNumber of a delta list.
    base: Option<Vec<u8>>,
    /// By whose certificate the signature was found good: a long list is hashed once, not at each examination.
    vouched: OnceLock<Digest>,
}

/// One revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revoked {
    pub serial: Vec<u8>,
    pub at: UnixMillis,
    /// CRLReason; 8 is removeFromCRL, 6 certificateHold.
    pub reason: Option<u8>,
}

impl Crl {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let mut outer = Reader::new(der);
        let mut whole = outer.sequence()?;
        outer.done()?;
        let tbs_element = whole.expect(tag::SEQUENCE)?;
        let outer_algorithm = Identifier::read(&mut whole)?;
        let (signature, _) = whole.bit_string()?;
        whole.done()?;
        let mut tbs = tbs_element.inside();
        if tbs.peek() == Some(tag::INTEGER) && tbs.small()? != 1 {
            return Err(CertificateError::Form("a list of an unknown version"));
        }
        let algorithm = Identifier::read(&mut tbs)?;
        if algorithm != outer_algorithm {
            return Err(CertificateError::Form("two different signature algorithms"));
        }
        let issuer = tbs.expect(tag::SEQUENCE)?.full.to_vec();
        let this_update = tbs.time()?;
        let next_update = match tbs.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(tbs.time()?),
            _ => None,
        };
        let mut revoked = Vec::new();
        let (mut partial, mut number, mut base) = (None, None, None);
        if let Some(list) = tbs.optional(tag::SEQUENCE)? {
            let mut list = list.inside();
            while !list.is_empty() {
                let mut entry = list.sequence()?;
                let (serial, at) = (entry.integer()?.to_vec(), entry.time()?);
                let reason = if entry.is_empty() { None } else { entry_reason(entry.sequence()?, &mut partial)? };
                entry.done()?;
                revoked.push(Revoked { serial, at, reason });
            }
        }
        if let Some(extensions) = tbs.optional(tag::context(0))? {
            let mut list = extensions.inside().sequence()?;
            while !list.is_empty() {
                let (oid, critical, value) = extension(&mut list)?;
                match oid.as_str() {
                    "2.5.29.20" => number = Some(Reader::new(value).unsigned()?.to_vec()),
                    "2.5.29.27" => base = Some(Reader::new(value).unsigned()?.to_vec()),
                    // issuingDistributionPoint says that the list is not the whole.
                    "2.5.29.28" => partial = Some(oid),
                    _ if critical => partial = Some(oid),
                    _ => {}
                }
            }
        }
        tbs.done()?;
        revoked.sort();
        let start = tbs_element.full.as_ptr() as usize - der.as_ptr() as usize;
        Ok(Self(Arc::new(List {
            der: der.to_vec(),
            tbs: start..start + tbs_element.full.len(),
            issuer,
            algorithm,
            signature: signature.to_vec(),
            this_update,
            next_update,
            revoked,
            partial,
            number,
            base,
            vouched: OnceLock::new(),
        })))
    }
}

impl List {
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The Name, as received.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }
    pub fn this_update(&self) -> UnixMillis {
        self.this_update
    }
    pub fn next_update(&self) -> Option<UnixMillis> {
        self.next_update
    }
    /// Why it is not a full list, if it is not.
    pub fn partial(&self) -> Option<&str> {
        self.partial.as_deref().or(self.base.as_ref().map(|_| "2.5.29.27"))
    }

    /// Whether this delta list goes on from a complete one (RFC 5280 §5.2.4): the complete one has what the delta leaves
    /// out, and the delta is the newer.
    pub fn continues(&self, complete: &Self) -> bool {
        let order = |n: &[u8]| (n.len(), n.to_vec());
        match (&self.base, &self.number, &complete.number) {
            (Some(base), Some(own), Some(number)) => {
                self.partial.is_none()
                    && complete.partial().is_none()
                    && order(base) <= order(number)
                    && order(number) <= order(own)
                    && complete.this_update <= self.this_update
            }
            _ => false,
        }
    }

    /// Whether a delta list says that the certificate is off the list again.
    pub fn removes(&self, serial: &[u8]) -> bool {
        self.find(serial).is_some_and(|r| r.reason == Some(8))
    }

    /// Whether `issuer` made this list: same name, allowed to sign lists, and the signature verifies under its key. A
    /// namesake's list counts for nothing.
    pub fn is_by(&self, issuer: &Certificate) -> Result<bool, SuiteError> {
        if !name::same(&self.issuer, issuer.subject())
            || issuer.extensions.key_usage.is_some_and(|ku| !ku.has(KeyUsage::CRL_SIGN))
        {
            return Ok(false);
        }
        let by = issuer.fingerprint();
        if self.vouched.get() == Some(&by) {
            return Ok(true);
        }
        let algorithm = SignatureAlgorithm::from_identifier(&self.algorithm)?;
        match issuer.verify(algorithm, &self.der[self.tbs.clone()], &self.signature) {
            Ok(()) => {
                let _ = self.vouched.set(by); // another certificate of the same key may have been the first
                Ok(true)
            }
            Err(SuiteError::Signature | SuiteError::Key) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Whether [`Self::is_by`] has said yes to this issuer before, which makes it cheap.
    pub fn is_known_by(&self, issuer: &Certificate) -> bool {
        self.vouched.get() == Some(&issuer.fingerprint())
    }

    /// The entry of a serial number.
    pub fn entry(&self, serial: &[u8]) -> Option<&Revoked> {
        self.find(serial).filter(|r| r.reason != Some(8))
    }

    fn find(&self, serial: &[u8]) -> Option<&Revoked> {
        let at = self.revoked.partition_point(|r| r.serial.as_slice() < serial);
        self.revoked.get(at).filter(|r| r.serial == serial)
    }
}

fn extension<'a>(list: &mut Reader<'a>) -> Result<(String, bool, &'a [u8]), CertificateError> {
    let mut one = list.sequence()?;
    let oid = one.oid()?.to_string();
    let critical = if one.peek() == Some(tag::BOOLEAN) { one.boolean()? } else { false };
    let value = one.octet_string()?;
    one.done()?;
    Ok((oid, critical, value))
}

fn entry_reason(mut list: Reader<'_>, partial: &mut Option<String>) -> Result<Option<u8>, CertificateError> {
    let mut reason = None;
    while !list.is_empty() {
        let (oid, critical, value) = extension(&mut list)?;
        match oid.as_str() {
            "2.5.29.21" => reason = Reader::new(value).expect(0x0a)?.content.first().copied(),
            "2.5.29.24" => {}
            _ if critical => *partial = Some(oid), // e.g. certificateIssuer: an indirect list
            _ => {}
        }
    }
    Ok(reason)
}
