//! Shared data: may they ask, who answers, and the line in the log, for calls and cache hits alike.
//!
//! ```text
//!  ask ─▶ rules (purpose? item lists it? case open? class?) ─▶ cache ─miss─▶ provider here │ peer's gateway ─▶ its provider
//!                                                                └──────────▶ line in the log ─▶ Fact
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::facts;
use super::ledger::{self, Trace};
use super::peer;
use super::rooms::{Rooms, SystemKind};
use super::who::{Person, Terminal};
use super::word;
use crate::audit::Kind;
use crate::audit::entry::{Evidence, ItemRef, Subject, Upstream};
use crate::catalogue::CatalogueError;
use crate::exchange::message::FactRef;
use crate::federation::FederationError;
use crate::lookups::{Answer, Fact, LookupError, NO_PROVIDER, Question, UNKNOWN_SUBJECT, provider};
use crate::policy::{Ask, CaseLink, Kind as WhoKind, Lookup, Permit, Who};
use crate::terms::{CaseNo, Digest, ItemCode, Refusal, RegionCode, ResidentId, UnixMillis};

/// Fields a resource gives when the item names none; the smallest useful set.
const FIELDS: &[(&str, &[&str])] =
    &[("DR-HH", &["household_address", "household_no", "relation"]), ("DR-POP", &["name", "birth_date"])];
/// How long an answer is fresh, in seconds, by sensitivity 1–4.
const FRESH_S: [u64; 4] = [3_600, 900, 300, 60];

/// Kind and life, in seconds, of the statement a provider gets with a question.
const STATEMENT: &str = "tongban-statement+jwt";
const STATEMENT_LIVES_S: i64 = 60;

/// What is asked.
pub struct Asking<'a> {
    pub trace: &'a Trace,
    pub actor: &'a Person,
    pub terminal: &'a Terminal,
    /// As the rules see the actor.
    pub who: Who,
    pub subject: &'a ResidentId,
    pub resource: &'a str,
    pub item: Option<ItemCode>,
    pub case: Option<CaseLink>,
    pub purpose: Option<&'a str>,
    pub consent: bool,
    /// Where the data are kept: the owner's place.
    pub place: RegionCode,
    pub requester: RegionCode,
}

/// Fields of a resource, as far as the item may ask for them.
pub fn fields(resource: &str) -> BTreeSet<String> {
    let known = FIELDS.iter().find(|(id, _)| *id == resource).map_or(&["holds"][..], |(_, f)| *f);
    known.iter().map(|f| (*f).to_owned()).collect()
}

/// Asks, from cache or provider, and keeps the line.
pub async fn ask(asking: &Asking<'_>, rooms: &Arc<Rooms>) -> Result<Fact, Refusal> {
    let permit = permitted(asking, rooms)?;
    let question = question(asking, rooms);
    let fresh_s = fresh_s(rooms, asking.resource);
    let answer = rooms.lookups.ask(&question, fresh_s, asking.trace.at, fetch(asking, rooms, &question)).await;
    record(asking, rooms, &permit, answer.as_ref()).await?;
    Ok(answer?)
}

fn fresh_s(rooms: &Rooms, resource: &str) -> u64 {
    let catalogue = rooms.catalogue.load();
    let sensitivity = catalogue.resources.get(resource).map_or(4, |r| r.sensitivity);
    FRESH_S[usize::from(sensitivity.clamp(1, 4)) - 1]
}

fn question(asking: &Asking<'_>, rooms: &Rooms) -> Question {
    let item = asking.item.map_or_else(String::new, |i| i.to_string());
    Question {
        resource: asking.resource.to_owned(),
        subject: rooms.pseudonyms.resident(asking.subject).to_string(),
        purpose: format!("{}/{item}/{}", asking.purpose.unwrap_or_default(), asking.place),
        fields: fields(asking.resource),
    }
}

fn permitted(asking: &Asking<'_>, rooms: &Rooms) -> Result<Permit, Refusal> {
    let catalogue = rooms.catalogue.load();
    let resource = catalogue.resources.get(asking.resource);
    let resource = resource.ok_or_else(|| LookupError::NoProvider(asking.resource.to_owned()))?;
    let lists = match asking.item {
        Some(code) => match catalogue.item(code) {
            Ok(item) => item.may_look_up(asking.resource),
            Err(CatalogueError::UnknownItem(_)) => false,
            Err(other) => return Err(other.into()),
        },
        None => false,
    };
    let asked: Vec<String> = fields(asking.resource).into_iter().collect();
    let facts = facts::resource(resource, asking.place, asked.clone());
    let yes_no = facts.answers == crate::policy::AnswerForm::YesNo;
    let ask = Ask::LookUp(Lookup {
        who: asking.who.clone(),
        resource: facts,
        subject: rooms.pseudonyms.resident(asking.subject).to_string(),
        purpose: asking.purpose.map(str::to_owned),
        item: asking.item,
        item_lists: lists,
        case: asking.case.clone(),
        asked: if yes_no { Vec::new() } else { asked },
        consent: asking.consent,
        requester: asking.requester,
    });
    rooms.policies.decide(&ask, asking.trace.at).map_err(|denial| denial.refusal())
}

async fn fetch(asking: &Asking<'_>, rooms: &Arc<Rooms>, question: &Question) -> Result<Answer, LookupError> {
    let case = asking.case.as_ref().map(|c| c.no);
    let item = asking.item.ok_or_else(|| LookupError::NoProvider(asking.resource.to_owned()))?;
    let down = |why: String| LookupError::Down { resource: asking.resource.to_owned(), why };
    if rooms.is_ours(asking.place) {
        return local(rooms, asking.place, item, case, asking.subject, question).await;
    }
    let remote = Remote {
        resource: asking.resource.to_owned(),
        subject: asking.subject.reveal().to_owned(),
        fields: question.fields.clone(),
        purpose: asking.purpose.unwrap_or_default().to_owned(),
        item,
        case,
        authority: asking.case.as_ref().map_or_else(String::new, |c| c.authority.clone()),
        place: asking.place,
        requester: asking.requester,
    };
    let body = serde_json::to_vec(&remote).map_err(|e| down(e.to_string()))?;
    let answer = peer::post_json(rooms, asking.place, "/peer/v1/lookups", &body, asking.actor, asking.trace).await;
    let answer = answer.map_err(|refusal| match peers_code(&refusal) {
        Some(code) if code == UNKNOWN_SUBJECT.code => LookupError::UnknownSubject(asking.resource.to_owned()),
        Some(code) if code == NO_PROVIDER.code => LookupError::NoProvider(asking.resource.to_owned()),
        _ => down(refusal.to_string()),
    })?;
    let reply: Reply = serde_json::from_slice(&answer)
        .map_err(|e| LookupError::BadAnswer { resource: asking.resource.to_owned(), why: e.to_string() })?;
    Ok(Answer::Found { fields: reply.fields, source_version: reply.version })
}

/// The code of a peer's no.
fn peers_code(refusal: &Refusal) -> Option<&str> {
    refusal.members.iter().find(|(name, _)| *name == "peer_code").and_then(|(_, code)| code.as_str())
}

/// Asks the provider behind this gateway.
async fn local(
    rooms: &Rooms,
    place: RegionCode,
    item: ItemCode,
    case: Option<CaseNo>,
    subject: &ResidentId,
    question: &Question,
) -> Result<Answer, LookupError> {
    let system = rooms.system_for(SystemKind::Provider, place, |s| s.resources.contains(&question.resource));
    let system = system.ok_or_else(|| LookupError::NoProvider(question.resource.clone()))?;
    let call = provider::Call {
        resource: &question.resource,
        subject: subject.reveal(),
        fields: &question.fields,
        purpose: &question.purpose,
        basis: "item",
        item,
        case,
    };
    let body = call.body();
    let now = UnixMillis::now().seconds();
    // The provider keeps it: who asked, for which case, about which question.
    let claims = json!({
        "iss": rooms.me.id, "aud": system.id, "iat": now, "exp": now + STATEMENT_LIVES_S, "purpose": question.purpose,
        "item": item, "case": case, "digest": Digest::of(body.as_bytes()),
    });
    let statement = word::sign(rooms, STATEMENT, &claims)
        .map_err(|refusal| LookupError::Down { resource: question.resource.clone(), why: refusal.to_string() })?;
    provider::call(&system.client, &system.url, &question.resource, body, &statement).await
}

async fn record(
    asking: &Asking<'_>,
    rooms: &Rooms,
    permit: &Permit,
    answer: Result<&Fact, &LookupError>,
) -> Result<(), Refusal> {
    let fact = answer.ok();
    let mut entry = asking
        .trace
        .about(rooms, Kind::DataRead, Some(asking.actor), asking.terminal)
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(rooms.pseudonyms.resident(asking.subject)) })
        .why(ledger::purpose(asking.purpose.unwrap_or_default(), "item"))
        .dec(ledger::allowed(permit))
        .item(ItemRef { code: asking.item, ..ItemRef::default() })
        .up(Upstream {
            name: ledger::word(asking.resource),
            result: ledger::word(match answer {
                Ok(_) => "2xx",
                Err(LookupError::UnknownSubject(_)) => "4xx",
                Err(_) => "5xx",
            }),
            receipt: None,
        })
        .evidence(Evidence {
            r#type: ledger::word(asking.resource),
            age: ledger::word(if fact.is_some_and(Fact::cached) { "cached" } else { "fresh" }),
            digest: fact.and_then(|f| serde_json::to_vec(f.fields()).ok()).map(|b| Digest::of(&b)),
            ..Evidence::default()
        });
    if let Some(case) = &asking.case {
        entry = entry.case(rooms.pseudonyms.case(case.no));
    }
    rooms.log.append(&entry).await?;
    Ok(())
}

/// The principal of a lookup made by hand.
pub fn who(rooms: &Rooms, person: &Person, terminal: &Terminal, now: crate::terms::UnixMillis) -> Who {
    facts::who(rooms, person, terminal, true, true, now)
}

/// The case that justifies a lookup.
pub fn link(seen: &super::desk::Seen) -> CaseLink {
    facts::link(&seen.record, &seen.dossier)
}

/// A fact as the dossier carries it.
pub fn reference(fact: &Fact) -> FactRef {
    FactRef {
        resource: fact.resource().to_owned(),
        purpose: fact.purpose().to_owned(),
        fetched_at: fact.fetched_at(),
        cached: fact.cached(),
        values: serde_json::to_value(fact.fields()).unwrap_or_default(),
    }
}

/// A lookup as it travels to the gateway of the place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    pub resource: String,
    pub subject: String,
    pub fields: BTreeSet<String>,
    pub purpose: String,
    pub item: ItemCode,
    pub case: Option<CaseNo>,
    /// The authority that owns the case.
    pub authority: String,
    pub place: RegionCode,
    pub requester: RegionCode,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub fields: std::collections::BTreeMap<String, serde_json::Value>,
    pub version: String,
}

/// The case that a peer names: one that is here, open, for the same person and item, collected by that peer; or, as the
/// peer looks data up before it files, one that is not here yet, under a number that this peer gives out today.
async fn plausible(rooms: &Rooms, trace: &Trace, peer: &str, remote: &Remote, pid: &str) -> Result<(), Refusal> {
    let Some(no) = remote.case else { return Ok(()) }; // the rules say what may be asked without a case
    let strange = |why: &str| Refusal::from(FederationError::NotThatMember(format!("{peer}: case {no}: {why}")));
    let mut tx = rooms.store.read().await?;
    let record = crate::exchange::records::load(&mut tx, no).await?;
    drop(tx);
    let directory = rooms.directory.load();
    if let Some(record) = record {
        let theirs = directory.member_for(record.window).is_ok_and(|m| m.id == peer);
        let same = record.subject == pid && record.item == remote.item.to_string();
        return if theirs && same && !record.case.state.is_terminal() { Ok(()) } else { Err(strange("not that one")) };
    }
    let slot = directory.member(peer).map(|m| m.slot);
    let (today, day) = (trace.at.day(), no.day());
    let fresh = day == today || day.next() == Some(today);
    if slot == Some(no.slot()) && fresh && remote.place.lies_in(no.owner()) {
        return Ok(());
    }
    Err(strange("not a number of its own"))
}

/// Answers a peer's lookup: the same questions again, at the place that owns the data.
pub async fn serve(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    peer: &str,
    vouched: &peer::Vouched,
    remote: &Remote,
) -> Result<Reply, Refusal> {
    let subject: ResidentId = remote.subject.parse().map_err(Refusal::from)?;
    let catalogue = rooms.catalogue.load_full();
    let resource = catalogue.resources.get(&remote.resource);
    let resource = resource.ok_or_else(|| LookupError::NoProvider(remote.resource.clone()))?;
    let lists = catalogue.item(remote.item).is_ok_and(|i| i.may_look_up(&remote.resource));
    let pid = rooms.pseudonyms.resident(&subject);
    plausible(rooms, trace, peer, remote, &pid.to_string()).await?;
    let asked: Vec<String> = remote.fields.iter().cloned().collect();
    let allowed_fields: Vec<String> = fields(&remote.resource).into_iter().collect();
    let mut who = Who::new(WhoKind::Peer, peer);
    who.places = vouched.places.clone();
    let facts = facts::resource(resource, remote.place, allowed_fields);
    let yes_no = facts.answers == crate::policy::AnswerForm::YesNo;
    let ask = Ask::ServeLookup(Lookup {
        who,
        resource: facts,
        subject: pid.to_string(),
        purpose: Some(remote.purpose.clone()),
        item: Some(remote.item),
        item_lists: lists,
        case: remote.case.map(|no| CaseLink {
            no,
            item: remote.item,
            applicant: pid.to_string(),
            open: true,
            authority: remote.authority.clone(),
            collected_by: Some(vouched.terminal.clone()),
        }),
        asked: if yes_no { Vec::new() } else { asked },
        consent: false,
        requester: remote.requester,
    });
    let permit = rooms.policies.decide(&ask, trace.at).map_err(|denial| denial.refusal())?;
    let question = Question {
        resource: remote.resource.clone(),
        subject: pid.to_string(),
        purpose: remote.purpose.clone(),
        fields: remote.fields.clone(),
    };
    let answer = local(rooms, remote.place, remote.item, remote.case, &subject, &question).await;
    let mut entry = trace
        .about(rooms, Kind::DataRead, None, &Terminal::Peer(peer.to_owned()))
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(pid) })
        .why(ledger::purpose(&remote.purpose, "item"))
        .dec(ledger::allowed(&permit))
        .item(ItemRef { code: Some(remote.item), ..ItemRef::default() })
        .evidence(Evidence {
            r#type: ledger::word(&remote.resource),
            age: ledger::word("fresh"),
            ..Evidence::default()
        });
    if let Some(case) = remote.case {
        entry = entry.case(rooms.pseudonyms.case(case));
    }
    rooms.log.append(&entry).await?;
    match answer? {
        Answer::Found { fields, source_version } => {
            let fields = fields.into_iter().filter(|(name, _)| remote.fields.contains(name)).collect();
            Ok(Reply { fields, version: source_version })
        }
        Answer::NotFound => Err(LookupError::UnknownSubject(remote.resource.clone()).into()),
    }
}
