//! How the log stands with those who vouch for it: told by the jobs that ask them, read by operators.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::audit::error::UNWITNESSED;
use crate::audit::logset::LogSet;
use crate::terms::{Refusal, UnixMillis};

/// Age of the newest time-stamp at which the operator is told, in milliseconds: two stamps were missed.
pub const STAMP_OLD_MS: i64 = 7_200_000;

const UNKNOWN: i64 = i64::MIN;

/// When somebody who was refused for want of witnesses may ask again, in seconds: by then they have been asked again, too.
const ASK_AGAIN_S: u32 = 30;

/// A bound on how long the quorum may be missing.
#[derive(Debug)]
struct Bound {
    ms: i64,
    /// Since when it is missing, Unix milliseconds; [`UNKNOWN`] while it stands.
    since: AtomicI64,
    /// The same through restarts: none gives new time. There while the quorum is missing.
    file: PathBuf,
}

impl Bound {
    fn missing(&self, is_missing: bool, now: UnixMillis) {
        let was_missing = self.since.load(Ordering::Relaxed) != UNKNOWN;
        if was_missing == is_missing {
            return;
        }
        let kept = match is_missing {
            true => std::fs::write(&self.file, now.0.to_string()),
            false => std::fs::remove_file(&self.file).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            }),
        };
        if let Err(error) = kept {
            tracing::warn!(file = %self.file.display(), %error, "a restart will not know since when witnesses are missing");
        }
        self.since.store(if is_missing { now.0 } else { UNKNOWN }, Ordering::Relaxed);
    }

    /// Milliseconds for which the quorum has been missing, once that is too long.
    fn is_over(&self, now: UnixMillis) -> Option<i64> {
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since != UNKNOWN)?;
        Some(now.0.saturating_sub(since)).filter(|missing| *missing > self.ms)
    }
}

/// Witnesses and time-stamps, as they stood last. Service depends on it only where the operator says so ([`LogState::bounded`]).
#[derive(Debug)]
pub struct LogState {
    /// 1 when the last checkpoint reached the witnesses' quorum, 0 when not; [`UNKNOWN`] until they were asked.
    quorum: AtomicI64,
    contradicted: AtomicBool,
    /// Nothing new is begun when the quorum is missing for longer; none: service goes on.
    bound: Option<Bound>,
    /// Since when entries are without a time-stamp at the earliest, Unix milliseconds; [`UNKNOWN`] without an authority.
    stamped: AtomicI64,
    /// The logs of all replicas as they were known last.
    set: Mutex<Option<LogSet>>,
}

impl Default for LogState {
    fn default() -> Self {
        let unknown = || AtomicI64::new(UNKNOWN);
        Self {
            quorum: unknown(),
            contradicted: AtomicBool::new(false),
            bound: None,
            stamped: unknown(),
            set: Mutex::default(),
        }
    }
}

impl LogState {
    /// Of a gateway whose log named those logs in the life before.
    pub fn knowing(set: Option<LogSet>) -> Self {
        Self { set: Mutex::new(set), ..Self::default() }
    }

    /// The same, of a gateway that begins nothing new once the quorum has been missing for longer than `seconds`; `file`
    /// remembers since when it is. One that is no time is older than any: whoever spoils it gains none.
    #[must_use]
    pub fn bounded(self, seconds: u32, file: PathBuf) -> Self {
        let since = match std::fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().ok().filter(|since| *since != UNKNOWN).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => UNKNOWN,
            Err(_) => 0,
        };
        let bound = Bound { ms: i64::from(seconds) * 1_000, since: AtomicI64::new(since), file };
        Self { bound: Some(bound), ..self }
    }

    /// The witnesses were asked; `is_contradicted` when one of them holds another log under our key.
    pub fn witnessed(&self, is_met: bool, is_contradicted: bool, now: UnixMillis) {
        self.quorum.store(i64::from(is_met), Ordering::Relaxed);
        self.contradicted.store(is_contradicted, Ordering::Relaxed);
        if let Some(bound) = &self.bound {
            bound.missing(!is_met, now);
        }
    }

    /// Whether anything new may be begun.
    ///
    /// # Errors
    /// `TB-AUD-0105` while the quorum has been missing for longer than the bound; never without one.
    pub fn may_begin(&self, now: UnixMillis) -> Result<(), Refusal> {
        let Some(ms) = self.bound.as_ref().and_then(|bound| bound.is_over(now)) else { return Ok(()) };
        let detail = format!("no quorum of witnesses for {} s", ms / 1_000);
        Err(Refusal::new(&UNWITNESSED, detail).header("retry-after", ASK_AGAIN_S.to_string()))
    }

    /// Whether nothing new is begun now; `None` where there is no bound.
    pub fn is_closed(&self, now: UnixMillis) -> Option<bool> {
        self.bound.as_ref().map(|bound| bound.is_over(now).is_some())
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
        if self.is_closed(now) == Some(true) {
            told += "alarm: nothing new is begun until the witnesses' quorum is back\n";
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

    /// How long it is missing counts from the first time it was, whatever the next life or a spoilt file says.
    #[test]
    fn nothing_new_is_begun_without_witnesses_for_longer_than_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("unwitnessed");
        let life = || LogState::default().bounded(10, file.clone());
        let at = |s: i64| UnixMillis(1_771_000_000_000 + s * 1_000);
        let code = |state: &LogState, s| state.may_begin(at(s)).err().map(|refusal| refusal.told.code);
        let closed = Some("TB-AUD-0105");
        let first = life();
        for (s, asked, want) in [
            (0, None, None), // nobody was asked yet
            (1, Some(true), None),
            (2, Some(false), None),
            (9, Some(false), None),
            (12, None, None),
            (13, None, closed),
            (14, Some(false), closed),
            (15, Some(true), None),
            (16, Some(false), None),
        ] {
            if let Some(is_met) = asked {
                first.witnessed(is_met, false, at(s));
            }
            assert_eq!(code(&first, s), want, "second {s}");
            assert_eq!(first.is_closed(at(s)), Some(want.is_some()), "second {s}");
            assert_eq!(first.alarms(at(s)).contains("nothing new"), want.is_some(), "second {s}");
        }
        assert_eq!((code(&life(), 26), code(&life(), 27)), (None, closed), "a restart gives no new time");
        for spoilt in ["", "soon", &i64::MIN.to_string()] {
            std::fs::write(&file, spoilt).unwrap();
            assert_eq!(code(&life(), 16), closed, "{spoilt:?}");
        }
        let next = life();
        next.witnessed(true, false, at(17));
        assert!(code(&next, 17).is_none() && !file.exists());
        assert_eq!(code(&life(), 18), None);
        let unbounded = LogState::default();
        unbounded.witnessed(false, false, at(0));
        assert_eq!((code(&unbounded, 1_000_000), unbounded.is_closed(at(1_000_000))), (None, None));
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
                state.witnessed(is_met, is_contradicted, now);
            }
            if let Some(at) = stamped {
                state.stamped(at);
            }
            assert_eq!(state.alarms(now), want, "{state:?}");
            assert_eq!(state.quorum(), witnessed.map(|(is_met, _)| is_met));
        }
    }
}
