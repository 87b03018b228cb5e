//! A breaker: after repeated failures a host is left alone for a while, then tried with one call.

use crate::terms::UnixMillis;

/// Failures in a row that open the breaker.
const FAILURES: u32 = 5;
/// First rest in milliseconds; doubles up to [`REST_MAX_MS`].
const REST_MS: i64 = 1_000;
const REST_MAX_MS: i64 = 30_000;

/// Pure: no clock, no socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    rest_until: i64,
    rest_ms: i64,
}

impl Breaker {
    /// Whether a call may go out now. While resting, one trial call goes out when the rest is over; further calls wait
    /// for its outcome.
    pub fn allows(&mut self, now: UnixMillis) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        if now.0 < self.rest_until {
            return false;
        }
        self.rest_until = now.0 + self.rest_ms; // the trial call; others rest on
        true
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub fn failed(&mut self, now: UnixMillis) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.rest_ms = (self.rest_ms * 2).clamp(REST_MS, REST_MAX_MS);
            self.rest_until = now.0 + self.rest_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_host_is_left_alone_and_tried_again() {
        let mut breaker = Breaker::default();
        for n in 0..FAILURES {
            assert!(breaker.allows(UnixMillis(i64::from(n))));
            breaker.failed(UnixMillis(i64::from(n)));
        }
        let opened = i64::from(FAILURES) - 1;
        for (at, allowed) in
            [(opened + 1, false), (opened + 999, false), (opened + 1_000, true), (opened + 1_001, false)]
        {
            assert_eq!(breaker.allows(UnixMillis(at)), allowed, "at {at}");
        }
        breaker.failed(UnixMillis(2_000));
        assert!(!breaker.allows(UnixMillis(3_999)), "the second rest is twice as long");
        assert!(breaker.allows(UnixMillis(4_000)));
        breaker.succeeded();
        assert!(breaker.allows(UnixMillis(4_001)));
    }
}
