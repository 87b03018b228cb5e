//! The examination of an OFD package, step by step.
//!
//! ```text
//!   1 archive          5 references      9 digest of Signature.xml   13 seal maker     17 key usage
//!   2 XML structure    6 algorithm      10 signer's signature        14 signing time   18 revocation
//!   3 signed at all?   7 file digests   11 certificate there         15 … certificate  19 validity now
//!   4 files there      8 signed value   12 signer in the seal        16 chains         20 time-stamp
//!                                                                                      21 coverage
//! ```
//! Model: ETSI EN 319 102-1. All findings are kept; the worst decides, and of two as bad the one of the earlier step, so
//! that the verdict does not depend on the order in which things are computed.

use std::collections::{HashMap, HashSet};

use super::examine;
use super::ofd::{self, ENTRANCE, Listed};
use super::opened;
use super::profile::{CoverageRule, Profile};
use super::report::{Coverage, FewCovered, Report, SignatureVerdict, few_signatures};
use super::signed_data::{Known, Named, Octets, Unpacked};
use super::verdict::{Finding, Indication, SubIndication};
use super::{collect, verdict};
use crate::formats::zip::{Archive, Source, ZipError};
use crate::trust::suite::{DigestAlgorithm, Hasher};

/// The archive and what was computed of it once, for all signatures.
pub(super) struct Package<'p, S> {
    pub archive: Archive<S>,
    pub profile: &'p Profile,
    /// SM3 of every file: each is read once, for CRC and digest together.
    pub sm3: HashMap<String, Vec<u8>>,
    /// By the other algorithms, as signatures ask for them.
    known: Known,
}

const ENCRYPTIONS: &str = "Encryptions.xml";

/// Examines a package whose archive is open already.
pub(super) fn examine<S: Source>(archive: Archive<S>, profile: &Profile, report: &mut Report) -> Result<(), Finding> {
    let broken = |e: ZipError| Finding::format(1, e.code(), e.to_string());
    // GM/T 0099: what it lists, often all of the document, can be read by its receiver only.
    if archive.find(ENCRYPTIONS).is_some() {
        archive.check_all().map_err(broken)?;
        return Err(Finding::doubt(2, "OFD_ENCRYPTED", SubIndication::SignedDataNotFound, ENCRYPTIONS));
    }
    let entrance = ofd::entrance(&archive)?;
    let (lists, listed) = listed(&archive, &entrance, report)?;
    if listed.is_empty() {
        // Even an unsigned archive must be whole before it is called unsigned.
        archive.check_all().map_err(broken)?;
        if !report.findings.iter().any(|f| f.outcome.is_some()) {
            report.findings.push(Finding::doubt(3, "NOT_SIGNED", SubIndication::SignedDataNotFound, ""));
        }
        report.data = collect::collect(&archive, &entrance, &HashMap::new());
        report.findings.extend(report.data.findings());
        return Ok(());
    }
    few_signatures(listed.len())?;
    let sm3 = digests(&archive).map_err(broken)?;
    let package = Package { archive, profile, sm3, known: Known::default() };
    let (mut own, mut covered) = (HashSet::new(), FewCovered::default());
    for line in &listed {
        for mut signature in examine::signature(&package, line, &mut own) {
            signature.findings.extend(built_on(line, &listed));
            signature.conclude();
            let few = covered.add(signature.covered.iter().map(|(name, _)| name), 1);
            report.signatures.push(signature);
            few?;
        }
    }
    own.extend(lists);
    report.coverage = coverage(&package, &report.signatures, &own, entrance.bodies.len());
    if !report.coverage.uncovered.is_empty() {
        let names = report.coverage.uncovered.iter().take(8).map(|n| ofd::shown(n)).collect::<Vec<_>>();
        let why = SubIndication::SigConstraintsFailure;
        report.findings.push(Finding::doubt(21, "UNSIGNED_FILES", why, names.join(", ")));
    }
    report.findings.extend(opened::check(&package.archive, &entrance.bodies, &report.coverage));
    opened::told_elsewhere(&entrance.bodies, &mut report.signatures);
    if package.archive.find("OFDEntries.xml").is_some() {
        // GM/T 0099: it lists names only, and proves nothing about contents.
        report.findings.push(Finding::note(21, "PACKAGE_INTEGRITY_FILE", "OFDEntries.xml"));
    }
    let mut vouched: HashMap<&str, Vec<&[u8]>> = HashMap::new();
    for signature in report.signatures.iter().filter(|s| s.indication != Indication::TotalFailed) {
        for (name, digest) in &signature.covered {
            vouched.entry(name).or_default().push(digest);
        }
    }
    report.data = collect::collect(&package.archive, &entrance, &vouched);
    report.findings.extend(report.data.findings());
    Ok(())
}

/// What a signature builds on must be listed, and must not build on it in turn. Step 4.
fn built_on(line: &Listed, listed: &[Listed]) -> Option<Finding> {
    let doubt =
        |code, base: &str| Some(Finding::doubt(4, code, SubIndication::SigConstraintsFailure, ofd::shown(base)));
    let mut at = line;
    for _ in listed {
        let base = at.relative.as_deref()?;
        match listed.iter().find(|other| other.id == base) {
            None => return doubt("SIG_RELATIVE_MISSING", base).filter(|_| at.id == line.id),
            Some(found) if found.id == line.id => return doubt("SIG_RELATIVE_CIRCLE", base),
            Some(found) => at = found,
        }
    }
    None
}

/// All signature lists of all documents: their entry names, and their lines.
fn listed<S: Source>(
    archive: &Archive<S>,
    entrance: &ofd::Entrance,
    report: &mut Report,
) -> Result<(Vec<String>, Vec<Listed>), Finding> {
    let (mut lists, mut listed) = (Vec::new(), Vec::<Listed>::new());
    let mut seen = HashSet::new();
    for loc in entrance.bodies.iter().filter_map(|body| body.signatures.as_deref()) {
        // Any number of documents may name one list: it is read once.
        if !seen.insert(ofd::list_at(archive, loc)?) {
            continue;
        }
        match ofd::signature_list(archive, loc) {
            Ok((file, lines)) => {
                lists.push(file);
                listed.extend(lines);
            }
            // A missing list is told, and the other documents are still examined.
            Err(finding) if finding.outcome == Some(MISSING) => report.findings.push(finding),
            Err(finding) => return Err(finding),
        }
    }
    Ok((lists, listed))
}

const MISSING: (Indication, SubIndication) = (Indication::Indeterminate, SubIndication::SignedDataNotFound);

fn digests<S: Source>(archive: &Archive<S>) -> Result<HashMap<String, Vec<u8>>, ZipError> {
    let mut out = HashMap::with_capacity(archive.entries().len());
    for entry in archive.entries() {
        let mut hasher = Hasher::new(DigestAlgorithm::Sm3);
        archive.each(entry, &mut |piece| hasher.update(piece))?;
        if !entry.is_folder() {
            out.insert(entry.name.clone(), hasher.finish());
        }
    }
    Ok(out)
}

/// Every file must be covered by a signature that did not fail, save the signatures' own files, and OFD.xml of a package
/// of one document where the policy says so. (A file passes only if all its signatures pass, so "did not fail" is
/// enough here and keeps the list readable when a chain is missing.)
fn coverage<S: Source>(
    package: &Package<'_, S>,
    signatures: &[SignatureVerdict],
    own: &HashSet<String>,
    bodies: usize,
) -> Coverage {
    let covered: HashSet<&str> = signatures
        .iter()
        .filter(|s| s.indication != Indication::TotalFailed)
        .flat_map(|s| s.covered.iter().map(|(name, _)| name.as_str()))
        .collect();
    let entrance_free = package.profile.coverage == CoverageRule::Protect && bodies == 1;
    let mut out = Coverage::default();
    for entry in package.archive.files() {
        let name = entry.name.as_str();
        let place = if covered.contains(name) {
            &mut out.covered
        } else if own.contains(name) || name == ENTRANCE && entrance_free {
            &mut out.exempt
        } else {
            &mut out.uncovered
        };
        place.push(entry.name.clone());
    }
    out
}

impl<S: Source> Package<'_, S> {
    /// Whether the file has that digest; `None` when it is not there.
    pub fn matches(&self, file: &str, algorithm: DigestAlgorithm, digest: &[u8]) -> Result<Option<bool>, Finding> {
        let Some(sm3) = self.sm3.get(file) else { return Ok(None) };
        if algorithm == DigestAlgorithm::Sm3 {
            return Ok(Some(sm3 == digest));
        }
        let entry = self.archive.find(file).ok_or_else(|| verdict::Finding::format(1, "ZIP_MISSING_ENTRY", file))?;
        let found = Named(file, Unpacked(&self.archive, entry), &self.known).digests(&[algorithm]).map_err(|e| {
            let e = ZipError::from_io(e);
            Finding::format(1, e.code(), e.to_string())
        })?;
        Ok(Some(found.iter().all(|(_, actual)| actual == digest)))
    }
}
