//! Copies sealed segments of the log to object storage, as a log in the C2SP layout. Never stops service: a storage that is
//! away is asked again, and the operator is told when the archive falls behind.
//!
//! ```text
//!  <prefix>/tile/entries/…  tile/0/…  tile/1/…     full tiles of every archived segment; never change, locked where the
//!                                                  storage has locks
//!  <prefix>/tile/2/….p/N …                         the edge above them
//!  <prefix>/checkpoints/SIZE                       the served checkpoint of then, with its cosignatures
//!  <prefix>/anchor                                 the newest time-stamp over what is archived
//!  <prefix>/map                                    signed over its first entries, up to the newest map of cases
//!  <prefix>/checkpoint     last                    signed over exactly the archived segments: what verifiers begin with
//! ```
//! Each object is read again after it was sent. After a crash the archive's own checkpoint says how far it is whole; what is
//! there beyond is compared, not sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use crate::audit::checkpoint::{self, Checkpoint, MAP};
use crate::audit::entry::EntryHead;
use crate::audit::log::segment::SEGMENT_ENTRIES;
use crate::audit::retention::{PRUNED_ANCHOR, RETENTION, Retention};
use crate::audit::tile::{Level, TilePath, WIDTH, nodes_at, tiles_at};
use crate::audit::{AuditError, Kind, Log};
use crate::gateway::rooms::ArchiveState;
use crate::gateway::{Rooms, stopped};
use crate::terms::UnixMillis;
use crate::upstream::objects::{ObjectError, Objects, Writer};

/// How often a newly sealed segment is looked for.
const LOOK: Duration = Duration::from_secs(30);
/// Objects sent side by side.
const SIDE_BY_SIDE: usize = 8;
/// Age of the oldest sealed segment that is not archived at which the operator is told, in milliseconds.
pub const BEHIND_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// Why a segment is not archived yet.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Log(#[from] AuditError),
    #[error("the archive's checkpoint is not one of this log: {0}")]
    Foreign(String),
    #[error("{0}")]
    Settings(String),
    #[error("reading the log was cut off")]
    CutOff,
}

/// Where to, and for how long objects are locked.
pub struct Archive {
    pub objects: Objects,
    pub lock_days: Option<u32>,
}

impl Archive {
    /// Archives what is sealed until `stop` turns true.
    pub async fn run(self, rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
        loop {
            let now = UnixMillis::now();
            let outcome = tokio::select! {
                () = stopped(&mut stop) => return,
                outcome = self.round(&rooms.log, &rooms.log_archive, now) => outcome,
            };
            if let Err(error) = outcome {
                match rooms.log_archive.behind_for(now) > BEHIND_MS {
                    true => tracing::error!(%error, "THE ARCHIVE OF THE LOG IS BEHIND by more than an hour"),
                    false => tracing::warn!(%error, "a segment of the log is not archived yet; it will be tried again"),
                }
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Archives every segment that is sealed and published. What was done stays done, whatever stops the rest.
    pub async fn round(&self, log: &Log, state: &ArchiveState, now: UnixMillis) -> Result<u64, ArchiveError> {
        let sealed = log.checkpoint().size / SEGMENT_ENTRIES * SEGMENT_ENTRIES;
        state.sealed(sealed, now);
        let mut archived = match state.archived() {
            Some(size) => size,
            None => self.already(log).await?,
        };
        state.reached(archived, now);
        while archived < sealed {
            let next = archived + SEGMENT_ENTRIES;
            self.segment(log, archived, next, now).await?;
            archived = next;
            state.reached(archived, now);
            tracing::info!(entries = archived, "a segment of the log is archived");
        }
        Ok(archived)
    }

    /// How far the archive is whole, as its own checkpoint says: it must be this log's, and a past of it.
    async fn already(&self, log: &Log) -> Result<u64, ArchiveError> {
        let Some(note) = self.objects.get("checkpoint").await? else { return Ok(0) };
        let foreign = |why: String| ArchiveError::Foreign(why);
        let signed = checkpoint::open(&note, log.key(), None).map_err(|e| foreign(e.to_string()))?;
        let size = signed.size();
        if size > log.size() || !size.is_multiple_of(SEGMENT_ENTRIES) {
            return Err(foreign(format!("it is over {size} entries, the log has {}", log.size())));
        }
        match log.root_at(size)? == signed.root() {
            true => Ok(size),
            false => Err(foreign(format!("another root of the first {size} entries"))),
        }
    }

    async fn segment(&self, log: &Log, from: u64, to: u64, now: UnixMillis) -> Result<(), ArchiveError> {
        let until = self.lock_days.map(|days| UnixMillis(now.0.saturating_add(i64::from(days) * DAY_MS)));
        let writer = self.objects.writer(until).map_err(ArchiveError::Settings)?;
        let served = log.checkpoint();
        // An archive that begins after entries were pruned has their hashes.
        let minimum = log.minimum();
        let entries = tiles_of(Level::Entries, from.max(minimum).min(to), to);
        let tiles = (0..8u8).flat_map(|level| tiles_of(Level::Hashes(level), from, to));
        let kept = futures_util::stream::iter(entries.chain(tiles).map(|tile| keep(log, &writer, tile)));
        kept.buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<bool>>().await?;
        writer.keep(&format!("checkpoints/{:020}", served.size), &Bytes::from(served.note.clone())).await.or_else(
            |error| match error {
                // The same checkpoint with other cosignatures: what is there was true as well.
                ObjectError::Differs(_) => Ok(false),
                other => Err(other),
            },
        )?;
        let loose = self.objects.writer(None).map_err(ArchiveError::Settings)?;
        if from < minimum {
            let claim = Retention { minimum: minimum.min(to), ..log.retention(None) };
            loose.replace(RETENTION, &Bytes::from(claim.to_string())).await?;
        }
        if let Some(anchor) = log.anchor_upto(to)? {
            loose.replace("anchor", &Bytes::from(anchor)).await?;
        }
        if let Ok(anchor) = log.anchor_pruned() {
            loose.replace(PRUNED_ANCHOR, &Bytes::from(anchor)).await?;
        }
        let origin = log.key().name();
        let note = log.sign_past(&Checkpoint::new(origin, to, log.root_at(to)?))?;
        loose.replace("checkpoint", &Bytes::from(note)).await?;
        if let Some(map) = newest_map(log, from.max(minimum), to).await? {
            let note = log.sign_past(&Checkpoint::new(origin, map + 1, log.root_at(map + 1)?))?;
            loose.replace(MAP, &Bytes::from(note)).await?;
        }
        Ok(())
    }
}

/// The newest map of cases among these entries: evidence is taken as of it.
async fn newest_map(log: &Log, from: u64, to: u64) -> Result<Option<u64>, ArchiveError> {
    let log = log.clone();
    let look = move || {
        let (mut at, mut found) = (from, None);
        while at < to {
            at = log.entries(at, to - at, |index, bytes| {
                if EntryHead::parse(bytes).is_ok_and(|head| head.kind == Kind::Index) {
                    found = Some(index);
                }
            })?;
        }
        Ok::<_, AuditError>(found)
    };
    Ok(tokio::task::spawn_blocking(look).await.map_err(|_| ArchiveError::CutOff)??)
}

/// Tiles that a log of `to` entries has and one of `from` entries has not: full ones, and the edge.
fn tiles_of(level: Level, from: u64, to: u64) -> impl Iterator<Item = TilePath> {
    let full = nodes_at(level, from) / WIDTH;
    tiles_at(level, to).skip(usize::try_from(full).unwrap_or(usize::MAX))
}

async fn keep(log: &Log, writer: &Writer, tile: TilePath) -> Result<bool, ArchiveError> {
    let (log, path) = (log.clone(), tile.to_string());
    let read = tokio::task::spawn_blocking(move || log.read(&path)).await.map_err(|_| ArchiveError::CutOff)??;
    Ok(writer.keep(&tile.to_string(), &Bytes::from(read.bytes)).await?)
}
