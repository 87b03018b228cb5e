//! Private keys in tokens and HSMs, used where they are (PKCS #11).
//!
//! ```text
//!  pkcs11:token=…;object=…?module-path=…&pin-source=… ─▶ module ─▶ slot ─▶ login ─▶ one private key ─▶ sign
//! ```
//! The key never leaves the token. Digests are made here and signed there, save RSA, whose tokens digest themselves.

use std::path::PathBuf;
use std::sync::Mutex;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use super::{DigestAlgorithm, PublicKey, SignatureAlgorithm, Signer, SuiteError};
use crate::formats::der::write;

/// Where a key is (RFC 7512), as far as we need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Label of the key.
    pub object: Option<String>,
    /// CKA_ID of the key.
    pub id: Option<Vec<u8>>,
    pub module: PathBuf,
    /// File with the PIN on its first line.
    pub pin_source: Option<PathBuf>,
}

impl TokenUri {
    /// # Errors
    /// What is wrong, in words: no `pkcs11:`, an attribute twice or not known, no module, a PIN in the address itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("pkcs11:").ok_or("does not begin with pkcs11:")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut found = std::collections::BTreeMap::new();
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part}: no value"))?;
            if found.insert(name, decode(value)?).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        let mut octets = |name: &str| found.remove(name);
        let (id, pin) = (octets("id"), octets("pin-value"));
        if pin.is_some() {
            return Err("a PIN does not belong in an address: write it in a file, pin-source=FILE".to_owned());
        }
        let mut text = |name: &str| {
            let value = octets(name).map(String::from_utf8).transpose();
            value.map_err(|_| format!("{name} is no text"))
        };
        let (token, serial, object) = (text("token")?, text("serial")?, text("object")?);
        text("type")?;
        let module = text("module-path")?.ok_or("no module-path=FILE: which library speaks to the token?")?;
        let pin_source = text("pin-source")?.map(|file| PathBuf::from(file.strip_prefix("file:").unwrap_or(&file)));
        if let Some(other) = found.keys().next() {
            return Err(format!("{other} is not known"));
        }
        Ok(Self { token, serial, object, id, module: module.into(), pin_source })
    }
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        out.push(digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(|| format!("{text}: a bent %"))?);
        rest = &rest[2..];
    }
    Ok(out)
}

/// A key in a token, with the public key its certificate names.
pub struct TokenKey {
    public: PublicKey,
    algorithm: SignatureAlgorithm,
    key: ObjectHandle,
    // One session, one signature at a time: PKCS #11 keeps the state of an operation in its session.
    session: Mutex<Session>,
    _module: Pkcs11,
}

impl TokenKey {
    /// Opens the key that belongs to `public`, which is tried out: the token signs something, and it must verify.
    ///
    /// # Errors
    /// What failed, in words; a PIN is in none of them.
    pub fn open(uri: &TokenUri, pin: Option<&str>, public: PublicKey) -> Result<Self, String> {
        let algorithm = match &public {
            PublicKey::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
            PublicKey::P384(_) => SignatureAlgorithm::EcdsaP384Sha384,
            PublicKey::Rsa(_) => SignatureAlgorithm::RsaPkcs1Sha256,
            PublicKey::Sm2(_) => return Err("SM2 has no mechanism of its own in PKCS #11 3.0".to_owned()),
            _ => return Err("no mechanism for keys of this kind".to_owned()),
        };
        let said = |what: &'static str| move |e: Error| format!("{what}: {e}");
        let module = Pkcs11::new(&uri.module).map_err(said("the module cannot be loaded"))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(e) => return Err(said("the module does not start")(e)),
        }
        let slots = module.get_slots_with_initialized_token().map_err(said("no list of tokens"))?;
        let fits = |slot: &&cryptoki::slot::Slot| {
            module.get_token_info(**slot).is_ok_and(|info| {
                uri.token.as_deref().is_none_or(|label| label == info.label())
                    && uri.serial.as_deref().is_none_or(|serial| serial == info.serial_number())
            })
        };
        let mut slots = slots.iter().filter(fits);
        let slot = match (slots.next(), slots.next()) {
            (Some(slot), None) => *slot,
            (None, _) => return Err("no token of that name".to_owned()),
            (Some(_), Some(_)) => return Err("several tokens fit: name one (token=…, serial=…)".to_owned()),
        };
        let session = module.open_ro_session(slot).map_err(said("the token gives no session"))?;
        let pin = pin.map(|pin| AuthPin::new(pin.to_owned().into()));
        match session.login(UserType::User, pin.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(e) => return Err(said("the token refuses the PIN")(e)),
        }
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Sign(true)];
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.clone().map(Attribute::Id));
        let keys = session.find_objects(&template).map_err(said("the token does not look for keys"))?;
        let key = match keys[..] {
            [key] => key,
            [] => return Err("no private key of that name that may sign".to_owned()),
            _ => return Err("several keys fit: name one (object=…, id=…)".to_owned()),
        };
        let of_certificate = if matches!(public, PublicKey::Rsa(_)) { KeyType::RSA } else { KeyType::EC };
        let kinds = session.get_attributes(key, &[AttributeType::KeyType]).unwrap_or_default();
        if let [Attribute::KeyType(kind)] = kinds[..]
            && kind != of_certificate
        {
            let wrong =
                format!("the key in the token ({kind}) is of another kind than the certificate's ({of_certificate})");
            return Err(wrong);
        }
        let opened = Self { public, algorithm, key, session: Mutex::new(session), _module: module };
        const TRIAL: &[u8] = b"does this key belong to this certificate?";
        let signature = opened.sign(TRIAL).map_err(|e| e.to_string())?;
        let verified = opened.public.verify(algorithm, TRIAL, &signature);
        verified.map_err(|_| "the key in the token is not the certificate's".to_owned())?;
        Ok(opened)
    }
}

impl Signer for TokenKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let session = self.session.lock().unwrap_or_else(|e| e.into_inner());
        let failed = |e: Error| SuiteError::Signing(e.to_string());
        let digest = match self.algorithm {
            SignatureAlgorithm::RsaPkcs1Sha256 => {
                return session.sign(&Mechanism::Sha256RsaPkcs, self.key, message).map_err(failed);
            }
            SignatureAlgorithm::EcdsaP384Sha384 => DigestAlgorithm::Sha384.of(message),
            _ => DigestAlgorithm::Sha256.of(message),
        };
        let raw = session.sign(&Mechanism::Ecdsa, self.key, &digest).map_err(failed)?;
        let (r, s) = raw.split_at(raw.len() / 2);
        Ok(write::sequence(&[write::unsigned(r), write::unsigned(s)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_keys() {
        let uri = TokenUri::parse(
            "pkcs11:token=My%20token;object=seal;id=%01%ff?module-path=/usr/lib/p11.so&pin-source=file:/etc/pin",
        );
        let want = TokenUri {
            token: Some("My token".into()),
            serial: None,
            object: Some("seal".into()),
            id: Some(vec![1, 255]),
            module: "/usr/lib/p11.so".into(),
            pin_source: Some("/etc/pin".into()),
        };
        assert_eq!(uri, Ok(want));
        for (text, why) in [
            ("seal.key", "does not begin"),
            ("pkcs11:object=a", "no module-path"),
            ("pkcs11:object=a;object=b?module-path=/m", "twice"),
            ("pkcs11:object=a?module-path=/m&pin-value=1234", "a PIN does not belong"),
            ("pkcs11:slot=1?module-path=/m", "slot is not known"),
            ("pkcs11:object=%4?module-path=/m", "a bent %"),
            ("pkcs11:object?module-path=/m", "no value"),
        ] {
            assert!(TokenUri::parse(text).is_err_and(|e| e.contains(why)), "{text}");
        }
    }
}
