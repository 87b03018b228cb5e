//! Is this access token good, here, now, in these hands? RFC 9068, RFC 8725, RFC 9449 §4.3 and §7, RFC 8705 §3.
//!
//! ```text
//!  credential ─▶ parse ─▶ issuer in the book ─▶ its key ─▶ signature ─▶ claims ─▶ holder (DPoP · certificate) ─▶ Checked
//! ```
//! Nothing is fetched and nothing is remembered here: the key set comes in, the proof's `jti` goes out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::book::{BindingRule, Issuer, IssuerBook, Kind, Profile};
use super::dpop::{self, Replay};
use super::error::IdentityError;
use super::jose::{self, Embedded, Object, Unverified, cleaned, plain, seconds, text};
use crate::terms::{Digest, RegionCode, ResidentId, UnixMillis};

/// What came with the request, besides the token.
#[derive(Clone, Debug, Default)]
pub struct Presented<'a> {
    /// The scheme word before the token, as it came.
    pub scheme: &'a str,
    pub method: &'a str,
    /// Scheme, authority and path of the request, without query and fragment.
    pub url: &'a str,
    /// All `DPoP` header lines.
    pub proofs: Vec<&'a str>,
    /// SHA-256 of the client certificate.
    pub certificate: Option<Digest>,
}

/// Somebody whose token holds. Only [`check`] makes one.
#[derive(Clone)]
pub struct Caller {
    kind: Kind,
    issuer: String,
    subject: String,
    name: Option<String>,
    resident: Option<ResidentId>,
    level: u8,
    proven_at: UnixMillis,
    org: Option<String>,
    divisions: Vec<RegionCode>,
    roles: BTreeSet<String>,
    scopes: BTreeSet<String>,
    token: Digest,
    jti: Option<String>,
    expires: UnixMillis,
    bound: bool,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Caller({} of {}, level {})", self.kind.word(), self.issuer, self.level)
    }
}

impl Caller {
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// `sub`, unique only together with the issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    pub fn resident(&self) -> Option<&ResidentId> {
        self.resident.as_ref()
    }
    /// Real-name level 0–4 of this session.
    pub fn level(&self) -> u8 {
        self.level
    }
    /// When the level was proven.
    pub fn proven_at(&self) -> UnixMillis {
        self.proven_at
    }
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }
    pub fn divisions(&self) -> &[RegionCode] {
        &self.divisions
    }
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }
    pub fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }
    /// Digest of the token: names the session in the log.
    pub fn token(&self) -> Digest {
        self.token
    }
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }
    /// Bound to a key or certificate of its holder.
    pub fn is_bound(&self) -> bool {
        self.bound
    }
}

/// A caller, and what must be remembered of the proof before it is believed.
#[derive(Debug)]
pub struct Checked {
    pub caller: Caller,
    /// Remember it until it expires; seen before means a replay.
    pub replay: Option<Replay>,
}

/// The credential of an `Authorization` header: scheme and token.
///
/// # Errors
/// `token_missing`, or `two_credentials` for more than one header.
pub fn credential<'a>(headers: &[&'a str]) -> Result<(&'a str, &'a str), IdentityError> {
    match headers {
        [] => Err(IdentityError::TokenMissing),
        [one] => {
            let (scheme, token) = one.split_once(' ').ok_or(IdentityError::TokenMalformed("no scheme"))?;
            let known = ["bearer", "dpop"].contains(&scheme.to_ascii_lowercase().as_str());
            match (known, token.trim()) {
                (true, token) if !token.contains([' ', ',']) => Ok((scheme, token)),
                (true, _) => Err(IdentityError::TwoCredentials),
                (false, _) => Err(IdentityError::TokenMissing),
            }
        }
        _ => Err(IdentityError::TwoCredentials),
    }
}

/// Checks a token. `now` in Unix milliseconds; leeway and longest life are the issuer's in the book.
///
/// # Errors
/// One [`IdentityError`] a cause; [`IdentityError::UnknownKey`] says that a newer key set may help.
pub fn check(
    token: &str,
    presented: &Presented<'_>,
    book: &IssuerBook,
    now: UnixMillis,
) -> Result<Checked, IdentityError> {
    let unverified = Unverified::parse(token, Embedded::Refused)?;
    let claims = unverified.claims_unverified()?;
    let name = text(&claims, "iss")?.ok_or(IdentityError::TokenIssuer("missing"))?;
    let issuer = book.get(name).ok_or(IdentityError::TokenIssuer("not in the book"))?.clone();
    if !issuer.entry.algorithms.contains(&unverified.header.alg) {
        return Err(IdentityError::TokenAlg("not one of this issuer's"));
    }
    is_access_token(&issuer, unverified.header.typ.as_deref(), &claims)?;
    let keys = issuer.keys.as_ref().ok_or_else(|| IdentityError::KeysUnavailable { issuer: name.to_owned() })?;
    let kid = unverified.header.kid.clone();
    let key = keys
        .find(kid.as_deref(), unverified.header.alg)
        .ok_or_else(|| IdentityError::UnknownKey { issuer: name.to_owned(), kid })?;
    // From here on the claims are the issuer's word.
    let claims = unverified.verify(key)?.claims()?;
    times(&issuer, &claims, now)?;
    audience(&issuer, &claims)?;
    let (bound, replay) = holder(&issuer, &claims, token, presented, now)?;
    let caller = caller(&issuer, &claims, token, bound, now)?;
    Ok(Checked { caller, replay })
}

/// RFC 9068 §4: the type must say so; an ID token, proof or receipt signed by the same key is none.
fn is_access_token(issuer: &Issuer, typ: Option<&str>, claims: &Object) -> Result<(), IdentityError> {
    match (issuer.entry.profile, typ) {
        (Profile::AtJwt, Some("at+jwt")) => Ok(()),
        (Profile::AtJwt, _) => Err(IdentityError::TokenType("not at+jwt")),
        (Profile::Oidc, None | Some("jwt" | "at+jwt")) => {
            let id_token = ["nonce", "at_hash", "c_hash", "s_hash", "events"].iter().any(|c| claims.contains_key(*c));
            let marked = claims.contains_key("scope") || claims.get("token_use") == Some(&Value::from("access"));
            if id_token || !marked { Err(IdentityError::TokenType("not an access token")) } else { Ok(()) }
        }
        (Profile::Oidc, Some(_)) => Err(IdentityError::TokenType("another kind of token")),
    }
}

fn times(issuer: &Issuer, claims: &Object, now: UnixMillis) -> Result<(), IdentityError> {
    let (at, leeway) = (now.seconds(), issuer.entry.leeway_s);
    let exp = seconds(claims, "exp")?.ok_or(IdentityError::TokenMalformed("no exp"))?;
    let iat = seconds(claims, "iat")?.ok_or(IdentityError::TokenMalformed("no iat"))?;
    let nbf = seconds(claims, "nbf")?;
    if at > exp + leeway {
        return Err(IdentityError::TokenExpired);
    }
    if iat > at + leeway || nbf.is_some_and(|nbf| nbf > at + leeway) {
        return Err(IdentityError::TokenNotYet);
    }
    if exp - iat > issuer.entry.max_lifetime_s {
        return Err(IdentityError::TokenLifetime { limit_s: issuer.entry.max_lifetime_s });
    }
    Ok(())
}

fn audience(issuer: &Issuer, claims: &Object) -> Result<(), IdentityError> {
    let ours = |name: &str| issuer.entry.audiences.iter().any(|own| own == name);
    match claims.get("aud") {
        Some(Value::String(one)) if ours(one) => Ok(()),
        Some(Value::Array(all))
            if all.iter().all(Value::is_string) && all.iter().any(|a| a.as_str().is_some_and(ours)) =>
        {
            Ok(())
        }
        None => Err(IdentityError::TokenAudience("missing")),
        Some(_) => Err(IdentityError::TokenAudience("somebody else")),
    }
}

/// In whose hands? `cnf` may name a key (DPoP) or a certificate; anything else in it is not understood.
fn holder(
    issuer: &Issuer,
    claims: &Object,
    token: &str,
    presented: &Presented<'_>,
    now: UnixMillis,
) -> Result<(bool, Option<Replay>), IdentityError> {
    let wrong = |why| Err(IdentityError::TokenBinding(why));
    let dpop_scheme = presented.scheme.eq_ignore_ascii_case("dpop");
    let cnf = match claims.get("cnf") {
        None => None,
        Some(Value::Object(cnf)) => Some(cnf),
        Some(_) => return wrong("cnf is not an object"),
    };
    if cnf.is_some_and(|cnf| cnf.keys().any(|k| !matches!(k.as_str(), "jkt" | "x5t#S256"))) {
        return wrong("cnf has a member that is not understood");
    }
    let named = |member: &str| cnf.and_then(|cnf| cnf.get(member)).map(|v| v.as_str().unwrap_or_default());
    let (jkt, x5t) = (named("jkt"), named("x5t#S256"));
    match issuer.entry.binding {
        BindingRule::Required if jkt.is_none() && x5t.is_none() => return wrong("a bound token is needed"),
        BindingRule::Dpop if jkt.is_none() => return wrong("a token bound to a key is needed"),
        BindingRule::Certificate if x5t.is_none() => return wrong("a token bound to a certificate is needed"),
        _ => {}
    }
    if let Some(x5t) = x5t {
        let shown = presented.certificate.map(|c| jose::encode(&c.0));
        if shown.as_deref() != Some(x5t) {
            return wrong("bound to another certificate");
        }
    }
    let replay = match jkt {
        Some(jkt) if dpop_scheme => Some(dpop::check(jkt, token, presented, issuer.entry.leeway_s, now)?),
        Some(_) => return wrong("bound to a key, but sent as bearer"),
        None if dpop_scheme => return wrong("sent with the DPoP scheme, but not bound to a key"),
        None => None,
    };
    Ok((jkt.is_some() || x5t.is_some(), replay))
}

fn caller(
    issuer: &Issuer,
    claims: &Object,
    token: &str,
    bound: bool,
    now: UnixMillis,
) -> Result<Caller, IdentityError> {
    use IdentityError::{TokenIssuer, TokenMalformed};
    let entry = &issuer.entry;
    let subject = text(claims, "sub")?.filter(|s| !s.is_empty()).ok_or(TokenMalformed("no sub"))?;
    if !plain(subject) {
        return Err(TokenMalformed("sub has characters that may not stand in a line"));
    }
    let kind = match text(claims, &entry.claims.kind)? {
        Some(word) => serde_json::from_value(Value::from(word)).map_err(|_| TokenMalformed("an unknown kind"))?,
        None if entry.populations.len() == 1 => entry.populations[0],
        None => return Err(TokenMalformed("no kind")),
    };
    if !entry.populations.contains(&kind) {
        return Err(TokenIssuer("may not speak for this kind of people"));
    }
    let divisions = divisions(claims.get(&entry.claims.division))?;
    if divisions.iter().any(|place| !entry.reach.covers(*place)) {
        return Err(TokenIssuer("may not speak for this place"));
    }
    let acr = text(claims, "acr")?.unwrap_or_default();
    let level = entry.acr_levels.get(acr).copied().unwrap_or(0).min(4);
    let proven_at = match seconds(claims, "auth_time")? {
        Some(at) => UnixMillis::from_seconds(at.min(now.seconds())),
        None => UnixMillis(0), // never proven: too old for everything
    };
    let resident = match text(claims, &entry.claims.resident)? {
        None => None,
        Some(number) => Some(ResidentId::parse_on(number, now.day()).map_err(|_| TokenMalformed("resident number"))?),
    };
    let words = |name: &str| -> Result<BTreeSet<String>, IdentityError> {
        match claims.get(name) {
            None => Ok(BTreeSet::new()),
            Some(Value::String(all)) => Ok(all.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect()),
            Some(Value::Array(all)) => {
                all.iter().map(|w| w.as_str().map(str::to_owned).ok_or(TokenMalformed("a list of words"))).collect()
            }
            Some(_) => Err(TokenMalformed("a list of words")),
        }
    };
    let scopes = match claims.get("scope") {
        Some(Value::Array(_)) => return Err(TokenMalformed("scope is not a text")), // RFC 9068 §2.2.3
        _ => words("scope")?,
    };
    Ok(Caller {
        kind,
        issuer: entry.issuer.clone(),
        subject: subject.to_owned(),
        name: text(claims, &entry.claims.name)?.map(cleaned),
        resident,
        level,
        proven_at,
        org: text(claims, &entry.claims.org)?.filter(|o| plain(o)).map(str::to_owned),
        divisions,
        roles: words(&entry.claims.roles)?,
        scopes,
        token: Digest::of(token.as_bytes()),
        jti: text(claims, "jti")?.map(str::to_owned),
        expires: UnixMillis::from_seconds(seconds(claims, "exp")?.unwrap_or_default()),
        bound,
    })
}

fn divisions(claim: Option<&Value>) -> Result<Vec<RegionCode>, IdentityError> {
    let parse = |v: &Value| v.as_str().and_then(|t| t.parse().ok()).ok_or(IdentityError::TokenMalformed("a division"));
    match claim {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(parse).collect(),
        Some(one) => Ok(vec![parse(one)?]),
    }
}
