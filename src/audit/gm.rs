//! The log a second time in commercial cryptography (商用密码): SM2 beside each log signature, and a daily root of an
//! SM3 tree over the same entries.
//!
//! ```text
//!  checkpoint text ──SM2──▶ line of type 0xff on the checkpoint: who does not know it passes over it
//!  entry bytes ──SM3 tree──▶ root ──SM2──▶ `gm.root` entry: size, root, signature
//! ```
//! The tree of the log stays SHA-256, as C2SP has it; this one is computed beside it, from the same bytes.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::entry::{Entry, EntryError, Word};
use super::merkle::Frontier;
use super::note::{Note, NoteError, name_is_fit};
use crate::terms::Digest;
use crate::trust::suite::{DigestAlgorithm, Hasher, PublicKey, SignatureAlgorithm, Signer, SuiteError};

/// What stands between type byte and public key where a type has no number of its own (C2SP signed-note).
const IDENTIFIER: &[u8] = b"tongban/sm2-with-sm3/v1";
/// Octets of an uncompressed point.
const POINT: usize = 65;
/// A root is of a size at most so many entries back: a verifier keeps so many hashes.
pub const WINDOW: usize = 65_536;
/// Entries between two edges that a verifier keeps.
const STEP: u64 = 256;

/// Facts of a `gm.root` entry.
const SIZE: &str = "size";
const ROOT: &str = "root";
const KEY: &str = "key";
const SIGNATURE: &str = "signature";

/// Hash of an entry: `SM3(0x00 ‖ bytes)`, RFC 6962 §2.1 with SM3 for SHA-256.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    sm3(&[&[0], bytes])
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sm3(&[&[1], &left.0, &right.0])
}

fn sm3(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(DigestAlgorithm::Sm3);
    parts.iter().for_each(|part| hasher.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(&hasher.finish());
    Digest(out)
}

/// A note verifier key for SM2, printed `name+8 hex digits+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GmKey {
    name: String,
    id: u32,
    public: PublicKey,
}

impl GmKey {
    fn new(name: &str, public: PublicKey) -> Option<Self> {
        let PublicKey::Sm2(point) = &public else { return None };
        let hashed = [name.as_bytes(), b"\n", &[0xff], IDENTIFIER, point].concat();
        let Digest([a, b, c, d, ..]) = Digest::of(&hashed);
        let id = u32::from_be_bytes([a, b, c, d]);
        name_is_fit(name).then(|| Self { name: name.to_owned(), id, public })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this key signed the text of the note; `None` when no line says it did.
    pub fn signed(&self, note: &Note<'_>) -> Option<bool> {
        let mut lines = note.signatures().iter().filter(|line| line.name == self.name && line.key_id == self.id);
        let first = lines.next()?;
        let is_good = |signature: &[u8]| self.verify(note.text().as_bytes(), signature).is_ok();
        Some(is_good(first.signature()) && lines.all(|line| is_good(line.signature())))
    }

    /// Whether `line` names this key.
    pub fn is_of(&self, name: &str, key_id: u32) -> bool {
        self.name == name && self.id == key_id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SuiteError> {
        self.public.verify(SignatureAlgorithm::Sm2Sm3, message, signature)
    }
}

impl FromStr for GmKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("three parts joined by plus signs are wanted"));
        };
        let octets = STANDARD.decode(key).map_err(|_| NoteError::Key("the key is not base64"))?;
        let point = octets.strip_prefix(&[0xff]).and_then(|rest| rest.strip_prefix(IDENTIFIER));
        let point = point.filter(|point| point.len() == POINT).ok_or(NoteError::Key("not an SM2 key of this kind"))?;
        if !crate::trust::suite::sm2_suite::is_key(point) {
            return Err(NoteError::Key("not a point on the curve"));
        }
        let key = Self::new(name, PublicKey::Sm2(point.to_vec()));
        let key = key.ok_or(NoteError::Key("the name is empty or has a space in it"))?;
        match format!("{:08x}", key.id) == id {
            true => Ok(key),
            false => Err(NoteError::Key("the key hash does not match")),
        }
    }
}

impl fmt::Display for GmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PublicKey::Sm2(point) = &self.public else { return Err(fmt::Error) };
        let octets = [&[0xff], IDENTIFIER, point].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(octets))
    }
}

/// The log's SM2 key.
#[derive(Clone)]
pub struct GmSigner {
    key: GmKey,
    signer: Arc<dyn Signer>,
}

impl GmSigner {
    /// # Errors
    /// [`NoteError::Key`] when the key is not of SM2, or the origin no name of a key.
    pub fn new(origin: &str, signer: Arc<dyn Signer>) -> Result<Self, NoteError> {
        let key = GmKey::new(origin, signer.public_key()).ok_or(NoteError::Key("not an SM2 key"))?;
        Ok(Self { key, signer })
    }

    pub fn key(&self) -> &GmKey {
        &self.key
    }

    /// The line for a checkpoint.
    pub fn line(&self, text: &str) -> Result<String, SuiteError> {
        let signature = self.signer.sign(text.as_bytes())?;
        let octets = [&self.key.id.to_be_bytes()[..], &signature].concat();
        Ok(format!("— {} {}\n", self.key.name, STANDARD.encode(octets)))
    }

    /// Fills a `gm.root` entry: the root of the first `size` entries.
    pub fn sign_root(&self, entry: Entry, size: u64, root: &Digest) -> Result<Entry, GmError> {
        let signature = self.signer.sign(root_text(&self.key.name, size, root).as_bytes())?;
        let facts = [
            (SIZE, size.to_string()),
            (ROOT, root.to_string()),
            (KEY, format!("{:08x}", self.key.id)),
            (SIGNATURE, STANDARD.encode(signature)),
        ];
        facts.iter().try_fold(entry, |entry, (name, value)| Ok(entry.fact(Word::new(name)?, Word::new(value)?)))
    }
}

/// Why a root was not signed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GmError {
    #[error(transparent)]
    Key(#[from] SuiteError),
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// What the signature of a root covers.
fn root_text(origin: &str, size: u64, root: &Digest) -> String {
    format!("tongban gm-root/v1\n{origin}\n{size}\n{}\n", STANDARD.encode(root.0))
}

/// What a `gm.root` entry says.
pub struct GmRoot {
    pub size: u64,
    pub root: Digest,
    key_id: u32,
    signature: Vec<u8>,
}

impl GmRoot {
    /// Reads the entry as stored; `None` when a fact is missing or malformed.
    pub fn read(entry: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(entry).ok()?;
        let fact = |name: &str| value.get("facts")?.get(name)?.as_str();
        Some(Self {
            size: super::checkpoint::decimal(fact(SIZE)?)?,
            root: super::entry::unhex(fact(ROOT)?).map(Digest)?,
            key_id: super::entry::unhex(fact(KEY)?).map(u32::from_be_bytes)?,
            signature: STANDARD.decode(fact(SIGNATURE)?).ok()?,
        })
    }

    /// Whether one of `keys` signed it; `None` when it is by none of them.
    pub fn signed_by(&self, keys: &[GmKey]) -> Option<bool> {
        let key = keys.iter().find(|key| key.id == self.key_id)?;
        Some(key.verify(root_text(&key.name, self.size, &self.root).as_bytes(), &self.signature).is_ok())
    }
}

/// The SM3 tree over the entries so far. Knows the roots of the last [`WINDOW`] sizes, in about 3 MiB.
#[derive(Debug, Default)]
pub struct Sm3Tree {
    edge: Frontier,
    /// The edge at each multiple of [`STEP`], and the leaves after the first of them.
    edges: VecDeque<Frontier>,
    leaves: VecDeque<Digest>,
}

impl Sm3Tree {
    /// Goes on after entries that are not there any more; their number is a multiple of 65,536.
    pub fn after(edge: Frontier) -> Self {
        Self { edge, ..Self::default() }
    }

    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The right edge of the tree so far.
    pub fn edge(&self) -> &Frontier {
        &self.edge
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) {
        if self.edge.size().is_multiple_of(STEP) {
            self.edges.push_back(self.edge.clone());
            if self.edges.len() > WINDOW / STEP as usize + 1 {
                self.edges.pop_front();
                self.leaves.drain(..STEP as usize);
            }
        }
        let leaf = leaf_hash(entry);
        self.leaves.push_back(leaf);
        self.edge.push_by(leaf, node_hash, |_, _| {});
    }

    /// Root of the first `size` entries; `None` for a size that is too far back, or not reached.
    pub fn root(&self, size: u64) -> Option<Digest> {
        let oldest = self.edges.front()?.size();
        let mut edge = self.edges.get(usize::try_from(size.checked_sub(oldest)? / STEP).ok()?).cloned();
        if size == self.size() {
            edge = Some(self.edge.clone());
        }
        let mut edge = edge?;
        let from = usize::try_from(edge.size() - oldest).ok()?;
        let to = usize::try_from(size - oldest).ok()?;
        (to <= self.leaves.len()).then(|| {
            self.leaves.range(from..to).for_each(|leaf| edge.push_by(*leaf, node_hash, |_, _| {}));
            edge.root_by(node_hash, || sm3(&[]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::suite::SigningKey;

    fn signer(name: &str) -> GmSigner {
        let key = SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap();
        GmSigner::new(name, Arc::new(SigningKey::from_pkcs8(&key).unwrap())).unwrap()
    }

    /// RFC 6962 §2.1 word for word, with SM3.
    fn slow_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sm3(&[]),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
                node_hash(&slow_root(left), &slow_root(right))
            }
        }
    }

    #[test]
    fn the_tree_knows_every_root_in_its_window() {
        let entries: Vec<Vec<u8>> = (0..1_300u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let leaves: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut tree = Sm3Tree::default();
        entries.iter().for_each(|entry| tree.push(entry));
        for size in (0..1_300).step_by(37).chain([255, 256, 257, 1_024, 1_299, 1_300]) {
            assert_eq!(tree.root(size), Some(slow_root(&leaves[..size as usize])), "{size}");
        }
        assert_eq!(tree.root(1_301), None);
        assert_eq!(tree.root(u64::MAX), None);
    }

    #[test]
    fn what_lies_before_the_window_is_forgotten_and_memory_is_bounded() {
        let mut tree = Sm3Tree::default();
        (0..WINDOW as u32 + 5_000).for_each(|n| tree.push(&n.to_le_bytes()));
        assert!(tree.root(1_000).is_none() && tree.root(tree.size() - WINDOW as u64 + 300).is_some());
        assert!(tree.leaves.len() <= WINDOW + STEP as usize && tree.edges.len() <= WINDOW / STEP as usize + 1);
    }

    #[test]
    fn a_line_is_read_by_its_key_and_passed_over_by_others() {
        let (log, other) = (signer("gov.example/gw/1"), signer("gov.example/gw/1"));
        let text = "gov.example/gw/1\n7\nAAAA\n";
        let note = format!("{text}\n{}", log.line(text).unwrap());
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!((log.key().signed(&parsed), other.key().signed(&parsed)), (Some(true), None));
        let bent = note.replace("\n7\n", "\n8\n");
        assert_eq!(log.key().signed(&Note::parse(bent.as_bytes()).unwrap()), Some(false));
    }

    #[test]
    fn a_key_reads_as_it_prints_and_nothing_else_does() {
        let key = signer("gov.example/gw/1").key().clone();
        assert_eq!(key.to_string().parse::<GmKey>().as_ref(), Ok(&key));
        let text = key.to_string();
        for at in 0..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[at] ^= 1;
            let bent = String::from_utf8_lossy(&bent).into_owned();
            assert!(bent.parse::<GmKey>().is_err(), "byte {at}: {bent}");
        }
    }

    #[test]
    fn a_root_is_signed_with_its_size_and_its_log() {
        use crate::audit::Kind;
        use crate::terms::UnixMillis;
        let (log, other) = (signer("gov.example/gw/1"), signer("gov.example/gw/2"));
        let entry = Entry::new(Kind::GmRoot, UnixMillis(0));
        let entry = log.sign_root(entry, 300, &Digest::of(b"root")).unwrap();
        let mut stored = Vec::new();
        entry.encode().unwrap().link(0, None, &mut stored);
        let mut read = GmRoot::read(&stored).unwrap();
        assert_eq!((read.size, read.root), (300, Digest::of(b"root")));
        let keys = [other.key().clone(), log.key().clone()];
        assert_eq!((read.signed_by(&keys), read.signed_by(&keys[..1])), (Some(true), None));
        read.size = 301;
        assert_eq!(read.signed_by(&keys), Some(false));
    }
}
