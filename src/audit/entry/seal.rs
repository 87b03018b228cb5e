//! The encrypted part of an entry, and keys that can be destroyed.
//!
//! ```text
//!  names, numbers ──AES-256-GCM──▶ `enc` in the log (for ever, in every mirror)
//!                       ▲
//!                 data key of the case ──wrapped by──▶ row of the key table (mutable, outside the log)
//!                                                       destroy the row: every `enc` of the case is noise
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{EntryError, Pseudonym, Word};

/// A key of one case (data key) or of one person (wrapping key). Wiped when dropped, never printed.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    pub fn random() -> Result<Self, EntryError> {
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(key.as_mut()).map_err(|_| EntryError::Random)?;
        Ok(Self(key))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn aead(&self) -> Result<LessSafeKey, EntryError> {
        UnboundKey::new(&AES_256_GCM, self.0.as_ref()).map(LessSafeKey::new).map_err(|_| EntryError::Sealed)
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// `enc` of an entry: which key, and the box (nonce 12 ‖ ciphertext ‖ tag 16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedBox {
    /// Always `A256GCM`.
    pub alg: &'static str,
    #[serde(serialize_with = "as_base64", rename = "box")]
    pub bytes: Vec<u8>,
    /// Name of the key's row in the key table.
    pub kid: Word,
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

impl SealedBox {
    /// From the members of `enc` as they stand in an entry.
    pub fn from_text(kid: &str, base64: &str) -> Result<Self, EntryError> {
        let bytes = STANDARD.decode(base64).map_err(|_| EntryError::Sealed)?;
        Ok(Self { alg: "A256GCM", bytes, kid: Word::new(kid)? })
    }
}

/// A data key wrapped for the key table: nonce 12 ‖ key 32 ‖ tag 16. Forgetting it is shredding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey(pub [u8; 60]);

/// Seals names and free text for one case. The box opens only under the same key, `kid` and case.
pub fn seal_box(key: &DataKey, kid: &Word, case: &Pseudonym, plain: &[u8]) -> Result<SealedBox, EntryError> {
    let bytes = seal(key, &context(b"enc", kid, case), plain)?;
    Ok(SealedBox { alg: "A256GCM", bytes, kid: kid.clone() })
}

/// Opens a box.
///
/// # Errors
/// [`EntryError::Sealed`] for another key, another case, or altered bytes.
pub fn open_box(key: &DataKey, case: &Pseudonym, sealed: &SealedBox) -> Result<Vec<u8>, EntryError> {
    open(key, &context(b"enc", &sealed.kid, case), &sealed.bytes)
}

/// Wraps a data key under a person's key for the key table.
pub fn wrap(wrapping: &DataKey, key: &DataKey, kid: &Word, case: &Pseudonym) -> Result<WrappedKey, EntryError> {
    let bytes = seal(wrapping, &context(b"wrap", kid, case), key.0.as_ref())?;
    bytes.try_into().map(WrappedKey).map_err(|_| EntryError::Sealed)
}

/// Unwraps a data key.
///
/// # Errors
/// As [`open_box`].
pub fn unwrap(wrapping: &DataKey, wrapped: &WrappedKey, kid: &Word, case: &Pseudonym) -> Result<DataKey, EntryError> {
    let plain = Zeroizing::new(open(wrapping, &context(b"wrap", kid, case), &wrapped.0)?);
    let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| EntryError::Sealed)?;
    Ok(DataKey::from_bytes(bytes))
}

/// What a box is bound to, so that it cannot be moved to another case or key name.
fn context(use_: &[u8], kid: &Word, case: &Pseudonym) -> Vec<u8> {
    [use_, &[0], kid.as_str().as_bytes(), &[0], &case.0].concat()
}

fn seal(key: &DataKey, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, EntryError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| EntryError::Random)?;
    let mut bytes = [&nonce[..], plain].concat();
    let tag = key
        .aead()?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut bytes[NONCE_LEN..])
        .map_err(|_| EntryError::Sealed)?;
    bytes.extend_from_slice(tag.as_ref());
    Ok(bytes)
}

fn open(key: &DataKey, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, EntryError> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(EntryError::Sealed)?;
    let mut sealed = sealed.to_vec();
    let plain = key
        .aead()?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut sealed)
        .map_err(|_| EntryError::Sealed)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_opens_only_where_it_belongs() {
        let (key, other) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        let (case, elsewhere) = (Pseudonym([1; 16]), Pseudonym([2; 16]));
        let kid = Word::new("k-17").unwrap();
        let sealed = seal_box(&key, &kid, &case, "张三".as_bytes()).unwrap();
        assert_eq!(open_box(&key, &case, &sealed).unwrap(), "张三".as_bytes());
        assert_eq!(open_box(&other, &case, &sealed), Err(EntryError::Sealed));
        assert_eq!(open_box(&key, &elsewhere, &sealed), Err(EntryError::Sealed));
        let renamed = SealedBox { kid: Word::new("k-18").unwrap(), ..sealed.clone() };
        assert_eq!(open_box(&key, &case, &renamed), Err(EntryError::Sealed));
        for at in 0..sealed.bytes.len() {
            let mut bent = sealed.clone();
            bent.bytes[at] ^= 1;
            assert_eq!(open_box(&key, &case, &bent), Err(EntryError::Sealed), "byte {at}");
        }
        assert_eq!(open_box(&key, &case, &SealedBox { bytes: vec![0; 5], ..sealed }), Err(EntryError::Sealed));
    }

    #[test]
    fn a_wrapped_key_opens_what_the_key_sealed() {
        let (person, key) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        let (case, kid) = (Pseudonym([1; 16]), Word::new("k").unwrap());
        let wrapped = wrap(&person, &key, &kid, &case).unwrap();
        let sealed = seal_box(&key, &kid, &case, b"x").unwrap();
        let again = unwrap(&person, &wrapped, &kid, &case).unwrap();
        assert_eq!(open_box(&again, &case, &sealed).unwrap(), b"x");
        assert!(unwrap(&key, &wrapped, &kid, &case).is_err());
    }
}
