//! The set in force, and how another takes its place: wholly, or not at all.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::ask::Ask;
use super::denial::Denial;
use super::load::LoadError;
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
    pub fn new(set: PolicySet) -> Self {
        Self { set: ArcSwap::from_pointee(set), keeper: None }
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
    pub fn take(&self, set: PolicySet) -> Digest {
        self.set.swap(Arc::new(set)).version()
    }

    /// Takes the set of `dir` if it is without a mistake; returns (old version, new version).
    ///
    /// # Errors
    /// All mistakes of the folder; the set in force stays.
    pub fn reload(&self, dir: &Path) -> Result<(Digest, Digest), LoadError> {
        let set = PolicySet::load(dir)?;
        let new = set.version();
        let old = self.set.swap(Arc::new(set));
        Ok((old.version(), new))
    }
}
