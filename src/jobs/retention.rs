//! Prunes the log under its retention policy: whole segments, the oldest first, on record before they go.
//!
//! ```text
//!  each hour: published · witnessed (where there are witnesses) · stamped (where there is an authority) · archived (where there is one)
//!             · read into the rows of who looked up what ─▶ bound
//!  segments below the bound, older than the policy's days, without a case on hold ─▶ walked again
//!  ─▶ line in the log ─▶ published ─▶ gone
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::witnesses::is_met;
use crate::audit::log::prune::{Bounds, Plan, Stays};
use crate::audit::witness_policy::WitnessPolicy;
use crate::audit::{AuditError, Committed, Entry, Kind, Log, Pseudonym};
use crate::exchange::records;
use crate::gateway::{Rooms, about_me, ledger, stopped};
use crate::store::{StoreError, Tx};
use crate::terms::UnixMillis;

/// Before the first round: the gateway has other things to do when it starts.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3_600);
/// Longest wait for the checkpoint that covers the announcement.
const PUBLISHED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);
const DAY_MS: i64 = 86_400_000;

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Log(#[from] AuditError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the announcement was not published in time; it is made again")]
    Unpublished,
    #[error("walking the segments was cut off")]
    CutOff,
    #[error("a case was put on hold meanwhile")]
    HeldMeanwhile,
}

/// The policy, and what must hold before entries go.
pub struct Retention {
    /// Days that entries are kept.
    pub days: u32,
    /// Witnesses whose quorum must stand on the checkpoint being served.
    pub quorum: Option<WitnessPolicy>,
    /// Whether a time-stamp must be over the entries.
    pub anchored: bool,
    /// Whether they must be in the archive.
    pub archived: bool,
}

impl Retention {
    /// Prunes what is due until `stop` turns true.
    pub async fn run(self, rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST;
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = EVERY;
            match self.round(&rooms, UnixMillis::now()).await {
                Ok(Ok(minimum)) => tracing::info!(minimum, "entries below were pruned under the retention policy"),
                Ok(Err(Stays::Held(case))) => tracing::info!(%case, "nothing is pruned: a case is on hold"),
                Ok(Err(_)) => {}
                Err(error) => tracing::error!(%error, "the log could not be pruned; nothing was lost"),
            }
        }
    }

    /// Prunes what is due at `now`: the new minimum index, or why nothing is due.
    pub async fn round(&self, rooms: &Rooms, now: UnixMillis) -> Result<Result<u64, Stays>, RetentionError> {
        let at_first = held(rooms, &mut rooms.store.read().await?).await?;
        let archived = if self.archived { rooms.log_archive.archived().unwrap_or(0) } else { u64::MAX };
        let upto = self.bound(&rooms.log)?.min(archived).min(about_me::read_to(rooms).await?);
        let entry = ledger::line(rooms, Kind::Lifecycle, now);
        let (plan, told) = match self.announce(&rooms.log, entry, at_first.clone(), upto, now).await? {
            Ok(announced) => announced,
            Err(stays) => return Ok(Err(stays)),
        };
        // Walking and publishing take a while: a hold laid meanwhile counts, and what was announced does not happen. One that
        // comes now waits until the segments are gone.
        let mut tx = rooms.store.begin().await?;
        records::holds_wait(&mut tx).await?;
        if !held(rooms, &mut tx).await?.is_subset(&at_first) {
            return Err(RetentionError::HeldMeanwhile);
        }
        let pruned = carry_out(&rooms.log, plan, told).await;
        drop(tx);
        pruned.map(Ok)
    }

    /// Entries below may go, as far as the log's own promises are concerned.
    fn bound(&self, log: &Log) -> Result<u64, AuditError> {
        let served = log.checkpoint();
        let witnessed = self.quorum.as_ref().is_none_or(|policy| is_met(policy, &served.note));
        let anchored = if self.anchored { log.anchored()? } else { u64::MAX };
        Ok(if witnessed { served.size.min(anchored) } else { 0 })
    }

    /// Puts on record what will go, and waits until that is published.
    async fn announce(
        &self,
        log: &Log,
        entry: Entry,
        held: HashSet<Pseudonym>,
        upto: u64,
        now: UnixMillis,
    ) -> Result<Result<(Plan, Committed), Stays>, RetentionError> {
        let (walked, before) = (log.clone(), UnixMillis(now.0.saturating_sub(i64::from(self.days) * DAY_MS)));
        let plan = tokio::task::spawn_blocking(move || walked.prunable(Bounds { before, upto, held: &held })).await;
        let plan = match plan.map_err(|_| RetentionError::CutOff)?? {
            Ok(plan) => plan,
            Err(stays) => return Ok(Err(stays)),
        };
        let told = log.append(&plan.pruning(self.days).write(entry)).await?;
        let waited = tokio::time::timeout(PUBLISHED, async {
            while log.checkpoint().size <= told.index {
                tokio::time::sleep(LOOK).await;
            }
        });
        waited.await.map_err(|_| RetentionError::Unpublished)?;
        Ok(Ok((plan, told)))
    }
}

/// Removes what was announced; gives the new minimum index.
async fn carry_out(log: &Log, plan: Plan, told: Committed) -> Result<u64, RetentionError> {
    let log = log.clone();
    let pruned = tokio::task::spawn_blocking(move || log.prune(plan, &told).map(|()| log.minimum())).await;
    Ok(pruned.map_err(|_| RetentionError::CutOff)??)
}

/// Cases on hold, as the log names them.
async fn held(rooms: &Rooms, tx: &mut Tx) -> Result<HashSet<Pseudonym>, RetentionError> {
    let all = records::all_held(tx).await?;
    Ok(all.into_iter().map(|case| rooms.pseudonyms.case(case)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::OpenOptions;
    use crate::audit::anchor::Anchor;
    use crate::audit::note::{KeyKind, Signer};

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_goes_before_it_is_witnessed_stamped_and_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let signer = |name: &str| Signer::from_seed(name, &[5; 32]).unwrap();
        let options =
            OpenOptions { interval: Duration::from_millis(50), ..OpenOptions::new(signer("gov.example/gw/1")) };
        let log = Log::open(dir.path(), options).unwrap();
        for _ in 0..9 {
            let all: Vec<_> = (0..8_000).map(|_| Entry::new(Kind::Deny, UnixMillis(0))).collect();
            futures_util::future::join_all(all.iter().map(|entry| log.append(entry))).await;
        }
        log.publish();
        let size = log.size();
        let witness = signer("w.example").verifier(KeyKind::Cosignature);
        let quorum = || WitnessPolicy::parse(&format!("witness w {witness}\nquorum w\n")).ok();
        for (quorum, anchored, want) in [(None, false, size), (quorum(), false, 0), (None, true, 0)] {
            let retention = Retention { days: 730, quorum, anchored, archived: false };
            assert_eq!(retention.bound(&log).unwrap(), want);
        }
        let anchor = Anchor { token: vec![1], note: log.checkpoint().note.clone() };
        log.keep_anchor(70_000, anchor.to_string().as_bytes()).unwrap();
        let retention = Retention { days: 730, quorum: None, anchored: true, archived: false };
        assert_eq!(retention.bound(&log).unwrap(), 70_000);

        let entry = || Entry::new(Kind::Lifecycle, UnixMillis(731 * DAY_MS));
        let announce = |days: i64| retention.announce(&log, entry(), HashSet::new(), 70_000, UnixMillis(days * DAY_MS));
        assert_eq!(announce(730).await.unwrap().err(), Some(Stays::Young(0)), "kept for 730 days");
        assert_eq!(log.size(), size, "nothing is announced that does not happen");
        let (plan, told) = announce(731).await.unwrap().unwrap_or_else(|stays| panic!("{stays:?}"));
        assert_eq!((log.minimum(), log.size()), (0, size + 1), "announced, and still there");
        assert_eq!(carry_out(&log, plan, told).await.unwrap(), 65_536);
        assert_eq!(log.minimum(), 65_536);
        assert_eq!(announce(731).await.unwrap().err(), Some(Stays::Bound));
    }
}
