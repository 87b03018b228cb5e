//! Cases a lawyer can read: a request, what should come out, and which rule should say so.
//!
//! ```toml
//! [base.window]                 # a whole request, as JSON records it; bases of all files are known everywhere
//! ask = "file"
//! …
//! [[case]]
//! zh = "…"                      # one line
//! en = "…"
//! like = "window"               # the base it changes
//! set.item.presence = "both"    # what is different
//! without = ["who.outlet"]      # what is missing
//! deny = "presence-in-person"   # or: permit = "file-at-window"
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::ask::Ask;
use super::embedded;
use super::load::{Fault, LoadError, read_file};
use super::set::PolicySet;
use crate::terms::UnixMillis;

/// What `deny` says when no rule forbids and no permit comes near.
const NO_RULE_SPEAKS: &str = "no rule";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    base: BTreeMap<String, Table>,
    #[serde(default)]
    case: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    zh: String,
    en: String,
    like: String,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    without: Vec<String>,
    permit: Option<String>,
    deny: Option<String>,
}

/// What a case expects: the rule that speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    Permit(String),
    Deny(String),
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permit(rule) => write!(f, "permit by {rule}"),
            Self::Deny(rule) => write!(f, "deny by {rule}"),
        }
    }
}

/// One case, run.
#[derive(Clone, Debug)]
pub struct CaseOutcome {
    pub file: String,
    pub line: usize,
    pub zh: String,
    pub en: String,
    pub want: Want,
    /// What came out: the verdict and every rule that spoke.
    pub got: String,
    pub passed: bool,
    pub ask: Ask,
}

/// All cases of a folder, run against one set.
#[derive(Debug)]
pub struct CaseRun {
    pub outcomes: Vec<CaseOutcome>,
    /// Rules no case has made speak first: nobody has shown what they do.
    pub unshown: Vec<String>,
}

impl CaseRun {
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(|o| o.passed)
    }
}

/// The shipped cases as (file, text).
pub fn embedded_cases() -> Vec<(String, String)> {
    embedded::CASES.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect()
}

/// The case files of `dir/cases`, as (file, text).
///
/// # Errors
/// A folder or file that cannot be read.
pub fn read_cases(dir: &Path) -> Result<Vec<(String, String)>, LoadError> {
    let folder = dir.join("cases");
    let wrong = |file: &str, what: String| LoadError {
        faults: vec![Fault { file: file.to_owned(), line: 0, what, mend: "make it readable, UTF-8 TOML".to_owned() }],
    };
    let shown = folder.display().to_string();
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(&folder) {
        // A folder of rules that nobody has written cases for is no mistake in the rules.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => return Ok(files),
        entries => entries.map_err(|e| wrong(&shown, e.to_string()))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| wrong(&shown, e.to_string()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            let name = format!("cases/{name}");
            let text = read_file(&entry.path()).map_err(|e| wrong(&name, e))?;
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

/// Runs all cases against `set`.
///
/// # Errors
/// Case files that cannot be read as cases: every mistake, with file and line.
pub fn run_cases(set: &PolicySet, files: &[(String, String)]) -> Result<CaseRun, LoadError> {
    let mut faults = Vec::new();
    let mut bases = BTreeMap::new();
    let mut entries = Vec::new();
    for (file, text) in files {
        let parsed: File = match toml::from_str(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let line = error.span().map_or(0, |span| line_at(text, span.start));
                faults.push(wrong(file, line, error.message().to_owned(), "write it as the other cases are written"));
                continue;
            }
        };
        for (name, base) in parsed.base {
            if bases.contains_key(&name) {
                faults.push(wrong(file, 0, format!("[base.{name}] exists before"), "give it another name"));
            }
            bases.insert(name, base);
        }
        entries.extend(parsed.case.into_iter().map(|e| (file, line_at(text, e.span().start), e.into_inner())));
    }
    let mut outcomes = Vec::new();
    for (file, line, entry) in entries {
        match ask_of(&bases, &entry) {
            Ok((ask, want)) => outcomes.push(run(set, file, line, entry, ask, want)),
            Err(what) => faults.push(wrong(file, line, what, "see [base.…] in cases/requests.toml for the words")),
        }
    }
    if !faults.is_empty() {
        return Err(LoadError { faults });
    }
    let shown = |id: &str| {
        outcomes.iter().any(|o| match &o.want {
            Want::Permit(rule) | Want::Deny(rule) => rule == id && o.passed,
        })
    };
    let unshown = set.rules().iter().filter(|r| !shown(&r.id)).map(|r| r.id.to_string()).collect();
    Ok(CaseRun { outcomes, unshown })
}

fn wrong(file: &str, line: usize, what: String, mend: &str) -> Fault {
    Fault { file: file.to_owned(), line, what, mend: mend.to_owned() }
}

fn ask_of(base: &BTreeMap<String, Table>, entry: &Entry) -> Result<(Ask, Want), String> {
    let mut table = base.get(&entry.like).cloned().ok_or_else(|| format!("there is no [base.{}]", entry.like))?;
    merge(&mut table, &entry.set);
    for path in &entry.without {
        if !remove(&mut table, path) {
            return Err(format!("`without` names {path}, which is not there"));
        }
    }
    let want = match (&entry.permit, &entry.deny) {
        (Some(rule), None) => Want::Permit(rule.clone()),
        (None, Some(rule)) => Want::Deny(rule.clone()),
        _ => return Err("a case says either permit = \"rule\" or deny = \"rule\"".to_owned()),
    };
    let ask = Value::Table(table).try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
    Ok((ask, want))
}

/// Tables are merged, everything else is replaced.
fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn remove(table: &mut Table, path: &str) -> bool {
    match path.split_once('.') {
        None => table.remove(path).is_some(),
        Some((first, rest)) => match table.get_mut(first) {
            Some(Value::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

fn run(set: &PolicySet, file: &str, line: usize, entry: Entry, ask: Ask, want: Want) -> CaseOutcome {
    let (got, passed) = match set.evaluate(&ask, UnixMillis(0)) {
        Ok(permit) => {
            let passed = matches!(&want, Want::Permit(rule) if permit.rules().iter().any(|r| **r == **rule));
            (format!("permit by {}", permit.rules().join(", ")), passed)
        }
        Err(denial) => {
            let passed = matches!(&want, Want::Deny(rule) if denial.speaking().unwrap_or(NO_RULE_SPEAKS) == *rule);
            (denial.to_string(), passed)
        }
    };
    CaseOutcome { file: file.to_owned(), line, zh: entry.zh, en: entry.en, want, got, passed, ask }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count()
}
