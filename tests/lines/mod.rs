//! What a line of the log says, by its kind: the table that an auditor reads a log with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Who acted, at what, and under which permit.
const BY_PERMIT: &str = "actor.kind actor.terminal req.method req.route trace dec.verdict dec.policy dec.rules dec.ask";
/// Which case, whose, why, for what, where.
const OF_A_CASE: &str =
    "case.id case.seq subj.pid subj.epoch why.purpose why.basis item.code item.channel jur.owner jur.window jur.route";

/// Kind, which lines of it (a member and what is in it), and what each of them has.
type Row = (&'static str, Option<(&'static str, &'static str)>, &'static [&'static str]);

const TABLE: [Row; 28] = [
    ("case.intent", None, &[OF_A_CASE, "actor.kind up.name ev.type ev.digest"]),
    ("case.outcome", None, &[OF_A_CASE, "actor.kind of up.name up.result out.status"]),
    ("case.event", None, &[OF_A_CASE, "actor.kind actor.terminal req.method req.route trace facts.act out.status"]),
    // Filed here, with the receipt that the applicant takes home.
    ("case.event", Some(("out.receipt", "")), &[BY_PERMIT, "item.version enc.box facts.state ev.type ev.digest"]),
    ("case.event", Some(("facts.act", "read")), &[BY_PERMIT, "actor.session item.version"]),
    // Decided, and told why.
    ("case.event", Some(("facts.act", "grant")), &["facts.state enc.box ev.type ev.digest"]),
    // Heard from a peer: in a sealed envelope, of somebody whom it vouches for.
    ("case.event", Some(("up.name", "")), &["actor.staff actor.issuer actor.assurance ev.signer ev.verdict ev.digest"]),
    // Done by an official of ours, whom the office's system names.
    ("case.event", Some(("actor.kind", "official")), &[BY_PERMIT, "actor.staff facts.state"]),
    ("case.event", Some(("out.due", "")), &[BY_PERMIT, "item.version"]),
    ("pass.intent", None, &[BY_PERMIT, "subj.pid subj.epoch why.purpose jur.owner up.name"]),
    ("pass.outcome", None, &["actor.kind subj.pid req.route why.purpose jur.owner up.name up.result out.status of"]),
    (
        "data.read",
        None,
        &[
            BY_PERMIT,
            "subj.pid subj.epoch why.purpose why.basis why.necessary item.code jur.owner jur.window jur.route up.name up.result ev.type ev.age",
        ],
    ),
    (
        "licence.check",
        None,
        &["actor.kind actor.terminal subj.pid req.route trace ev.type ev.digest ev.verdict ev.trust"],
    ),
    // For an item; by hand and without a case it rests on none.
    ("licence.check", Some(("item.code", "")), &["why.purpose why.basis"]),
    ("licence.check", Some(("ev.seal", "")), &["ev.signer"]),
    ("login", None, &["actor.kind req.route trace out.status"]),
    ("deny", None, &["actor.kind req.method req.route trace dec.verdict dec.reason out.status"]),
    ("deny", Some(("dec.ask", "")), &["dec.policy dec.rules"]),
    (
        "deny",
        Some(("jur.owner", "")),
        &["subj.pid subj.epoch why.basis item.code item.version item.channel jur.window"],
    ),
    ("admin.config", None, &["actor.kind dec.verdict facts.cause facts.part facts.version"]),
    ("policy.load", None, &["actor.kind dec.verdict dec.policy facts.cause facts.part facts.version"]),
    ("snapshot.load", None, &["actor.kind dec.verdict facts.cause facts.part facts.version"]),
    ("partner.change", None, &["actor.kind dec.verdict facts.cause facts.part facts.version"]),
    ("key.rotate", None, &["actor.kind dec.verdict facts.cause facts.part facts.version"]),
    ("gm.root", None, &["facts.root facts.size facts.signature facts.key"]),
    ("index", None, &["facts.root facts.cases"]),
    ("logset", None, &["set.origin set.key set.root set.size"]),
    ("recovered", None, &["actor.kind of"]),
];

/// Members of the page that other tests see written.
const ELSEWHERE: [(&str, &str); 5] = [
    ("behalf.pid", "tests/people.rs"),
    ("why.consent", "tests/consents.rs"),
    ("actor.pid", "tests/people.rs: citizens at the portal"),
    ("dec.missing", "tests/partners/provider.rs: a provider that is away"),
    ("ev.at", "tests/anchors.rs: time-stamps"),
];

/// The values of a member, e.g. `ev.digest`: of a list, those of all its elements.
fn values<'a>(line: &'a Value, member: &str) -> Vec<&'a Value> {
    member.split('.').fold(vec![line], |at, step| {
        let inside = at.into_iter().flat_map(|value| match value {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        });
        inside.filter_map(|value| value.get(step)).collect()
    })
}

/// Every line has what the table says of its kind, and the logs together have every member that the page names.
pub fn check(lines: &[Value]) {
    let mut met = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        let kind = line["kind"].as_str().expect("a kind");
        assert!(TABLE.iter().any(|(known, ..)| *known == kind), "{kind} is not in the table");
        assert!(line["node"]["name"].is_string(), "{line}");
        for (row, (_, which, wanted)) in TABLE.iter().enumerate().filter(|(_, (known, ..))| *known == kind) {
            let fits = |(member, what): &(&str, &str)| {
                values(line, member).iter().any(|value| what.is_empty() || *value == *what)
            };
            if !which.as_ref().is_none_or(fits) {
                continue;
            }
            *met.entry(row).or_insert(0) += 1;
            for member in wanted.iter().flat_map(|all| all.split(' ')) {
                assert!(!values(line, member).is_empty(), "{kind} {which:?} without {member}: {line}");
            }
        }
        seen.extend(paths(line, ""));
    }
    // Sign-ins at the pages and crashes have tests of their own.
    let never: Vec<_> = (0..TABLE.len()).filter(|row| !met.contains_key(row)).map(|row| TABLE[row].0).collect();
    assert_eq!(never, ["login", "recovered"], "kinds that the walk did not write");

    for (member, test) in page() {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == member);
        assert!(seen.contains(&member) != elsewhere, "{member} ({test}): on the page; seen here or listed, not both");
    }
}

fn paths(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let below = |(name, value): (&String, &Value)| {
                paths(value, &if at.is_empty() { name.clone() } else { format!("{at}.{name}") })
            };
            members.iter().flat_map(below).collect()
        }
        Value::Array(all) => all.iter().flat_map(|value| paths(value, at)).collect(),
        _ => vec![at.to_owned()],
    }
}

/// The members of the parts in `docs/audit-entries.md`, with what they mean.
fn page() -> Vec<(String, String)> {
    let page = std::fs::read_to_string("docs/audit-entries.md").expect("the page");
    let mut part = None;
    let mut all = Vec::new();
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("### `") {
            part = head.split('`').next().map(|name| name.trim_end_matches("[]").to_owned());
        } else if let (Some(part), Some(row)) = (&part, line.strip_prefix("| `")) {
            let (name, rest) = row.split_once('`').expect("a row");
            // A part inside of another has its own table.
            if !rest.contains("| PeerReceipt |") {
                all.push((format!("{part}.{name}"), rest.to_owned()));
            }
        }
    }
    assert!(all.len() > 30, "the page has its tables");
    all
}
