//! Withdrawing: the applicant takes a case back before it is decided (许可法: 申请人可以撤回申请).
//!
//! ```text
//!  here, at the owner:     step ─▶ confirmation, sealed ─▶ office told ─▶ collector told
//!  at the collector:       ask ──sealed──▶ owner: step … ──sealed──▶ collector: step      (only the owner moves its case)
//! ```

use std::sync::Arc;

use super::rooms::Rooms;
use super::step::{self, Moved, Saying, To};
use super::{keep, papers};
use crate::exchange::message::{Dossier, PaperRef, Stored};
use crate::exchange::outbox;
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, Case, Event, ExchangeError, Key};
use crate::terms::{Refusal, UnixMillis};

pub use super::step::Inbox;

/// What the confirmation names as the actor.
const APPLICANT: &str = "本人";

/// A withdrawal with its paper made, not on record yet. Only [`prepare`] makes one.
pub struct Withdrawal {
    record: Record,
    dossier: Dossier,
    key: Key,
    case: Case,
    papers: Vec<Stored>,
    refs: Vec<PaperRef>,
}

/// Steps the case and makes the confirmation.
///
/// # Errors
/// `TB-EXC-0001` once the case is decided or over.
pub async fn prepare(
    rooms: &Arc<Rooms>,
    record: Record,
    key: Key,
    by: &str,
    at: UnixMillis,
) -> Result<Withdrawal, Refusal> {
    let dossier = record.dossier(&key)?;
    let event = Event { act: Act::Withdraw, by };
    let (case, paper) = record.case.step(&event, at).map_err(ExchangeError::from)?;
    let (mut refs, mut files) = (Vec::new(), Vec::new());
    if let Some(kind) = paper {
        let stamp = keep::stamp(rooms, kind);
        let bytes = papers::issue(rooms, stamp, kind, &case, &dossier, APPLICANT, None, at)?;
        let number = kind.number(case.no, case.seq);
        let file = keep::keep(rooms, &key, &format!("papers/{number}.ofd"), "application/ofd", &bytes)?;
        refs.push(PaperRef { kind, number, file: file.reference() });
        files.push(file);
    }
    Ok(Withdrawal { record, dossier, key, case, papers: files, refs })
}

impl Withdrawal {
    /// Puts it on record, and everybody who has the case is told.
    pub async fn keep(
        self,
        rooms: &Arc<Rooms>,
        by: &str,
        inbox: Option<Inbox<'_>>,
        at: UnixMillis,
    ) -> Result<Case, Refusal> {
        let Self { record, dossier, key, case, papers, refs } = self;
        let tell = [step::collector(&record), step::office(rooms, &dossier).map(To::Office)];
        let mut messages = Vec::new();
        for to in tell.into_iter().flatten() {
            let saying = Saying { act: Act::Withdraw, ask: false, by, papers: refs.clone(), note: None, at };
            messages.push(step::seal(rooms, &key, &case, saying, &papers, to).await?);
        }
        let moved = Moved { case: &case, act: Act::Withdraw, by, note: None, papers, messages, inbox };
        moved.keep(rooms, &key, at).await?;
        Ok(case)
    }
}

/// Asks the owner. The same wish twice is one message; the case here moves when the owner's answer comes.
pub async fn ask(rooms: &Arc<Rooms>, record: &Record, key: &Key, by: &str, at: UnixMillis) -> Result<(), Refusal> {
    let case = &record.case;
    // What the owner would refuse as well is refused here, at the window.
    case.step(&Event { act: Act::Withdraw, by }, at).map_err(ExchangeError::from)?;
    let saying = Saying { act: Act::Withdraw, ask: true, by, papers: Vec::new(), note: None, at };
    let sealed = step::seal(rooms, key, case, saying, &[], To::Member(case.no.owner())).await?;
    let outcome = async {
        let mut tx = rooms.store.begin().await?;
        let asked = outbox::of_case(&mut tx, case.no).await?;
        if asked.iter().any(|line| line.path.contains("-ask-") && line.done.is_none()) {
            return Ok(false);
        }
        records::add_file(&mut tx, case.no, "container", case.seq, &sealed.container, key).await?;
        outbox::post(&mut tx, &sealed.line, at).await?;
        tx.commit(()).await?;
        Ok::<_, Refusal>(true)
    }
    .await;
    if !matches!(outcome, Ok(true)) {
        keep::forget_unnamed(rooms, [sealed.container.kept.id.as_str()].into_iter()).await;
    }
    outcome.map(|_| ())
}
