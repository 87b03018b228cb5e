//! Taking changed files while the gateway runs: wholly, or not at all.
//!
//! ```text
//!  SIGHUP · POST /reload (admin address) ─▶ read everything ─┬─ a mistake ─▶ told, on record; the old stays in force
//!                                                            └─ good ─▶ lines in the log ─▶ swapped, one by one, at once
//! ```
//! Requests that have begun end under what they began with. Connections that are open stay: who may do what is asked at
//! each request, not at the handshake.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::config::Config;
use super::refresh;
use super::snapshot::{self, Snapshot};
use super::wire;
use crate::gateway::Rooms;
use crate::gateway::changes::{self, Cause, Change};
use crate::http::log::Auditor;
use crate::http::places::Places;
use crate::policy::archive;
use crate::terms::{Digest, Mistakes, UnixMillis};

/// What a reload did.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Parts that are others than before.
    pub changes: Vec<Change>,
    /// Sections of the configuration that are not as they were at the start, and count from the next one only.
    pub at_next_start: Vec<&'static str>,
}

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("{0}")]
    NotOnRecord(String),
}

/// Takes changed files; one at a time.
pub struct Reloader {
    rooms: Arc<Rooms>,
    config: Arc<ArcSwap<Config>>,
    /// What this process started with.
    started: Arc<Config>,
    api_tls: Arc<ArcSwap<rustls::ServerConfig>>,
    auditors: Arc<ArcSwap<HashMap<Digest, Auditor>>>,
    /// Of the addresses that the world reaches.
    places: Vec<Places>,
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    /// `turn` is shared with whoever else replaces parts of the same rooms.
    pub fn new(
        rooms: Arc<Rooms>,
        config: Arc<ArcSwap<Config>>,
        api_tls: Arc<ArcSwap<rustls::ServerConfig>>,
        auditors: Arc<ArcSwap<HashMap<Digest, Auditor>>>,
        places: Vec<Places>,
        turn: Arc<Mutex<()>>,
    ) -> Self {
        let started = config.load_full();
        Self { rooms, config, started, api_tls, auditors, places, turn }
    }

    /// Reads configuration and files again and puts them in force.
    ///
    /// # Errors
    /// [`NotReloaded`]; then everything is as it was.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded, NotReloaded> {
        let _turn = self.turn.lock().await;
        let now = UnixMillis::now();
        let file = self.started.source.file.clone();
        let in_force = snapshot::InForce {
            directory: self.rooms.directory.load().version,
            policies: self.rooms.policies.current(),
        };
        let read = tokio::task::spawn_blocking(move || {
            let whole = |mistakes| snapshot::Faults { mistakes, kinds: vec![crate::audit::Kind::AdminConfig] };
            let config = Config::load(&file).map_err(whole)?;
            let snapshot = snapshot::read(&config, Some(&in_force), now)?;
            Ok::<_, snapshot::Faults>((config, snapshot))
        });
        let read = read.await.map_err(|e| NotReloaded::NotOnRecord(e.to_string()))?;
        let (config, snapshot) = match read {
            Ok(read) => read,
            Err(faults) => {
                let count = faults.mistakes.list().len();
                tracing::error!(mistakes = count, "not reloaded; what was in force stays:\n{}", faults.mistakes);
                if let Err(error) = changes::refused(&self.rooms, &faults.kinds, count, cause, now).await {
                    return Err(NotReloaded::NotOnRecord(error.to_string()));
                }
                return Err(NotReloaded::Mistakes(faults.mistakes));
            }
        };
        let kept = archive::keep(&self.rooms.archive, &snapshot.policies);
        kept.map_err(|e| NotReloaded::NotOnRecord(format!("{}: {e}", self.rooms.archive.display())))?;
        let changes = changes::announce(&self.rooms, &snapshot.parts, cause, now).await;
        let changes = changes.map_err(|e| NotReloaded::NotOnRecord(e.to_string()))?;
        let at_next_start = at_next_start(&self.started, &config);
        self.put(snapshot, now);
        self.rooms.people.store(Arc::new(config.people.clone()));
        self.rooms.lists_required.store(Arc::new(config.lists_required));
        self.rooms.paces.rcu(|paces| paces.reloaded(&config.rates));
        self.rooms.bounds.store(Arc::new(wire::bounds(&config)));
        for places in &self.places {
            places.set(config.limits.connections as usize);
        }
        self.config.store(Arc::new(config));
        if let Err(error) = changes::settle(&self.rooms, &changes).await {
            tracing::warn!(%error, "the versions in force are not remembered; the next start tells of them again");
        }
        for change in &changes {
            tracing::info!(%change, "reloaded");
        }
        if !at_next_start.is_empty() {
            tracing::warn!(sections = at_next_start.join(", "), "not as at the start; counts from the next one only");
        }
        Ok(Reloaded { changes, at_next_start })
    }

    fn put(&self, snapshot: Snapshot, now: UnixMillis) {
        let rooms = &self.rooms;
        let (known, old) = (rooms.issuers.load(), rooms.directory.load());
        let book = refresh::with_known_keys(snapshot.book, &known, &old, &snapshot.directory);
        rooms.rates.rcu(|rates| rates.reloaded(&snapshot.contracts));
        rooms.contracts.store(Arc::new(snapshot.contracts));
        rooms.catalogue.store(snapshot.catalogue);
        rooms.policies.take(snapshot.policies);
        rooms.windows.store(Arc::new(snapshot.windows));
        rooms.client_anchors.store(Arc::new(snapshot.client_anchors));
        rooms.client_lists.store(Arc::new(snapshot.client_lists));
        rooms.operators.store(Arc::new(snapshot.operators));
        rooms.enrolment.store(Arc::new(snapshot.enrolment));
        rooms.keys.store(Arc::new(snapshot.keys));
        rooms.trusted.store(Arc::new(snapshot.trusted));
        rooms.directory.store(Arc::new(snapshot.directory));
        rooms.issuers.store(Arc::new(book));
        rooms.peers.store(Arc::new(snapshot.peers));
        rooms.systems.store(Arc::new(snapshot.systems));
        rooms.certificate_status.ask(snapshot.asked, now);
        self.auditors.store(Arc::new(snapshot.auditors));
        self.api_tls.store(snapshot.api_tls);
        // What was looked up was looked up under the old rules and registers.
        rooms.lookups.forget_all();
        rooms.keys_wanted.notify_one();
    }
}

/// Sections that only a start reads, where they differ from what it read.
fn at_next_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let differs = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| format!("{a:?}") != format!("{b:?}");
    let all: [(&'static str, bool); 5] = [
        ("gateway", differs(&old.gateway, &new.gateway)),
        ("listen", differs(&old.listen, &new.listen)),
        ("log", differs(&old.log, &new.log)),
        ("directory.url", old.directory.url != new.directory.url),
        ("directory.anchors", old.directory.anchors != new.directory.anchors),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
}
