//! Which peers asked about whom, so that they are told when it changes.
//!
//! ```text
//!  a peer's lookup ─▶ written down lately? ─no─▶ a row, for two weeks ─▶ now and then: the peer's oldest rows beyond its share go
//! ```
//! Who asks about more people than that is not told of the earliest any more: what it keeps of them ends by its own bound. Nobody
//! else's rows give way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::store::{Store, StoreError, asker};
use crate::terms::{Digest, UnixMillis};

/// How long it is remembered who asked, in seconds: as long as an answer may be kept, fresh or older, and a day.
const ASKERS_S: i64 = 15 * 86_400;
/// Who asked is written down once in so long, and so many such questions are remembered as written.
const NOTED: Duration = Duration::from_secs(86_400);
const NOTED_MAX: u64 = 200_000;
/// Most rows of one peer: a city's households, and some hundred megabytes of the store.
const ROWS_MAX: u32 = 500_000;
/// A replica looks after so many new rows of a peer whether they are too many: at most so many more there are.
const LOOKS_EVERY: u32 = 1_000;

/// Rows of the store, for all replicas. Here is only what was written down lately.
pub struct Askers {
    noted: Cache<Digest, ()>,
    /// Rows that each peer was given since the last look; no entry before the first.
    since: Mutex<BTreeMap<String, u32>>,
    rows_max: u32,
    looks_every: u32,
}

impl Default for Askers {
    fn default() -> Self {
        Self::with(ROWS_MAX, LOOKS_EVERY)
    }
}

impl Askers {
    fn with(rows_max: u32, looks_every: u32) -> Self {
        let noted = Cache::builder().max_capacity(NOTED_MAX).time_to_live(NOTED).build();
        Self { noted, since: Mutex::default(), rows_max, looks_every }
    }

    /// # Errors
    /// The store's: who could not be told of a change is not answered.
    pub async fn note(
        &self,
        store: &Store,
        (resource, subject): (&str, &str),
        peer: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let key = Digest::of(format!("{resource}\n{subject}\n{peer}").as_bytes());
        if self.noted.contains_key(&key) {
            return Ok(());
        }
        let mut tx = store.begin().await?;
        asker::note(&mut tx, (resource, subject), peer, now.plus_seconds(ASKERS_S)).await?;
        if self.is_time_to_look(peer) {
            asker::forget_oldest(&mut tx, peer, self.rows_max).await?;
        }
        tx.commit(()).await?;
        self.noted.insert(key, ());
        Ok(())
    }

    /// With a peer's first row since we started, and with every so many of its rows.
    fn is_time_to_look(&self, peer: &str) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match since.get_mut(peer) {
            Some(rows) if *rows + 1 < self.looks_every => {
                *rows += 1;
                false
            }
            _ => {
                since.insert(peer.to_owned(), 0);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn a_peer_that_asks_about_everybody_fills_its_own_share() {
        for fresh in testing::each(&[]).await {
            let askers = Askers::with(5, 2);
            let at = |second: i64| UnixMillis::from_seconds(1_800_000_000 + second);
            askers.note(&fresh.store, ("DR-HH", "zhang"), "gw-c", at(0)).await.unwrap();
            for n in 0..20 {
                askers.note(&fresh.store, ("DR-HH", &format!("person {n}")), "gw-b", at(n)).await.unwrap();
            }
            let mut tx = fresh.store.read().await.unwrap();
            let mut told = Vec::new();
            for n in 0..20 {
                let peers = asker::of(&mut tx, "DR-HH", Some(&format!("person {n}")), at(20)).await.unwrap();
                told.extend(peers.contains("gw-b").then_some(n));
            }
            assert!((5..=6).contains(&told.len()) && told.iter().all(|n| *n >= 14), "the latest are kept: {told:?}");
            let zhang = asker::of(&mut tx, "DR-HH", Some("zhang"), at(20)).await.unwrap();
            assert!(zhang.contains("gw-c"), "who asked less keeps what it has: {zhang:?}");
        }
    }
}
