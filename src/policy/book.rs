//! The set in force, and how another takes its place: wholly, or not at all.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::ask::Ask;
use super::denial::Denial;
use super::permit::Permit;
use super::set::PolicySet;
use crate::terms::{Digest, UnixMillis};

/// The policies in force. A request that has begun keeps the set it began with ([`PolicyBook::current`]).
pub struct PolicyBook {
    set: ArcSwap<PolicySet>,
    keeper: Option<Arc<dyn AskKeeper>>,
}

impl std::fmt::Debug for PolicyBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PolicyBook({})", self.set.load().version())
    }
}

/// Keeps what was asked, so that it can be decided again.
pub trait AskKeeper: Send + Sync {
    /// `digest` is that of [`super::replay::digest`]. Called at every decision; must not wait.
    fn keep(&self, digest: Digest, ask: &Ask, at: UnixMillis);
}

impl PolicyBook {
    pub fn new(set: impl Into<Arc<PolicySet>>) -> Self {
        Self { set: ArcSwap::new(set.into()), keeper: None }
    }

    /// Every question goes to `keeper`, too.
    #[must_use]
    pub fn kept_by(self, keeper: Arc<dyn AskKeeper>) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    pub fn current(&self) -> Arc<PolicySet> {
        self.set.load_full()
    }

    /// Decides under the set in force.
    ///
    /// # Errors
    /// As [`PolicySet::decide`].
    pub fn decide(&self, ask: &Ask, now: UnixMillis) -> Result<Permit, Denial> {
        let decided = self.set.load().decide(ask, now);
        if let Some(keeper) = &self.keeper {
            let asked = decided.as_ref().map_or_else(Denial::asked, Permit::asked);
            keeper.keep(asked, ask, now);
        }
        decided
    }

    /// Puts another set in force; gives the version before.
    pub fn take(&self, set: Arc<PolicySet>) -> Digest {
        self.set.swap(set).version()
    }
}
