//! How fast one caller may ask: whoever was authenticated, by certificate or token, and never by what a request says of itself.
//! Terminals of outlets have the rate of their contract ([`crate::partners::Rates`]).
//!
//! ```text
//!  certificate ─▶ window · system · peer ─┐
//!  token ─▶ citizen, auditor, operator ───┴▶ its share ─▶ go on │ 429, Retry-After; one line a minute
//! ```
//! In memory, per replica. A share that nobody uses is whole again and forgotten; of too many callers at once the one that was
//! quiet longest is forgotten first.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::ledger::Trace;
use super::who::{Person, Terminal};
use crate::partners::{self, contract::Rate};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Next, Refusal, UnixMillis};

tolds! {
    /// One caller asks faster than its share allows.
    pub const TOO_FAST = "TB-GW-0107", 429,
        "请求过于频繁，请稍后再试；业务软件请降低请求频率。",
        "Too many requests of one caller: wait a moment, and have the software ask less often.",
        Next::TryLater;
}

/// Callers of one kind whose shares are remembered.
const REMEMBERED: u64 = 100_000;
/// A caller that goes on too fast has one line in so long, in milliseconds.
const LINE_MS: i64 = 60_000;
/// Callers whose last line is remembered. With more at once than that, further ones have none.
const LINES: usize = 8_192;

const fn rate(per_second: u32, burst: u32) -> Rate {
    match (NonZeroU32::new(per_second), NonZeroU32::new(burst)) {
        (Some(per_second), Some(burst)) => Rate { per_second, burst },
        _ => panic!("a rate is not zero"),
    }
}

/// Requests a second of each kind of caller, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub citizen: Rate,
    pub window: Rate,
    pub system: Rate,
    pub peer: Rate,
}

impl Default for Rates {
    /// A person at a page; a hall behind one certificate; a department; another gateway with a day's work after a cut line.
    fn default() -> Self {
        Self { citizen: rate(10, 60), window: rate(100, 500), system: rate(200, 1_000), peer: rate(1_000, 5_000) }
    }
}

/// The shares of callers of one kind.
#[derive(Clone)]
struct Shares {
    rate: Rate,
    each: Cache<Digest, Arc<DefaultDirectRateLimiter>>,
}

impl Shares {
    fn new(rate: Rate) -> Self {
        // By then a share is whole again: to forget it is no pardon.
        let whole_s = u64::from(rate.burst.get() / rate.per_second.get()) + 1;
        let each = Cache::builder()
            .max_capacity(REMEMBERED)
            .eviction_policy(EvictionPolicy::lru()) // by frequency, a newcomer's share would be forgotten at once
            .time_to_idle(Duration::from_secs(whole_s))
            .build();
        Self { rate, each }
    }

    /// The same shares where the rate is the same: a reload is no pardon.
    fn reloaded(&self, rate: Rate) -> Self {
        if self.rate == rate { self.clone() } else { Self::new(rate) }
    }

    fn take(&self, caller: &str) -> Result<(), Refusal> {
        let quota = Quota::per_second(self.rate.per_second).allow_burst(self.rate.burst);
        let share = self.each.get_with(Digest::of(caller.as_bytes()), || Arc::new(RateLimiter::direct(quota)));
        share.check().map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Refusal::new(&TOO_FAST, "more requests than its share").header("retry-after", seconds(wait))
        })
    }
}

/// `Retry-After`: whole seconds, rounded up.
pub fn seconds(wait: Duration) -> String {
    (wait.as_millis().div_ceil(1_000)).max(1).to_string()
}

/// The shares of all callers.
#[derive(Clone)]
pub struct Paces {
    citizen: Shares,
    window: Shares,
    system: Shares,
    peer: Shares,
}

impl Paces {
    pub fn new(rates: &Rates) -> Self {
        let Rates { citizen, window, system, peer } = *rates;
        Self {
            citizen: Shares::new(citizen),
            window: Shares::new(window),
            system: Shares::new(system),
            peer: Shares::new(peer),
        }
    }

    /// As the configuration says from now on.
    #[must_use]
    pub fn reloaded(&self, rates: &Rates) -> Self {
        Self {
            citizen: self.citizen.reloaded(rates.citizen),
            window: self.window.reloaded(rates.window),
            system: self.system.reloaded(rates.system),
            peer: self.peer.reloaded(rates.peer),
        }
    }

    /// Takes one request of whatever showed its certificate.
    ///
    /// # Errors
    /// `TB-GW-0107`.
    pub fn terminal(&self, terminal: &Terminal) -> Result<(), Refusal> {
        match terminal {
            Terminal::Window(window) => self.window.take(&window.id),
            Terminal::System(system) => self.system.take(&system.id),
            Terminal::Peer(id) => self.peer.take(id),
            // A terminal of an outlet takes of its contract's rate; who shows nothing has no name to go by.
            Terminal::Outlet { .. } | Terminal::Unknown => Ok(()),
        }
    }

    /// Takes one request of whoever showed a token. Staff are counted with the desk at which they work.
    ///
    /// # Errors
    /// `TB-GW-0107`.
    pub fn person(&self, person: &Person) -> Result<(), Refusal> {
        if person.kind.is_staff() { Ok(()) } else { self.citizen.take(&person.subject) }
    }
}

/// Who was told to wait, and when it was last put on record.
#[derive(Default)]
pub struct Waiting {
    lines: Mutex<HashMap<Digest, Waits>>,
    /// In all, and of those without a line of their own.
    refused: AtomicU64,
    unlogged: AtomicU64,
}

#[derive(Clone, Copy)]
struct Waits {
    last: UnixMillis,
    /// Refusals since that line.
    since: u64,
}

impl Waiting {
    /// Whether a refusal has its line in the log. One that tells a caller to wait has it once a minute, with the number of
    /// those before it that had none; every other refusal has its own.
    pub fn is_told(&self, trace: &Trace, caller: &str, refusal: &Refusal) -> bool {
        if ![TOO_FAST.code, partners::error::TOO_FAST.code].contains(&refusal.told.code) {
            return true;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        match self.counted(caller, trace.at) {
            Some(before) => {
                trace.waited(before);
                true
            }
            None => {
                self.unlogged.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Refusals without a line since the last one, where this one has its line.
    fn counted(&self, caller: &str, now: UnixMillis) -> Option<u64> {
        let caller = Digest::of(caller.as_bytes()); // a subject may be long
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waits) = lines.get_mut(&caller) {
            if now.0 - waits.last.0 < LINE_MS {
                waits.since += 1;
                return None;
            }
            let before = waits.since;
            *waits = Waits { last: now, since: 0 };
            return Some(before);
        }
        if lines.len() >= LINES {
            lines.retain(|_, waits| now.0 - waits.last.0 < LINE_MS);
        }
        if lines.len() >= LINES {
            return None;
        }
        lines.insert(caller, Waits { last: now, since: 0 });
        Some(0)
    }

    /// Requests that were told to wait, and those of them without a line.
    pub fn counts(&self) -> (u64, u64) {
        (self.refused.load(Ordering::Relaxed), self.unlogged.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_share_of_its_own() {
        let shares = Shares::new(rate(1, 3));
        let taken = |who: &str| (0..10).filter(|_| shares.take(who).is_ok()).count();
        assert!((3..=4).contains(&taken("one")));
        let no = shares.take("one").unwrap_err();
        assert_eq!((no.told.code, no.told.status), ("TB-GW-0107", 429));
        assert!(no.headers.iter().any(|(name, wait)| *name == "retry-after" && wait == "1"), "{:?}", no.headers);
        assert!((3..=4).contains(&taken("another")));
        // The same rate keeps what was used, another one begins anew.
        assert!(shares.reloaded(rate(1, 3)).take("one").is_err());
        assert!(shares.reloaded(rate(1, 4)).take("one").is_ok());
    }

    #[test]
    fn however_many_callers_memory_is_bounded() {
        let shares = Shares::new(rate(1, 1_000));
        for n in 0..REMEMBERED + 5_000 {
            let _ = shares.take(&n.to_string());
        }
        shares.each.run_pending_tasks();
        assert!(shares.each.entry_count() <= REMEMBERED);
        let last = (REMEMBERED + 4_999).to_string();
        assert!(shares.each.get(&Digest::of(last.as_bytes())).is_some(), "a newcomer is remembered");
        let waiting = Waiting::default();
        let told = (0..2 * LINES).filter(|n| waiting.counted(&n.to_string(), UnixMillis(0)).is_some()).count();
        assert_eq!((told, waiting.lines.lock().unwrap().len()), (LINES, LINES));
        // A minute later they are forgotten.
        assert_eq!(waiting.counted("new", UnixMillis(LINE_MS)), Some(0));
        assert_eq!(waiting.lines.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_caller_that_goes_on_has_a_line_a_minute() {
        let waiting = Waiting::default();
        let lines: Vec<_> = (0..=1_200).filter_map(|n| waiting.counted("one", UnixMillis(n * 100))).collect();
        assert_eq!(lines, [0, 599, 599], "two minutes, ten a second");
    }
}
