//! Compact JWS (RFC 7515) and public keys (RFC 7517), as the parties of the demonstration sign and read them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};

use crate::formats::der::{Reader, write};
use crate::terms::Digest;
use crate::trust::suite::{PublicKey, SignatureAlgorithm, Signer, SigningKey};

/// Most octets we read.
const MAX: usize = 16 << 10;

/// `alg` of a key.
pub fn algorithm(key: &SigningKey) -> Result<&'static str, String> {
    match key.algorithm() {
        SignatureAlgorithm::EcdsaP256Sha256 => Ok("ES256"),
        SignatureAlgorithm::RsaPkcs1Sha256 => Ok("RS256"),
        SignatureAlgorithm::Ed25519 => Ok("EdDSA"),
        other => Err(format!("no JWS with {other:?}")),
    }
}

/// A signature as JOSE writes it: ECDSA as r‖s (RFC 7518 §3.4).
pub fn sign(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, String> {
    let signature = key.sign(message).map_err(|e| e.to_string())?;
    if key.algorithm() != SignatureAlgorithm::EcdsaP256Sha256 {
        return Ok(signature);
    }
    let mut raw = vec![0; 64];
    let mut parts = Reader::new(&signature).sequence().map_err(|e| e.to_string())?;
    for half in raw.chunks_exact_mut(32) {
        let number = parts.unsigned().map_err(|e| e.to_string())?;
        let at = 32usize.checked_sub(number.len()).ok_or("a number of more than 32 octets")?;
        half[at..].copy_from_slice(number);
    }
    Ok(raw)
}

/// Signs `claims`; `typ` and further header members as given, `kid` as the JWK set has it.
pub fn token(key: &SigningKey, typ: &str, extra: Value, claims: &Value) -> Result<String, String> {
    let mut header = json!({ "alg": algorithm(key)?, "typ": typ });
    if let (Value::Object(header), Value::Object(extra)) = (&mut header, extra) {
        header.extend(extra);
    }
    let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = sign(key, input.as_bytes())?;
    Ok(format!("{input}.{}", B64.encode(signature)))
}

/// The public half as a JWK for signatures.
pub fn public_jwk(key: &SigningKey, kid: &str) -> Result<Value, String> {
    let mut jwk = bare_jwk(key)?;
    jwk["kid"] = json!(kid);
    jwk["alg"] = json!(algorithm(key)?);
    jwk["use"] = json!("sig");
    Ok(jwk)
}

/// The members that make the key, and nothing else.
pub fn bare_jwk(key: &SigningKey) -> Result<Value, String> {
    let text = |octets: &[u8]| B64.encode(octets);
    match key.public_key() {
        PublicKey::P256(p) if p.len() == 65 => {
            Ok(json!({ "crv": "P-256", "kty": "EC", "x": text(&p[1..33]), "y": text(&p[33..]) }))
        }
        PublicKey::Ed25519(k) => Ok(json!({ "crv": "Ed25519", "kty": "OKP", "x": text(&k) })),
        PublicKey::Rsa(der) => {
            let mut parts = Reader::new(&der).sequence().map_err(|e| e.to_string())?;
            let n = parts.unsigned().map_err(|e| e.to_string())?;
            let e = parts.unsigned().map_err(|e| e.to_string())?;
            Ok(json!({ "e": text(e), "kty": "RSA", "n": text(n) }))
        }
        _ => Err("no JWK for this kind of key".into()),
    }
}

/// RFC 7638 thumbprint of an EC key: SHA-256 over its members in order of their names, as base64url.
pub fn thumbprint(jwk: &Value) -> Option<String> {
    let (crv, kty, x, y) = (jwk["crv"].as_str()?, jwk["kty"].as_str()?, jwk["x"].as_str()?, jwk["y"].as_str()?);
    let canonical = json!({ "crv": crv, "kty": kty, "x": x, "y": y });
    let octets = crate::terms::json::canonical(&canonical).ok()?;
    Some(B64.encode(Digest::of(&octets).0))
}

/// The P-256 key of a JWK.
pub fn ec_key(jwk: &Value) -> Option<PublicKey> {
    let half = |name: &str| B64.decode(jwk[name].as_str()?).ok().filter(|o| o.len() == 32);
    if jwk["kty"] != "EC" || jwk["crv"] != "P-256" || !jwk["d"].is_null() {
        return None;
    }
    Some(PublicKey::P256([vec![4], half("x")?, half("y")?].concat()))
}

/// Header and claims of a compact JWS, read but not verified.
pub fn read(token: &str) -> Option<(Value, Value)> {
    if token.len() > MAX {
        return None;
    }
    let mut parts = token.split('.');
    let (header, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let open = |part: &str| serde_json::from_slice::<Value>(&B64.decode(part).ok()?).ok().filter(Value::is_object);
    Some((open(header)?, open(claims)?))
}

/// Whether an ES256 signature verifies under `key`.
pub fn verifies(token: &str, key: &PublicKey) -> bool {
    let Some((input, signature)) = token.rsplit_once('.') else { return false };
    let Some(raw) = B64.decode(signature).ok().filter(|s| s.len() == 64) else { return false };
    let der = write::sequence(&[write::unsigned(&raw[..32]), write::unsigned(&raw[32..])]);
    key.verify(SignatureAlgorithm::EcdsaP256Sha256, input.as_bytes(), &der).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap()).unwrap();
        // r and s lose a leading zero once in 128 signatures; enough are made to meet that.
        for n in 0..600 {
            let jws = token(&key, "test", json!({ "kid": "k" }), &json!({ "n": n })).unwrap();
            let public = ec_key(&bare_jwk(&key).unwrap()).unwrap();
            assert!(verifies(&jws, &public));
            assert!(!verifies(&jws.replacen("eyJ", "eyK", 1), &public));
            let (header, claims) = read(&jws).unwrap();
            assert_eq!((header["kid"].as_str(), claims["n"].as_i64()), (Some("k"), Some(n)));
        }
        for text in ["", "..", "a.b", "e30.e30", "e30.e30.e30.e30", "W10.e30.AA"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_the_members_in_order() {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "no part of it",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA" });
        // RFC 9449 §6.1
        assert_eq!(thumbprint(&jwk).as_deref(), Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"));
    }
}
