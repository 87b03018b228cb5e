//! Acts of the applicant, of the issuing desk and of a window under mandate: only the owner moves its case, so that a
//! collecting gateway asks.
//!
//! ```text
//!  here, at the owner:     step ─▶ paper, sealed ─▶ office told ─▶ collector told
//!  at the collector:       ask ──sealed──▶ owner: step … ──sealed──▶ collector: step
//! ```
//! Withdrawing takes a case back before it is decided (申请人可以撤回申请); handing out delivers what was decided (综合窗口出件).

use std::sync::Arc;

use super::ledger::Trace;
use super::rooms::Rooms;
use super::spending::Spending;
use super::step::{self, Asking, Moved, Saying, To};
use super::{keep, mandates, papers};
use crate::exchange::message::{Dossier, PaperRef, Stored};
use crate::exchange::outbox;
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, Case, Event, ExchangeError, Key, State};
use crate::identity::delegation::Once;
use crate::terms::{Refusal, UnixMillis};

pub use super::step::Inbox;

/// What papers name as the actor of a withdrawal.
const APPLICANT: &str = "本人";

/// An act with its paper made, not on record yet. Only [`prepare`] makes one.
pub struct Prepared {
    act: Act,
    note: Option<String>,
    record: Record,
    dossier: Dossier,
    key: Key,
    case: Case,
    papers: Vec<Stored>,
    refs: Vec<PaperRef>,
}

/// The acts that a wish comes to, from where the case stands: handing out is two, the desk says it in one.
pub fn acts(wish: Act, state: State) -> &'static [Act] {
    match (wish, state) {
        (Act::ConfirmDelivery, State::Closed) => &[Act::HandOut, Act::ConfirmDelivery],
        (Act::ConfirmDelivery, _) => &[Act::ConfirmDelivery],
        (Act::Accept, _) => &[Act::Accept],
        (Act::RequestSupplement, _) => &[Act::RequestSupplement],
        _ => &[Act::Withdraw],
    }
}

/// Whether a collecting gateway may ask for an act.
pub fn is_wish(act: Act) -> bool {
    matches!(act, Act::Withdraw | Act::ConfirmDelivery)
}

/// Whether a window of a collecting gateway may ask for an act under the owner's mandate: decisions are made where the case is.
pub fn is_mandated(act: Act) -> bool {
    matches!(act, Act::Accept | Act::RequestSupplement)
}

/// Steps the case and makes the act's paper.
///
/// # Errors
/// `TB-EXC-0001` where the case is not in a state for it.
pub async fn prepare(
    rooms: &Arc<Rooms>,
    record: Record,
    key: Key,
    act: Act,
    by: &str,
    note: Option<String>,
    at: UnixMillis,
) -> Result<Prepared, Refusal> {
    let dossier = record.dossier(&key)?;
    let (case, paper) = record.case.step(&Event { act, by }, at).map_err(ExchangeError::from)?;
    let (mut refs, mut files) = (Vec::new(), Vec::new());
    if let Some(kind) = paper {
        let keys = rooms.keys.load_full();
        let stamp = keep::stamp(&keys, kind);
        let who = if act == Act::Withdraw { APPLICANT } else { by };
        let bytes = papers::issue(rooms, stamp, kind, &case, &dossier, who, note.as_deref(), at)?;
        let number = kind.number(case.no, case.seq);
        let file = keep::keep(rooms, &key, &format!("papers/{number}.ofd"), "application/ofd", &bytes)?;
        refs.push(PaperRef { kind, number, file: file.reference() });
        files.push(file);
    }
    Ok(Prepared { act, note, record, dossier, key, case, papers: files, refs })
}

impl Prepared {
    /// Puts it on record, and everybody who has the case is told. `once` is a paper for one act, used up in the same
    /// transaction.
    pub async fn keep(
        self,
        rooms: &Arc<Rooms>,
        by: &str,
        inbox: Option<Inbox<'_>>,
        once: Option<Once>,
        at: UnixMillis,
    ) -> Result<Case, Refusal> {
        let Self { act, note, record, dossier, key, case, papers, refs } = self;
        let tell = [step::collector(&record), rooms.office_of(dossier.owner, &dossier.authority).ok().map(To::Office)];
        let mut messages = Vec::new();
        for to in tell.into_iter().flatten() {
            let saying = Saying { act, ask: None, by, papers: refs.clone(), note: note.clone(), asking: None, at };
            messages.push(step::seal(rooms, &key, &case, saying, &papers, to).await?);
        }
        let moved = Moved { case: &case, act, by, note: note.as_deref(), papers, messages, inbox, once };
        moved.keep(rooms, &key, at).await?;
        Ok(case)
    }
}

/// What the owner is asked for.
pub struct Asked<'a> {
    pub act: Act,
    pub by: &'a str,
    pub note: Option<String>,
    /// A paper for one act, used up when the message is on its way.
    pub spending: &'a Spending,
    pub asking: Asking<'a>,
}

/// Asks the owner; `false` where it is asked already. The same wish twice is one message; the case here moves when the
/// owner's answer comes.
pub async fn ask(
    rooms: &Arc<Rooms>,
    record: &Record,
    key: &Key,
    asked: Asked<'_>,
    trace: &Trace,
) -> Result<bool, Refusal> {
    let Asked { act: wish, by, note, spending, asking } = asked;
    let at = trace.at;
    let case = &record.case;
    // What the owner would refuse as well is refused here, at the window.
    let first = acts(wish, case.state)[0];
    case.step(&Event { act: first, by }, at).map_err(ExchangeError::from)?;
    let mut tx = rooms.store.read().await?;
    let lines = outbox::of_case(&mut tx, case.no).await?;
    drop(tx);
    let asked: Vec<_> = lines.iter().filter(|line| line.asks_for(wish)).collect();
    // On its way, or taken and its answer on the way: it is asked. Only a no may be asked again.
    if asked.iter().any(|line| line.done.is_none() || line.receipted) {
        return Ok(false);
    }
    let ask = Some(asked.len());
    let saying = Saying { act: wish, ask, by, papers: Vec::new(), note, asking: Some(asking), at };
    let sealed = step::seal(rooms, key, case, saying, &[], To::Member(case.no.owner())).await?;
    let outcome = async {
        spending.spend(rooms, trace).await?;
        let mut tx = rooms.store.begin().await?;
        if let Some(paper) = spending.here() {
            mandates::use_once(&mut tx, paper, at).await?;
        }
        let posted = async {
            records::add_file(&mut tx, case.no, "container", case.seq, &sealed.container, key).await?;
            Ok(outbox::post(&mut tx, &sealed.line, at).await?)
        };
        match posted.await {
            // The same wish came twice at once: one of the two is on its way, and the other costs nobody a paper.
            Err(ExchangeError::Store(error)) if error.is_duplicate() => return Ok(false),
            other => other?,
        }
        tx.commit(()).await?;
        Ok::<_, Refusal>(true)
    }
    .await;
    if !matches!(outcome, Ok(true)) {
        keep::forget_unnamed(rooms, [sealed.container.kept.id.as_str()].into_iter()).await;
    }
    outcome
}
