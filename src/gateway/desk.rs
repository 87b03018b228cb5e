//! Reading a case and withdrawing it: for the point that collected it, the owner, and the person.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::act::case_key;
use super::concern::Concern;
use super::errand::Errand;
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::spending::{For, OneUse, Spending};
use super::who::{NO_SUBJECT, Person, PersonKind, Terminal, WRONG_KIND};
use super::{door, facts, keep, onward, step};
use crate::audit::Kind;
use crate::audit::entry::{Evidence, Outcome};
use crate::catalogue::words::Mode;
use crate::exchange::message::{Collector, Dossier, Stored};
use crate::exchange::outbox::{self, Delivery};
use crate::exchange::records::{self, EventRow, Record, Whose};
use crate::exchange::vault::Reading;
use crate::exchange::{Act, ExchangeError, Key, PaperRow, State};
use crate::partners::Masking;
use crate::policy::{Ask, CaseAct, CaseLink, Denial, Listing, Permit, Who};
use crate::store::Tx;
use crate::terms::refusal::About;
use crate::terms::words::words;
use crate::terms::{CaseNo, Lang, Refusal, UnixMillis};

/// Somebody who looks at cases.
pub struct Viewer<'a> {
    pub trace: &'a Trace,
    pub terminal: &'a Terminal,
    pub person: &'a Person,
    /// What an exchanged token limits the viewer to.
    pub errand: Option<&'a Errand>,
}

/// A case as far as the viewer may see it.
pub struct Seen {
    pub record: Record,
    pub dossier: Dossier,
    pub key: Key,
    pub files: Vec<PaperRow>,
    pub events: Vec<EventRow>,
    pub deliveries: Vec<Delivery>,
}

impl Seen {
    /// What the case says for a lookup: it justifies one.
    pub fn link(&self) -> CaseLink {
        facts::link(&self.record, &self.dossier)
    }
}

/// A case that somebody wanted to look at, as lines name it.
pub const CASE: &str = "case";

/// Most cases of one page.
const PAGE: i64 = 100;

/// Reads one case; the reading goes on record. "Not yours" and "not there" are one answer.
pub async fn read(rooms: &Arc<Rooms>, viewer: &Viewer<'_>, no: CaseNo) -> Result<Seen, Refusal> {
    shown(rooms, viewer, no, None).await
}

/// A file of a case, for eyes that may read the case; the line names the file. Materials are for those who handle the
/// case: auditors and operators see what was handed in by its digest.
pub async fn document(
    rooms: &Arc<Rooms>,
    viewer: &Viewer<'_>,
    no: CaseNo,
    path: &str,
) -> Result<(Seen, Stored, Reading), Refusal> {
    let seen = shown(rooms, viewer, no, Some(path)).await?;
    let row = seen.files.iter().find(|f| f.stored.path == path && f.role != "container");
    let row = row.filter(|row| row.role != "material" || may_see_materials(viewer.person));
    let stored = row.ok_or(ExchangeError::NoCase)?.stored.clone();
    let reading = rooms.vault.read(&seen.key, &stored.kept).map_err(ExchangeError::from)?;
    Ok((seen, stored, reading))
}

fn may_see_materials(person: &Person) -> bool {
    person.kind == PersonKind::Citizen || person.kind.is_staff()
}

/// As much of a case as the rules are asked about.
async fn opened(tx: &mut Tx, rooms: &Rooms, no: CaseNo) -> Result<(Record, Key, Dossier), Refusal> {
    let record = records::load(tx, no).await?.ok_or(ExchangeError::NoCase)?;
    let key = case_key(rooms, tx, no).await?;
    let dossier = record.dossier(&key)?;
    Ok((record, key, dossier))
}

/// The rest of it, for whoever has been let in.
async fn whole(tx: &mut Tx, no: CaseNo, (record, key, dossier): (Record, Key, Dossier)) -> Result<Seen, Refusal> {
    let files = records::files(tx, no, &key).await?;
    let events = records::events(tx, no, 0).await?;
    let deliveries = outbox::of_case(tx, no).await?;
    Ok(Seen { record, dossier, key, files, events, deliveries })
}

/// May they read it?
fn may_read(rooms: &Rooms, viewer: &Viewer<'_>, record: &Record, dossier: &Dossier) -> Result<Permit, Refusal> {
    let no = record.case.no;
    let catalogue = rooms.catalogue.load();
    let who = facts::who(rooms, viewer.person, viewer.terminal, true, true, viewer.trace.at);
    let case = facts::case(record, dossier, catalogue.items.get(&dossier.item));
    let ask = Ask::Step(Ask::step(CaseAct::Read, who, case));
    rooms.policies.decide(&ask, viewer.trace.at).map_err(|denial| {
        tracing::info!(case.no = %no, %denial, "reading refused");
        match denial.step_up() {
            // The rules say so of one's own case only.
            Some(_) => door::step_up(rooms, viewer.person, &ask, denial.refusal()),
            None => {
                let refusal = Refusal::from(ExchangeError::NoCase).because(denial.refusal());
                // Strangers lengthen no chain and fill nobody's view; of staff, who are known by name, the applicant sees
                // who tried.
                match viewer.person.kind {
                    PersonKind::Citizen => refusal,
                    _ => refusal.about(About {
                        subject: record.subject.clone(),
                        resource: CASE.to_owned(),
                        purpose: None,
                        item: Some(dossier.item),
                        basis: ledger::basis(rooms, dossier.item).map(|basis| basis.to_string()),
                    }),
                }
            }
        }
    })
}

/// Whether somebody who watches a case would be let in to read it now, as it stood at what they were told last: of its end they
/// are told who may not read what has ended. No line: the reading is on record.
///
/// # Errors
/// As of [`read`].
pub async fn still(rooms: &Rooms, viewer: &Viewer<'_>, no: CaseNo, told: State) -> Result<(), Refusal> {
    let mut tx = rooms.store.read().await?;
    let (mut record, _, dossier) = opened(&mut tx, rooms, no).await?;
    drop(tx);
    record.case.state = told;
    may_read(rooms, viewer, &record, &dossier).map(drop)
}

async fn shown(rooms: &Arc<Rooms>, viewer: &Viewer<'_>, no: CaseNo, file: Option<&str>) -> Result<Seen, Refusal> {
    let mut tx = rooms.store.read().await?;
    let (record, key, dossier) = opened(&mut tx, rooms, no).await?;
    if let Some(errand) = viewer.errand {
        errand.is_for_case(no)?;
        // Another person's case is not there, as for everybody.
        if !errand.covers(&record) {
            return Err(ExchangeError::NoCase.into());
        }
    }
    let permit = may_read(rooms, viewer, &record, &dossier)?;
    let concern = Concern::of(&record).with(&dossier);
    viewer.trace.concerns(concern.clone());
    let seen = whole(&mut tx, no, (record, key, dossier)).await?;
    drop(tx);
    let mut entry = viewer
        .trace
        .about(rooms, Kind::CaseEvent, Some(viewer.person), viewer.terminal)
        .dec(ledger::allowed(&permit))
        .out(Outcome { status: Some(200), ..Outcome::default() });
    entry = concern.on(rooms, entry);
    entry = ledger::facts(entry, &[("act", CaseAct::Read.word())]);
    if let Some(row) = seen.files.iter().find(|row| Some(row.stored.path.as_str()) == file) {
        entry = entry.evidence(Evidence {
            r#type: ledger::word(&row.role),
            digest: Some(row.stored.kept.digest),
            ..Evidence::default()
        });
    }
    rooms.log.append(&entry).await?;
    Ok(seen)
}

/// The cases of the point or person that asks.
pub async fn list(rooms: &Arc<Rooms>, viewer: &Viewer<'_>, before: UnixMillis) -> Result<Vec<Record>, Refusal> {
    let who = facts::who(rooms, viewer.person, viewer.terminal, true, true, viewer.trace.at);
    let pid = viewer.person.pseudonym(rooms).to_string();
    let citizen = viewer.person.kind == PersonKind::Citizen;
    if viewer.person.paper.is_some() {
        return Err(Refusal::new(&WRONG_KIND, "an agent reads the cases of their errand, one by one"));
    }
    // An outlet keeps nothing: what has ended is none of its business any more.
    let ended = !matches!(viewer.terminal, Terminal::Outlet { .. });
    let ask = Ask::List(Listing {
        of_person: citizen.then(|| pid.clone()),
        of_org: if citizen { None } else { who.org.clone() },
        who,
        gateway: rooms.me.id.clone(),
        place: rooms.me.region,
        ended,
    });
    let denied = |denial: Denial| door::step_up(rooms, viewer.person, &ask, denial.refusal());
    rooms.policies.decide(&ask, viewer.trace.at).map_err(denied)?;
    let mut tx = rooms.store.read().await?;
    let collector = viewer.terminal.word(rooms);
    let whose = if citizen { Whose::Subject(&pid) } else { Whose::Collector(&collector) };
    Ok(records::list(&mut tx, whose, ended, before, PAGE).await?)
}

/// How a result was handed out (送达): kept with the case and on the delivery receipt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivered {
    pub way: Way,
    /// Who took it, when it was not the applicant, and how they are related.
    #[serde(default)]
    pub substitute: Option<String>,
    /// Number of the parcel, or what was said when it was refused.
    #[serde(default)]
    pub remark: Option<String>,
}

words! {
    /// How a result reaches the person.
    pub enum Way {
        Window = "window", "窗口领取", "at the window";
        Electronic = "electronic", "电子送达", "electronically";
        Terminal = "terminal", "自助终端", "at a self-service terminal";
        Mail = "mail", "邮寄", "by mail";
    }
}

/// Longest word about a delivery, in characters.
pub const REMARK_MAX: usize = 200;

impl Delivered {
    /// The note that goes on the receipt.
    fn note(&self) -> Result<String, Refusal> {
        let parts = [Some(self.way.name(Lang::Zh)), self.substitute.as_deref(), self.remark.as_deref()];
        let note = parts.into_iter().flatten().map(str::trim).collect::<Vec<_>>().join("；");
        if note.chars().count() > REMARK_MAX || note.chars().any(char::is_control) {
            return Err(Refusal::new(&super::intake::FORM, format!("at most {REMARK_MAX} characters, on one line")));
        }
        Ok(note)
    }
}

/// The applicant takes the case back, before it is decided.
pub async fn withdraw(
    rooms: &Arc<Rooms>,
    viewer: &Viewer<'_>,
    citizen: Option<&Person>,
    no: CaseNo,
) -> Result<(Seen, bool), Refusal> {
    let seen = read(rooms, viewer, no).await?;
    let applicant = citizen.unwrap_or(viewer.person);
    if applicant.pseudonym(rooms).to_string() != seen.record.subject {
        return Err(Refusal::new(&NO_SUBJECT, "only the applicant withdraws a case"));
    }
    // An agent withdraws under a paper that lists it; staff carry the applicant's own wish.
    let who = if viewer.person.paper.is_some() { viewer.person } else { applicant };
    let by = who.pseudonym(rooms).to_string();
    let facts = facts::who(rooms, who, &Terminal::Unknown, true, true, viewer.trace.at);
    let once = viewer.errand.and_then(|errand| errand.once.clone());
    wish(rooms, viewer, seen, Wish { act: Act::Withdraw, who: facts, person: who, by, note: None, once }).await
}

/// The issuing desk hands out what was decided, and says how.
pub async fn deliver(
    rooms: &Arc<Rooms>,
    viewer: &Viewer<'_>,
    no: CaseNo,
    delivered: &Delivered,
) -> Result<(Seen, bool), Refusal> {
    let note = Some(delivered.note()?);
    let seen = read(rooms, viewer, no).await?;
    let who = facts::who(rooms, viewer.person, viewer.terminal, true, true, viewer.trace.at);
    let by = viewer.person.id.clone();
    wish(rooms, viewer, seen, Wish { act: Act::ConfirmDelivery, who, person: viewer.person, by, note, once: None })
        .await
}

/// An act of the applicant or the desk.
struct Wish<'a> {
    act: Act,
    who: Who,
    person: &'a Person,
    by: String,
    note: Option<String>,
    /// A paper for one act, used up together with this one.
    once: Option<OneUse>,
}

/// Does it where we own the case, else asks the owner. Gives the case, and whether it has moved already.
async fn wish(rooms: &Arc<Rooms>, viewer: &Viewer<'_>, seen: Seen, wish: Wish<'_>) -> Result<(Seen, bool), Refusal> {
    let (no, at) = (seen.record.case.no, viewer.trace.at);
    let Wish { act, who, person, by, note, once } = wish;
    let permit = {
        let catalogue = rooms.catalogue.load();
        let facts = facts::case(&seen.record, &seen.dossier, catalogue.items.get(&seen.dossier.item));
        let asked = if act == Act::Withdraw { CaseAct::Withdraw } else { CaseAct::Deliver };
        let ask = Ask::Step(Ask::step(asked, who, facts));
        rooms.policies.decide(&ask, at).map_err(|denial| door::step_up(rooms, person, &ask, denial.refusal()))?
    };
    let line = viewer.trace.about(rooms, Kind::CaseEvent, Some(person), viewer.terminal).dec(ledger::allowed(&permit));
    let line = Concern::of(&seen.record).with(&seen.dossier).on(rooms, line);
    let here = seen.record.side != "collecting";
    let this = For { act: act.word(), case: Some(no), audience: &rooms.me.id, called: None };
    let spending = Spending::hold(rooms, viewer.trace, once.as_ref(), this).await?;
    let mut kept = false;
    let outcome = async {
        if !here {
            let line = ledger::telling(line, rooms, no, &seen.key, None, note.as_deref())?;
            let asking = step::Asking { person, terminal: &viewer.terminal.word(rooms), mandate: None, materials: &[] };
            let asked = onward::Asked { act, by: &by, note, spending: &spending, asking };
            kept = onward::ask(rooms, &seen.record, &seen.key, asked, viewer.trace).await?;
            let line = ledger::facts(line, &[("act", act.word()), ("asked", "owner")]);
            rooms.log.append(&line.out(Outcome { status: Some(202), ..Outcome::default() })).await?;
            return Ok(());
        }
        let (mut record, key) = (seen.record, seen.key);
        for step in onward::acts(act, record.case.state) {
            let note = note.clone().filter(|_| *step == act);
            let said = note.clone();
            let prepared = onward::prepare(rooms, record.clone(), key.clone(), *step, &by, note, at).await?;
            if !kept {
                spending.spend(rooms, viewer.trace).await?;
            }
            let once = spending.here().filter(|_| !kept);
            record.case = prepared.keep(rooms, &by, None, once, at).await?;
            kept = true;
            let line = line.clone().out(Outcome { status: Some(200), ..Outcome::default() });
            let line = ledger::telling(line, rooms, no, &key, None, said.as_deref())?;
            let line = ledger::step(line, *step, &record.case);
            let committed = rooms.log.append(&line).await?;
            keep::mark_logged(rooms, no, record.case.seq, committed.index).await?;
        }
        Ok(())
    }
    .await;
    spending.close(rooms, viewer.trace, outcome, kept).await?;
    let _ = rooms.news.send(no);
    // Whoever did it is shown what came of it, also where the case is out of their hands now.
    let mut tx = rooms.store.read().await?;
    let now = opened(&mut tx, rooms, no).await?;
    Ok((whole(&mut tx, no, now).await?, here))
}

/// A case as JSON, numbers masked; at an outlet as its contract masks them.
pub fn view(seen: &Seen, masking: Option<&Masking>) -> Value {
    let d = &seen.dossier;
    let code = masking.map_or_else(|| d.applicant.masked_code(), |own| own.id_number.apply(&d.applicant.code));
    json!({
        "case": seen.record.case.no, "state": seen.record.case.state, "state_zh": seen.record.case.state.zh(),
        "seq": seen.record.case.seq,
        "item": {"code": d.item, "name": d.item_name},
        "window": d.window, "owner": d.owner, "authority": d.authority_name,
        "applicant": {"name": d.applicant.name, "code": code},
        "priority": d.priority,
        "first_handler": first_handler(d),
        "received_at": d.received_at.to_string(),
        "accepted_at": seen.record.case.accepted_at.map(|t| t.to_string()),
        "materials": d.materials.iter().map(|m| json!({
            "no": m.no, "name": m.name, "source": m.source, "verdict": m.verdict,
            "digest": m.file.as_ref().map(|f| f.digest),
        })).collect::<Vec<_>>(),
        "facts": d.facts.iter().map(|f| json!({
            "resource": f.resource, "fetched_at": f.fetched_at.to_string(), "cached": f.cached,
        })).collect::<Vec<_>>(),
        "documents": seen.files.iter().filter(|f| f.role != "container").map(|f| json!({
            "path": f.stored.path, "role": f.role, "media": f.stored.media, "size": f.stored.kept.size,
            "digest": f.stored.kept.digest,
        })).collect::<Vec<_>>(),
        "events": seen.events.iter().map(event).collect::<Vec<_>>(),
        "deliveries": seen.deliveries.iter().map(delivery).collect::<Vec<_>>(),
    })
}

/// Who was asked first and answers for the case until it is over (首问负责): the clerk at the counter; nobody where a person
/// files alone.
fn first_handler(d: &Dossier) -> Value {
    let Collector { kind, id, name, clerk } = &d.collector;
    let staff = (kind != "portal" && d.mode != Mode::Online.word() && !clerk.is_empty()).then_some(clerk);
    json!({ "at": format!("{kind}:{id}"), "name": name, "staff": staff })
}

/// How a sealed message of the case fares: a clerk sees that it has not arrived, and why.
fn delivery(line: &Delivery) -> Value {
    let state = match (line.receipted, &line.trouble) {
        (true, _) => "delivered",
        (false, Some(_)) => "refused",
        (false, None) => "waiting",
    };
    json!({
        "to": line.target, "message": line.path, "asks": line.asks(), "state": state,
        "attempts": line.attempts, "code": line.trouble, "done_at": line.done.map(|t| t.to_string()),
    })
}

/// One line of the history.
pub fn event(row: &EventRow) -> Value {
    json!({"seq": row.seq, "at": row.at.to_string(), "act": row.act, "state": row.state, "state_zh": row.state.zh()})
}

/// One line of a list.
pub fn brief(record: &Record) -> Value {
    json!({
        "case": record.case.no, "state": record.case.state, "state_zh": record.case.state.zh(), "item": record.item,
        "opened": record.opened.to_string(), "updated": record.updated.to_string(),
    })
}
