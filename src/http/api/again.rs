//! What takes its time is judged again before its answer leaves: a stream at every look, a lookup or a verification when it is done.

use super::{Asked, person};
use crate::exchange::ExchangeError;
use crate::exchange::records;
use crate::gateway::desk::Viewer;
use crate::gateway::ledger::Trace;
use crate::gateway::who::{NO_TERMINAL, Person, Terminal};
use crate::gateway::{duty, entrusted};
use crate::partners;
use crate::policy::CaseLink;
use crate::terms::{Refusal, UnixMillis};

/// Who asks and from where, as both are known by now.
pub struct Still {
    pub trace: Trace,
    pub terminal: Terminal,
    pub actor: Person,
}

impl Still {
    pub fn viewer<'a>(&'a self, asked: &'a Asked) -> Viewer<'a> {
        Viewer { trace: &self.trace, terminal: &self.terminal, person: &self.actor, errand: asked.errand.as_ref() }
    }
}

/// Whether they would still be let in for this act: a contract may have ended, a certificate, a mandate, a paper or a token been
/// revoked, a first post come back since the request came.
///
/// # Errors
/// As for a request that comes now.
pub async fn still(asked: &Asked, act: partners::Act) -> Result<Still, Refusal> {
    let now = UnixMillis::now();
    let trace = asked.trace.later(now);
    let mut terminal = Terminal::recognise(&asked.rooms, &asked.client, now)?;
    match (&asked.terminal, &mut terminal) {
        (Terminal::Outlet { terminal: before, .. }, Terminal::Outlet { contract, terminal }) => {
            terminal.told = before.told;
            let _yes = entrusted::may(&asked.rooms, &trace, (contract, terminal), act, None).await?;
        }
        (Terminal::Unknown, _) | (_, Terminal::Window(_) | Terminal::System(_) | Terminal::Peer(_)) => {}
        _ => return Err(Refusal::new(&NO_TERMINAL, "the certificate is not known any more")),
    }
    asked.lasting.still(&asked.rooms, &trace).await?;
    let mut actor = person(asked)?.clone();
    let duty = duty::of(&asked.rooms, &actor.subject, now).await?;
    if asked.errand.is_some() {
        duty.still_acting()?;
    }
    duty.seat(&mut actor);
    Ok(Still { trace, terminal, actor })
}

/// The case that justifies something, as it stands by now.
///
/// # Errors
/// The store's; `TB-EXC-0001` where it is gone.
pub async fn case(asked: &Asked, before: Option<&CaseLink>) -> Result<Option<CaseLink>, Refusal> {
    let Some(before) = before else { return Ok(None) };
    let mut tx = asked.rooms.store.read().await?;
    let record = records::load(&mut tx, before.no).await?.ok_or(ExchangeError::NoCase)?;
    Ok(Some(CaseLink { open: record.case.state.is_undecided(), ..before.clone() }))
}
