//! When to fetch an issuer's key set. Pure: events and `now` in, one action out; somebody upstairs does the fetching.
//!
//! ```text
//!  Tick / UnknownKid ──▶ due? not in flight? not too soon? ──▶ Fetch ──▶ Fetched(keys) │ Failed
//!                                                               on failure: old keys go on until `stale_s`
//! ```

use std::collections::BTreeMap;

use crate::terms::UnixMillis;

use super::keys::{IssuerKeys, PublicKey};

/// Limits, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLimits {
    /// Fetch again this long after a good fetch.
    pub every_s: i64,
    /// Never two fetches closer than this, however many unknown kids come.
    pub unknown_kid_s: i64,
    /// Keys older than this are not used any more, even when the issuer cannot be reached.
    pub stale_s: i64,
    /// After a failure, wait this long.
    pub retry_s: i64,
    /// A fetch without an answer counts as failed after this.
    pub timeout_s: i64,
    /// A key that left the document is still taken for this long, so that tokens signed just before rotation pass; no longer
    /// where the issuer goes away meanwhile, although the keys that are in the document go on until `stale_s`.
    pub overlap_s: i64,
}

impl Default for RefreshLimits {
    fn default() -> Self {
        Self { every_s: 300, unknown_kid_s: 30, stale_s: 86_400, retry_s: 15, timeout_s: 10, overlap_s: 600 }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum RefreshEvent {
    /// Time passed.
    Tick,
    /// A token named a key that is not in the set.
    UnknownKid,
    /// The fetch brought this set.
    Fetched(IssuerKeys),
    Failed,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshAction {
    Nothing,
    /// Fetch the key set, once; report [`RefreshEvent::Fetched`] or [`RefreshEvent::Failed`].
    Fetch,
    /// Put [`RefreshPolicy::keys`] into the book.
    Publish,
}

/// The state for one issuer.
#[derive(Clone, Debug)]
pub struct RefreshPolicy {
    limits: RefreshLimits,
    keys: Option<IssuerKeys>,
    /// Keys that left the document, and when they end.
    leaving: BTreeMap<String, (PublicKey, UnixMillis)>,
    fetched: Option<UnixMillis>,
    started: Option<UnixMillis>,
    in_flight: bool,
    failed: bool,
    expired: bool,
}

impl RefreshPolicy {
    pub fn new(limits: RefreshLimits) -> Self {
        Self {
            limits,
            keys: None,
            leaving: BTreeMap::new(),
            fetched: None,
            started: None,
            in_flight: false,
            failed: false,
            expired: false,
        }
    }

    /// Keys to use: none before the first fetch and none past the stale bound.
    pub fn keys(&self) -> Option<IssuerKeys> {
        if self.expired {
            return None;
        }
        let mut keys = self.keys.clone()?;
        for (kid, (key, _)) in &self.leaving {
            keys.keep(kid, key);
        }
        Some(keys)
    }

    /// The one step: what to do after `event` at `now`.
    pub fn step(&mut self, event: RefreshEvent, now: UnixMillis) -> RefreshAction {
        match event {
            RefreshEvent::Fetched(keys) => {
                self.in_flight = false;
                self.failed = false;
                self.expired = false;
                if let Some(old) = &self.keys {
                    for (kid, key) in old.named() {
                        let until = now.plus_seconds(self.limits.overlap_s);
                        self.leaving.entry(kid.to_owned()).or_insert_with(|| (key.clone(), until));
                    }
                }
                self.leaving.retain(|kid, (_, until)| *until > now && !keys.kids().any(|k| k == kid));
                self.keys = Some(keys);
                self.fetched = Some(now);
                RefreshAction::Publish
            }
            RefreshEvent::Failed => {
                self.in_flight = false;
                self.failed = true;
                self.age(now)
            }
            RefreshEvent::UnknownKid => self.start_if(now, self.limits.unknown_kid_s),
            RefreshEvent::Tick => match self.age(now) {
                RefreshAction::Publish => RefreshAction::Publish,
                _ => {
                    let wait = match (self.fetched, self.failed) {
                        (None, false) => 0,
                        (_, true) => self.limits.retry_s,
                        (Some(_), false) => self.limits.every_s,
                    };
                    self.start_if(now, wait)
                }
            },
        }
    }

    /// Drops keys whose time is over.
    fn age(&mut self, now: UnixMillis) -> RefreshAction {
        let before = self.leaving.len();
        self.leaving.retain(|_, (_, until)| *until > now);
        let stale = self.fetched.is_some_and(|at| now > at.plus_seconds(self.limits.stale_s));
        let newly = stale && !self.expired;
        self.expired |= stale;
        if newly || self.leaving.len() != before { RefreshAction::Publish } else { RefreshAction::Nothing }
    }

    /// Single flight: one fetch at a time, and none sooner than `wait` seconds after the last began.
    fn start_if(&mut self, now: UnixMillis, wait: i64) -> RefreshAction {
        let since = |s: i64| self.started.is_none_or(|at| now >= at.plus_seconds(s));
        if (self.in_flight && !since(self.limits.timeout_s)) || !since(wait) {
            return RefreshAction::Nothing;
        }
        self.in_flight = true;
        self.started = Some(now);
        RefreshAction::Fetch
    }
}
