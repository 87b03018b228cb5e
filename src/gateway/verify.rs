//! A licence or sealed paper verified by hand: what it says is shown only to those who may know it.
//!
//! ```text
//!  file in the vault ─▶ seal, coverage, data ─▶ rules (whose is it? purpose? consent? case?) ─▶ line in the log ─▶ report
//!                                                    └─ for a case, of its applicant: the issuer's register ──┴─▶ status
//! ```
//! A genuine seal does not tell that a licence was lost since; only its register does, and only a case justifies asking it.

use std::sync::Arc;

use super::desk::Seen;
use super::door;
use super::facts;
use super::ledger::{self, Trace};
use super::lookup::{self, Asking};
use super::prove::{VaultFile, judged_by};
use super::rooms::Rooms;
use super::status::{Said, said};
use super::who::{Person, PersonKind, Terminal};
use crate::audit::entry::{Evidence, Purpose, Subject};
use crate::audit::{Kind, Pseudonym};
use crate::exchange::{ExchangeError, Kept, Key};
use crate::licences::{self, NotUsable, Report, names};
use crate::policy::{Ask, CaseLink, Denial, LicenceCheck, LicenceFacts, Permit};
use crate::terms::refusal::About;
use crate::terms::{Explain, ItemCode, LicenceId, Refusal, RegionCode, ResidentId, Told};

/// Type of a paper that names none, or of a file that cannot be read, as the rules see it.
const NO_TYPE: &str = "none";
/// A file that was verified, or was to be, as lines name it.
pub const FILE: &str = "file";

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
    /// What was given out for the presentation of a credential: its number, and whom it must be for.
    pub nonce: Option<String>,
    pub audience: Option<String>,
    /// The case it is verified for, which the person may read.
    pub case: Option<&'a Seen>,
    /// How that case stands.
    pub link: Option<CaseLink>,
}

/// What is known of a licence beside its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InForce {
    Told(licences::Status),
    NotRegistered,
    /// The register gave no answer, and why.
    Unknown(&'static str),
    /// It was not asked, and why.
    NotAsked(&'static str),
}

impl InForce {
    /// Word for machines, and for `Unknown` and `NotAsked` the reason.
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Told(status) => (status.word(), None),
            Self::NotRegistered => (NotUsable::NotRegistered.word(), None),
            Self::Unknown(why) => ("unknown", Some(why)),
            Self::NotAsked(why) => ("not_asked", Some(why)),
        }
    }

    /// Why it cannot be used, as the person is told.
    pub fn told(self) -> Option<&'static Told> {
        match self {
            Self::Told(status) => status.usable().err().map(|no| no.told()),
            Self::NotRegistered => Some(NotUsable::NotRegistered.told()),
            Self::Unknown(_) | Self::NotAsked(_) => None,
        }
    }
}

/// Verifies on the blocking pool and keeps the line, whatever the rules say.
pub async fn ask(verifying: &Verifying<'_>, rooms: &Arc<Rooms>) -> Result<(Report, InForce), Refusal> {
    let now = verifying.trace.at;
    let reading = rooms.vault.read(&verifying.key, verifying.kept).map_err(ExchangeError::from)?;
    let mut profile = judged_by(rooms, now);
    profile.binding.nonce.clone_from(&verifying.nonce);
    profile.binding.audience.clone_from(&verifying.audience);
    let keeper = rooms.clone();
    let report = tokio::task::spawn_blocking(move || {
        (keeper.materials.keep(&profile), licences::verify("upload", VaultFile(reading), &profile))
    });
    let (trust, report) =
        report.await.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    rooms.certificate_status.notice(&report, now);
    let permit = permitted(verifying, rooms, &report)?;
    let of_item = verifying.case.and_then(|seen| ledger::basis(rooms, seen.dossier.item));
    let in_force = in_force(verifying, rooms, &report).await?;
    let (word, why) = in_force.words();
    let mut entry = verifying
        .trace
        .about(rooms, Kind::LicenceCheck, Some(verifying.person), verifying.terminal)
        .why(Purpose {
            basis: match verifying.case {
                Some(_) => of_item.clone(),
                None if verifying.consent => ledger::word("consent"),
                None if verifying.person.kind == PersonKind::Citizen => ledger::word("own-request"),
                None => ledger::word("duty"),
            },
            ..ledger::purpose(verifying.purpose.as_deref().unwrap_or_default(), "")
        })
        .dec(ledger::allowed(&permit))
        .evidence(Evidence {
            r#type: ledger::word(FILE),
            digest: Some(verifying.kept.digest),
            verdict: ledger::word(report.indication.word()),
            trust,
            ..Evidence::default()
        });
    entry = ledger::facts(entry, &[("status", word)]);
    entry = why.map_or(entry.clone(), |why| ledger::facts(entry, &[("status.why", why)]));
    if let Some(pid) = of_whom(rooms, &report) {
        entry = entry.subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(pid) });
    }
    if let Some(seen) = verifying.case {
        entry = entry.case(rooms.pseudonyms.case(seen.record.case.no));
    }
    rooms.log.append(&entry).await?;
    Ok((report, in_force))
}

/// Whether the same would be shown now, and what of the register's answer: a verification may have taken its time.
///
/// # Errors
/// As of [`ask`] before the register is asked.
pub fn still(verifying: &Verifying<'_>, rooms: &Rooms, report: &Report, in_force: InForce) -> Result<InForce, Refusal> {
    permitted(verifying, rooms, report)?;
    if matches!(in_force, InForce::NotAsked(_)) {
        return Ok(in_force);
    }
    let register = match register(verifying, rooms, report) {
        Ok(register) => register,
        Err(why) => return Ok(InForce::NotAsked(why)),
    };
    match lookup::still(&register.asking(verifying, rooms), rooms) {
        Ok(()) => Ok(in_force),
        Err(refusal) if refusal.told.status == 403 => Ok(InForce::NotAsked(refusal.told.code)),
        Err(refusal) => Err(refusal),
    }
}

/// May they see what the file says?
fn permitted(verifying: &Verifying<'_>, rooms: &Rooms, report: &Report) -> Result<Permit, Refusal> {
    let ask = asked(verifying, rooms, report);
    // It is the holder who can mend a level that is too low.
    let holder = verifying.subject.unwrap_or(verifying.person);
    let of_item = verifying.case.and_then(|seen| ledger::basis(rooms, seen.dossier.item));
    let denied = |denial: Denial| {
        let refusal = door::step_up(rooms, holder, &ask, denial.refusal());
        // Anybody can make a file that names somebody: strangers fill nobody's view with it.
        match of_whom(rooms, report).filter(|_| verifying.person.kind != PersonKind::Citizen) {
            Some(subject) => refusal.about(About {
                subject: subject.to_string(),
                resource: FILE.to_owned(),
                purpose: verifying.purpose.clone(),
                item: verifying.case.map(|seen| seen.dossier.item),
                basis: of_item.as_ref().map(|basis| basis.to_string()),
            }),
            None => refusal,
        }
    };
    rooms.policies.decide(&ask, verifying.trace.at).map_err(denied)
}

/// The person whom the file names, covered by a seal or not: they see who looked, and which staff tried to.
fn of_whom(rooms: &Rooms, report: &Report) -> Option<Pseudonym> {
    let code = report.data.data.iter().find(|datum| datum.name == names::HOLDER_CODE)?;
    code.value.parse::<ResidentId>().ok().map(|holder| rooms.pseudonyms.resident(&holder))
}

/// Asks the issuer's register, where a case of the licence's holder justifies it and the rules let it through.
async fn in_force(verifying: &Verifying<'_>, rooms: &Arc<Rooms>, report: &Report) -> Result<InForce, Refusal> {
    let register = match register(verifying, rooms, report) {
        Ok(register) => register,
        Err(why) => return Ok(InForce::NotAsked(why)),
    };
    match said(&register.asking(verifying, rooms), rooms).await {
        Ok(Said::Status(status, _)) => Ok(InForce::Told(status)),
        Ok(Said::NotRegistered) => Ok(InForce::NotRegistered),
        Ok(Said::Unknown(why)) => Ok(InForce::Unknown(why)),
        // The file was allowed to be verified; that the register may not be asked for it is an answer, and on record.
        Err(refusal) if refusal.told.status == 403 => Ok(InForce::NotAsked(refusal.told.code)),
        Err(refusal) => Err(refusal),
    }
}

/// What the issuer's register would be asked, and for which item.
struct Register {
    id: LicenceId,
    place: RegionCode,
    /// The licence's type.
    resource: String,
    holder: ResidentId,
    item: ItemCode,
}

/// Which register has the licence; else why none is asked.
fn register(verifying: &Verifying<'_>, rooms: &Rooms, report: &Report) -> Result<Register, &'static str> {
    let data = &report.data;
    let covered = |name| data.get(name).ok().map(|datum| datum.value.as_str());
    if !report.passed() {
        return Err("NOT_PASSED");
    }
    let seen = verifying.case.ok_or("NO_CASE")?;
    let (id, place) = data.identifier().and_then(|id| id.place().map(|place| (id, place))).ok_or("NO_IDENTIFIER")?;
    let catalogue = rooms.catalogue.load();
    let kind =
        covered(names::TYPE_CODE).and_then(|code| catalogue.licence_types.by_type_code(code)).ok_or("NO_TYPE")?;
    let holder = seen.dossier.applicant.resident().ok_or("NO_HOLDER")?;
    if covered(names::HOLDER_CODE) != Some(holder.reveal()) {
        return Err("OTHER_HOLDER");
    }
    Ok(Register { id, place, resource: kind.id.clone(), holder, item: seen.dossier.item })
}

impl Register {
    fn asking<'a>(&'a self, verifying: &'a Verifying<'_>, rooms: &Rooms) -> Asking<'a> {
        let (actor, terminal, now) = (verifying.person, verifying.terminal, verifying.trace.at);
        let item = Some(self.item);
        Asking {
            trace: verifying.trace,
            actor,
            terminal,
            who: lookup::who(rooms, (actor, terminal), item, verifying.subject.is_some(), now),
            subject: &self.holder,
            resource: &self.resource,
            licence: Some(&self.id),
            item,
            case: verifying.link.clone(),
            purpose: verifying.purpose.as_deref(),
            agreed: None,
            fields: None,
            place: self.place,
            requester: terminal.region().unwrap_or(rooms.me.region),
        }
    }
}

fn asked(verifying: &Verifying<'_>, rooms: &Rooms, report: &Report) -> Ask {
    let (person, terminal) = (verifying.person, verifying.terminal);
    // Covered by a seal or not: whom a file names decides who may see it.
    let datum = |name| report.data.data.iter().find(|datum| datum.name == name).map_or("", |d| d.value.as_str());
    let holder_code = datum(names::HOLDER_CODE);
    let is_holder = |person: &&Person| person.resident.as_ref().is_some_and(|id| id.reveal() == holder_code);
    let stands_there = verifying.subject.filter(is_holder);
    let staff = person.kind.is_staff();
    let consent = verifying.consent && staff && (stands_there.is_some() || holder_code.is_empty());
    let holder = match holder_code.parse::<ResidentId>() {
        Ok(resident) => Some(rooms.pseudonyms.resident(&resident).to_string()),
        // A paper that names nobody is nobody's secret: whoever holds it may have its seal verified.
        Err(_) if holder_code.is_empty() => None,
        Err(_) => Some(rooms.pseudonyms.of("holder", holder_code).to_string()),
    };
    let licence_type = match datum(names::TYPE_CODE) {
        "" => NO_TYPE,
        told => told,
    };
    Ask::VerifyLicence(LicenceCheck {
        who: facts::who(rooms, person, terminal, true, verifying.subject.is_some(), verifying.trace.at),
        licence: LicenceFacts { id: verifying.kept.digest.to_string(), licence_type: licence_type.to_owned(), holder },
        purpose: verifying.purpose.clone(),
        case: verifying.link.clone(),
        consent,
        consent_level: stands_there.filter(|_| consent).map(|holder| holder.level),
    })
}
