//! How the log stands with those who vouch for it: told by the jobs that ask them, read by operators.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::audit::logset::LogSet;
use crate::terms::UnixMillis;

/// Age of the newest time-stamp at which the operator is told, in milliseconds: two stamps were missed.
pub const STAMP_OLD_MS: i64 = 7_200_000;

const UNKNOWN: i64 = i64::MIN;

/// Witnesses and time-stamps, as they stood last. Service never depends on it.
#[derive(Debug)]
pub struct LogState {
    /// 1 when the last checkpoint reached the witnesses' quorum, 0 when not; [`UNKNOWN`] until they were asked.
    quorum: AtomicI64,
    contradicted: AtomicBool,
    /// Since when entries are without a time-stamp at the earliest, Unix milliseconds; [`UNKNOWN`] without an authority.
    stamped: AtomicI64,
    /// The logs of all replicas as they were known last.
    set: Mutex<Option<LogSet>>,
}

impl Default for LogState {
    fn default() -> Self {
        let unknown = || AtomicI64::new(UNKNOWN);
        Self { quorum: unknown(), contradicted: AtomicBool::new(false), stamped: unknown(), set: Mutex::default() }
    }
}

impl LogState {
    /// Of a gateway whose log named those logs in the life before.
    pub fn knowing(set: Option<LogSet>) -> Self {
        Self { set: Mutex::new(set), ..Self::default() }
    }

    /// The witnesses were asked; `is_contradicted` when one of them holds another log under our key.
    pub fn witnessed(&self, is_met: bool, is_contradicted: bool) {
        self.quorum.store(i64::from(is_met), Ordering::Relaxed);
        self.contradicted.store(is_contradicted, Ordering::Relaxed);
    }

    /// Everything up to `at` has its time-stamp.
    pub fn stamped(&self, at: UnixMillis) {
        self.stamped.store(at.0, Ordering::Relaxed);
    }

    /// The logs of all replicas as the store tells them now, none of them lost or shorter than they were known here before, in an
    /// earlier life, too: whoever can write to the store hides no log. `None` where they are too many.
    pub fn logs(&self, told: LogSet) -> Option<LogSet> {
        let mut known = self.set.lock().unwrap_or_else(|p| p.into_inner());
        let set = match &*known {
            Some(before) => told.no_less(before)?,
            None => told,
        };
        *known = Some(set.clone());
        Some(set)
    }

    /// Whether the quorum stands; `None` where no witnesses are named, or none was asked yet.
    pub fn quorum(&self) -> Option<bool> {
        Some(self.quorum.load(Ordering::Relaxed)).filter(|met| *met != UNKNOWN).map(|met| met == 1)
    }

    /// Whether a witness holds another log under our key. Stays until that very witness cosigns again.
    pub fn is_contradicted(&self) -> bool {
        self.contradicted.load(Ordering::Relaxed)
    }

    /// Milliseconds without a time-stamp over what is new; `None` where no authority is asked.
    pub fn unstamped_for(&self, now: UnixMillis) -> Option<i64> {
        let at = Some(self.stamped.load(Ordering::Relaxed)).filter(|at| *at != UNKNOWN)?;
        Some(now.0.saturating_sub(at).max(0))
    }

    /// What an operator must look at, a line each.
    pub fn alarms(&self, now: UnixMillis) -> String {
        let mut told = String::new();
        if self.is_contradicted() {
            told += "alarm: a witness holds another log of ours\n";
        }
        if self.quorum() == Some(false) {
            told += "alarm: checkpoints are served without the witnesses' quorum\n";
        }
        if let Some(age) = self.unstamped_for(now).filter(|age| *age > STAMP_OLD_MS) {
            told += &format!("alarm: no time-stamp over the log for {} minutes\n", age / 60_000);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::logset::Head;
    use crate::audit::note::{KeyKind, Signer};
    use crate::terms::Digest;

    #[test]
    fn a_log_that_was_named_stays_named() {
        let set = |names: &[&str]| {
            let key = |name: &&str| Signer::from_seed(name, &[1; 32]).unwrap().verifier(KeyKind::Ed25519);
            let head = |name| Head { key: key(name), size: 1, root: Digest::of(b"1") };
            LogSet::new(names.iter().map(head).collect()).unwrap()
        };
        let state = LogState::knowing(Some(set(&["a", "b"])));
        for (told, want) in [(&["a"][..], &["a", "b"][..]), (&["a", "c"], &["a", "b", "c"]), (&["a"], &["a", "b", "c"])]
        {
            assert_eq!(state.logs(set(told)), Some(set(want)), "{told:?}");
        }
    }

    #[test]
    fn alarms_stand_for_what_is_wrong_now() {
        let now = UnixMillis(1_771_000_000_000);
        let stamped_ago = |ms: i64| UnixMillis(now.0 - ms);
        for (witnessed, stamped, want) in [
            (None, None, ""),
            (Some((true, false)), Some(stamped_ago(STAMP_OLD_MS)), ""),
            (Some((false, false)), None, "alarm: checkpoints are served without the witnesses' quorum\n"),
            (Some((true, true)), None, "alarm: a witness holds another log of ours\n"),
            (None, Some(stamped_ago(STAMP_OLD_MS + 60_000)), "alarm: no time-stamp over the log for 121 minutes\n"),
            (None, Some(UnixMillis(now.0 + 5_000)), ""), // a clock that was set back
        ] {
            let state = LogState::default();
            if let Some((is_met, is_contradicted)) = witnessed {
                state.witnessed(is_met, is_contradicted);
            }
            if let Some(at) = stamped {
                state.stamped(at);
            }
            assert_eq!(state.alarms(now), want, "{state:?}");
            assert_eq!(state.quorum(), witnessed.map(|(is_met, _)| is_met));
        }
    }
}
