//! What goes on record, and when: nothing is answered before its line in the log is durable.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use super::concern::Concern;
use super::rooms::Rooms;
use super::who::{Person, Terminal};
use crate::audit::entry::{
    Actor, Behalf, Decision, Entry, Evidence, ItemRef, LogKey, Named, Node, Outcome, Personal, Purpose, Request,
    Subject,
};
use crate::audit::{AuditError, Committed, Kind, Word};
use crate::exchange::message::Applicant;
use crate::exchange::{Act, Case, Key};
use crate::policy::Permit;
use crate::terms::{CaseNo, Digest, ItemCode, Refusal, UnixMillis};

/// What every line about one request has in common.
#[derive(Clone)]
pub struct Trace {
    /// 32 hexadecimal digits (W3C trace id).
    pub id: String,
    pub method: &'static str,
    /// Route template, never the path with its values.
    pub route: &'static str,
    pub at: UnixMillis,
    known: Arc<Mutex<Known>>,
}

/// What has become known of a request on the way: a refusal's line says that too.
#[derive(Clone, Default)]
struct Known {
    /// What it is about.
    concern: Option<Concern>,
    /// Who acts, where no token but a signature, a peer or an office's system says so.
    actor: Option<Actor>,
    /// Of a caller that is told to wait: refusals before it that had no line.
    waited: Option<u64>,
    /// The mandate of the department for which an outlet acts.
    mandate: Option<Digest>,
}

pub fn word(text: &str) -> Option<Word> {
    Word::new(text).ok()
}

/// Who acts when nobody does: the gateway itself.
pub fn system() -> Actor {
    Actor { kind: word("system"), ..Actor::default() }
}

/// A line of this gateway.
pub fn line(rooms: &Rooms, kind: Kind, now: UnixMillis) -> Entry {
    Entry::new(kind, now).node(Node { name: word(&rooms.me.id) })
}

/// The line with facts for which no member exists; one that is no plain word is left out.
pub fn facts<V: Display>(line: Entry, facts: &[(&str, V)]) -> Entry {
    facts.iter().fold(line, |line, (name, value)| match (word(name), word(&value.to_string())) {
        (Some(name), Some(value)) => line.fact(name, value),
        _ => line,
    })
}

impl Trace {
    pub fn new(id: String, method: &'static str, route: &'static str, at: UnixMillis) -> Self {
        Self { id, method, route, at, known: Arc::default() }
    }

    /// The same request, later.
    #[must_use]
    pub fn later(&self, at: UnixMillis) -> Self {
        Self { at, ..self.clone() }
    }

    /// Remembers what the request is about, as far as that is known by now. Of a case only once it is clear that the caller
    /// has to do with it: a stranger's refusals are not written into its chain.
    pub fn concerns(&self, concern: Concern) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).concern = Some(concern);
    }

    /// Remembers who acts, once that is proven: every line of the request from here on names them.
    pub fn by(&self, actor: Actor) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).actor = Some(actor);
    }

    /// Remembers under which mandate an outlet acts: every line of the request from here on names it.
    pub fn entrusted(&self, mandate: Digest) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).mandate = Some(mandate);
    }

    /// Remembers that this refusal stands for `before` earlier ones as well.
    pub fn waited(&self, before: u64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).waited = Some(before);
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A line of this kind about this request.
    pub fn entry(&self, rooms: &Rooms, kind: Kind) -> Entry {
        let mut entry = line(rooms, kind, self.at).req(Request { method: word(self.method), route: word(self.route) });
        if let Some(id) = word(&self.id) {
            entry = entry.trace(id);
        }
        entry
    }

    /// The line, with what is known of what the request is about.
    pub fn told(&self, rooms: &Rooms, line: Entry) -> Entry {
        self.known().concern.map_or(line.clone(), |concern| concern.on(rooms, line))
    }

    pub fn about(&self, rooms: &Rooms, kind: Kind, person: Option<&Person>, terminal: &Terminal) -> Entry {
        let known = self.known();
        let actor = match person {
            Some(person) => person.actor(rooms, terminal),
            None => known.actor.unwrap_or_else(|| Actor { terminal: word(&terminal.word(rooms)), ..system() }),
        };
        let mut entry = self.entry(rooms, kind).actor(actor);
        // Both names of a post are on each line of a deputy.
        if let Some(first) = person.and_then(|person| person.stands_in_for.as_deref()) {
            entry = facts(entry, &[("stands-in-for", first)]);
        }
        let behalf = person.and_then(|person| person.behalf.clone());
        match (behalf, known.mandate) {
            // Somebody acts under a paper of their own at an outlet: the line has room for one.
            (Some(own), Some(mandate)) if own.mandate.is_some() => {
                facts(entry.behalf(own), &[("outlet-mandate", mandate)])
            }
            (own, Some(mandate)) => {
                let own = own.unwrap_or_else(|| Behalf { relation: word("proxy-point"), ..Behalf::default() });
                entry.behalf(Behalf { mandate: Some(mandate), ..own })
            }
            (Some(own), None) => entry.behalf(own),
            (None, None) => entry,
        }
    }
}

/// The line with the act that moved the case, and where the case stands now.
pub fn step(line: Entry, act: Act, case: &Case) -> Entry {
    facts(line, &[("act", act.word()), ("state", case.state.word())])
}

/// A yes of the rules, as a line records it.
pub fn allowed(permit: &Permit) -> Decision {
    Decision {
        ask: Some(permit.asked()),
        policy: Some(permit.version()),
        rules: permit.rules().iter().filter_map(|r| word(r)).collect(),
        verdict: word("allow"),
        ..Decision::default()
    }
}

/// The line with what it tells of people, sealed under the key of the case.
pub fn telling(
    line: Entry,
    rooms: &Rooms,
    case: CaseNo,
    key: &Key,
    applicant: Option<&Applicant>,
    note: Option<&str>,
) -> Result<Entry, Refusal> {
    let applicant = applicant.map(|who| Named { name: &who.name, number: &who.code });
    let personal = Personal { applicant, note: note.map(Into::into) };
    let sealed = personal.seal(&LogKey::of_case(key.octets()), &rooms.pseudonyms.case(case));
    Ok(match sealed.map_err(AuditError::from)? {
        Some(sealed) => line.enc(sealed),
        None => line,
    })
}

/// What acts about an item rest on, as its entry in the catalogue says.
pub fn basis(rooms: &Rooms, item: ItemCode) -> Option<Word> {
    let catalogue = rooms.catalogue.load();
    word(&catalogue.items.get(&item)?.basis.as_ref()?.id)
}

pub fn purpose(purpose: &str, basis: &str) -> Purpose {
    Purpose { purpose: word(purpose), basis: word(basis), ..Purpose::default() }
}

/// A no, as a line records it: the code that was answered, and the rules behind it.
pub fn denied(refusal: &Refusal) -> Decision {
    let rules = reason(refusal).members.iter().find(|(name, _)| *name == "rules").and_then(|(_, all)| all.as_array());
    let rules = rules.into_iter().flatten().filter_map(|rule| word(rule.as_str().unwrap_or_default()));
    Decision {
        verdict: word("deny"),
        reason: word(refusal.told.code),
        rules: rules.collect(),
        policy: digest(refusal, "policy"),
        ask: digest(refusal, "asked"),
        ..Decision::default()
    }
}

fn reason(refusal: &Refusal) -> &Refusal {
    refusal.because.as_deref().unwrap_or(refusal)
}

fn digest(refusal: &Refusal, member: &str) -> Option<Digest> {
    let found = reason(refusal).members.iter().find(|(name, _)| *name == member);
    found.and_then(|(_, value)| value.as_str()?.parse().ok())
}

/// Keeps a refusal like a yes. Gives the line's index, or `None` when the log itself cannot take it (the answer then
/// says so by being a 503).
pub async fn deny(
    rooms: &Rooms,
    trace: &Trace,
    person: Option<&Person>,
    terminal: &Terminal,
    refusal: &Refusal,
) -> Result<u64, AuditError> {
    let kind = if refusal.told.status == 400 { Kind::InputReject } else { Kind::Deny };
    let mut entry = trace.about(rooms, kind, person, terminal);
    let concern = trace.known().concern;
    if let Some(concern) = &concern {
        entry = concern.on(rooms, entry);
    }
    entry = entry.dec(denied(refusal)).out(Outcome { status: Some(refusal.status), ..Outcome::default() });
    if let Some(before) = trace.known().waited {
        entry = facts(entry, &[("unlogged", before)]);
    }
    // Under which paper somebody wanted to act, and at whose data they wanted to look.
    let (consent, about) = (digest(refusal, "paper"), refusal.about.as_deref());
    if consent.is_some() || about.is_some() {
        let item = concern.and_then(|concern| concern.item);
        let purpose = about.and_then(|about| about.purpose.as_deref()).or(item.map(|_| "case")).and_then(word);
        // The basis on which it was wanted, as whoever refused it read it; whether there is one is among what was refused.
        let basis = match about {
            Some(about) => about.basis.as_deref().and_then(word),
            None => item.and_then(|item| basis(rooms, item)),
        };
        let basis = basis.filter(|_| purpose.is_some());
        entry = entry.why(Purpose { basis, consent, purpose, ..Purpose::default() });
    }
    if let Some(code) = about.and_then(|about| about.item) {
        entry = entry.item(ItemRef { code: Some(code), ..ItemRef::default() });
    }
    if let Some(about) = about {
        entry = entry
            .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: about.subject.parse().ok() })
            .evidence(Evidence { r#type: word(&about.resource), ..Evidence::default() });
    }
    Ok(rooms.log.append(&entry).await?.index)
}

/// What a caller is told about a line: where to find and prove it.
pub fn receipt(rooms: &Rooms, committed: Committed) -> serde_json::Value {
    serde_json::json!({ "origin": rooms.log.key().name(), "index": committed.index, "leaf": committed.leaf })
}
