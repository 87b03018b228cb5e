//! The log itself: a folder, one writer, group commit, checkpoints.
//!
//! ```text
//!  <dir>/lock                 held while a process has the log open
//!  <dir>/key                  the note verifier key; two of them while the log changes its key, the one in use first
//!  <dir>/gm-key               the SM2 key whose lines stand beside the log's, if there is one
//!  <dir>/checkpoint           the last signed checkpoint
//!  <dir>/cosigners            keys of the witnesses whose lines stand on it
//!  <dir>/segments/000000.seg  the entries, 65,536 a file
//!  <dir>/levels/0 …           the hashes, derived
//!  <dir>/anchors/…            time-stamps over checkpoints, by their size
//!  <dir>/pruned               what is known of segments that went under the retention policy
//! ```

pub mod base;
mod chain;
pub mod disk;
pub mod faulty;
mod levels;
pub mod prune;
mod publish;
pub mod rebuild;
mod recover;
pub mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use super::AuditError;
use super::anchor;
use super::bundle;
use super::checkpoint::{self, Checkpoint};
use super::entry::{Entry, Pseudonym};
use super::gm::GmSigner;
use super::merkle;
use super::note::{KeyKind, Note, Signer, VerifierKey};
use super::proof::TlogProof;
use super::retention::Retention;
use super::tile::{Level, TilePath, Tiled};
use crate::terms::Digest;
use disk::{Disk, RealDisk, replace};
use levels::{Levels, MAX_LEVELS};
pub use publish::Published;
use publish::Publisher;
pub use recover::{Recovery, tail};
use segment::{Cursor, SEGMENT_ENTRIES, Unit};
use writer::{Job, Reply, Writer};

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

/// How to open a log.
pub struct OpenOptions {
    /// The log's key; its name is the origin.
    pub signer: Signer,
    /// Signs beside it while the log changes its key: the next one, or the one before.
    pub second: Option<Signer>,
    /// Time between checkpoints.
    pub interval: Duration,
    /// How long a checkpoint waits for its witnesses before it is served without them; nought without witnesses.
    pub patience: Duration,
    /// Checkpoints known elsewhere (witnesses, mirror, peers): the log must contain each of them.
    pub at_least: Vec<Checkpoint>,
    /// Bytes of a segment taken in advance.
    pub preallocate: u64,
    /// Signs checkpoints a second time, with SM2; its name is the origin, too.
    pub gm: Option<GmSigner>,
    pub disk: Arc<dyn Disk>,
}

impl OpenOptions {
    /// A checkpoint each second, 16 MiB taken in advance, the operating system's disk.
    pub fn new(signer: Signer) -> Self {
        let interval = Duration::from_secs(1);
        Self {
            signer,
            second: None,
            interval,
            patience: Duration::ZERO,
            at_least: Vec::new(),
            preallocate: 16 << 20,
            gm: None,
            disk: Arc::new(RealDisk),
        }
    }
}

/// An entry that is durable. Only the writer makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    pub index: u64,
    /// Leaf hash, as receipts name it.
    pub leaf: Digest,
}

/// A resource of the log as C2SP tlog-tiles serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
    /// Never changes: may be cached for ever.
    pub immutable: bool,
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
    /// Where entry 256·n stands in its segment.
    bundles: RwLock<Vec<u32>>,
    /// Entries below were pruned.
    minimum: AtomicU64,
    levels: Levels,
    dead: watch::Sender<Option<String>>,
    stop: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn grown(&self, head: Head, offsets: &[u32]) {
        if !offsets.is_empty() {
            self.bundles.write().unwrap_or_else(|p| p.into_inner()).extend_from_slice(offsets);
        }
        *self.head.lock().unwrap_or_else(|p| p.into_inner()) = head;
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
    /// Opens the log in `dir`, or makes one. Reads every segment once: about a second for 300,000 entries.
    ///
    /// # Errors
    /// [`AuditError::Locked`], [`AuditError::Corrupt`], [`AuditError::RolledBack`], [`AuditError::Foreign`]: the
    /// entries are left as they were. [`AuditError::Io`] for a disk that does not work.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<Self, AuditError> {
        let io = |doing: &'static str| move |e: std::io::Error| AuditError::io(doing, &e);
        let disk = options.disk;
        for folder in ["segments", "levels"] {
            std::fs::create_dir_all(dir.join(folder)).map_err(io("making the log folder"))?;
        }
        let lock = lock(dir)?;
        let key = options.signer.verifier(KeyKind::Ed25519);
        let origin = key.name().to_owned();
        let second = options.second.as_ref().map(|signer| signer.verifier(KeyKind::Ed25519)).filter(|s| *s != key);
        if second.as_ref().is_some_and(|second| second.name() != origin) {
            return Err(AuditError::Foreign("its second key has another name".into()));
        }
        let keys: Vec<VerifierKey> = std::iter::once(key.clone()).chain(second).collect();
        let (is_new, keys_changed) = key_file(&*disk, dir, &keys)?;
        if let Some(gm) = &options.gm {
            let line = format!("{}\n", gm.key());
            replace(&*disk, dir, GM_KEY, line.as_bytes()).map_err(io("keeping the SM2 key"))?;
        }
        let levels = Levels::open(disk.clone(), dir.join("levels")).map_err(io("opening level files"))?;
        let opened = recover::segments(&disk, dir, &origin, &levels)?;
        let note = match std::fs::read(dir.join("checkpoint")) {
            Ok(note) => note,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && (is_new || opened.recovery.entries == 0) => {
                let note = options.signer.sign(&Checkpoint::new(&origin, 0, merkle::empty_root()).to_string());
                replace(&*disk, dir, "checkpoint", note.as_bytes()).map_err(io("storing the first checkpoint"))?;
                note.into_bytes()
            }
            Err(e) => return Err(AuditError::io("reading the checkpoint", &e)),
        };
        // Of a log whose key was changed without an overlap, the last checkpoint is signed by the second key alone.
        let opened_by = |key: &VerifierKey| checkpoint::open(&note, key, None);
        let stored =
            keys.iter().skip(1).fold(opened_by(&key), |found, key| found.or_else(|e| opened_by(key).map_err(|_| e)));
        let stored =
            stored.map_err(|e| AuditError::Corrupt { file: "checkpoint".into(), offset: 0, what: e.to_string() })?;
        recover::promises_kept(&opened, &levels, &stored, &options.at_least, &origin)?;
        let size = opened.chain.frontier.size();
        // Hashes of a batch that was dropped must not stay behind the others.
        levels.trim(size).map_err(io("cutting level files"))?;
        let published = Published { size: stored.size(), root: stored.root(), note: stored.note().to_owned() };
        let shared = Arc::new(Shared {
            head: Mutex::new(Head { size, root: opened.chain.frontier.root() }),
            published: ArcSwap::from_pointee(published),
            bundles: RwLock::new(opened.bundles),
            minimum: AtomicU64::new(opened.minimum),
            levels,
            dead: watch::Sender::new(None),
            stop: Mutex::new(false),
            stopping: Condvar::new(),
        });
        let segments = dir.join("segments");
        let (queue, waiting) = mpsc::channel(QUEUE);
        let mut written = [0; MAX_LEVELS];
        written.iter_mut().enumerate().for_each(|(level, count)| *count = size >> (8 * level));
        let writer = Writer {
            shared: shared.clone(),
            disk: disk.clone(),
            folder: segments.clone(),
            origin,
            chain: opened.chain,
            cases: opened.cases,
            segment: opened.segment,
            allocated: opened.end,
            end: opened.end,
            file: opened.file,
            preallocate: options.preallocate.max(4096),
            written,
            buffer: Vec::new(),
        };
        let publisher = Arc::new(Publisher {
            shared: shared.clone(),
            disk: disk.clone(),
            dir: dir.to_owned(),
            signer: Arc::new(options.signer),
            second: options.second.filter(|_| keys.len() > 1),
            gm: options.gm,
            patience: options.patience,
            fresh: Mutex::new(None),
        });
        publisher.publish();
        let (interval, signing) = (options.interval, publisher.clone());
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(io("starting a thread"))
        };
        let threads = vec![
            spawn("audit-publisher", Box::new(move || signing.run(interval)))?,
            spawn("audit-writer", Box::new(move || writer.run(waiting)))?,
        ];
        Ok(Self(Arc::new(Inner {
            queue: Some(queue),
            shared,
            publisher,
            segments,
            disk,
            key,
            keys,
            keys_changed,
            recovery: opened.recovery,
            threads: Mutex::new(threads),
            lock,
        })))
    }

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

    /// Number of durable entries; the published checkpoint may be an interval behind.
    pub fn size(&self) -> u64 {
        self.0.shared.head().size
    }

    /// The checkpoint being served.
    pub fn checkpoint(&self) -> Arc<Published> {
        self.0.shared.published.load_full()
    }

    /// Signs and serves a checkpoint now instead of at the next interval. Blocks for a few disk syncs.
    pub fn publish(&self) {
        self.0.publisher.publish();
    }

    /// The checkpoint that witnesses are to cosign: served already, or waiting for them.
    pub fn unwitnessed(&self) -> Published {
        self.0.publisher.unwitnessed()
    }

    /// Serves the checkpoint that waits for its witnesses: enough of them have cosigned.
    pub fn release(&self) {
        self.0.publisher.release();
    }

    /// Adds the lines of witnesses to the checkpoint that waits for them, or is served. Each line must verify under one of `witnesses`.
    /// `false` when the log has another checkpoint by now.
    pub fn add_cosignatures(&self, note: &str, witnesses: &[VerifierKey]) -> Result<bool, AuditError> {
        let entry = |e: super::note::NoteError| AuditError::Foreign(e.to_string());
        let parsed = Note::parse(note.as_bytes()).map_err(entry)?;
        parsed.verify(witnesses).map_err(entry)?;
        let known = |line: &super::note::SignatureLine<'_>| {
            witnesses.iter().any(|key| key.name() == line.name && key.id() == line.key_id)
                || self.0.keys.iter().any(|key| line.name == key.name() && line.key_id == key.id())
                || self.gm().is_some_and(|gm| gm.key().is_of(line.name, line.key_id))
        };
        if !parsed.signatures().iter().all(known) {
            return Ok(false);
        }
        self.0.publisher.keep_cosigners(&parsed, witnesses)?;
        self.0.publisher.add_lines(&parsed)
    }

    /// Keeps the anchor over the checkpoint of `size` entries in the log's folder. Blocks for a few disk syncs.
    pub fn keep_anchor(&self, size: u64, bytes: &[u8]) -> Result<(), AuditError> {
        self.0.publisher.keep_anchor(size, bytes).map_err(|e| AuditError::io("keeping an anchor", &e))
    }

    /// The newest anchor, as it was kept.
    pub fn anchor(&self) -> Result<Vec<u8>, AuditError> {
        let io = |e: std::io::Error| AuditError::io("reading an anchor", &e);
        match anchor::newest(&self.0.publisher.dir).map_err(io)? {
            Some(file) => std::fs::read(file).map_err(io),
            None => Err(AuditError::NotFound),
        }
    }

    /// Size of the newest checkpoint that was stamped; 0 without one.
    pub fn anchored(&self) -> Result<u64, AuditError> {
        let newest = anchor::newest(&self.0.publisher.dir).map_err(|e| AuditError::io("looking for anchors", &e))?;
        let size = newest.and_then(|file| file.file_name()?.to_str()?.parse().ok());
        Ok(size.unwrap_or(0))
    }

    /// Root of the first `size` entries, which must be published.
    pub fn root_at(&self, size: u64) -> Result<Digest, AuditError> {
        if size > self.0.shared.published.load().size {
            return Err(AuditError::NotFound);
        }
        merkle::range_root(&Tiled(&self.0.shared.levels), 0, size)
    }

    /// Signs a past of this log, for an archive that holds just so much of it. The root must be the one it had.
    pub fn sign_past(&self, past: &Checkpoint) -> Result<String, AuditError> {
        if past.origin != self.0.key.name() || self.root_at(past.size)? != past.root {
            return Err(AuditError::NotFound);
        }
        Ok(self.0.publisher.sign(&past.to_string()))
    }

    /// The newest anchor over at most `size` entries.
    pub fn anchor_upto(&self, size: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let io = |e: std::io::Error| AuditError::io("reading an anchor", &e);
        let found = anchor::newest_upto(&self.0.publisher.dir, size).map_err(io)?;
        found.map(|file| std::fs::read(file).map_err(io)).transpose()
    }

    /// The note verifier key, as `tongban audit key` prints it.
    pub fn key(&self) -> &VerifierKey {
        &self.0.key
    }

    /// The keys that sign: the one in use, and while the log changes its key the next one, or the one before.
    pub fn keys(&self) -> &[VerifierKey] {
        &self.0.keys
    }

    /// Whether the keys are others than in the life before: to be put on record, then [`Log::adopt_keys`].
    pub fn keys_changed(&self) -> bool {
        self.0.keys_changed
    }

    /// Keeps the keys in the folder. Blocks for a few disk syncs.
    pub fn adopt_keys(&self) -> Result<(), AuditError> {
        let kept = replace(&*self.0.disk, &self.0.publisher.dir, "key", key_lines(&self.0.keys).as_bytes());
        kept.map_err(|e| AuditError::io("storing the keys", &e))
    }

    /// Who signs a second time, with SM2.
    pub fn gm(&self) -> Option<&GmSigner> {
        self.0.publisher.gm.as_ref()
    }

    /// What opening found; its `unanswered` intents want a `recovered` entry each.
    pub fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }

    /// A resource by its path: `checkpoint`, `tile/…`, `tile/entries/…`. Only canonical paths, only what is published.
    /// Bundles (`tile/entries/…`) are for auditors and mirrors; who may read them is asked by the caller.
    pub fn read(&self, path: &str) -> Result<Resource, AuditError> {
        let published = self.0.shared.published.load();
        if path == "checkpoint" {
            let content_type = "text/plain; charset=utf-8";
            return Ok(Resource { bytes: published.note.clone().into_bytes(), content_type, immutable: false });
        }
        let tile = TilePath::parse(path).filter(|tile| tile.within(published.size)).ok_or(AuditError::NotFound)?;
        let start = tile.index * 256;
        let bytes = match tile.level {
            Level::Hashes(level) => self.0.shared.levels.bytes(usize::from(level), start, usize::from(tile.width))?,
            Level::Entries => {
                let mut bytes = Vec::new();
                self.entries_from(start, u64::from(tile.width), |_, entry| bundle::push(&mut bytes, entry))?;
                bytes
            }
        };
        Ok(Resource { bytes, content_type: "application/octet-stream", immutable: true })
    }

    /// What it says of its pruning; `days` that its policy keeps entries.
    pub fn retention(&self, days: Option<u32>) -> Retention {
        Retention { origin: self.0.key.name().to_owned(), minimum: self.minimum(), days }
    }

    /// The bytes of a durable entry, published or not: for this gateway itself, never for strangers.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, AuditError> {
        let mut found = None;
        let start = index - index % 256;
        self.entries_from(start, index - start + 1, |at, entry| {
            if at == index {
                found = Some(entry.to_vec());
            }
            true
        })?;
        found.ok_or(AuditError::NotFound)
    }

    /// Hears of at most `most` durable entries from `start` on, in order; gives the index to go on from. Stops at the end of
    /// a segment. Entries that were pruned are passed over.
    pub fn entries(&self, start: u64, most: u64, mut each: impl FnMut(u64, &[u8])) -> Result<u64, AuditError> {
        if start < self.minimum() {
            return Ok(self.minimum());
        }
        let segment_end = (start / SEGMENT_ENTRIES + 1) * SEGMENT_ENTRIES;
        let end = start.saturating_add(most).min(self.size()).min(segment_end);
        if end <= start {
            return Ok(start);
        }
        let from = start - start % 256;
        self.entries_from(from, end - from, |at, entry| {
            if at >= start {
                each(at, entry);
            }
            true
        })?;
        Ok(end)
    }

    /// Hears of `count` entries from `start`, a multiple of 256, on; never crosses a segment.
    fn entries_from(&self, start: u64, count: u64, mut each: impl FnMut(u64, &[u8]) -> bool) -> Result<(), AuditError> {
        if start + count > self.size() {
            return Err(AuditError::NotFound);
        }
        let minimum = self.minimum();
        if start < minimum {
            return Err(AuditError::Pruned { minimum });
        }
        let offset = {
            let bundles = self.0.shared.bundles.read().unwrap_or_else(|p| p.into_inner());
            *bundles.get((start / 256) as usize).ok_or(AuditError::NotFound)?
        };
        let io = |e: std::io::Error| AuditError::io("reading a segment", &e);
        let name = segment::name(start / SEGMENT_ENTRIES);
        let file = self.0.disk.open(&self.0.segments.join(&name)).map_err(io)?;
        let mut cursor = Cursor::short(&*file, u64::from(offset));
        let mut at = start;
        while at < start + count {
            let place = cursor.offset();
            let (unit, len) = segment::unit(&mut cursor).map_err(io)?;
            match unit {
                Unit::Entry(bytes) if each(at, bytes) => at += 1,
                Unit::Footer(..) => {}
                _ => {
                    let what = "an entry cannot be read back".into();
                    return Err(AuditError::Corrupt { file: format!("segments/{name}"), offset: place, what });
                }
            }
            cursor.skip(len);
        }
        Ok(())
    }

    /// The inclusion proof of a published entry with the checkpoint being served.
    pub fn proof(&self, index: u64) -> Result<TlogProof, AuditError> {
        let published = self.0.shared.published.load();
        if index >= published.size {
            return Err(AuditError::NotFound);
        }
        let hashes = merkle::inclusion(&Tiled(&self.0.shared.levels), index, published.size)?;
        Ok(TlogProof { extra: None, index, hashes, checkpoint: published.note.clone() })
    }

    /// The proof that the tree of `size` entries only adds to the tree of `old`; for witnesses.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Digest>, AuditError> {
        if old > size || size > self.size() {
            return Err(AuditError::NotFound);
        }
        merkle::consistency(&Tiled(&self.0.shared.levels), old, size)
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

/// One process at a time. The lock goes with the process, however it ends.
fn lock(dir: &Path) -> Result<File, AuditError> {
    let file = File::options().write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(|e| AuditError::io("opening the lock file", &e))?;
    let mut patience = 10; // who asks whether the log is open holds the lock for a moment
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if patience > 0 => patience -= 1,
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(AuditError::Locked),
            Err(e) => return Err(AuditError::io("locking the log folder", &e.into())),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keeps every process from opening the log in `dir` until the file is dropped.
///
/// # Errors
/// [`AuditError::Locked`] while a gateway has it open.
pub fn hold(dir: &Path) -> Result<File, AuditError> {
    lock(dir)
}

/// Whether a process has the log in `dir` open, and may be writing to it.
pub fn is_open(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    let held = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared);
    matches!(held, Err(rustix::io::Errno::WOULDBLOCK))
}

/// Stores the verifier keys in a new folder, compares them in an old one: one of them must be known there. Whether the
/// folder was new, and whether it names other keys.
fn key_file(disk: &dyn Disk, dir: &Path, keys: &[VerifierKey]) -> Result<(bool, bool), AuditError> {
    match std::fs::read_to_string(dir.join("key")) {
        Ok(stored) if stored == key_lines(keys) => Ok((false, false)),
        Ok(stored) => {
            let known: Option<Vec<VerifierKey>> = stored.lines().map(|line| line.parse().ok()).collect();
            let known = known.filter(|known| key_lines(known) == stored).unwrap_or_default();
            match known.iter().any(|key| keys.contains(key)) {
                true => Ok((false, true)),
                false => Err(AuditError::Foreign("its key file names another key".into())),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if std::fs::read_dir(dir.join("segments")).is_ok_and(|mut items| items.next().is_some()) {
                return Err(AuditError::Foreign("its key file is missing".into()));
            }
            let stored = replace(disk, dir, "key", key_lines(keys).as_bytes());
            stored.map(|()| (true, false)).map_err(|e| AuditError::io("storing the key", &e))
        }
        Err(e) => Err(AuditError::io("reading the key file", &e)),
    }
}

fn key_lines(keys: &[VerifierKey]) -> String {
    keys.iter().map(|key| format!("{key}\n")).collect()
}
