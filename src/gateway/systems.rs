//! Departments' systems behind the gateway, as the configuration in force names them.
//!
//! ```text
//!  [[system]] ─▶ Systems ─┬─ who calls, by certificate        ─▶ Terminal::System
//!                         ├─ who works for a place            ─▶ office · provider
//!                         └─ whose host or path is asked for  ─▶ pass
//! ```
//! A reload puts others in their place: a request that has begun keeps the one it found, and nobody is known by a position
//! in a list that may have changed meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::terms::{CreditCode, Digest, RegionCode};
use crate::upstream::Client;

/// What a system behind us does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemKind {
    Office,
    Provider,
    Proxy,
}

/// A department's system behind us.
pub struct System {
    pub id: String,
    pub kind: SystemKind,
    pub url: String,
    pub authority: CreditCode,
    pub region: RegionCode,
    pub client: Client,
    pub resources: Vec<String>,
    /// Longest wait for what it answers to a lookup.
    pub answer: Duration,
    pub path: Option<String>,
    pub host: Option<String>,
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// All of them, in the order of the file.
#[derive(Debug, Default)]
pub struct Systems {
    all: Vec<Arc<System>>,
    /// By SHA-256 of the certificate with which a system calls us.
    callers: HashMap<Digest, Arc<System>>,
}

impl Systems {
    /// Each system with the SHA-256 of the certificate with which it calls, if it does.
    pub fn new(all: impl IntoIterator<Item = (System, Option<Digest>)>) -> Self {
        let mut systems = Self::default();
        for (system, certificate) in all {
            let system = Arc::new(system);
            systems.callers.extend(certificate.map(|print| (print, system.clone())));
            systems.all.push(system);
        }
        systems
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<System>> {
        self.all.iter()
    }

    /// The one that calls with this certificate.
    pub fn caller(&self, certificate: Digest) -> Option<Arc<System>> {
        self.callers.get(&certificate).cloned()
    }

    /// The one with this name.
    pub fn named(&self, id: &str) -> Option<Arc<System>> {
        self.all.iter().find(|system| system.id == id).cloned()
    }

    /// The one of a kind that works for a place: the longest matching one.
    pub fn for_place(
        &self,
        kind: SystemKind,
        place: RegionCode,
        fits: impl Fn(&System) -> bool,
    ) -> Option<Arc<System>> {
        let fit = self.all.iter().filter(|s| s.kind == kind && place.lies_in(s.region) && fits(s));
        fit.max_by_key(|s| s.region.significant()).cloned()
    }
}
