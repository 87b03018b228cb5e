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
use crate::lookups::{BAD_ANSWER, NO_PROVIDER, PROVIDER_DOWN, UNKNOWN_SUBJECT};
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
    match lookup::ask(&asking, rooms).await {
        Ok(fact) => {
            let said = fact.fields().get("status").and_then(|status| status.as_str());
            let Some(status) = said.and_then(Status::read) else { return Ok(unknown("BAD_ANSWER")) };
            match status.usable() {
                Ok(()) => {
                    let mut reference = lookup::reference(&fact);
                    reference.values["licence"] = id.as_str().into();
                    Ok(reference)
                }
                Err(no) => Err(refused(no)),
            }
        }
        Err(refusal) if refusal.told.code == UNKNOWN_SUBJECT.code => Err(refused(NotUsable::NotRegistered)),
        Err(refusal) => match refusal.told.code {
            code if code == NO_PROVIDER.code => Ok(unknown("NO_SOURCE")),
            code if code == PROVIDER_DOWN.code => Ok(unknown("SOURCE_DOWN")),
            code if code == BAD_ANSWER.code => Ok(unknown("BAD_ANSWER")),
            _ => Err(refusal),
        },
    }
}

fn refused(no: NotUsable) -> Refusal {
    Refusal::from(no).with("licence_status", no.word())
}
