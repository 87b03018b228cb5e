//! What seals a bundle, the same octets each time.

use std::path::PathBuf;

use crate::terms::{Digest, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::suite::{PublicKey, SignatureAlgorithm, Signer, SigningKey, SuiteError};

/// What seals a bundle.
pub(super) enum Seal {
    /// The organisation's own.
    Envelope {
        key: Box<dyn Signer>,
        chain: Vec<Certificate>,
        /// Where its signatures are remembered.
        folder: PathBuf,
    },
    /// A key derived from what is exported: shows that the bundle is whole, and nothing about who made it.
    Derived([u8; 32]),
}

impl Seal {
    pub(super) fn open(&self, newest: UnixMillis) -> Result<(Box<dyn Signer + '_>, Vec<Certificate>), String> {
        match self {
            Self::Envelope { key, chain, folder } => {
                Ok((Box::new(Remembered { key: &**key, folder: folder.clone() }), chain.clone()))
            }
            Self::Derived(secret) => {
                let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                let seed = ring::hmac::sign(&hmac, b"evidence seal");
                let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(seed.as_ref());
                let key = SigningKey::Ed25519(key.map_err(|_| "no key could be derived")?);
                let subject = Subject::named("evidence export", "tongban");
                let spki = key.public_key().to_spki();
                let mut serial = [0; 16];
                serial.copy_from_slice(&Digest::of(&[&spki[..], &newest.0.to_be_bytes()].concat()).0[..16]);
                // In force around the time that the bundle says, so that nothing depends on the day of export.
                let span = (UnixMillis(newest.0 - 86_400_000), UnixMillis(newest.0 + 86_400_000));
                let issuer = Issuer::root(&key, &subject);
                let der = issue::numbered(serial, &issuer, &subject, &spki, Use::Signer, span);
                let certificate = der.map_err(|e| e.to_string())?;
                let certificate = Certificate::parse(&certificate).map_err(|e| e.to_string())?;
                Ok((Box::new(key), vec![certificate]))
            }
        }
    }
}

/// Signs the same message with the same octets: ECDSA and SM2 would draw a new random number each time, and two
/// exports of one case would differ.
struct Remembered<'a> {
    key: &'a dyn Signer,
    folder: PathBuf,
}

impl Signer for Remembered<'_> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let file = self.folder.join(format!("{}.sig", Digest::of(message)));
        if let Ok(known) = std::fs::read(&file)
            && self.public_key().verify(self.algorithm(), message, &known).is_ok()
        {
            return Ok(known);
        }
        let signature = self.key.sign(message)?;
        let kept = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(&file, &signature));
        if let Err(error) = kept {
            eprintln!("{}: {error}; 再次导出将不逐字节相同 · the next export will differ in its seal", file.display());
        }
        Ok(signature)
    }
}
