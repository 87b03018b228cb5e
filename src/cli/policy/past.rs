//! The decisions of a gateway's log, decided again: under the rules of then, which must say the same, and under others.
//!
//! ```text
//!  DATA/log ─▶ verdict · rules · version · digest of the question
//!  DATA/decisions/*.jsonl ─▶ the question ─┬─ DATA/policies/<version> ─▶ said then what it says now? (or somebody lied)
//!                                          └─ --policies DIR ──────────▶ what would change
//! ```

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use super::{Paint, Trouble, counted, load, told};
use crate::cli::audit::each_entry;
use crate::policy::replay::{self, Logged};
use crate::policy::{Ask, PolicySet, archive};
use crate::terms::Digest;

/// Largest file of one day's questions, in octets.
const DAY_MAX_BYTES: u64 = 4 << 30;

pub fn replay(out: &mut impl Write, paint: Paint, data: &Path, dir: Option<&Path>) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let asked = questions(&data.join("decisions"))?;
    let mut archived = Archived { folder: data, sets: HashMap::new() };
    let (mut counts, mut unchanged, mut missing, mut disputed) = ([0usize; 3], 0usize, 0usize, 0usize);
    let mut index = 0usize;
    let mut trouble = None;
    let walked = each_entry(&data.join("log"), &mut |entry| {
        let place = index.to_string();
        index += 1;
        let Some(logged) = Logged::read(entry) else { return Ok(()) };
        let Some(ask) = asked.get(&logged.asked) else {
            missing += 1;
            return Ok(());
        };
        match archived.agrees(&logged, ask) {
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
                trouble.get_or_insert(error);
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
    walked.map_err(Trouble::Said)??;
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

/// All questions that were kept, each under its own digest: one that was changed answers to another.
fn questions(folder: &Path) -> Result<HashMap<Digest, Ask>, Trouble> {
    let said = |path: &Path, what: String| Trouble::Said(format!("{}: {what}", path.display()));
    let entries = std::fs::read_dir(folder).map_err(|e| said(folder, e.to_string()))?;
    let mut all = HashMap::new();
    for entry in entries {
        let path = entry.map_err(|e| said(folder, e.to_string()))?.path();
        if path.extension().is_none_or(|e| e != "jsonl") {
            continue;
        }
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > DAY_MAX_BYTES) {
            return Err(said(&path, "larger than a day's questions are".into()));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| said(&path, e.to_string()))?;
        let asked = replay::read(&text).map_err(|line| said(&path, format!("line {line} is not a question")))?;
        all.extend(asked.into_iter().map(|asked| (replay::digest(&asked.ask), asked.ask)));
    }
    Ok(all)
}

/// The sets that decided, as far as they have been needed.
struct Archived<'d> {
    folder: &'d Path,
    sets: HashMap<Digest, Option<PolicySet>>,
}

impl Archived<'_> {
    /// Whether the set of then says what the log says it said; else why not. An error where there is no such set, told
    /// once for each.
    fn agrees(&mut self, logged: &Logged, ask: &Ask) -> Result<Option<String>, String> {
        let folder = self.folder.join("policies");
        let mut failed = Ok(None);
        let set = self.sets.entry(logged.version).or_insert_with(|| match archive::find(&folder, logged.version) {
            Ok(set) => Some(set),
            Err(error) => {
                failed = Err(error.to_string());
                None
            }
        });
        let Some(set) = set else { return failed };
        let (permitted, rules) = match set.evaluate(ask, logged.at) {
            Ok(permit) => (true, permit.rules().to_vec()),
            Err(denial) => (false, denial.rules().to_vec()),
        };
        let same =
            permitted == logged.permitted && rules.iter().map(|r| &**r).eq(logged.rules.iter().map(String::as_str));
        let word = |yes: bool| if yes { "allow" } else { "deny" };
        Ok((!same).then(|| format!("{} ≠ {}", word(logged.permitted), word(permitted))))
    }
}
