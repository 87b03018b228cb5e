//! How many connections a listener bears at once; a reload may say otherwise while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Places for connections; a clone counts the same ones.
#[derive(Clone, Debug)]
pub struct Places(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    most: AtomicUsize,
    taken: AtomicUsize,
    freed: Notify,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub struct Place(Arc<Counts>);

impl Places {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Counts { most: AtomicUsize::new(most), taken: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// From now on so many. Whoever has a place keeps it: with fewer than are taken, nobody new comes in until enough
    /// have left.
    pub fn set(&self, most: usize) {
        self.0.most.store(most, Ordering::Release);
        self.0.freed.notify_one();
    }

    /// Waits for a place; one listener waits at a time. What is not polled to its end took none.
    pub async fn take(&self) -> Place {
        loop {
            if let Some(place) = self.free() {
                return place;
            }
            self.0.freed.notified().await;
        }
    }

    fn free(&self) -> Option<Place> {
        let most = self.0.most.load(Ordering::Acquire);
        let more = |taken| (taken < most).then_some(taken + 1);
        let taken = self.0.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Place(self.0.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_and_fewer_while_it_runs() {
        let places = Places::new(2);
        let (first, second) = (places.take().await, places.take().await);
        assert!(places.free().is_none(), "two are two");
        places.set(3);
        let third = places.take().await;
        places.set(1);
        drop(first);
        assert!(places.free().is_none(), "two are still in");
        drop(second);
        assert!(places.free().is_none(), "one is in, and one is what may be");
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        tokio::task::yield_now().await;
        drop(third);
        let fourth = waiting.await.expect("a place came free");
        assert!(places.free().is_none());
        drop(fourth);
        assert!(places.free().is_some());
    }
}
