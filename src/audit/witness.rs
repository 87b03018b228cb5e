//! A witness (C2SP tlog-witness): cosigns what only adds to what it saw before, and so nobody can be shown another log.
//!
//! ```text
//!  "old 5" · consistency proof · blank line · checkpoint
//!       │ known log? ──no──▶ 404      signed by it? ──no──▶ 403      sizes make sense? ──no──▶ 400
//!       ▼
//!  old = what we hold? ──no──▶ 409 with our size     proof holds? ──no──▶ 422
//!       │yes
//!       ▼
//!  checkpoint stored, durable ──▶ cosignature         crash between: asked again, signed again
//! ```
//! The whole signed checkpoint is kept, not size and root alone: a log that signs two different ones of a size has
//! proven its own misbehaviour, and both are kept as evidence.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::AuditError;
use super::checkpoint::{Checkpoint, decimal, hash};
use super::log::disk::{Disk, RealDisk, replace};
use super::merkle;
use super::note::{KeyKind, MAX_NOTE, Note, NoteError, Signer, VerifierKey};
use crate::terms::Digest;

/// Longest request, in bytes: a note and a proof.
pub const MAX_REQUEST: usize = MAX_NOTE + 64 * 64;
/// Most hashes of a consistency proof.
const MAX_HASHES: usize = 63;
/// Contradictions kept as evidence, by log; more say nothing new.
const MAX_CONFLICTS: usize = 16;

/// Why a checkpoint is not cosigned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("not a request to a witness: {0}")]
    Request(&'static str),
    #[error("the checkpoint is not signed by its log")]
    Signature,
    #[error("a log that is not witnessed here")]
    UnknownLog,
    /// The size that is held.
    #[error("the checkpoint held here has {0} entries")]
    Size(u64),
    #[error("the log signed two different checkpoints of {0} entries")]
    Split(u64),
    #[error("the proof does not show that the log only grew")]
    Proof,
    #[error("the witness cannot keep its state: {0}")]
    State(AuditError),
}

impl WitnessError {
    /// HTTP status of C2SP tlog-witness.
    pub fn status(&self) -> u16 {
        match self {
            Self::Request(_) => 400,
            Self::Signature => 403,
            Self::UnknownLog => 404,
            Self::Size(_) | Self::Split(_) => 409,
            Self::Proof => 422,
            Self::State(_) => 503,
        }
    }
}

/// A request to cosign, taken apart.
struct Ask<'a> {
    old: u64,
    proof: Vec<Digest>,
    note: &'a str,
}

/// The body of a request to cosign `note`.
pub fn request(old: u64, proof: &[Digest], note: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let lines: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash.0))).collect();
    format!("old {old}\n{lines}\n{note}")
}

impl<'a> Ask<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, WitnessError> {
        use WitnessError::Request;
        let text = std::str::from_utf8(body).map_err(|_| Request("not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Request("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| decimal(line.strip_prefix("old ")?)).ok_or(Request("no old size"))?;
        let proof: Option<Vec<Digest>> = lines.map(hash).collect();
        let proof = proof.filter(|p| p.len() <= MAX_HASHES).ok_or(Request("a proof that is none"))?;
        Ok(Self { old, proof, note })
    }
}

/// What is held of a log.
struct Held {
    checkpoint: Checkpoint,
    conflicts: usize,
}

/// A witness with its state in a folder of its own.
pub struct Witness {
    signer: Signer,
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    held: Mutex<HashMap<String, Held>>,
}

impl Witness {
    /// Opens the folder, or makes it. A state file that cannot be read is an error: to forget what was cosigned is
    /// what a witness must never do.
    pub fn open(dir: &Path, signer: Signer) -> Result<Self, AuditError> {
        Self::open_on(dir, signer, Arc::new(RealDisk))
    }

    /// As [`Self::open`], on another disk; for tests that break it.
    pub fn open_on(dir: &Path, signer: Signer, disk: Arc<dyn Disk>) -> Result<Self, AuditError> {
        let io = |doing: &'static str| move |e: std::io::Error| AuditError::io(doing, &e);
        std::fs::create_dir_all(dir).map_err(io("making the witness folder"))?;
        let mut held: HashMap<String, Held> = HashMap::new();
        let mut conflicts: HashMap<String, usize> = HashMap::new();
        for item in std::fs::read_dir(dir).map_err(io("listing the witness folder"))? {
            let item = item.map_err(io("listing the witness folder"))?;
            let name = item.file_name().to_string_lossy().into_owned();
            if let Some((log, _)) = name.split_once(".split.") {
                *conflicts.entry(log.to_owned()).or_default() += 1;
            } else if !name.ends_with(".new") {
                let note = std::fs::read(item.path()).map_err(io("reading what was cosigned"))?;
                let checkpoint = Note::parse(&note).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
                let checkpoint = checkpoint.filter(|checkpoint| file(&checkpoint.origin) == name);
                let checkpoint = checkpoint.ok_or_else(|| AuditError::Corrupt {
                    file: format!("witness/{name}"),
                    offset: 0,
                    what: "not a checkpoint that was cosigned here".into(),
                })?;
                held.insert(checkpoint.origin.clone(), Held { checkpoint, conflicts: 0 });
            }
        }
        for (origin, held) in &mut held {
            held.conflicts = conflicts.get(&file(origin)).copied().unwrap_or(0);
        }
        Ok(Self { signer, dir: dir.to_owned(), disk, held: Mutex::new(held) })
    }

    /// The key of this witness's cosignatures.
    pub fn key(&self) -> VerifierKey {
        self.signer.verifier(KeyKind::Cosignature)
    }

    /// Contradictions of logs that are kept as evidence.
    pub fn conflicts(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().map(|held| held.conflicts).sum()
    }

    /// Judges a request (`add-checkpoint`) about one of `logs`, at `now` in Unix seconds; gives the signature line.
    /// Blocks for a few disk syncs: the new state is durable before the line leaves.
    pub fn add_checkpoint(&self, body: &[u8], logs: &[VerifierKey], now: u64) -> Result<String, WitnessError> {
        let ask = Ask::parse(body)?;
        let parsed = Note::parse(ask.note.as_bytes()).map_err(|_| {
            // A line that cannot be read is no signature of the log's, where it is a log of ours at all.
            let is_known = logs.iter().any(|key| Some(key.name()) == ask.note.lines().next());
            if is_known { WitnessError::Signature } else { WitnessError::UnknownLog }
        })?;
        let checkpoint = Checkpoint::parse(parsed.text()).map_err(|_| WitnessError::Request("not a checkpoint"))?;
        let keys: Vec<VerifierKey> = logs.iter().filter(|key| key.name() == checkpoint.origin).cloned().collect();
        if keys.is_empty() {
            return Err(WitnessError::UnknownLog);
        }
        match parsed.verify(&keys) {
            Ok(_) => {}
            Err(NoteError::Signature(_) | NoteError::Unsigned) => return Err(WitnessError::Signature),
            Err(_) => return Err(WitnessError::Request("not a signed note")),
        }
        if ask.old > checkpoint.size {
            return Err(WitnessError::Request("the old size is larger than the checkpoint"));
        }
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, root) = match all.get(&checkpoint.origin) {
            Some(held) => (held.checkpoint.size, held.checkpoint.root),
            None => (0, merkle::empty_root()),
        };
        if checkpoint.size == size && checkpoint.root != root {
            if let Some(held) = all.get_mut(&checkpoint.origin) {
                self.keep_conflict(held, &checkpoint, ask.note);
            }
            return Err(WitnessError::Split(size));
        }
        if ask.old != size {
            return Err(WitnessError::Size(size));
        }
        merkle::check_consistency((size, &root), (checkpoint.size, &checkpoint.root), &ask.proof)
            .map_err(|_| WitnessError::Proof)?;
        let stored = replace(&*self.disk, &self.dir, &file(&checkpoint.origin), ask.note.as_bytes());
        stored.map_err(|e| WitnessError::State(AuditError::io("storing what is cosigned", &e)))?;
        let conflicts = all.get(&checkpoint.origin).map_or(0, |held| held.conflicts);
        all.insert(checkpoint.origin.clone(), Held { checkpoint, conflicts });
        Ok(self.signer.cosign(parsed.text(), now))
    }

    fn keep_conflict(&self, held: &mut Held, checkpoint: &Checkpoint, note: &str) {
        tracing::error!(origin = checkpoint.origin, size = checkpoint.size, "a log signed two different checkpoints");
        let name = format!("{}.split.{}", file(&checkpoint.origin), checkpoint.root);
        if held.conflicts >= MAX_CONFLICTS || self.dir.join(&name).exists() {
            return;
        }
        match replace(&*self.disk, &self.dir, &name, note.as_bytes()) {
            Ok(()) => held.conflicts += 1,
            Err(error) => tracing::error!(%error, "the evidence of it could not be kept"),
        }
    }
}

/// File name for a log: origins hold slashes.
fn file(origin: &str) -> String {
    Digest::of(origin.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::log::faulty::{Faults, FaultyDisk};
    use proptest::prelude::*;

    const ORIGIN: &str = "gov.example/gw/1";

    fn log() -> Signer {
        Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
    }

    fn witness(dir: &Path) -> Witness {
        Witness::open(dir, Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap()
    }

    fn tree(size: u64) -> (merkle::tests::Leaves, Digest) {
        let leaves = merkle::tests::Leaves((0..size).map(|n| merkle::leaf_hash(&n.to_be_bytes())).collect());
        let root = merkle::range_root(&leaves, 0, size).unwrap();
        (leaves, root)
    }

    fn ask(old: u64, size: u64) -> String {
        let (leaves, root) = tree(size);
        let note = log().sign(&Checkpoint::new(ORIGIN, size, root).to_string());
        request(old, &merkle::consistency(&leaves, old, size).unwrap(), &note)
    }

    #[test]
    fn every_kind_of_request_gets_its_answer_and_restarts_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [log().verifier(KeyKind::Ed25519)];
        let forged = |size| log().sign(&Checkpoint::new(ORIGIN, size, Digest::of(b"other")).to_string());
        let other = |name: &str, seed| {
            let signer = Signer::from_seed(name, &[seed; 32]).unwrap();
            request(0, &[], &signer.sign(&Checkpoint::new(name, 1, Digest::of(b"x")).to_string()))
        };
        for (n, (body, want)) in [
            (ask(0, 5), Ok(())),
            (ask(5, 5), Ok(())), // a fresh cosignature
            (ask(0, 9), Err(409)),
            (ask(3, 9), Err(409)),
            (ask(5, 9).replace("old 5", "old 10"), Err(400)),
            (request(5, &[], &forged(9)), Err(422)),
            (request(5, &[], &forged(5)), Err(409)), // a split view
            (other(ORIGIN, 8), Err(403)),
            (other("unknown.example", 7), Err(404)),
            ("hello".into(), Err(400)),
            (ask(5, 9), Ok(())),
            (ask(5, 9), Err(409)), // came late
            (ask(9, 300), Ok(())),
        ]
        .into_iter()
        .enumerate()
        {
            let witness = witness(dir.path()); // as after a restart, each time
            let got = witness.add_checkpoint(body.as_bytes(), &keys, 1_771_000_000);
            if let Ok(line) = &got {
                let note = body.split_once("\n\n").unwrap().1;
                let cosigned = format!("{note}{line}");
                let by = Note::parse(cosigned.as_bytes()).unwrap().verify(&[witness.key()]).unwrap();
                assert_eq!(by[0].time, Some(1_771_000_000));
            }
            assert_eq!(got.map(|_| ()).map_err(|e| e.status()), want, "request {n}");
        }
        assert_eq!(witness(dir.path()).conflicts(), 1, "the split view is kept as evidence");
    }

    #[test]
    fn nothing_is_cosigned_that_could_not_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [log().verifier(KeyKind::Ed25519)];
        let disk = FaultyDisk::default();
        let signer = Signer::from_seed("w.example", &[9; 32]).unwrap();
        let witness = Witness::open_on(dir.path(), signer, Arc::new(disk.clone())).unwrap();
        disk.set(Faults { sync: true, ..Faults::default() });
        assert_eq!(witness.add_checkpoint(ask(0, 5).as_bytes(), &keys, 1).map_err(|e| e.status()), Err(503));
        drop(witness);
        // What was not kept was not promised either.
        assert!(self::witness(dir.path()).add_checkpoint(ask(0, 4).as_bytes(), &keys, 1).is_ok());
    }

    #[test]
    fn a_forgotten_state_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(file(ORIGIN)), "rubbish").unwrap();
        let signer = Signer::from_seed("w.example", &[9; 32]).unwrap();
        assert!(matches!(Witness::open(dir.path(), signer), Err(AuditError::Corrupt { .. })));
    }

    proptest! {
        #[test]
        fn any_body_is_answered(body: Vec<u8>, tail in "(old [0-9]{1,3}\n)?[a-zA-Z0-9+/=\n]{0,80}") {
            let dir = tempfile::tempdir().unwrap();
            let witness = witness(dir.path());
            prop_assert!(witness.add_checkpoint(&body, &[], 0).is_err());
            prop_assert!(witness.add_checkpoint(tail.as_bytes(), &[], 0).is_err());
        }
    }
}
