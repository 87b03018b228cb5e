//! A compact JWS taken apart strictly, before any cryptography (RFC 7515, RFC 8725).
//!
//! ```text
//!  text ─▶ size · three parts · canonical base64url ─▶ header object ─▶ alg · kid · typ · no crit, no keys inside
//!                                                          └─▶ Unverified ──one key──▶ Verified (claims readable)
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::IdentityError;
use super::keys::PublicKey;
use super::strict;

/// Largest token looked at, in octets.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longest key identifier, in octets.
pub const MAX_KID: usize = 256;

/// Claims or header members.
pub type Object = Map<String, Value>;

/// What is asked of the header beyond its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedded {
    /// `jwk` in the header is an attack (access tokens, papers, assertions).
    Refused,
    /// `jwk` is how the key comes (DPoP proofs, RFC 9449 §4.2).
    Jwk,
}

/// The header members that are read.
#[derive(Clone, Debug)]
pub struct Header {
    pub alg: Algorithm,
    pub kid: Option<String>,
    /// Lower case, without the `application/` prefix (RFC 7515 §4.1.9).
    pub typ: Option<String>,
    /// Only with [`Embedded::Jwk`].
    pub jwk: Option<Object>,
}

/// Well formed, not yet believed.
#[derive(Clone, Debug)]
pub struct Unverified<'a> {
    pub header: Header,
    payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Header and payload of a JWS whose signature holds.
#[derive(Clone, Debug)]
pub struct Verified {
    pub header: Header,
    pub payload: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes the token apart. The payload may be any bytes; [`Unverified::claims_unverified`] reads it as an object.
    ///
    /// # Errors
    /// `token_malformed`, `token_alg` (none, HMAC, unknown), `token_crit`, `token_key` (kid of the wrong shape).
    pub fn parse(token: &'a str, embedded: Embedded) -> Result<Self, IdentityError> {
        use IdentityError::TokenMalformed;
        if token.len() > MAX_TOKEN {
            return Err(TokenMalformed("larger than 16 KiB"));
        }
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(seal), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenMalformed("not three parts"));
        };
        let head_bytes = decode(head).ok_or(TokenMalformed("header is not canonical base64url"))?;
        let object = strict::object(&head_bytes).map_err(|_| TokenMalformed("header is not a plain JSON object"))?;
        let header = read_header(object, embedded)?;
        let payload = decode(body).ok_or(TokenMalformed("payload is not canonical base64url"))?;
        let signature = decode(seal).ok_or(TokenMalformed("signature is not canonical base64url"))?;
        if signature.is_empty() {
            return Err(IdentityError::TokenSignature);
        }
        Ok(Self { header, payload, signed: &token[..head.len() + 1 + body.len()], signature })
    }

    /// The claims, for choosing a key only. Nothing in them is true yet.
    pub fn claims_unverified(&self) -> Result<Object, IdentityError> {
        strict::object(&self.payload).map_err(|_| IdentityError::TokenMalformed("claims are not a plain JSON object"))
    }

    /// Checks the signature with `key`, which serves exactly one algorithm.
    pub fn verify(self, key: &PublicKey) -> Result<Verified, IdentityError> {
        if key.algorithm() != self.header.alg {
            return Err(IdentityError::TokenAlg("not the algorithm this key is registered for"));
        }
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(IdentityError::TokenSignature);
        }
        Ok(Verified { header: self.header, payload: self.payload })
    }
}

impl Verified {
    /// The claims as an object without repeated members.
    pub fn claims(&self) -> Result<Object, IdentityError> {
        strict::object(&self.payload).map_err(|_| IdentityError::TokenMalformed("claims are not a plain JSON object"))
    }
}

fn read_header(mut object: Object, embedded: Embedded) -> Result<Header, IdentityError> {
    use IdentityError::{TokenAlg, TokenCrit, TokenKey, TokenMalformed};
    if object.contains_key("crit") {
        return Err(TokenCrit); // no extension is understood here, so none can be critical (RFC 7515 §4.1.11)
    }
    if object.contains_key("b64") || object.contains_key("enc") || object.contains_key("zip") {
        return Err(TokenMalformed("encrypted, compressed or unencoded"));
    }
    let alg = match object.get("alg") {
        Some(Value::String(name)) => algorithm(name).ok_or(TokenAlg("none, symmetric or unknown"))?,
        _ => return Err(TokenAlg("missing")),
    };
    if ["jku", "x5u", "x5c", "x5t", "x5t#S256"].iter().any(|name| object.contains_key(*name)) {
        return Err(TokenKey("the header names or carries a key"));
    }
    let jwk = match (object.remove("jwk"), embedded) {
        (None, _) => None,
        (Some(Value::Object(jwk)), Embedded::Jwk) => Some(jwk),
        (Some(_), _) => return Err(TokenKey("the header names or carries a key")),
    };
    let kid = match object.remove("kid") {
        None => None,
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID => Some(kid),
        Some(_) => return Err(TokenKey("kid is not a short string")),
    };
    let typ = match object.remove("typ") {
        None => None,
        Some(Value::String(typ)) => {
            let typ = typ.to_ascii_lowercase();
            Some(typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ))
        }
        Some(_) => return Err(TokenMalformed("typ is not a string")),
    };
    Ok(Header { alg, kid, typ, jwk })
}

/// The asymmetric algorithms, spelt exactly. `Ed25519` (RFC 9864) is the same as `EdDSA` with that curve.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// base64url without padding and with zero tail bits: one spelling for one value (RFC 7515 §2, RFC 4648 §3.5).
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A member that must be a string when there.
pub(super) fn text<'o>(object: &'o Object, name: &str) -> Result<Option<&'o str>, IdentityError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(IdentityError::TokenMalformed("a claim that must be a string is not")),
    }
}

/// Seconds since 1970 (RFC 7519 `NumericDate`): a number, whole or not, in the years 1970 to 9998.
pub(super) fn seconds(object: &Object, name: &str) -> Result<Option<i64>, IdentityError> {
    const LATEST: i64 = 253_370_764_800;
    let bad = IdentityError::TokenMalformed("a time that is not a number of seconds");
    let Some(value) = object.get(name) else { return Ok(None) };
    let at = match value {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().filter(|f| f.abs() < 1e12).map(|f| f.floor() as i64)),
        _ => None,
    };
    match at {
        Some(at) if (0..=LATEST).contains(&at) => Ok(Some(at)),
        _ => Err(bad),
    }
}

/// Whether a text may stand in a log line or a header: no controls, no direction marks, not overlong.
pub(super) fn plain(text: &str) -> bool {
    text.len() <= 512 && !text.chars().any(unprintable)
}

/// A name as shown: what could split a line or turn its direction is taken out.
pub(super) fn cleaned(text: &str) -> String {
    text.chars().filter(|c| !unprintable(*c)).take(100).collect()
}

fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}
