//! Keeps the search index up to the log: off the writer's path, from what is published, a few thousand entries at a time.
//!
//! A crash between two steps loses nothing: the index says itself how far it goes. One that is damaged is thrown away
//! and made again from the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::audit::search::{Keeper, Served, step};
use crate::gateway::{Rooms, stopped};

/// How often a longer log is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long the disk is left alone after an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until `stop` turns true.
pub async fn run(rooms: Arc<Rooms>, file: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut keeper = None;
    loop {
        let wait = match follow(&rooms, &file, &mut keeper, &stop).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(error, "the search index does not follow the log; searches read the rest of it");
                PATIENCE
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    if let Some(keeper) = keeper {
        keeper.index().close().await;
    }
}

async fn follow(
    rooms: &Rooms,
    file: &Path,
    keeper: &mut Option<Keeper>,
    stop: &watch::Receiver<bool>,
) -> Result<(), String> {
    let keeper = match keeper {
        Some(keeper) => keeper,
        None => keeper.insert(Keeper::open(file, rooms.log.key()).await.map_err(|e| e.to_string())?),
    };
    loop {
        let head = keeper.head().await.map_err(|e| e.to_string())?;
        if head.0 == rooms.log.checkpoint().size || *stop.borrow() {
            return Ok(());
        }
        let (log, key) = (Served(rooms.log.clone()), rooms.log.key().clone());
        let read = tokio::task::spawn_blocking(move || step(&log, &key, head)).await;
        let step = read.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        if !keeper.take(step).await.map_err(|e| e.to_string())? {
            return Ok(());
        }
    }
}
