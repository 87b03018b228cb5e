//! A log that was lost or rolled back is taken from a mirror, on an operator's order. The gateway stands still meanwhile.
//!
//! ```text
//!  what store, old folder and the operator's checkpoints know ─▶ the mirror keeps every promise? ─▶ folder built beside the old one
//!  ─▶ witnesses hold no more ─▶ line `lifecycle`: recovered, by whom, why ─▶ verified ─▶ the two folders change places
//! ```
//! A crash before the last step leaves the old folder in its place; the next run begins anew. Nothing is ever overwritten.

use std::io;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::wire;
use crate::audit::checkpoint::{self, Checkpoint};
use crate::audit::entry::{Actor, Node};
use crate::audit::log::OpenOptions;
use crate::audit::note::KeyKind;
use crate::audit::{Committed, Entry, Kind, Log, Word};
use crate::federation::Directory;
use crate::gateway::ledger;
use crate::jobs::witnesses::{Witnesses, member_at};
use crate::terms::UnixMillis;

/// The folder that a new log is built in.
const BUILT: &str = "log.recovering";

/// Who ordered it, and why.
pub struct Order {
    /// Name of the operator.
    pub by: Word,
    /// A code, e.g. of an incident.
    pub ground: Word,
}

/// Checkpoints of the gateway's log that must be part of what is recovered, each with who knows it.
pub async fn known(config: &Config) -> Result<Vec<(&'static str, Checkpoint)>, String> {
    let store = wire::store(config).await?;
    let newest = wire::known_head(config, &store).await;
    store.close().await;
    let mut known: Vec<_> = newest?.into_iter().map(|checkpoint| ("the store", checkpoint)).collect();
    let key = wire::log_signer(config)?.verifier(KeyKind::Ed25519);
    let own = std::fs::read(config.gateway.data.join("log/checkpoint")).unwrap_or_default();
    if let Ok(signed) = checkpoint::open(&own, &key, None) {
        known.push(("the old folder", signed.checkpoint().clone()));
    }
    Ok(known)
}

/// An empty folder for the new log, beside the old one.
pub fn place(config: &Config) -> io::Result<PathBuf> {
    let built = config.gateway.data.join(BUILT);
    match std::fs::remove_dir_all(&built) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => std::fs::create_dir_all(&built)?,
    }
    Ok(built)
}

/// Opens the log that was built, asks the witnesses, puts the recovery on record, and closes it.
///
/// # Errors
/// A sentence; the old folder stays in its place.
pub async fn put_on_record(
    config: &Config,
    built: &Path,
    known: Vec<(&'static str, Checkpoint)>,
    order: &Order,
) -> Result<Committed, String> {
    let mut options = OpenOptions::new(wire::log_signer(config)?);
    options.second = wire::second_log_signer(config)?;
    options.gm = wire::gm_signer(config)?;
    options.at_least = known.into_iter().map(|(_, checkpoint)| checkpoint).collect();
    let log = Log::open(built, options).map_err(|e| e.to_string())?;
    let done = asked_and_told(config, &log, order).await;
    log.close().await;
    done
}

async fn asked_and_told(config: &Config, log: &Log, order: &Order) -> Result<Committed, String> {
    if let Some(policy) = wire::quorum(config)? {
        let text = std::fs::read_to_string(&config.directory.file).map_err(|e| e.to_string())?;
        let operator = wire::operator_key(&config.directory.operator_key)?;
        let directory = Directory::take(&text, &operator, None, UnixMillis::now()).map_err(|e| e.to_string())?;
        let peers = wire::peers(config, &directory)?;
        let client = |url: &str| {
            let id = member_at(url, &directory)?;
            let peer = peers.0.get(&id).ok_or(format!("no way to {id}"))?;
            Ok(peer.deliveries.relayed())
        };
        Witnesses::new(policy).hold_no_more(log, &client).await?;
    }
    let recovered = log.checkpoint();
    let actor = Actor { kind: Word::new("operator").ok(), staff: Some(order.by.clone()), ..Actor::default() };
    let node = Node { name: Word::new(&config.gateway.id).ok() };
    let entry = Entry::new(Kind::Lifecycle, UnixMillis::now()).node(node).actor(actor);
    let facts = [
        ("event", "recover".to_owned()),
        ("ground", order.ground.to_string()),
        ("root", recovered.root.to_string()),
        ("size", recovered.size.to_string()),
    ];
    log.append(&ledger::facts(entry, &facts)).await.map_err(|e| e.to_string())
}

/// Puts the built folder in the place of the old one, which is kept; gives its new name, if there was an old one.
pub fn change_places(config: &Config, built: &Path, now: UnixMillis) -> io::Result<Option<PathBuf>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let data = &config.gateway.data;
    let (log, aside) = (data.join("log"), data.join(format!("log.replaced-{}", now.seconds())));
    let sync = || std::fs::File::open(data)?.sync_all();
    if !log.exists() {
        std::fs::rename(built, &log)?;
        return sync().map(|()| None);
    }
    // In one step where the file system can: there is a log at every moment.
    match renameat_with(CWD, built, CWD, &log, RenameFlags::EXCHANGE) {
        Ok(()) => std::fs::rename(built, &aside)?,
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            std::fs::rename(&log, &aside)?;
            std::fs::rename(built, &log)?;
        }
        Err(e) => return Err(e.into()),
    }
    sync().map(|()| Some(aside))
}
