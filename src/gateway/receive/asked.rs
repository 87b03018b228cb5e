//! The collecting gateway asks, in the applicant's name, for an act that only the owner can do: it owns the case.

use std::sync::Arc;

use super::super::{keep, peer, receipt};
use super::{Opened, arrival_line, forget};
use crate::exchange::{Act, ExchangeError, records};
use crate::federation::FederationError;
use crate::gateway::Rooms;
use crate::gateway::act::case_key;
use crate::gateway::ledger::Trace;
use crate::gateway::withdraw;
use crate::terms::Refusal;

pub async fn take(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let vouched = opened.vouched.as_ref();
    let vouched = vouched.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for what is asked"))?;
    if message.act != Act::Withdraw || !message.papers.is_empty() {
        return Err(ExchangeError::Message(format!("'{}' is not asked for", message.act.word())).into());
    }
    let (record, key) = {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, message.case).await?.ok_or(ExchangeError::NoCase)?;
        (record, case_key(rooms, &mut tx, message.case).await?)
    };
    let collector = rooms.directory.load().member_for(record.window)?.id.clone();
    if record.side != "owning" || collector != message.from {
        let why = format!("{} did not collect {}", message.from, message.case);
        return Err(FederationError::NotThatMember(why).into());
    }
    let by = format!("{}/{}", message.from, vouched.actor);
    let withdrawal = withdraw::prepare(rooms, record, key, &by, trace.at).await?;
    let receipt = receipt::give(rooms, &message.id, opened.container.digest, trace.at)?;
    let inbox = withdraw::Inbox { id: &message.id, digest: opened.container.digest, receipt: &receipt };
    let case = withdrawal.keep(rooms, &by, Some(inbox), trace.at).await?;
    // What was asked stands in the log; the case keeps what came of it.
    forget(rooms, opened).await;
    let committed = rooms.log.append(&arrival_line(opened, rooms, trace)).await?;
    keep::mark_logged(rooms, case.no, case.seq, committed.index).await?;
    let _ = rooms.news.send(case.no);
    Ok(receipt)
}
