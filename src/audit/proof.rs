//! Inclusion proofs as text (C2SP tlog-proof): all an auditor needs to check one entry offline.
//!
//! ```text
//!  c2sp.org/tlog-proof@v1
//!  index 5
//!  rzFuy5Go…          ┐ inclusion proof, leaf to root
//!  5784L25Z…          ┘
//!
//!  gov.example/gw/1   ┐ the checkpoint, with all its signatures
//!  …                  ┘
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{self, CheckpointError, SignedCheckpoint, decimal, hash};
use super::merkle::{self, ProofError};
use super::note::VerifierKey;
use crate::terms::Digest;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes of a proof: a tree has at most 2^64 leaves.
const MAX_HASHES: usize = 64;

/// A proof taken apart; nothing in it is believed before [`TlogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes that travel with the proof, not covered by it.
    pub extra: Option<Vec<u8>>,
    pub index: u64,
    pub hashes: Vec<Digest>,
    /// The checkpoint's note.
    pub checkpoint: String,
}

/// Why a proof does not prove that an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    #[error("not a tlog-proof: {0}")]
    Syntax(&'static str),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl TlogProof {
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        use TlogProofError::Syntax;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(Syntax("no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(Syntax("unknown first line"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            None => None,
            Some(encoded) => {
                lines.next();
                Some(STANDARD.decode(encoded).map_err(|_| Syntax("extra is not base64"))?)
            }
        };
        let index = lines.next().and_then(|line| decimal(line.strip_prefix("index ")?));
        let index = index.ok_or(Syntax("no index"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == MAX_HASHES {
                return Err(Syntax("too many hashes"));
            }
            hashes.push(hash(line).ok_or(Syntax("a hash is not 32 bytes of base64"))?);
        }
        if checkpoint.is_empty() {
            return Err(Syntax("no checkpoint"));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that `entry`, byte for byte, is in the log of `key`. Gives the checkpoint that says so.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<SignedCheckpoint, TlogProofError> {
        let signed = checkpoint::open(self.checkpoint.as_bytes(), key, None)?;
        merkle::check_inclusion(&merkle::leaf_hash(entry), self.index, signed.size(), &signed.root(), &self.hashes)?;
        Ok(signed)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(tail in "[a-zA-Z0-9+/= \n]{0,200}") {
            let text = format!("{HEADER}\n{tail}");
            if let Ok(proof) = TlogProof::parse(&text) {
                prop_assert_eq!(TlogProof::parse(&proof.to_string()), Ok(proof));
            }
        }
    }
}
