//! A filing on its way from the door to the record: what is known of it after each question.
//!
//! ```text
//!  Arrival ─▶ Known ─▶ Placed ─▶ Allowed ─▶ Proven ─▶ Kept
//! ```
//! The questions are asked in `submit`, `prove` and `keep`; a function that takes one of these values need not ask again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::concern::Concern;
use super::facts;
use super::intake::Intake;
use super::ledger::{self, Trace};
use super::lookup::Asking;
use super::rooms::Rooms;
use super::spending::OneUse;
use super::who::{Person, Terminal};
use crate::audit::entry::Entry;
use crate::audit::{Committed, Kind};
use crate::catalogue::items::Item;
use crate::catalogue::owner::{Ownership, PlaceFact};
use crate::catalogue::words::{Mode, Scope};
use crate::exchange::Key;
use crate::exchange::message::{FactRef, Material};
use crate::partners::QuotaPlan;
use crate::policy::{CaseLink, Permit};
use crate::terms::{CaseNo, ItemCode, RegionCode, ResidentId, Told};

/// The JSON part of a filing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub item: ItemCode,
    /// `online`, `proxy` or `joint`; `proxy` where a clerk files for a person at the counter.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// What is known of the places that may own the case, by fact: `{"household": "419001"}`.
    #[serde(default)]
    pub places: BTreeMap<PlaceFact, RegionCode>,
    /// The clerk's choice where several places fit, with the reason that goes on record.
    #[serde(default)]
    pub owner: Option<OwnerChoice>,
    /// The clerk states that the applicant stands at the counter (card read, face compared); it goes on record with the
    /// clerk's number, and to the owner. Of no account in what a citizen files alone.
    #[serde(default)]
    pub present: bool,
    /// The clerk asks that the applicant be served first (绿色通道). The owner sees it; nothing is checked less for it, and the
    /// rules are not told. Of no account in what a citizen files alone.
    #[serde(default)]
    pub priority: bool,
    /// What the applicant filled in.
    #[serde(default)]
    pub form: Value,
    #[serde(default)]
    pub materials: Vec<MaterialIn>,
    /// The applicant, who is here by their token, agrees to the lookups the item needs: a paper is made of it.
    #[serde(default)]
    pub consent: bool,
    /// A use consent given before, as signed, for such lookups.
    #[serde(default)]
    pub consent_paper: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerChoice {
    pub region: RegionCode,
    pub reason: String,
}

/// A material handed in: its number in the guide and the form field of its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaterialIn {
    pub no: u8,
    pub file: String,
}

/// A filing as it came through the door.
pub struct Arrival {
    pub trace: Trace,
    pub terminal: Terminal,
    pub clerk: Option<Person>,
    pub citizen: Option<Person>,
    pub filing: Intake<Request>,
    /// Key the files lie under; becomes the case's.
    pub key: Key,
    /// What the caller calls this filing: a retry under the same key is the same filing.
    pub idempotency: Option<String>,
    /// A one-use paper that this filing uses up.
    pub once: Option<OneUse>,
    /// The power of attorney under which an agent files, as signed.
    pub paper: Option<String>,
}

/// Who stands there, and for whom.
pub struct Known {
    pub trace: Trace,
    pub terminal: Terminal,
    /// Who acts: a clerk, an outlet's employee, or the citizen alone.
    pub actor: Person,
    pub citizen: Person,
    pub window: RegionCode,
    pub filing: Intake<Request>,
    pub key: Key,
    pub idempotency: Option<String>,
    /// A one-use paper that this filing uses up.
    pub once: Option<OneUse>,
    /// The power of attorney under which an agent files, as signed.
    pub paper: Option<String>,
}

impl Known {
    /// As far as the filing is understood: whose case it will be is another question.
    pub fn concern(&self, rooms: &Rooms) -> Concern {
        Concern {
            subject: Some(self.citizen.pseudonym(rooms)),
            item: Some(self.filing.request.item),
            channel: Some(match &self.terminal {
                Terminal::Window(_) => "window",
                Terminal::Outlet { .. } => "outlet",
                _ => "portal",
            }),
            window: Some(self.window),
            ..Concern::default()
        }
    }

    /// The applicant stands at the counter, as staff there state; nobody states it of themselves.
    pub fn present(&self) -> bool {
        self.filing.request.present && self.is_at_counter()
    }

    /// The applicant is to be served first, as staff at the counter state.
    pub fn priority(&self) -> bool {
        self.filing.request.priority && self.is_at_counter()
    }

    /// Staff at a counter filed it: what was handed in, they asked for.
    pub fn is_at_counter(&self) -> bool {
        self.actor.kind.is_staff() && self.terminal.region().is_some()
    }
}

/// Whose case it is.
pub struct Placed {
    pub known: Known,
    pub owner: Ownership,
    pub scope: Scope,
    pub mode: Mode,
    /// The gateway that works for the owner.
    pub member: String,
}

impl Placed {
    /// The authority as records name it: its credit code, or its name where the register has none.
    pub fn authority(&self) -> String {
        self.owner.office.authority()
    }

    pub fn concern(&self, rooms: &Rooms) -> Concern {
        let item = rooms.catalogue.load().items.get(&self.known.filing.request.item).map(Item::version);
        Concern { guide: item, owner: Some(self.owner.region), ..self.known.concern(rooms) }
    }
}

/// The rules and the contract say yes.
pub struct Allowed {
    pub placed: Placed,
    pub permit: Permit,
    pub quota: Option<QuotaPlan>,
}

impl Allowed {
    /// A line of the log with what all lines of this filing have in common.
    pub fn line(&self, rooms: &Rooms, kind: Kind) -> Entry {
        let known = &self.placed.known;
        let line =
            known.trace.about(rooms, kind, Some(&known.actor), &known.terminal).dec(ledger::allowed(&self.permit));
        self.placed.concern(rooms).on(rooms, line)
    }

    /// A lookup about the applicant, for the case that is being filed, at the owner's place.
    pub fn asks<'a>(
        &'a self,
        rooms: &Rooms,
        item: &Item,
        case: CaseNo,
        subject: &'a ResidentId,
        resource: &'a str,
    ) -> Asking<'a> {
        let known = &self.placed.known;
        let who = facts::who(rooms, &known.actor, &known.terminal, true, known.present(), known.trace.at);
        Asking {
            trace: &known.trace,
            actor: &known.actor,
            terminal: &known.terminal,
            case: Some(CaseLink {
                no: case,
                item: item.code,
                applicant: known.citizen.pseudonym(rooms).to_string(),
                open: true,
                authority: self.placed.authority(),
                collected_by: who.org.clone(),
            }),
            who,
            subject,
            resource,
            licence: None,
            item: Some(item.code),
            purpose: Some("case"),
            agreed: None,
            fields: None,
            place: self.placed.owner.region,
            requester: known.window,
        }
    }
}

/// The licences are what they claim, and the data are looked up.
pub struct Proven {
    pub allowed: Allowed,
    pub evidence: Evidence,
}

/// What was found, and the number the case will have.
pub struct Evidence {
    pub case: CaseNo,
    pub materials: Vec<Material>,
    pub facts: Vec<FactRef>,
}

/// Durable: case, envelope, receipt and the line in the log.
#[derive(Debug)]
pub struct Kept {
    pub case: CaseNo,
    pub committed: Committed,
    /// The same filing had come before.
    pub again: bool,
    /// Materials whose source said nothing of use, by number in the guide and name, and what the clerk does about each.
    pub gaps: Vec<(u32, String, &'static Told)>,
}
