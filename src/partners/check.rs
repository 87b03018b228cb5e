//! May this outlet do this, here, now? One order of questions; the answer is a value only this file makes.

use std::sync::Arc;

use super::acts::Act;
use super::contract::{Contract, Terminal, TerminalId};
use super::error::PartnerError;
use crate::terms::{ItemCode, OutletKind, Presence, RegionCode, UnixMillis};

/// What the catalogue says of the item, as far as outlets are concerned.
#[derive(Clone, Copy, Debug)]
pub struct ItemTerms<'a> {
    pub code: ItemCode,
    pub presence: Presence,
    pub outlet_kinds: &'a [OutletKind],
}

/// An outlet may do exactly this act, for this item, at this time. Quotas are still to be taken.
#[derive(Clone, Debug)]
#[must_use]
pub struct Allowed {
    contract: Arc<Contract>,
    terminal: TerminalId,
    act: Act,
    item: Option<ItemCode>,
    place: RegionCode,
    at: UnixMillis,
}

impl Allowed {
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    pub fn terminal(&self) -> &TerminalId {
        &self.terminal
    }

    pub fn act(&self) -> Act {
        self.act
    }

    pub fn item(&self) -> Option<ItemCode> {
        self.item
    }

    pub fn place(&self) -> RegionCode {
        self.place
    }

    pub fn at(&self) -> UnixMillis {
        self.at
    }
}

/// Checks one act of a terminal against its contract.
///
/// First the contract itself (switched off? begun? ended?), then the act, the item, the place and the hours: who reads the
/// first no knows that everything before it was in order. Presence comes before the item list, so that the person hears
/// that no outlet can help.
///
/// # Errors
/// One of [`PartnerError`]'s variants up to `OutsideHours`.
pub fn check(
    contract: &Arc<Contract>,
    terminal: &Terminal,
    act: Act,
    item: Option<ItemTerms<'_>>,
    place: RegionCode,
    now: UnixMillis,
) -> Result<Allowed, PartnerError> {
    let outlet = || contract.outlet.clone();
    if contract.suspended.is_some() {
        return Err(PartnerError::Suspended { outlet: outlet() });
    }
    let own = contract.terminals.iter().find(|own| own.id == terminal.id).ok_or(PartnerError::UnknownTerminal)?;
    if own.revoked {
        return Err(PartnerError::TerminalRevoked { outlet: outlet() });
    }
    if now < contract.from.start() {
        return Err(PartnerError::NotYet { outlet: outlet(), from: contract.from });
    }
    if now >= contract.to.end() {
        return Err(PartnerError::Ended { outlet: outlet(), to: contract.to });
    }
    if !contract.acts.contains(&act) {
        return Err(PartnerError::ActNotAllowed { outlet: outlet(), act });
    }
    match item {
        None if act.needs_item() => return Err(PartnerError::ItemMissing { outlet: outlet(), act }),
        Some(item) if act.needs_item() => check_item(contract, item)?,
        _ => {}
    }
    if !contract.covers(place) {
        return Err(PartnerError::OutsidePlace { outlet: outlet(), place });
    }
    if !contract.hours.is_open(now) {
        return Err(PartnerError::OutsideHours { outlet: outlet() });
    }
    let contract = Arc::clone(contract);
    Ok(Allowed { contract, terminal: terminal.id.clone(), act, item: item.map(|i| i.code), place, at: now })
}

fn check_item(contract: &Contract, item: ItemTerms<'_>) -> Result<(), PartnerError> {
    let (outlet, code) = (contract.outlet.clone(), item.code);
    if item.presence != Presence::None {
        return Err(PartnerError::NeedsPresence { outlet, item: code });
    }
    if !contract.items.contains(&code) {
        return Err(PartnerError::ItemNotListed { outlet, item: code });
    }
    if !item.outlet_kinds.contains(&contract.kind) {
        return Err(PartnerError::KindNotAdmitted { outlet, item: code });
    }
    Ok(())
}
