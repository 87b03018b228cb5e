//! The log itself: a folder, one writer, group commit, checkpoints.
//!
//! ```text
//!  <dir>/lock                 held while a process has the log open
//!  <dir>/key                  the note verifier key; two of them while the log changes its key, the one in use first
//!  <dir>/gm-key               the SM2 key whose lines stand beside the log's, if there is one
//!  <dir>/checkpoint           the last signed checkpoint
//!  <dir>/map                  the last one that ends with a map of all cases
//!  <dir>/cosigners            keys of the witnesses whose lines stand on them
//!  <dir>/segments/000000.seg  the entries, 65,536 a file
//!  <dir>/levels/0 …           the hashes, derived
//!  <dir>/anchors/…            time-stamps over checkpoints, by their size
//!  <dir>/pruned               what is known of segments that went under the retention policy
//! ```

pub mod base;
mod chain;
mod crowd;
pub mod disk;
pub mod faulty;
mod hold;
mod levels;
mod open;
pub mod prune;
mod publish;
mod read;
pub mod rebuild;
mod recover;
pub mod segment;
mod signed;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot, watch};

use super::AuditError;
use super::entry::{Entry, Pseudonym};
use super::note::VerifierKey;
use crate::terms::Digest;
use disk::Disk;
pub use hold::{hold, is_open};
use levels::Levels;
pub use open::OpenOptions;
pub use publish::Published;
use publish::Publisher;
pub use read::Resource;
pub use recover::{Recovery, tail};
use writer::{Job, Reply};

/// File of the witnesses' keys.
pub const COSIGNERS: &str = "cosigners";
/// File of the SM2 key.
pub const GM_KEY: &str = "gm-key";
/// Entries that may wait for the writer; more is [`AuditError::Busy`].
pub const QUEUE: usize = 8_192;
/// Most entries of one batch.
pub const MAX_BATCH_ENTRIES: usize = 1_024;
/// Most bytes of one batch (a single longer entry cannot exist).
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// An entry that is durable. Only the writer makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    pub index: u64,
    /// Leaf hash, as receipts name it.
    pub leaf: Digest,
}

/// Size and root of what is durable.
#[derive(Clone, Copy, Debug)]
struct Head {
    size: u64,
    root: Digest,
}

/// What writer, publisher and readers share.
struct Shared {
    head: Mutex<Head>,
    published: ArcSwap<Published>,
    /// The newest checkpoint that ends with a map of all cases.
    mapped: ArcSwapOption<Published>,
    /// The log as it was right behind its newest map of this run.
    map_head: Mutex<Option<Head>>,
    /// Where entry 256·n stands in its segment.
    bundles: RwLock<Vec<u32>>,
    /// Entries below were pruned.
    minimum: AtomicU64,
    levels: Levels,
    dead: watch::Sender<Option<String>>,
    /// The last entry found no space. The writer says so, and says when there is some again.
    full: AtomicBool,
    stop: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// By a batch; one that is a map is nothing else.
    fn grown(&self, head: Head, offsets: &[u32], is_map: bool) {
        if !offsets.is_empty() {
            self.bundles.write().unwrap_or_else(|p| p.into_inner()).extend_from_slice(offsets);
        }
        if is_map {
            *self.map_head.lock().unwrap_or_else(|p| p.into_inner()) = Some(head);
        }
        *self.head.lock().unwrap_or_else(|p| p.into_inner()) = head;
    }

    fn map_head(&self) -> Option<Head> {
        *self.map_head.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn dead(&self) -> Option<String> {
        self.dead.borrow().clone()
    }

    fn die(&self, reason: String) {
        tracing::error!(reason, "the audit log is dead; this process must end");
        self.dead.send_if_modified(|dead| {
            let first = dead.is_none();
            dead.get_or_insert(reason);
            first
        });
    }

    fn stop_publisher(&self) {
        *self.stop.lock().unwrap_or_else(|p| p.into_inner()) = true;
        self.stopping.notify_all();
    }

    /// Waits for the interval to pass; whether it is time to stop.
    fn wait(&self, interval: Duration) -> bool {
        let stop = self.stop.lock().unwrap_or_else(|p| p.into_inner());
        let waited = self.stopping.wait_timeout_while(stop, interval, |stop| !*stop);
        waited.map_or(true, |(stop, _)| *stop)
    }
}

/// An open log; cheap to clone. Closed by [`Log::close`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    queue: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    publisher: Arc<Publisher>,
    segments: PathBuf,
    disk: Arc<dyn Disk>,
    key: VerifierKey,
    /// The key in use, and the second one while there is one.
    keys: Vec<VerifierKey>,
    /// Whether the folder names others.
    keys_changed: bool,
    recovery: Recovery,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: File,
}

impl Inner {
    fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|p| p.into_inner()));
        threads.into_iter().for_each(|thread| drop(thread.join()));
        // Another process may open the folder now, even while clones of this log live on.
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None; // the writer ends when its queue does
        self.join();
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({}, {} entries)", self.0.key.name(), self.size())
    }
}

impl Log {
    /// Records an entry; returns when it is durable, with every entry before it.
    ///
    /// # Errors
    /// [`AuditError::Busy`] and [`AuditError::Full`]: nothing was recorded, try later. [`AuditError::Dead`]: not
    /// known whether it was; the process must end ([`Log::fatal`]).
    pub async fn append(&self, entry: &Entry) -> Result<Committed, AuditError> {
        let (sender, answer) = oneshot::channel();
        self.enqueue(Job::Append(entry.encode()?, Reply::Task(sender)))?;
        answer.await.map_or(Err(AuditError::Closed), |delivered| delivered.answer)
    }

    /// Records the map of all cases as of now; `entry` is of kind `index`, and its facts are filled in.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn append_index(&self, entry: Entry) -> Result<Committed, AuditError> {
        let (sender, answer) = oneshot::channel();
        self.enqueue(Job::Index(Box::new(entry), Reply::Task(sender)))?;
        answer.await.map_or(Err(AuditError::Closed), |delivered| delivered.answer)
    }

    /// Whether there is an entry of a case.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn knows(&self, case: Pseudonym) -> Result<bool, AuditError> {
        let (sender, answer) = oneshot::channel();
        self.enqueue(Job::Knows(case, sender))?;
        answer.await.map_err(|_| AuditError::Closed)
    }

    /// As [`Log::append`], for a thread without a runtime.
    pub fn append_blocking(&self, entry: &Entry) -> Result<Committed, AuditError> {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        self.enqueue(Job::Append(entry.encode()?, Reply::Thread(sender)))?;
        answer.recv().unwrap_or(Err(AuditError::Closed))
    }

    fn enqueue(&self, job: Job) -> Result<(), AuditError> {
        use mpsc::error::TrySendError;
        if let Some(reason) = self.0.shared.dead() {
            return Err(AuditError::Dead(reason));
        }
        let queue = self.0.queue.as_ref().ok_or(AuditError::Closed)?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => AuditError::Busy,
            TrySendError::Closed(_) => AuditError::Closed,
        })
    }

    /// Resolves when the log has died, with the reason. The process must end then; it must not try again.
    pub async fn fatal(&self) -> String {
        let mut dead = self.0.shared.dead.subscribe();
        let reason = dead.wait_for(Option::is_some).await.ok().map(|reason| reason.clone().unwrap_or_default());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Whether the log takes entries, for the readiness probe.
    pub fn is_healthy(&self) -> bool {
        self.0.shared.dead().is_none() && self.0.queue.as_ref().is_some_and(|queue| queue.capacity() > 0)
    }

    /// Whether an entry would find its place now. Costs a glance while all is well; after an entry was refused for want of
    /// space the disk itself is asked, so that the log is ready again as soon as there is some, though nobody files.
    ///
    /// # Errors
    /// [`AuditError::Full`], [`AuditError::Busy`], [`AuditError::Dead`], [`AuditError::Closed`].
    pub async fn takes_entries(&self) -> Result<(), AuditError> {
        if self.0.shared.full.load(Ordering::Relaxed) {
            let (sender, answer) = oneshot::channel();
            self.enqueue(Job::Room(sender))?;
            return answer.await.unwrap_or(Err(AuditError::Closed));
        }
        match self.0.shared.dead() {
            Some(reason) => Err(AuditError::Dead(reason)),
            None if self.is_healthy() => Ok(()),
            None => Err(AuditError::Busy),
        }
    }

    /// Number of durable entries; the published checkpoint may be an interval behind.
    pub fn size(&self) -> u64 {
        self.0.shared.head().size
    }

    /// What opening found; its `unanswered` intents want a `recovered` entry each.
    pub fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }

    /// Takes no more entries, writes what waits, signs the last checkpoint and lets go of the folder.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if let Some(queue) = &self.0.queue
            && queue.send(Job::Close(done)).await.is_ok()
        {
            let _ = closed.await;
        }
        let joined = tokio::task::spawn_blocking(move || self.0.join());
        let _ = joined.await;
    }
}
