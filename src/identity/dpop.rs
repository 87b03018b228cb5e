//! DPoP proofs (RFC 9449 §4.3): this request, this token, this key, now, and not before.

use super::access::Presented;
use super::error::IdentityError;
use super::jose::{self, Embedded, Unverified, seconds, text};
use super::keys::PublicKey;
use crate::terms::{Digest, UnixMillis};

/// A proof that was used: remember `key` until `expires`, or a replay can outlive our memory of the first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    pub key: Digest,
    pub expires: UnixMillis,
}

/// A proof may be this old, in seconds, besides the issuer's leeway.
const AGE_S: i64 = 60;

/// Algorithms of proofs.
const ALGORITHMS: [jsonwebtoken::Algorithm; 3] =
    [jsonwebtoken::Algorithm::ES256, jsonwebtoken::Algorithm::ES384, jsonwebtoken::Algorithm::EdDSA];

/// Checks the one proof of a request for `token`, bound to the key with thumbprint `jkt`.
///
/// # Errors
/// `dpop_invalid` with the member that is wrong; `token_binding` for a proof of another key or none.
pub fn check(
    jkt: &str,
    token: &str,
    presented: &Presented<'_>,
    leeway_s: i64,
    now: UnixMillis,
) -> Result<Replay, IdentityError> {
    use IdentityError::{DpopInvalid, TokenBinding};
    let proof = match presented.proofs[..] {
        [] => return Err(TokenBinding("no proof")),
        [one] => one,
        _ => return Err(DpopInvalid("more than one proof")),
    };
    let unverified = Unverified::parse(proof, Embedded::Jwk).map_err(|_| DpopInvalid("not a JWS with a public key"))?;
    if unverified.header.typ.as_deref() != Some("dpop+jwt") {
        return Err(DpopInvalid("typ"));
    }
    let jwk = unverified.header.jwk.as_ref().ok_or(DpopInvalid("no key in it"))?;
    let private = ["d", "p", "q", "dp", "dq", "qi", "k", "oth"].iter().any(|m| jwk.contains_key(*m));
    if private {
        return Err(DpopInvalid("a private key in it"));
    }
    let key = PublicKey::from_jwk(jwk, &ALGORITHMS).map_err(|_| DpopInvalid("the key in it"))?;
    let thumbprint = jose::encode(&key.thumbprint().0);
    let claims = unverified.verify(&key).map_err(|_| DpopInvalid("signature"))?;
    let claims = claims.claims().map_err(|_| DpopInvalid("claims"))?;
    let member = |name: &str| text(&claims, name).ok().flatten();
    if member("htm") != Some(presented.method) {
        return Err(DpopInvalid("htm"));
    }
    let same_url = member("htu").is_some_and(|htu| normal(htu) == normal(presented.url));
    if !same_url {
        return Err(DpopInvalid("htu"));
    }
    let iat = seconds(&claims, "iat").ok().flatten().ok_or(DpopInvalid("iat"))?;
    if iat > now.seconds() + leeway_s || iat < now.seconds() - AGE_S - leeway_s {
        return Err(DpopInvalid("iat"));
    }
    let jti = member("jti").filter(|jti| !jti.is_empty() && jti.len() <= 256).ok_or(DpopInvalid("jti"))?;
    let ath = jose::encode(&Digest::of(token.as_bytes()).0);
    if member("ath") != Some(ath.as_str()) {
        return Err(DpopInvalid("ath"));
    }
    if thumbprint != jkt {
        return Err(TokenBinding("a proof of another key"));
    }
    let remembered = Digest::of(format!("{jkt}\n{jti}").as_bytes());
    Ok(Replay { key: remembered, expires: UnixMillis::from_seconds(iat + AGE_S + 2 * leeway_s) })
}

/// RFC 9449 §4.3 (9): without query and fragment, scheme and host in lower case, default port left out.
fn normal(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let port = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}{path}", host.strip_suffix(port).unwrap_or(&host))
}
