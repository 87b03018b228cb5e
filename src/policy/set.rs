//! The rules in force and the decision.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, Policy, PolicyId, PolicySet as Cedar, Schema};
use moka::sync::Cache;

use super::ask::{Act, Ask};
use super::denial::{Denial, Denied, EVALUATION, MALFORMED, NO_RULE, Nearest};
use super::embedded;
use super::entities::{AskError, Put, put};
use super::load::{self, LoadError, Loaded, Rule};
use super::permit::{Grant, Permit};
use super::replay;
use super::who::Kind;
use crate::terms::{Digest, Told, UnixMillis};

/// Bytes of asks and verdicts the memo may hold.
const MEMO_MAX_BYTES: u64 = 16 << 20;
/// What an entry costs beside its text: the structures of ask, verdict and cache.
const MEMO_ENTRY_BYTES: usize = 1_500;

/// A validated set of rules. Immutable: a changed folder is another set with another version.
///
/// ```text
///  Ask ──▶ memo ──hit──────────────────────────────▶ Permit | Denial
///            └─miss─▶ entities ▶ rules of act and kind ▶ verdict ─┘ (kept in the memo)
/// ```
pub struct PolicySet {
    schema: Schema,
    rules: Vec<Rule>,
    index: HashMap<PolicyId, usize>,
    /// Per act and kind of principal, the rules whose scope fits both: no other rule can speak.
    slices: HashMap<(Act, Kind), Slice>,
    version: Digest,
    sources: Vec<(String, String)>,
    authorizer: Authorizer,
    #[cfg(test)]
    written: Vec<Policy>,
    memo: Cache<Ask, Verdict>,
}

struct Slice {
    policies: Cedar,
    probes: Cedar,
    /// What each probe looks at, by its id.
    clauses: HashMap<PolicyId, Clause>,
}

/// One condition of one rule, so that a denial can say which condition was missing.
struct Clause {
    rule: usize,
    /// `None`: the rule's scope alone.
    text: Option<String>,
}

#[derive(Clone)]
enum Verdict {
    Yes(Arc<Grant>),
    No(Denial),
}

/// What one rule had to say about an ask.
#[derive(Clone, Debug)]
pub struct Finding<'a> {
    pub rule: &'a Rule,
    /// It speaks: all its conditions hold.
    pub holds: bool,
    /// Its scope fits this principal, act and resource.
    pub in_scope: bool,
    /// Its conditions in Cedar's words, and whether each holds.
    pub clauses: Vec<(&'a str, bool)>,
}

impl PolicySet {
    /// Reads, checks and takes a policy folder.
    ///
    /// # Errors
    /// All mistakes of the folder at once, each with file, line and mend.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        Self::build(load::load(load::read(dir)?)?)
    }

    /// The set of `dir`, or the shipped one; what is in force where its sources are the same, which costs nothing.
    ///
    /// # Errors
    /// As [`PolicySet::load`].
    pub fn again(dir: Option<&Path>, in_force: Option<&Arc<Self>>) -> Result<Arc<Self>, LoadError> {
        let sources = match dir {
            Some(dir) => load::read(dir)?,
            None => embedded::sources(),
        };
        match in_force {
            Some(set) if set.sources == sources => Ok(Arc::clone(set)),
            _ => Self::build(load::load(sources)?).map(Arc::new),
        }
    }

    /// The set this program ships with.
    ///
    /// # Errors
    /// Only when the shipped files are broken, which the tests of this room exclude.
    pub fn embedded() -> Result<Self, LoadError> {
        Self::build(load::load(embedded::sources())?)
    }

    /// As [`PolicySet::load`], from (file name, text).
    pub fn from_sources(sources: impl IntoIterator<Item = (String, String)>) -> Result<Self, LoadError> {
        Self::build(load::load(sources.into_iter().collect())?)
    }

    fn build(loaded: Loaded) -> Result<Self, LoadError> {
        let Loaded { schema, rules, policies, version, sources } = loaded;
        let index = policies.iter().enumerate().map(|(at, p)| (p.id().clone(), at)).collect();
        let broken = |what: String| LoadError {
            faults: vec![load::Fault {
                file: "*.cedar".to_owned(),
                line: 0,
                what,
                mend: "simplify the conditions of the rule".to_owned(),
            }],
        };
        let bare = rules.iter().zip(&policies).map(|(rule, policy)| Bare::of(rule, policy));
        let bare: Vec<Bare> = bare.collect::<Result<_, _>>().map_err(&broken)?;
        let mut slices = HashMap::new();
        for (act, kind) in Act::ALL.iter().flat_map(|act| Kind::ALL.iter().map(move |kind| (*act, *kind))) {
            let fits = |rule: &Rule| rule.acts.contains(&act) && rule.kind.is_none_or(|k| k == kind);
            let of_slice = || rules.iter().zip(&bare).enumerate().filter(|(_, (rule, _))| fits(rule));
            let mut clauses = HashMap::new();
            let mut probes = Vec::new();
            for (at, (_, bare)) in of_slice() {
                for (probe, text) in &bare.probes {
                    clauses.insert(probe.id().clone(), Clause { rule: at, text: text.clone() });
                    probes.push(probe.clone());
                }
            }
            let set = |list: Vec<Policy>| Cedar::from_policies(list).map_err(|e| broken(e.to_string()));
            let policies = set(of_slice().map(|(_, (_, bare))| bare.policy.clone()).collect())?;
            slices.insert((act, kind), Slice { policies, probes: set(probes)?, clauses });
        }
        let memo = Cache::builder()
            .max_capacity(MEMO_MAX_BYTES)
            .weigher(|ask: &Ask, _| u32::try_from(ask.text_bytes() + MEMO_ENTRY_BYTES).unwrap_or(u32::MAX))
            .build();
        Ok(Self {
            schema,
            rules,
            index,
            slices,
            version,
            sources,
            authorizer: Authorizer::new(),
            #[cfg(test)]
            written: policies,
            memo,
        })
    }

    /// Digest over the sources: what the log records as the policy that decided.
    pub fn version(&self) -> Digest {
        self.version
    }

    /// The files it was made of: name and text.
    pub fn sources(&self) -> &[(String, String)] {
        &self.sources
    }

    /// All rules, in the order in which they speak.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| &*rule.id == id)
    }

    /// Decides. `now` is the moment the permit carries; time-bound facts (hours, periods, ages) are in the ask already.
    ///
    /// # Errors
    /// The denial, with the rule that speaks. Anything that cannot be evaluated is denied.
    pub fn decide(&self, ask: &Ask, now: UnixMillis) -> Result<Permit, Denial> {
        let verdict = match self.memo.get(ask) {
            Some(verdict) => verdict,
            None => {
                let verdict = match put(ask, None) {
                    Ok(put) => self.judge(ask, &put),
                    Err(error) => return Err(self.malformed(ask, &error)), // not kept: it may be large
                };
                self.memo.insert(ask.clone(), verdict.clone());
                verdict
            }
        };
        Self::hand_out(verdict, now)
    }

    /// As [`PolicySet::decide`], without the memo.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate(&self, ask: &Ask, now: UnixMillis) -> Result<Permit, Denial> {
        match put(ask, None) {
            Ok(put) => Self::hand_out(self.judge(ask, &put), now),
            Err(error) => Err(self.malformed(ask, &error)),
        }
    }

    /// What every rule about this act has to say; checks the ask against the schema as well.
    ///
    /// # Errors
    /// The ask cannot be put in the words of the schema.
    pub fn explain(&self, ask: &Ask) -> Result<Vec<Finding<'_>>, AskError> {
        let put = put(ask, Some(&self.schema))?;
        let slice = &self.slices[&(ask.act(), ask.who().kind)];
        let held = self.held(slice, &put);
        let mut findings: Vec<Finding<'_>> = Vec::new();
        for rule in &self.rules {
            if !slice.clauses.contains_key(&probe_id(rule, 0)) {
                continue;
            }
            let mut finding = Finding { rule, holds: false, in_scope: false, clauses: Vec::new() };
            for number in 0.. {
                let id = probe_id(rule, number);
                let Some(clause) = slice.clauses.get(&id) else { break };
                match &clause.text {
                    None => finding.in_scope = held.contains(&id),
                    Some(text) => finding.clauses.push((text, held.contains(&id))),
                }
            }
            finding.holds = finding.in_scope && finding.clauses.iter().all(|(_, holds)| *holds);
            findings.push(finding);
        }
        Ok(findings)
    }

    fn hand_out(verdict: Verdict, now: UnixMillis) -> Result<Permit, Denial> {
        match verdict {
            Verdict::Yes(grant) => Ok(Permit::new(grant, now)),
            Verdict::No(denial) => Err(denial),
        }
    }

    fn judge(&self, ask: &Ask, put: &Put) -> Verdict {
        let slice = &self.slices[&(ask.act(), ask.who().kind)];
        let response = self.authorizer.is_authorized(&put.request, &slice.policies, &put.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Verdict::No(self.denied(ask, &EVALUATION, Vec::new(), None, Some(error.to_string())));
        }
        let spoke: BTreeSet<usize> =
            response.diagnostics().reason().filter_map(|id| self.index.get(id)).copied().collect();
        let ids = || spoke.iter().map(|at| self.rules[*at].id.clone()).collect::<Vec<_>>();
        match (response.decision(), spoke.first()) {
            (Decision::Allow, Some(_)) => Verdict::Yes(Arc::new(Grant::new(ask, self.version, ids()))),
            (_, Some(first)) => {
                let rule = &self.rules[*first];
                Verdict::No(self.denied(ask, rule.told, ids(), None, None))
            }
            (_, None) => {
                let nearest = self.nearest(slice, put);
                let told = nearest.as_ref().and_then(|n| self.rule(&n.rule)).map_or(&NO_RULE, |rule| rule.told);
                Verdict::No(self.denied(ask, told, Vec::new(), nearest, None))
            }
        }
    }

    fn held(&self, slice: &Slice, put: &Put) -> BTreeSet<PolicyId> {
        let response = self.authorizer.is_authorized(&put.request, &slice.probes, &put.entities);
        response.diagnostics().reason().cloned().collect()
    }

    /// The permit that came closest: meant for this kind of principal, fewest conditions missing, most conditions met,
    /// first in order. Kinds count first: what is said to a citizen about clerks helps no citizen.
    fn nearest(&self, slice: &Slice, put: &Put) -> Option<Nearest> {
        #[derive(Default)]
        struct Near<'a> {
            in_scope: bool,
            met: usize,
            missing: Vec<&'a str>,
        }
        let held = self.held(slice, put);
        let mut near: HashMap<usize, Near<'_>> = HashMap::new();
        for (id, clause) in slice.clauses.iter().filter(|(_, c)| !self.rules[c.rule].forbids) {
            let entry = near.entry(clause.rule).or_default();
            match &clause.text {
                None => entry.in_scope = held.contains(id),
                Some(_) if held.contains(id) => entry.met += 1,
                Some(text) => entry.missing.push(text),
            }
        }
        let other_kind = |n: &Near<'_>| n.missing.iter().any(|text| text.contains("principal is "));
        let (at, mut best) = near
            .into_iter()
            .filter(|(_, n)| n.in_scope)
            .min_by_key(|(at, n)| (other_kind(n), n.missing.len(), std::cmp::Reverse(n.met), *at))?;
        best.missing.sort_unstable(); // the map has no order
        let failed = best.missing.into_iter().map(str::to_owned).collect();
        Some(Nearest { rule: self.rules[at].id.clone(), failed })
    }

    fn denied(
        &self,
        ask: &Ask,
        told: &'static Told,
        rules: Vec<Arc<str>>,
        nearest: Option<Nearest>,
        detail: Option<String>,
    ) -> Denial {
        let sentence = |id: &str| self.rule(id).map(|rule| (rule.zh.clone(), rule.en.clone()));
        let (zh, en) = match (rules.first(), &nearest) {
            (Some(first), _) => sentence(first),
            (None, Some(near)) => sentence(&near.rule).map(|(zh, en)| {
                let (zh, en) = (zh.trim_end_matches('。'), en.trim_end_matches('.'));
                (
                    format!("没有规则允许此操作；最接近的规则是：{zh}。"),
                    format!("No rule permits this; the nearest says: {en}."),
                )
            }),
            (None, None) => None,
        }
        .unwrap_or_else(|| (told.zh.to_owned(), told.en.to_owned()));
        Denial(Arc::new(Denied {
            told,
            zh,
            en,
            rules,
            nearest,
            version: self.version,
            asked: replay::digest(ask),
            act: ask.act(),
            kind: ask.who().kind,
            level_needed: ask.level_needed(),
            detail,
        }))
    }

    fn malformed(&self, ask: &Ask, error: &AskError) -> Denial {
        self.denied(ask, &MALFORMED, Vec::new(), None, Some(error.to_string()))
    }

    /// All rules in one, as they were written: what the slices are held to.
    #[cfg(test)]
    pub(super) fn whole(&self) -> Cedar {
        Cedar::from_policies(self.written.clone()).unwrap()
    }

    /// Evaluates against `whole`, with ask and entities checked against the schema.
    #[cfg(test)]
    pub(super) fn evaluate_whole(&self, whole: &Cedar, ask: &Ask) -> Option<(bool, BTreeSet<String>)> {
        let put = put(ask, Some(&self.schema)).ok()?;
        let response = self.authorizer.is_authorized(&put.request, whole, &put.entities);
        let reasons = response.diagnostics().reason().map(ToString::to_string).collect();
        Some((response.decision() == Decision::Allow, reasons))
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PolicySet({} rules, {})", self.rules.len(), self.version)
    }
}

/// A rule without the parts of its scope that its slices stand for. Evaluating a long list of acts in every rule
/// costs more than all conditions together.
struct Bare {
    policy: Policy,
    /// The scope that is left alone, then each condition under it, all as permits.
    probes: Vec<(Policy, Option<String>)>,
}

impl Bare {
    fn of(rule: &Rule, policy: &Policy) -> Result<Self, String> {
        let json = policy.to_json().map_err(|e| e.to_string())?;
        let serde_json::Value::Object(mut json) = json else {
            return Err("a rule without a form in JSON".to_owned());
        };
        json.remove("annotations");
        json.insert("action".to_owned(), serde_json::json!({ "op": "All" }));
        if rule.kind.is_some() {
            json.insert("principal".to_owned(), serde_json::json!({ "op": "All" }));
        }
        let made = |id: PolicyId, json: serde_json::Map<String, serde_json::Value>| {
            Policy::from_json(Some(id), serde_json::Value::Object(json)).map_err(|e| e.to_string())
        };
        let policy = made(policy.id().clone(), json.clone())?;
        let conditions = match json.remove("conditions") {
            Some(serde_json::Value::Array(list)) => list,
            _ => Vec::new(),
        };
        json.insert("effect".to_owned(), "permit".into());
        let probe = |number: usize, list: Vec<serde_json::Value>| {
            let mut json = json.clone();
            json.insert("conditions".to_owned(), list.into());
            made(probe_id(rule, number), json)
        };
        let mut probes = vec![(probe(0, Vec::new())?, None)];
        for (number, condition) in (1..).zip(conditions) {
            let made = probe(number, vec![condition])?;
            let text = clause_text(&made.to_string());
            probes.push((made, Some(text)));
        }
        Ok(Self { policy, probes })
    }
}

/// Number 0 is the scope.
fn probe_id(rule: &Rule, number: usize) -> PolicyId {
    PolicyId::new(format!("{}#{number}", rule.id))
}

/// `when { … }` of a printed rule, on one line.
fn clause_text(printed: &str) -> String {
    let at = [") when {", ") unless {"].iter().filter_map(|start| printed.find(start)).min();
    let text = at.map_or(printed, |at| &printed[at + 1..]);
    text.trim().trim_end_matches(';').split_whitespace().collect::<Vec<_>>().join(" ").replace("Tongban::", "")
}
