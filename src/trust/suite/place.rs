//! Where a private key is: in a file, under a password or not, or in a token. One key has one place.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::token::{TokenKey, TokenUri};
use super::{PublicKey, Signer, load_key_with};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// PKCS #8 in PEM; `password` is a file with the password on its first line.
    File {
        file: PathBuf,
        password: Option<PathBuf>,
    },
    Token(TokenUri),
}

impl KeyPlace {
    /// Reads a file name, below `base`, or a `pkcs11:` address (RFC 7512), whose files are below `base` as well.
    ///
    /// # Errors
    /// What is wrong with the address, or that a key in a token was given a password.
    pub fn parse(text: &str, password: Option<&str>, base: &Path) -> Result<Self, String> {
        if !text.starts_with("pkcs11:") {
            return Ok(Self::File { file: base.join(text), password: password.map(|file| base.join(file)) });
        }
        if password.is_some() {
            return Err("a key in a token has a PIN, not a password: pin-source=FILE in its address".to_owned());
        }
        let mut uri = TokenUri::parse(text)?;
        uri.pin_source = uri.pin_source.map(|file| base.join(file));
        Ok(Self::Token(uri))
    }

    /// The file that must be there before the key can be opened: the key's own, or the library that speaks to the token.
    pub fn file(&self) -> &Path {
        match self {
            Self::File { file, .. } => file,
            Self::Token(uri) => &uri.module,
        }
    }

    pub fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// Opens the key, which must be the one of `public`.
    ///
    /// # Errors
    /// What failed, in words; nothing of key, password or PIN.
    pub fn open(&self, public: &PublicKey) -> Result<Box<dyn Signer>, String> {
        let signer: Box<dyn Signer> = match self {
            Self::File { file, password } => {
                let password = password.as_deref().map(first_line).transpose()?;
                Box::new(load_key_with(file, password.as_ref().map(|text| text.as_bytes()))?)
            }
            Self::Token(uri) => {
                let pin = uri.pin_source.as_deref().map(first_line).transpose()?;
                Box::new(TokenKey::open(uri, pin.as_ref().map(|pin| pin.as_str()), public.clone())?)
            }
        };
        match signer.public_key() == *public {
            true => Ok(signer),
            false => Err(format!("{}: the certificate is for another key", self.file().display())),
        }
    }
}

fn first_line(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::pem;
    use crate::trust::suite::{SignatureAlgorithm, SigningKey};

    #[test]
    fn places_are_told_apart() {
        let base = Path::new("/etc/tongban");
        let file = |file: &str, password: Option<&str>| KeyPlace::File {
            file: file.into(),
            password: password.map(PathBuf::from),
        };
        for (text, password, want) in [
            ("certs/a.key", None, Some(file("/etc/tongban/certs/a.key", None))),
            ("/a.key", Some("pin.txt"), Some(file("/a.key", Some("/etc/tongban/pin.txt")))),
            ("pkcs11:token=t;object=o", None, None),
            ("pkcs11:token=t;object=o?module-path=/m.so&pin-value=1", None, None),
            ("pkcs11:token=t;object=o?module-path=/m.so", Some("pin.txt"), None),
        ] {
            assert_eq!(KeyPlace::parse(text, password, base).ok(), want, "{text}");
        }
        let token =
            KeyPlace::parse("pkcs11:token=t;object=o?module-path=/m.so&pin-source=pin.txt", None, base).unwrap();
        let KeyPlace::Token(uri) = &token else { panic!("{token:?}") };
        assert_eq!((token.file(), uri.pin_source.as_deref()), (Path::new("/m.so"), Some(&*base.join("pin.txt"))));
    }

    #[test]
    fn a_key_of_another_certificate_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
            std::fs::write(folder.path().join(name), pem::encode("PRIVATE KEY", &pkcs8)).unwrap();
            SigningKey::from_pkcs8(&pkcs8).unwrap().public_key()
        };
        let (own, other) = (make("a.key"), make("b.key"));
        let place = KeyPlace::parse("a.key", None, folder.path()).unwrap();
        assert_eq!(place.open(&own).unwrap().public_key(), own);
        assert!(place.open(&other).err().unwrap().ends_with("the certificate is for another key"));
        assert!(KeyPlace::parse("c.key", None, folder.path()).unwrap().open(&own).is_err());
    }
}
