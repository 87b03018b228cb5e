//! A case arrives: the owner asks the questions again, on what it sees itself.

use std::sync::Arc;

use super::super::{facts, keep, ledger, minimal, peer, receipt, standing};
use super::{Opened, arrival_line, container, genuine, recorded};
use crate::audit::entry::Behalf;
use crate::catalogue::words::Mode;
use crate::exchange::message::{Dossier, Message};
use crate::exchange::records::{self, NewCase};
use crate::exchange::{Act, Case, Event, ExchangeError, Key, Paper};
use crate::federation::FederationError;
use crate::gateway::Rooms;
use crate::gateway::concern::Concern;
use crate::gateway::ledger::Trace;
use crate::gateway::registry::PaperWord;
use crate::gateway::standing::{Expect, Stated};
use crate::gateway::who::minutes_between;
use crate::policy::{Arrival, Ask, Kind as WhoKind, Permit, Person, Who};
use crate::terms::{Refusal, ResidentId};

/// A case that arrives: the owner asks the rules again.
pub async fn take(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let bad = |why: &str| Refusal::from(ExchangeError::Message(why.to_owned()));
    let dossier = message.dossier.as_ref().ok_or_else(|| bad("no dossier"))?;
    if !rooms.is_ours(dossier.owner) {
        return Err(FederationError::NoMember(dossier.owner).into());
    }
    rooms.office_of(dossier.owner, &dossier.authority)?;
    {
        let directory = rooms.directory.load();
        let sender = directory.member(&message.from);
        if sender.is_none_or(|sender| sender.slot != message.case.slot() || !sender.speaks_for(dossier.window)) {
            let why = format!("{} gave out no such number, or collects elsewhere", message.from);
            return Err(FederationError::NotThatMember(why).into());
        }
    }
    let resident = dossier.applicant.resident().ok_or_else(|| bad("the applicant's number is not one"))?;
    let pid = rooms.pseudonyms.resident(&resident);
    let concern = Concern::arriving(message.case, pid, &collector(message, dossier), dossier);
    trace.concerns(concern.clone());
    let agency = agency(opened, rooms, dossier, &resident)?;
    let case = Case::new(message.case);
    // Staff numbers are the sender's own: the same number here is another person.
    let by = &format!("{}/{}", message.from, dossier.collector.clerk);
    let filed = case.step(&Event { act: Act::File, by }, dossier.received_at).map_err(ExchangeError::from)?.0;
    let case = filed.step(&Event { act: Act::Receive, by }, dossier.received_at).map_err(ExchangeError::from)?.0;
    minimal::received(rooms.catalogue.load().item(dossier.item)?, dossier, &message.from)?;
    genuine::papers(opened, rooms, Some(Paper::Receipt), case.seq).await?;
    genuine::licences(opened, rooms, dossier, &concern, trace).await?;
    let permit = again(opened, rooms, dossier, &case, &pid.to_string(), trace)?;
    let mut entry = arrival_line(opened, rooms, trace, &concern).dec(ledger::allowed(&permit));
    if let Some(agency) = &agency {
        let relation = ledger::word("agent");
        entry = entry.behalf(Behalf { mandate: Some(agency.paper()), pid: Some(pid), relation });
    }
    let entry = ledger::step(entry, Act::Receive, &case);
    let entry = ledger::telling(entry, rooms, message.case, &opened.key, Some(&dossier.applicant), None)?;
    let wrapped = rooms.master.wrap(&message.case.to_string(), &opened.key).map_err(ExchangeError::from)?;
    let mut tx = rooms.store.begin().await?;
    let new = NewCase {
        case: &case,
        side: "owning",
        collector: &collector(message, dossier),
        subject: &pid.to_string(),
        dossier,
        now: trace.at,
    };
    records::insert(&mut tx, &new, &opened.key, &wrapped).await?;
    records::add_event(&mut tx, &case, Act::Receive.word(), by, None, trace.at).await?;
    finish(tx, opened, rooms, trace, &case, Some(dossier), &opened.key, entry).await
}

/// The power of attorney under which somebody else filed. Whether one is needed the sender says, with its name on it; what
/// the paper is good for only its registrar does, for this case, this person and this agent, when it was filed. One that was
/// taken back later does not undo what was done under it.
fn agency(opened: &Opened, rooms: &Rooms, dossier: &Dossier, resident: &ResidentId) -> Result<Option<Stated>, Refusal> {
    let message = &opened.message;
    let vouched = opened.vouched.as_ref();
    let bad = |why: &str| Refusal::new(&standing::BAD_STANDING, format!("{}: {why}", message.from));
    let by_agent = dossier.collector.kind == "portal" && dossier.mode == Mode::Proxy.word();
    let (vouched, shown) = match (vouched.and_then(|v| v.paper.map(|paper| (v, paper))), &message.delegation) {
        (None, None) if by_agent => return Err(bad("somebody else filed, under no paper")),
        (None, None) => return Ok(None),
        (Some(vouched), Some(shown)) => (vouched, shown),
        _ => return Err(bad("a paper that is only named, or only shown")),
    };
    let expect = Expect {
        kind: PaperWord::Attorney,
        requester: &message.from,
        subject: Some(resident),
        from: None,
        to: &vouched.0.actor,
        act: Act::File.word(),
        item: Some(dossier.item),
        case: Some(message.case),
        resource: None,
        fields: None,
        purpose: None,
        at: message.at,
    };
    let stated = standing::read(rooms, shown, &expect)?;
    if stated.paper() != vouched.1 {
        return Err(bad("about another paper than the one named"));
    }
    Ok(Some(stated))
}

/// The collecting point as our records name it: a window of the peer is not our window of the same name.
fn collector(message: &Message, dossier: &Dossier) -> String {
    format!("peer:{}/{}:{}", message.from, dossier.collector.kind, dossier.collector.id)
}

/// The owner's own rules, on what the peer vouches for.
fn again(
    opened: &Opened,
    rooms: &Rooms,
    dossier: &Dossier,
    case: &Case,
    pid: &str,
    trace: &Trace,
) -> Result<Permit, Refusal> {
    let catalogue = rooms.catalogue.load();
    let item = catalogue.item(dossier.item)?;
    let vouched = opened.vouched.as_ref();
    let vouched = vouched.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for this filing"))?;
    let mut who = Who::new(WhoKind::Peer, &opened.message.from);
    who.places = vouched.places.clone();
    let mode = dossier.mode.parse().map_err(|_| ExchangeError::Message("an unknown mode".into()))?;
    let record_case = crate::policy::CaseFacts {
        no: case.no,
        item: dossier.item,
        owner: dossier.owner,
        authority: dossier.authority.clone(),
        applicant: pid.to_owned(),
        agent: None,
        state: facts::state(case.state),
        receiver: case.receiver.clone(),
        examiners: Vec::new(),
        collected_by: facts::collected_by(&collector(&opened.message, dossier)),
        collected_at: dossier.window,
        presence: facts::presence(item.presence),
        immediate: false,
        supplements: 0,
        extended: false,
    };
    let ask = Ask::ReceiveFromPeer(Arrival {
        who,
        case: record_case,
        here: rooms.directory.load().member(&rooms.me.id).map(|m| m.places.clone()).unwrap_or_default(),
        vouched_at: dossier.window,
        applicant: Person {
            id: pid.to_owned(),
            level: dossier.applicant.level,
            level_age_min: minutes_between(dossier.applicant.level_at, dossier.received_at),
            present: dossier.present,
        },
        item: facts::item(item, dossier.owner),
        via: match dossier.collector.kind.as_str() {
            "window" => WhoKind::Clerk,
            "portal" if vouched.paper.is_some() => WhoKind::Agent,
            "portal" => WhoKind::Citizen,
            _ => WhoKind::Outlet,
        },
        mode: facts::mode(mode),
        scope: facts::scope(catalogue.scope_between(dossier.window, dossier.owner)),
    });
    rooms.policies.decide(&ask, trace.at).map_err(|denial| denial.refusal())
}

#[expect(clippy::too_many_arguments, reason = "the end of one transaction, in one place")]
async fn finish(
    mut tx: crate::store::Tx,
    opened: &Opened,
    rooms: &Arc<Rooms>,
    trace: &Trace,
    case: &Case,
    dossier: Option<&Dossier>,
    key: &Key,
    entry: crate::audit::Entry,
) -> Result<String, Refusal> {
    let message = &opened.message;
    for file in &opened.files {
        let role = if file.path.starts_with("papers/") { "paper" } else { "material" };
        records::add_file(&mut tx, case.no, role, case.seq, file, key).await?;
    }
    let container = container(opened);
    records::add_file(&mut tx, case.no, "container", case.seq, &container, key).await?;
    if let Some(dossier) = dossier {
        let onward = Message { to: rooms.me.id.clone(), ..message.clone() };
        keep::post(&mut tx, rooms, &onward, &container, dossier, trace.at).await?;
    }
    let receipt = receipt::give(rooms, &message.id, opened.container.digest, trace.at, None)?;
    records::receive(&mut tx, &message.id, opened.container.digest, &receipt, trace.at).await?;
    tx.commit(()).await?;
    recorded(opened, rooms, trace, &entry, case.seq..=case.seq).await
}
