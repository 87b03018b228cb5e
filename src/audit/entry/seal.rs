//! The encrypted part of an entry, under a key that can be destroyed.
//!
//! ```text
//!  key of the case (one row of the store, wrapped) ──HMAC──▶ log key ──AES-256-GCM──▶ `enc` (for ever, in every mirror)
//!        └ destroyed: every `enc` of the case is noise          └ what an auditor is given: opens `enc`, and no file
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{EntryError, Pseudonym, Word};
use crate::terms::Digest;

/// The key under which the lines of one case are sealed. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct LogKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({})", self.name())
    }
}

/// `enc` of an entry: which key, and the box (nonce 12 ‖ ciphertext ‖ tag 16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedBox {
    /// Always `A256GCM`.
    pub alg: &'static str,
    #[serde(serialize_with = "as_base64", rename = "box")]
    pub bytes: Vec<u8>,
    /// Name of the log key ([`LogKey::kid`]).
    pub kid: Word,
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

impl LogKey {
    /// Derived from the key of the case: goes with it, and gives nothing of it away.
    pub fn of_case(key: &[u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"tongban audit enc v1");
        let mut own = Zeroizing::new([0; 32]);
        own.copy_from_slice(tag.as_ref());
        Self(own)
    }

    /// 32 hexadecimal digits of a digest of the key: names it, and tells nothing of it. As long as a pseudonym, so that no digits in it
    /// are taken for somebody's number.
    pub fn kid(&self) -> Result<Word, EntryError> {
        Word::new(&self.name())
    }

    fn name(&self) -> String {
        let named = Zeroizing::new([&b"tongban audit kid v1"[..], &*self.0].concat());
        Digest::of(&named).to_string()[..32].to_owned()
    }

    /// Seals names and free text for one case. The box opens only under this key and for this case.
    pub fn seal(&self, case: &Pseudonym, plain: &[u8]) -> Result<SealedBox, EntryError> {
        let kid = self.kid()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| EntryError::Random)?;
        let mut bytes = [&nonce[..], plain].concat();
        let context = Aad::from(context(kid.as_str(), case));
        let tag = self
            .aead()?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), context, &mut bytes[NONCE_LEN..])
            .map_err(|_| EntryError::Sealed)?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(SealedBox { alg: "A256GCM", bytes, kid })
    }

    /// Opens what [`LogKey::seal`] made.
    ///
    /// # Errors
    /// [`EntryError::Sealed`] for another case, or altered bytes.
    fn open(&self, case: &Pseudonym, sealed: &[u8]) -> Result<Vec<u8>, EntryError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(EntryError::Sealed)?;
        let mut sealed = sealed.to_vec();
        let context = Aad::from(context(&self.name(), case));
        let plain = self.aead()?.open_in_place(Nonce::assume_unique_for_key(*nonce), context, &mut sealed);
        Ok(plain.map_err(|_| EntryError::Sealed)?.to_vec())
    }

    fn aead(&self) -> Result<LessSafeKey, EntryError> {
        UnboundKey::new(&AES_256_GCM, self.0.as_ref()).map(LessSafeKey::new).map_err(|_| EntryError::Sealed)
    }
}

/// What a box is bound to, so that it cannot be moved to another case.
fn context(kid: &str, case: &Pseudonym) -> Vec<u8> {
    [b"enc\0", kid.as_bytes(), &[0], &case.0].concat()
}

/// What is told of people, sealed: JSON, members that say nothing left out.
#[derive(Clone, Default, Serialize)]
pub struct Personal<'a> {
    /// Whom the case is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applicant: Option<Named<'a>>,
    /// Free text: reasons, what is to be supplemented, remarks. At most [`NOTE_MAX`] octets; a longer one ends in `…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Cow<'a, str>>,
}

/// A person or company by name.
#[derive(Clone, Serialize)]
pub struct Named<'a> {
    pub name: &'a str,
    /// Resident number, or unified social credit code.
    pub number: &'a str,
}

/// Longest free text in a line, in octets: an entry has its limit, and the paper of the act has the whole of it.
pub const NOTE_MAX: usize = 6_000;

impl Personal<'_> {
    /// Under the log key of the case; `None` where nothing is told.
    pub fn seal(mut self, key: &LogKey, case: &Pseudonym) -> Result<Option<SealedBox>, EntryError> {
        if let Some(note) = self.note.as_mut().filter(|note| note.len() > NOTE_MAX) {
            let end = (0..=NOTE_MAX - '…'.len_utf8()).rev().find(|at| note.is_char_boundary(*at));
            *note = format!("{}…", &note[..end.unwrap_or(0)]).into();
        }
        if self.applicant.is_none() && self.note.is_none() {
            return Ok(None);
        }
        let plain = Zeroizing::new(serde_json::to_vec(&self).map_err(|_| EntryError::Canonical("not JSON"))?);
        key.seal(case, &plain).map(Some)
    }
}

/// A log key as a file: JSON, one object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    v: u32,
    /// Pseudonym of the case.
    case: String,
    kid: String,
    /// Base64.
    key: Zeroizing<String>,
}

/// The log keys that an auditor was given, by case.
#[derive(Clone, Debug, Default)]
pub struct CaseKeys(BTreeMap<Pseudonym, LogKey>);

/// What a sealed part says to whoever has keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A JSON object.
    Plain(serde_json::Value),
    /// Sealed under a key that is not at hand.
    OtherKey,
    /// It names the key at hand and does not open under it, or holds no object: nobody can have meant that.
    Broken,
}

impl CaseKeys {
    /// The file that hands over a key.
    pub fn file(case: &Pseudonym, key: &LogKey) -> Vec<u8> {
        let file = KeyFile { v: 1, case: case.to_string(), kid: key.name(), key: STANDARD.encode(&key.0[..]).into() };
        let mut text = serde_json::to_vec(&file).expect("strings and a number");
        text.push(b'\n');
        text
    }

    /// Takes such a file; gives the case.
    ///
    /// # Errors
    /// [`EntryError::Sealed`] for what is none, or names another key than it holds.
    pub fn add(&mut self, file: &[u8]) -> Result<Pseudonym, EntryError> {
        let file: KeyFile = serde_json::from_slice(file).map_err(|_| EntryError::Sealed)?;
        let case: Pseudonym = file.case.parse().map_err(|_| EntryError::Sealed)?;
        let octets = Zeroizing::new(STANDARD.decode(&*file.key).map_err(|_| EntryError::Sealed)?);
        let octets: [u8; 32] = octets.as_slice().try_into().map_err(|_| EntryError::Sealed)?;
        let key = LogKey(Zeroizing::new(octets));
        if file.v != 1 || key.name() != file.kid {
            return Err(EntryError::Sealed);
        }
        self.0.insert(case, key);
        Ok(case)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key for this case is at hand.
    pub fn has(&self, case: &Pseudonym) -> bool {
        self.0.contains_key(case)
    }

    /// Opens the sealed part of an entry as stored; `None` where it has none, or no key for its case is at hand.
    pub fn open(&self, entry: &[u8]) -> Option<Opened> {
        let (case, kid, sealed) = part(entry)?;
        let key = self.0.get(&case)?;
        if kid != key.name() {
            return Some(Opened::OtherKey);
        }
        let plain = sealed.and_then(|sealed| key.open(&case, &sealed).ok());
        Some(match plain.and_then(|plain| serde_json::from_slice(&plain).ok()) {
            Some(object @ serde_json::Value::Object(_)) => Opened::Plain(object),
            _ => Opened::Broken,
        })
    }
}

/// Whether an entry as stored has a sealed part.
pub fn is_sealed(entry: &[u8]) -> bool {
    part(entry).is_some()
}

/// Case, name of the key and box of an entry's sealed part; no box where what stands there is none of ours.
fn part(entry: &[u8]) -> Option<(Pseudonym, String, Option<Vec<u8>>)> {
    #[derive(Deserialize)]
    struct Line {
        case: Link,
        enc: Enc,
    }
    #[derive(Deserialize)]
    struct Link {
        id: String,
    }
    #[derive(Deserialize)]
    struct Enc {
        alg: String,
        kid: String,
        r#box: String,
    }
    let Line { case, enc } = serde_json::from_slice(entry).ok()?;
    let sealed = STANDARD.decode(enc.r#box).ok().filter(|_| enc.alg == "A256GCM");
    Some((case.id.parse().ok()?, enc.kid, sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Kind};
    use crate::terms::UnixMillis;
    use proptest::prelude::*;

    fn entry(case: Pseudonym, sealed: SealedBox) -> Vec<u8> {
        let mut bytes = Vec::new();
        let line = Entry::new(Kind::CaseEvent, UnixMillis(1)).case(case).enc(sealed);
        line.encode().unwrap().link(1, None, &mut bytes);
        bytes
    }

    #[test]
    fn a_box_opens_only_where_it_belongs() {
        let (key, other) = (LogKey::of_case(&[7; 32]), LogKey::of_case(&[8; 32]));
        let (case, elsewhere) = (Pseudonym([1; 16]), Pseudonym([2; 16]));
        let mut keys = CaseKeys::default();
        for case in [&case, &elsewhere] {
            assert_eq!(keys.add(&CaseKeys::file(case, &key)), Ok(*case));
        }
        let sealed = key.seal(&case, r#"{"note":"张三"}"#.as_bytes()).unwrap();
        let said = serde_json::json!({"note": "张三"});
        let bent = |at: usize| {
            let mut bytes = sealed.bytes.clone();
            bytes[at] ^= 1;
            SealedBox { bytes, ..sealed.clone() }
        };
        let text = key.seal(&case, b"no object").unwrap();
        let renamed = SealedBox { kid: key.kid().unwrap(), ..other.seal(&case, b"{}").unwrap() };
        for (what, line, want) in [
            ("its own", entry(case, sealed.clone()), Some(Opened::Plain(said))),
            ("moved to another case", entry(elsewhere, sealed.clone()), Some(Opened::Broken)),
            ("another key", entry(case, other.seal(&case, b"{}").unwrap()), Some(Opened::OtherKey)),
            ("another key under our name", entry(case, renamed), Some(Opened::Broken)),
            ("too short", entry(case, SealedBox { bytes: vec![0; 5], ..sealed.clone() }), Some(Opened::Broken)),
            ("not an object", entry(case, text), Some(Opened::Broken)),
            ("a case without a key", entry(Pseudonym([3; 16]), sealed.clone()), None),
            ("no entry", b"{}".to_vec(), None),
        ] {
            assert_eq!(keys.open(&line), want, "{what}");
        }
        for at in 0..sealed.bytes.len() {
            assert_eq!(keys.open(&entry(case, bent(at))), Some(Opened::Broken), "octet {at}");
        }
    }

    #[test]
    fn every_key_has_a_name() {
        // Some names hold what looks like a telephone number.
        for n in 0..20_000u32 {
            let mut case_key = [0; 32];
            case_key[..4].copy_from_slice(&n.to_be_bytes());
            assert!(LogKey::of_case(&case_key).kid().is_ok(), "{n}");
        }
    }

    #[test]
    fn a_key_file_is_taken_as_it_was_made() {
        let (key, case) = (LogKey::of_case(&[7; 32]), Pseudonym([1; 16]));
        let file = String::from_utf8(CaseKeys::file(&case, &key)).unwrap();
        assert!(!format!("{key:?}{:?}", CaseKeys::default()).contains(&STANDARD.encode(&key.0[..])));
        for (what, text) in [
            ("another name", file.replace(&key.name(), "00000000000000000000000000000000")),
            ("another version", file.replace("\"v\":1", "\"v\":2")),
            ("cut", file[..file.len() - 10].to_owned()),
            ("a shorter key", file.replace(&STANDARD.encode(&key.0[..]), &STANDARD.encode(&key.0[..31]))),
            ("no case", file.replace(&case.to_string(), "x")),
        ] {
            assert_eq!(CaseKeys::default().add(text.as_bytes()), Err(EntryError::Sealed), "{what}");
        }
        assert!(CaseKeys::default().add(file.as_bytes()).is_ok());
    }

    #[test]
    fn a_long_note_ends_where_a_character_does() {
        let (key, case) = (LogKey::of_case(&[7; 32]), Pseudonym([1; 16]));
        let mut keys = CaseKeys::default();
        keys.add(&CaseKeys::file(&case, &key)).unwrap();
        for (note, want) in [
            ("补".repeat(2_000), "补".repeat(2_000)),
            ("补".repeat(2_001), "补".repeat(1_999) + "…"),
            ("x".repeat(7_000), "x".repeat(5_997) + "…"),
        ] {
            let told = Personal { note: Some(note.into()), ..Personal::default() };
            let line = entry(case, told.seal(&key, &case).unwrap().unwrap());
            assert_eq!(keys.open(&line), Some(Opened::Plain(serde_json::json!({ "note": want }))));
        }
        assert_eq!(Personal::default().seal(&key, &case), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, text in r#"\{"case":\{"id":"[0-9a-f]{0,34}"\},"enc":[{}":a-z0-9,]{0,60}"#) {
            let mut keys = CaseKeys::default();
            let _ = (keys.add(&bytes), keys.open(&bytes), keys.open(text.as_bytes()));
        }
    }
}
