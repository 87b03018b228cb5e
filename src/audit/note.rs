//! Signed notes (C2SP signed-note): a text, a blank line, signature lines.
//!
//! ```text
//!  gov.example/gw/1            ┐
//!  42                          │ text: what is signed, with its last newline
//!  rKbDipCv…                   ┘
//!
//!  — gov.example/gw/1 M9e0luh4…      the log: Ed25519 over the text
//!  — witness.example  2nen5wAA…      a witness: Ed25519 over "cosignature/v1", a time and the text
//!  — somebody.else    …              an unknown key: ignored
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::terms::Digest;

/// Longest note read, in bytes: sixteen lines must be taken (C2SP signed-note), and one of a post-quantum key has up to 6.6 kB.
pub const MAX_NOTE: usize = 128 * 1024;
/// Most signature lines read.
pub const MAX_SIGNATURES: usize = 100;

/// Why a text is not a signed note, or not signed by the keys given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note: {0}")]
    Syntax(&'static str),
    #[error("not a note verifier key: {0}")]
    Key(&'static str),
    #[error("the signature of {0} does not verify")]
    Signature(String),
    #[error("no signature of a known key")]
    Unsigned,
}

/// What a signature line of a key covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Type 0x01: Ed25519 over the text.
    Ed25519,
    /// Type 0x04: cosignature/v1, Ed25519 over a time (Unix seconds) and the text (C2SP tlog-cosignature).
    Cosignature,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A verifier key, printed `name+8 hex digits+base64`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
    public: [u8; 32],
}

impl VerifierKey {
    /// `None` when `name` is empty or has a space or a plus sign in it.
    pub fn new(name: &str, kind: KeyKind, public: [u8; 32]) -> Option<Self> {
        name_is_fit(name).then(|| Self { name: name.to_owned(), id: key_id(name, kind, &public), kind, public })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of the key's hash, big-endian.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether one private key makes the signatures of both, whatever name and kind they go by.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// Checks one signature line over `text`. Gives the time in Unix seconds for a cosignature, `None` otherwise.
    fn check(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, ()> {
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        match self.kind {
            KeyKind::Ed25519 => key.verify(text.as_bytes(), signature).map(|()| None).map_err(|_| ()),
            KeyKind::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>().ok_or(())?;
                // Above 2^63 - 1 it is no time (C2SP tlog-cosignature).
                let time = i64::try_from(u64::from_be_bytes(*time)).map_err(|_| ())?.cast_unsigned();
                key.verify(cosigned(text, time).as_bytes(), signature).map_err(|_| ())?;
                Ok(Some(time))
            }
        }
    }
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let Digest([a, b, c, d, ..]) = Digest::of(&[name.as_bytes(), b"\n", &[kind.byte()], public].concat());
    u32::from_be_bytes([a, b, c, d])
}

pub(super) fn name_is_fit(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("three parts joined by plus signs are wanted"));
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key("the key is not base64"))?;
        let (kind, public) = match bytes.split_first() {
            Some((1, rest)) => (KeyKind::Ed25519, rest),
            Some((4, rest)) => (KeyKind::Cosignature, rest),
            _ => return Err(NoteError::Key("unknown signature type")),
        };
        let public = public.try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let made = Self::new(name, kind, public).ok_or(NoteError::Key("the name is empty or has a space in it"))?;
        if format!("{:08x}", made.id) != id {
            return Err(NoteError::Key("the key hash does not match"));
        }
        Ok(made)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.kind.byte()][..], &self.public].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// A name and a private Ed25519 key: signs as a log, or cosigns as a witness.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl Signer {
    /// From a 32-byte Ed25519 seed (RFC 8032 §5.1.5).
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key("not an Ed25519 seed"))?;
        Self::from_pair(name, pair)
    }

    /// From PKCS#8 v1 or v2, DER.
    pub fn from_pkcs8(name: &str, der: &[u8]) -> Result<Self, NoteError> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| NoteError::Key("not a PKCS#8 Ed25519 key"))?;
        Self::from_pair(name, pair)
    }

    fn from_pair(name: &str, pair: Ed25519KeyPair) -> Result<Self, NoteError> {
        if !name_is_fit(name) {
            return Err(NoteError::Key("the name is empty or has a space in it"));
        }
        let public =
            pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        Ok(Self { name: name.to_owned(), pair, public })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn verifier(&self, kind: KeyKind) -> VerifierKey {
        let id = key_id(&self.name, kind, &self.public);
        VerifierKey { name: self.name.clone(), id, kind, public: self.public }
    }

    /// A signed note: `text` (which ends in a newline), a blank line, one signature line.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.sign_line(text))
    }

    /// The signature line alone, to stand below another one.
    pub fn sign_line(&self, text: &str) -> String {
        self.line(KeyKind::Ed25519, self.pair.sign(text.as_bytes()).as_ref())
    }

    /// The signature line of a witness over `text`, at `time` in Unix seconds.
    pub fn cosign(&self, text: &str, time: u64) -> String {
        let signature = self.pair.sign(cosigned(text, time).as_bytes());
        self.line(KeyKind::Cosignature, &[&time.to_be_bytes()[..], signature.as_ref()].concat())
    }

    fn line(&self, kind: KeyKind, signature: &[u8]) -> String {
        let id = key_id(&self.name, kind, &self.public).to_be_bytes();
        format!("— {} {}\n", self.name, STANDARD.encode([&id[..], signature].concat()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier(KeyKind::Ed25519))
    }
}

/// A note taken apart; nothing in it is believed before [`Note::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    pub name: &'a str,
    pub key_id: u32,
    signature: Vec<u8>,
    /// The whole line with its newline.
    pub line: &'a str,
}

impl SignatureLine<'_> {
    /// What follows the key's id.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// A known key whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// Place of the key in the list given to [`Note::verify`].
    pub key: usize,
    /// Unix seconds, of a cosignature.
    pub time: Option<u64>,
}

impl<'a> Note<'a> {
    pub fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Syntax("too long"));
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Syntax("not UTF-8"))?;
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Syntax("a control character"));
        }
        let cut = note.rfind("\n\n").ok_or(NoteError::Syntax("no blank line before the signatures"))?;
        let (text, lines) = (&note[..cut + 1], &note[cut + 2..]);
        if lines.is_empty() || !lines.ends_with('\n') {
            return Err(NoteError::Syntax("no signature line, or no newline at the end"));
        }
        let mut signatures = Vec::new();
        for line in lines.split_inclusive('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::Syntax("too many signature lines"));
            }
            signatures.push(SignatureLine::parse(line)?);
        }
        Ok(Self { text, signatures })
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    pub fn signatures(&self) -> &[SignatureLine<'a>] {
        &self.signatures
    }

    /// Which of `keys` signed. Lines of unknown keys are ignored, a second line of the same key too.
    ///
    /// # Errors
    /// [`NoteError::Signature`] when a line of a known key does not verify, [`NoteError::Unsigned`] when no key signed.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<SignedBy>, NoteError> {
        let mut signed: Vec<SignedBy> = Vec::new();
        for line in &self.signatures {
            let known = keys.iter().position(|key| key.id == line.key_id && key.name == line.name);
            let Some(place) = known else { continue };
            if signed.iter().any(|by| by.key == place) {
                continue;
            }
            let time = keys[place]
                .check(self.text, &line.signature)
                .map_err(|()| NoteError::Signature(line.name.to_owned()))?;
            signed.push(SignedBy { key: place, time });
        }
        if signed.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed) }
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        let wrong = NoteError::Syntax("a line that is not a signature");
        let body = line.strip_suffix('\n').and_then(|l| l.strip_prefix("— "));
        let Some((name, encoded)) = body.and_then(|b| b.split_once(' ')) else { return Err(wrong) };
        if !name_is_fit(name) {
            return Err(wrong);
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong.clone())?;
        match bytes.split_first_chunk::<4>() {
            Some((id, signature)) if !signature.is_empty() => {
                Ok(Self { name, key_id: u32::from_be_bytes(*id), signature: signature.to_vec(), line })
            }
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_log_signs_and_a_witness_cosigns() {
        let log = Signer::from_seed("gov.example/gw/1", &[7; 32]).unwrap();
        let witness = Signer::from_seed("witness.example", &[9; 32]).unwrap();
        let text = "gov.example/gw/1\n0\nroot\n";
        let note = format!("{}{}", log.sign(text), witness.cosign(text, 1_771_000_000));
        let keys = [witness.verifier(KeyKind::Cosignature), log.verifier(KeyKind::Ed25519)];
        let signed = Note::parse(note.as_bytes()).unwrap().verify(&keys).unwrap();
        assert_eq!(signed, [SignedBy { key: 1, time: None }, SignedBy { key: 0, time: Some(1_771_000_000) }]);
        for (time, holds) in [(0, true), (i64::MAX as u64, true), (1 << 63, false), (u64::MAX, false)] {
            let note = log.sign(text) + &witness.cosign(text, time);
            let signed = Note::parse(note.as_bytes()).unwrap().verify(&keys);
            assert_eq!(signed.is_ok(), holds, "cosigned at {time}");
        }
        let stranger = Signer::from_seed("stranger", &[1; 32]).unwrap().verifier(KeyKind::Ed25519);
        let alone = Note::parse(note.as_bytes()).unwrap().verify(&[stranger]);
        assert_eq!(alone, Err(NoteError::Unsigned));
    }

    /// Other witnesses may sign with keys that nobody has heard of here, and with long ones.
    #[test]
    fn sixteen_of_the_longest_signatures_are_taken() {
        let log = Signer::from_seed("gov.example/gw/1", &[7; 32]).unwrap();
        let line = |n: u8| format!("— w{n}.example {}\n", STANDARD.encode([&[n; 4][..], &[n; 4_960]].concat()));
        let note = log.sign("gov.example/gw/1\n0\nroot\n") + &(0..16).map(line).collect::<String>();
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!((parsed.signatures().len(), parsed.verify(&[log.verifier(KeyKind::Ed25519)]).is_ok()), (17, true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Note::parse(&bytes);
            let _ = String::from_utf8_lossy(&bytes).parse::<VerifierKey>();
        }

        #[test]
        fn a_key_reads_as_it_prints(seed: [u8; 32], name in "[a-z./0-9]{1,20}") {
            for kind in [KeyKind::Ed25519, KeyKind::Cosignature] {
                let key = Signer::from_seed(&name, &seed).unwrap().verifier(kind);
                prop_assert_eq!(key.to_string().parse::<VerifierKey>(), Ok(key));
            }
        }
    }
}
