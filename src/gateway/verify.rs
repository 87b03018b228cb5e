//! A licence or sealed paper verified by hand: what it says is shown only to those who may know it.
//!
//! ```text
//!  file in the vault ─▶ seal, coverage, data ─▶ rules (whose is it? purpose? consent? case?) ─▶ line in the log ─▶ report
//! ```

use std::sync::Arc;

use super::desk::Seen;
use super::facts;
use super::ledger::{self, Trace};
use super::prove::{VaultFile, judged_by};
use super::rooms::Rooms;
use super::who::{Person, PersonKind, Terminal};
use crate::audit::Kind;
use crate::audit::entry::{Evidence, Subject};
use crate::exchange::{ExchangeError, Kept, Key};
use crate::licences::{self, Report, names};
use crate::policy::{Ask, LicenceCheck, LicenceFacts};
use crate::terms::{Refusal, ResidentId};

/// Type of a paper that names none, or of a file that cannot be read, as the rules see it.
const NO_TYPE: &str = "none";

/// What is asked.
pub struct Verifying<'a> {
    pub trace: &'a Trace,
    pub person: &'a Person,
    pub terminal: &'a Terminal,
    pub key: Key,
    pub kept: &'a Kept,
    pub purpose: Option<String>,
    /// The holder agrees, as staff state with the holder's own token beside theirs.
    pub consent: bool,
    /// Whose token came beside.
    pub subject: Option<&'a Person>,
    /// The case it is verified for, which the person may read.
    pub case: Option<&'a Seen>,
}

/// Verifies on the blocking pool and keeps the line, whatever the rules say.
pub async fn ask(verifying: &Verifying<'_>, rooms: &Arc<Rooms>) -> Result<Report, Refusal> {
    let now = verifying.trace.at;
    let reading = rooms.vault.read(&verifying.key, verifying.kept).map_err(ExchangeError::from)?;
    let profile = judged_by(rooms, now);
    let report = tokio::task::spawn_blocking(move || licences::verify("upload", VaultFile(reading), &profile)).await;
    let report = report.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    rooms.certificate_status.notice(&report, now);
    let permit = rooms.policies.decide(&asked(verifying, rooms, &report), now).map_err(|denial| denial.refusal())?;
    let mut entry = verifying
        .trace
        .about(rooms, Kind::LicenceCheck, Some(verifying.person), verifying.terminal)
        .why(ledger::purpose(verifying.purpose.as_deref().unwrap_or_default(), "item"))
        .dec(ledger::allowed(&permit))
        .evidence(Evidence {
            r#type: ledger::word("file"),
            digest: Some(verifying.kept.digest),
            verdict: ledger::word(report.indication.word()),
            ..Evidence::default()
        });
    let code = report.data.data.iter().find(|datum| datum.name == names::HOLDER_CODE);
    if let Some(holder) = code.and_then(|datum| datum.value.parse::<ResidentId>().ok()) {
        let pid = Some(rooms.pseudonyms.resident(&holder));
        entry = entry.subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid });
    }
    if let Some(seen) = verifying.case {
        entry = entry.case(rooms.pseudonyms.case(seen.record.case.no));
    }
    rooms.log.append(&entry).await?;
    Ok(report)
}

fn asked(verifying: &Verifying<'_>, rooms: &Rooms, report: &Report) -> Ask {
    let (person, terminal) = (verifying.person, verifying.terminal);
    // Covered by a seal or not: whom a file names decides who may see it.
    let datum = |name| report.data.data.iter().find(|datum| datum.name == name).map_or("", |d| d.value.as_str());
    let holder_code = datum(names::HOLDER_CODE);
    let stands_there =
        verifying.subject.and_then(|subject| subject.resident.as_ref()).is_some_and(|id| id.reveal() == holder_code);
    let staff = person.kind == PersonKind::Staff;
    let holder = match holder_code.parse::<ResidentId>() {
        Ok(resident) => rooms.pseudonyms.resident(&resident).to_string(),
        // A paper that names nobody is nobody's secret: whoever holds it may have its seal verified.
        Err(_) if holder_code.is_empty() => person.pseudonym(rooms).to_string(),
        Err(_) => rooms.pseudonyms.of("holder", holder_code).to_string(),
    };
    let licence_type = match datum(names::TYPE_CODE) {
        "" => NO_TYPE,
        told => told,
    };
    Ask::VerifyLicence(LicenceCheck {
        who: facts::who(rooms, person, terminal, true, true, verifying.trace.at),
        licence: LicenceFacts { id: verifying.kept.digest.to_string(), licence_type: licence_type.to_owned(), holder },
        purpose: verifying.purpose.clone(),
        case: verifying.case.map(Seen::link),
        consent: verifying.consent && staff && (stands_there || holder_code.is_empty()),
    })
}
