//! The owner acted on a case that we collected: accepted, decided, returned.

use std::sync::Arc;

use super::super::{keep, peer, receipt};
use super::{Opened, arrival_line, container, forget, genuine, recorded};
use crate::exchange::message::Stored;
use crate::exchange::{Event, ExchangeError, Key, records};
use crate::federation::FederationError;
use crate::gateway::Rooms;
use crate::gateway::act::case_key;
use crate::gateway::concern::Concern;
use crate::gateway::ledger::{self, Trace};
use crate::terms::Refusal;

pub async fn take(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let vouched = opened.vouched.as_ref();
    let vouched = vouched.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for this act"))?;
    let by = format!("{}/{}", message.from, vouched.actor);
    let (record, key) = {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, message.case).await?.ok_or(ExchangeError::NoCase)?;
        (record, case_key(rooms, &mut tx, message.case).await?)
    };
    let concern = Concern::of(&record).with(&record.dossier(&key)?);
    let owner = rooms.directory.load().member_for(message.case.owner())?.id.clone();
    if record.side != "collecting" || owner != message.from {
        let why = format!("{} may not do this to {}", message.from, message.case);
        return Err(FederationError::NotThatMember(why).into());
    }
    trace.concerns(concern.clone());
    let event = Event { act: message.act, by: &by };
    let (case, paper) = record.case.step(&event, message.at).map_err(ExchangeError::from)?;
    if case.state != message.state || case.seq != message.seq {
        return Err(ExchangeError::Message("the sender sees this case in another state".into()).into());
    }
    genuine::papers(opened, rooms, paper, case.seq).await?;
    // What came was written under a key of its own; it joins the case under the case's key.
    let mut own = Vec::new();
    for file in opened.files.iter().cloned().chain([container(opened)]) {
        own.push(rekey(rooms, &opened.key, &key, file).await?);
    }
    let outcome = async {
        let mut tx = rooms.store.begin().await?;
        records::save(&mut tx, &case, trace.at).await?;
        records::add_event(&mut tx, &case, message.act.word(), &by, None, trace.at).await?;
        for file in &own {
            let role = if file.path.starts_with("containers/") { "container" } else { "paper" };
            records::add_file(&mut tx, case.no, role, case.seq, file, &key).await?;
        }
        let receipt = receipt::give(rooms, &message.id, opened.container.digest, trace.at, None)?;
        records::receive(&mut tx, &message.id, opened.container.digest, &receipt, trace.at).await?;
        tx.commit(()).await?;
        Ok::<_, Refusal>(())
    }
    .await;
    if outcome.is_err() {
        keep::forget_unnamed(rooms, own.iter().map(|f| f.kept.id.as_str())).await;
    }
    outcome?;
    forget(rooms, opened).await;
    let line = arrival_line(opened, rooms, trace, &concern);
    let line = ledger::telling(line, rooms, case.no, &key, None, message.note.as_deref())?;
    let line = ledger::step(line, message.act, &case);
    recorded(opened, rooms, trace, &line, case.seq..=case.seq).await
}

/// Writes a file again under another key, on the blocking pool.
async fn rekey(rooms: &Arc<Rooms>, from: &Key, to: &Key, file: Stored) -> Result<Stored, Refusal> {
    let (rooms, from, to) = (rooms.clone(), from.clone(), to.clone());
    let work = move || -> Result<Stored, ExchangeError> {
        let reading = rooms.vault.read(&from, &file.kept)?;
        let mut writing = rooms.vault.write(&to, u64::MAX)?;
        for n in 0..reading.chunks() {
            writing.push(&reading.chunk(n)?)?;
        }
        Ok(Stored { kept: writing.finish()?, ..file })
    };
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "writing was cut off"))??)
}
