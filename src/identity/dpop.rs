//! DPoP proofs (RFC 9449 §4.3): this request, this token, this key, now, and not before.

use jsonwebtoken::Algorithm;

use crate::terms::{Digest, UnixMillis};

use super::IdentityError;
use super::access::Presented;
use super::jose::{self, Embedded, Unverified, seconds, text};
use super::keys::PublicKey;

/// A proof that was used: remember `key` until `expires`, or a replay can outlive our memory of the first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    pub key: Digest,
    pub expires: UnixMillis,
}

/// A proof may be this old, in seconds, besides the issuer's leeway.
pub const AGE_S: i64 = 60;

/// Algorithms of proofs; devices make curve keys. The challenge names the same three.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// A proof at a token endpoint, of a key that no token names yet (RFC 9449 §5): its thumbprint as `cnf.jkt` has it.
///
/// # Errors
/// As [`check`]; `None` where no proof came.
pub fn check_new(
    presented: &Presented<'_>,
    nonces: &[&str],
    leeway_s: i64,
    now: UnixMillis,
) -> Result<Option<(String, Replay)>, IdentityError> {
    let proof = match presented.proofs[..] {
        [] => return Ok(None),
        [one] => one,
        _ => return Err(IdentityError::DpopInvalid("more than one proof")),
    };
    let (_, key) = taken_apart(proof)?;
    let jkt = jose::encode(&key.thumbprint().0);
    check(&jkt, "", presented, nonces, leeway_s, now).map(|replay| Some((jkt, replay)))
}

fn taken_apart(proof: &str) -> Result<(Unverified<'_>, PublicKey), IdentityError> {
    use IdentityError::DpopInvalid;
    let unverified = Unverified::parse(proof, Embedded::Jwk).map_err(|_| DpopInvalid("not a JWS with a public key"))?;
    if unverified.header.typ.as_deref() != Some("dpop+jwt") {
        return Err(DpopInvalid("typ"));
    }
    let jwk = unverified.header.jwk.as_ref().ok_or(DpopInvalid("no key in it"))?;
    let key = PublicKey::from_jwk_for_one_use(jwk, &ALGORITHMS).map_err(|_| DpopInvalid("the key in it"))?;
    Ok((unverified, key))
}

/// Checks the one proof of a request for `token`, bound to the key with thumbprint `jkt`.
///
/// `nonces` lists those a proof may carry; empty asks for none. `leeway_s` in seconds, on both sides.
///
/// # Errors
/// `dpop_invalid` with the member that is wrong; `dpop_nonce`; `token_binding` for a proof of another key or none.
pub fn check(
    jkt: &str,
    token: &str,
    presented: &Presented<'_>,
    nonces: &[&str],
    leeway_s: i64,
    now: UnixMillis,
) -> Result<Replay, IdentityError> {
    use IdentityError::{DpopInvalid, TokenBinding};
    let proof = match presented.proofs[..] {
        [] => return Err(TokenBinding("no proof")),
        [one] => one,
        _ => return Err(DpopInvalid("more than one proof")),
    };
    let (unverified, key) = taken_apart(proof)?;
    // Before the signature: a proof of another key is nobody's business here, and costs nothing.
    if jose::encode(&key.thumbprint().0) != jkt {
        return Err(TokenBinding("a proof of another key"));
    }
    let claims = unverified.verify(&key).map_err(|_| DpopInvalid("signature"))?;
    let claims = claims.claims().map_err(|_| DpopInvalid("claims"))?;
    let member = |name: &str| text(&claims, name).ok().flatten();
    if member("htm") != Some(presented.method) {
        return Err(DpopInvalid("htm"));
    }
    match (member("htu").and_then(normal), normal(presented.url)) {
        (Some(made_for), Some(here)) if made_for == here => {}
        _ => return Err(DpopInvalid("htu")),
    }
    let iat = seconds(&claims, "iat").ok().flatten().ok_or(DpopInvalid("iat"))?;
    if iat > now.seconds() + leeway_s || iat < now.seconds() - AGE_S - leeway_s {
        return Err(DpopInvalid("iat"));
    }
    // Nobody must say them; who does, means them (RFC 7519 §4.1.4, §4.1.5).
    let bound = |name| seconds(&claims, name).map_err(|_| DpopInvalid(name));
    if bound("exp")?.is_some_and(|exp| now.seconds() >= exp.saturating_add(leeway_s)) {
        return Err(DpopInvalid("exp"));
    }
    if bound("nbf")?.is_some_and(|nbf| nbf > now.seconds() + leeway_s) {
        return Err(DpopInvalid("nbf"));
    }
    let jti = member("jti").filter(|jti| !jti.is_empty() && jti.len() <= 256).ok_or(DpopInvalid("jti"))?;
    let ath = jose::encode(&Digest::of(token.as_bytes()).0);
    match claims.contains_key("ath") {
        false if presented.token_endpoint => {}
        _ if member("ath") == Some(ath.as_str()) => {}
        _ => return Err(DpopInvalid("ath")),
    }
    if !nonces.is_empty() && !member("nonce").is_some_and(|nonce| nonces.contains(&nonce)) {
        return Err(IdentityError::DpopNonce);
    }
    let remembered = Digest::of(format!("{jkt}\n{jti}").as_bytes());
    // One second past the last moment at which the same proof would still be young enough.
    Ok(Replay { key: remembered, expires: UnixMillis::from_seconds(iat + AGE_S + leeway_s + 1) })
}

/// RFC 9449 §4.3 (9), RFC 3986 §6.2: no query and fragment, scheme and host in lower case, no default port, `/` for an
/// empty path, percent-escapes in upper case and only where needed, no dot segments. `None` for anything but http(s) or with
/// user data.
fn normal(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    if host.is_empty() || host.contains('@') {
        return None;
    }
    let host = host.to_ascii_lowercase();
    Some(format!("{scheme}://{}{}", host.strip_suffix(port).unwrap_or(&host), without_dots(&escapes(path)?)))
}

/// RFC 3986 §5.2.4, of a path that begins with `/`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
        if segments.peek().is_none() && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn escapes(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut parts = path.split('%');
    out.push_str(parts.next()?);
    for part in parts {
        let code = part.get(..2).filter(|c| c.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(code, 16).ok()?;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out.push_str(&part[2..]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn two_spellings_of_one_target() {
        for (left, right, same) in [
            ("https://GW.example/v1", "https://gw.example:443/v1", true),
            ("https://gw.example", "https://gw.example/", true),
            ("https://gw.example/v1?x=1#f", "https://gw.example/v1", true),
            ("https://gw.example/%7ea%2fb", "https://gw.example/~a%2Fb", true),
            ("https://gw.example/a%2Fb", "https://gw.example/a/b", false), // an escaped slash is no slash
            ("http://gw.example/v1", "https://gw.example/v1", false),
            ("https://gw.example:8443/v1", "https://gw.example/v1", false),
            ("https://gw.example/V1", "https://gw.example/v1", false), // paths have case
            ("https://gw.example/v1/", "https://gw.example/v1", false),
            ("https://gw.example/../v1", "https://gw.example/v1", true),
            ("https://gw.example/a/./b/%2e%2E/v1", "https://gw.example/a/v1", true),
            ("https://gw.example/v1/..", "https://gw.example/", true),
            ("https://gw.example/v1/.", "https://gw.example/v1/", true),
            ("https://gw.example/a/..%2Fv1", "https://gw.example/v1", false), // no segment of dots
            ("https://gw.example//v1", "https://gw.example/v1", false),
            ("http://gw.example:80/v1", "http://gw.example/v1", true),
            ("http://gw.example:443/v1", "http://gw.example/v1", false), // the default port of another scheme
        ] {
            assert_eq!(normal(left) == normal(right), same, "{left} {right}");
        }
        for bad in
            ["gw.example/v1", "https://u@gw.example/v1", "file:///etc", "https://", "https://x/%zz", "https://x/%é"]
        {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }
}
