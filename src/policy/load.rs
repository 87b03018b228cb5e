//! Reads a policy folder strictly: schema, rules, annotations. Every mistake at once, with file, line and mend.
//!
//! ```text
//!  schema.cedarschema ─┐
//!  *.cedar, by name ───┴▶ parse ▶ annotations ▶ validate (strict, warnings count) ▶ PolicySet
//! ```

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet as Cedar, PrincipalConstraint, Schema, ValidationMode,
    Validator,
};
use miette::Diagnostic;

use super::ask::Act;
use super::denial::{LOAD, NO_RULE, told_of};
use super::entities::{action_uid, kind_name};
use super::who::Kind;
use crate::terms::{Digest, Explain, Told};

pub(super) const SCHEMA_FILE: &str = "schema.cedarschema";
/// Rules are written by hand; what is larger than this is not a policy folder.
const FILE_MAX_BYTES: u64 = 1 << 20;
const FILES_MAX: usize = 256;

/// One mistake in a policy folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// From 1; 0 when the file as a whole is meant.
    pub line: usize,
    pub what: String,
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} — {}", self.file, self.line, self.what, self.mend)
    }
}

/// A policy folder that was not taken: all its mistakes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the policy folder has {} mistake(s): {}", faults.len(), faults.first().map(ToString::to_string).unwrap_or_default())]
pub struct LoadError {
    pub faults: Vec<Fault>,
}

impl Explain for LoadError {
    fn told(&self) -> &'static Told {
        &LOAD
    }
}

/// One rule, as it was written.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: Arc<str>,
    pub zh: String,
    pub en: String,
    /// The law it rests on.
    pub basis: Option<String>,
    /// Listed exceptions, with citation.
    pub exceptions: Option<String>,
    pub told: &'static Told,
    pub forbids: bool,
    pub file: String,
    pub line: usize,
    pub acts: Vec<Act>,
    /// The one kind of principal its scope names; `None`: the scope leaves it open.
    pub kind: Option<Kind>,
}

/// A source file: name within the folder, text.
pub(super) type Source = (String, String);

pub(super) struct Loaded {
    pub schema: Schema,
    pub rules: Vec<Rule>,
    pub policies: Vec<Policy>,
    pub version: Digest,
    pub sources: Vec<Source>,
}

/// Reads schema and rules of `dir`; other files are ignored.
pub(super) fn read(dir: &Path) -> Result<Vec<Source>, LoadError> {
    let whole = |file: &str, what: String, mend: &str| LoadError {
        faults: vec![Fault { file: file.to_owned(), line: 0, what, mend: mend.to_owned() }],
    };
    let shown = dir.display().to_string();
    let entries =
        std::fs::read_dir(dir).map_err(|e| whole(&shown, e.to_string(), "name an existing, readable folder"))?;
    let mut sources = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| whole(&shown, e.to_string(), "make the folder readable"))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name != SCHEMA_FILE && !name.ends_with(".cedar") {
            continue;
        }
        if sources.len() == FILES_MAX {
            return Err(whole(&shown, format!("more than {FILES_MAX} files"), "merge rule files"));
        }
        sources.push((
            name.clone(),
            read_file(&entry.path()).map_err(|e| whole(&name, e, "make it readable, UTF-8 text"))?,
        ));
    }
    sources.sort();
    Ok(sources)
}

pub(super) fn read_file(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(format!("larger than {FILE_MAX_BYTES} bytes"));
    }
    Ok(text)
}

/// The version of a set: a digest over names and texts, in order of name, line ends normalised.
fn version(sources: &[Source]) -> Digest {
    let mut bytes = Vec::new();
    for (name, text) in sources {
        let text = text.replace("\r\n", "\n");
        for part in [name.as_bytes(), text.as_bytes()] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    Digest::of(&bytes)
}

pub(super) fn load(mut sources: Vec<Source>) -> Result<Loaded, LoadError> {
    sources.sort();
    let mut faults = Vec::new();
    let schema = schema(&sources, &mut faults);
    let mut rules: Vec<Rule> = Vec::new();
    let mut policies = Vec::new();
    let mut lines: HashMap<Arc<str>, usize> = HashMap::new();
    for (file, text) in sources.iter().filter(|(name, _)| name != SCHEMA_FILE) {
        for (policy, line) in parse(file, text, &mut faults) {
            let Some(rule) = rule(&policy, file, line, &mut faults) else { continue };
            if let Some(first) = lines.get(&rule.id) {
                let first = &rules[*first];
                let what = format!("@id(\"{}\") is used before, in {}:{}", rule.id, first.file, first.line);
                faults.push(fault(file, line, what, "give each rule an id of its own"));
                continue;
            }
            lines.insert(rule.id.clone(), rules.len());
            policies.push(policy.new_id(PolicyId::new(&*rule.id)));
            rules.push(rule);
        }
    }
    if rules.is_empty() && faults.is_empty() {
        faults.push(fault("*.cedar", 0, "there is no rule".to_owned(), "add rules; without any, everything is denied"));
    }
    if let Some(schema) = &schema {
        validate(schema, &policies, &rules, &lines, &sources, &mut faults);
    }
    match schema {
        Some(schema) if faults.is_empty() => {
            let version = version(&sources);
            Ok(Loaded { schema, rules, policies, version, sources })
        }
        _ => {
            faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            Err(LoadError { faults })
        }
    }
}

fn fault(file: &str, line: usize, what: String, mend: &str) -> Fault {
    Fault { file: file.to_owned(), line, what, mend: mend.to_owned() }
}

fn schema(sources: &[Source], faults: &mut Vec<Fault>) -> Option<Schema> {
    let Some((name, text)) = sources.iter().find(|(name, _)| name == SCHEMA_FILE) else {
        faults.push(fault(
            SCHEMA_FILE,
            0,
            "the schema is missing".to_owned(),
            "copy the shipped schema into the folder",
        ));
        return None;
    };
    match Schema::from_cedarschema_str(text) {
        Ok((schema, _)) => Some(schema),
        Err(error) => {
            let line = line_of(&error, text).unwrap_or(0);
            faults.push(fault(name, line, said(&error), "mend the schema, or copy the shipped one"));
            None
        }
    }
}

/// The rules of one file with their lines, in order.
fn parse(file: &str, text: &str, faults: &mut Vec<Fault>) -> Vec<(Policy, usize)> {
    let set: Cedar = match text.parse() {
        Ok(set) => set,
        Err(errors) => {
            let errors: cedar_policy::ParseErrors = errors;
            for error in errors.iter() {
                let line = line_of(error, text).unwrap_or(1);
                faults.push(fault(file, line, said(error), "write it as Cedar: permit/forbid (…) when { … };"));
            }
            return Vec::new();
        }
    };
    if set.templates().next().is_some() {
        let what = "a rule with a slot (`?principal` or `?resource`)".to_owned();
        faults.push(fault(file, 1, what, "write the rule without slots: templates are not linked here"));
    }
    let mut found: Vec<(Policy, usize)> = set
        .policies()
        .map(|policy| {
            let at = policy.to_cedar().and_then(|own| text.find(&own)).unwrap_or(0);
            (policy.clone(), line_at(text, at))
        })
        .collect();
    found.sort_by_key(|(_, line)| *line);
    found
}

fn rule(policy: &Policy, file: &str, line: usize, faults: &mut Vec<Fault>) -> Option<Rule> {
    let before = faults.len();
    let mut need = |key: &str| match policy.annotation(key) {
        Some(text) if !text.trim().is_empty() => text.to_owned(),
        _ => {
            let mend = format!("write @{key}(\"…\") above it");
            faults.push(fault(file, line, format!("the rule has no @{key}"), &mend));
            String::new()
        }
    };
    let (id, zh, en) = (need("id"), need("zh"), need("en"));
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !id.chars().all(slug) {
        faults.push(fault(file, line, format!("@id(\"{id}\") is not a plain id"), "use a–z, 0–9 and `-`"));
    }
    const KNOWN: [&str; 6] = ["id", "zh", "en", "basis", "code", "exceptions"];
    for (key, _) in policy.annotations().filter(|(key, _)| !KNOWN.contains(key)) {
        faults.push(fault(
            file,
            line,
            format!("@{key} means nothing here"),
            "use @id @zh @en @basis @code @exceptions",
        ));
    }
    let told = match policy.annotation("code") {
        None => &NO_RULE,
        Some(code) => told_of(code).unwrap_or_else(|| {
            faults.push(fault(file, line, format!("@code(\"{code}\") is no code of this room"), "see docs/errors.md"));
            &NO_RULE
        }),
    };
    let named = match policy.action_constraint() {
        ActionConstraint::Any => Act::ALL.iter().map(|a| action_uid(*a)).collect(),
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids,
    };
    for uid in named.iter().filter(|uid| !Act::ALL.iter().any(|a| action_uid(*a) == **uid)) {
        faults.push(fault(
            file,
            line,
            format!("{uid} is no act of this program"),
            "name acts of the schema, not groups",
        ));
    }
    let acts: Vec<Act> = Act::ALL.iter().copied().filter(|a| named.contains(&action_uid(*a))).collect();
    let kind = match policy.principal_constraint() {
        PrincipalConstraint::Is(name) => Kind::ALL.iter().copied().find(|k| kind_name(*k) == name),
        _ => None,
    };
    let text = |key| policy.annotation(key).map(str::to_owned);
    (faults.len() == before).then(|| Rule {
        id: id.into(),
        zh,
        en,
        basis: text("basis"),
        exceptions: text("exceptions"),
        told,
        forbids: policy.effect() == Effect::Forbid,
        file: file.to_owned(),
        line,
        acts,
        kind,
    })
}

fn validate(
    schema: &Schema,
    policies: &[Policy],
    rules: &[Rule],
    lines: &HashMap<Arc<str>, usize>,
    sources: &[Source],
    faults: &mut Vec<Fault>,
) {
    let set = match Cedar::from_policies(policies.iter().cloned()) {
        Ok(set) => set,
        Err(error) => return faults.push(fault("*.cedar", 0, error.to_string(), "give each rule an id of its own")),
    };
    let outcome = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let mut report = |id: &PolicyId, error: &dyn Diagnostic, what: String, mend: &str| {
        let id: &str = id.as_ref();
        let Some(rule) = lines.get(id).map(|at| &rules[*at]) else {
            return faults.push(fault("*.cedar", 0, what, mend));
        };
        let text = sources.iter().find(|(name, _)| *name == rule.file).map_or("", |(_, text)| text);
        let line = line_of(error, text).unwrap_or(rule.line);
        faults.push(fault(&rule.file, line, what, mend));
    };
    for error in outcome.validation_errors() {
        report(error.policy_id(), error, said(error), "use only what the schema declares");
    }
    for warning in outcome.validation_warnings() {
        report(warning.policy_id(), warning, said(warning), "mend or remove the rule; warnings count as mistakes");
    }
}

/// What Cedar says, on one line, with its own advice.
fn said(error: &dyn Diagnostic) -> String {
    let mut text = error.to_string();
    if let Some(label) = error.labels().into_iter().flatten().find_map(|l| l.label().map(str::to_owned)) {
        text = format!("{text}: {label}");
    }
    if let Some(help) = error.help() {
        text = format!("{text} ({help})");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn line_of(error: &dyn Diagnostic, text: &str) -> Option<usize> {
    let own = error.labels().and_then(|mut labels| labels.next()).map(|label| line_at(text, label.offset()));
    own.or_else(|| error.related().into_iter().flatten().find_map(|inner| line_of(inner, text)))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count()
}
