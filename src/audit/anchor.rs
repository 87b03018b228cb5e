//! Anchors: a checkpoint with the time-stamp of an authority over it (RFC 3161). What the checkpoint covers was there
//! by that time, whatever becomes of the log's keys later.
//!
//! ```text
//!  tongban-anchor/v1
//!  MIIG…                  the token, DER in base64, over the text of the checkpoint
//!
//!  gov.example/gw/1       ┐ the checkpoint, with all its signatures
//!  …                      ┘
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{self, CheckpointError, SignedCheckpoint};
use super::note::{MAX_NOTE, VerifierKey};
use crate::terms::{Digest, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::path::{self, PathError, Purpose, Question, Revocation};
use crate::trust::suite::Strengths;
use crate::trust::timestamp::{TimeStampError, Token};

const HEADER: &str = "tongban-anchor/v1";
/// Longest anchor, in bytes.
pub const MAX_ANCHOR: usize = 256 * 1024;

/// An anchor as received; nothing in it is believed before [`Anchor::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub token: Vec<u8>,
    /// The checkpoint's note.
    pub note: String,
}

/// Why an anchor proves no time.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error("not an anchor")]
    Syntax,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the time-stamp: {0}")]
    Token(#[from] TimeStampError),
    #[error("the time-stamp's authority is not trusted: {0}")]
    Authority(PathError),
}

/// The text that is stamped: the checkpoint without its signatures, with its last newline.
pub fn stamped(note: &str) -> &str {
    note.rfind("\n\n").map_or("", |cut| &note[..cut + 1])
}

impl Anchor {
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_ANCHOR);
        let (head, note) = text.and_then(|text| text.split_once("\n\n")).ok_or(AnchorError::Syntax)?;
        let token = head.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(AnchorError::Syntax)?;
        let token = STANDARD.decode(token).map_err(|_| AnchorError::Syntax)?;
        if note.len() > MAX_NOTE {
            return Err(AnchorError::Syntax);
        }
        Ok(Self { token, note: note.to_owned() })
    }

    /// The checkpoint, and the time by which it was there: its log signed it, and an authority below `anchors` stamped
    /// it. `key` and `origin` as for [`checkpoint::open`].
    pub fn verify(
        &self,
        key: &VerifierKey,
        origin: Option<&str>,
        anchors: &[Certificate],
    ) -> Result<(SignedCheckpoint, UnixMillis), AnchorError> {
        let signed = checkpoint::open(self.note.as_bytes(), key, origin)?;
        Ok((signed, self.time(anchors)?))
    }

    /// The time of the token; whose checkpoint it is over is asked apart.
    pub fn time(&self, anchors: &[Certificate]) -> Result<UnixMillis, AnchorError> {
        time_of(&Token::parse(&self.token)?, stamped(&self.note), anchors)
    }
}

/// The time of a token over `text` by an authority below `anchors`, judged as of that time.
pub fn time_of(token: &Token, text: &str, anchors: &[Certificate]) -> Result<UnixMillis, AnchorError> {
    let stamp = token.verify(text.as_bytes(), anchors)?;
    let question = Question {
        leaf: stamp.authority,
        intermediates: stamp.certificates,
        anchors,
        purpose: Purpose::TimeStamping,
        at: stamp.at,
        crls: &[],
        ocsp: &[],
        revocation: Revocation::IfAvailable,
        strengths: Strengths::shipped(),
    };
    path::judge(&question).map_err(AnchorError::Authority)?;
    Ok(stamp.at)
}

/// The files of the anchors in a log's folder by the size of their checkpoint: they are named by it, in twenty digits.
pub fn all(log: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let items = match std::fs::read_dir(log.join("anchors")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        items => items?,
    };
    let mut all = BTreeMap::new();
    for item in items {
        let path = item?.path();
        let name = path.file_name().and_then(|n| n.to_str()).filter(|n| n.len() == 20);
        if let Some(size) = name.and_then(|n| n.parse().ok()) {
            all.insert(size, path);
        }
    }
    Ok(all)
}

/// The file of the newest anchor.
pub fn newest(log: &Path) -> io::Result<Option<PathBuf>> {
    newest_upto(log, u64::MAX)
}

/// As [`newest`], over at most `size` entries.
pub fn newest_upto(log: &Path, size: u64) -> io::Result<Option<PathBuf>> {
    Ok(all(log)?.range(..=size).next_back().map(|(_, path)| path.clone()))
}

/// The file of the first anchor over at least `size` entries.
pub fn first_from(log: &Path, size: u64) -> io::Result<Option<PathBuf>> {
    Ok(all(log)?.range(size..).next().map(|(_, path)| path.clone()))
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\n{}\n\n{}", STANDARD.encode(&self.token), self.note)
    }
}

/// Digest of the token that an `anchor` entry names.
pub fn token_of(entry: &[u8]) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    struct Raw {
        ev: Vec<Piece>,
    }
    #[derive(serde::Deserialize)]
    struct Piece {
        digest: Digest,
    }
    serde_json::from_slice::<Raw>(entry).ok()?.ev.first().map(|piece| piece.digest)
}

#[cfg(test)]
pub(in crate::audit) mod tests {
    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::note::{KeyKind, Signer};
    use crate::terms::Digest;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer as _, SigningKey};
    use crate::trust::timestamp::{Request, respond, token_of};
    use proptest::prelude::*;

    /// An authority of our own: its root, its certificate and key.
    pub(in crate::audit) struct Authority {
        pub root: Certificate,
        leaf: Certificate,
        key: SigningKey,
    }

    impl Authority {
        pub fn new() -> Self {
            let make = || {
                let der = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
                SigningKey::from_pkcs8(&der).unwrap()
            };
            let (root_key, key, span) = (make(), make(), (UnixMillis(0), UnixMillis(4_000_000_000_000)));
            let subject = Subject::named("root", "test");
            let spki = root_key.public_key().to_spki();
            let root = Issuer::root(&root_key, &subject);
            let root = issue::certificate(&root, &subject, &spki, Use::Root, span.0, span.1).unwrap();
            let root = Certificate::parse(&root).unwrap();
            let (issuer, spki) = (Issuer::of(&root_key, &root), key.public_key().to_spki());
            let subject = Subject::named("tsa", "test");
            let leaf = issue::certificate(&issuer, &subject, &spki, Use::TimeStamping, span.0, span.1).unwrap();
            Self { root, leaf: Certificate::parse(&leaf).unwrap(), key }
        }

        pub fn stamp(&self, note: &str, at: UnixMillis) -> Anchor {
            let request = Request::over(DigestAlgorithm::Sha256, stamped(note).as_bytes(), [1; 8]);
            let chain = std::slice::from_ref(&self.leaf);
            let response = respond(&request, &self.key, chain, "1.2.3.4", 7, at).unwrap();
            let token = token_of(&response, &request).unwrap().der().to_vec();
            Anchor { token, note: note.to_owned() }
        }
    }

    #[test]
    fn an_anchor_gives_the_time_and_no_other_checkpoint_has_it() {
        let (tsa, log) = (Authority::new(), Signer::from_seed("gov.example/gw/1", &[7; 32]).unwrap());
        let (key, at) = (log.verifier(KeyKind::Ed25519), UnixMillis(1_771_000_000_000));
        let note = |size| log.sign(&Checkpoint::new("gov.example/gw/1", size, Digest::of(b"root")).to_string());
        let anchor = tsa.stamp(&note(5), at);
        let anchor = Anchor::parse(anchor.to_string().as_bytes()).unwrap();
        let (signed, found) = anchor.verify(&key, None, std::slice::from_ref(&tsa.root)).unwrap();
        assert_eq!((signed.size(), found), (5, at));
        let moved = Anchor { note: note(6), ..anchor.clone() };
        let refused = moved.verify(&key, None, std::slice::from_ref(&tsa.root));
        assert!(matches!(refused, Err(AnchorError::Token(TimeStampError::Imprint))), "{refused:?}");
        let stranger = anchor.verify(&key, None, &[Authority::new().root]);
        assert!(matches!(stranger, Err(AnchorError::Authority(_))), "{stranger:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, tail in "[a-zA-Z0-9+/= \n]{0,200}") {
            let _ = Anchor::parse(&bytes);
            if let Ok(anchor) = Anchor::parse(format!("{HEADER}\n{tail}").as_bytes()) {
                let _ = Token::parse(&anchor.token);
            }
        }
    }
}
