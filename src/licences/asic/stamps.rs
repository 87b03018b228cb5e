//! Time-stamps of a container (ETSI EN 319 162-1 §4.3.3.2, §4.4.3.2, annex A.7): a token over a manifest, which has the digests
//! of signatures, of other manifests, and of earlier stamps.
//!
//! ```text
//!  ASiCArchiveManifest.xml ◀─over─ timestamp002.tst ─ proves ─▶ signature001.p7s was there
//!        │                                          └ proves ─▶ timestamp001.tst was there, before its authority ran out
//!        └─ digests of signature001.p7s, timestamp001.tst, …
//! ```
//! A stamp that does not hold proves nothing and breaks nothing: what it is over is judged without it.

use std::collections::HashSet;

use super::super::ofd::{self, shown};
use super::super::profile::Profile;
use super::super::report::{Report, SignatureVerdict};
use super::super::signed_data::Known;
use super::super::verdict::Finding;
use super::super::when;
use super::{Part, XML_MAX, damaged, references};
use crate::formats::zip::{Archive, Source};
use crate::terms::UnixMillis;

/// Most stamps of one container; one is added every few years.
pub(super) const MOST: usize = 64;

/// Which files are proven to have been there, and when.
#[derive(Default)]
pub(super) struct Proven(Vec<(HashSet<String>, UnixMillis)>);

impl Proven {
    /// The earliest time that a file is proven to have been there at, as it is.
    pub fn earliest(&self, name: &str) -> Option<UnixMillis> {
        self.0.iter().filter(|(names, _)| names.contains(name)).map(|(_, at)| *at).min()
    }
}

/// Judges all stamps, the last one first, since it may outlive the authorities of those before it.
pub(super) fn examine<S: Source>(
    archive: &Archive<S>,
    stamps: &[Part],
    known: &Known,
    profile: &Profile,
    report: &mut Report,
) -> Proven {
    let mut proven = Proven::default();
    if stamps.len() > MOST {
        report.findings.push(Finding::note(20, "ASIC_TIMESTAMP_NOT_USED", format!("{} of them", stamps.len())));
        return proven;
    }
    let token = |part: &Part| archive.read(&part.signature, ofd::BLOB_MAX).map_err(damaged);
    let mut order: Vec<_> = stamps.iter().map(|part| (part, token(part))).collect();
    order.sort_by_key(|(_, token)| {
        std::cmp::Reverse(token.as_ref().ok().and_then(|token| when::token_time(token)).map(|at| at.0))
    });
    for (part, token) in order {
        let mut verdict = SignatureVerdict::blank(profile, &shown(&part.signature), &part.signature, "DocTimeStamp");
        (verdict.format, verdict.proven_at) = ("RFC3161", proven.earliest(&part.signature));
        match token.and_then(|token| stamp(archive, part, &token, known, profile, &mut verdict)) {
            Ok((names, at)) => {
                verdict.proven_at = Some(at);
                proven.0.push((names, at));
            }
            Err(finding) => verdict.findings.push(Finding::note(20, finding.code, finding.detail)),
        }
        verdict.conclude();
        report.signatures.push(verdict);
    }
    proven
}

/// What one stamp is over, if it holds: files, and when they were there.
fn stamp<S: Source>(
    archive: &Archive<S>,
    part: &Part,
    token: &[u8],
    known: &Known,
    profile: &Profile,
    verdict: &mut SignatureVerdict,
) -> Result<(HashSet<String>, UnixMillis), Finding> {
    let manifest = part.manifest.as_deref().unwrap_or_default();
    let mut listed = SignatureVerdict::blank(profile, "", "", "");
    references(archive, manifest, known, &mut listed)?;
    if let Some(finding) = listed.findings.pop() {
        return Err(finding);
    }
    let bytes = archive.read(manifest, XML_MAX).map_err(damaged)?;
    let at = when::time_stamp(profile, token, &|by| Ok(by.of(&bytes)), verdict)?;
    let names = listed.covered.into_iter().map(|(name, _)| name);
    Ok((names.chain([manifest.to_owned()]).collect(), at))
}
