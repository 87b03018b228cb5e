//! A window acts for the owner, under the owner's mandate: on the spot where the owner is ours, else by asking the owner's
//! gateway.
//!
//! ```text
//!  clerk ─▶ mandate lists it? ─▶ rules (no veto) ─┬─ ours: step, paper, transaction
//!                                                 └─ collected for another: asked ──sealed──▶ owner judges all of it again
//! ```

use std::sync::Arc;

use serde::Deserialize;

use super::act::{Done, Order, Ready, case_act, case_key};
use super::concern::Concern;
use super::ledger::{self, Trace};
use super::registry::WINDOW_ACTS;
use super::rooms::Rooms;
use super::spending::Spending;
use super::step::Asking;
use super::who::{Person, Terminal, WRONG_KIND};
use super::{demands, facts, mandates, onward};
use crate::audit::Kind;
use crate::audit::entry::{Behalf, Outcome};
use crate::exchange::message::{Demanded, Dossier};
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, ExchangeError};
use crate::identity::delegation::{Grant, PAPER_PARTIES, WindowMandate};
use crate::policy::{Ask, CaseAct, Ground, Mandate, Permit, Who};
use crate::terms::{CaseNo, Refusal, UnixMillis};

/// What a window says for the owner.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowOrder {
    pub act: Act,
    #[serde(default)]
    pub note: Option<String>,
    /// The window mandate, as the department gave it.
    pub mandate: String,
    /// What a supplement notice asks for.
    #[serde(default)]
    pub materials: Vec<Demanded>,
}

/// A clerk of a window of ours does what the owner's mandate lists, on the spot, or asks the owner's gateway to: the mandate is judged for this act, and the
/// rules say whether a window may at all (it has no veto).
///
/// # Errors
/// `TB-IDN-0101` to `-0107` about the mandate (`-0105`: used before, at whichever replica), the rules' no; `TB-EXC-…` for a
/// case that is not here.
pub async fn under_mandate(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    (person, terminal): (&Person, &Terminal),
    no: CaseNo,
    order: WindowOrder,
) -> Result<Done, Refusal> {
    let Terminal::Window(window) = terminal else {
        return Err(Refusal::new(&WRONG_KIND, "mandates are given to windows of our own"));
    };
    let act = case_act(order.act).filter(|_| WINDOW_ACTS.contains(&order.act.word()));
    let act = act.ok_or_else(|| Refusal::new(&WRONG_KIND, "windows do not do this"))?;
    let (mut record, key) = {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, no).await?;
        (record.ok_or(ExchangeError::NoCase)?, case_key(rooms, &mut tx, no).await?)
    };
    let dossier = record.dossier(&key)?;
    // A case that another owner has is there for the window that collected it.
    let collected = record.side == "collecting";
    if collected && record.collector != terminal.word(rooms) {
        return Err(ExchangeError::NoCase.into());
    }
    // On the spot is where it was received: at a gateway that both collected the case and owns it.
    let decides = matches!(order.act, Act::BeginReview | Act::Grant);
    if decides && record.side != "both" {
        return Err(Refusal::new(&WRONG_KIND, "it is decided at the gateway that received the case and owns it"));
    }
    let asked = mandates::Act::of_window(order.act, &dossier, no);
    let grant = if collected {
        let owner = rooms.directory.load().member_for(dossier.owner)?.id.clone();
        let window = format!("{}/{}", rooms.me.id, window.id);
        let parties = (dossier.authority.as_str(), window.as_str());
        mandates::seen(rooms, WindowMandate, (&owner, &order.mandate), parties, asked, trace.at)
    } else {
        let parties = (dossier.authority.as_str(), window.id.as_str());
        mandates::held(rooms, WindowMandate, &order.mandate, parties, asked, trace.at).await
    };
    let grant = grant.map_err(not_theirs)?;
    let concern = Concern::of(&record).with(&dossier);
    trace.concerns(concern.clone());
    let who = facts::who(rooms, person, terminal, true, true, trace.at);
    demands::named(order.act, &order.materials)?;
    let says = Says { note: order.note.as_deref(), materials: &order.materials };
    let permit = mandated(rooms, act, who, &record, &dossier, (&grant, says), trace.at)?;
    let line = concern
        .on(rooms, trace.about(rooms, Kind::CaseEvent, Some(person), terminal))
        .behalf(Behalf { mandate: Some(grant.paper()), relation: ledger::word("window"), pid: None })
        .dec(ledger::allowed(&permit));
    if collected {
        let asking = Asking {
            person,
            terminal: &terminal.word(rooms),
            mandate: Some(&order.mandate),
            materials: &order.materials,
        };
        let (act, note) = (order.act, order.note);
        let line = ledger::telling(line, rooms, no, &key, None, note.as_deref())?;
        let asked = onward::Asked { act, by: &person.id, note, spending: &Spending::default(), asking };
        onward::ask(rooms, &record, &key, asked, trace).await?;
        let line = ledger::facts(line, &[("act", act.word()), ("asked", "owner")]);
        let committed = rooms.log.append(&line.out(Outcome { status: Some(202), ..Outcome::default() })).await?;
        return Ok(Done { case: record.case, committed, here: false });
    }
    // One person does it all (首席事务代表): the rules have said yes to just this, for an immediate item.
    record.case.one_hand |= decides;
    let note = {
        let catalogue = rooms.catalogue.load();
        demands::words(catalogue.items.get(&dossier.item), &order.materials, order.note.as_deref())
    };
    let (by, materials) = (person.id.clone(), order.materials);
    let order = Order { act: order.act, by, note, ground: None, result: None, materials };
    Ready { record, key, dossier, once: grant.once() }.carry_out(rooms, trace.at, order, line).await
}

/// A case of another authority is not there for a window that is none of its own.
pub(super) fn not_theirs(refusal: Refusal) -> Refusal {
    match refusal.told.code == PAPER_PARTIES.code {
        true => ExchangeError::NoCase.into(),
        false => refusal,
    }
}

/// What a window says with an act.
#[derive(Clone, Copy)]
pub(super) struct Says<'a> {
    pub note: Option<&'a str>,
    pub materials: &'a [Demanded],
}

/// The rules about an act under a mandate that was found good for it, wherever the window is.
pub(super) fn mandated(
    rooms: &Rooms,
    act: CaseAct,
    who: Who,
    record: &Record,
    dossier: &Dossier,
    (grant, says): (&Grant<WindowMandate>, Says<'_>),
    at: UnixMillis,
) -> Result<Permit, Refusal> {
    let catalogue = rooms.catalogue.load();
    let item = catalogue.items.get(&dossier.item);
    let mut step = Ask::step(act, who, facts::case(record, dossier, item));
    let (live, item_listed, act_listed) = (true, true, true);
    step.mandate = Some(Mandate { authority: grant.from().to_owned(), live, item_listed, act_listed });
    step.complete = item.is_some_and(|i| facts::complete(&i.materials, &dossier.materials, &dossier.facts));
    step.grant = act == CaseAct::Decide; // a window has no word for a no
    step.reasons = says.note.is_some_and(|n| !n.trim().is_empty());
    step.demanded = demands::of_notice(&catalogue, item, dossier, says.materials);
    step.ground = Ground::None;
    rooms.policies.decide(&Ask::Step(step), at).map_err(|denial| denial.refusal())
}
