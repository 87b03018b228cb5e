//! One step of a case put on record: papers and sealed messages first, then one transaction.
//!
//! ```text
//!  papers, containers into the vault       crash: files that nobody names
//!  ── transaction: paper for one act · case (compare and swap) · event · files · outbox · inbox ──   crash: nothing happened
//! ```

use std::sync::Arc;

use super::rooms::{Rooms, System};
use super::who::{Person, PersonKind};
use super::{keep, ledger, mandates, peer};
use crate::exchange::message::{Demanded, Message, PaperRef, Stored, VERSION};
use crate::exchange::outbox::{self, Outgoing};
use crate::exchange::records::{self, Record};
use crate::exchange::{Act, Case, ExchangeError, Key};
use crate::identity::delegation::Once;
use crate::terms::{Attributes, Digest, Refusal, RegionCode, UnixMillis};

/// A message that is sealed and waits for its transaction.
pub struct Sealed {
    pub container: Stored,
    pub line: Outgoing,
}

/// Who gets a message.
pub enum To {
    /// The member that works for this place.
    Member(RegionCode),
    Office(Arc<System>),
}

/// What a message says beside the case.
pub struct Saying<'a> {
    pub act: Act,
    /// Asks for the act, for the nth time, instead of telling of it.
    pub ask: Option<usize>,
    pub by: &'a str,
    pub papers: Vec<PaperRef>,
    pub note: Option<String>,
    /// Who asks for an act.
    pub asking: Option<Asking<'a>>,
    pub at: UnixMillis,
}

/// Whoever asks the owner for an act: the applicant or their agent, staff, or a clerk of a window under the owner's mandate.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub person: &'a Person,
    /// Where they stand, as records name it.
    pub terminal: &'a str,
    /// The mandate, as signed.
    pub mandate: Option<&'a str>,
    /// What the applicant is asked for.
    pub materials: &'a [Demanded],
}

/// Seals a message about a case; no material is in it, only papers.
pub async fn seal(
    rooms: &Arc<Rooms>,
    key: &Key,
    case: &Case,
    saying: Saying<'_>,
    files: &[Stored],
    to: To,
) -> Result<Sealed, Refusal> {
    let Saying { act, ask, by, papers, note, asking, at } = saying;
    let (way, target, member) = match to {
        To::Member(place) => {
            let member = rooms.directory.load().member_for(place)?.id.clone();
            ("peer", member.clone(), member)
        }
        To::Office(office) => ("office", office.id.clone(), rooms.me.id.clone()),
    };
    let id = match ask {
        Some(nth) => Message::ask_id(case.no, &rooms.me.id, act, nth),
        None => Message::id_of(case.no, &rooms.me.id, &member, case.seq),
    };
    let named = Digest::of(id.as_bytes());
    let own = own(act, by, at);
    let (actor, terminal) = asking.map_or((&own, rooms.me.id.as_str()), |asking| (asking.person, asking.terminal));
    let message = Message {
        v: VERSION,
        from: rooms.me.id.clone(),
        to: member.clone(),
        at,
        case: case.no,
        act,
        ask: ask.is_some(),
        state: case.state,
        seq: case.seq,
        assertion: peer::vouch(rooms, &member, named, (actor, None), terminal, at)?,
        delegation: asking.and_then(|asking| asking.mandate).map(str::to_owned),
        dossier: None,
        papers,
        note,
        materials: asking.map(|asking| asking.materials.to_vec()).unwrap_or_default(),
        id: id.clone(),
    };
    let container = keep::envelope(rooms, key, &message, files.to_vec()).await?;
    let line = Outgoing { id, no: case.no, way: way.to_owned(), target, path: container.path.clone(), attempts: 0 };
    Ok(Sealed { container, line })
}

/// Whoever did an act here, as we vouch for one: somebody of the authority by their number; an applicant who took the case
/// back by a name for that reader alone, for `by` is what our own log calls them.
fn own(act: Act, by: &str, now: UnixMillis) -> Person {
    Person {
        kind: if act == Act::Withdraw { PersonKind::Citizen } else { PersonKind::Clerk },
        subject: by.to_owned(),
        id: by.to_owned(),
        issuer: String::new(),
        name: None,
        resident: None,
        contact: Attributes::default(),
        level: 0,
        level_at: now,
        method: None,
        org: None,
        roles: Vec::new(),
        places: Vec::new(),
        scopes: Vec::new(),
        session: Digest::of(by.as_bytes()),
        bound: true,
        paper: None,
        post: crate::policy::Post::A,
        stands_in_for: None,
        behalf: None,
    }
}

/// A peer's message that this step answers.
pub struct Inbox<'a> {
    pub id: &'a str,
    pub digest: Digest,
    pub receipt: &'a str,
}

/// A step with everything that belongs to it.
pub struct Moved<'a> {
    /// As it is after the step.
    pub case: &'a Case,
    pub act: Act,
    pub by: &'a str,
    pub note: Option<&'a str>,
    pub papers: Vec<Stored>,
    pub messages: Vec<Sealed>,
    pub inbox: Option<Inbox<'a>>,
    /// A paper for one act that this act uses up.
    pub once: Option<Once>,
}

impl Moved<'_> {
    /// Keeps the step; where that fails, its files go.
    pub async fn keep(self, rooms: &Rooms, key: &Key, at: UnixMillis) -> Result<(), Refusal> {
        let outcome = self.transact(rooms, key, at).await;
        if outcome.is_err() {
            let files = self.papers.iter().chain(self.messages.iter().map(|m| &m.container));
            keep::forget_unnamed(rooms, files.map(|f| f.kept.id.as_str())).await;
        }
        outcome
    }

    async fn transact(&self, rooms: &Rooms, key: &Key, at: UnixMillis) -> Result<(), Refusal> {
        let case = self.case;
        let note = self.note.map(|n| key.seal("note", n.as_bytes())).transpose().map_err(ExchangeError::from)?;
        let mut tx = rooms.store.begin().await?;
        if let Some(once) = self.once {
            mandates::use_once(&mut tx, once, at).await?;
        }
        records::save(&mut tx, case, at).await?;
        records::add_event(&mut tx, case, self.act.word(), self.by, note.as_deref(), at).await?;
        for file in &self.papers {
            records::add_file(&mut tx, case.no, "paper", case.seq, file, key).await?;
        }
        for message in &self.messages {
            records::add_file(&mut tx, case.no, "container", case.seq, &message.container, key).await?;
            outbox::post(&mut tx, &message.line, at).await?;
        }
        if let Some(inbox) = &self.inbox {
            records::receive(&mut tx, inbox.id, inbox.digest, inbox.receipt, at).await?;
        }
        tx.commit(()).await?;
        Ok(())
    }
}

/// Where a record's case is told of what we did with it: the gateway that collected it, unless that is us.
pub fn collector(record: &Record) -> Option<To> {
    (record.side == "owning").then_some(To::Member(record.window))
}

/// The line of a paper in the log.
pub fn leaf(file: &Stored) -> crate::audit::entry::Evidence {
    crate::audit::entry::Evidence {
        r#type: ledger::word("paper"),
        digest: Some(file.kept.digest),
        ..crate::audit::entry::Evidence::default()
    }
}
