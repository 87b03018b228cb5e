//! What the owner's office does with a case: accept, ask for supplements, review, decide, close, hand out.
//!
//! ```text
//!  act ─▶ may this department, this official? ─▶ step ─▶ sealed paper ─▶ envelope ─▶ one transaction ─▶ log ─▶ answer
//! ```

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use serde::Deserialize;

use super::concern::Concern;
use super::ledger::{self, Trace};
use super::rooms::{Rooms, System};
use super::step::{self, Inbox, Moved, Saying};
use super::who::{Terminal, WRONG_KIND};
use super::{demands, facts, keep, papers};
use crate::audit::entry::{Actor, Evidence, Outcome};
use crate::audit::{Committed, Entry, Kind};
use crate::exchange::message::{Demanded, Dossier, PaperRef, Stored};
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, Case, Event, ExchangeError, Key, Paper};
use crate::identity::delegation::Once;
use crate::licences;
use crate::policy::{Ask, CaseAct, Ground, Kind as WhoKind, Role, Who};
use crate::terms::{CaseNo, Refusal, UnixMillis};

/// What an office says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub act: Act,
    /// Staff number of the official.
    pub by: String,
    /// Words of the authority; reasons are mandatory with every no.
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub ground: Option<Ground>,
    /// The result licence, sealed by its issuer.
    #[serde(default)]
    pub result: Option<ResultFile>,
    /// What a supplement notice asks for: everything that is missing or wrong, once.
    #[serde(default)]
    pub materials: Vec<Demanded>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultFile {
    pub media: String,
    pub base64: String,
}

impl std::fmt::Debug for ResultFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResultFile({}, {})", self.media, self.base64.len())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// As it stands here now.
    pub case: Case,
    pub committed: Committed,
    /// It is done; else the owner was asked.
    pub here: bool,
}

/// Largest order in octets: a result document of 16 MiB in base64, and the rest.
pub const ORDER_MAX: usize = (16 << 20) / 3 * 4 + (64 << 10);

pub async fn order(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    no: CaseNo,
    mut order: Order,
) -> Result<Done, Refusal> {
    let (office, Owned { record, key, dossier }) = owned(rooms, trace, terminal, no).await?;
    trace.by(Actor {
        kind: ledger::word("official"),
        org: office.authority.as_str().parse().ok(),
        staff: ledger::word(&order.by),
        terminal: ledger::word(&terminal.word(rooms)),
        ..Actor::default()
    });
    let concern = Concern::of(&record).with(&dossier);
    let permit = match case_act(order.act) {
        None => return Err(Refusal::new(&WRONG_KIND, "offices do not do this")),
        Some(act) => {
            let catalogue = rooms.catalogue.load();
            let (who, item) = (official(office, &order.by), catalogue.items.get(&dossier.item));
            let mut step = Ask::step(act, who, facts::case(&record, &dossier, item));
            demands::named(order.act, &order.materials)?;
            step.demanded = demands::of_notice(&catalogue, item, &dossier, &order.materials);
            order.note = demands::words(item, &order.materials, order.note.as_deref());
            step.complete = true;
            step.grant = order.act == Act::Grant;
            step.reasons = order.note.as_deref().is_some_and(|n| !n.trim().is_empty());
            step.ground = order.ground.unwrap_or(Ground::None);
            rooms.policies.decide(&Ask::Step(step), trace.at).map_err(|denial| denial.refusal())?
        }
    };
    let line = concern.on(rooms, trace.about(rooms, Kind::CaseEvent, None, terminal));
    let ready = Ready { record, key, dossier, once: None };
    ready.carry_out(rooms, trace.at, order, line.dec(ledger::allowed(&permit))).await
}

/// A case of an office.
pub(super) struct Owned {
    pub record: Record,
    pub key: Key,
    pub dossier: Dossier,
}

/// The case that an office's system names, where it is the office's. Not yours and not there are one answer.
pub(super) async fn owned<'t>(
    rooms: &Rooms,
    trace: &Trace,
    terminal: &'t Terminal,
    no: CaseNo,
) -> Result<(&'t System, Owned), Refusal> {
    let office = terminal.office();
    let office =
        office.ok_or_else(|| Refusal::new(&WRONG_KIND, "only an enrolled approval system acts for an authority"))?;
    let (record, key) = {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, no).await?.filter(|r| r.side != "collecting");
        (record.ok_or(ExchangeError::NoCase)?, case_key(rooms, &mut tx, no).await?)
    };
    let dossier = record.dossier(&key)?;
    if !dossier.owner.lies_in(office.region) || office.authority.as_str() != dossier.authority {
        return Err(ExchangeError::NoCase.into());
    }
    trace.concerns(Concern::of(&record).with(&dossier));
    Ok((office, Owned { record, key, dossier }))
}

/// The official whom an office's system names: which of its staff may do what, the office knows.
pub(super) fn official(office: &System, by: &str) -> Who {
    let mut who = Who::new(WhoKind::Department, by);
    who.org = Some(office.authority.to_string());
    who.places = vec![office.region];
    who.roles = vec![Role::Accept, Role::Examine, Role::Approve, Role::Issue];
    who
}

/// A case, and a yes to the act on it.
pub(super) struct Ready {
    pub record: Record,
    pub key: Key,
    pub dossier: Dossier,
    /// Of a mandate for one act: used up with the act, and not where the act fails.
    pub once: Option<Once>,
}

impl Ready {
    /// Steps, seals, keeps, records.
    pub async fn carry_out(
        self,
        rooms: &Arc<Rooms>,
        at: UnixMillis,
        order: Order,
        line: Entry,
    ) -> Result<Done, Refusal> {
        let line = ledger::telling(line, rooms, self.record.case.no, &self.key, None, order.note.as_deref())?;
        let (act, due) = (order.act, papers::promised(rooms, &self.dossier, order.act, at)?);
        let (case, leafs) = self.keep(rooms, at, order, None).await?;
        let line = ledger::step(line, act, &case);
        let mut entry = line.out(Outcome { status: Some(200), due, ..Outcome::default() });
        for leaf in leafs {
            entry = entry.evidence(leaf);
        }
        let committed = rooms.log.append(&entry).await?;
        keep::mark_logged(rooms, case.no, case.seq, committed.index).await?;
        let _ = rooms.news.send(case.no);
        Ok(Done { case, committed, here: true })
    }

    /// Steps, seals and keeps, with the peer's message that it answers; gives the case and its new papers, for the line.
    pub async fn keep(
        self,
        rooms: &Arc<Rooms>,
        at: UnixMillis,
        order: Order,
        inbox: Option<Inbox<'_>>,
    ) -> Result<(Case, Vec<Evidence>), Refusal> {
        let Self { record, key, dossier, once } = self;
        let no = record.case.no;
        let event = Event { act: order.act, by: &order.by };
        let (case, paper) = record.case.step(&event, at).map_err(ExchangeError::from)?;
        let (mut refs, mut files) = (Vec::new(), Vec::new());
        if let Some(kind) = paper {
            let keys = rooms.keys.load_full();
            let stamp = keep::stamp(&keys, kind);
            let bytes = papers::issue(rooms, stamp, kind, &case, &dossier, &order.by, order.note.as_deref(), at)?;
            let number = kind.number(no, case.seq);
            let file = keep::keep(rooms, &key, &format!("papers/{number}.ofd"), "application/ofd", &bytes)?;
            refs.push(PaperRef { kind, number, file: file.reference() });
            files.push(file);
        }
        if let Some(result) = &order.result {
            let file = result_file(rooms, &key, &case, &dossier, order.act, result).await?;
            refs.push(PaperRef { kind: Paper::Grant, number: file.path.clone(), file: file.reference() });
            files.push(file);
        }
        let leafs: Vec<_> = files.iter().map(step::leaf).collect();
        let mut messages = Vec::new();
        if let Some(to) = step::collector(&record) {
            let note = order.note.clone();
            let saying = Saying { act: order.act, ask: None, by: &order.by, papers: refs, note, asking: None, at };
            messages.push(step::seal(rooms, &key, &case, saying, &files, to).await?);
        }
        let note = order.note.as_deref();
        let (act, by) = (order.act, order.by.as_str());
        let moved = Moved { case: &case, act, by, note, papers: files, messages, inbox, once };
        moved.keep(rooms, &key, at).await?;
        Ok((case, leafs))
    }
}

pub async fn case_key(rooms: &Rooms, tx: &mut crate::store::Tx, no: CaseNo) -> Result<Key, Refusal> {
    let wrapped = records::wrapped_key(tx, no).await?;
    Ok(rooms.master.unwrap(&no.to_string(), &wrapped).map_err(ExchangeError::from)?)
}

/// The result licence: sealed, in force, and the applicant's own where it names a holder.
async fn result_file(
    rooms: &Arc<Rooms>,
    key: &Key,
    case: &Case,
    dossier: &Dossier,
    act: Act,
    result: &ResultFile,
) -> Result<Stored, Refusal> {
    let wrong = |why: String| Refusal::new(&super::intake::FORM, why);
    if !matches!(act, Act::Grant | Act::Close) {
        return Err(wrong(format!("a result does not come with '{}'", act.word())));
    }
    let bytes = B64.decode(&result.base64).map_err(|_| wrong("the result document is not base64".into()))?;
    let profile = super::prove::judged_by(rooms, UnixMillis::now());
    let judging = bytes.clone();
    let report = tokio::task::spawn_blocking(move || licences::verify("result", judging.as_slice(), &profile)).await;
    let report = report.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    rooms.certificate_status.notice(&report, report.at);
    if !report.passed() {
        return Err(wrong(format!("the result document's seal: {}", report.code.unwrap_or("not passed"))));
    }
    let holder = report.data.get(licences::names::HOLDER_CODE).map(|datum| datum.value.as_str());
    if holder.is_ok_and(|holder| holder != dossier.applicant.code) {
        return Err(wrong("the result document names another holder".into()));
    }
    keep::keep(rooms, key, &format!("papers/result-{}.ofd", case.seq), &result.media, &bytes)
}

/// Acts of an office, as the rules name them; `None` for what only the clock or the citizen does.
pub(super) fn case_act(act: Act) -> Option<CaseAct> {
    Some(match act {
        Act::Accept => CaseAct::Accept,
        Act::RequestSupplement => CaseAct::Supplement,
        Act::NotAccept => CaseAct::Refuse,
        Act::Return => CaseAct::Return,
        Act::BeginReview => CaseAct::Examine,
        Act::Suspend | Act::Resume => CaseAct::Suspend,
        Act::Escalate | Act::ComeBack => CaseAct::Escalate,
        Act::Extend => CaseAct::Extend,
        Act::Grant | Act::Refuse => CaseAct::Decide,
        // Closing records the result and owes its delivery.
        Act::Close | Act::HandOut | Act::ConfirmDelivery => CaseAct::Deliver,
        Act::Terminate => CaseAct::Terminate,
        Act::File | Act::Receive | Act::AcceptBySilence | Act::Supplement | Act::Withdraw | Act::Archive => {
            return None;
        }
    })
}
