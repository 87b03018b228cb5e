//! Floor 7: what time sets going: deliveries, lines that a crash left out, things to forget.
//!
//! ```text
//!  outbox ──due──▶ line (intent) ─▶ peer · office ─▶ receipt ─▶ line (outcome) ─▶ done
//!     ▲ same bytes, same id, later and later │no
//!     └──────────────────────────────────────┘
//! ```

pub mod anchors;
pub mod deliver;
pub mod log;
pub mod witnesses;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::audit::{Entry, Kind};
use crate::gateway::{Rooms, keep, ledger};
use crate::store::{Dialect, once};
use crate::terms::{Refusal, UnixMillis};

/// How often the outbox is looked at, in milliseconds; news of a case wakes it at once.
const LOOK_MS: u64 = 500;
/// How often housekeeping runs, in seconds.
const HOUSEKEEPING_S: u64 = 30;
/// An act whose line is missing for this long was cut off by a crash, in milliseconds.
const CUT_OFF_MS: i64 = 10_000;

/// Runs until `stop` turns true.
pub async fn run(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = pick_up(&rooms, UnixMillis::now()).await {
        tracing::error!(%error, "what an earlier life left could not be picked up");
    }
    let mut news = rooms.news.subscribe();
    let mut housekeeping = tokio::time::interval(Duration::from_secs(HOUSEKEEPING_S));
    loop {
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => return,
            _ = news.recv() => {}
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
            _ = housekeeping.tick() => {
                if let Err(error) = tidy(&rooms, UnixMillis::now()).await {
                    tracing::warn!(%error, "housekeeping failed");
                }
            }
        }
        if let Err(error) = deliver::due(&rooms, UnixMillis::now()).await {
            tracing::warn!(%error, "deliveries failed");
        }
    }
}

/// What an earlier life left: intents without an outcome are closed as recovered (the result is not known; the receiver's
/// memory of ids makes sending again safe), and deliveries it had taken come due.
async fn pick_up(rooms: &Arc<Rooms>, now: UnixMillis) -> Result<(), Refusal> {
    for (_, leaf) in &rooms.log.recovery().unanswered {
        rooms.log.append(&Entry::new(Kind::Recovered, now).of(*leaf)).await?;
    }
    // A store of our own is shared with nobody; replicas on PostgreSQL wait for each other's holds to run out.
    if rooms.store.dialect() == Dialect::Sqlite {
        let mut tx = rooms.store.begin().await?;
        crate::exchange::records::release_taken(&mut tx, now).await?;
        tx.commit(()).await?;
    }
    Ok(())
}

/// Writes the lines that a crash left out, and forgets what has expired.
pub async fn tidy(rooms: &Arc<Rooms>, now: UnixMillis) -> Result<(), Refusal> {
    let mut tx = rooms.store.read().await?;
    let missing = crate::exchange::records::unlogged(&mut tx, UnixMillis(now.0 - CUT_OFF_MS), 1_000).await?;
    drop(tx);
    for (no, seq, act, by) in missing {
        let mut entry = Entry::new(Kind::CaseEvent, now).case(rooms.pseudonyms.case(no));
        for (name, value) in [("recovered", act.as_str()), ("by", by.as_str())] {
            if let (Some(name), Some(value)) = (ledger::word(name), ledger::word(value)) {
                entry = entry.fact(name, value);
            }
        }
        let committed = rooms.log.append(&entry).await?;
        keep::mark_logged(rooms, no, seq, committed.index).await?;
        tracing::info!(case.no = %no, seq, "a line that a crash left out is in the log now");
    }
    let mut tx = rooms.store.begin().await?;
    once::forget_expired(&mut tx, now, 10_000).await?;
    tx.commit(()).await?;
    Ok(())
}
