//! What an outlet does, it does for a department that entrusted it (委托代办): the contract says where and when, the
//! department's signed mandate that it may at all. Both are asked at every act.
//!
//! ```text
//!  contracts read ─▶ mandate: registrar's signature, parties, items, acts, places ─no─▶ a mistake: nothing is taken
//!  each act ─▶ contract ─▶ mandate again: keys of today, period, taken back? ─▶ Allowed
//! ```
//! That a mandate runs out, or its key goes from the directory, is no mistake of the file: it would keep a gateway from starting. The
//! outlet is refused instead.

use std::time::Duration;

use super::ledger::Trace;
use super::mandates;
use super::pace;
use super::rooms::Rooms;
use crate::federation::Directory;
use crate::identity::delegation::{PAPER_PERIOD, PAPER_REVOKED, PAPER_SCOPE, TOLDS, Uses, WindowMandate, Wording};
use crate::partners::{self, Act, Allowed, Contract, ItemTerms, PartnerError, Terminal, Unmandated};
use crate::store::Tx;
use crate::terms::{ItemCode, Refusal, RegionCode, UnixMillis};

/// May this terminal do this now, where it is?
///
/// # Errors
/// What [`partners::check`] says; `TB-PAR-0212` to `-0215` about the mandate.
pub async fn may(
    rooms: &Rooms,
    trace: &Trace,
    (contract, terminal): (&std::sync::Arc<Contract>, &Terminal),
    act: Act,
    item: Option<ItemTerms<'_>>,
) -> Result<Allowed, Refusal> {
    at(rooms, trace, (contract, terminal), act, item, contract.place_of(terminal)?).await
}

/// Takes one request of a terminal's rate, whatever is asked: what is refused costs a line of the log, too.
///
/// # Errors
/// `TB-PAR-0304`.
pub fn counted(rooms: &Rooms, contract: &Contract, terminal: &Terminal) -> Result<(), Refusal> {
    rooms.rates.load().take(contract, terminal).map_err(|error| match error {
        PartnerError::TooFast { wait_ms, .. } => {
            Refusal::from(error).header("retry-after", pace::seconds(Duration::from_millis(wait_ms)))
        }
        error => error.into(),
    })
}

/// As [`may`], at a place that is known.
///
/// # Errors
/// As there.
async fn at(
    rooms: &Rooms,
    trace: &Trace,
    (contract, terminal): (&std::sync::Arc<Contract>, &Terminal),
    act: Act,
    item: Option<ItemTerms<'_>>,
    place: RegionCode,
) -> Result<Allowed, Refusal> {
    let allowed = partners::check(contract, terminal, act, item, place, trace.at)?;
    trace.entrusted(contract.mandate.digest());
    let item = item.map(|item| item.code).filter(|_| act.needs_item());
    holds(rooms, contract, (act.word(), item, Some(place)), trace.at).await?;
    Ok(allowed)
}

/// Whether an outlet still has its mandate, whatever it may do under it: to be asked before it gets a certificate.
///
/// # Errors
/// `TB-PAR-0212` to `-0214`.
pub async fn stands(rooms: &Rooms, trace: &Trace, contract: &Contract) -> Result<(), Refusal> {
    trace.entrusted(contract.mandate.digest());
    // Any act of the contract will do: that the mandate covers them all was seen when the contract was read.
    let act = contract.acts.first().map_or("", |act| act.word());
    holds(rooms, contract, (act, contract.items.first().copied(), contract.places.first().copied()), trace.at).await
}

async fn holds(
    rooms: &Rooms,
    contract: &Contract,
    (act, item, place): (&str, Option<ItemCode>, Option<RegionCode>),
    now: UnixMillis,
) -> Result<(), Refusal> {
    let presence = false; // the contract was asked
    let (case, resource, fields, purpose) = (None, None, None, None);
    let asked = mandates::Act { act, item, place, case, presence, resource, fields, purpose };
    let parties = (contract.authority.as_str(), contract.outlet.as_str());
    let held = mandates::held(rooms, WindowMandate, contract.mandate.as_str(), parties, asked, now).await;
    held.map(drop).map_err(|refusal| as_ours(contract, refusal))
}

/// Asks once more in the transaction of an act that took its time: the contract as it is by now, and its mandate. Who came in
/// opening hours is served, however long the registers took.
///
/// # Errors
/// What [`partners::check`] says; `TB-PAR-0214` where the mandate was taken back meanwhile.
pub async fn still(
    tx: &mut Tx,
    rooms: &Rooms,
    (before, terminal): (&Contract, &Terminal),
    (act, item): (Act, ItemTerms<'_>),
    came: UnixMillis,
) -> Result<(), Refusal> {
    let now = UnixMillis::now();
    let outlet = &before.outlet;
    let contracts = rooms.contracts.load();
    let contract = contracts.get(outlet).ok_or(PartnerError::UnknownTerminal)?;
    if rooms.stopped.load().has_outlet(outlet) {
        return Err(PartnerError::Suspended { outlet: outlet.clone() }.into());
    }
    // Where the terminal says that it is, it said with the request; what it may say is in the contract of now.
    let own = contract.terminals.iter().find(|own| own.id == terminal.id).ok_or(PartnerError::UnknownTerminal)?;
    let terminal = Terminal { told: terminal.told, ..own.clone() };
    match partners::check(contract, &terminal, act, Some(item), contract.place_of(&terminal)?, now) {
        Err(PartnerError::OutsideHours { .. }) if contract.hours.is_open(came) => {}
        judged => drop(judged?),
    }
    let still = mandates::still_given(tx, rooms, contract.mandate.as_str(), now).await;
    still.map_err(|refusal| as_ours(contract, refusal))
}

/// A no about the paper, as whoever stands at the outlet is told it. What is none about the paper stays what it is.
fn as_ours(contract: &Contract, refusal: Refusal) -> Refusal {
    let (outlet, why, code) = (contract.outlet.clone(), refusal.detail.clone(), refusal.told.code);
    if !TOLDS.iter().any(|told| told.code == code) {
        return refusal;
    }
    let error = if code == PAPER_PERIOD.code {
        PartnerError::MandatePeriod { outlet }
    } else if code == PAPER_REVOKED.code {
        PartnerError::MandateRevoked { outlet }
    } else if code == PAPER_SCOPE.code {
        PartnerError::MandateScope { outlet, why }
    } else {
        PartnerError::MandateBroken { outlet, why }
    };
    error.into()
}

/// What is wrong with the mandate that a contract names, when contracts are read: nothing of it can be mended by time.
pub fn mistakes(me: &str, directory: &Directory, contract: &Contract, now: UnixMillis) -> Vec<Unmandated> {
    let wrong = |wrong: String, mend| vec![Unmandated { wrong, mend }];
    let wording = match mandates::wording::<WindowMandate>(me, directory, contract.mandate.as_str()) {
        Ok(Some(wording)) => wording,
        Ok(None) => {
            let outlet = contract.outlet.as_str();
            tracing::warn!(
                outlet,
                "its mandate is under no key that the directory lists for this gateway (assertion_keys): the outlet is refused until its \
                 department gives another"
            );
            return Vec::new();
        }
        Err(error) => return wrong(error.to_string(), "have the department's system make it at this gateway"),
    };
    if !(wording.nbf..wording.exp).contains(&now.seconds()) {
        let outlet = contract.outlet.as_str();
        tracing::warn!(
            outlet,
            "its mandate is not in force now: the outlet is refused until the department gives another"
        );
    }
    uncovered(contract, &wording)
}

/// What the contract grants and the mandate does not.
fn uncovered(contract: &Contract, wording: &Wording) -> Vec<Unmandated> {
    let mut all = Vec::new();
    let mut no = |wrong: String, mend| all.push(Unmandated { wrong, mend });
    if wording.from != contract.authority.as_str() {
        no("another department gave it".into(), "write its credit code as `authority`, or have the right one give it");
    }
    if wording.to != contract.outlet.as_str() {
        no(format!("is for another outlet than {}", contract.outlet), "have it made for this outlet");
    }
    if wording.uses != Uses::Many || wording.case.is_some() || wording.purpose.is_some() {
        no("is for one act, case or purpose only".into(), "have it made for many acts");
    }
    for item in contract.items.iter().filter(|item| !wording.items.contains(item)) {
        no(format!("does not list item {item}"), "remove the item, or have it listed");
    }
    for act in contract.acts.iter().filter(|act| !wording.acts.iter().any(|named| named == act.word())) {
        no(format!("does not list act {act}"), "remove the act, or have it listed");
    }
    let covered = |place: &RegionCode| wording.places.iter().any(|wider| place.lies_in(*wider));
    for place in contract.places.iter().filter(|place| !covered(place)) {
        no(format!("does not reach {place}"), "remove the place, or have it listed");
    }
    all
}

/// When the mandate of that number ends, where a contract rests on it that this department entrusted. A store that was put back
/// from a copy may not know the paper: its department takes it back all the same.
pub fn of_department(rooms: &Rooms, authority: &str, id: &str) -> Option<UnixMillis> {
    let (contracts, directory) = (rooms.contracts.load(), rooms.directory.load());
    let own = contracts.iter().filter(|contract| contract.authority.as_str() == authority);
    let mut wordings = own.filter_map(|contract| {
        mandates::wording::<WindowMandate>(&rooms.me.id, &directory, contract.mandate.as_str()).ok()?
    });
    wordings.find(|wording| wording.jti == id).map(|wording| UnixMillis::from_seconds(wording.exp))
}
