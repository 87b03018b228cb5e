//! Is a licence whose seal holds still in force? Its issuer's register says so at the time of use, not the file.
//!
//! ```text
//!  identifier ─▶ issuer's place ─▶ lookup there (kept for minutes, every use in the log) ─▶ valid ─▶ fact for the owner
//!                                                                              lost, revoked, … ─▶ refused
//!                                          no register connected, or down ─▶ "unknown", for the owner to weigh
//! ```
//! Unknown is not valid, and nobody is sent home for it: collecting is not accepting.

use std::sync::Arc;

use serde_json::json;

use super::filing::Allowed;
use super::lookup::{self, Asking};
use super::rooms::Rooms;
use crate::catalogue::items::Item;
use crate::exchange::message::FactRef;
use crate::licences::{NotUsable, Status, VerifiedLicence};
use crate::lookups::{BAD_ANSWER, Fact, NO_PROVIDER, PROVIDER_DOWN, UNKNOWN_SUBJECT};
use crate::terms::{CaseNo, LicenceId, Refusal};

/// Asks the issuer about a licence of `type_id` that is handed in for a case.
///
/// # Errors
/// `TB-LIC-04xx` when the register has it as anything but valid; those of the rules and the log.
pub async fn ask(
    allowed: &Allowed,
    rooms: &Arc<Rooms>,
    item: &Item,
    case: CaseNo,
    licence: &VerifiedLicence,
    type_id: &str,
) -> Result<FactRef, Refusal> {
    let known = &allowed.placed.known;
    let unknown = |why: &str| FactRef {
        resource: type_id.to_owned(),
        purpose: "case".to_owned(),
        fetched_at: known.trace.at,
        cached: false,
        values: json!({ "status": "unknown", "why": why, "licence": licence.identifier().map(LicenceId::as_str) }),
    };
    let Some((id, place)) = licence.identifier().and_then(|id| Some((id, id.place()?))) else {
        return Ok(unknown("NO_IDENTIFIER"));
    };
    let Some(subject) = known.citizen.resident.as_ref() else { return Ok(unknown("NO_HOLDER")) };
    let asking = Asking { licence: Some(id), place, ..allowed.asks(rooms, item, case, subject, type_id) };
    match said(&asking, rooms).await? {
        Said::Status(status, fact) => {
            status.usable().map_err(refused)?;
            let mut reference = lookup::reference(&fact);
            reference.values["licence"] = id.as_str().into();
            Ok(reference)
        }
        Said::NotRegistered => Err(refused(NotUsable::NotRegistered)),
        Said::Unknown(why) => Ok(unknown(why)),
    }
}

/// What a register answered.
pub(super) enum Said {
    Status(Status, Fact),
    /// It knows no such licence.
    NotRegistered,
    /// No answer that could be understood, and why.
    Unknown(&'static str),
}

/// Asks the register; what keeps it from answering is no refusal of ours.
pub(super) async fn said(asking: &Asking<'_>, rooms: &Arc<Rooms>) -> Result<Said, Refusal> {
    match lookup::ask(asking, rooms).await {
        Ok(fact) => {
            let word = fact.fields().get("status").and_then(|status| status.as_str());
            Ok(match word.and_then(Status::read) {
                Some(status) => Said::Status(status, fact),
                None => Said::Unknown("BAD_ANSWER"),
            })
        }
        Err(refusal) => match refusal.told.code {
            code if code == UNKNOWN_SUBJECT.code => Ok(Said::NotRegistered),
            code if code == NO_PROVIDER.code => Ok(Said::Unknown("NO_SOURCE")),
            code if code == PROVIDER_DOWN.code => Ok(Said::Unknown("SOURCE_DOWN")),
            code if code == BAD_ANSWER.code => Ok(Said::Unknown("BAD_ANSWER")),
            _ => Err(refusal),
        },
    }
}

fn refused(no: NotUsable) -> Refusal {
    Refusal::from(no).with("licence_status", no.word())
}
