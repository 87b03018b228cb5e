//! What a log signs, what others sign over it, and the keys.

use std::sync::Arc;

use super::disk::replace;
use super::open::key_lines;
use super::{Log, Published};
use crate::audit::AuditError;
use crate::audit::anchor;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::gm::GmSigner;
use crate::audit::note::{Note, NoteError, SignatureLine, VerifierKey};

impl Log {
    /// The checkpoint being served.
    pub fn checkpoint(&self) -> Arc<Published> {
        self.0.shared.published.load_full()
    }

    /// The newest one that ends with a map of all cases: served, or served before.
    pub fn mapped(&self) -> Option<Arc<Published>> {
        self.0.shared.mapped.load_full()
    }

    /// Signs and serves a checkpoint of all that is durable now instead of at the next interval. Blocks for a few disk syncs.
    pub fn publish(&self) {
        self.0.publisher.publish();
        // What came behind a map.
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

    /// Adds the lines of `witnesses` to the checkpoint that waits for them, or is served. Each must verify; what others signed beside
    /// them is left out: a witness may sign with keys that nobody here knows (C2SP tlog-witness). `false` when the log has another
    /// checkpoint by now, or these lines.
    pub fn add_cosignatures(&self, note: &str, witnesses: &[VerifierKey]) -> Result<bool, AuditError> {
        let entry = |e: NoteError| AuditError::Foreign(e.to_string());
        let parsed = Note::parse(note.as_bytes()).map_err(entry)?;
        parsed.verify(witnesses).map_err(entry)?;
        // The first of each key: only that was verified.
        let first = |key: &VerifierKey| {
            let is_of = |line: &&SignatureLine<'_>| key.name() == line.name && key.id() == line.key_id;
            parsed.signatures().iter().find(is_of).map(|line| line.line)
        };
        let lines: String = witnesses.iter().filter_map(first).collect();
        let cosigned = format!("{}\n{lines}", parsed.text());
        let cosigned = Note::parse(cosigned.as_bytes()).map_err(entry)?;
        self.0.publisher.keep_cosigners(&cosigned, witnesses)?;
        self.0.publisher.add_lines(&cosigned)
    }

    /// Signs a past of this log, for an archive that holds just so much of it. The root must be the one it had.
    pub fn sign_past(&self, past: &Checkpoint) -> Result<String, AuditError> {
        if past.origin != self.0.key.name() || self.root_at(past.size)? != past.root {
            return Err(AuditError::NotFound);
        }
        Ok(self.0.publisher.sign(&past.to_string()))
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

    /// The newest anchor over at most `size` entries.
    pub fn anchor_upto(&self, size: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let io = |e: std::io::Error| AuditError::io("reading an anchor", &e);
        let found = anchor::newest_upto(&self.0.publisher.dir, size).map_err(io)?;
        found.map(|file| std::fs::read(file).map_err(io)).transpose()
    }

    /// The first anchor over all entries that were pruned.
    pub fn anchor_pruned(&self) -> Result<Vec<u8>, AuditError> {
        let io = |e: std::io::Error| AuditError::io("reading an anchor", &e);
        let minimum = Some(self.minimum()).filter(|minimum| *minimum > 0).ok_or(AuditError::NotFound)?;
        match anchor::first_from(&self.0.publisher.dir, minimum).map_err(io)? {
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
}
