//! Keys: of one case, and the master key that wraps them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{VaultError, sync_folder};

/// The key of one case, or the master key that wraps case keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}

impl Key {
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self(random()?))
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// Also for none.
    pub fn read(file: &Path) -> Result<Self, VaultError> {
        let key = fs::read(file)?.try_into().map_err(|_| io::Error::other("the key file must hold 32 octets"))?;
        Ok(Self(key))
    }

    /// Reads the key file, or makes it (mode 0600) when there is none.
    pub fn read_or_make(file: &Path) -> Result<Self, VaultError> {
        if file.try_exists()? {
            return Self::read(file);
        }
        let key = Self::generate()?;
        let part = file.with_extension("part");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        out.write_all(&key.0)?;
        out.sync_all()?;
        fs::rename(&part, file)?;
        sync_folder(file)?;
        Ok(key)
    }

    /// The key itself, for what is keyed by it but not encrypted.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    fn aead(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("32 octets"))
    }

    /// Encrypts a record; `name` is bound to it, so that records cannot change places.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; 12] = random()?;
        let mut out = nonce.to_vec();
        let mut body = plain.to_vec();
        let sealed = self.aead().seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut body,
        );
        sealed.map_err(|_| VaultError::Opened)?;
        out.append(&mut body);
        Ok(out)
    }

    /// Decrypts what [`Key::seal`] made under the same `name`.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, body) = sealed.split_at_checked(12).ok_or(VaultError::Opened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Opened)?;
        let mut body = body.to_vec();
        let plain = self.aead().open_in_place(nonce, Aad::from(name.as_bytes()), &mut body);
        Ok(plain.map_err(|_| VaultError::Opened)?.to_vec())
    }

    pub fn wrap(&self, case: &str, inner: &Key) -> Result<Vec<u8>, VaultError> {
        self.seal(case, &inner.0)
    }

    pub fn unwrap(&self, case: &str, wrapped: &[u8]) -> Result<Key, VaultError> {
        let plain = self.open(case, wrapped)?;
        Ok(Key(plain.try_into().map_err(|_| VaultError::Opened)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_wrapped_for_one_case() {
        let (master, case) = (Key::generate().unwrap(), Key::generate().unwrap());
        let wrapped = master.wrap("case-1", &case).unwrap();
        assert_eq!(master.unwrap("case-1", &wrapped).unwrap().0, case.0);
        assert!(master.unwrap("case-2", &wrapped).is_err());
    }
}
