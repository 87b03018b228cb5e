//! The gateway's own token about two people (RFC 8693): signed for all to see, with the two of them under cover.
//!
//! ```text
//!  claims of `exchange` + both people's claims, sealed (AES-256-GCM) ─signed `at+jwt`─▶ token
//!  token ─▶ ours? now? in these hands? ─▶ open ─▶ both people read again under the directory of now ─▶ Exchanged
//! ```
//! Nothing is kept at the gateway: any replica with the shared key reads the token. Who has no key of ours learns from it
//! neither name nor resident number; an issuer that left the directory takes its people's exchanged tokens along.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use ring::aead;
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::terms::{CaseNo, Digest, ItemCode, UnixMillis};

use super::IdentityError;
use super::access::{Checked, Presented, in_hands};
use super::book::IssuerBook;
use super::caller::{self, Caller};
use super::dpop::Replay;
use super::issue::SigningKey;
use super::jose::{self, Embedded, MAX_TOKEN, Object, Unverified, seconds, text};
use super::keys::IssuerKeys;
use super::revocation::RevocationView;

/// Clock difference between our own replicas, in seconds.
const LEEWAY_S: i64 = 5;
/// Member that holds what is under cover.
const COVERED: &str = "tongban";

/// The key under which people travel in our own tokens; the same at all replicas.
pub struct Cover(aead::LessSafeKey);

impl std::fmt::Debug for Cover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cover")
    }
}

impl Cover {
    /// Derived (HKDF-SHA-256) from a secret of 32 octets that all replicas share.
    ///
    /// # Errors
    /// [`IdentityError::CannotSign`] never in practice: lengths are fixed.
    pub fn derive(secret: &[u8]) -> Result<Self, IdentityError> {
        let failed = |_| IdentityError::CannotSign("no covering key");
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tongban").extract(secret);
        let okm = prk.expand(&[b"exchanged tokens 1"], &aead::AES_256_GCM).map_err(failed)?;
        Ok(Self(aead::LessSafeKey::new(aead::UnboundKey::from(okm))))
    }

    /// Seals octets; `about` is said again to open them, so that one kind of thing cannot pass for another.
    ///
    /// # Errors
    /// [`IdentityError::CannotSign`] without randomness.
    pub fn close(&self, mut octets: Vec<u8>, about: &[u8]) -> Result<String, IdentityError> {
        let failed = IdentityError::CannotSign("nothing covered");
        let mut nonce = [0u8; aead::NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| failed.clone())?;
        let unique = aead::Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, aead::Aad::from(about), &mut octets).map_err(|_| failed)?;
        Ok(jose::encode(&[&nonce[..], &octets].concat()))
    }

    /// What was sealed; `None` for anything else.
    pub fn open(&self, text: &str, about: &[u8]) -> Option<Vec<u8>> {
        let mut octets = jose::decode(text)?;
        let nonce = octets.get(..aead::NONCE_LEN)?.try_into().ok()?;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let mut sealed = octets.split_off(aead::NONCE_LEN);
        let plain = self.0.open_in_place(nonce, aead::Aad::from(about), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

/// One of the two, as their issuer stated them.
#[derive(Serialize, Deserialize)]
struct Stated {
    claims: Object,
    token: Digest,
    /// The token itself, where only its issuer can read it: whether it still holds is asked there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opaque: Option<String>,
}

/// What goes along under cover besides the two people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Along<'a> {
    /// An agent's power of attorney as signed: it is judged anew at every act.
    pub paper: Option<&'a str>,
    /// The subject's and the actor's own token, where only its issuer can read it.
    pub opaque: [Option<&'a str>; 2],
}

#[derive(Serialize, Deserialize)]
struct Covered {
    subject: Stated,
    actor: Stated,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paper: Option<String>,
}

/// Signs what [`super::exchange::exchange`] gave, with both people under cover.
///
/// # Errors
/// [`IdentityError::CannotSign`]; [`IdentityError::TokenMalformed`] when the two are too large for one token.
pub fn issue(
    claims: Object,
    subject: &Checked,
    actor: &Checked,
    along: Along<'_>,
    cover: &Cover,
    key: &SigningKey,
) -> Result<String, IdentityError> {
    let failed = IdentityError::CannotSign("people that cannot be written");
    let stated = |checked: &Checked, opaque: Option<&str>| Stated {
        claims: checked.caller.claims().clone(),
        token: checked.caller.token(),
        opaque: opaque.map(str::to_owned),
    };
    let [of_subject, of_actor] = along.opaque;
    let covered = Covered {
        subject: stated(subject, of_subject),
        actor: stated(actor, of_actor),
        paper: along.paper.map(str::to_owned),
    };
    let octets = serde_json::to_vec(&covered).map_err(|_| failed.clone())?;
    let mut claims = claims;
    let jti = text(&claims, "jti")?.ok_or(failed)?.to_owned();
    claims.insert(COVERED.into(), cover.close(octets, jti.as_bytes())?.into());
    let token = key.access_token(&claims)?;
    if token.len() > MAX_TOKEN {
        return Err(IdentityError::TokenMalformed("the two tokens are too large to be made into one"));
    }
    Ok(token)
}

/// This gateway, as issuer and reader of its own tokens.
#[derive(Clone, Copy, Debug)]
pub struct House<'a> {
    pub issuer: &'a str,
    pub keys: &'a IssuerKeys,
    pub cover: &'a Cover,
    /// Issuers as the directory lists them now.
    pub book: &'a IssuerBook,
    /// Nonces a proof may carry; empty asks for none.
    pub nonces: &'a [&'a str],
}

/// Two people and an errand. Only [`read`] makes one.
#[derive(Clone, Debug)]
pub struct Exchanged {
    subject: Arc<Caller>,
    actor: Arc<Caller>,
    item: ItemCode,
    purpose: String,
    case: Option<CaseNo>,
    stands_in_for: Option<String>,
    paper: Option<String>,
    opaque: Vec<(String, String)>,
    token: Digest,
    jti: String,
    expires: UnixMillis,
    /// Remember it until it expires; seen before means a replay.
    pub replay: Option<Replay>,
}

impl Exchanged {
    /// Whose matter it is.
    pub fn subject(&self) -> &Caller {
        &self.subject
    }
    /// Who acts.
    pub fn actor(&self) -> &Caller {
        &self.actor
    }
    /// Both, whose matter it is first.
    pub fn callers(&self) -> [Arc<Caller>; 2] {
        [self.subject.clone(), self.actor.clone()]
    }
    pub fn item(&self) -> ItemCode {
        self.item
    }
    pub fn purpose(&self) -> &str {
        &self.purpose
    }
    /// The one case it is for, where it names one.
    pub fn case(&self) -> Option<CaseNo> {
        self.case
    }
    /// `issuer#subject` of the first post for whom a deputy acts.
    pub fn stands_in_for(&self) -> Option<&str> {
        self.stands_in_for.as_deref()
    }
    /// An agent's paper, as signed.
    pub fn paper(&self) -> Option<&str> {
        self.paper.as_deref()
    }
    /// Issuer and text of each of the two tokens that only its issuer can read: this one holds no longer than they do, and
    /// whether they do the issuer says.
    pub fn opaque(&self) -> &[(String, String)] {
        &self.opaque
    }
    /// Digest of the token: names the session in the log.
    pub fn token(&self) -> Digest {
        self.token
    }
    pub fn jti(&self) -> &str {
        &self.jti
    }
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }
}

/// Whether a token says that `issuer` made it; nothing in it is true yet.
pub fn is_of(token: &str, issuer: &str) -> bool {
    let claims = Unverified::parse(token, Embedded::Refused).and_then(|unverified| unverified.claims_unverified());
    claims.is_ok_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(issuer))
}

/// Reads a token of our own for one request.
///
/// # Errors
/// As of any access token; `token_revoked` also when either of the two signed out, `token_issuer` when an issuer of either
/// is no longer in the directory or may not speak for them any more.
pub fn read(
    token: &str,
    presented: &Presented<'_>,
    house: House<'_>,
    revoked: &dyn RevocationView,
    now: UnixMillis,
) -> Result<Exchanged, IdentityError> {
    use IdentityError::{
        TokenAudience, TokenExpired, TokenIssuer, TokenMalformed, TokenNotYet, TokenRevoked, TokenType,
    };
    let unverified = Unverified::parse(token, Embedded::Refused)?;
    if unverified.header.typ.as_deref() != Some("at+jwt") {
        return Err(TokenType("not at+jwt"));
    }
    if unverified.header.alg != Algorithm::ES256 {
        return Err(IdentityError::TokenAlg("not one of this issuer's"));
    }
    let kid = unverified.header.kid.clone();
    let key = house.keys.find_named(kid.as_deref(), Algorithm::ES256);
    let key = key.ok_or_else(|| IdentityError::UnknownKey { issuer: house.issuer.to_owned(), kid })?;
    let claims = unverified.verify(key)?.claims()?;
    let odd = || TokenMalformed("a member is missing or of a wrong kind");
    let member = |name: &str| text(&claims, name)?.ok_or_else(odd);
    if member("iss")? != house.issuer {
        return Err(TokenIssuer("not this gateway"));
    }
    if member("aud")? != house.issuer {
        return Err(TokenAudience("somebody else"));
    }
    let (iat, exp) = (seconds(&claims, "iat")?.ok_or_else(odd)?, seconds(&claims, "exp")?.ok_or_else(odd)?);
    if now.seconds() >= exp {
        return Err(TokenExpired);
    }
    if iat > now.seconds().saturating_add(LEEWAY_S) {
        return Err(TokenNotYet);
    }
    let jti = member("jti")?.to_owned();
    if revoked.is_token_revoked(house.issuer, &jti) {
        return Err(TokenRevoked);
    }
    let binding = caller::binding(claims.get("cnf"))?;
    if binding.jkt.is_none() && binding.x5t_s256.is_none() {
        return Err(IdentityError::TokenBinding("a bound token is needed"));
    }
    let replay = in_hands(&binding, token, presented, house.nonces, LEEWAY_S, now)?;
    let covered = house.cover.open(member(COVERED)?, jti.as_bytes());
    let covered: Covered = covered.and_then(|octets| serde_json::from_slice(&octets).ok()).ok_or_else(odd)?;
    let mut opaque = Vec::new();
    let mut person = |stated: Stated| -> Result<Arc<Caller>, IdentityError> {
        let issuer = stated.claims.get("iss").and_then(Value::as_str).ok_or_else(odd)?;
        opaque.extend(stated.opaque.map(|token| (issuer.to_owned(), token)));
        let issuer = house.book.get(issuer).ok_or(TokenIssuer("not in the book"))?;
        let caller = Caller::from_claims(issuer, &stated.claims, stated.token)?;
        match revoked.is_revoked(&caller) {
            true => Err(TokenRevoked),
            false => Ok(Arc::new(caller)),
        }
    };
    let (subject, actor) = (person(covered.subject)?, person(covered.actor)?);
    Ok(Exchanged {
        subject,
        actor,
        opaque,
        item: member("item")?.parse().map_err(|_| odd())?,
        purpose: member("purpose")?.to_owned(),
        case: text(&claims, "case")?.map(|no| no.parse().map_err(|_| odd())).transpose()?,
        stands_in_for: text(&claims, "stands_in_for")?.map(str::to_owned),
        paper: covered.paper,
        token: Digest::of(token.as_bytes()),
        jti,
        expires: UnixMillis::from_seconds(exp),
        replay,
    })
}
