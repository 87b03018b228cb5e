//! Is this access token good, here, now, in these hands? RFC 9068, RFC 8725, RFC 9449 §4.3 and §7, RFC 8705 §3.
//!
//! ```text
//!  credential ─▶ parse ─▶ issuer in the book ─▶ its key ─▶ signature ─▶ claims ─▶ Verdict  (true as long as the keys are)
//!  Verdict ─▶ times ─▶ revoked? ─▶ holder (DPoP · certificate) ─▶ level · scope ─▶ Checked  (true for this request)
//! ```
//! Nothing is fetched and nothing is remembered here: the key set comes in, the proof's `jti` goes out.

use std::sync::Arc;

use serde_json::Value;

use crate::terms::{Digest, UnixMillis};

use super::IdentityError;
use super::book::{BindingRule, Issuer, IssuerBook, Kind, Profile};
use super::dpop;
use super::jose::{self, Embedded, Object, Unverified, seconds, text};
use super::revocation::{NothingRevoked, RevocationView};

pub use super::caller::{Actor, Binding, Caller};
pub use super::dpop::Replay;

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
    /// The request goes to a token endpoint, where a proof need not name an access token (RFC 9449 §5).
    pub token_endpoint: bool,
}

/// What this request asks of a caller beyond a good token. The default asks nothing more.
#[derive(Clone, Debug, Default)]
pub struct Expect<'a> {
    /// One of the issuer's audiences that must be named; `None` takes any of them.
    pub audience: Option<&'a str>,
    /// Kinds of caller served; empty serves all the issuer may speak for.
    pub kinds: &'a [Kind],
    /// Scopes that must all be there, each as a whole word.
    pub scopes: &'a [&'a str],
    /// Least real-name level.
    pub level: u8,
    /// Oldest proof of that level, in seconds.
    pub max_age_s: Option<i64>,
    /// Holder binding for this kind of client, besides what the issuer's entry demands.
    pub binding: BindingRule,
    /// Nonces a proof may carry (RFC 9449 §9), the current and the one before; empty asks for none.
    pub nonces: &'a [&'a str],
}

/// A caller, and what must be remembered of the proof before it is believed.
#[derive(Clone, Debug)]
pub struct Checked {
    pub caller: Arc<Caller>,
    /// Remember it until it expires; seen before means [`IdentityError::DpopReplay`].
    pub replay: Option<Replay>,
}

/// The credential of an `Authorization` header: scheme and token.
///
/// # Errors
/// `token_missing`, or `two_credentials` for more than one header or token.
pub fn credential<'a>(headers: &[&'a str]) -> Result<(&'a str, &'a str), IdentityError> {
    match headers {
        [] => Err(IdentityError::TokenMissing),
        [one] => {
            let (scheme, token) = one.split_once(' ').ok_or(IdentityError::TokenMalformed("no scheme"))?;
            let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop");
            match (known, token.trim_matches(' ')) {
                (true, "") => Err(IdentityError::TokenMissing),
                (true, token) if !token.contains([' ', ',']) => Ok((scheme, token)),
                (true, _) => Err(IdentityError::TwoCredentials),
                (false, _) => Err(IdentityError::TokenMissing),
            }
        }
        _ => Err(IdentityError::TwoCredentials),
    }
}

/// [`check_for`] with nothing more expected and nothing revoked.
pub fn check(
    token: &str,
    presented: &Presented<'_>,
    book: &IssuerBook,
    now: UnixMillis,
) -> Result<Checked, IdentityError> {
    check_for(token, presented, book, &Expect::default(), &NothingRevoked, now)
}

/// Checks a token. `now` in Unix milliseconds; leeway and longest life are the issuer's in the book.
///
/// # Errors
/// One [`IdentityError`] a cause; [`IdentityError::needs`] says when a newer key set may help.
pub fn check_for(
    token: &str,
    presented: &Presented<'_>,
    book: &IssuerBook,
    expect: &Expect<'_>,
    revoked: &dyn RevocationView,
    now: UnixMillis,
) -> Result<Checked, IdentityError> {
    Verdict::read(token, book)?.judge(token, presented, expect, revoked, now)
}

/// Whether `caller` has been proven strongly and recently enough for an item known only now.
///
/// # Errors
/// `acr_insufficient`, whose refusal carries the step-up challenge (RFC 9470).
pub fn step_up(
    caller: &Caller,
    book: &IssuerBook,
    level: u8,
    max_age_s: Option<i64>,
    now: UnixMillis,
) -> Result<(), IdentityError> {
    let old = max_age_s.is_some_and(|age| now > caller.proven_at().plus_seconds(age));
    if caller.level() >= level && !old {
        return Ok(());
    }
    let strong = |issuer: &Arc<Issuer>| {
        let strong = issuer.entry.acr_levels.iter().filter(|(_, have)| **have >= level);
        strong.map(|(acr, _)| acr.clone()).collect::<Vec<_>>().join(" ")
    };
    let acr_values = book.get(caller.issuer()).map(strong).unwrap_or_default();
    Err(IdentityError::AcrInsufficient { have: caller.level(), want: level, max_age_s, acr_values })
}

/// What a signature and its claims say, apart from the time, the request and revocation.
#[derive(Clone, Debug)]
pub struct Verdict {
    caller: Arc<Caller>,
    issuer: Arc<Issuer>,
    book: IssuerBook,
    audiences: Vec<String>,
    not_before: Option<i64>,
    token: Digest,
    octets: u32,
}

impl Verdict {
    /// Reads and verifies a token against the book.
    pub fn read(token: &str, book: &IssuerBook) -> Result<Self, IdentityError> {
        let unverified = Unverified::parse(token, Embedded::Refused)?;
        let claims = unverified.claims_unverified()?;
        let Some(Value::String(name)) = claims.get("iss") else {
            return Err(IdentityError::TokenIssuer("missing or not one text"));
        };
        let issuer = book.get(name).ok_or(IdentityError::TokenIssuer("not in the book"))?;
        if !issuer.entry.algorithms.contains(&unverified.header.alg) {
            return Err(IdentityError::TokenAlg("not one of this issuer's"));
        }
        is_access_token(issuer, unverified.header.typ.as_deref(), &claims)?;
        let keys = issuer.keys.as_ref().ok_or_else(|| IdentityError::KeysUnavailable { issuer: name.clone() })?;
        let kid = unverified.header.kid.as_deref();
        let verified = match keys.find(kid, unverified.header.alg) {
            None => Err(IdentityError::UnknownKey { issuer: name.clone(), kid: kid.map(str::to_owned) }),
            Some(key) => unverified.clone().verify(key),
        };
        if verified.is_err() && signed_by_another(&unverified, name, book) {
            return Err(IdentityError::TokenIssuer("signed with the key of another issuer"));
        }
        // From here on the claims are the issuer's word.
        let claims = verified?.claims()?;
        let digest = Digest::of(token.as_bytes());
        Ok(Self {
            caller: Arc::new(Caller::from_claims(issuer, &claims, digest)?),
            audiences: audiences(&claims)?,
            not_before: seconds(&claims, "nbf")?,
            issuer: issuer.clone(),
            book: book.clone(),
            token: digest,
            octets: token.len() as u32, // bounded by `MAX_TOKEN`
        })
    }

    /// What the issuer itself said of a token that only it can read (RFC 7662 §2.2): `claims` are the members of its answer,
    /// which the caller has had from the issuer that `iss` names, over TLS and under its own credentials, a moment ago.
    ///
    /// # Errors
    /// As [`Verdict::read`]; `token_type` where the answer does not say that it is about an access token.
    pub fn introspected(token: &str, claims: &Object, book: &IssuerBook) -> Result<Self, IdentityError> {
        let Some(Value::String(name)) = claims.get("iss") else {
            return Err(IdentityError::TokenIssuer("missing or not one text"));
        };
        let issuer = book.get(name).ok_or(IdentityError::TokenIssuer("not in the book"))?;
        // Issuers answer for refresh tokens as well: those name no way to use them.
        let scheme = text(claims, "token_type")?.unwrap_or_default();
        if !["bearer", "dpop"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(IdentityError::TokenType("not an access token"));
        }
        let digest = Digest::of(token.as_bytes());
        Ok(Self {
            caller: Arc::new(Caller::from_claims(issuer, claims, digest)?),
            audiences: audiences(claims)?,
            not_before: seconds(claims, "nbf")?,
            issuer: issuer.clone(),
            book: book.clone(),
            token: digest,
            octets: token.len() as u32, // bounded by who asks
        })
    }

    /// Rough size of what is kept, in octets.
    pub(super) fn octets(&self) -> u32 {
        self.octets
    }

    /// The book the verdict was read under; under another one it must be read anew.
    pub(super) fn generation(&self) -> u64 {
        self.book.generation()
    }

    /// Judges the verdict for one request. `token` must be the text the verdict was read from.
    pub fn judge(
        &self,
        token: &str,
        presented: &Presented<'_>,
        expect: &Expect<'_>,
        revoked: &dyn RevocationView,
        now: UnixMillis,
    ) -> Result<Checked, IdentityError> {
        if Digest::of(token.as_bytes()) != self.token {
            return Err(IdentityError::TokenMalformed("not the token that was read"));
        }
        let caller = &self.caller;
        self.times(now)?;
        self.audience(expect.audience)?;
        if revoked.is_revoked(caller) {
            return Err(IdentityError::TokenRevoked);
        }
        let replay = self.holder(token, presented, expect, now)?;
        if !expect.kinds.is_empty() && !expect.kinds.contains(&caller.kind()) {
            return Err(IdentityError::ScopeMissing(expect.scopes.join(" ")));
        }
        step_up(caller, &self.book, expect.level, expect.max_age_s, now)?;
        if expect.scopes.iter().any(|scope| !caller.scopes().contains(*scope)) {
            return Err(IdentityError::ScopeMissing(expect.scopes.join(" ")));
        }
        Ok(Checked { caller: caller.clone(), replay })
    }

    fn times(&self, now: UnixMillis) -> Result<(), IdentityError> {
        let entry = &self.issuer.entry;
        let (at, leeway) = (now.seconds(), entry.leeway_s);
        let (iat, exp) = (self.caller.issued().seconds(), self.caller.expires().seconds());
        if at >= exp.saturating_add(leeway) {
            return Err(IdentityError::TokenExpired); // "on or after" (RFC 7519 §4.1.4)
        }
        let ahead = |t: i64| t > at.saturating_add(leeway);
        if ahead(iat) || self.not_before.is_some_and(ahead) || ahead(self.caller.proven_at().seconds()) {
            return Err(IdentityError::TokenNotYet);
        }
        if exp - iat > entry.max_lifetime_s {
            return Err(IdentityError::TokenLifetime { limit_s: entry.max_lifetime_s });
        }
        if self.caller.resident().is_some_and(|id| id.born() > now.day()) {
            return Err(IdentityError::TokenMalformed("resident number"));
        }
        Ok(())
    }

    fn audience(&self, wanted: Option<&str>) -> Result<(), IdentityError> {
        let ours = |name: &String| match wanted {
            Some(wanted) => name == wanted,
            None => self.issuer.entry.audiences.contains(name),
        };
        match self.audiences.iter().any(ours) {
            true => Ok(()),
            false => Err(IdentityError::TokenAudience("somebody else")),
        }
    }

    /// In whose hands?
    fn holder(
        &self,
        token: &str,
        presented: &Presented<'_>,
        expect: &Expect<'_>,
        now: UnixMillis,
    ) -> Result<Option<Replay>, IdentityError> {
        for rule in [self.issuer.entry.binding, expect.binding] {
            rule.check(&self.caller)?;
        }
        in_hands(self.caller.binding(), token, presented, expect.nonces, self.issuer.entry.leeway_s, now)
    }
}

/// Whether a token is in the hands it is bound to: the certificate of the connection, the key of the proof.
pub(super) fn in_hands(
    binding: &Binding,
    token: &str,
    presented: &Presented<'_>,
    nonces: &[&str],
    leeway_s: i64,
    now: UnixMillis,
) -> Result<Option<Replay>, IdentityError> {
    let wrong = |why| Err(IdentityError::TokenBinding(why));
    if let Some(x5t) = &binding.x5t_s256 {
        let shown = presented.certificate.map(|c| jose::encode(&c.0));
        if shown.as_ref() != Some(x5t) {
            return wrong("bound to another certificate");
        }
    }
    // At a token endpoint no scheme is named: the token says how it is held.
    let dpop = match presented.token_endpoint {
        true => binding.jkt.is_some(),
        false => presented.scheme.eq_ignore_ascii_case("dpop"),
    };
    match (&binding.jkt, dpop) {
        (Some(jkt), true) => dpop::check(jkt, token, presented, nonces, leeway_s, now).map(Some),
        (Some(_), false) => wrong("bound to a key, but sent as bearer"),
        (None, true) => wrong("sent with the DPoP scheme, but not bound to a key"),
        (None, false) => Ok(None),
    }
}

/// RFC 9068 §4: the type must say so; an ID token, proof or receipt signed by the same key is none.
fn is_access_token(issuer: &Issuer, typ: Option<&str>, claims: &Object) -> Result<(), IdentityError> {
    match (issuer.entry.profile, typ) {
        (Profile::AtJwt, Some("at+jwt")) => Ok(()),
        (Profile::AtJwt, _) => Err(IdentityError::TokenType("not at+jwt")),
        (Profile::Oidc, None | Some("jwt" | "at+jwt")) => {
            let id_token = ["nonce", "at_hash", "c_hash", "s_hash", "events"].iter().any(|c| claims.contains_key(*c));
            let scoped = text(claims, "scope")?.is_some() || claims.contains_key("scp");
            let marked = scoped || claims.get("token_use") == Some(&Value::from("access"));
            if id_token || !marked { Err(IdentityError::TokenType("not an access token")) } else { Ok(()) }
        }
        (Profile::Oidc, Some(_)) => Err(IdentityError::TokenType("another kind of token")),
    }
}

/// Whether another issuer's key made the signature: keys are bound to their issuer, and somebody is trying.
fn signed_by_another(unverified: &Unverified<'_>, name: &str, book: &IssuerBook) -> bool {
    let Some(kid) = unverified.header.kid.as_deref() else { return false };
    let others = book.issuers().filter(|other| other.entry.issuer != name);
    let keys = others.filter_map(|other| other.keys.as_ref()?.find(Some(kid), unverified.header.alg));
    keys.take(4).any(|key| unverified.clone().verify(key).is_ok())
}

pub(super) fn audiences(claims: &Object) -> Result<Vec<String>, IdentityError> {
    let odd = IdentityError::TokenAudience("neither a text nor a list of texts");
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) => all.iter().map(|a| a.as_str().map(str::to_owned).ok_or(odd.clone())).collect(),
        None => Err(IdentityError::TokenAudience("missing")),
        Some(_) => Err(odd),
    }
}
