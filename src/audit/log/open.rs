//! Opening a log, or making one.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, watch};

use super::crowd::Crowd;
use super::disk::{Disk, RealDisk, replace};
use super::hold::lock;
use super::levels::{Levels, MAX_LEVELS};
use super::publish::{Published, Publisher};
use super::writer::Writer;
use super::{GM_KEY, Head, Inner, Log, QUEUE, Shared, recover};
use crate::audit::checkpoint::{self, Checkpoint, MAP, SignedCheckpoint};
use crate::audit::gm::GmSigner;
use crate::audit::note::{KeyKind, MAX_NOTE, Note, SignatureLine, Signer, VerifierKey};
use crate::audit::tile::Tiled;
use crate::audit::{AuditError, merkle, plain};

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

/// A thread of the log that breaks down takes the log with it: without it nothing would be signed, or written, and nobody told.
struct Missed {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Drop for Missed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.die(format!("its thread {} broke down", self.name));
            // The writer tells the publisher when to stop, and would not any more: whoever closes the log waits for both.
            self.shared.stop_publisher();
        }
    }
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
        let mapped = mapped(dir, &keys, options.gm.as_ref());
        recover::promises_kept(&opened, &levels, std::iter::once(&stored).chain(&mapped), &options.at_least, &origin)?;
        let size = opened.chain.frontier.size();
        // Hashes of a batch that was dropped must not stay behind the others.
        levels.trim(size).map_err(io("cutting level files"))?;
        let map_end = opened.recovery.map.map(|at| at + 1);
        let mapped = mapped.filter(|mapped| Some(mapped.size()) == map_end).map(|mapped| Published::of(&mapped, true));
        if mapped.is_none() {
            forget_map(&*disk, dir)?;
        }
        let stored = Published::of(&stored, Some(stored.size()) == map_end);
        let map_head = match map_end {
            Some(end) if end > stored.size => {
                Some(Head { size: end, root: merkle::range_root(&Tiled(&levels), 0, end)? })
            }
            _ => None,
        };
        let shared = Arc::new(Shared {
            head: Mutex::new(Head { size, root: opened.chain.frontier.root() }),
            published: ArcSwap::from_pointee(stored),
            map_head: Mutex::new(map_head),
            mapped: ArcSwapOption::from_pointee(mapped),
            bundles: RwLock::new(opened.bundles),
            minimum: AtomicU64::new(opened.minimum),
            levels,
            dead: watch::Sender::new(None),
            full: false.into(),
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
            crowd: Crowd::default(),
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
        let spawn = |name: &'static str, body: Box<dyn FnOnce() + Send>| {
            let missed = Missed { name, shared: shared.clone() };
            let watched = move || {
                let _missed = missed;
                body();
            };
            std::thread::Builder::new().name(name.into()).spawn(watched).map_err(io("starting a thread"))
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
}

/// The checkpoint that ends with a map, as the folder has it; `None` where it is of no use any more: damaged, or of before a key was
/// changed, so that nobody knows its lines.
fn mapped(dir: &Path, keys: &[VerifierKey], gm: Option<&GmSigner>) -> Option<SignedCheckpoint> {
    let note = plain::read(&dir.join(MAP), MAX_NOTE as u64).ok()?;
    let parsed = Note::parse(&note).ok()?;
    let is_known = |line: &SignatureLine<'_>| {
        keys.iter().any(|key| key.id() == line.key_id) || gm.is_some_and(|gm| gm.key().is_of(line.name, line.key_id))
    };
    let mut own = parsed.signatures().iter().filter(|line| keys.iter().any(|key| key.name() == line.name));
    own.all(is_known).then(|| checkpoint::open_any(&note, keys, None).ok()).flatten().map(|(_, signed)| signed)
}

/// Removes it: the newest map has another one, or gets it next.
fn forget_map(disk: &dyn Disk, dir: &Path) -> Result<(), AuditError> {
    match disk.remove(&dir.join(MAP)) {
        Ok(()) => {
            tracing::warn!("the checkpoint of the map of cases in the folder is not the newest one's: removed");
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(AuditError::io("removing the checkpoint of the map", &e)),
    }
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

pub(super) fn key_lines(keys: &[VerifierKey]) -> String {
    keys.iter().map(|key| format!("{key}\n")).collect()
}
