//! Filing a case: one request, five questions, in an order the types enforce.
//!
//! ```text
//!  Arrival ─▶ Known ─▶ Placed ─▶ Allowed ─▶ Proven ─▶ Kept
//!             who?     whose?    may they?  is it so?  on record?
//!                any question may end in a Refusal ──▶ answered and recorded alike
//! ```
//! Files are already durable in the vault when the questions begin, but no case names them: a refusal removes them, and
//! a crash leaves files that nobody names.

use std::sync::Arc;

use super::filing::{Allowed, Arrival, Kept, Known, Placed};
use super::intake::Upload;
use super::rooms::Rooms;
use super::who::{NO_SUBJECT, PersonKind, Terminal, WRONG_KIND};
use super::{door, entrusted, facts, keep, minimal, prove, stationed};
use crate::catalogue::items::Item;
use crate::catalogue::owner::{Choice, PlaceFacts};
use crate::catalogue::words::Mode;
use crate::partners::{self, Allowed as OutletAllowed, ItemTerms, QuotaPlan};
use crate::policy::Ask;
use crate::terms::{OutletKind, Refusal};

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
    known.trace.concerns(known.concern(rooms));
    // The same filing sent again asks nothing anew: quota, rules and hours had their say the first time.
    if let Some(kept) = keep::earlier(&known, rooms).await? {
        return Ok(kept);
    }
    let placed = placed(known, rooms)?;
    placed.known.trace.concerns(placed.concern(rooms));
    let allowed = allowed(placed, rooms).await?;
    let proven = prove::ask(allowed, rooms).await?;
    keep::ask(proven, rooms).await
}

async fn discard(rooms: &Rooms, uploads: &[Upload]) {
    keep::forget_unnamed(rooms, uploads.iter().map(|u| u.kept.id.as_str())).await;
}

/// Who? A clerk or an outlet's employee acts for a citizen who has signed in; a citizen may act alone online.
fn known(arrival: Arrival, rooms: &Rooms) -> Result<Known, Refusal> {
    let Arrival { trace, terminal, clerk, citizen, filing, key, idempotency, once, paper } = arrival;
    let window = terminal.region();
    let citizen = citizen.ok_or_else(|| Refusal::new(&NO_SUBJECT, "no token of the applicant"))?;
    if citizen.kind != PersonKind::Citizen || citizen.resident.is_none() {
        return Err(Refusal::new(&WRONG_KIND, "the applicant's token is not that of a citizen with a resident number"));
    }
    let (actor, window) = match (clerk, window) {
        (Some(clerk), Some(window)) if clerk.kind.is_staff() => (clerk, window),
        // An agent comes through the portal, under a paper that has been judged for this filing.
        (Some(agent), None) if agent.paper.is_some() => (agent, rooms.me.region),
        (Some(_), _) => {
            return Err(Refusal::new(&WRONG_KIND, "only staff at an enrolled window or outlet file for others"));
        }
        // Nobody sits at a self-service terminal: whoever stands there has signed in and files alone.
        (None, Some(window)) if is_self_service(&terminal) => (citizen.clone(), window),
        // A portal is the gateway's own: where the citizen lives is a fact about the owner, not about the window.
        (None, None) => (citizen.clone(), rooms.me.region),
        (None, Some(_)) => return Err(Refusal::new(&super::who::NO_SUBJECT, "no token of the clerk")),
    };
    Ok(Known { trace, terminal, actor, citizen, window, filing, key, idempotency, once, paper })
}

fn is_self_service(terminal: &Terminal) -> bool {
    matches!(terminal, Terminal::Outlet { contract, .. } if contract.kind == OutletKind::Terminal)
}

/// Whose? By the item's owner rule; a wrong guess is never forwarded.
fn placed(known: Known, rooms: &Rooms) -> Result<Placed, Refusal> {
    let catalogue = rooms.catalogue.load();
    let request = &known.filing.request;
    let item = catalogue.item(request.item)?;
    minimal::form(item, &request.form)?;
    let facts = request.places.iter().fold(PlaceFacts::default(), |all, (fact, place)| all.with(*fact, *place));
    let choice = request.owner.as_ref().map(|o| Choice { region: o.region, reason: &o.reason });
    let owner = catalogue.resolve(item, &facts, known.window, choice)?.settled()?;
    let scope = catalogue.check_scope(item, known.window, owner.region)?;
    let mode = match request.mode {
        Some(mode) => mode,
        None if known.actor.kind == PersonKind::Citizen && known.actor.paper.is_none() => Mode::Online,
        None => Mode::Proxy,
    };
    if mode == Mode::Proxy && known.actor.kind == PersonKind::Citizen && known.actor.paper.is_none() {
        return Err(Refusal::new(&WRONG_KIND, "who files alone files online, not through somebody else"));
    }
    catalogue.check_mode(item, mode)?;
    let member = rooms.directory.load().member_for(owner.region)?.id.clone();
    let placed = Placed { known, owner, scope, mode, member };
    if placed.member == rooms.me.id {
        rooms.office_of(placed.owner.region, &placed.authority())?;
    }
    Ok(placed)
}

/// What the rules are asked about a filing. `listed`: the contract of an outlet allows it.
pub(super) fn asked(placed: &Placed, rooms: &Rooms, item: &Item, listed: bool) -> Ask {
    let known = &placed.known;
    let now = known.trace.at;
    Ask::file(
        facts::who(rooms, &known.actor, &known.terminal, listed, known.present(), now),
        facts::item(item, placed.owner.region),
        facts::mode(placed.mode),
        facts::scope(placed.scope),
        known.citizen.as_person(rooms, known.present(), now),
    )
}

/// May they? First the list of a window or the contract of an outlet, then the rules.
async fn allowed(placed: Placed, rooms: &Rooms) -> Result<Allowed, Refusal> {
    let known = &placed.known;
    let now = known.trace.at;
    let catalogue = rooms.catalogue.load_full();
    let item = catalogue.item(known.filing.request.item)?;
    if let Terminal::Window(window) = &known.terminal {
        stationed::open(window.hours.as_ref(), now)?;
        stationed::ask(window.items.as_deref(), item.code, now)?;
    }
    let outlet = match &known.terminal {
        Terminal::Outlet { contract, terminal } => {
            let terms = ItemTerms { code: item.code, presence: item.presence, outlet_kinds: &item.outlet_kinds };
            let act = partners::Act::Receive;
            Some(entrusted::may(rooms, &known.trace, (contract, terminal), act, Some(terms)).await?)
        }
        _ => None,
    };
    let ask = asked(&placed, rooms, item, outlet.is_some());
    let permit = rooms.policies.decide(&ask, now);
    let permit = permit.map_err(|denial| {
        let refusal = door::step_up(rooms, &known.citizen, &ask, denial.refusal());
        match &item.excluded {
            Some(why) => refusal.with("excluded", why.as_str()),
            None => refusal,
        }
    })?;
    let quota = outlet.as_ref().map(|allowed: &OutletAllowed| {
        QuotaPlan::of(allowed, &known.actor.subject, &known.citizen.pseudonym(rooms).to_string())
    });
    Ok(Allowed { placed, permit, quota })
}
