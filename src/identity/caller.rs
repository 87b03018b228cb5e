//! Who asks: the proof value that only a checked token can make.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::terms::{Attribute, Attributes, Digest, RegionCode, ResidentId, UnixMillis};

use super::IdentityError;
use super::book::{ClaimNames, Issuer, Kind};
use super::jose::{self, Object, cleaned, plain, seconds, text};

/// Longest chain of people acting for one another (RFC 8693 §4.1).
pub const MAX_ACTORS: usize = 3;

/// Somebody who acts for the subject; the first in the list is the one acting now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub issuer: String,
    pub subject: String,
}

/// What the token is bound to (RFC 7800): thumbprints in base64url, as the token has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// RFC 9449 §6.1.
    pub jkt: Option<String>,
    /// RFC 8705 §3.1.
    pub x5t_s256: Option<String>,
}

/// Somebody whose token holds. Only a check of this room makes one.
#[derive(Clone)]
pub struct Caller {
    kind: Kind,
    issuer: String,
    subject: String,
    client: Option<String>,
    name: Option<String>,
    resident: Option<ResidentId>,
    contact: Attributes,
    level: u8,
    method: Option<String>,
    proven_at: UnixMillis,
    org: Option<String>,
    divisions: Vec<RegionCode>,
    roles: BTreeSet<String>,
    scopes: BTreeSet<String>,
    actors: Vec<Actor>,
    token: Digest,
    jti: Option<String>,
    session: Option<String>,
    issued: UnixMillis,
    expires: UnixMillis,
    binding: Binding,
    /// As the issuer stated them, so that this room can read them again under another directory.
    claims: Arc<Object>,
}

/// Never the number, the name or the subject: they are people's.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// `sub`, unique only together with the issuer; see [`Caller::key`].
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// Issuer and subject as one text, `issuer#subject`: the identity everywhere else.
    pub fn key(&self) -> String {
        format!("{}#{}", self.issuer, self.subject)
    }
    /// `client_id`: the software that holds the token.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    pub fn resident(&self) -> Option<&ResidentId> {
        self.resident.as_ref()
    }
    /// Telephone, e-mail and postal address, as far as the issuer states them.
    pub fn contact(&self) -> &Attributes {
        &self.contact
    }
    /// Real-name level 0–4 of this session.
    pub fn level(&self) -> u8 {
        self.level
    }
    /// How the level was proven: the `amr` words, joined with `+`.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }
    /// When the level was proven; the epoch when the token does not say, which is too old for everything.
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
    /// Who acts for the subject, nearest first; empty when the subject acts alone.
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }
    /// Digest of the token: names the session in the log.
    pub fn token(&self) -> Digest {
        self.token
    }
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }
    /// `sid` of the issuer's session, for back-channel logout.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }
    pub fn issued(&self) -> UnixMillis {
        self.issued
    }
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }
    pub fn binding(&self) -> &Binding {
        &self.binding
    }
    pub(super) fn claims(&self) -> &Object {
        &self.claims
    }
    /// Bound to a key or certificate of its holder.
    pub fn is_bound(&self) -> bool {
        self.binding.jkt.is_some() || self.binding.x5t_s256.is_some()
    }

    /// Reads the claims of a token whose signature holds. What depends on the time is judged later.
    pub(super) fn from_claims(issuer: &Issuer, claims: &Object, token: Digest) -> Result<Self, IdentityError> {
        use IdentityError::{TokenIssuer, TokenMalformed};
        let entry = &issuer.entry;
        let word = |name: &str| match text(claims, name)? {
            Some(word) if !plain(word) => Err(TokenMalformed("a claim has characters that may not stand in a line")),
            other => Ok(other.map(str::to_owned)),
        };
        let subject = word("sub")?.filter(|s| !s.is_empty()).ok_or(TokenMalformed("no sub"))?;
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
        // A list, a number or an unknown word proves nothing: level 0, and the step-up answer tells what is wanted.
        let acr = claims.get("acr").and_then(Value::as_str).unwrap_or_default();
        let methods = words(claims.get("amr")).unwrap_or_default();
        let resident = text(claims, &entry.claims.resident)?;
        let resident = resident.map(|n| n.parse().map_err(|_| TokenMalformed("resident number"))).transpose()?;
        let mut roles = words(claims.get(&entry.claims.roles))?;
        // Token software names roles of its own beside ours: what the issuer may not give is none, and no mistake.
        roles.retain(|role| entry.roles.is_empty() || entry.roles.contains(role));
        let scopes = match claims.get("scope") {
            Some(Value::Array(_)) => return Err(TokenMalformed("scope is not a text")), // RFC 9068 §2.2.3
            // Some vendors list them under a name of their own.
            None => words(claims.get("scp"))?,
            scope => words(scope)?,
        };
        let time = |name: &str| seconds(claims, name).map(|at| at.map(UnixMillis::from_seconds));
        Ok(Self {
            kind,
            issuer: entry.issuer.clone(),
            actors: actors(issuer, &subject, claims.get("act"))?,
            subject,
            client: word("client_id")?,
            name: text(claims, &entry.claims.name)?.map(cleaned),
            resident,
            contact: contact(&entry.claims, claims),
            level: entry.level(acr, &methods),
            method: (!methods.is_empty()).then(|| Vec::from_iter(methods).join("+")),
            proven_at: time("auth_time")?.unwrap_or(UnixMillis(0)),
            org: word(&entry.claims.org)?,
            divisions,
            roles,
            scopes,
            token,
            jti: word("jti")?,
            session: word("sid")?,
            issued: time("iat")?.ok_or(TokenMalformed("no iat"))?,
            expires: time("exp")?.ok_or(TokenMalformed("no exp"))?,
            binding: binding(claims.get("cnf"))?,
            claims: Arc::new(claims.clone()),
        })
    }
}

/// Longest telephone number, e-mail address or postal address, in characters; what is longer is none.
const CONTACT_MAX: usize = 200;

/// Contact data (OpenID Connect Core 1.0 §5.1): texts, or of the address its `formatted`. They prove nothing, so that one
/// in another form is as good as absent.
fn contact(names: &ClaimNames, claims: &Object) -> Attributes {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.lines().map(str::trim).collect::<Vec<_>>().join(" ")),
        _ => None,
    };
    let stated = |which, name: &str| {
        let value = claims.get(name)?;
        let found = text(value.get("formatted").filter(|_| which == Attribute::Address).unwrap_or(value))?;
        (plain(&found) && found.chars().count() <= CONTACT_MAX).then_some((which, found))
    };
    let all = [
        stated(Attribute::Phone, &names.phone),
        stated(Attribute::Email, &names.email),
        stated(Attribute::Address, &names.address),
    ];
    all.into_iter().flatten().collect()
}

/// `cnf` may name a key or a certificate; an empty one or anything else in it is not understood, so not obeyed.
pub(super) fn binding(cnf: Option<&Value>) -> Result<Binding, IdentityError> {
    let wrong = |why| Err::<Binding, _>(IdentityError::TokenBinding(why));
    let cnf = match cnf {
        None => return Ok(Binding::default()),
        Some(Value::Object(cnf)) if !cnf.is_empty() => cnf,
        Some(_) => return wrong("cnf says nothing"),
    };
    if cnf.keys().any(|k| !matches!(k.as_str(), "jkt" | "x5t#S256")) {
        return wrong("cnf has a member that is not understood");
    }
    let print = |name: &str| match cnf.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if jose::decode(text).is_some_and(|d| d.len() == 32) => Ok(Some(text.clone())),
        Some(_) => Err(IdentityError::TokenBinding("cnf has no thumbprint")),
    };
    Ok(Binding { jkt: print("jkt")?, x5t_s256: print("x5t#S256")? })
}

/// The chain of `act`: short, nobody twice, everybody listed for the issuer.
fn actors(issuer: &Issuer, subject: &str, act: Option<&Value>) -> Result<Vec<Actor>, IdentityError> {
    let wrong = |why| Err(IdentityError::ActNotAllowed(why));
    let own = issuer.entry.issuer.as_str();
    let mut chain: Vec<Actor> = Vec::new();
    let mut next = act;
    while let Some(act) = next {
        let Value::Object(act) = act else { return wrong("act is not an object") };
        if chain.len() == MAX_ACTORS {
            return wrong("the chain is too long");
        }
        let (Ok(Some(sub)), Ok(iss)) = (text(act, "sub"), text(act, "iss")) else { return wrong("act names nobody") };
        let actor = Actor { issuer: iss.unwrap_or(own).to_owned(), subject: sub.to_owned() };
        if !plain(sub) || (actor.issuer == own && sub == subject) || chain.contains(&actor) {
            return wrong("somebody acts for themselves");
        }
        let listed = |name: &String| {
            (actor.issuer == own && *name == actor.subject) || *name == format!("{}#{}", actor.issuer, actor.subject)
        };
        if !issuer.entry.actors.iter().any(listed) {
            return wrong("an actor this issuer may not name");
        }
        chain.push(actor);
        next = act.get("act");
    }
    Ok(chain)
}

/// Words of a claim that is a text with blanks between, or a list.
fn words(claim: Option<&Value>) -> Result<BTreeSet<String>, IdentityError> {
    let bad = IdentityError::TokenMalformed("a list of words");
    match claim {
        None => Ok(BTreeSet::new()),
        Some(Value::String(all)) => Ok(all.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect()),
        Some(Value::Array(all)) => all.iter().map(|w| w.as_str().map(str::to_owned).ok_or(bad.clone())).collect(),
        Some(_) => Err(bad),
    }
}

fn divisions(claim: Option<&Value>) -> Result<Vec<RegionCode>, IdentityError> {
    let parse = |v: &Value| v.as_str().and_then(|t| t.parse().ok()).ok_or(IdentityError::TokenMalformed("a division"));
    match claim {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(parse).collect(),
        Some(one) => Ok(vec![parse(one)?]),
    }
}
