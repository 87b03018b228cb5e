//! One examination for all formats.
//!
//! ```text
//!  octets ─┬─ PK ──▶ archive ─┬─ OFD.xml ──────────▶ package   21 steps
//!          │                  └─ ASiC's media type ─▶ asic      a verdict per manifest
//!          ├─ %PDF ─────────────────────────────────▶ pdf       a verdict per signature, and what came after it
//!          ├─ eyJ… ─────────────────────────────────▶ sdjwt     the issuer's signature, the holder's, the status
//!          └─ DER, PEM, base64 ─────────────────────▶ loose     SignedData, seal signature, seal
//!                                                       │
//!                                     one Report: the worst of all verdicts
//! ```
//! Model: ETSI EN 319 102-1. What a file is, its octets say.

use std::io;

use super::polyglot::{self, PDF, PDF_BEGINS_WITHIN};
use super::profile::Profile;
use super::report::{Coverage, Format, Report, SignatureVerdict, bound, conclude};
use super::verdict::{Finding, Indication, SubIndication};
use super::{asic, data, examine, limits, loose, package, pdf, sdjwt};
use crate::formats::zip::{Archive, Source, ZipError};
use crate::terms::Digest;
use crate::trust::pem;

/// Examines one file. Never fails: what cannot be read is a finding.
///
/// `name` is only repeated in the report. Nothing is fetched; `profile` holds all that is trusted and known.
pub fn verify<S: Source>(name: &str, source: S, profile: &Profile) -> Report {
    verify_with(name, source, None, profile)
}

/// As [`verify`], with the content that a detached signature is over.
pub fn verify_with<S: Source>(name: &str, source: S, content: Option<&dyn Source>, profile: &Profile) -> Report {
    let mut report = Report { sha256: digest_of_all(&source).ok(), ..blank(name, profile) };
    if let Err(finding) = by_format(source, content, profile, &mut report) {
        report.findings.push(finding);
    }
    limits::check(profile, &mut report);
    if content.is_some() && !matches!(report.format, Format::Cms | Format::SealSignature) {
        report.findings.push(Finding::note(1, "CONTENT_NOT_USED", "only a detached signature is over other content"));
    }
    let all = report.findings.iter().chain(report.signatures.iter().flat_map(|s| &s.findings));
    (report.indication, report.sub_indication, report.code) = conclude(all);
    bound(&mut report.findings);
    report
}

/// The report on a file that is not there, or cannot be opened: nothing is known of it, and so nothing is confirmed.
pub fn unreadable(name: &str, why: &str, profile: &Profile) -> Report {
    let mut report = blank(name, profile);
    report.findings.push(Finding::doubt(1, "FILE_UNREADABLE", SubIndication::SignedDataNotFound, why));
    (report.indication, report.sub_indication, report.code) = conclude(report.findings.iter());
    report
}

/// Nothing is known yet.
fn blank(name: &str, profile: &Profile) -> Report {
    Report {
        file: name.to_owned(),
        format: Format::Unknown,
        sha256: None,
        at: profile.at,
        indication: Indication::TotalPassed,
        sub_indication: None,
        code: None,
        signatures: Vec::new(),
        findings: Vec::new(),
        coverage: Coverage::default(),
        data: data::LicenceData::default(),
    }
}

fn by_format<S: Source>(
    source: S,
    content: Option<&dyn Source>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Finding> {
    let mut head = [0; 16];
    let n = source.size().map_or(0, |size| size.min(16)) as usize;
    let head = if source.read_at(0, &mut head[..n]).is_ok() { &head[..n] } else { &[] };
    if head.starts_with(PDF) {
        report.format = Format::Pdf;
        return pdf::examine(&source, profile, report);
    }
    // A JSON object in base64 begins so; no archive with anything before it does by chance.
    if head.strip_prefix(pem::BYTE_ORDER_MARK).unwrap_or(head).starts_with(b"eyJ") {
        report.format = Format::SdJwtVc;
        return sdjwt::examine(&source, profile, report);
    }
    let archive = match Archive::open(&source, &profile.zip) {
        Err(ZipError::NoEnd) if memchr::memmem::find(&beginning(&source, PDF_BEGINS_WITHIN), PDF).is_some() => {
            report.format = Format::Pdf;
            // Readers that look for it (ISO 32000-1, annex H) count places from there or from the first octet, each in its way.
            let detail = "octets before %PDF-";
            return Err(Finding::doubt(2, "PDF_HEADER_PLACE", SubIndication::SigConstraintsFailure, detail));
        }
        // An archive may have anything before it; what is none may be DER.
        Err(ZipError::NoEnd) if head.starts_with(&[0x30]) || is_armoured(&beginning(&source, TEXT_BEFORE_PEM)) => {
            return loose::examine(&source, content, profile, report);
        }
        Err(ZipError::NoEnd) if !has_record(&beginning(&source, PDF_BEGINS_WITHIN)) => {
            return Err(Finding::format(1, "FORMAT_UNKNOWN", "no archive, PDF, credential, DER or PEM"));
        }
        opened => opened.map_err(|e| Finding::format(1, e.code(), e.to_string()))?,
    };
    report.findings.extend(polyglot::check(&archive));
    for odd in archive.findings() {
        report.findings.push(Finding::note(1, odd.code(), ""));
    }
    if let Some(format) = asic::format(&archive) {
        report.format = format;
        asic::examine(&archive, profile, report)
    } else {
        report.format = Format::Ofd;
        package::examine(archive, profile, report)
    }
}

fn is_armoured(head: &[u8]) -> bool {
    pem::begins(head) || pem::begins_bare(head)
}

/// Whether there is what an archive begins with, whose end must then be missing.
fn has_record(head: &[u8]) -> bool {
    memchr::memmem::find(head, b"PK\x03\x04").is_some()
}

/// Where a PEM block has begun, whatever explains it: certificates in words, which OpenSSL writes before, have some kilobytes each.
const TEXT_BEFORE_PEM: u64 = 64 << 10;

fn beginning<S: Source>(source: &S, most: u64) -> Vec<u8> {
    let mut head = vec![0; source.size().map_or(0, |size| size.min(most)) as usize];
    if source.read_at(0, &mut head).is_ok() { head } else { Vec::new() }
}

/// Examines the signature files of a package that is not at hand: what they say of each other, not of the package.
/// Steps 4 to 7 and 21 are left out, so a pass here is no pass of any file.
pub fn detached(signature_xml: &[u8], signed_value: &[u8], profile: &Profile) -> SignatureVerdict {
    examine::detached(signature_xml, signed_value, profile)
}

fn digest_of_all<S: Source>(source: &S) -> io::Result<Digest> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    in_pieces(source, 0, source.size()?, &mut |piece| context.update(piece))?;
    Ok(Digest(context.finish().as_ref().try_into().map_err(|_| io::ErrorKind::InvalidData)?))
}

/// Octets handed on at once.
const PIECE: usize = 64 << 10;

/// Hands on a range of octets in pieces of bounded size.
pub(super) fn in_pieces<S: Source + ?Sized>(
    source: &S,
    from: u64,
    len: u64,
    take: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    if let Some(octets) = source.slice(from, len) {
        octets.chunks(PIECE).for_each(take);
        return Ok(());
    }
    let (mut at, end, mut buf) = (from, from.saturating_add(len), vec![0; PIECE]);
    while at < end {
        let n = (end - at).min(buf.len() as u64) as usize;
        source.read_at(at, &mut buf[..n])?;
        take(&buf[..n]);
        at += n as u64;
    }
    Ok(())
}

/// A whole source that must be small.
pub(super) fn whole<S: Source + ?Sized>(source: &S, limit: u64) -> io::Result<Vec<u8>> {
    let size = source.size()?;
    if size > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut out = vec![0; size as usize];
    source.read_at(0, &mut out)?;
    Ok(out)
}
