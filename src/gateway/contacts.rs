//! Contacts between those who handle a case and the person it is about (不得单独接触): each is put on record by whoever had it, and
//! the person sees it.
//!
//! ```text
//!  clerk or official ─▶ may they read the case? ─▶ line in the log: who, which way, alone or not ─▶ the person's own page
//! ```
//! Nothing of the case moves. What was said is sealed under the key of the case; what nobody puts on record, no program knows.

use std::sync::Arc;

use serde::Deserialize;

use super::act::{self, official};
use super::concern::Concern;
use super::desk::{self, Seen, Viewer};
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use super::{facts, intake};
use crate::audit::entry::Outcome;
use crate::audit::{Committed, Kind};
use crate::exchange::Key;
use crate::exchange::records::Record;
use crate::policy::{Ask, CaseAct, Permit};
use crate::terms::words::words;
use crate::terms::{CaseNo, Refusal};

words! {
    /// Where and how a contact was: the first four are parts of the work, others have to be explained.
    pub enum Way {
        Receipt = "receipt", "接件", "at receipt";
        Window = "window", "窗口", "at the window";
        SiteCheck = "site_check", "现场核查", "site check";
        TechnicalReview = "technical_review", "技术审查", "technical review";
        Telephone = "telephone", "电话", "by telephone";
        Message = "message", "信函短信", "by letter or message";
        Other = "other", "其他", "otherwise";
    }
}

/// Fact of a line that records a contact.
pub const FACT: &str = "contact";

/// A contact, as whoever had it tells of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub way: Way,
    /// No colleague was there.
    pub alone: bool,
    /// What it was about; needed for [`Way::Other`].
    #[serde(default)]
    pub note: Option<String>,
    /// Staff number of the official, where an office's system tells of it.
    #[serde(default)]
    pub by: Option<String>,
}

impl Contact {
    fn check(&self, told_by_system: bool) -> Result<(), Refusal> {
        let wrong = |why: &str| Err(Refusal::new(&intake::FORM, why));
        let note = self.note.as_deref().map_or("", str::trim);
        if note.chars().count() > desk::REMARK_MAX || note.chars().any(char::is_control) {
            return wrong("note: at most 200 characters, on one line");
        }
        if self.way == Way::Other && note.is_empty() {
            return wrong("note: say what kind of contact it was");
        }
        match (&self.by, told_by_system) {
            (None, true) => wrong("by: the staff number of the official"),
            (Some(_), false) => wrong("by: the token says who it was"),
            (Some(by), true) if ledger::word(by).is_none() => wrong("by: 1 to 128 visible ASCII characters"),
            _ => Ok(()),
        }
    }
}

/// A clerk of the window that collected the case tells of a contact.
///
/// # Errors
/// `TB-GW-0103` for anybody but staff of a window, `TB-EXC-0002` for a case that is none of theirs, `TB-GW-0001` for the form.
pub async fn at_window(
    rooms: &Arc<Rooms>,
    viewer: &Viewer<'_>,
    no: CaseNo,
    contact: &Contact,
) -> Result<Committed, Refusal> {
    let (person, terminal) = (viewer.person, viewer.terminal);
    if person.kind != PersonKind::Clerk || !matches!(terminal, Terminal::Window(_)) {
        return Err(Refusal::new(&WRONG_KIND, "whoever handles the case at a window tells of it"));
    }
    contact.check(false)?;
    let Seen { record, key, .. } = desk::read(rooms, viewer, no).await?;
    told(rooms, viewer.trace, (Some(person), terminal), (&record, &key), contact, None).await
}

/// An office's system tells of a contact of one of its officials.
///
/// # Errors
/// As [`at_window`].
pub async fn of_office(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    no: CaseNo,
    contact: &Contact,
) -> Result<Committed, Refusal> {
    contact.check(true)?;
    let (office, case) = act::owned(rooms, trace, terminal, no).await?;
    let permit = {
        let catalogue = rooms.catalogue.load();
        let who = official(office, contact.by.as_deref().unwrap_or_default());
        let facts = facts::case(&case.record, &case.dossier, catalogue.items.get(&case.dossier.item));
        let ask = Ask::Step(Ask::step(CaseAct::Read, who, facts));
        rooms.policies.decide(&ask, trace.at).map_err(|denial| denial.refusal())?
    };
    told(rooms, trace, (None, terminal), (&case.record, &case.key), contact, Some(&permit)).await
}

async fn told(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    (person, terminal): (Option<&Person>, &Terminal),
    (record, key): (&Record, &Key),
    contact: &Contact,
    permit: Option<&Permit>,
) -> Result<Committed, Refusal> {
    let no = record.case.no;
    let mut line = Concern::of(record)
        .with(&record.dossier(key)?)
        .on(rooms, trace.about(rooms, Kind::CaseEvent, person, terminal))
        .out(Outcome { status: Some(200), ..Outcome::default() });
    if let Some(permit) = permit {
        line = line.dec(ledger::allowed(permit));
    }
    let alone = if contact.alone { "yes" } else { "no" };
    line = ledger::facts(line, &[("act", "contact"), (FACT, contact.way.word()), ("alone", alone)]);
    if let Some(by) = &contact.by {
        line = ledger::facts(line, &[("by", by)]);
    }
    let line = ledger::telling(line, rooms, no, key, None, contact.note.as_deref())?;
    Ok(rooms.log.append(&line).await?)
}
