//! What of an entry stands in an index, and what of a filter is looked for there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Filter, Place};
use crate::audit::entry::{EntryHead, Role};
use crate::audit::merkle::leaf_hash;
use crate::terms::Digest;

/// What a word is of; the numbers stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Case = 1,
    Person = 2,
    Actor = 3,
    Outlet = 4,
    Item = 5,
    Kind = 6,
    Decision = 7,
    /// Entries that cannot be read as ours.
    Unread = 8,
}

/// Where the words of an entry stand.
const WORDS: [(Field, &str); 11] = [
    (Field::Person, "/actor/pid"),
    (Field::Person, "/behalf/pid"),
    (Field::Person, "/subj/pid"),
    (Field::Actor, "/actor/staff"),
    (Field::Actor, "/actor/pid"),
    (Field::Outlet, "/actor/terminal"),
    (Field::Outlet, "/actor/org"),
    (Field::Item, "/item/code"),
    (Field::Kind, "/kind"),
    (Field::Decision, "/dec/verdict"),
    (Field::Decision, "/dec/reason"),
];

/// The words that a filter wants, each of them.
pub(super) fn wanted(filter: &Filter) -> Vec<(Field, String)> {
    let text = |field, text: &Option<String>| text.clone().map(|text| (field, text));
    [
        filter.case.map(|id| (Field::Case, id.to_string())),
        filter.person.map(|id| (Field::Person, id.to_string())),
        text(Field::Actor, &filter.actor),
        text(Field::Item, &filter.item),
        text(Field::Decision, &filter.decision),
        text(Field::Outlet, &filter.outlet),
        text(Field::Kind, &filter.kind),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `FROM … WHERE …` over the rows of all words, with the texts to bind first; the bounds of `at0` are bound after them.
pub(super) fn joined(words: &[(Field, String)], filter: &Filter) -> (String, Vec<String>) {
    let mut from = String::new();
    let mut clauses = Vec::new();
    let first = match words.first() {
        Some((field, _)) => {
            clauses.push(format!("w0.field = {} AND w0.value = $1", *field as i64));
            "(SELECT field, value, at AS at0 FROM word) AS w0"
        }
        None => "(SELECT ts, at AS at0 FROM moment) AS m",
    };
    from.push_str(first);
    for (n, (field, _)) in words.iter().enumerate().skip(1) {
        from.push_str(&format!(" JOIN word AS w{n} ON w{n}.at = at0"));
        clauses.push(format!("w{n}.field = {} AND w{n}.value = ${}", *field as i64, n + 1));
    }
    let timed = filter.since.is_some() || filter.until.is_some();
    if timed && !words.is_empty() {
        from.push_str(" JOIN (SELECT ts, at AS atm FROM moment) AS m ON atm = at0");
    }
    if let Some(since) = filter.since {
        clauses.push(format!("m.ts >= {}", since.0));
    }
    if let Some(until) = filter.until {
        clauses.push(format!("m.ts < {}", until.0));
    }
    let n = words.len();
    clauses.push(format!("at0 >= ${} AND at0 < ${}", n + 1, n + 2));
    (format!("FROM {from} WHERE {}", clauses.join(" AND ")), words.iter().map(|(_, text)| text.clone()).collect())
}

/// Rows of some entries, as JSON: SQLite takes thousands in one statement so.
#[derive(Default)]
pub(super) struct Rows {
    pub words: Vec<Value>,
    pub moments: Vec<Value>,
    pub intents: Vec<Value>,
    pub closing: Vec<Value>,
    pub last: Option<Place>,
}

impl Rows {
    pub fn of(first: u64, entries: &[Vec<u8>]) -> Self {
        let mut rows = Self::default();
        for (at, bytes) in (first..).zip(entries) {
            let leaf = leaf_hash(bytes);
            rows.last = Some(Place { index: at, leaf });
            match super::judged(bytes) {
                Some((head, entry)) => rows.entry(at, &leaf, &head, &entry),
                None => rows.words.push(json!([Field::Unread as i64, "", at])),
            }
        }
        rows
    }

    fn entry(&mut self, at: u64, leaf: &Digest, head: &EntryHead, entry: &Value) {
        let found = |(field, path): (Field, &'static str)| {
            entry.pointer(path).and_then(Value::as_str).map(|text| (field, text.to_owned()))
        };
        let mut words: BTreeSet<(Field, String)> = WORDS.into_iter().filter_map(found).collect();
        let rules = entry.pointer("/dec/rules").and_then(Value::as_array).into_iter().flatten();
        words.extend(rules.filter_map(Value::as_str).map(|rule| (Field::Decision, rule.to_owned())));
        if let Some(link) = &head.case {
            words.insert((Field::Case, link.id.to_string()));
            if head.kind.role() == Role::Intent {
                self.intents.push(json!([leaf.to_string(), link.id.to_string(), at]));
            }
        }
        if let Some(of) = &head.of {
            self.closing.push(json!([of.to_string(), at]));
        }
        self.words.extend(words.into_iter().map(|(field, text)| json!([field as i64, text, at])));
        self.moments.push(json!([at, head.ts]));
    }
}
