//! Checkpoints: signed each interval when the log has grown, stored durably, only then served.
//!
//! ```text
//!  signed ──no witnesses──▶ stored ──▶ served
//!     └──▶ fresh: shown to witnesses only ──enough of them, or the wait is over──▶ stored ──▶ served
//!            ▲                                                                    │no space
//!            └────────────────────────────────────────────────────────────────────┘
//! ```
//! A map of all cases is the last entry of one of them, whatever comes behind it: evidence is taken as of that one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::disk::{Disk, is_full, replace};
use super::{COSIGNERS, Head, Shared};
use crate::audit::AuditError;
use crate::audit::checkpoint::{Checkpoint, MAP, SignedCheckpoint};
use crate::audit::gm::GmSigner;
use crate::audit::note::{Note, SignatureLine, Signer, VerifierKey};
use crate::terms::Digest;

/// What is served.
#[derive(Clone, Debug)]
pub struct Published {
    pub size: u64,
    pub root: Digest,
    /// The signed note with all lines.
    pub note: String,
    /// Whether its last entry is a map of all cases.
    pub is_map: bool,
}

impl Published {
    pub(super) fn of(signed: &SignedCheckpoint, is_map: bool) -> Self {
        Self { size: signed.size(), root: signed.root(), note: signed.note().to_owned(), is_map }
    }
}

pub(super) struct Publisher {
    pub shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub signer: Arc<Signer>,
    pub second: Option<Signer>,
    pub gm: Option<GmSigner>,
    /// How long a checkpoint waits for its witnesses before it is served without them.
    pub patience: Duration,
    /// The checkpoint that waits for its witnesses; held while one is stored.
    pub fresh: Mutex<Option<(Published, Instant)>>,
}

impl Publisher {
    pub fn run(&self, interval: Duration) {
        loop {
            let stopping = self.shared.wait(interval);
            if stopping {
                self.release();
            }
            self.publish();
            if stopping {
                self.release();
                // What came behind a map.
                self.publish();
                return self.release();
            }
        }
    }

    /// Signs what is durable, if it has grown, and first of all up to a map of all cases; one that waits for its witnesses is
    /// waited for.
    pub fn publish(&self) {
        let mut fresh = self.fresh.lock().unwrap_or_else(|p| p.into_inner());
        let is_waited_for = fresh.as_ref().is_some_and(|(_, since)| since.elapsed() < self.patience);
        if is_waited_for || !self.settle(&mut fresh) {
            return;
        }
        let (head, served) = (self.shared.head(), self.shared.published.load_full());
        if served.is_map && self.shared.mapped.load().as_ref().is_none_or(|mapped| mapped.size < served.size) {
            // There was no space for it.
            self.keep_map(&served);
        }
        if head.size == served.size || self.shared.dead().is_some() {
            return;
        }
        let map = self.shared.map_head().filter(|map| map.size > served.size);
        let Head { size, root } = map.unwrap_or(head);
        let note = self.sign(&Checkpoint::new(self.signer.name(), size, root).to_string());
        let next = Published { size, root, note, is_map: map.is_some() };
        if self.patience.is_zero() {
            self.store(next);
        } else {
            *fresh = Some((next, Instant::now()));
        }
    }

    /// Signed by the log's key, and by the SM2 key where there is one. A token that does not sign for once does not
    /// stop the log: the line is missing then, and a verifier says so.
    pub fn sign(&self, text: &str) -> String {
        let mut note = self.signer.sign(text);
        if let Some(second) = &self.second {
            note += &second.sign_line(text);
        }
        match self.gm.as_ref().map(|gm| gm.line(text)) {
            None => note,
            Some(Ok(line)) => note + &line,
            Some(Err(error)) => {
                tracing::error!(%error, "the SM2 key does not sign; the checkpoint goes without its line");
                note
            }
        }
    }

    /// The checkpoint to be witnessed: the one that waits, or else the one that is served.
    pub fn unwitnessed(&self) -> Published {
        let fresh = self.fresh.lock().unwrap_or_else(|p| p.into_inner());
        fresh.as_ref().map_or_else(|| (**self.shared.published.load()).clone(), |(waiting, _)| waiting.clone())
    }

    /// Serves the checkpoint that waits, now.
    pub fn release(&self) {
        self.settle(&mut self.fresh.lock().unwrap_or_else(|p| p.into_inner()));
    }

    /// Stores and serves the one that waits; `false` when there is no space for it. It goes on waiting then: witnesses may
    /// have seen it, and to show them an older one after it would look like another log.
    fn settle(&self, fresh: &mut Option<(Published, Instant)>) -> bool {
        match fresh {
            Some((waiting, _)) if !self.store(waiting.clone()) => false,
            _ => {
                *fresh = None;
                true
            }
        }
    }

    /// Keeps the keys of who cosigned beside the checkpoint, before their lines: whoever verifies the folder finds a changed
    /// octet in them, too. (Which witnesses count is not the folder's to say.)
    pub fn keep_cosigners(&self, cosigned: &Note<'_>, witnesses: &[VerifierKey]) -> Result<(), AuditError> {
        let io = |e: std::io::Error| AuditError::io("keeping the cosigners", &e);
        let have = match std::fs::read_to_string(self.dir.join(COSIGNERS)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other.map_err(io)?,
        };
        let signed = |key: &&VerifierKey| {
            cosigned.signatures().iter().any(|line| line.name == key.name() && line.key_id == key.id())
        };
        let mut keys: BTreeSet<String> = have.lines().map(str::to_owned).collect();
        keys.extend(witnesses.iter().filter(signed).map(ToString::to_string));
        let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
        if text == have {
            return Ok(());
        }
        replace(&*self.disk, &self.dir, COSIGNERS, text.as_bytes()).map_err(io)
    }

    /// Adds signature lines of witnesses to the checkpoint they were made for; a newer line of a witness takes the place of
    /// its older one. `false` when another checkpoint is there meanwhile, or the lines are there already.
    pub fn add_lines(&self, cosigned: &Note<'_>) -> Result<bool, AuditError> {
        let mut fresh = self.fresh.lock().unwrap_or_else(|p| p.into_inner());
        if let Some((waiting, _)) = &mut *fresh
            && let Some(note) = with_lines(&waiting.note, cosigned)
        {
            waiting.note = note;
            return Ok(true);
        }
        let served = self.shared.published.load();
        match with_lines(&served.note, cosigned) {
            Some(note) => Ok(self.store(Published { note, ..(**served).clone() })),
            None => Ok(false),
        }
    }

    /// Keeps the newest anchor, durable.
    pub fn keep_anchor(&self, size: u64, bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.dir.join("anchors");
        std::fs::create_dir_all(&folder)?;
        replace(&*self.disk, &folder, &format!("{size:020}"), bytes)
    }

    fn store(&self, next: Published) -> bool {
        match replace(&*self.disk, &self.dir, "checkpoint", next.note.as_bytes()) {
            Ok(()) => {
                let next = Arc::new(next);
                self.shared.published.store(next.clone());
                if next.is_map {
                    self.keep_map(&next);
                }
                true
            }
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no space to store the checkpoint; the older one is served");
                false
            }
            Err(error) => {
                self.shared.die(format!("storing the checkpoint: {error}"));
                false
            }
        }
    }

    /// Keeps the checkpoint that ends with a map, whatever is served after it.
    fn keep_map(&self, mapped: &Arc<Published>) {
        match replace(&*self.disk, &self.dir, MAP, mapped.note.as_bytes()) {
            Ok(()) => self.shared.mapped.store(Some(mapped.clone())),
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no space to keep the checkpoint of the map of cases; the older one is kept");
            }
            Err(error) => self.shared.die(format!("storing the checkpoint of the map: {error}")),
        }
    }
}

/// `note` with the lines of `cosigned` that it has not yet; `None` when there is none, or the text is another.
fn with_lines(note: &str, cosigned: &Note<'_>) -> Option<String> {
    let current = Note::parse(note.as_bytes()).ok()?;
    let is_new = |line: &&_| !current.signatures().contains(line);
    let new: Vec<_> = cosigned.signatures().iter().filter(is_new).collect();
    if current.text() != cosigned.text() || new.is_empty() {
        return None;
    }
    let is_replaced = |line: &&SignatureLine<'_>| new.iter().any(|n| (n.name, n.key_id) == (line.name, line.key_id));
    let kept = current.signatures().iter().filter(|line| !is_replaced(line));
    let lines: String = kept.chain(new.iter().copied()).map(|line| line.line).collect();
    Some(format!("{}\n{lines}", current.text()))
}
