//! Checkpoints: signed each interval when the log has grown, stored durably, only then served.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Shared;
use super::disk::{Disk, is_full, replace};
use crate::audit::AuditError;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note::{Note, Signer};
use crate::terms::Digest;

/// What is served.
#[derive(Clone, Debug)]
pub struct Published {
    pub size: u64,
    pub root: Digest,
    /// The signed note with all lines.
    pub note: String,
}

pub(super) struct Publisher {
    pub shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub signer: Arc<Signer>,
    /// One store at a time.
    pub turn: Mutex<()>,
}

impl Publisher {
    pub fn run(&self, interval: Duration) {
        loop {
            let stopping = self.shared.wait(interval);
            self.publish();
            if stopping {
                return;
            }
        }
    }

    /// Signs what is durable, if it has grown.
    pub fn publish(&self) {
        let _turn = self.turn.lock().unwrap_or_else(|p| p.into_inner());
        let (head, served) = (self.shared.head(), self.shared.published.load());
        if head.size == served.size || self.shared.dead().is_some() {
            return;
        }
        let note = self.signer.sign(&Checkpoint::new(self.signer.name(), head.size, head.root).to_string());
        self.store(Published { size: head.size, root: head.root, note });
    }

    /// Adds signature lines of witnesses to the checkpoint they were made for. `false` when another one is served
    /// meanwhile, or a line is there already.
    pub fn add_lines(&self, cosigned: &Note<'_>) -> Result<bool, AuditError> {
        let _turn = self.turn.lock().unwrap_or_else(|p| p.into_inner());
        let served = self.shared.published.load();
        let mut note = served.note.clone();
        let Ok(current) = Note::parse(served.note.as_bytes()) else { return Ok(false) };
        if current.text() != cosigned.text() {
            return Ok(false);
        }
        let is_new = |line: &&_| !current.signatures().contains(line);
        cosigned.signatures().iter().filter(is_new).for_each(|line| note.push_str(line.line));
        if note == served.note {
            return Ok(false);
        }
        Ok(self.store(Published { note, ..(**served).clone() }))
    }

    fn store(&self, next: Published) -> bool {
        match replace(&*self.disk, &self.dir, "checkpoint", next.note.as_bytes()) {
            Ok(()) => {
                self.shared.published.store(Arc::new(next));
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
}
