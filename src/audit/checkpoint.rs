//! Checkpoints (C2SP tlog-checkpoint): a log's promise about its first `size` entries.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::note::{KeyKind, Note, NoteError, SignedBy, VerifierKey};
use crate::terms::Digest;

/// Path of the newest checkpoint that ends with a map of all cases (an `index` entry), beside the one of the log: evidence is taken
/// as of it, because between that map and that checkpoint there is nothing.
pub const MAP: &str = "map";

/// Origin, size and root, as the text above the signatures says them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log: a name without scheme, e.g. `gov.example/gw/1`; equal to the name of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    pub root: Digest,
    /// Further lines, not interpreted.
    pub extensions: Vec<String>,
}

/// Why a text is no checkpoint, or not one of the log in question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("not a checkpoint: {0}")]
    Syntax(&'static str),
    #[error("the checkpoint is of {found}, not of {wanted}")]
    Origin { found: String, wanted: String },
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    pub fn new(origin: &str, size: u64, root: Digest) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// Reads the text above the signatures, with its last newline.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        use CheckpointError::Syntax;
        let body = text.strip_suffix('\n').ok_or(Syntax("no newline at the end"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(Syntax("three lines are wanted"));
        };
        if origin.is_empty() {
            return Err(Syntax("no origin"));
        }
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(Syntax("an empty line"));
        }
        let size = decimal(size).ok_or(Syntax("the size is not a plain decimal number"))?;
        let root = hash(root).ok_or(Syntax("the root is not 32 bytes of base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }
}

/// A decimal number without sign or leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) { None } else { text.parse().ok() }
}

/// A base64 line of exactly 32 bytes.
pub(super) fn hash(line: &str) -> Option<Digest> {
    STANDARD.decode(line).ok()?.try_into().ok().map(Digest)
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint whose log signature holds. Only [`open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note, all lines.
    pub fn note(&self) -> &str {
        &self.note
    }

    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub fn root(&self) -> Digest {
        self.checkpoint.root
    }

    /// Which of `witnesses` cosigned, with times in Unix seconds.
    ///
    /// # Errors
    /// [`NoteError::Signature`] when a line of a known witness does not verify.
    pub fn cosigned_by(&self, witnesses: &[VerifierKey]) -> Result<Vec<SignedBy>, NoteError> {
        match Note::parse(self.note.as_bytes())?.verify(witnesses) {
            Err(NoteError::Unsigned) => Ok(Vec::new()),
            other => other,
        }
    }
}

/// Reads a checkpoint and checks that `key`'s log signed it. The origin must be `origin`, or the key's name when `None`.
pub fn open(note: &[u8], key: &VerifierKey, origin: Option<&str>) -> Result<SignedCheckpoint, CheckpointError> {
    let parsed = Note::parse(note)?;
    if key.kind() != KeyKind::Ed25519 {
        return Err(NoteError::Key("a log signs with type 0x01").into());
    }
    parsed.verify(std::slice::from_ref(key))?;
    let checkpoint = Checkpoint::parse(parsed.text())?;
    let wanted = origin.unwrap_or(key.name());
    if checkpoint.origin != wanted {
        return Err(CheckpointError::Origin { found: checkpoint.origin, wanted: wanted.to_owned() });
    }
    Ok(SignedCheckpoint { checkpoint, note: String::from_utf8_lossy(note).into_owned() })
}

/// As [`open`], under whichever of the log's keys signed; gives that key. A line of any of them that does not verify makes the whole
/// note worthless (C2SP signed-note).
pub fn open_any<'k>(
    note: &[u8],
    keys: impl IntoIterator<Item = &'k VerifierKey>,
    origin: Option<&str>,
) -> Result<(&'k VerifierKey, SignedCheckpoint), CheckpointError> {
    let mut opened = Err(CheckpointError::Note(NoteError::Unsigned));
    for (n, key) in keys.into_iter().enumerate() {
        match (open(note, key, origin), &opened) {
            (Err(CheckpointError::Note(error @ NoteError::Signature(_))), _) => return Err(error.into()),
            (Ok(signed), Err(_)) => opened = Ok((key, signed)),
            (Err(error), Err(_)) if n == 0 => opened = Err(error),
            _ => {}
        }
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_checkpoint_reads_as_it_prints(size: u64, root: [u8; 32], more in prop::collection::vec("[a-z ]{1,9}", 0..3)) {
            let checkpoint = Checkpoint { extensions: more, ..Checkpoint::new("gov.example/gw/1", size, Digest(root)) };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Checkpoint::parse(&text);
        }
    }
}
