//! Filing a case: one request, five questions, in an order the types enforce.
//!
//! ```text
//!  Arrival ─▶ Known ─▶ Placed ─▶ Allowed ─▶ Proven ─▶ Kept
//!             who?     whose?    may they?  is it so?  on record?
//!                any question may end in a Refusal ──▶ answered and recorded alike
//! ```
//! Files are already durable in the vault when the questions begin, but no case names them: a refusal removes them, and
//! a crash leaves files that nobody names.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::intake::{Intake, Upload};
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{NO_SUBJECT, Person, PersonKind, Terminal, WRONG_KIND};
use super::{door, facts, keep, prove, step};
use crate::audit::Committed;
use crate::catalogue::owner::{Choice, Ownership, PlaceFact, PlaceFacts};
use crate::catalogue::words::{Mode, Scope};
use crate::exchange::Key;
use crate::partners::{self, Allowed as OutletAllowed, ItemTerms, QuotaPlan};
use crate::policy::{Ask, Permit};
use crate::terms::{CaseNo, ItemCode, Refusal, RegionCode};

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
    /// What the applicant filled in.
    #[serde(default)]
    pub form: Value,
    #[serde(default)]
    pub materials: Vec<MaterialIn>,
    /// The applicant agrees to the lookups the item needs.
    #[serde(default)]
    pub consent: bool,
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
}

impl Known {
    /// The applicant stands at the counter, as staff there state; nobody states it of themselves.
    pub fn present(&self) -> bool {
        self.filing.request.present && self.actor.kind == PersonKind::Staff && self.terminal.region().is_some()
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
        let office = &self.owner.office;
        office.code.as_ref().map_or_else(|| office.name.clone(), ToString::to_string)
    }
}

/// The rules and the contract say yes.
pub struct Allowed {
    pub placed: Placed,
    pub permit: Permit,
    pub quota: Option<QuotaPlan>,
}

/// The licences are what they claim, and the data are looked up.
pub struct Proven {
    pub allowed: Allowed,
    pub evidence: prove::Evidence,
}

/// Durable: case, envelope, receipt and the line in the log.
#[derive(Debug)]
pub struct Kept {
    pub case: CaseNo,
    pub committed: Committed,
    /// The same filing had come before.
    pub again: bool,
}

/// The whole story.
pub async fn submit(arrival: Arrival, rooms: &Arc<Rooms>) -> Result<Kept, Refusal> {
    let uploads = arrival.filing.uploads.clone();
    let outcome = questions(arrival, rooms).await;
    match &outcome {
        Err(_) => discard(rooms, &uploads).await,
        Ok(kept) if kept.again => discard(rooms, &uploads).await,
        Ok(_) => {}
    }
    outcome
}

async fn questions(arrival: Arrival, rooms: &Arc<Rooms>) -> Result<Kept, Refusal> {
    let known = known(arrival, rooms)?;
    // The same filing sent again asks nothing anew: quota, rules and hours had their say the first time.
    if let Some(kept) = keep::earlier(&known, rooms).await? {
        return Ok(kept);
    }
    let placed = placed(known, rooms)?;
    let allowed = allowed(placed, rooms)?;
    let proven = prove::ask(allowed, rooms).await?;
    keep::ask(proven, rooms).await
}

async fn discard(rooms: &Rooms, uploads: &[Upload]) {
    keep::forget_unnamed(rooms, uploads.iter().map(|u| u.kept.id.as_str())).await;
}

/// Who? A clerk or an outlet's employee acts for a citizen who has signed in; a citizen may act alone online.
fn known(arrival: Arrival, rooms: &Rooms) -> Result<Known, Refusal> {
    let Arrival { trace, terminal, clerk, citizen, filing, key, idempotency } = arrival;
    let window = terminal.region();
    let citizen = citizen.ok_or_else(|| Refusal::new(&NO_SUBJECT, "no token of the applicant"))?;
    if citizen.kind != PersonKind::Citizen || citizen.resident.is_none() {
        return Err(Refusal::new(&WRONG_KIND, "the applicant's token is not that of a citizen with a resident number"));
    }
    let (actor, window) = match (clerk, window) {
        (Some(clerk), Some(window)) if clerk.kind == PersonKind::Staff => (clerk, window),
        (Some(_), _) => {
            return Err(Refusal::new(&WRONG_KIND, "only staff at an enrolled window or outlet file for others"));
        }
        // A portal is the gateway's own: where the citizen lives is a fact about the owner, not about the window.
        (None, None) => (citizen.clone(), rooms.me.region),
        (None, Some(_)) => return Err(Refusal::new(&super::who::NO_SUBJECT, "no token of the clerk")),
    };
    Ok(Known { trace, terminal, actor, citizen, window, filing, key, idempotency })
}

/// Whose? By the item's owner rule; a wrong guess is never forwarded.
fn placed(known: Known, rooms: &Rooms) -> Result<Placed, Refusal> {
    let catalogue = rooms.catalogue.load();
    let request = &known.filing.request;
    let item = catalogue.item(request.item)?;
    let facts = request.places.iter().fold(PlaceFacts::default(), |all, (fact, place)| all.with(*fact, *place));
    let choice = request.owner.as_ref().map(|o| Choice { region: o.region, reason: &o.reason });
    let owner = catalogue.resolve(item, &facts, known.window, choice)?.settled()?;
    let scope = catalogue.check_scope(item, known.window, owner.region)?;
    let mode = match request.mode {
        Some(mode) => mode,
        None if known.actor.kind == PersonKind::Citizen => Mode::Online,
        None => Mode::Proxy,
    };
    catalogue.check_mode(item, mode)?;
    let member = rooms.directory.load().member_for(owner.region)?.id.clone();
    let placed = Placed { known, owner, scope, mode, member };
    if placed.member == rooms.me.id {
        step::office_of(rooms, placed.owner.region, &placed.authority())?;
    }
    Ok(placed)
}

/// May they? First the contract of an outlet, then the rules.
fn allowed(placed: Placed, rooms: &Rooms) -> Result<Allowed, Refusal> {
    let known = &placed.known;
    let now = known.trace.at;
    let catalogue = rooms.catalogue.load();
    let item = catalogue.item(known.filing.request.item)?;
    let outlet = match &known.terminal {
        Terminal::Outlet { contract, terminal } => {
            rooms.rates.load().take(contract, terminal)?;
            let terms = ItemTerms { code: item.code, presence: item.presence, outlet_kinds: &item.outlet_kinds };
            Some(partners::check(contract, terminal, partners::Act::Receive, Some(terms), contract.region, now)?)
        }
        _ => None,
    };
    let ask = Ask::file(
        facts::who(rooms, &known.actor, &known.terminal, outlet.is_some(), known.present(), now),
        facts::item(item, placed.owner.region),
        facts::mode(placed.mode),
        facts::scope(placed.scope),
        known.citizen.as_person(rooms, known.present(), now),
    );
    let permit = rooms.policies.decide(&ask, now);
    let permit = permit.map_err(|denial| door::step_up(rooms, &known.citizen, &ask, denial.refusal()))?;
    let quota = outlet.as_ref().map(|allowed: &OutletAllowed| {
        QuotaPlan::of(allowed, &known.actor.subject, &known.citizen.pseudonym(rooms).to_string())
    });
    Ok(Allowed { placed, permit, quota })
}

/// Names a line's common members for one filing; used by the steps that write to the log.
pub(super) fn line(allowed: &Allowed, rooms: &Rooms, kind: crate::audit::Kind) -> crate::audit::Entry {
    let known = &allowed.placed.known;
    known
        .trace
        .about(rooms, kind, Some(&known.actor), &known.terminal)
        .subj(known.citizen.as_subject(rooms))
        .dec(ledger::allowed(&allowed.permit))
        .item(crate::audit::entry::ItemRef {
            code: Some(known.filing.request.item),
            channel: ledger::word(match &known.terminal {
                Terminal::Window(_) => "window",
                Terminal::Outlet { .. } => "outlet",
                _ => "portal",
            }),
            ..Default::default()
        })
        .jur(crate::audit::entry::Jurisdiction {
            owner: Some(allowed.placed.owner.region),
            window: Some(known.window),
            route: ledger::word(allowed.placed.scope.word()),
        })
}
