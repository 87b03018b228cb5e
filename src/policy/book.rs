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
#[derive(Debug)]
pub struct PolicyBook(ArcSwap<PolicySet>);

impl PolicyBook {
    pub fn new(set: PolicySet) -> Self {
        Self(ArcSwap::from_pointee(set))
    }

    pub fn current(&self) -> Arc<PolicySet> {
        self.0.load_full()
    }

    /// Decides under the set in force.
    ///
    /// # Errors
    /// As [`PolicySet::decide`].
    pub fn decide(&self, ask: &Ask, now: UnixMillis) -> Result<Permit, Denial> {
        self.0.load().decide(ask, now)
    }

    /// Puts another set in force; gives the version before.
    pub fn take(&self, set: PolicySet) -> Digest {
        self.0.swap(Arc::new(set)).version()
    }

    /// Takes the set of `dir` if it is without a mistake; returns (old version, new version).
    ///
    /// # Errors
    /// All mistakes of the folder; the set in force stays.
    pub fn reload(&self, dir: &Path) -> Result<(Digest, Digest), LoadError> {
        let set = PolicySet::load(dir)?;
        let new = set.version();
        let old = self.0.swap(Arc::new(set));
        Ok((old.version(), new))
    }
}
