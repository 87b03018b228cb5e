//! Shared data: may they ask, who answers, and the line in the log, for calls and cache hits alike.
//!
//! ```text
//!  ask ─▶ rules (purpose? item lists it? case open? class?) ─▶ cache ─miss─▶ provider here │ peer's gateway ─▶ its provider
//!                                                                └──────────▶ line in the log ─▶ Fact
//! ```
//! What is asked about: a person's data (`DR-…`), or whether a licence (`LT-…`) is still in force.

pub mod changed;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::consents::Consent;
use super::facts;
use super::ledger::{self, Trace};
use super::peer;
use super::rooms::{Rooms, SystemKind};
use super::standing;
use super::who::{Person, Terminal};
use super::word;
use crate::audit::entry::{Evidence, ItemRef, Jurisdiction, PeerReceipt, Purpose, Subject, Upstream};
use crate::audit::{Kind, Pseudonym, Word};
use crate::catalogue::{Basis, Catalogue, registers};
use crate::exchange::message::FactRef;
use crate::licences::Status;
use crate::lookups::{
    Answer, BAD_ANSWER, Fact, Keeping, LookupError, NO_PROVIDER, Question, UNKNOWN_SUBJECT, provider,
};
use crate::policy::{AnswerForm, Ask, CaseLink, DataResource, Lookup, Permit, SharingClass, Who};
use crate::terms::refusal::About;
use crate::terms::{CaseNo, Digest, ItemCode, LicenceId, Refusal, RegionCode, ResidentId, UnixMillis};

/// Fields of the status of a licence.
const STATUS_FIELDS: [&str; 1] = ["status"];
/// How sensitive it is that a licence is in force, of 1–4.
const STATUS_SENSITIVITY: u8 = 2;
/// How long the status of a licence is fresh, in seconds: a lost one must not be used for long.
const STATUS_FRESH_S: u64 = 900;
/// The field in which a yes or no comes.
const HOLDS: &str = "holds";

/// Kind and life, in seconds, of the statement a provider gets with a question.
const STATEMENT: &str = "tongban-statement+jwt";
const STATEMENT_LIVES_S: i64 = 60;

pub use serve::{Remote, Reply, serve};

/// What is asked.
pub struct Asking<'a> {
    pub trace: &'a Trace,
    pub actor: &'a Person,
    pub terminal: &'a Terminal,
    /// As the rules see the actor.
    pub who: Who,
    pub subject: &'a ResidentId,
    pub resource: &'a str,
    /// Identifier of the licence whose status is asked; the resource is its type.
    pub licence: Option<&'a LicenceId>,
    pub item: Option<ItemCode>,
    pub case: Option<CaseLink>,
    pub purpose: Option<&'a str>,
    /// What the person agreed to, as signed, found good for this: nobody's word that they agreed counts.
    pub agreed: Option<&'a Consent>,
    /// Fields that are wanted, of those that the register lists; all of them when absent.
    pub fields: Option<BTreeSet<String>>,
    /// Where the data are kept: the owner's place, or the licence's issuer's.
    pub place: RegionCode,
    pub requester: RegionCode,
}

/// Fields that are asked of the provider: those the caller names, or all that the item may have; a yes or no comes in one.
pub fn wanted(
    catalogue: &Catalogue,
    item: Option<ItemCode>,
    resource: &str,
    named: Option<&BTreeSet<String>>,
) -> BTreeSet<String> {
    let data = catalogue.resources.get(resource);
    match (catalogue.licence_types.get(resource), data) {
        (Some(_), _) => STATUS_FIELDS.iter().map(|field| (*field).to_owned()).collect(),
        (None, Some(data)) if data.answers_yes_no() => [HOLDS.to_owned()].into(),
        (None, data) => match named {
            Some(named) => named.clone(),
            None => data.map(|data| allowed(catalogue, item, data)).unwrap_or_default(),
        },
    }
}

/// Fields of a resource that an item may have, of those that the register lists.
fn allowed(catalogue: &Catalogue, item: Option<ItemCode>, data: &registers::DataResource) -> BTreeSet<String> {
    match item.and_then(|code| catalogue.items.get(&code)) {
        Some(item) => item.fields_of(data),
        None => data.fields.iter().cloned().collect(), // without an item there is no lookup, the rules say
    }
}

/// What an item's entry says of a lookup: whether it names the resource with something that it rests on, and this purpose for
/// it. What the person `agreed` to rests on that.
fn listed(catalogue: &Catalogue, item: ItemCode, resource: &str, purpose: Option<&str>, agreed: bool) -> (bool, bool) {
    match catalogue.items.get(&item) {
        Some(item) => {
            let asked = purpose.unwrap_or_default();
            let purpose = purpose.is_some_and(|purpose| item.may_look_up_for(resource, purpose));
            let rests = agreed || item.basis_of(resource, asked).is_some();
            (item.may_look_up(resource) && rests, purpose)
        }
        None => (false, false),
    }
}

/// What a lookup rests on: what the person agreed to, else what the item's entry says.
fn basis(catalogue: &Catalogue, item: ItemCode, resource: &str, purpose: &str, agreed: bool) -> Basis {
    let stated = || catalogue.items.get(&item).and_then(|item| item.basis_of(resource, purpose)).cloned();
    let consent = || Basis { id: CONSENT.to_owned(), text: CONSENT.to_owned() };
    // The rules let none pass without one of the two.
    if agreed { consent() } else { stated().unwrap_or_else(|| Basis { id: String::new(), text: String::new() }) }
}

/// The basis of what a person agreed to, as the log says it.
pub const CONSENT: &str = "consent";

/// A resource as the rules see it for an item: data about a person, or the status of a licence.
fn described(
    catalogue: &Catalogue,
    item: Option<ItemCode>,
    id: &str,
    place: RegionCode,
    status: bool,
) -> Result<DataResource, LookupError> {
    let data = catalogue.resources.get(id).filter(|_| !status);
    match (data, catalogue.licence_types.get(id).filter(|_| status)) {
        (Some(resource), _) => {
            let fields = allowed(catalogue, item, resource).into_iter().collect();
            Ok(facts::resource(resource, place, fields))
        }
        (None, Some(kind)) => Ok(DataResource {
            id: kind.id.clone(),
            class: SharingClass::Conditional,
            answers: AnswerForm::Fields,
            provider: place,
            sensitivity: STATUS_SENSITIVITY,
            fields: STATUS_FIELDS.iter().map(|field| (*field).to_owned()).collect(),
            needs_consent: false,
        }),
        (None, None) => Err(LookupError::NoProvider(id.to_owned())),
    }
}

/// Asks, from cache or provider, and keeps the line.
pub async fn ask(asking: &Asking<'_>, rooms: &Arc<Rooms>) -> Result<Fact, Refusal> {
    let permit = permitted(asking, rooms).map_err(|refusal| refusal.about(about(asking, rooms)))?;
    let question = question(asking, rooms)?;
    let keeping = keeping(rooms, asking.resource);
    // The peer's line, where this very request went to it; who got the same answer from the cache did not ask the peer.
    let leaf = OnceLock::new();
    let answer = rooms.lookups.ask(&question, keeping, asking.trace.at, fetch(asking, rooms, &question, &leaf)).await;
    record(asking, rooms, &permit, answer.as_ref(), leaf.into_inner()).await?;
    Ok(answer?)
}

/// How long an answer is kept, as the register says.
fn keeping(rooms: &Rooms, resource: &str) -> Keeping {
    let catalogue = rooms.catalogue.load();
    match catalogue.resources.get(resource) {
        Some(resource) => Keeping { fresh_s: resource.fresh_s, stale_s: resource.stale_s },
        None => Keeping::fresh(STATUS_FRESH_S),
    }
}

fn question(asking: &Asking<'_>, rooms: &Rooms) -> Result<Question, Refusal> {
    let item = asking.item.map_or_else(String::new, |i| i.to_string());
    let subject = rooms.pseudonyms.resident(asking.subject).to_string();
    let source = rooms.directory.load().member_for(asking.place)?.id.clone();
    Ok(Question {
        resource: asking.resource.to_owned(),
        subject: match asking.licence {
            Some(id) => format!("{subject}/{}", licence_name(rooms, id)),
            None => subject,
        },
        purpose: format!("{}/{item}/{}", asking.purpose.unwrap_or_default(), asking.place),
        fields: wanted(&rooms.catalogue.load(), asking.item, asking.resource, asking.fields.as_ref()),
        source,
    })
}

/// What a refusal was about: the person sees who tried.
fn about(asking: &Asking<'_>, rooms: &Rooms) -> About {
    About {
        subject: rooms.pseudonyms.resident(asking.subject).to_string(),
        resource: asking.resource.to_owned(),
        purpose: asking.purpose.map(str::to_owned),
        item: asking.item,
    }
}

fn permitted(asking: &Asking<'_>, rooms: &Rooms) -> Result<Permit, Refusal> {
    let catalogue = rooms.catalogue.load();
    let facts = described(&catalogue, asking.item, asking.resource, asking.place, asking.licence.is_some())?;
    let listed =
        asking.item.map(|item| listed(&catalogue, item, asking.resource, asking.purpose, asking.agreed.is_some()));
    let (item_lists, purpose_listed) = listed.unwrap_or_default();
    let asked = wanted(&catalogue, asking.item, asking.resource, asking.fields.as_ref()).into_iter().collect();
    let yes_no = facts.answers == AnswerForm::YesNo;
    let ask = Ask::LookUp(Lookup {
        who: asking.who.clone(),
        resource: facts,
        subject: rooms.pseudonyms.resident(asking.subject).to_string(),
        purpose: asking.purpose.map(str::to_owned),
        item: asking.item,
        item_lists,
        purpose_listed: Some(purpose_listed),
        case: asking.case.clone(),
        asked: if yes_no { Vec::new() } else { asked },
        consent: asking.agreed.is_some(),
        requester: asking.requester,
    });
    rooms.policies.decide(&ask, asking.trace.at).map_err(|denial| denial.refusal())
}

async fn fetch(
    asking: &Asking<'_>,
    rooms: &Arc<Rooms>,
    question: &Question,
    line: &OnceLock<PeerReceipt>,
) -> Result<Answer, LookupError> {
    let case = asking.case.as_ref().map(|c| c.no);
    let item = asking.item.ok_or_else(|| LookupError::NoProvider(asking.resource.to_owned()))?;
    let down = |why: String| LookupError::Down { resource: asking.resource.to_owned(), why };
    if rooms.is_ours(asking.place) {
        let about = Whom { subject: asking.subject, licence: asking.licence.map(LicenceId::as_str) };
        let purpose = asking.purpose.unwrap_or_default();
        let basis = basis(&rooms.catalogue.load(), item, asking.resource, purpose, asking.agreed.is_some());
        return local(rooms, asking.place, (item, &basis), case, about, question).await;
    }
    let remote = Remote {
        resource: asking.resource.to_owned(),
        subject: asking.subject.reveal().to_owned(),
        licence: asking.licence.cloned(),
        fields: question.fields.clone(),
        purpose: asking.purpose.unwrap_or_default().to_owned(),
        item,
        case,
        authority: asking.case.as_ref().map_or_else(String::new, |c| c.authority.clone()),
        place: asking.place,
        requester: asking.requester,
        consent: asking.agreed.and_then(Consent::standing).map(str::to_owned),
    };
    let body = serde_json::to_vec(&remote).map_err(|e| down(e.to_string()))?;
    let answer = peer::post_json(rooms, asking.place, "/peer/v1/lookups", &body, asking.actor, asking.trace).await;
    let (answer, leaf) = answer.map_err(|refusal| match peers_code(&refusal) {
        Some(code) if code == UNKNOWN_SUBJECT.code => LookupError::UnknownSubject(asking.resource.to_owned()),
        Some(code) if code == NO_PROVIDER.code => LookupError::NoProvider(asking.resource.to_owned()),
        Some(code) if code == BAD_ANSWER.code => LookupError::BadAnswer {
            resource: asking.resource.to_owned(),
            why: "as the provider's own gateway says".to_owned(),
        },
        _ => match standing::peers(&refusal) {
            Some(told) => LookupError::NotAgreed { resource: asking.resource.to_owned(), told },
            None => down(refusal.to_string()),
        },
    })?;
    if let Some(leaf) = leaf {
        let _ = line.set(leaf);
    }
    let reply: Reply = serde_json::from_slice(&answer)
        .map_err(|e| LookupError::BadAnswer { resource: asking.resource.to_owned(), why: provider::unreadable(&e) })?;
    Ok(Answer::Found { fields: reply.fields, source_version: reply.version, fresh_s: reply.fresh_s })
}

/// The code of a peer's no.
fn peers_code(refusal: &Refusal) -> Option<&str> {
    refusal.members.iter().find(|(name, _)| *name == "peer_code").and_then(|(_, code)| code.as_str())
}

/// What a provider is told of whom and what it is asked about.
struct Whom<'a> {
    subject: &'a ResidentId,
    licence: Option<&'a str>,
}

/// Asks the provider behind this gateway.
async fn local(
    rooms: &Rooms,
    place: RegionCode,
    (item, basis): (ItemCode, &Basis),
    case: Option<CaseNo>,
    about: Whom<'_>,
    question: &Question,
) -> Result<Answer, LookupError> {
    let system = rooms.system_for(SystemKind::Provider, place, |s| s.resources.contains(&question.resource));
    let system = system.ok_or_else(|| LookupError::NoProvider(question.resource.clone()))?;
    let call = provider::Call {
        resource: &question.resource,
        subject: about.subject.reveal(),
        licence: about.licence,
        fields: &question.fields,
        purpose: &question.purpose,
        basis: &basis.text,
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
    let answer = provider::call(&system.client, &system.url, &question.resource, body, &statement).await;
    if let Err(error @ LookupError::BadAnswer { .. }) = &answer {
        tracing::error!(provider = system.id, %error, "a data provider does not keep to the agreed form");
    }
    answer
}

/// Which material of the item a lookup is necessary for, as the log says it.
fn necessary(catalogue: &Catalogue, item: ItemCode, resource: &str) -> Option<Word> {
    ledger::word(&format!("material-{}", catalogue.items.get(&item)?.needs(resource)?))
}

/// Where somebody asks, and where the data are.
fn places(rooms: &Rooms, window: RegionCode, owner: RegionCode) -> Jurisdiction {
    let route = rooms.catalogue.load().scope_between(window, owner).word();
    Jurisdiction { owner: Some(owner), route: ledger::word(route), window: Some(window) }
}

/// What came of a lookup, as the log says it.
fn result_class(error: Option<&LookupError>) -> &'static str {
    match error {
        None => "2xx",
        Some(LookupError::UnknownSubject(_) | LookupError::NotAgreed { .. }) => "4xx",
        Some(_) => "5xx",
    }
}

/// How the log and the cache name a licence: not by its identifier.
fn licence_name(rooms: &Rooms, id: &LicenceId) -> Pseudonym {
    rooms.pseudonyms.of("licence", id.as_str())
}

/// The status of a licence, for the line in the log: it is no personal datum.
fn status_word(answer: &Answer) -> Option<Word> {
    match answer {
        Answer::Found { fields, .. } => said(fields),
        Answer::NotFound => None,
    }
}

/// What was told of somebody, by keyed digest over person, resource and answer: whether a plain one stands for a yes or a no
/// anybody could try out, and who knows one person's answer must not know everybody's.
fn digest(
    rooms: &Rooms,
    subject: &ResidentId,
    resource: &str,
    fields: &BTreeMap<String, serde_json::Value>,
) -> Option<Digest> {
    let octets = serde_json::to_vec(&(subject.reveal(), resource, fields)).ok()?;
    Some(rooms.pseudonyms.digest("answer", &octets))
}

fn said(fields: &BTreeMap<String, serde_json::Value>) -> Option<Word> {
    let status = fields.get("status").and_then(serde_json::Value::as_str).and_then(Status::read);
    status.and_then(|status| ledger::word(status.word()))
}

async fn record(
    asking: &Asking<'_>,
    rooms: &Rooms,
    permit: &Permit,
    answer: Result<&Fact, &LookupError>,
    leaf: Option<PeerReceipt>,
) -> Result<(), Refusal> {
    let fact = answer.ok();
    let purpose = asking.purpose.unwrap_or_default();
    let basis = |item| basis(&rooms.catalogue.load(), item, asking.resource, purpose, asking.agreed.is_some()).id;
    let basis = asking.item.map(basis).unwrap_or_default();
    let mut entry = asking
        .trace
        .about(rooms, Kind::DataRead, Some(asking.actor), asking.terminal)
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(rooms.pseudonyms.resident(asking.subject)) })
        .why(Purpose {
            consent: asking.agreed.map(Consent::paper),
            necessary: asking.item.and_then(|item| necessary(&rooms.catalogue.load(), item, asking.resource)),
            ..ledger::purpose(asking.purpose.unwrap_or_default(), &basis)
        })
        .dec(ledger::allowed(permit))
        .item(ItemRef { code: asking.item, ..ItemRef::default() })
        .jur(places(rooms, asking.requester, asking.place))
        .up(Upstream {
            name: ledger::word(asking.resource),
            result: ledger::word(result_class(answer.err())),
            receipt: leaf,
        })
        .evidence(Evidence {
            r#type: ledger::word(asking.resource),
            age: ledger::word(match fact {
                Some(fact) if fact.stale() => "stale",
                Some(fact) if fact.cached() => "cached",
                _ => "fresh",
            }),
            verdict: fact.filter(|_| asking.licence.is_some()).and_then(|fact| said(fact.fields())),
            digest: fact.and_then(|fact| digest(rooms, asking.subject, asking.resource, fact.fields())),
            ..Evidence::default()
        });
    if let Some(id) = asking.licence {
        let name = ledger::word(&licence_name(rooms, id).to_string());
        entry = entry.evidence(Evidence { r#type: ledger::word("licence"), verdict: name, ..Evidence::default() });
    }
    if let Some(case) = &asking.case {
        entry = entry.case(rooms.pseudonyms.case(case.no));
    }
    rooms.log.append(&entry).await?;
    Ok(())
}

/// The principal of a lookup made by hand. `item`: of the case that justifies it, which an outlet's list may name no more;
/// `present`: the person's own token came along, without which an outlet asks nothing.
pub fn who(
    rooms: &Rooms,
    (person, terminal): (&Person, &Terminal),
    item: Option<ItemCode>,
    present: bool,
    now: UnixMillis,
) -> Who {
    let listed = match terminal {
        Terminal::Outlet { contract, .. } => item.is_some_and(|item| contract.items.contains(&item)),
        _ => true,
    };
    facts::who(rooms, person, terminal, listed, present, now)
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
