//! What an identity provider does: keys made, loaded and shown; tokens and proofs signed. For the demonstration's
//! provider, for tests, and for the gateway's own short-lived words (assertion, hand-off, exchange).

use std::fmt;

use jsonwebtoken::Algorithm;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature as sig;
use serde_json::{Value, json};
use signature::Signer;
use zeroize::Zeroizing;

use crate::terms::{Digest, UnixMillis};

use super::IdentityError;
use super::jose::{self, Object};
use super::ring_provider::RingSigner;

/// A private key and the name others know it by. Shows itself only by that name.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pkcs8: Zeroizing<Vec<u8>>,
    signer: RingSigner,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {:?})", self.kid, self.algorithm)
    }
}

impl SigningKey {
    /// Makes a key: ES256, ES384, EdDSA by ring; RS256 and its kin with 2048 bits (seconds without optimisation).
    pub fn generate(algorithm: Algorithm) -> Result<Self, IdentityError> {
        let random = SystemRandom::new();
        let failed = |_| IdentityError::CannotSign("no key was made");
        let ec = |curve| sig::EcdsaKeyPair::generate_pkcs8(curve, &random).map(|d| d.as_ref().to_vec()).map_err(failed);
        let pkcs8 = match algorithm {
            Algorithm::ES256 => ec(&sig::ECDSA_P256_SHA256_FIXED_SIGNING)?,
            Algorithm::ES384 => ec(&sig::ECDSA_P384_SHA384_FIXED_SIGNING)?,
            Algorithm::EdDSA => sig::Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?.as_ref().to_vec(),
            _ => rsa_pkcs8()?,
        };
        Self::from_pkcs8(algorithm, &pkcs8)
    }

    /// Loads a PKCS#8 key in DER. The key is named by its thumbprint (RFC 7638).
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, IdentityError> {
        let signer = RingSigner::from_der(algorithm, der).map_err(|_| IdentityError::CannotSign("not such a key"))?;
        let mut key = Self { kid: String::new(), algorithm, pkcs8: Zeroizing::new(der.to_vec()), signer };
        key.kid = jose::encode(&Digest::of(key.thumbprint_input()?.as_bytes()).0);
        Ok(key)
    }

    /// The same key under a name of its owner's choosing.
    #[must_use]
    pub fn named(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        self
    }

    /// PKCS#8 in DER, for a file only its owner can read.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// base64url of the SHA-256 thumbprint: the `jkt` of tokens bound to this key.
    pub fn jkt(&self) -> Result<String, IdentityError> {
        Ok(jose::encode(&Digest::of(self.thumbprint_input()?.as_bytes()).0))
    }

    /// The public half as a JWK without name: what stands in a DPoP proof.
    pub fn public_jwk(&self) -> Result<Object, IdentityError> {
        let odd = IdentityError::CannotSign("a public key of an odd shape");
        let members = match (&self.signer, self.signer.public()) {
            (RingSigner::Ec(Algorithm::ES256, _), [4, xy @ ..]) if xy.len() == 64 => {
                json!({"kty": "EC", "crv": "P-256", "x": jose::encode(&xy[..32]), "y": jose::encode(&xy[32..])})
            }
            (RingSigner::Ec(_, _), [4, xy @ ..]) if xy.len() == 96 => {
                json!({"kty": "EC", "crv": "P-384", "x": jose::encode(&xy[..48]), "y": jose::encode(&xy[48..])})
            }
            (RingSigner::Ed(_), x) => json!({"kty": "OKP", "crv": "Ed25519", "x": jose::encode(x)}),
            (RingSigner::Rsa(..), _) => {
                let (n, e) = self.signer.rsa_components().ok_or(odd.clone())?;
                json!({"kty": "RSA", "n": jose::encode(&n), "e": jose::encode(&e)})
            }
            _ => return Err(odd),
        };
        match members {
            Value::Object(jwk) => Ok(jwk),
            _ => Err(odd),
        }
    }

    /// The public half as it stands in a key set.
    pub fn jwk(&self) -> Result<Object, IdentityError> {
        let mut jwk = self.public_jwk()?;
        jwk.insert("kid".into(), self.kid.clone().into());
        jwk.insert("use".into(), "sig".into());
        jwk.insert("alg".into(), format!("{:?}", self.algorithm).into());
        Ok(jwk)
    }

    /// The required members of RFC 7638 §3.2, in order.
    fn thumbprint_input(&self) -> Result<String, IdentityError> {
        let mut jwk = Value::Object(self.public_jwk()?);
        jwk.sort_all_objects();
        Ok(jwk.to_string())
    }

    /// Signs claims as a compact JWS of type `typ` under this key's name.
    pub fn sign(&self, typ: &str, claims: &Object) -> Result<String, IdentityError> {
        let header = json!({"alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": typ});
        self.sign_with(&header, &Value::Object(claims.clone()))
    }

    /// Signs any header and payload, right or wrong: tests make their attacks with it.
    pub fn sign_with(&self, header: &Value, payload: &Value) -> Result<String, IdentityError> {
        self.sign_text(&header.to_string(), &payload.to_string())
    }

    /// As [`SigningKey::sign_with`], octet by octet.
    pub fn sign_text(&self, header: &str, payload: &str) -> Result<String, IdentityError> {
        let input = format!("{}.{}", jose::encode(header.as_bytes()), jose::encode(payload.as_bytes()));
        let signature = self.signer.try_sign(input.as_bytes()).map_err(|_| IdentityError::CannotSign("refused"))?;
        Ok(format!("{input}.{}", jose::encode(&signature)))
    }

    /// An access token (RFC 9068) with these claims.
    pub fn access_token(&self, claims: &Object) -> Result<String, IdentityError> {
        self.sign("at+jwt", claims)
    }

    /// A proof for one request (RFC 9449 §4.2); `token` is the access token it goes with.
    pub fn dpop_proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        nonce: Option<&str>,
        now: UnixMillis,
    ) -> Result<String, IdentityError> {
        let header = json!({"alg": format!("{:?}", self.algorithm), "typ": "dpop+jwt", "jwk": self.public_jwk()?});
        let mut claims = json!({"htm": method, "htu": url, "iat": now.seconds(), "jti": random_id()?});
        if let Some(token) = token {
            claims["ath"] = jose::encode(&Digest::of(token.as_bytes()).0).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.sign_with(&header, &claims)
    }
}

/// The key set document of these keys.
pub fn jwks(keys: &[&SigningKey]) -> Result<Value, IdentityError> {
    let keys = keys.iter().map(|key| key.jwk().map(Value::Object)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "keys": keys }))
}

/// 128 random bits as text: a `jti`.
pub fn random_id() -> Result<String, IdentityError> {
    let mut octets = [0; 16];
    SystemRandom::new().fill(&mut octets).map_err(|_| IdentityError::CannotSign("no randomness"))?;
    Ok(jose::encode(&octets))
}

fn rsa_pkcs8() -> Result<Vec<u8>, IdentityError> {
    use rsa::Generate;
    use rsa::pkcs8::EncodePrivateKey;
    let failed = IdentityError::CannotSign("no RSA key was made");
    let key = rsa::PrivateKey::try_generate().map_err(|_| failed.clone())?;
    Ok(key.to_pkcs8_der().map_err(|_| failed)?.as_bytes().to_vec())
}
