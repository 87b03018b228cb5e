//! The decisions of a gateway's log, decided again: under the rules of then, which must say the same, and under others.
//!
//! ```text
//!  DATA/log ─▶ verdict · rules · version · digest of the question
//!  DATA/decisions/*.jsonl ─▶ the question ─┬─ DATA/policies/<version> ─▶ said then what it says now? (or somebody lied)
//!                                          └─ --policies DIR ──────────▶ what would change
//! ```

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;

use super::{Named, Paint, Trouble, counted, load, told};
use crate::cli::again::{self, Archive};
use crate::cli::audit::each_entry;
use crate::policy::replay::{self, Asked, Logged};
use crate::terms::Digest;

pub fn replay(out: &mut impl Write, paint: Paint, data: &Path, dir: Option<&Path>) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let asked = questions(&data.join("decisions"))?;
    let (archived, mut lost) = (Archive::new(data), HashSet::new());
    let (mut counts, mut unchanged, mut missing, mut disputed) = ([0usize; 3], 0usize, 0usize, 0usize);
    let mut index = 0usize;
    let mut trouble = None;
    let walked = each_entry(&data.join("log"), &mut |entry| {
        let place = index.to_string();
        index += 1;
        let Some(logged) = Logged::read(entry) else { return Ok(()) };
        let Some(Asked { ask, .. }) = asked.get(&logged.asked) else {
            missing += 1;
            return Ok(());
        };
        match archived.set(logged.version).map(|set| again::differs(&set, &logged, ask)) {
            Ok(None) => {}
            Ok(Some(why)) => {
                disputed += 1;
                writeln!(
                    out,
                    "{place}  {}  {}: {why}",
                    logged.at,
                    paint.bad("与当时的规则不符 · not what the rules said")
                )?;
            }
            Err(error) => {
                if lost.insert(logged.version) {
                    trouble.get_or_insert(error);
                }
            }
        }
        let record = logged.with(ask.clone());
        let again = replay::replay([&record], &set);
        unchanged += again.unchanged;
        for change in again.changes {
            counts[told(out, paint, &place, &record, &change)?] += 1;
        }
        Ok(())
    });
    walked.map_err(|why| Named::Records.unread(&data.join("log"), why))??;
    let same = counted(out, unchanged, counts)?;
    if missing > 0 {
        writeln!(out, "无原始请求 · questions that were not kept: {missing}")?;
    }
    if disputed > 0 {
        writeln!(out, "{}", paint.bad(&format!("与当时的规则不符 · not what the rules of then say: {disputed}")))?;
    }
    if let Some(error) = trouble {
        writeln!(out, "{}", paint.bad(&format!("归档策略 · the archive: {error}")))?;
        return Ok(false);
    }
    writeln!(out, "{}", paint.quiet(&format!("新策略版本 · decided under {}", set.version())))?;
    Ok(same && disputed == 0)
}

/// All questions that were kept.
fn questions(folder: &Path) -> Result<HashMap<Digest, Asked>, Trouble> {
    let said = |e: std::io::Error| Named::Records.unread(folder, e);
    let mut all = HashMap::new();
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            all.extend(again::questions(&path).map_err(Trouble::Said)?);
        }
    }
    Ok(all)
}
