//! Access tokens of the demonstration's people (RFC 9068), bound to a key where one is proven (RFC 9449).

use serde_json::{Value, json};

use super::directory::{TOKEN_LIFE_S, acr};
use super::jws;
use super::people::Person;
use super::world::{GATEWAYS, World};
use crate::terms::{Digest, UnixMillis};
use crate::trust::suite::{SigningKey, load_key};

/// Name of the key for citizens (ES256) and for staff (RS256) in the JWK set.
pub const CITIZENS: &str = "idp-es256";
pub const STAFF: &str = "idp-rs256";
/// What a demonstration client may do with a token.
const SCOPE: &str = "file read lookup pass";
/// Longest age of a DPoP proof in seconds, and how far its clock may be ahead.
const PROOF_AGE_S: i64 = 60;
const PROOF_AHEAD_S: i64 = 5;

/// What a token is to be like; the default is a fresh bearer token for both gateways.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Both gateways when empty.
    pub audience: Vec<String>,
    /// Thumbprint of the key to which the token is bound.
    pub jkt: Option<String>,
    /// When the token was issued; now when absent. Tokens of the past are how one shows what an expired one meets.
    pub issued: Option<UnixMillis>,
    /// Real-name level, where another one than the person's is to be stated.
    pub level: Option<u8>,
}

/// The keys with which the identity provider signs.
pub struct Keys {
    citizens: SigningKey,
    staff: SigningKey,
}

impl Keys {
    pub fn load(world: &World) -> Result<Self, String> {
        let of = |kid: &str| load_key(&world.federation().join(format!("{kid}.key")));
        Ok(Self { citizens: of(CITIZENS)?, staff: of(STAFF)? })
    }

    /// The JWK set (RFC 7517 §5).
    pub fn jwks(&self) -> Result<Value, String> {
        Ok(json!({ "keys": [jws::public_jwk(&self.citizens, CITIZENS)?, jws::public_jwk(&self.staff, STAFF)?] }))
    }

    /// A token for a person.
    pub fn token(&self, world: &World, person: &Person, options: &Options, now: UnixMillis) -> Result<String, String> {
        let issued = options.issued.unwrap_or(now).seconds();
        let audience: Vec<&str> = match options.audience.as_slice() {
            [] => GATEWAYS.iter().map(|g| g.id).collect(),
            some => some.iter().map(String::as_str).collect(),
        };
        let mut claims = json!({
            "iss": world.issuer(),
            "sub": person.sub(),
            "aud": audience,
            "client_id": "tongban-demo",
            "iat": issued,
            "exp": issued + TOKEN_LIFE_S as i64,
            "jti": random()?,
            "acr": acr(options.level.unwrap_or(person.level)),
            "amr": ["face"],
            "auth_time": issued,
            "name": person.name,
            "kind": person.kind,
            "scope": SCOPE,
        });
        if let Some(id) = person.resident {
            claims["resident_id"] = json!(id);
            // More than most items ask for: what travels is for each item to say. Nobody has this number.
            claims["phone_number"] = json!("+86 100 0000 0000");
            claims["email"] = json!(format!("{}@example.com", person.user));
            claims["address"] = json!({"formatted": "演示路1号"});
        } else {
            claims["staff_no"] = json!(person.user);
            claims["roles"] = json!(person.roles);
            claims["places"] = json!(person.places);
            claims["division"] = json!(person.places);
        }
        if let Some(org) = person.org {
            claims["org"] = json!(org);
        }
        if let Some(jkt) = &options.jkt {
            claims["cnf"] = json!({ "jkt": jkt });
        }
        let (key, kid) = if person.is_citizen() { (&self.citizens, CITIZENS) } else { (&self.staff, STAFF) };
        jws::token(key, "at+jwt", json!({ "kid": kid }), &claims)
    }
}

/// A fresh token for `user` (a user name, a person's name, or a kind such as `citizen`), as `tongban demo token` prints
/// it.
///
/// # Errors
/// A sentence: nobody of that name, or no keys.
pub fn token_for(world: &World, user: &str, options: &Options) -> Result<String, String> {
    let person = Person::find(user).ok_or_else(|| format!("nobody here is called {user}"))?;
    Keys::load(world)?.token(world, person, options, UnixMillis::now())
}

/// A DPoP proof (RFC 9449 §4.2) for one request; `token` is the access token it goes with, none at the token endpoint.
pub fn proof(
    key: &SigningKey,
    method: &str,
    url: &str,
    token: Option<&str>,
    now: UnixMillis,
) -> Result<String, String> {
    let target = url.split(['?', '#']).next().unwrap_or_default();
    let mut claims = json!({ "jti": random()?, "htm": method, "htu": target, "iat": now.seconds() });
    if let Some(token) = token {
        claims["ath"] = json!(b64(&Digest::of(token.as_bytes()).0));
    }
    jws::token(key, "dpop+jwt", json!({ "jwk": jws::bare_jwk(key)? }), &claims)
}

/// Thumbprint of a key, as `cnf.jkt` names it.
pub fn thumbprint(key: &SigningKey) -> Result<String, String> {
    jws::thumbprint(&jws::bare_jwk(key)?).ok_or_else(|| "only P-256 keys are bound".to_owned())
}

/// Checks the proof that came to the token endpoint; gives the thumbprint of its key.
pub(super) fn check_proof(proof: &str, url: &str, now: UnixMillis) -> Result<String, &'static str> {
    let (header, claims) = jws::read(proof).ok_or("the DPoP proof is not a JWS")?;
    if header["typ"] != "dpop+jwt" || header["alg"] != "ES256" {
        return Err("the DPoP proof is of another type or algorithm");
    }
    let key = jws::ec_key(&header["jwk"]).ok_or("the DPoP proof has no P-256 key")?;
    if !jws::verifies(proof, &key) {
        return Err("the DPoP proof's signature does not verify");
    }
    if claims["htm"] != "POST" || claims["htu"] != url {
        return Err("the DPoP proof was made for another request");
    }
    let age = claims["iat"].as_i64().map(|iat| now.seconds().saturating_sub(iat));
    if !age.is_some_and(|age| (-PROOF_AHEAD_S..=PROOF_AGE_S).contains(&age)) {
        return Err("the DPoP proof is not fresh");
    }
    jws::thumbprint(&header["jwk"]).ok_or("the DPoP proof has no P-256 key")
}

/// 128 random bits.
fn random() -> Result<String, String> {
    let mut octets = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets).map_err(|_| "no randomness")?;
    Ok(b64(&octets))
}

fn b64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::suite::SignatureAlgorithm;

    #[test]
    fn a_proof_is_for_one_request_now() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap()).unwrap();
        let (url, now) = ("https://127.0.0.1:1/token", UnixMillis(1_790_000_000_000));
        let made = proof(&key, "POST", url, None, now).unwrap();
        let get = proof(&key, "GET", url, None, now).unwrap();
        for (proof, url, late_s, good) in [
            (made.as_str(), url, 0, true),
            (made.as_str(), url, 60, true),
            (made.as_str(), url, 61, false),
            (made.as_str(), url, -6, false),
            (made.as_str(), "https://127.0.0.1:2/token", 0, false),
            (get.as_str(), url, 0, false),
            ("a.b.c", url, 0, false),
            (&made[..made.len() - 4], url, 0, false),
        ] {
            let got = check_proof(proof, url, now.plus_seconds(late_s));
            assert_eq!(got.is_ok(), good, "{late_s} {url} {got:?}");
        }
        assert_eq!(check_proof(&made, url, now), Ok(thumbprint(&key).unwrap()));
    }
}
