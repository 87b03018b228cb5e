//! Daily quotas: which counters one act takes, and whether what was taken stays within the limits.
//!
//! ```text
//!  Allowed ─▶ QuotaPlan: (key, day, limit)… ─▶ store, in the case's own transaction: count += 1 each ─▶ Taken…
//!                                                       │                                               │
//!                            any no rolls all of it back ◀───────── judge ──────────────────────────────┴─▶ Slot
//! ```
//! The counters are durable and shared by replicas, and are taken in the transaction that keeps the case: a case that is
//! not kept costs nothing, and no race takes one unit twice.

use super::check::Allowed;
use super::contract::OutletId;
use super::error::PartnerError;
use crate::terms::words::words;
use crate::terms::{Day, Digest};

words! {
    /// What a counter counts.
    pub enum Counter {
        Outlet = "outlet", "网点", "outlet";
        Clerk = "clerk", "经办人员", "clerk";
        Terminal = "terminal", "终端", "terminal";
        Item = "item", "事项", "item";
        Citizen = "citizen", "申请人", "citizen";
    }
}

/// One counter to take one unit of. Keys are sorted, so that two transactions never wait for each other crosswise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaKey {
    /// At most 128 octets of ASCII; names of people are digests.
    pub key: String,
    pub day: Day,
    pub limit: u32,
    pub counter: Counter,
}

/// The counters one act takes.
#[derive(Clone, Debug)]
#[must_use]
pub struct QuotaPlan {
    outlet: OutletId,
    keys: Vec<QuotaKey>,
}

/// What the store reports of one counter after taking: its value, this unit included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub key: String,
    pub day: Day,
    pub count: u64,
}

/// One unit of quota, taken within every limit. Only [`QuotaPlan::judge`] makes it.
#[derive(Debug)]
#[must_use]
pub struct Slot {
    outlet: OutletId,
    taken: Vec<Taken>,
}

impl Slot {
    pub fn outlet(&self) -> &OutletId {
        &self.outlet
    }

    /// The counters, for the audit leaf.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }
}

impl QuotaPlan {
    /// The counters of an allowed act; none for acts that are not counted.
    ///
    /// `clerk` is the clerk's identity (issuer and subject), `citizen` a pseudonym of the person that is the same at
    /// every outlet; both go into keys as digests only. The citizen's counter spans all outlets that have such a limit.
    pub fn of(allowed: &Allowed, clerk: &str, citizen: &str) -> Self {
        let contract = allowed.contract();
        let outlet = contract.outlet.clone();
        let mut keys = Vec::new();
        if allowed.act().is_counted() {
            let (limits, day) = (&contract.limits, allowed.at().day());
            let mut add = |counter: Counter, limit: Option<u32>, key: String| {
                keys.extend(limit.map(|limit| QuotaKey { key: format!("{counter}/{key}"), day, limit, counter }));
            };
            add(Counter::Outlet, limits.outlet, outlet.to_string());
            add(Counter::Clerk, limits.clerk, format!("{outlet}/{}", pseudonym(clerk)));
            add(Counter::Terminal, limits.terminal, format!("{outlet}/{}", pseudonym(&allowed.terminal().to_string())));
            if let Some(item) = allowed.item() {
                let limit = limits.items.get(&item).copied().or(limits.item);
                add(Counter::Item, limit, format!("{outlet}/{item}"));
            }
            add(Counter::Citizen, limits.citizen, pseudonym(citizen));
            keys.sort();
        }
        Self { outlet, keys }
    }

    pub fn keys(&self) -> &[QuotaKey] {
        &self.keys
    }

    /// Judges what was taken. On an error roll the transaction back: nothing is charged.
    ///
    /// # Errors
    /// [`PartnerError::QuotaUsedUp`], [`PartnerError::TooOftenForOne`]; [`PartnerError::NotTaken`] when `taken` does not
    /// answer the plan key by key.
    pub fn judge(self, taken: Vec<Taken>) -> Result<Slot, PartnerError> {
        let outlet = self.outlet;
        for planned in &self.keys {
            let counter = planned.counter;
            let mut counts = taken.iter().filter(|t| t.key == planned.key && t.day == planned.day).map(|t| t.count);
            let (Some(count @ 1..), None) = (counts.next(), counts.next()) else {
                return Err(PartnerError::NotTaken { outlet, counter });
            };
            if count > u64::from(planned.limit) {
                let limit = planned.limit;
                return Err(match counter {
                    Counter::Citizen => PartnerError::TooOftenForOne { outlet, limit },
                    _ => PartnerError::QuotaUsedUp { outlet, counter, limit },
                });
            }
        }
        Ok(Slot { outlet, taken })
    }
}

/// 32 hexadecimal digits: 128 bits keep two people apart.
fn pseudonym(text: &str) -> String {
    let mut hex = Digest::of(text.as_bytes()).to_string();
    hex.truncate(32);
    hex
}
