//! Public keys of issuers: a JWKS document read with suspicion (RFC 7517, RFC 8725 §3).
//!
//! ```text
//!  JWKS ──each key──▶ public? signing? strong? on its curve? its kid alone? ──▶ PublicKey (one algorithm)
//!                                     └─no─▶ Dropped { kid, why }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::{agreement, rand::SystemRandom};
use serde_json::Value;

use crate::terms::Digest;

use super::IdentityError;
use super::jose::{self, Object};
use super::{ring_provider, strict};

/// Largest key set read, in octets.
pub const MAX_JWKS: usize = 256 * 1024;
/// Most keys of one issuer; rotation needs two or three.
pub const MAX_KEYS: usize = 64;

/// A public key that serves exactly one algorithm.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: DecodingKey,
    thumbprint: Digest,
}

impl PublicKey {
    /// Reads a JWK for one of `allowed`.
    ///
    /// # Errors
    /// A plain reason: private or symmetric, wrong use, weak, off its curve, algorithm not allowed.
    pub fn from_jwk(jwk: &Object, allowed: &[Algorithm]) -> Result<Self, &'static str> {
        let key = Self::from_jwk_for_one_use(jwk, allowed)?;
        match key.key.kind() {
            DecodingKeyKind::SecretOrDer(point) if !on_curve(key.algorithm, point) => Err("point off the curve"),
            _ => Ok(key),
        }
    }

    /// As [`PublicKey::from_jwk`], but leaves it to the one verification to find a point off its curve.
    pub(super) fn from_jwk_for_one_use(jwk: &Object, allowed: &[Algorithm]) -> Result<Self, &'static str> {
        // A private half in a public document means the key is burnt, and a shared secret was never one.
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
            return Err("private or symmetric key");
        }
        match jwk.get("use") {
            None => {}
            Some(Value::String(word)) if word == "sig" => {}
            Some(_) => return Err("not a signing key"),
        }
        match jwk.get("key_ops") {
            None => {}
            Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => {}
            Some(_) => return Err("not a signing key"),
        }
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or("a member is missing");
        let bytes = |name: &str| jose::decode(member(name)?).ok_or("a member is not canonical base64url");
        let named = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(jose::algorithm(name).ok_or("algorithm not accepted")?),
            Some(_) => return Err("algorithm not accepted"),
        };
        let (natural, key, print) = match (member("kty")?, jwk.get("crv").and_then(Value::as_str)) {
            ("EC", Some(crv @ ("P-256" | "P-384"))) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let (size, algorithm) = if crv == "P-256" { (32, Algorithm::ES256) } else { (48, Algorithm::ES384) };
                if x.len() != size || y.len() != size {
                    return Err("coordinate of the wrong length");
                }
                let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
                let print = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, member("x")?, member("y")?);
                (algorithm, DecodingKey::from_ec_der(&point), print)
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes("x")?;
                if x.len() != 32 || small_order(&x) {
                    return Err("not an Ed25519 key, or of small order");
                }
                let print = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, member("x")?);
                (Algorithm::EdDSA, DecodingKey::from_ed_der(&x), print)
            }
            ("RSA", _) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                weak_rsa(&n, &e)?;
                let rsa = |a: &&Algorithm| a.family() == jsonwebtoken::AlgorithmFamily::Rsa;
                // Without `alg` an RSA key serves RS256 where the issuer may use it, else its first RSA algorithm.
                let natural = match named {
                    Some(named) => named,
                    None if allowed.contains(&Algorithm::RS256) => Algorithm::RS256,
                    None => *allowed.iter().find(rsa).ok_or("algorithm not accepted")?,
                };
                let print = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, member("e")?, member("n")?);
                (natural, DecodingKey::from_rsa_raw_components(&n, &e), print)
            }
            _ => return Err("kind of key not accepted"),
        };
        let algorithm = named.unwrap_or(natural);
        let fits = algorithm == natural && algorithm.family() == key.family();
        if !fits || !allowed.contains(&algorithm) {
            return Err("algorithm not accepted");
        }
        Ok(Self { algorithm, key, thumbprint: Digest::of(print.as_bytes()) })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// SHA-256 thumbprint (RFC 7638); base64url of it is a DPoP `jkt`.
    pub fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ring_provider::verify(self.algorithm, &self.key, message, signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?} {})", self.algorithm, self.thumbprint)
    }
}

/// A key that was in the document and is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Cleaned and cut for the log.
    pub kid: Option<String>,
    pub why: &'static str,
}

/// A snapshot of one issuer's usable keys.
#[derive(Clone, Debug, Default)]
pub struct IssuerKeys {
    by_kid: BTreeMap<String, PublicKey>,
    unnamed: Vec<PublicKey>,
}

impl IssuerKeys {
    /// Reads a JWKS document; unusable keys are left out with their reasons, for the log.
    ///
    /// # Errors
    /// When the document as a whole is no key set, is too large, or names too many keys.
    pub fn from_jwks(document: &[u8], allowed: &[Algorithm]) -> Result<(Self, Vec<Dropped>), IdentityError> {
        let bad = IdentityError::TokenKey("not a key set");
        if document.len() > MAX_JWKS {
            return Err(bad);
        }
        let set = strict::object(document).map_err(|_| bad.clone())?;
        let Some(Value::Array(entries)) = set.get("keys") else { return Err(bad) };
        if entries.len() > MAX_KEYS {
            return Err(bad);
        }
        let (mut keys, mut dropped) = (Self::default(), Vec::new());
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for kid in entries.iter().filter_map(|entry| entry.get("kid")?.as_str()) {
            *seen.entry(kid).or_default() += 1;
        }
        for entry in entries {
            let kid = match entry.get("kid") {
                None => None,
                Some(Value::String(kid)) => Some(kid.as_str()),
                Some(_) => Some(""),
            };
            let mut drop = |why| dropped.push(Dropped { kid: kid.map(jose::cleaned), why });
            let Value::Object(jwk) = entry else {
                drop("not an object");
                continue;
            };
            if kid.is_some_and(|kid| kid.is_empty() || kid.len() > jose::MAX_KID) {
                drop("kid is not a short string");
                continue;
            }
            // Which of the two was meant cannot be known: neither is used.
            if kid.is_some_and(|kid| seen.get(kid).is_some_and(|n| *n > 1)) {
                drop("kid twice");
                continue;
            }
            match PublicKey::from_jwk(jwk, allowed) {
                Err(why) => drop(why),
                Ok(key) => match kid {
                    Some(kid) => keys.keep(kid, &key), // `kid twice` was sorted out above
                    None => keys.unnamed.push(key),
                },
            }
        }
        Ok((keys, dropped))
    }

    /// The key a token names. A token without `kid` is served only where one key alone has its algorithm.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        match kid {
            Some(kid) => self.by_kid.get(kid),
            None => {
                let mut fitting = self.by_kid.values().chain(&self.unnamed).filter(|key| key.algorithm() == algorithm);
                fitting.next().filter(|_| fitting.next().is_none())
            }
        }
    }

    /// As [`IssuerKeys::find`]; a key also goes by its thumbprint (RFC 7638), whatever its set calls it.
    pub fn find_named(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let by_print = |kid: &str| {
            let mut all = self.by_kid.values().chain(&self.unnamed);
            all.find(|key| jose::encode(&key.thumbprint().0) == kid)
        };
        self.find(kid, algorithm).or_else(|| kid.and_then(by_print))
    }

    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.by_kid.keys().map(String::as_str)
    }

    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.by_kid.iter().map(|(kid, key)| (kid.as_str(), key))
    }

    /// Adds a key under a name not taken, as rotation overlaps.
    pub(super) fn keep(&mut self, kid: &str, key: &PublicKey) {
        self.by_kid.entry(kid.to_owned()).or_insert_with(|| key.clone());
    }

    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty() && self.unnamed.is_empty()
    }
}

/// ring checks a point where it agrees on a secret; the secret is thrown away.
fn on_curve(algorithm: Algorithm, point: &[u8]) -> bool {
    let curve = match algorithm {
        Algorithm::ES256 => &agreement::ECDH_P256,
        Algorithm::ES384 => &agreement::ECDH_P384,
        _ => return true, // Ed25519: ring decodes the point when it verifies
    };
    let Ok(ephemeral) = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new()) else { return false };
    agreement::agree_ephemeral(ephemeral, &agreement::UnparsedPublicKey::new(curve, point), |_| ()).is_ok()
}

/// Encodings of points of small order: under such a key one signature fits many messages.
fn small_order(x: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [first, middle @ .., last] = x else { return true };
    let last = last & 0x7f; // the sign of x
    let all = |byte: u8| middle.iter().all(|b| *b == byte);
    let zero_or_one = *first <= 1 && all(0) && last == 0;
    let about_p = (0xec..=0xee).contains(first) && all(0xff) && last == 0x7f;
    zero_or_one || about_p || ORDER_8.iter().any(|point| point[..31] == x[..31] && point[31] == last)
}

/// 2048 to 8192 bits, odd exponent above 2 and below 2^33 (what ring takes), not of the ROCA kind.
fn weak_rsa(n: &[u8], e: &[u8]) -> Result<(), &'static str> {
    let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
    if n.first() == Some(&0) || e.first() == Some(&0) {
        return Err("RSA number with leading zeros");
    }
    if !(2048..=8192).contains(&bits) || n.last().is_none_or(|b| b % 2 == 0) {
        return Err("RSA modulus too small, too large or even");
    }
    let exponent = e.iter().fold(0u64, |value, b| value.saturating_mul(256).saturating_add(u64::from(*b)));
    if exponent < 3 || exponent.is_multiple_of(2) || exponent >= 1 << 33 {
        return Err("RSA exponent out of range");
    }
    if roca(n) {
        return Err("RSA key of the ROCA kind");
    }
    Ok(())
}

/// CVE-2017-15361: primes of that chip library are powers of 65537 modulo many small primes, and so is their product.
/// A sound key passes all 38 tests about once in 2^27.
fn roca(n: &[u8]) -> bool {
    static POWERS: LazyLock<Vec<(u32, Vec<bool>)>> = LazyLock::new(|| {
        const PRIMES: [u32; 38] = [
            3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
            109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
        ];
        PRIMES
            .iter()
            .map(|&p| {
                let mut hit = vec![false; p as usize];
                let mut power = 1;
                while !hit[power as usize] {
                    hit[power as usize] = true;
                    power = power * (65_537 % p) % p;
                }
                (p, hit)
            })
            .collect()
    });
    POWERS.iter().all(|(p, hit)| hit[n.iter().fold(0u32, |rest, b| (rest * 256 + u32::from(*b)) % p) as usize])
}
