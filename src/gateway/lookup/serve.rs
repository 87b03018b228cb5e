//! A lookup that a peer gateway passes on: the same questions again, at the place that owns the data.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::permitted::{basis, described, listed, necessary, on_nothing};
use super::{Whom, digest, local, places, result_class, status_word};
use crate::audit::entry::{Evidence, ItemRef, Purpose, Subject, Upstream};
use crate::audit::{Committed, Kind};
use crate::catalogue::Catalogue;
use crate::federation::FederationError;
use crate::gateway::consents::Use;
use crate::gateway::ledger::{self, Trace};
use crate::gateway::peer;
use crate::gateway::rooms::Rooms;
use crate::gateway::standing::{self, Stated};
use crate::gateway::who::Terminal;
use crate::lookups::{Answer, LookupError, Question};
use crate::policy::{AnswerForm, Ask, CaseLink, Denial, Kind as WhoKind, Lookup, Who};
use crate::terms::refusal::About;
use crate::terms::{CaseNo, ItemCode, LicenceId, Refusal, RegionCode, ResidentId};

/// A lookup as it travels to the gateway of the place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    pub resource: String,
    pub subject: String,
    /// Identifier of the licence whose status is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<LicenceId>,
    pub fields: BTreeSet<String>,
    pub purpose: String,
    pub item: ItemCode,
    pub case: Option<CaseNo>,
    /// The authority that owns the case; empty without one.
    pub authority: String,
    pub place: RegionCode,
    pub requester: RegionCode,
    /// What the registrar of the person's use consent says of it: no gateway's own word that somebody agreed counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub fields: std::collections::BTreeMap<String, serde_json::Value>,
    pub version: String,
    /// How long it holds, in seconds, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_s: Option<u64>,
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
        return if theirs && same && record.case.state.is_undecided() { Ok(()) } else { Err(strange("not that one")) };
    }
    let slot = directory.member(peer).map(|m| m.slot);
    let (today, day) = (trace.at.day(), no.day());
    let fresh = day == today || day.next() == Some(today);
    // A licence may come from anywhere; data are looked up where the case goes.
    let place = remote.licence.is_some() || remote.place.lies_in(no.owner());
    if slot == Some(no.slot()) && fresh && place {
        return Ok(());
    }
    Err(strange("not a number of its own"))
}

/// The authority in whose name a peer asks: that of the case's item at the place that owns the case, by our own register.
/// Whose case it is the number says, and that the number is the peer's has been seen; the peer's word adds nothing to it.
/// Without a case nobody is asked for but an authority of the peer's own places.
fn entitled(rooms: &Rooms, catalogue: &Catalogue, peer: &str, remote: &Remote) -> Result<(), Refusal> {
    let strange = |why: &str| Err(Refusal::from(FederationError::NotThatMember(format!("{peer}: {why}"))));
    let directory = rooms.directory.load();
    let Some(member) = directory.member(peer) else { return strange("no member") };
    if !member.speaks_for(remote.requester) {
        return strange("asks from a place outside its divisions");
    }
    let authority = remote.authority.as_str();
    let holds = match remote.case {
        Some(no) => catalogue.office(catalogue.item(remote.item)?, no.owner()).authority() == authority,
        None if authority.is_empty() => true,
        None => {
            let listed = authority.parse().ok().and_then(|code| catalogue.authorities.get(&code));
            listed.and_then(|listed| listed.region).is_some_and(|seat| member.speaks_for(seat))
        }
    };
    if holds { Ok(()) } else { strange("in the name of an authority that has no such case") }
}

/// The consent that a peer shows: its registrar's word, about this person, these data and this case, here for the first
/// time. One that does not hold is refused, whether the data need one or not.
async fn agreed(
    rooms: &Rooms,
    trace: &Trace,
    peer: &str,
    remote: &Remote,
    person: &ResidentId,
    fields: &BTreeSet<String>,
) -> Result<Option<Stated>, Refusal> {
    let Some(shown) = &remote.consent else { return Ok(None) };
    let used = Use {
        person,
        department: &remote.authority,
        item: Some(remote.item),
        resource: &remote.resource,
        fields,
        purpose: Some(&remote.purpose),
        case: remote.case,
        place: remote.place,
    };
    let stated = standing::read(rooms, shown, &used.expected(peer, trace.at))?;
    stated.first(rooms).await?;
    Ok(Some(stated))
}

/// Answers a peer's lookup, with the line about it: the same questions again, at the place that owns the data.
pub async fn serve(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    peer: &str,
    vouched: &peer::Vouched,
    remote: &Remote,
) -> Result<(Reply, Committed), Refusal> {
    let subject: ResidentId = remote.subject.parse().map_err(Refusal::from)?;
    let catalogue = rooms.catalogue.load_full();
    let facts = described(&catalogue, Some(remote.item), &remote.resource, remote.place, remote.licence.is_some())?;
    let pid = rooms.pseudonyms.resident(&subject);
    plausible(rooms, trace, peer, remote, &pid.to_string()).await?;
    entitled(rooms, &catalogue, peer, remote)?;
    // Whatever a peer names: a register that answers yes or no gives nothing else.
    let fields = super::wanted(&catalogue, Some(remote.item), &remote.resource, Some(&remote.fields));
    if fields.is_empty() {
        return Err(Refusal::new(&crate::gateway::intake::FORM, "no field is asked for"));
    }
    let agreed = agreed(rooms, trace, peer, remote, &subject, &fields).await?;
    let (item_lists, purpose_listed) = listed(&catalogue, remote.item, &remote.resource, &remote.purpose);
    let basis = basis(&catalogue, remote.item, &remote.resource, &remote.purpose, agreed.is_some());
    let asked: Vec<String> = fields.iter().cloned().collect();
    let mut who = Who::new(WhoKind::Peer, peer);
    who.places = vouched.places.clone();
    let yes_no = facts.answers == AnswerForm::YesNo;
    let ask = Ask::ServeLookup(Lookup {
        who,
        resource: facts,
        subject: pid.to_string(),
        purpose: Some(remote.purpose.clone()),
        item: Some(remote.item),
        item_lists: item_lists && basis.is_some(),
        purpose_listed: Some(purpose_listed),
        case: remote.case.map(|no| CaseLink {
            no,
            item: remote.item,
            applicant: pid.to_string(),
            open: true,
            authority: remote.authority.clone(),
            collected_by: Some(vouched.terminal.clone()),
        }),
        asked: if yes_no { Vec::new() } else { asked },
        consent: agreed.is_some(),
        requester: remote.requester,
    });
    let about = || About {
        subject: pid.to_string(),
        resource: remote.resource.clone(),
        purpose: Some(remote.purpose.clone()),
        item: Some(remote.item),
        basis: basis.as_ref().map(|basis| basis.id.clone()),
    };
    let denied = |denial: Denial| denial.refusal().about(about());
    let permit = rooms.policies.decide(&ask, trace.at).map_err(denied)?;
    // As where it was asked: rules of one's own or not, on nothing nothing is asked.
    let basis = basis.clone().ok_or_else(|| on_nothing(&remote.resource).about(about()))?;
    let question = Question {
        resource: remote.resource.clone(),
        subject: pid.to_string(),
        purpose: remote.purpose.clone(),
        fields: fields.clone(),
        source: rooms.me.id.clone(),
    };
    rooms.askers.note(&rooms.store, (&remote.resource, &pid.to_string()), peer, trace.at).await?;
    let about = Whom { subject: &subject, licence: remote.licence.as_ref().map(LicenceId::as_str) };
    let answer = local(rooms, remote.place, (remote.item, &basis), remote.case, about, &question).await;
    // Data are here, not handed out: now the registrar has the last word, and spends what is for one use.
    if let (Some(agreed), Ok(_)) = (&agreed, &answer) {
        agreed.confirm(rooms, trace).await?;
    }
    let status = answer.as_ref().ok().filter(|_| remote.licence.is_some()).and_then(status_word);
    let answer = answer.map(|answer| only(answer, &fields));
    let digest = match &answer {
        Ok(Answer::Found { fields, .. }) => digest(rooms, &subject, &remote.resource, fields),
        _ => None,
    };
    let mut entry = trace
        .about(rooms, Kind::DataRead, None, &Terminal::Peer(peer.to_owned()))
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(pid) })
        .why(Purpose {
            consent: agreed.as_ref().map(Stated::paper),
            necessary: necessary(&catalogue, remote.item, &remote.resource),
            ..ledger::purpose(&remote.purpose, &basis.id)
        })
        .dec(ledger::allowed(&permit))
        .item(ItemRef { code: Some(remote.item), ..ItemRef::default() })
        .jur(places(rooms, remote.requester, remote.place))
        .up(Upstream {
            name: ledger::word(&remote.resource),
            result: ledger::word(result_class(answer.as_ref().err())),
            receipt: None,
        })
        .evidence(Evidence {
            r#type: ledger::word(&remote.resource),
            age: ledger::word("fresh"),
            digest,
            verdict: status,
            ..Evidence::default()
        });
    if let Some(case) = remote.case {
        entry = entry.case(rooms.pseudonyms.case(case));
    }
    let committed = rooms.log.append(&entry).await?;
    match answer? {
        Answer::Found { fields, source_version, fresh_s } => {
            Ok((Reply { fields, version: source_version, fresh_s }, committed))
        }
        Answer::NotFound => Err(LookupError::UnknownSubject(remote.resource.clone()).into()),
    }
}

/// What may leave: the fields that were asked for and allowed.
fn only(answer: Answer, fields: &BTreeSet<String>) -> Answer {
    match answer {
        Answer::Found { fields: mut found, source_version, fresh_s } => {
            found.retain(|name, _| fields.contains(name));
            Answer::Found { fields: found, source_version, fresh_s }
        }
        Answer::NotFound => Answer::NotFound,
    }
}
