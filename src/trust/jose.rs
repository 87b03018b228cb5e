//! JSON Web Signatures in compact form (RFC 7515), where documents have them: credentials, key bindings, status lists.
//!
//! ```text
//!  header.payload.signature ─▶ Jws ─▶ algorithm (RFC 7518, by name) ─▶ key: x5c │ jwk │ configured
//! ```
//! Tokens of callers are room `identity`'s; this is for what is judged like any other sealed document. Nothing a header
//! says is trusted: a key in it counts once a chain or a signed claim vouches for it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::certificate::Certificate;
use super::suite::{DigestAlgorithm, PublicKey, SignatureAlgorithm, Signer, SigningKey, SuiteError};
use crate::formats::der::write;
use crate::formats::json::{self, Room};

/// Most memory of a header, in octets: ten certificates in it take some 50,000.
const HEADER_ROOM: usize = 2 << 20;

/// Why a text is no signature we can judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    #[error("{0}")]
    Form(&'static str),
    #[error(transparent)]
    Suite(#[from] SuiteError),
}

/// A signature in compact form, not verified.
#[derive(Clone, Debug)]
pub struct Jws<'a> {
    pub header: Map<String, Value>,
    pub payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Base64url without padding, nothing else.
pub fn octets(text: &str) -> Result<Vec<u8>, JoseError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JoseError::Form("not base64url"))
}

impl<'a> Jws<'a> {
    /// # Errors
    /// [`JoseError::Form`] unless there are three parts, a plain JSON header, and no extension that must be understood.
    pub fn parse(text: &'a str) -> Result<Self, JoseError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::Form("not three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(JoseError::Form("not three parts"))?;
        let header = json::object_within(&octets(header)?, &Room::of(HEADER_ROOM));
        let header = header.map_err(|_| JoseError::Form("the header is no plain JSON object, or too large"))?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(JoseError::Form("an extension that is not known here"));
        }
        Ok(Self { header, payload: octets(payload)?, signed, signature: octets(signature)? })
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// The payload as an object.
    pub fn claims(&self) -> Result<Map<String, Value>, JoseError> {
        self.claims_within(&Room::of(usize::MAX))
    }

    /// As [`Jws::claims`], in the memory that is left.
    pub fn claims_within(&self, room: &Room) -> Result<Map<String, Value>, JoseError> {
        json::object_within(&self.payload, room).map_err(|_| JoseError::Form("the payload is no plain JSON object"))
    }

    /// # Errors
    /// [`SuiteError::Weak`] for `none` and keyed digests: whoever verifies one could have made it.
    pub fn algorithm(&self) -> Result<SignatureAlgorithm, JoseError> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        let name = self.text("alg").ok_or(JoseError::Form("no algorithm"))?;
        let pss =
            |digest: DigestAlgorithm| SignatureAlgorithm::RsaPss { digest, mask: digest, salt: digest.size() as u16 };
        Ok(match name {
            "ES256" => SignatureAlgorithm::EcdsaP256Sha256,
            "ES384" => SignatureAlgorithm::EcdsaP384Sha384,
            "ES512" => SignatureAlgorithm::EcdsaSha512,
            "EdDSA" | "Ed25519" => SignatureAlgorithm::Ed25519,
            "RS256" => SignatureAlgorithm::RsaPkcs1Sha256,
            "RS384" => SignatureAlgorithm::RsaPkcs1Sha384,
            "RS512" => SignatureAlgorithm::RsaPkcs1Sha512,
            "PS256" => pss(Sha256),
            "PS384" => pss(Sha384),
            "PS512" => pss(Sha512),
            "none" | "HS256" | "HS384" | "HS512" => return Err(SuiteError::Weak(name.to_owned()).into()),
            other => return Err(SuiteError::UnknownAlgorithm(other.chars().take(40).collect()).into()),
        })
    }

    /// # Errors
    /// [`SuiteError::Key`] also for an ECDSA key of another curve than the algorithm's, which JOSE ties together.
    pub fn verify(&self, key: &PublicKey) -> Result<(), JoseError> {
        let algorithm = self.algorithm()?;
        let fits = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => matches!(key, PublicKey::P256(_)),
            SignatureAlgorithm::EcdsaP384Sha384 => matches!(key, PublicKey::P384(_)),
            SignatureAlgorithm::EcdsaSha512 => matches!(key, PublicKey::P521(_)),
            _ => true,
        };
        if !fits {
            return Err(SuiteError::Key.into());
        }
        Ok(key.verify_fixed(algorithm, self.signed.as_bytes(), &self.signature)?)
    }

    /// Certificates of the header (RFC 7515 §4.1.6), the signer's first; `None` when there are none.
    ///
    /// # Errors
    /// [`JoseError::Form`] for what is no list of certificates, or more than ten.
    pub fn certificates(&self) -> Result<Option<Vec<Certificate>>, JoseError> {
        const WRONG: JoseError = JoseError::Form("x5c is no list of certificates");
        let Some(list) = self.header.get("x5c") else { return Ok(None) };
        let list = list.as_array().filter(|list| (1..=10).contains(&list.len())).ok_or(WRONG)?;
        let one = |text: &Value| {
            let der = STANDARD.decode(text.as_str().ok_or(WRONG)?).map_err(|_| WRONG)?;
            Certificate::parse(&der).map_err(|_| WRONG)
        };
        list.iter().map(one).collect::<Result<_, _>>().map(Some)
    }
}

/// A public key as JSON (RFC 7517, RFC 8037).
///
/// # Errors
/// [`SuiteError::Key`] for what is no key, or holds a private one; [`SuiteError::UnknownAlgorithm`] for another curve.
pub fn jwk(key: &Value) -> Result<PublicKey, SuiteError> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let part = |name: &str| octets(text(name).ok_or(SuiteError::Key)?).map_err(|_| SuiteError::Key);
    if key.get("d").is_some() {
        return Err(SuiteError::Key);
    }
    // In full length (RFC 7518 §6.2.1.2); of one key in 128 an encoder of whole numbers leaves the zeros before it out.
    let coordinate = |name: &str, size: usize| {
        let octets = part(name)?;
        let zeros = size.checked_sub(octets.len()).filter(|zeros| *zeros <= 2).ok_or(SuiteError::Key)?;
        Ok::<_, SuiteError>([&[0; 2][..zeros], &octets].concat())
    };
    let point =
        |size: usize| Ok::<_, SuiteError>([&[4][..], &coordinate("x", size)?, &coordinate("y", size)?].concat());
    let found = match (text("kty").ok_or(SuiteError::Key)?, text("crv")) {
        ("EC", Some("P-256")) => PublicKey::P256(point(32)?),
        ("EC", Some("P-384")) => PublicKey::P384(point(48)?),
        ("EC", Some("P-521")) => PublicKey::P521(point(66)?),
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(part("x")?),
        ("RSA", _) => PublicKey::Rsa(write::sequence(&[write::unsigned(&part("n")?), write::unsigned(&part("e")?)])),
        (kind, curve) => return Err(SuiteError::UnknownAlgorithm(format!("{kind} {}", curve.unwrap_or_default()))),
    };
    // The same questions as for a key in a certificate: size, curve.
    PublicKey::from_spki(&found.to_spki())
}

/// Makes a signature in compact form; `alg` is added to the header.
///
/// # Errors
/// [`SuiteError::UnknownAlgorithm`] for keys that JOSE has no name for.
pub fn sign(key: &SigningKey, header: &Map<String, Value>, payload: &[u8]) -> Result<String, SuiteError> {
    let name = match key.algorithm() {
        SignatureAlgorithm::EcdsaP256Sha256 => "ES256",
        SignatureAlgorithm::Ed25519 => "EdDSA",
        SignatureAlgorithm::RsaPkcs1Sha256 => "RS256",
        other => return Err(SuiteError::UnknownAlgorithm(format!("{other:?}"))),
    };
    let mut header = header.clone();
    header.insert("alg".to_owned(), name.into());
    let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign_jose(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

/// The public key of `key` as JSON, for credentials that are bound to it.
pub fn to_jwk(key: &PublicKey) -> Option<Value> {
    let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    match key {
        PublicKey::P256(p) => {
            Some(serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(&p[1..33]), "y": encode(&p[33..]) }))
        }
        PublicKey::Ed25519(x) => Some(serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x) })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: SignatureAlgorithm) -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap()
    }

    #[test]
    fn signed_and_read_again() {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Ed25519] {
            let (own, other) = (key(algorithm), key(algorithm));
            let text = sign(&own, &Map::new(), b"{\"a\":1}").unwrap();
            let jws = Jws::parse(&text).unwrap();
            let public = jwk(&to_jwk(&own.public_key()).unwrap()).unwrap();
            assert_eq!(public, own.public_key());
            assert_eq!(jws.verify(&public), Ok(()));
            assert_eq!(jws.verify(&other.public_key()), Err(SuiteError::Signature.into()));
            assert_eq!(jws.claims().unwrap()["a"], 1);
        }
    }

    /// The token of P-521 in Wycheproof's file; those of other keys are asked in room `identity`.
    #[test]
    fn a_token_of_p521() {
        let Some(folder) = crate::terms::testing::vectors("jose") else { return };
        let file = std::fs::read(folder.join("json_web_signature_test.json")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let groups = file["testGroups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["public"]["crv"] == "P-521").expect("RFC 7520, figure 27");
        let token = group["tests"][0]["jws"].as_str().unwrap();
        let key = super::jwk(&group["public"]).unwrap();
        let jws = Jws::parse(token).unwrap();
        assert_eq!((jws.algorithm(), jws.verify(&key)), (Ok(SignatureAlgorithm::EcdsaSha512), Ok(())));
        let wrong = Err(JoseError::Suite(SuiteError::Signature));
        let mut bent = jws.clone();
        bent.signature[131] ^= 1;
        assert_eq!(bent.verify(&key), wrong);
        let mut short = jws.clone();
        short.signature.remove(0);
        assert_eq!(short.verify(&key), Err(JoseError::Suite(SuiteError::Encoding)));
        // ES512 is of this curve alone, which signs by no other name.
        let other = super::jwk(&to_jwk(&self::key(SignatureAlgorithm::EcdsaP256Sha256).public_key()).unwrap()).unwrap();
        assert_eq!(jws.verify(&other), Err(JoseError::Suite(SuiteError::Key)));
        let mut renamed = jws;
        renamed.header.insert("alg".to_owned(), "ES384".into());
        assert_eq!(renamed.verify(&key), Err(JoseError::Suite(SuiteError::Key)));
    }

    #[test]
    fn coordinates_may_lack_the_zeros_before_them() {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let y = [7; 32];
        for (x, want) in [
            ([9; 32].to_vec(), Some([9; 32].to_vec())),
            ([9; 31].to_vec(), Some([&[0][..], &[9; 31]].concat())),
            ([9; 30].to_vec(), Some([&[0, 0][..], &[9; 30]].concat())),
            ([9; 29].to_vec(), None),
            ([9; 33].to_vec(), None),
        ] {
            let key = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(&x), "y": encode(&y) });
            let want = want.map(|x| PublicKey::P256([&[4][..], &x, &y].concat()));
            assert_eq!(jwk(&key).ok(), want, "{} octets", x.len());
        }
    }

    /// Three megabytes of a header would be a hundred of memory.
    #[test]
    fn a_header_has_its_room() {
        for (parts, is_read) in [(10, true), (1_000, true), (360_000, false)] {
            let objects = vec!["{\"b\":0}"; parts].join(",");
            let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"ES256\",\"a\":[{objects}]}}"));
            assert_eq!(Jws::parse(&format!("{header}.e30.AAAA")).is_ok(), is_read, "{parts}");
        }
    }

    #[test]
    fn what_is_refused() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let p384 = PublicKey::P384([vec![4], vec![1; 96]].concat());
        for (header, want) in [
            (r#"{"alg":"none"}"#, JoseError::Suite(SuiteError::Weak("none".into()))),
            (r#"{"alg":"HS256"}"#, JoseError::Suite(SuiteError::Weak("HS256".into()))),
            (r#"{"alg":"ES256K"}"#, JoseError::Suite(SuiteError::UnknownAlgorithm("ES256K".into()))),
            (r#"{"alg":"ES256"}"#, JoseError::Suite(SuiteError::Key)),
            ("{}", JoseError::Form("no algorithm")),
        ] {
            let text = format!("{}.{}.AAAA", encode(header), encode("{}"));
            assert_eq!(Jws::parse(&text).unwrap().verify(&p384), Err(want), "{header}");
        }
        for text in [
            "",
            "a.b",
            "..",
            "e30.e30.e30=",
            "e30.e30.e3 0",
            &format!("{}.e30.AA", encode(r#"{"alg":"ES256","crit":["exp"]}"#)),
            &format!("{}.e30.AA", encode(r#"{"alg":"ES256","alg":"none"}"#)),
            "W10.e30.AA",
        ] {
            assert!(Jws::parse(text).is_err(), "{text}");
        }
        for key in [
            r#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}"#, // thirty-one zeros are no habit of encoders
            r#"{"kty":"EC","crv":"secp256k1","x":"AQ","y":"AQ"}"#,
            r#"{"kty":"oct","k":"AQ"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQ"}"#,
            r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#,
            "7",
        ] {
            assert!(jwk(&serde_json::from_str(key).unwrap()).is_err(), "{key}");
        }
    }
}
