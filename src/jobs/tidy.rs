//! Housekeeping: what a crash left half done, and what has had its time. Of several replicas one at a time does it.

use std::sync::Arc;

use crate::audit::{Entry, Kind};
use crate::exchange::records::{self, Unlogged};
use crate::exchange::{Act, ExchangeError};
use crate::gateway::act::case_key;
use crate::gateway::concern::Concern;
use crate::gateway::{Rooms, keep, ledger};
use crate::store::{asker, lease, once, revoked, session};
use crate::terms::{Refusal, UnixMillis};

/// The lease of housekeeping and how long it is held, in milliseconds.
const LEASE: &str = "tidy";
const LEASE_MS: i64 = 60_000;
/// An act whose line is missing for this long was cut off by a crash, in milliseconds: far longer than any request takes.
const CUT_OFF_MS: i64 = 10 * 60_000;
/// Most lines, remembered proofs, and peers that asked, of one round.
const LINES: i64 = 1_000;
const PROOFS: i64 = 10_000;
const ASKERS: i64 = 10_000;
/// A file that no case names for this long was left by a filing that did not come about, in seconds.
const UNNAMED_S: u64 = 24 * 3_600;

/// One round; `number` counts them, so that the vault is looked through piece by piece.
pub async fn round(rooms: &Arc<Rooms>, number: u64, now: UnixMillis) -> Result<(), Refusal> {
    let mut tx = rooms.store.begin().await?;
    let ours = lease::acquire(&mut tx, LEASE, &rooms.replica, now, LEASE_MS).await?;
    tx.commit(()).await?;
    if ours.is_none() {
        return Ok(());
    }
    left_out(rooms, now, UnixMillis(now.0 - CUT_OFF_MS)).await?;
    let mut tx = rooms.store.begin().await?;
    once::forget_expired(&mut tx, now, PROOFS).await?;
    revoked::forget_expired(&mut tx, now).await?;
    session::forget_expired(&mut tx, now).await?;
    asker::forget_expired(&mut tx, now, ASKERS).await?;
    tx.commit(()).await?;
    unnamed(rooms, number).await
}

/// Writes the lines of acts kept before `before` that are not in the log.
pub async fn left_out(rooms: &Arc<Rooms>, now: UnixMillis, before: UnixMillis) -> Result<(), Refusal> {
    let mut tx = rooms.store.read().await?;
    let missing = records::unlogged(&mut tx, before, LINES).await?;
    drop(tx);
    for act in missing {
        let Unlogged { no, seq, .. } = act;
        let line = ledger::line(rooms, Kind::CaseEvent, now).actor(ledger::system()).case(rooms.pseudonyms.case(no));
        let facts = [("act", act.act.as_str()), ("by", act.by.as_str()), ("recovered", "after-crash")];
        let entry = ledger::facts(telling(rooms, &act, line).await?, &facts);
        let committed = rooms.log.append(&entry).await?;
        keep::mark_logged(rooms, no, seq, committed.index).await?;
        tracing::info!(case.no = %no, seq, "a line that a crash left out is in the log now");
    }
    Ok(())
}

/// What the line that was left out would have told of people; nothing where the key of the case is gone.
async fn telling(rooms: &Rooms, act: &Unlogged, line: Entry) -> Result<Entry, Refusal> {
    let mut tx = rooms.store.read().await?;
    let (Ok(key), Some(record)) =
        (case_key(rooms, &mut tx, act.no).await, records::load(&mut tx, act.no).await.map_err(ExchangeError::from)?)
    else {
        return Ok(line);
    };
    drop(tx);
    let dossier = record.dossier(&key)?;
    let line = Concern::of(&record).with(&dossier).on(rooms, line);
    let note = act.note.as_ref().map(|note| key.open("note", note)).transpose().map_err(ExchangeError::from)?;
    let note = note.and_then(|note| String::from_utf8(note).ok());
    let applicant = (act.act == Act::Receive.word()).then_some(&dossier.applicant);
    ledger::telling(line, rooms, act.no, &key, applicant, note.as_deref())
}

/// Removes old files of one drawer of the vault that no case names.
async fn unnamed(rooms: &Arc<Rooms>, number: u64) -> Result<(), Refusal> {
    let vault = rooms.vault.clone();
    let drawer = (number % 256) as u8;
    let old = tokio::task::spawn_blocking(move || vault.older_than(drawer, UNNAMED_S)).await;
    let old = old.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "looking through the vault was cut off"))?;
    let old = old.map_err(ExchangeError::from)?;
    keep::forget_unnamed(rooms, old.iter().map(String::as_str)).await;
    Ok(())
}
