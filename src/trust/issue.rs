//! Making certificates and revocation lists: development PKI, terminals of outlets. International and SM2 alike.

use super::suite::{Signer, SuiteError};
use crate::formats::der::{tag, write};
use crate::terms::UnixMillis;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Root,
    /// An authority below another; `u8` further levels below it.
    Intermediate(u8),
    TlsServer,
    TlsClient,
    /// Both ends of TLS: gateways.
    TlsBoth,
    /// Seals and signatures of documents.
    Signer,
    TimeStamping,
    /// Answers for its issuer (RFC 6960 §4.2.2.2), with or without the extension that nobody need ask about it itself.
    OcspSigning {
        no_check: bool,
    },
}

/// What a certificate says.
pub struct Subject<'a> {
    pub common_name: &'a str,
    pub organisation: &'a str,
    pub dns: &'a [&'a str],
    pub uris: &'a [&'a str],
    /// IPv4 addresses.
    pub ips: &'a [[u8; 4]],
}

impl<'a> Subject<'a> {
    pub fn named(common_name: &'a str, organisation: &'a str) -> Self {
        Self { common_name, organisation, dns: &[], uris: &[], ips: &[] }
    }
}

/// Who signs: its key, and its name as its own certificate spells it (own name for a root).
pub struct Issuer<'a> {
    pub signer: &'a dyn Signer,
    pub name: Vec<u8>,
}

fn name(subject: &Subject<'_>) -> Vec<u8> {
    let attribute = |oid: &str, value: Vec<u8>| write::set_of(&[write::sequence(&[write::oid(oid), value])]);
    write::sequence(&[
        attribute("2.5.4.6", write::printable("CN")),
        attribute("2.5.4.10", write::utf8(subject.organisation)),
        attribute("2.5.4.3", write::utf8(subject.common_name)),
    ])
}

impl<'a> Issuer<'a> {
    /// A root signs itself.
    pub fn root(signer: &'a dyn Signer, subject: &Subject<'_>) -> Self {
        Self { signer, name: name(subject) }
    }

    /// By the issuer's certificate.
    pub fn of(signer: &'a dyn Signer, certificate: &super::certificate::Certificate) -> Self {
        Self { signer, name: certificate.subject().to_vec() }
    }
}

/// Makes a certificate in DER for `spki`.
pub fn certificate(
    issuer: &Issuer<'_>,
    subject: &Subject<'_>,
    spki: &[u8],
    purpose: Use,
    from: UnixMillis,
    to: UnixMillis,
) -> Result<Vec<u8>, SuiteError> {
    let mut serial = [0u8; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut serial)
        .map_err(|_| SuiteError::Signing("no randomness".into()))?;
    numbered(serial, issuer, subject, spki, purpose, (from, to))
}

/// As [`certificate`], under a serial number of the caller's: the same arguments give the same octets wherever the
/// issuer's signature algorithm is deterministic.
pub fn numbered(
    mut serial: [u8; 16],
    issuer: &Issuer<'_>,
    subject: &Subject<'_>,
    spki: &[u8],
    purpose: Use,
    (from, to): (UnixMillis, UnixMillis),
) -> Result<Vec<u8>, SuiteError> {
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and always 16 octets
    let tbs = write::sequence(&[
        write::explicit(0, &write::small(2)),
        write::unsigned(&serial),
        issuer.signer.algorithm().identifier(),
        issuer.name.clone(),
        write::sequence(&[write::certificate_time(from), write::certificate_time(to)]),
        name(subject),
        spki.to_vec(),
        write::explicit(3, &extensions(issuer, subject, spki, purpose)),
    ]);
    signed(issuer.signer, tbs)
}

fn signed(signer: &dyn Signer, tbs: Vec<u8>) -> Result<Vec<u8>, SuiteError> {
    let signature = signer.sign(&tbs)?;
    Ok(write::sequence(&[tbs, signer.algorithm().identifier(), write::bit_string(&signature)]))
}

/// The first 20 octets of SHA-256 over the key (RFC 7093 method 1).
fn key_id(spki: &[u8]) -> Vec<u8> {
    crate::terms::Digest::of(spki).0[..20].to_vec()
}

fn extensions(issuer: &Issuer<'_>, subject: &Subject<'_>, spki: &[u8], purpose: Use) -> Vec<u8> {
    let extension = |oid: &str, critical: bool, value: Vec<u8>| {
        let mut parts = vec![write::oid(oid)];
        if critical {
            parts.push(write::boolean(true));
        }
        parts.push(write::octet_string(&value));
        write::sequence(&parts)
    };
    let mut all = Vec::new();
    let basic = match purpose {
        Use::Root => write::sequence(&[write::boolean(true)]),
        Use::Intermediate(below) => write::sequence(&[write::boolean(true), write::small(below.into())]),
        _ => write::sequence::<Vec<u8>>(&[]),
    };
    all.push(extension("2.5.29.19", true, basic));
    let (unused, bits): (u8, &[u8]) = match purpose {
        Use::Root | Use::Intermediate(_) => (1, &[0x06]), // keyCertSign, cRLSign
        Use::Signer => (6, &[0xc0]),                      // digitalSignature, nonRepudiation
        _ => (7, &[0x80]),                                // digitalSignature
    };
    all.push(extension("2.5.29.15", true, write::tlv(tag::BIT_STRING, &[&[unused], bits].concat())));
    let server = "1.3.6.1.5.5.7.3.1";
    let client = "1.3.6.1.5.5.7.3.2";
    let eku: &[&str] = match purpose {
        Use::TlsServer => &[server],
        Use::TlsClient => &[client],
        Use::TlsBoth => &[server, client],
        Use::TimeStamping => &["1.3.6.1.5.5.7.3.8"],
        Use::OcspSigning { .. } => &[super::ocsp::OCSP_SIGNING],
        _ => &[],
    };
    if !eku.is_empty() {
        let oids: Vec<_> = eku.iter().map(|o| write::oid(o)).collect();
        all.push(extension("2.5.29.37", purpose == Use::TimeStamping, write::sequence(&oids)));
    }
    if purpose == (Use::OcspSigning { no_check: true }) {
        all.push(extension(super::certificate::OCSP_NO_CHECK, false, write::null()));
    }
    let mut names: Vec<Vec<u8>> = subject.dns.iter().map(|d| write::tlv(0x82, d.as_bytes())).collect();
    names.extend(subject.uris.iter().map(|u| write::tlv(0x86, u.as_bytes())));
    names.extend(subject.ips.iter().map(|i| write::tlv(0x87, i)));
    if !names.is_empty() {
        all.push(extension("2.5.29.17", false, write::sequence(&names)));
    }
    all.push(extension("2.5.29.14", false, write::octet_string(&key_id(spki))));
    let authority = key_id(&issuer.signer.public_key().to_spki());
    all.push(extension("2.5.29.35", false, write::sequence(&[write::tlv(0x80, &authority)])));
    write::sequence(&all)
}

/// Makes a revocation list (v2) in DER: (serial, when) of each revoked certificate.
pub fn crl(
    issuer: &Issuer<'_>,
    revoked: &[(Vec<u8>, UnixMillis)],
    number: u64,
    this_update: UnixMillis,
    next_update: UnixMillis,
) -> Result<Vec<u8>, SuiteError> {
    let entries: Vec<Entry> = revoked.iter().map(|(serial, at)| (serial.clone(), *at, None)).collect();
    list(issuer, &entries, (number, None), (this_update, next_update))
}

/// Serial, when, and CRLReason.
pub type Entry = (Vec<u8>, UnixMillis, Option<u8>);

/// Makes a list with reasons; a delta of the complete list numbered `base` if there is one.
pub fn list(
    issuer: &Issuer<'_>,
    entries: &[Entry],
    (number, base): (u64, Option<u64>),
    (this_update, next_update): (UnixMillis, UnixMillis),
) -> Result<Vec<u8>, SuiteError> {
    let mut parts = vec![
        write::small(1),
        issuer.signer.algorithm().identifier(),
        issuer.name.clone(),
        write::certificate_time(this_update),
        write::certificate_time(next_update),
    ];
    let extension = |oid: &str, critical: bool, value: Vec<u8>| {
        let critical = if critical { write::boolean(true) } else { Vec::new() };
        write::sequence(&[write::oid(oid), critical, write::octet_string(&value)])
    };
    let entry = |(serial, at, reason): &Entry| {
        let mut parts = vec![write::tlv(tag::INTEGER, serial), write::certificate_time(*at)];
        parts.extend(reason.map(|r| write::sequence(&[extension("2.5.29.21", false, write::tlv(0x0a, &[r]))])));
        write::sequence(&parts)
    };
    if !entries.is_empty() {
        parts.push(write::sequence(&entries.iter().map(entry).collect::<Vec<_>>()));
    }
    let authority = key_id(&issuer.signer.public_key().to_spki());
    let mut extensions = vec![
        extension("2.5.29.35", false, write::sequence(&[write::tlv(0x80, &authority)])),
        extension("2.5.29.20", false, write::small(number)),
    ];
    extensions.extend(base.map(|base| extension("2.5.29.27", true, write::small(base))));
    parts.push(write::explicit(0, &write::sequence(&extensions)));
    signed(issuer.signer, write::sequence(&parts))
}
