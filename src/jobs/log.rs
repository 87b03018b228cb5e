//! What time sets going in the audit log: the map of all cases, each day and before the gateway stops; the newest
//! checkpoint in the store, from which a log that was restored from an older copy is told.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::gm::Roots;
use super::logset;
use crate::audit::evidence::index::PSEUDONYMS;
use crate::audit::{AuditError, Committed, Kind};
use crate::gateway::{Rooms, ledger, stopped};
use crate::store::{StoreError, head, news};
use crate::terms::UnixMillis;

/// How often the day is looked at, in seconds.
const LOOK_S: u64 = 60;

/// Channel between replicas on which a map of cases is asked for.
pub const MAPS: &str = "tongban_maps";

/// How often a newer checkpoint is looked for.
const HEAD: Duration = Duration::from_secs(1);

/// Keeps the newest checkpoint in the store; runs until `stop` turns true.
pub async fn head(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    let mut kept = 0;
    loop {
        let newest = rooms.log.checkpoint();
        if newest.size > kept {
            match keep_head(&rooms).await {
                Ok(()) => kept = newest.size,
                Err(error) => tracing::warn!(%error, "the newest checkpoint is not in the store yet"),
            }
        }
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(HEAD) => {}
        }
    }
}

/// Keeps the newest checkpoint in the store now.
pub async fn keep_head(rooms: &Rooms) -> Result<(), StoreError> {
    let newest = rooms.log.checkpoint();
    let mut tx = rooms.store.begin().await?;
    let key = rooms.log.key();
    head::keep(&mut tx, key.name(), &key.to_string(), newest.size, newest.root).await?;
    tx.commit(()).await?;
    Ok(())
}

/// Puts the log's keys on record when they are others than in the life before: signed by the one that was in use until now,
/// as long as it is among them.
pub async fn keys(rooms: &Rooms, now: UnixMillis) -> Result<(), AuditError> {
    if !rooms.log.keys_changed() {
        return Ok(());
    }
    let keys: Vec<_> = ["log.key", "log.second_key"].into_iter().zip(rooms.log.keys()).collect();
    let entry = ledger::facts(ledger::line(rooms, Kind::KeyRotate, now), &keys);
    rooms.log.append(&entry).await?;
    let log = rooms.log.clone();
    tokio::task::spawn_blocking(move || log.adopt_keys()).await.map_err(|_| AuditError::Closed)?
}

/// Writes the map of all cases and the SM3 root when a new day has begun; runs until `stop` turns true.
pub async fn daily(rooms: Arc<Rooms>, roots: Roots, mut stop: watch::Receiver<bool>) {
    let mut day = UnixMillis::now().day();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(Duration::from_secs(LOOK_S)) => {}
        }
        let now = UnixMillis::now();
        if now.day() == day {
            continue;
        }
        match index(&rooms, now).await {
            Ok(_) => day = now.day(),
            Err(error) => {
                tracing::warn!(%error, "the map of cases is not in the log yet");
                continue;
            }
        }
        if let Err(error) = roots.write(&rooms, now).await {
            tracing::error!(%error, "no SM3 root of the log today");
        }
    }
}

/// Puts the map of all cases into the log: shows from then on that a case has no further entries before it.
///
/// Where replicas keep logs, it names them all: a case may have entries in each.
pub async fn index(rooms: &Rooms, now: UnixMillis) -> Result<Committed, AuditError> {
    // A map that left one out would hide what is in it.
    let set = match logset::known(rooms).await {
        Ok(Some(set)) => set,
        Ok(None) => return Err(unknown(&"too many of them, or a broken key")),
        Err(error) => return Err(unknown(&error)),
    };
    let print = [(PSEUDONYMS, rooms.pseudonyms.print())];
    let line = ledger::facts(ledger::line(rooms, Kind::Index, now), &print);
    let line = match set.heads().len() {
        1 => line,
        _ => set.write(line).ok_or_else(|| unknown(&"a name that is no plain word"))?,
    };
    rooms.log.append_index(line).await
}

/// Says why the store does not tell the logs of all replicas; whoever wants the map tries again.
fn unknown(why: &dyn std::fmt::Display) -> AuditError {
    tracing::warn!(%why, "no map of cases: the logs of this gateway are not known");
    AuditError::Busy
}

/// A map of cases wanted of every replica. One database may serve several gateways.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapWanted {
    gateway: String,
    /// Origin of the log whose replica asks, and writes its own.
    by: String,
}

/// Asks the other replicas to put the map of cases into their logs, too: evidence is complete as of the newest map in each.
pub async fn want_maps(rooms: &Rooms) -> Result<(), StoreError> {
    let wanted = MapWanted { gateway: rooms.me.id.clone(), by: rooms.log.key().name().to_owned() };
    let mut tx = rooms.store.begin().await?;
    news::tell(&mut tx, MAPS, &serde_json::to_string(&wanted).unwrap_or_default()).await?;
    tx.commit(()).await?;
    Ok(())
}

/// Another replica wants the map. Written beside what is heard next: news of changed data do not wait for it.
pub(super) fn map_wanted(rooms: &Arc<Rooms>, text: &str) {
    let wanted = serde_json::from_str::<MapWanted>(text);
    if wanted.is_ok_and(|wanted| wanted.gateway == rooms.me.id && wanted.by != rooms.log.key().name()) {
        let rooms = rooms.clone();
        tokio::spawn(async move {
            if let Err(error) = index(&rooms, UnixMillis::now()).await {
                tracing::warn!(%error, "the map of cases that another replica wants is not in the log");
            }
        });
    }
}
