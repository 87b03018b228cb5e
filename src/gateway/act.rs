//! What the owner's office does with a case: accept, ask for supplements, review, decide, close, hand out.
//!
//! ```text
//!  act ─▶ may this department, this official? ─▶ step ─▶ sealed paper ─▶ envelope ─▶ one transaction ─▶ log ─▶ answer
//! ```

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use serde::Deserialize;

use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use super::{facts, keep, papers, peer};
use crate::audit::Committed;
use crate::audit::entry::{Evidence as Leaf, Outcome};
use crate::exchange::message::{Message, PaperRef, Stored, VERSION};
use crate::exchange::records;
use crate::exchange::{Act, Case, Event, ExchangeError, Key};
use crate::policy::{Ask, CaseAct, Ground, Kind as WhoKind, Role, Who};
use crate::terms::{CaseNo, Digest, Refusal, RegionCode, UnixMillis};

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
    pub case: Case,
    pub committed: Committed,
}

/// Largest result document in octets.
const RESULT_MAX: usize = 16 << 20;

pub async fn order(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    no: CaseNo,
    order: Order,
) -> Result<Done, Refusal> {
    let office = terminal.office(rooms);
    let office =
        office.ok_or_else(|| Refusal::new(&WRONG_KIND, "only an enrolled approval system acts for an authority"))?;
    let mut tx = rooms.store.begin().await?;
    let record = records::load(&mut tx, no).await?.filter(|r| r.side != "collecting").ok_or(ExchangeError::NoCase)?;
    let key = case_key(rooms, &mut tx, no).await?;
    let dossier = record.dossier(&key)?;
    if !dossier.owner.lies_in(office.region) {
        return Err(ExchangeError::NoCase.into()); // not yours and not there are one answer
    }
    let permit = match case_act(order.act) {
        None => return Err(Refusal::new(&WRONG_KIND, "offices do not do this")),
        Some(act) => {
            let catalogue = rooms.catalogue.load();
            let mut who = Who::new(WhoKind::Department, &order.by);
            who.org = Some(office.authority.to_string());
            who.places = vec![office.region];
            who.roles = vec![Role::Accept, Role::Examine, Role::Approve, Role::Issue];
            let mut step = Ask::step(act, who, facts::case(&record, &dossier, catalogue.items.get(&dossier.item)));
            step.complete = true;
            step.grant = order.act == Act::Grant;
            step.reasons = order.note.as_deref().is_some_and(|n| !n.trim().is_empty());
            step.ground = order.ground.unwrap_or(Ground::None);
            rooms.policies.decide(&Ask::Step(step), trace.at).map_err(|denial| denial.refusal())?
        }
    };
    let event = Event { act: order.act, by: &order.by };
    let (case, paper) = record.case.step(&event, trace.at).map_err(ExchangeError::from)?;
    let (mut refs, mut files) = (Vec::new(), Vec::new());
    if let Some(kind) = paper {
        let stamp = keep::stamp(rooms, kind);
        let bytes = papers::issue(rooms, stamp, kind, &case, &dossier, &order.by, order.note.as_deref(), trace.at)?;
        let number = kind.number(no, case.seq);
        let file = keep::keep(rooms, &key, &format!("papers/{number}.ofd"), "application/ofd", &bytes)?;
        refs.push(PaperRef { kind, number, file: file.reference() });
        files.push(file);
    }
    if let Some(result) = &order.result {
        let file = result_file(rooms, &key, &case, result)?;
        refs.push(PaperRef { kind: crate::exchange::Paper::Grant, number: file.path.clone(), file: file.reference() });
        files.push(file);
    }
    let message = Message {
        v: VERSION,
        id: Message::id_of(no, &rooms.me.id, case.seq),
        from: rooms.me.id.clone(),
        to: collector_gateway(rooms, dossier.window)?,
        at: trace.at,
        case: no,
        act: order.act,
        state: case.state,
        seq: case.seq,
        assertion: String::new(),
        dossier: None,
        papers: refs,
        note: order.note.clone(),
    };
    let leafs: Vec<Leaf> = files
        .iter()
        .map(|f| Leaf { r#type: ledger::word("paper"), digest: Some(f.kept.digest), ..Leaf::default() })
        .collect();
    tell(rooms, &mut tx, &key, &record.side, message, &order.by, files, &case, trace).await?;
    records::save(&mut tx, &case, trace.at).await?;
    let note = order.note.as_ref().map(|n| key.seal("note", n.as_bytes())).transpose().map_err(ExchangeError::from)?;
    records::add_event(&mut tx, &case, order.act.word(), &order.by, note.as_deref(), trace.at).await?;
    tx.commit(()).await?;
    let mut entry = keep::act_line(trace, rooms, terminal, no).dec(ledger::allowed(&permit)).out(Outcome {
        status: Some(200),
        receipt: ledger::word(case.state.word()),
        ..Outcome::default()
    });
    for leaf in leafs {
        entry = entry.evidence(leaf);
    }
    let committed = rooms.log.append(&entry).await?;
    keep::mark_logged(rooms, no, case.seq, committed.index).await?;
    let _ = rooms.news.send(no);
    Ok(Done { case, committed })
}

/// Keeps the papers and, where another gateway collected the case, puts the message on its way.
#[expect(clippy::too_many_arguments, reason = "one step of one transaction")]
pub async fn tell(
    rooms: &Arc<Rooms>,
    tx: &mut crate::store::Tx,
    key: &Key,
    side: &str,
    mut message: Message,
    by: &str,
    files: Vec<Stored>,
    case: &Case,
    trace: &Trace,
) -> Result<(), Refusal> {
    for file in &files {
        records::add_file(tx, case.no, "paper", case.seq, file, key).await?;
    }
    if side == "both" {
        return Ok(());
    }
    let named = Digest::of(message.id.as_bytes());
    message.assertion = peer::vouch(rooms, &message.to, named, &official(by, trace.at), &rooms.me.id, trace.at)?;
    let container = keep::envelope(rooms, key, &message, files).await?;
    records::add_file(tx, case.no, "container", case.seq, &container, key).await?;
    let out = records::Outgoing {
        id: message.id.clone(),
        no: case.no,
        way: "peer".into(),
        target: message.to.clone(),
        path: container.path.clone(),
        attempts: 0,
    };
    Ok(records::post(tx, &out, trace.at).await?)
}

/// An official of a department behind us, as we vouch for one.
fn official(by: &str, now: UnixMillis) -> Person {
    Person {
        kind: PersonKind::Staff,
        subject: by.to_owned(),
        id: by.to_owned(),
        issuer: String::new(),
        name: None,
        resident: None,
        level: 0,
        level_at: now,
        org: None,
        roles: Vec::new(),
        places: Vec::new(),
        scopes: Vec::new(),
        session: Digest::of(by.as_bytes()),
        bound: true,
    }
}

fn collector_gateway(rooms: &Rooms, window: RegionCode) -> Result<String, Refusal> {
    Ok(rooms.directory.load().member_for(window)?.id.clone())
}

pub async fn case_key(rooms: &Rooms, tx: &mut crate::store::Tx, no: CaseNo) -> Result<Key, Refusal> {
    let wrapped = records::wrapped_key(tx, no).await?;
    Ok(rooms.master.unwrap(&no.to_string(), &wrapped).map_err(ExchangeError::from)?)
}

fn result_file(rooms: &Rooms, key: &Key, case: &Case, result: &ResultFile) -> Result<Stored, Refusal> {
    if result.base64.len() > RESULT_MAX / 3 * 4 {
        return Err(Refusal::new(&crate::exchange::FILE_TOO_LARGE, "the result document is too large"));
    }
    let bytes = B64.decode(&result.base64);
    let bytes = bytes.map_err(|_| Refusal::new(&super::intake::FORM, "the result document is not base64"))?;
    let profile = super::prove::profile(&rooms.directory.load(), UnixMillis::now());
    let report = crate::licences::verify("result", bytes.as_slice(), &profile);
    if !report.passed() {
        let why = format!("the result document's seal: {}", report.code.unwrap_or("not passed"));
        return Err(Refusal::new(&super::intake::FORM, why));
    }
    keep::keep(rooms, key, &format!("papers/result-{}.ofd", case.seq), &result.media, &bytes)
}

/// Acts of an office, as the rules name them; `None` for what only the clock or the citizen does.
fn case_act(act: Act) -> Option<CaseAct> {
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
