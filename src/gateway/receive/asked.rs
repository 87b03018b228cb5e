//! The collecting gateway asks, in the applicant's name, for an act that only the owner can do: it owns the case.

use std::sync::Arc;

use super::super::{peer, receipt};
use super::{Opened, arrival_line, forget, recorded};
use crate::audit::entry::{Behalf, Outcome};
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, ExchangeError, Key};
use crate::federation::FederationError;
use crate::gateway::act::{self, case_key};
use crate::gateway::concern::Concern;
use crate::gateway::desk::REMARK_MAX;
use crate::gateway::ledger::Trace;
use crate::gateway::who::minutes_between;
use crate::gateway::{Rooms, demands, facts, ledger, mandates, onward, papers, windows};
use crate::identity::delegation::WindowMandate;
use crate::policy::{Ask, CaseAct, Kind as WhoKind, Permit, Role, Who};
use crate::store::CONFLICT;
use crate::terms::Refusal;

/// Tries when the office acts at the same moment: each reads the case anew.
const TRIES: u32 = 5;

pub async fn take(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    for _ in 1..TRIES {
        match once(opened, rooms, trace).await {
            Err(refusal) if refusal.told.code == CONFLICT.code => {}
            other => return other,
        }
    }
    once(opened, rooms, trace).await
}

async fn once(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let vouched = opened.vouched.as_ref();
    let vouched = vouched.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for what is asked"))?;
    let wished = onward::is_wish(message.act) && message.delegation.is_none();
    let mandated = onward::is_mandated(message.act) && message.delegation.is_some();
    if !(wished || mandated) || !message.papers.is_empty() {
        return Err(ExchangeError::Message(format!("'{}' is not asked for", message.act.word())).into());
    }
    if message.note.as_ref().is_some_and(|note| note.chars().count() > REMARK_MAX || note.chars().any(char::is_control))
    {
        return Err(ExchangeError::Message(format!("a note of more than {REMARK_MAX} characters on one line")).into());
    }
    let (record, key) = {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, message.case).await?.ok_or(ExchangeError::NoCase)?;
        (record, case_key(rooms, &mut tx, message.case).await?)
    };
    let concern = Concern::of(&record).with(&record.dossier(&key)?);
    let collector = rooms.directory.load().member_for(record.window)?.id.clone();
    if record.side != "owning" || collector != message.from {
        let why = format!("{} did not collect {}", message.from, message.case);
        return Err(FederationError::NotThatMember(why).into());
    }
    trace.concerns(concern.clone());
    if let Some(mandate) = &message.delegation {
        return under_mandate(opened, rooms, vouched, (record, key), mandate, trace).await;
    }
    let permit = permitted(opened, rooms, vouched, &record, &key, trace)?;
    let by = format!("{}/{}", message.from, vouched.actor);
    let receipt = receipt::give(rooms, &message.id, opened.container.digest, trace.at, None)?;
    let acts = onward::acts(message.act, record.case.state);
    let (mut record, mut case) = (record, None);
    for (n, act) in acts.iter().enumerate() {
        // The last act and the receipt are kept together: a crash before lets the message come again.
        let last = n + 1 == acts.len();
        let inbox =
            last.then_some(onward::Inbox { id: &message.id, digest: opened.container.digest, receipt: &receipt });
        let note = message.note.clone().filter(|_| last);
        let prepared = onward::prepare(rooms, record.clone(), key.clone(), *act, &by, note, trace.at).await?;
        let moved = prepared.keep(rooms, &by, inbox, None, trace.at).await?;
        record.case = moved.clone();
        case = Some(moved);
    }
    let case = case.ok_or_else(|| ExchangeError::Message("nothing was asked for".into()))?;
    // What was asked stands in the log; the case keeps what came of it.
    forget(rooms, opened).await;
    let line = arrival_line(opened, rooms, trace, &concern).dec(ledger::allowed(&permit));
    let line = ledger::step(line, message.act, &case);
    let line = ledger::telling(line, rooms, message.case, &key, None, message.note.as_deref())?;
    recorded(opened, rooms, trace, &line, case.seq + 1 - acts.len() as u64..=case.seq).await
}

/// The window that collected the case acts for us, under a mandate that one of our departments gave it: registered here, so
/// that our own store says whether it was taken back or used, in the transaction of the act.
async fn under_mandate(
    opened: &Opened,
    rooms: &Arc<Rooms>,
    vouched: &peer::Vouched,
    (record, key): (Record, Key),
    mandate: &str,
    trace: &Trace,
) -> Result<String, Refusal> {
    let message = &opened.message;
    let window = vouched.terminal.strip_prefix("window:").filter(|_| vouched.actor_kind == "staff");
    let window = window.filter(|_| record.collector == format!("peer:{}/{}", message.from, vouched.terminal));
    let window = window.ok_or(ExchangeError::NoCase)?;
    let dossier = record.dossier(&key)?;
    let named = format!("{}/{window}", message.from);
    let asked = mandates::Act::of_window(message.act, &dossier, message.case);
    let parties = (dossier.authority.as_str(), named.as_str());
    let grant =
        mandates::held(rooms, WindowMandate, mandate, parties, asked, trace.at).await.map_err(windows::not_theirs)?;
    let by = format!("{}/{}", message.from, vouched.actor);
    // Who stands at that window and may receive there is for its own gateway to say; the mandate is the window's.
    let mut who = Who::new(WhoKind::Clerk, &by);
    who.org = Some(window.to_owned());
    who.places = vouched.places.clone();
    who.level = vouched.level;
    who.level_age_min = minutes_between(vouched.level_at, message.at);
    who.roles = vec![Role::Receive];
    let case_act = act::case_act(message.act).ok_or(ExchangeError::NoCase)?;
    demands::named(message.act, &message.materials)?;
    let says = windows::Says { note: message.note.as_deref(), materials: &message.materials };
    let permit = windows::mandated(rooms, case_act, who, &record, &dossier, (&grant, says), trace.at)?;
    let receipt = receipt::give(rooms, &message.id, opened.container.digest, trace.at, None)?;
    let inbox = onward::Inbox { id: &message.id, digest: opened.container.digest, receipt: &receipt };
    let note = {
        let catalogue = rooms.catalogue.load();
        demands::words(catalogue.items.get(&dossier.item), &message.materials, message.note.as_deref())
    };
    let materials = message.materials.clone();
    let order = act::Order { act: message.act, by, note, ground: None, result: None, materials };
    let line = arrival_line(opened, rooms, trace, &Concern::of(&record).with(&dossier));
    let line = ledger::telling(line, rooms, message.case, &key, None, order.note.as_deref())?;
    let due = papers::promised(rooms, &dossier, order.act, trace.at)?;
    let ready = act::Ready { record, key, dossier, once: grant.once() };
    let (case, leafs) = ready.keep(rooms, trace.at, order, Some(inbox)).await?;
    forget(rooms, opened).await;
    let mut line = ledger::step(line, message.act, &case)
        .out(Outcome { status: Some(200), due, ..Outcome::default() })
        .behalf(Behalf { mandate: Some(grant.paper()), relation: ledger::word("window"), pid: None })
        .dec(ledger::allowed(&permit));
    for leaf in leafs {
        line = line.evidence(leaf);
    }
    recorded(opened, rooms, trace, &line, case.seq..=case.seq).await
}

/// The owner's own rules: what the collector's rules allowed there binds nobody here.
fn permitted(
    opened: &Opened,
    rooms: &Rooms,
    vouched: &peer::Vouched,
    record: &Record,
    key: &Key,
    trace: &Trace,
) -> Result<Permit, Refusal> {
    let dossier = record.dossier(key)?;
    let catalogue = rooms.catalogue.load();
    let act = if opened.message.act == Act::Withdraw { CaseAct::Withdraw } else { CaseAct::Deliver };
    let mut who = Who::new(WhoKind::Peer, &opened.message.from);
    who.places = vouched.places.clone();
    let case = facts::case(record, &dossier, catalogue.items.get(&dossier.item));
    rooms.policies.decide(&Ask::Step(Ask::step(act, who, case)), trace.at).map_err(|denial| denial.refusal())
}
