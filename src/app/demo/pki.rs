//! The development PKI: keys and certificates that are made once and kept, and made again when they run out.
//!
//! ```text
//!  key file ──there?──▶ kept        certificate file ──same key, same issuer, same names, 30 days left?──▶ kept
//!     └─no─▶ made                       └─no─▶ made
//! ```

use std::path::{Path, PathBuf};

use rsa::Generate;
use rsa::pkcs8::EncodePrivateKey;

use super::files::{self, PRIVATE, PUBLIC, said};
use crate::terms::UnixMillis;
use crate::trust::certificate::{AltName, Certificate};
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::pem;
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey, load_key};

const DAY_S: i64 = 86_400;
/// Authorities live ten years, all else thirteen months, as the browsers' rules have it.
const AUTHORITY_DAYS: i64 = 3_650;
const LEAF_DAYS: i64 = 397;
/// A certificate with less left is made again.
const LEFT_DAYS: i64 = 30;
/// Clocks of other machines may be behind.
const BACKDATE_S: i64 = 3_600;

/// A key with its certificate, and where both lie.
pub struct Pair {
    pub key: SigningKey,
    pub certificate: Certificate,
    pub key_file: PathBuf,
    pub certificate_file: PathBuf,
}

/// Reads a key file, or makes a key of that kind.
pub fn key(file: &Path, algorithm: SignatureAlgorithm) -> Result<SigningKey, String> {
    if !file.exists() {
        let der = match algorithm {
            SignatureAlgorithm::RsaPkcs1Sha256 => rsa_key()?,
            other => SigningKey::generate(other).map_err(|e| said(file, e))?,
        };
        let text = zeroize::Zeroizing::new(pem::encode("PRIVATE KEY", &der));
        files::write(file, text.as_bytes(), PRIVATE)?;
    }
    let key = load_key(file)?;
    if key.algorithm() != algorithm {
        return Err(said(file, format_args!("is a key for {:?}, not {algorithm:?}", key.algorithm())));
    }
    Ok(key)
}

fn rsa_key() -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let key = rsa::PrivateKey::try_generate().map_err(|e| format!("RSA key: {e}"))?;
    let der = key.to_pkcs8_der().map_err(|e| format!("RSA key: {e}"))?;
    Ok(zeroize::Zeroizing::new(der.as_bytes().to_vec()))
}

/// An authority: `folder/name.key` and `folder/name.pem`, signed by itself.
pub fn authority(
    folder: &Path,
    name: &str,
    algorithm: SignatureAlgorithm,
    subject: &Subject<'_>,
    now: UnixMillis,
) -> Result<Pair, String> {
    let (key_file, certificate_file) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
    let key = self::key(&key_file, algorithm)?;
    let issuer = Issuer::root(&key, subject);
    let wanted = Wanted { subject, spki: &key.public_key().to_spki(), purpose: Use::Root, days: AUTHORITY_DAYS };
    let certificate = wanted.keep(&certificate_file, &issuer, None, now)?;
    Ok(Pair { key, certificate, key_file, certificate_file })
}

/// A certificate by `authority`: `folder/name.key` and `folder/name.pem`.
pub fn issued(
    folder: &Path,
    name: &str,
    authority: &Pair,
    subject: &Subject<'_>,
    purpose: Use,
    now: UnixMillis,
) -> Result<Pair, String> {
    let (key_file, certificate_file) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
    let key = self::key(&key_file, authority.key.algorithm())?;
    let issuer = Issuer::of(&authority.key, &authority.certificate);
    let wanted = Wanted { subject, spki: &key.public_key().to_spki(), purpose, days: LEAF_DAYS };
    let certificate = wanted.keep(&certificate_file, &issuer, Some(&authority.certificate), now)?;
    Ok(Pair { key, certificate, key_file, certificate_file })
}

struct Wanted<'a> {
    subject: &'a Subject<'a>,
    spki: &'a [u8],
    purpose: Use,
    days: i64,
}

impl Wanted<'_> {
    /// The kept certificate, or a new one where the kept one is not what is wanted. `authority` is `None` for roots.
    fn keep(
        &self,
        file: &Path,
        issuer: &Issuer<'_>,
        authority: Option<&Certificate>,
        now: UnixMillis,
    ) -> Result<Certificate, String> {
        if let Some(kept) = files::read(file)?
            && let Some(kept) = pem::certificates(&kept).ok().and_then(|all| Certificate::parse(all.first()?).ok())
            && self.is(&kept, authority.unwrap_or(&kept), now)
        {
            return Ok(kept);
        }
        let (from, to) = (now.plus_seconds(-BACKDATE_S), now.plus_seconds(self.days * DAY_S));
        let der =
            issue::certificate(issuer, self.subject, self.spki, self.purpose, from, to).map_err(|e| said(file, e))?;
        files::write(file, pem::encode("CERTIFICATE", &der).as_bytes(), PUBLIC)?;
        Certificate::parse(&der).map_err(|e| said(file, e))
    }

    fn is(&self, kept: &Certificate, authority: &Certificate, now: UnixMillis) -> bool {
        let names = &kept.extensions.alt_names;
        let count = self.subject.dns.len() + self.subject.uris.len() + self.subject.ips.len();
        kept.spki() == self.spki
            && kept.common_name().as_deref() == Some(self.subject.common_name)
            && kept.valid_at(now)
            && kept.valid_at(now.plus_seconds(LEFT_DAYS * DAY_S))
            && kept.signed_by(authority).is_ok()
            && names.len() == count
            && self.subject.uris.iter().all(|u| names.iter().any(|n| matches!(n, AltName::Uri(have) if have == u)))
            && self.subject.ips.iter().all(|i| names.iter().any(|n| matches!(n, AltName::Ip(have) if have == i)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_kept_until_they_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let start = UnixMillis(1_790_000_000_000);
        let make = |now: UnixMillis, uri: &str| {
            let root = Subject::named("root", "test");
            let root = authority(folder.path(), "root", SignatureAlgorithm::Sm2Sm3, &root, now).unwrap();
            let uris = [uri];
            let leaf = Subject { uris: &uris, ..Subject::named("leaf", "test") };
            let leaf = issued(folder.path(), "leaf", &root, &leaf, Use::Signer, now).unwrap();
            assert_eq!(leaf.certificate.signed_by(&root.certificate), Ok(()));
            (root.certificate.fingerprint(), leaf.certificate.fingerprint())
        };
        let day = |n: i64| start.plus_seconds(n * DAY_S);
        let first = make(start, "urn:a");
        assert_eq!(make(day(300), "urn:a"), first);
        let renewed = make(day(390), "urn:a");
        assert_eq!(renewed.0, first.0, "the authority lives on");
        assert_ne!(renewed.1, first.1);
        assert_ne!(make(day(390), "urn:b").1, renewed.1, "another name");
        let much_later = make(day(3_640), "urn:b");
        assert_ne!(much_later.0, first.0);
    }
}
