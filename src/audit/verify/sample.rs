//! A sample instead of the whole log: older checkpoints by tiles alone, and so many entries drawn by a seed.

use std::collections::BTreeMap;

use super::Progress;
use super::judge::{Judge, Place};
use super::report::{Question, Report, Verdict};
use super::sparse::{Sparse, SparseError};
use super::tree::{Fetch, claimed_minimum, read_bundle};
use crate::audit::bundle;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::leaf_hash;
use crate::audit::retention::RETENTION;
use crate::audit::tile::{Level, TilePath, WIDTH};
use crate::terms::Digest;

/// Most entries drawn.
const MAX_SAMPLE: u64 = 1_000_000;

pub(super) fn verify(
    fetch: &dyn Fetch,
    mut judge: Judge<'_>,
    checkpoint: &Checkpoint,
    (count, seed): (u64, [u8; 32]),
    progress: Progress<'_>,
) -> Report {
    let size = checkpoint.size;
    let sparse = match Sparse::new(fetch, checkpoint) {
        Ok(sparse) => sparse,
        Err(error) => {
            broken(&mut judge, Question::Integrity, &error);
            return judge.finish();
        }
    };
    if let Err(error) = keep_promises(&sparse, &mut judge, size + 1) {
        broken(&mut judge, Question::AppendOnly, &error);
    }
    let mut drawn = draw(count.min(MAX_SAMPLE), &seed, size);
    let total: u64 = drawn.values().map(|indices| indices.len() as u64).sum();
    let mut done = 0;
    pruned(fetch, &mut judge, &mut drawn, size);
    for (tile, indices) in drawn {
        if !one(fetch, &sparse, &mut judge, size, tile, &indices) {
            break;
        }
        done += indices.len() as u64;
        progress(done, total);
    }
    judge.only_sampled();
    judge.report.notes.push(format!("抽取 {done} 条 entries drawn of {size}; the others were not read"));
    let mut report = judge.finish();
    report.entries = done;
    report
}

/// Takes out drawn entries that the log claims to have pruned. Whether it may, only all entries tell.
fn pruned(fetch: &dyn Fetch, judge: &mut Judge<'_>, drawn: &mut BTreeMap<u64, Vec<u64>>, size: u64) {
    let minimum = match claimed_minimum(fetch, judge.options.origin(), size) {
        Ok(minimum) => minimum,
        Err(error) => {
            judge.unread(Question::Content, RETENTION, &error.to_string());
            0
        }
    };
    let kept = drawn.split_off(&(minimum / WIDTH));
    let gone: usize = std::mem::replace(drawn, kept).values().map(Vec::len).sum();
    if gone > 0 {
        let what =
            format!("{gone} drawn entries are below the minimum index {minimum} that the log claims: not judged");
        judge.fault(Question::Content, Verdict::Undecided, "tile/entries", None, &what);
    }
}

/// Compares older checkpoints of less than `below` entries with the tree.
pub(super) fn keep_promises(sparse: &Sparse<'_>, judge: &mut Judge<'_>, below: u64) -> Result<(), SparseError> {
    for (size, who, promised, question) in judge.promises_below(below) {
        if sparse.root_at(size)? != promised {
            let what = format!("{who} promises another root for {size} entries");
            judge.fault(question, Verdict::Disproven, "tile", size.checked_sub(1), &what);
        }
    }
    Ok(())
}

/// A proof that did not come, or did not hold.
pub(super) fn broken(judge: &mut Judge<'_>, question: Question, error: &SparseError) {
    match verdict(error) {
        Verdict::Undecided => judge.unread(question, "tile", &error.to_string()),
        other => judge.fault(question, other, "tile", None, &error.to_string()),
    }
}

/// What a missing proof means: a log must serve its tiles, and they must fit its root.
pub(super) fn verdict(error: &SparseError) -> Verdict {
    match error {
        SparseError::Read { .. } | SparseError::Range => Verdict::Undecided,
        SparseError::Missing(_) | SparseError::Forged(_) => Verdict::Disproven,
    }
}

/// Indices by bundle. The same seed draws the same entries, so that a finding can be shown again.
fn draw(count: u64, seed: &[u8; 32], size: u64) -> BTreeMap<u64, Vec<u64>> {
    let mut drawn: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for n in 0..if size == 0 { 0 } else { count } {
        let Digest(hash) = Digest::of(&[&seed[..], &n.to_be_bytes()].concat());
        let number = hash.iter().take(16).fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let index = (number % u128::from(size)) as u64;
        let bundle = drawn.entry(index / WIDTH).or_default();
        if !bundle.contains(&index) {
            bundle.push(index);
        }
    }
    drawn
}

/// Judges the drawn entries of one bundle; `false` when the log cannot be read on.
fn one(fetch: &dyn Fetch, sparse: &Sparse<'_>, judge: &mut Judge<'_>, size: u64, index: u64, drawn: &[u64]) -> bool {
    let found = read_bundle(fetch, index, size);
    let width = (size - index * WIDTH).min(WIDTH) as u16;
    let path = TilePath { level: Level::Entries, index, width }.to_string();
    let (found, bytes) = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            judge.fault(Question::Integrity, Verdict::Disproven, &path, None, "the resource is missing");
            return true;
        }
        Err(error) => {
            judge.fault(Question::Integrity, Verdict::Undecided, &path, None, &error.to_string());
            return false;
        }
    };
    let Some(entries) = bundle::parse(&bytes, found.width) else {
        let what = "not the number of entries that its path says";
        judge.fault(Question::Integrity, Verdict::Disproven, &path, None, what);
        return true;
    };
    for at in drawn {
        let Some(entry) = entries.get((at % WIDTH) as usize) else { continue };
        match sparse.leaf(*at) {
            Ok(leaf) if leaf == leaf_hash(entry) => judge.sampled(entry, *at, Place { file: &path, offset: None }),
            Ok(_) => {
                let what = "not the entry that the signed root covers";
                judge.fault(Question::Integrity, Verdict::Disproven, &path, Some(*at), what);
            }
            Err(error) => judge.fault(Question::Integrity, verdict(&error), &path, Some(*at), &error.to_string()),
        }
    }
    true
}
