//! ASiC-E and ASiC-S with CAdES (ETSI EN 319 162-1), whoever made them: a verdict per signature.
//!
//! ```text
//!  ASiC-E: mimetype · files… · META-INF/*ASiCManifest*.xml ◀─over─ META-INF/*.p7s     one pair per signature
//!                                 └─ a digest of every file
//!  ASiC-S: mimetype · one file ◀─over─ META-INF/signature.p7s
//!  either:             META-INF/*ASiC*Manifest*.xml ◀─over─ META-INF/*.tst                  [`stamps`]: when they were there
//! ```
//! The steps are those of an OFD package: manifest for Signature.xml, CAdES signature for the signed value.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;

#[cfg(test)]
mod archived;
mod stamps;

use super::ofd::{self, shown};
use super::profile::{CoverageRule, Profile};
use super::report::{FewCovered, Format, Report, SIGNATURES, SignatureVerdict, few_signatures};
use super::signed_data::{self, Known, Named, Octets, Unpacked};
use super::verdict::{Finding, Indication, SubIndication::*};
use crate::formats::xml::{self, XmlError};
use crate::formats::zip::{Archive, Entry, Source, ZipError};
use crate::trust::cms::{SignedData, SignerInfo};
use crate::trust::suite::DigestAlgorithm;

const MIMETYPE: &str = "mimetype";
const E_TYPE: &[u8] = b"application/vnd.etsi.asic-e+zip";
const S_TYPE: &[u8] = b"application/vnd.etsi.asic-s+zip";
const META: &str = "META-INF/";
/// Largest manifest, and its nodes: a tree takes up to a hundred octets for each.
const XML_MAX: u64 = 2 << 20;
const NODES_MAX: usize = 100_000;

/// Whether an archive is a container, and of which kind; OFD packages are none unless they say so.
pub(super) fn format<S: Source>(archive: &Archive<S>) -> Option<Format> {
    let says = archive.read(MIMETYPE, 256).ok();
    match says.as_deref().map(<[u8]>::trim_ascii) {
        Some(E_TYPE) => Some(Format::AsicE),
        Some(S_TYPE) => Some(Format::AsicS),
        // The media type may be left out, or in ASiC-S be that of the file inside (§4.3.3.1).
        _ if archive.find(ofd::ENTRANCE).is_some() => None,
        _ if archive.files().any(|e| is_manifest(&e.name, &MANIFESTS[..1])) => Some(Format::AsicE),
        _ if archive.files().any(|e| is_meta(&e.name, ".p7s")) => Some(Format::AsicS),
        _ => None,
    }
}

fn is_meta(name: &str, ending: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("meta-inf/").is_some_and(|rest| !rest.contains('/') && rest.ends_with(ending))
}

/// Of signatures and stamps, and of stamps alone.
const MANIFESTS: [&str; 2] = ["asicmanifest", "asicarchivemanifest"];

fn is_manifest(name: &str, words: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    is_meta(&name, ".xml") && words.iter().any(|word| name.contains(word))
}

pub(super) fn examine<S: Source>(archive: &Archive<S>, profile: &Profile, report: &mut Report) -> Result<(), Finding> {
    let mut own: HashSet<String> = HashSet::from([MIMETYPE.to_owned()]);
    if let Some(entry) = archive.find(MIMETYPE)
        && (entry.header_at != 0 || !entry.stored || entry.has_extra)
    {
        // A program that looks at the first octets only would not know the file; its content is the same.
        report.findings.push(Finding::note(2, "ASIC_MIMETYPE_PLACE", ""));
    }
    let simple = if report.format == Format::AsicS { simple(archive)? } else { Vec::new() };
    let (stamps, extended): (Vec<Part>, Vec<Part>) =
        extended(archive)?.into_iter().partition(|part| is_meta(&part.signature, ".tst"));
    let parts: Vec<Part> = simple.into_iter().chain(extended).collect();
    for part in parts.iter().chain(&stamps) {
        own.extend(part.manifest.clone());
        own.insert(part.signature.clone());
    }
    few_signatures(parts.len())?;
    let (known, mut covered) = (Known::default(), FewCovered::default());
    let proven = stamps::examine(archive, &stamps, &known, profile, report);
    for part in &parts {
        let mut verdict = SignatureVerdict::blank(profile, &shown(&part.signature), &part.signature, "Sign");
        verdict.proven_at = proven.earliest(&part.signature);
        let further = signature(archive, part, &known, profile, &mut verdict).unwrap_or_else(|finding| {
            verdict.findings.push(finding);
            Vec::new()
        });
        verdict.conclude();
        let all = std::iter::once(&verdict).chain(&further);
        let few = covered.add(all.flat_map(|verdict| verdict.covered.iter().map(|(name, _)| name)), 1);
        report.signatures.push(verdict);
        report.signatures.extend(further);
        few?;
    }
    others(archive, &own, report);
    if parts.is_empty() && !report.findings.iter().any(|f| f.outcome.is_some()) {
        report.findings.push(Finding::doubt(3, "NOT_SIGNED", SignedDataNotFound, ""));
    }
    // Also what nobody signed must be whole.
    archive.check_all().map_err(damaged)?;
    cover(archive, &own, profile, report);
    Ok(())
}

/// One signature and what it is over.
struct Part {
    /// In ASiC-E.
    manifest: Option<String>,
    signature: String,
    /// In ASiC-S: the one file.
    file: Option<String>,
}

fn simple<S: Source>(archive: &Archive<S>) -> Result<Vec<Part>, Finding> {
    let files: Vec<&Entry> = archive.files().filter(|e| e.name != MIMETYPE && !e.name.starts_with(META)).collect();
    let [file] = files[..] else {
        return Err(Finding::format(2, "ASIC_S_FILES", format!("{} files where one must be", files.len())));
    };
    let signatures = archive.files().filter(|e| is_meta(&e.name, ".p7s"));
    Ok(signatures.map(|e| Part { manifest: None, signature: e.name.clone(), file: Some(file.name.clone()) }).collect())
}

fn extended<S: Source>(archive: &Archive<S>) -> Result<Vec<Part>, Finding> {
    let manifests = || archive.files().filter(|e| is_manifest(&e.name, &MANIFESTS));
    // Told before any is read: each may be long.
    let number = manifests().count();
    if number > SIGNATURES + stamps::MOST {
        let detail = format!("{number} manifests");
        return Err(Finding::doubt(3, "SIG_TOO_MANY", SigConstraintsFailure, detail));
    }
    let mut parts: Vec<Part> = Vec::new();
    for entry in manifests() {
        let root = manifest(archive, &entry.name)?;
        let reference = root.one("SigReference").map_err(|e| bad_xml(&entry.name, &e))?;
        let signature = name_of(archive, reference.attr("URI"), &entry.name)?;
        if parts.iter().any(|p| p.signature == signature) {
            // Which of the two would a reader take for what was signed?
            return Err(Finding::format(2, "ASIC_TWO_MANIFESTS", shown(&signature)));
        }
        parts.push(Part { manifest: Some(entry.name.clone()), signature, file: None });
    }
    Ok(parts)
}

fn manifest<S: Source>(archive: &Archive<S>, name: &str) -> Result<xml::Element, Finding> {
    let bytes = archive.read(name, XML_MAX).map_err(damaged)?;
    let limits = xml::Limits { nodes: NODES_MAX, ..xml::Limits::default() };
    let root = xml::parse(&bytes, &limits).and_then(|root| root.named("ASiCManifest"));
    root.map_err(|e| bad_xml(name, &e))
}

fn bad_xml(name: &str, error: &XmlError) -> Finding {
    Finding::format(2, error.code(), format!("{}: {error}", shown(name)))
}

fn damaged(error: ZipError) -> Finding {
    Finding::format(1, error.code(), error.to_string())
}

/// The entry that a URI names: relative to the root of the container, percent-encoded (§4.4.3.2). A few producers write names
/// as they are, which is taken only where the standard's reading names nothing.
fn name_of<S: Source>(archive: &Archive<S>, uri: Option<&str>, place: &str) -> Result<String, Finding> {
    let uri = uri.ok_or_else(|| Finding::format(5, "ASIC_REFERENCE", shown(place)))?;
    // What follows is a query or fragment, and no part of a name.
    let decoded = (!uri.contains(['#', '?'])).then(|| decoded(uri)).flatten();
    let (standard, literal) = (decoded.as_deref().and_then(normal), normal(uri));
    let there = [standard, literal].into_iter().flatten().find(|name| archive.find(name).is_some());
    // Nothing of that name: a scheme would lead out of the container.
    let name = there.or(standard.filter(|name| !name.contains(':')));
    name.map(str::to_owned).ok_or_else(|| Finding::format(5, "REF_LOC_SHAPE", shown(uri)))
}

fn decoded(uri: &str) -> Option<String> {
    let (mut octets, mut rest) = (Vec::new(), uri.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                octets.push((digit(high)? * 16 + digit(low)?) as u8);
                tail
            }
            (b'%', _) => return None,
            _ => {
                octets.push(*first);
                tail
            }
        };
    }
    String::from_utf8(octets).ok()
}

/// The path from the root, if it stays below it.
fn normal(path: &str) -> Option<&str> {
    let path = path.strip_prefix("./").or(path.strip_prefix('/')).unwrap_or(path);
    let wrong = path.contains('\\') || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    (!wrong).then_some(path)
}

/// Steps 4 to 20.
fn signature<S: Source>(
    archive: &Archive<S>,
    part: &Part,
    known: &Known,
    profile: &Profile,
    verdict: &mut SignatureVerdict,
) -> Result<Vec<SignatureVerdict>, Finding> {
    if let Some(name) = &part.manifest {
        verdict.file.clone_from(name);
        references(archive, name, known, verdict)?;
    }
    let Some(entry) = archive.find(&part.signature) else {
        return Err(Finding::doubt(4, "SIGNED_VALUE_MISSING", SignedDataNotFound, shown(&part.signature)));
    };
    if !is_meta(&part.signature, ".p7s") {
        // An evidence record in place of a signature, or something else: nobody has signed.
        return Err(Finding::doubt(8, "ASIC_NOT_CADES", SigConstraintsFailure, shown(&part.signature)));
    }
    verdict.format = "CAdES";
    let value = archive.read(&entry.name, ofd::BLOB_MAX).map_err(damaged)?;
    let data = SignedData::parse(&value).map_err(|e| signed_data::finding(&e))?;
    if data.content.is_some() {
        return Err(Finding::format(8, "CMS_STRUCTURE", "content inside a detached signature"));
    }
    match (&part.manifest, &part.file) {
        (Some(name), _) => {
            let bytes = archive.read(name, XML_MAX).map_err(damaged)?;
            let mut judge = |signer: &SignerInfo, verdict: &mut SignatureVerdict| {
                signed_data::over(profile, &data, signer, Some(&bytes.as_slice()), verdict)
            };
            signed_data::each_signer(&data, verdict, &mut judge)
        }
        (None, Some(name)) => {
            let file = archive.find(name).ok_or_else(|| Finding::format(1, "ZIP_MISSING_ENTRY", shown(name)))?;
            let content = Named(name, Unpacked(archive, file), known);
            verdict.covered.push((name.clone(), Vec::new()));
            let mut judge = |signer: &SignerInfo, verdict: &mut SignatureVerdict| {
                signed_data::over(profile, &data, signer, Some(&content), verdict)
            };
            signed_data::each_signer(&data, verdict, &mut judge)
        }
        (None, None) => Ok(Vec::new()),
    }
}

/// Steps 4 to 7: every file of a manifest.
fn references<S: Source>(
    archive: &Archive<S>,
    place: &str,
    known: &Known,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let root = manifest(archive, place)?;
    let mut seen = HashSet::new();
    for reference in root.all("DataObjectReference") {
        let name = name_of(archive, reference.attr("URI"), place)?;
        if !seen.insert(name.clone()) {
            return Err(Finding::format(5, "REF_DUPLICATE", shown(&name)));
        }
        let method = reference.one("DigestMethod").map_err(|e| bad_xml(place, &e))?.attr("Algorithm").unwrap_or("");
        let Some(algorithm) = DigestAlgorithm::from_uri(method) else {
            let code = if WEAK.contains(&method) { "REF_DIGEST_ALG_WEAK" } else { "REF_DIGEST_ALG" };
            verdict.findings.push(Finding::doubt(6, code, CryptoConstraintsFailure, shown(method)));
            continue;
        };
        if !verdict.digested.contains(&algorithm) {
            verdict.digested.push(algorithm);
        }
        let value = reference.one("DigestValue").map_err(|e| bad_xml(place, &e))?;
        let value: String = value.text.split_ascii_whitespace().collect();
        let Ok(digest) = B64.decode(value) else {
            verdict.findings.push(Finding::format(5, "REF_CHECKVALUE_BASE64", shown(&name)));
            continue;
        };
        let Some(entry) = archive.find(&name) else {
            verdict.findings.push(Finding::doubt(4, "REF_FILE_MISSING", SignedDataNotFound, shown(&name)));
            continue;
        };
        let found = Named(&name, Unpacked(archive, entry), known).digests(&[algorithm]);
        let found = found.map_err(|e| damaged(ZipError::from_io(e)))?;
        if found.first().is_some_and(|(_, found)| *found == digest) {
            verdict.covered.push((name, digest));
        } else {
            verdict.findings.push(Finding::failed(7, "REF_DIGEST_MISMATCH", HashFailure, shown(&name)));
        }
    }
    if seen.is_empty() {
        return Err(Finding::format(5, "REF_NONE", shown(place)));
    }
    Ok(())
}

const WEAK: [&str; 2] = ["http://www.w3.org/2000/09/xmldsig#sha1", "http://www.w3.org/2001/04/xmldsig-more#md5"];

/// Signatures of other kinds: they are told, so that nobody takes them for judged; a file with one is not confirmed, since that one
/// may be the worst of all.
fn others<S: Source>(archive: &Archive<S>, own: &HashSet<String>, report: &mut Report) {
    for entry in archive.files().filter(|e| !own.contains(&e.name)) {
        let name = entry.name.to_ascii_lowercase();
        let (code, refuse) = match () {
            () if is_meta(&name, ".xml") && name.contains("signatures") => ("ASIC_XADES", true),
            () if is_meta(&name, ".p7s") => ("ASIC_SIGNATURE_NOT_IN_MANIFEST", true),
            () if is_meta(&name, ".tst") => ("ASIC_TIMESTAMP_NOT_USED", false),
            () if is_meta(&name, ".ers") => ("ASIC_EVIDENCE_NOT_USED", false),
            () => continue,
        };
        let detail = shown(&entry.name);
        report.findings.push(if refuse {
            Finding::doubt(8, code, SigConstraintsFailure, detail)
        } else {
            Finding::note(8, code, detail)
        });
    }
}

/// Lists and metadata of the packer (ETSI EN 319 162-1 §4.4.3.2, OpenDocument, EPUB), which say nothing that a reader shows, and signatures and
/// stamps of no manifest, which are told apart. Anything else that somebody puts beside them is a file like all others.
fn is_packers(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let named = |list: &str| name.strip_prefix("meta-inf/") == Some(list);
    named("container.xml")
        || named("metadata.xml")
        || is_meta(&name, "manifest.xml")
        || is_meta(&name, ".xml") && name.contains("asic") && name.contains("manifest")
        || is_meta(&name, ".xml") && (name.contains("signatures") || name.contains("evidencerecord"))
        || [".p7s", ".tst", ".ers"].iter().any(|ending| is_meta(&name, ending))
}

/// Step 21.
fn cover<S: Source>(archive: &Archive<S>, own: &HashSet<String>, profile: &Profile, report: &mut Report) {
    let held = report.signatures.iter().filter(|s| s.indication != Indication::TotalFailed);
    let covered: HashSet<String> = held.flat_map(|s| s.covered.iter().map(|(name, _)| name.clone())).collect();
    for entry in archive.files() {
        let name = &entry.name;
        let packers = profile.coverage == CoverageRule::Protect && is_packers(name);
        let place = if covered.contains(name) {
            &mut report.coverage.covered
        } else if own.contains(name) || packers {
            &mut report.coverage.exempt
        } else {
            &mut report.coverage.uncovered
        };
        place.push(name.clone());
    }
    if !report.coverage.uncovered.is_empty() && !report.signatures.is_empty() {
        let names: Vec<_> = report.coverage.uncovered.iter().take(8).map(|n| shown(n)).collect();
        report.findings.push(Finding::doubt(21, "UNSIGNED_FILES", SigConstraintsFailure, names.join(", ")));
    }
}
