//! What other replicas tell: data that changed at their source; an export that wants the map of cases of every log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::log;
use crate::gateway::lookup::changed::{CHANNEL, heard};
use crate::gateway::{Rooms, stopped};
use crate::store::news::Heard;

/// Pause before a line that broke is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens until `stop` turns true. While nobody can be heard nothing kept is trusted.
pub async fn run(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            over = listen(&rooms) => match over {
                Ok(()) => return, // nobody shares the store
                Err(error) => tracing::warn!(%error, "other replicas cannot be heard"),
            },
        }
        rooms.lookups.forget_all();
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn listen(rooms: &Arc<Rooms>) -> Result<(), crate::store::StoreError> {
    let Some(mut listening) = rooms.store.listen(&[CHANNEL, log::MAPS]).await? else { return Ok(()) };
    // What was told before we listened is not kept.
    rooms.lookups.forget_all();
    loop {
        match listening.next().await? {
            Heard::Text { channel, text } if channel == log::MAPS => log::map_wanted(rooms, &text),
            Heard::Text { text, .. } => heard(rooms, &text).await,
            Heard::Gap => rooms.lookups.forget_all(),
        }
    }
}
