//! Papers of a case, set and sealed: what `exchange` composes in words becomes a sealed OFD.

use super::rooms::{Rooms, Stamp};
use crate::catalogue::calendar::Due;
use crate::exchange::message::Dossier;
use crate::exchange::papers::{Occasion, compose};
use crate::exchange::{Act, Case, Paper};
use crate::licences::make;
use crate::terms::{Day, Refusal, UnixMillis};

/// Sets and seals one paper; gives the OFD.
#[expect(clippy::too_many_arguments, reason = "a paper states all of these")]
pub fn issue(
    rooms: &Rooms,
    stamp: &Stamp,
    kind: Paper,
    case: &Case,
    dossier: &Dossier,
    by: &str,
    note: Option<&str>,
    at: UnixMillis,
) -> Result<Vec<u8>, Refusal> {
    // Other papers promise nothing: counted from them, the days would begin anew.
    let due = if kind == Paper::AcceptanceVoucher { due(rooms, dossier, at)? } else { None };
    let occasion = Occasion {
        kind,
        case: case.no,
        seq: case.seq,
        at,
        by,
        authority: if kind == Paper::Receipt { &dossier.collector.name } else { &dossier.authority_name },
        note,
        due,
        enquiry: &rooms.me.enquiry,
    };
    let text = compose(&occasion, dossier);
    let mut paper = make::Paper::new(form(kind), text.number);
    paper.title = text.title.to_owned();
    for (label, value) in text.rows {
        paper = paper.field(label, value);
    }
    let paper = paper.data(text.data);
    Ok(make::seal(&paper, &stamp.seal, &*stamp.key, &stamp.certificate, at)?)
}

/// Promised and legal last day, counted from the day of acceptance.
fn due(rooms: &Rooms, dossier: &Dossier, at: UnixMillis) -> Result<Option<(Day, Option<Day>)>, Refusal> {
    let catalogue = rooms.catalogue.load();
    let Some(item) = catalogue.items.get(&dossier.item) else { return Ok(None) };
    let last = |days: u32| -> Result<Option<Day>, Refusal> {
        Ok(catalogue.calendar.due(at.day(), days, &[])?.map(|due: Due| due.day))
    };
    let promised = last(item.promised_days)?;
    let legal = if item.legal_days > 0 { last(item.legal_days)? } else { None };
    Ok(promised.map(|day| (day, legal)))
}

/// What an act promises of the decision: an acceptance, until the end of which day it comes.
pub fn promised(rooms: &Rooms, dossier: &Dossier, act: Act, at: UnixMillis) -> Result<Option<UnixMillis>, Refusal> {
    Ok(match act {
        Act::Accept => due(rooms, dossier, at)?.map(|(promised, _)| promised.end()),
        _ => None,
    })
}

/// The form on which `licences::make` sets a paper.
fn form(kind: Paper) -> make::PaperKind {
    match kind {
        Paper::Receipt => make::PaperKind::CollectionReceipt,
        Paper::AcceptanceVoucher => make::PaperKind::AcceptanceVoucher,
        Paper::SupplementNotice => make::PaperKind::SupplementNotice,
        Paper::NonAcceptance => make::PaperKind::NonAcceptance,
        Paper::Grant | Paper::Refusal => make::PaperKind::Decision,
        _ => make::PaperKind::Notice,
    }
}
