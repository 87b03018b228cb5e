//! Shared data: may they ask, who answers, and the line in the log, for calls and cache hits alike.
//!
//! ```text
//!  ask ─▶ rules (purpose? item lists it? case open? class?) ─▶ cache ─miss─▶ provider here │ peer's gateway ─▶ its provider
//!                                                                └──────────▶ line in the log ─▶ Fact
//! ```
//! What is asked about: a person's data (`DR-…`), or whether a licence (`LT-…`) is still in force.

mod askers;
pub mod changed;
mod permitted;
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
use crate::catalogue::Basis;
use crate::exchange::message::FactRef;
use crate::licences::Status;
use crate::lookups::{Answer, BAD_ANSWER, Fact, LookupError, NO_PROVIDER, Question, UNKNOWN_SUBJECT, provider};
use crate::policy::{CaseLink, Who};
use crate::terms::{CaseNo, Digest, ItemCode, LicenceId, Refusal, RegionCode, ResidentId, UnixMillis};

/// Kind and life, in seconds, of the statement a provider gets with a question.
const STATEMENT: &str = "tongban-statement+jwt";
const STATEMENT_LIVES_S: i64 = 60;

pub use askers::Askers;
pub use permitted::{CONSENT, wanted};
pub use serve::{Remote, Reply, serve};

use permitted::Granted;

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

/// Asks, from cache or provider, and keeps the line.
pub async fn ask(asking: &Asking<'_>, rooms: &Arc<Rooms>) -> Result<Fact, Refusal> {
    let granted = permitted::ask(asking, rooms)?;
    let question = question(asking, rooms, &granted)?;
    // The peer's line, where this very request went to it; who got the same answer from the cache did not ask the peer.
    let leaf = OnceLock::new();
    let fetch = fetch(asking, rooms, &granted, &question, &leaf);
    let answer = rooms.lookups.ask(&question, granted.keeping, asking.trace.at, fetch).await;
    record(asking, rooms, &granted, answer.as_ref(), leaf.into_inner()).await?;
    Ok(answer?)
}

/// Whether the same would be permitted now: an answer may have taken its time.
///
/// # Errors
/// As of [`ask`] before anybody is asked.
pub fn still(asking: &Asking<'_>, rooms: &Rooms) -> Result<(), Refusal> {
    permitted::ask(asking, rooms).map(drop)
}

fn question(asking: &Asking<'_>, rooms: &Rooms, granted: &Granted) -> Result<Question, Refusal> {
    let subject = rooms.pseudonyms.resident(asking.subject).to_string();
    let source = rooms.directory.load().member_for(asking.place)?.id.clone();
    Ok(Question {
        resource: asking.resource.to_owned(),
        subject: match asking.licence {
            Some(id) => format!("{subject}/{}", licence_name(rooms, id)),
            None => subject,
        },
        purpose: format!("{}/{}/{}", asking.purpose.unwrap_or_default(), granted.item, asking.place),
        fields: granted.fields.clone(),
        source,
    })
}

async fn fetch(
    asking: &Asking<'_>,
    rooms: &Arc<Rooms>,
    granted: &Granted,
    question: &Question,
    line: &OnceLock<PeerReceipt>,
) -> Result<Answer, LookupError> {
    let case = asking.case.as_ref().map(|c| c.no);
    let item = granted.item;
    let down = |why: String| LookupError::Down { resource: asking.resource.to_owned(), why };
    if rooms.is_ours(asking.place) {
        let about = Whom { subject: asking.subject, licence: asking.licence.map(LicenceId::as_str) };
        return local(rooms, asking.place, (item, &granted.basis), case, about, question).await;
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
    let answer =
        provider::call((&system.client, &system.url), system.answer, &question.resource, body, &statement).await;
    if let Err(error @ LookupError::BadAnswer { .. }) = &answer {
        tracing::error!(provider = system.id, %error, "a data provider does not keep to the agreed form");
    }
    answer
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
    granted: &Granted,
    answer: Result<&Fact, &LookupError>,
    leaf: Option<PeerReceipt>,
) -> Result<(), Refusal> {
    let fact = answer.ok();
    let mut entry = asking
        .trace
        .about(rooms, Kind::DataRead, Some(asking.actor), asking.terminal)
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(rooms.pseudonyms.resident(asking.subject)) })
        .why(Purpose {
            consent: asking.agreed.map(Consent::paper),
            necessary: granted.necessary.clone(),
            ..ledger::purpose(asking.purpose.unwrap_or_default(), &granted.basis.id)
        })
        .dec(ledger::allowed(&granted.permit))
        .item(ItemRef { code: Some(granted.item), ..ItemRef::default() })
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
