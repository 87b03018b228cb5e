//! Certificate revocation lists (RFC 5280 §5): read, tied to their issuer, asked by serial.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::certificate::{Certificate, CertificateError, KeyUsage};
use super::name;
use super::suite::{self, Identifier, SignatureAlgorithm, SuiteError};
use crate::formats::der::{Reader, tag};
use crate::terms::{Digest, UnixMillis};

/// A newer list is wanted this long before the old one ends, or a quarter of its life before, in milliseconds.
const ENDING_MS: i64 = 3 * 86_400_000;

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
    /// Where each entry begins in the octets, in the order of serial numbers: a long list has hundreds of thousands, and few are asked for.
    revoked: Vec<u32>,
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
    /// When it was revoked, or since when it was known or suspected to be no good (invalidityDate, RFC 5280 §5.3.2), if that is earlier.
    pub at: UnixMillis,
    /// CRLReason; 8 is removeFromCRL, 6 certificateHold.
    pub reason: Option<u8>,
}

impl Revoked {
    /// keyCompromise, cACompromise, aACompromise: somebody else has the key, and writes what time he likes.
    pub fn is_compromised(&self) -> bool {
        matches!(self.reason, Some(1 | 2 | 10))
    }

    /// What two sources say of one certificate: revoked since the earlier, and its key is lost if either says so. An older list may
    /// not have known.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let reason = if other.is_compromised() || other.at < self.at && !self.is_compromised() {
            other.reason
        } else {
            self.reason
        };
        Self { at: self.at.min(other.at), reason, ..self }
    }
}

impl Crl {
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        Self::of(der.to_vec())
    }

    /// As [`Crl::parse`], of octets that nobody else needs.
    pub fn of(octets: Vec<u8>) -> Result<Self, CertificateError> {
        let der = &octets[..];
        let place = |part: &[u8]| part.as_ptr() as usize - der.as_ptr() as usize;
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
                let entry = list.expect(tag::SEQUENCE)?;
                read_entry(entry.inside(), &mut partial)?;
                let at = u32::try_from(place(entry.full)).map_err(|_| CertificateError::Form("a list too long"))?;
                revoked.push(at);
            }
            revoked.shrink_to_fit();
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
        revoked.sort_by(|a, b| serial_at(der, *a).cmp(&serial_at(der, *b)));
        let start = place(tbs_element.full);
        Ok(Self(Arc::new(List {
            tbs: start..start + tbs_element.full.len(),
            issuer,
            algorithm,
            signature: suite::restored(signature),
            this_update,
            next_update,
            revoked,
            partial,
            number,
            base,
            vouched: OnceLock::new(),
            der: octets,
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
    /// Whether it is still in date, but only for the last quarter of its life, three days at most: a newer one is wanted.
    pub fn is_ending(&self, now: UnixMillis) -> bool {
        let Some(end) = self.next_update else { return false };
        let notice = (end.0.saturating_sub(self.this_update.0) / 4).min(ENDING_MS);
        now < end && now.0 >= end.0.saturating_sub(notice)
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
        let mut all = self.entries(serial).peekable();
        all.peek().is_some() && all.all(|entry| entry.reason == REMOVED)
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
        match issuer.verify(self.algorithm()?, &self.der[self.tbs.clone()], &self.signature) {
            Ok(()) => {
                let _ = self.vouched.set(by); // another certificate of the same key may have been the first
                Ok(true)
            }
            Err(SuiteError::Signature | SuiteError::Key) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The algorithm it was signed with.
    pub fn algorithm(&self) -> Result<SignatureAlgorithm, SuiteError> {
        SignatureAlgorithm::from_identifier(&self.algorithm)
    }

    /// Whether [`Self::is_by`] has said yes to this issuer before, which makes it cheap.
    pub fn is_known_by(&self, issuer: &Certificate) -> bool {
        self.vouched.get() == Some(&issuer.fingerprint())
    }

    /// What is said of a serial number (the octets of its INTEGER), in however many entries: one that takes another back in the same
    /// list says nothing.
    pub fn entry(&self, serial: &[u8]) -> Option<Revoked> {
        self.entries(serial).filter(|entry| entry.reason != REMOVED).reduce(|known, other| known.and(&other))
    }

    /// DER has one spelling of an INTEGER, and another was refused: equal octets are equal numbers, below zero as well.
    fn entries<'s>(&'s self, serial: &'s [u8]) -> impl Iterator<Item = Revoked> + 's {
        let first = self.revoked.partition_point(|at| serial_at(&self.der, *at).is_some_and(|own| own < serial));
        let entry = move |at: &u32| entry_at(&self.der, *at).filter(|entry| entry.serial == serial);
        self.revoked[first..].iter().map_while(entry)
    }
}

/// removeFromCRL.
const REMOVED: Option<u8> = Some(8);

/// The entry that begins at a place; it was read before.
fn entry_at(der: &[u8], at: u32) -> Option<Revoked> {
    let entry = Reader::new(der.get(at as usize..)?).sequence().ok()?;
    read_entry(entry, &mut None).ok()
}

/// Its number alone.
fn serial_at(der: &[u8], at: u32) -> Option<&[u8]> {
    Reader::new(der.get(at as usize..)?).sequence().ok()?.integer().ok()
}

/// One entry; `partial` tells of what makes the list another than a full one.
fn read_entry(mut entry: Reader<'_>, partial: &mut Option<String>) -> Result<Revoked, CertificateError> {
    let (serial, at) = (entry.integer()?.to_vec(), entry.time()?);
    let (reason, invalid) = if entry.is_empty() { (None, None) } else { entry_extensions(entry.sequence()?, partial)? };
    entry.done()?;
    Ok(Revoked { serial, at: invalid.map_or(at, |since| at.min(since)), reason })
}

fn extension<'a>(list: &mut Reader<'a>) -> Result<(String, bool, &'a [u8]), CertificateError> {
    let mut one = list.sequence()?;
    let oid = one.oid()?.to_string();
    let critical = if one.peek() == Some(tag::BOOLEAN) { one.boolean()? } else { false };
    let value = one.octet_string()?;
    one.done()?;
    Ok((oid, critical, value))
}

type Told = (Option<u8>, Option<UnixMillis>);

/// The reason and the invalidityDate of an entry.
fn entry_extensions(mut list: Reader<'_>, partial: &mut Option<String>) -> Result<Told, CertificateError> {
    let (mut reason, mut invalid) = (None, None);
    while !list.is_empty() {
        let (oid, critical, value) = extension(&mut list)?;
        match oid.as_str() {
            "2.5.29.21" => reason = Reader::new(value).expect(0x0a)?.content.first().copied(),
            INVALIDITY_DATE => invalid = Reader::new(value).time().ok(), // one that nobody can read says nothing
            _ if critical => *partial = Some(oid),                       // e.g. certificateIssuer: an indirect list
            _ => {}
        }
    }
    Ok((reason, invalid))
}

pub(super) const INVALIDITY_DATE: &str = "2.5.29.24";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::der::write;

    fn at(day: u8) -> UnixMillis {
        UnixMillis::parse_rfc3339(&format!("2026-02-{day:02}T00:00:00Z")).unwrap()
    }

    /// A list with one entry of the 10th, as it is parsed.
    fn listed(extensions: &[(&str, Vec<u8>)]) -> Revoked {
        let algorithm = SignatureAlgorithm::Sm2Sm3.identifier();
        let extension =
            |(oid, value): &(&str, Vec<u8>)| write::sequence(&[write::oid(oid), write::octet_string(value)]);
        let extensions: Vec<_> = extensions.iter().map(extension).collect();
        let entry = write::sequence(&[
            write::small(7),
            write::certificate_time(at(10)),
            if extensions.is_empty() { Vec::new() } else { write::sequence(&extensions) },
        ]);
        let tbs = write::sequence(&[
            write::small(1),
            algorithm.clone(),
            write::sequence::<Vec<u8>>(&[]),
            write::certificate_time(at(11)),
            write::sequence(&[entry]),
        ]);
        let der = write::sequence(&[tbs, algorithm, write::bit_string(b"unsigned")]);
        Crl::parse(&der).unwrap().entry(&[7]).unwrap()
    }

    #[test]
    fn a_list_is_ending_before_it_ends() {
        const HOUR: i64 = 3_600;
        let day = 24 * HOUR;
        for (life, age, want) in [
            (Some(day), 17 * HOUR, false),
            (Some(day), 18 * HOUR, true),
            (Some(day), day - 1, true),
            (Some(day), day, false), // it has ended: another alarm
            (Some(30 * day), 26 * day, false),
            (Some(30 * day), 27 * day, true),
            (Some(30 * day), 31 * day, false),
            (None, 365 * day, false),
        ] {
            let algorithm = SignatureAlgorithm::Sm2Sm3.identifier();
            let mut tbs = vec![write::small(1), algorithm.clone(), write::sequence::<Vec<u8>>(&[])];
            tbs.push(write::certificate_time(at(1)));
            tbs.extend(life.map(|life| write::certificate_time(at(1).plus_seconds(life))));
            let der = write::sequence(&[write::sequence(&tbs), algorithm, write::bit_string(b"unsigned")]);
            let list = Crl::parse(&der).unwrap();
            assert_eq!(list.is_ending(at(1).plus_seconds(age)), want, "{life:?} {age}");
        }
    }

    #[test]
    fn an_entry_counts_from_the_day_the_key_was_lost() {
        let reason = ("2.5.29.21", write::tlv(0x0a, &[1]));
        let invalid = |value: Vec<u8>| (INVALIDITY_DATE, value);
        for (name, extensions, want) in [
            ("no extensions", vec![], (at(10), None)),
            ("a reason", vec![reason.clone()], (at(10), Some(1))),
            ("lost before", vec![reason.clone(), invalid(write::generalized_time(at(3)))], (at(3), Some(1))),
            ("lost before, no reason", vec![invalid(write::generalized_time(at(3)))], (at(3), None)),
            ("a later date is none", vec![invalid(write::generalized_time(at(20)))], (at(10), None)),
            ("unreadable", vec![invalid(write::octet_string(b"yesterday")), reason.clone()], (at(10), Some(1))),
        ] {
            let entry = listed(&extensions);
            assert_eq!((entry.at, entry.reason), want, "{name}");
        }
    }

    #[test]
    fn of_two_entries_the_earlier_day_counts_and_a_lost_key() {
        let entry = |day, reason| Revoked { serial: vec![7], at: at(day), reason };
        for (one, other, want) in [
            ((3, None), (5, None), (3, None)),
            ((3, Some(4)), (5, Some(5)), (3, Some(4))),
            ((3, Some(4)), (3, Some(1)), (3, Some(1))), // known better later
            ((3, None), (5, Some(1)), (3, Some(1))),
            ((3, Some(2)), (5, Some(4)), (3, Some(2))),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let both = entry(one.0, one.1).and(&entry(other.0, other.1));
                assert_eq!((both.at, both.reason), (at(want.0), want.1), "{one:?} {other:?}");
            }
        }
    }
}
