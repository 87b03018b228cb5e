//! Powers of attorney at work, wherever they were registered: another gateway's count by what that gateway says of them at
//! each act.
//!
//! ```text
//!  paper ─▶ registrar's key and places, parties, item, act, period ─┬─ ours: our store says whether it was taken back
//!                                                                   └─ another's: its standing for this act, now ─▶ Grant
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::Trace;
use super::mandates::{Act, held, named, refused, seen};
use super::registry::PaperWord;
use super::rooms::Rooms;
use super::spending::OneUse;
use super::standing::{self, BAD_STANDING, Expect, Wanted};
use crate::identity::delegation::{DelegationError, Grant, PowerOfAttorney};
use crate::terms::{Refusal, ResidentId};

/// Judges a power of attorney for one act of the agent `to` for `from`, whose number is `person`.
///
/// # Errors
/// `TB-IDN-0101` to `-0108`; `TB-GW-0204` where its registrar is another gateway and does not answer.
pub async fn held_by(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    paper: &str,
    (from, to): (&str, &str),
    act: Act<'_>,
    person: Option<&ResidentId>,
) -> Result<(Grant<PowerOfAttorney>, Option<OneUse>), Refusal> {
    let (registrar, ..) = named(paper).map_err(|e| refused(&e))?;
    if registrar == rooms.me.id {
        let grant = held(rooms, PowerOfAttorney, paper, (from, to), act, trace.at).await?;
        let once = grant.once().map(OneUse::Here);
        return Ok((grant, once));
    }
    let grant = seen(rooms, PowerOfAttorney, (&registrar, paper), (from, to), act, trace.at)?;
    let person = person.ok_or_else(|| refused(&DelegationError::Parties("giver")))?;
    let wanted = Wanted {
        kind: PaperWord::Attorney,
        paper: paper.to_owned(),
        audience: rooms.me.id.clone(),
        subject: Some(person.reveal().to_owned()),
        to: to.to_owned(),
        called: None,
        act: act.act.to_owned(),
        item: act.item,
        place: rooms.me.region,
        case: act.case,
        resource: None,
        fields: BTreeSet::new(),
        purpose: None,
        presence: act.presence,
        // It is held when the act is done, not while it is looked at.
        look: grant.once().is_some(),
    };
    let shown = standing::ask(rooms, trace, &registrar, &wanted).await?;
    let expect = Expect {
        kind: PaperWord::Attorney,
        requester: &rooms.me.id,
        subject: Some(person),
        from: None,
        to,
        act: act.act,
        item: act.item,
        case: act.case,
        resource: None,
        fields: None,
        purpose: None,
        at: trace.at,
    };
    match standing::read(rooms, &shown.standing, &expect)?.paper() == grant.paper() {
        true => {
            let once = grant.once().map(|_| OneUse::Elsewhere(Box::new(wanted)));
            Ok((grant, once))
        }
        false => Err(Refusal::new(&BAD_STANDING, format!("{registrar}: about another paper"))),
    }
}
