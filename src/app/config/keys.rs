//! Certificates, keys and seals, and the fingerprints by which callers are known.

use std::path::{Path, PathBuf};

use crate::terms::strict_toml::Table;
use crate::trust::suite::KeyPlace;

#[derive(Clone, Debug)]
pub struct KeyPair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl KeyPair {
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (certificate, key) = (t.need_str("certificate"), t.need_str("key"));
        Some(Self { certificate: base.join(certificate?), key: base.join(key?) })
    }
}

/// A certificate and the place of its key.
#[derive(Clone, Debug)]
pub struct SealKey {
    pub certificate: PathBuf,
    pub key: KeyPlace,
}

impl SealKey {
    /// As [`KeyPair::read`], with a key that may be under a password or in a token.
    fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (certificate, key, password) = (t.need_str("certificate"), t.need_str("key"), t.str("password"));
        match KeyPlace::parse(key?, password, base) {
            Ok(key) => Some(Self { certificate: base.join(certificate?), key }),
            Err(why) => {
                let mend = "a file with the key as PKCS#8, or pkcs11:token=…;object=…?module-path=…&pin-source=…";
                t.wrong("key", why, mend);
                None
            }
        }
    }
}

/// The organisation's seals.
#[derive(Clone, Debug)]
pub struct Seals {
    /// Seals case files in flight (ASiC-E).
    pub envelope: SealKey,
    /// 收件专用章
    pub collection: Stamp,
    /// 业务受理专用章
    pub acceptance: Stamp,
    /// 业务审批专用章
    pub approval: Stamp,
}

impl Seals {
    /// `[seals]`
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let missing = |key: &str, what: &str| t.wrong(key, "missing", format_args!("write {key} = {{ {what} }}"));
        let envelope = match t.table("envelope") {
            Some(inner) => {
                let found = SealKey::read(&inner, base);
                inner.done();
                found
            }
            None => {
                missing("envelope", "certificate = …, key = …");
                None
            }
        };
        let stamp = |key: &'static str| match t.table(key) {
            Some(inner) => {
                let (seal, pair) = (inner.need_str("seal"), SealKey::read(&inner, base));
                inner.done();
                Some(Stamp { seal: base.join(seal?), pair: pair? })
            }
            None => {
                missing(key, "seal = …, certificate = …, key = …");
                None
            }
        };
        let (collection, acceptance, approval) = (stamp("collection"), stamp("acceptance"), stamp("approval"));
        t.done();
        Some(Self { envelope: envelope?, collection: collection?, acceptance: acceptance?, approval: approval? })
    }
}

/// A seal (`.esl`, GB/T 38540) with the SM2 certificate and key that apply it.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub seal: PathBuf,
    pub pair: SealKey,
}

/// SHA-256 of a certificate as people copy it: colons and capitals are taken.
pub(super) fn fingerprint(t: &Table<'_, '_>, key: &'static str) -> Option<String> {
    let text = t.str(key)?.replace(':', "").to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text);
    }
    t.wrong(
        key,
        "is not a SHA-256 fingerprint",
        "write 64 hexadecimal digits, e.g. of `openssl x509 -fingerprint -sha256`",
    );
    None
}
