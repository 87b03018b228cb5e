//! Floor 7: what time sets going: deliveries, lines that a crash left out, things to forget.
//!
//! ```text
//!  outbox ──due──▶ line (intent) ─▶ peer · office ─▶ receipt ─▶ line (outcome) ─▶ done
//!     ▲ same bytes, same id, later and later │no
//!     └──────────────────────────────────────┘
//!  tidy (one replica at a time) ─▶ lines left out · proofs that ran out · files that nobody names
//! ```

pub mod anchors;
pub mod archive;
pub mod deliver;
pub mod gm;
pub mod log;
pub mod logset;
pub mod news;
pub mod responders;
pub mod retention;
pub mod search;
mod tidy;
pub mod witnesses;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::audit::Kind;
use crate::audit::entry::EntryHead;
use crate::exchange::outbox;
use crate::gateway::{Rooms, about_me, ledger, logout, orders};
use crate::store::Dialect;
use crate::terms::{Refusal, UnixMillis};
use deliver::Deliveries;

/// How often the outbox is looked at, in milliseconds; news of a case wakes it at once.
const LOOK_MS: u64 = 500;
/// How often ended sessions are read anew, in milliseconds: the bound within which every replica knows of an end.
const ENDED_MS: u64 = 2_000;
/// How often housekeeping runs, in seconds.
const HOUSEKEEPING_S: u64 = 30;
/// After how many rounds of housekeeping a standing fault is told again: an hour.
const TOLD_AGAIN: u64 = 3_600 / HOUSEKEEPING_S;
/// How long deliveries under way may take to end when the house stops, in seconds.
const DRAIN_S: u64 = 5;

/// Runs until `stop` turns true.
pub async fn run(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = pick_up(&rooms, UnixMillis::now()).await {
        tracing::error!(%error, "what an earlier life left could not be picked up");
    }
    let mut news = rooms.news.subscribe();
    let mut housekeeping = tokio::time::interval(Duration::from_secs(HOUSEKEEPING_S));
    let mut ended = tokio::time::interval(Duration::from_millis(ENDED_MS));
    let mut deliveries = Deliveries::new(rooms.clone());
    let mut round = 0;
    let mut reading: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => break,
            _ = news.recv() => {}
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
            _ = ended.tick() => {
                if let Err(error) = logout::refresh(&rooms, UnixMillis::now()).await {
                    tracing::warn!(%error, "ended sessions could not be read");
                }
                if let Err(error) = orders::refresh(&rooms, UnixMillis::now()).await {
                    tracing::warn!(%error, "what is switched off could not be read");
                }
            }
            _ = housekeeping.tick() => {
                if let Err(error) = tidy::round(&rooms, round, UnixMillis::now()).await {
                    tracing::warn!(%error, "housekeeping failed");
                }
                if round % TOLD_AGAIN == 0 {
                    overdue(&rooms, UnixMillis::now());
                }
                round += 1;
                // The first round on a long log takes a while: nobody waits for it.
                if reading.as_ref().is_none_or(JoinHandle::is_finished) {
                    let rooms = rooms.clone();
                    reading = Some(tokio::spawn(async move {
                        if let Err(error) = about_me::catch_up(&rooms).await {
                            tracing::warn!(%error, "entries about people are not in the rows yet");
                        }
                    }));
                }
            }
        }
        // What is handed over begins with a line, too: it waits in the outbox.
        if rooms.log_state.may_begin(UnixMillis::now()).is_err() {
            continue;
        }
        if let Err(error) = deliveries.due(UnixMillis::now()).await {
            tracing::warn!(%error, "deliveries failed");
        }
    }
    if let Some(reading) = reading {
        reading.abort();
    }
    deliveries.drain(Duration::from_secs(DRAIN_S)).await;
}

/// Says which revocation lists are past their date, when who was revoked since is let in, or soon will be.
fn overdue(rooms: &Rooms, now: UnixMillis) {
    let (clients, directory) = rooms.lists_overdue(now);
    if clients > 0 {
        tracing::error!(
            lists = clients,
            "REVOCATION LISTS of tls.client_lists are past their date: put newer ones there, reload"
        );
    }
    let lacking = rooms.lists_lacking(now);
    if lacking > 0 {
        tracing::error!(
            authorities = lacking,
            "REVOCATION LISTS that are required are missing or past their date: whom these authorities certified is refused"
        );
    }
    if directory > 0 {
        tracing::error!(
            lists = directory,
            "REVOCATION LISTS of the directory are past their date: a new version is wanted"
        );
    }
    let (clients, directory) = rooms.lists_ending(now);
    if clients > 0 {
        tracing::warn!(
            lists = clients,
            "revocation lists of tls.client_lists will soon be past their date: put newer ones there, reload"
        );
    }
    if directory > 0 {
        tracing::warn!(
            lists = directory,
            "revocation lists of the directory will soon be past their date: a new version is wanted"
        );
    }
}

/// What an earlier life left: intents without an outcome are closed as recovered (the result is not known; the receiver's
/// memory of ids makes sending again safe), lines that a crash left out are written, and deliveries it had taken come due.
async fn pick_up(rooms: &Arc<Rooms>, now: UnixMillis) -> Result<(), Refusal> {
    for (index, leaf) in &rooms.log.recovery().unanswered {
        let line = ledger::line(rooms, Kind::Recovered, now).actor(ledger::system()).of(*leaf);
        // It stands where the intent stands: in the chain of the case.
        let intent = rooms.log.entry(*index).ok(); // pruned by now, perhaps
        let case = intent.and_then(|intent| EntryHead::parse(&intent).ok()?.case);
        let line = case.map_or(line.clone(), |case| line.case(case.id));
        rooms.log.append(&line).await?;
    }
    // A store of our own is shared with nobody; replicas on PostgreSQL wait for each other's holds to run out.
    if rooms.store.dialect() == Dialect::Sqlite {
        tidy::left_out(rooms, now, now).await?;
        let mut tx = rooms.store.begin().await?;
        outbox::release_taken(&mut tx, now).await?;
        tx.commit(()).await?;
    }
    Ok(())
}
