//! Token exchange at the gateway (RFC 8693): a citizen's token and a clerk's or agent's become one short word about both.
//!
//! ```text
//!  subject (citizen, level) ┐
//!                           ├─▶ who may act? presence? paper? post? ─▶ claims { sub, act, item, purpose, case, cnf }
//!  actor (clerk · agent) ───┘                                            bound to the actor's device, five minutes
//! ```

use serde_json::{Value, json};

use crate::terms::{CaseNo, ItemCode, UnixMillis};

use super::IdentityError;
use super::access::{Binding, Caller, Checked};
use super::book::Kind;
use super::delegation::{DelegationError, Grant, PowerOfAttorney};
use super::jose::Object;

/// Longest life of an exchanged token, in seconds.
pub const LIVES_S: i64 = 300;

/// On which post the clerk sits (A岗/B岗).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post<'a> {
    /// No pair of posts here, or the first of it.
    First,
    /// The deputy, standing in for the clerk named `issuer#subject`; `away` comes from the duty roster.
    Deputy { first: &'a str, away: bool },
}

/// What the exchanged token shall be for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// This gateway, as issuer.
    pub gateway: &'a str,
    pub audience: &'a str,
    /// 128 bits or more, never used before ([`super::issue::random_id`]).
    pub jti: &'a str,
    pub item: ItemCode,
    pub purpose: &'a str,
    pub case: Option<CaseNo>,
    /// The item demands the person's presence.
    pub presence: bool,
    pub post: Post<'a>,
    /// The key and certificate that the connection itself has proven to be the actor's device: the new token is bound to
    /// them, besides what the actor's own token is bound to.
    pub device: &'a Binding,
    /// An agent's paper, checked for this very act.
    pub paper: Option<&'a Grant<PowerOfAttorney>>,
}

/// Why there is no exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Delegation(#[from] DelegationError),
}

impl crate::terms::Explain for ExchangeError {
    fn told(&self) -> &'static crate::terms::Told {
        match self {
            Self::Identity(error) => error.told(),
            Self::Delegation(error) => error.told(),
        }
    }
}

/// The claims of the exchanged token, to be signed with `typ` `at+jwt` by the gateway's key.
///
/// The token never outlives either of its two, never shows a higher level than the citizen's, and is bound to what the
/// actor's token is bound to.
///
/// # Errors
/// `act_not_allowed` when these two may not act so; `token_binding` when the actor's token is not bound to a device;
/// a [`DelegationError`] about paper, presence or post.
pub fn exchange(
    subject: &Checked,
    actor: &Checked,
    request: &Request<'_>,
    now: UnixMillis,
) -> Result<Object, ExchangeError> {
    let (subject, actor) = (&*subject.caller, &*actor.caller);
    let wrong = |why| Err(IdentityError::ActNotAllowed(why).into());
    if subject.kind() != Kind::Citizen || !subject.actors().is_empty() {
        return wrong("the subject is not a person signed in for themselves");
    }
    if !actor.actors().is_empty() {
        return wrong("an actor for whom somebody acts");
    }
    if subject.key() == actor.key() || same_person(subject, actor) {
        return wrong("somebody acts for themselves");
    }
    let binding = Binding {
        jkt: actor.binding().jkt.clone().or_else(|| request.device.jkt.clone()),
        x5t_s256: actor.binding().x5t_s256.clone().or_else(|| request.device.x5t_s256.clone()),
    };
    if binding.jkt.is_none() && binding.x5t_s256.is_none() {
        return Err(IdentityError::TokenBinding("an actor's token is bound to a device").into());
    }
    match actor.kind() {
        Kind::Clerk | Kind::Outlet => {}
        Kind::Citizen => agent(subject, actor, request)?,
        Kind::System | Kind::Auditor | Kind::Operator => return wrong("this kind of caller acts for nobody"),
    }
    let stands_in = post(actor, request.post)?;
    let ends = [subject.expires().seconds(), actor.expires().seconds(), now.seconds() + LIVES_S];
    let exp = ends.into_iter().min().unwrap_or_default();
    if exp <= now.seconds() {
        return Err(IdentityError::TokenExpired.into());
    }
    let mut cnf = Object::new();
    if let Some(jkt) = &binding.jkt {
        cnf.insert("jkt".into(), jkt.clone().into());
    }
    if let Some(x5t) = &binding.x5t_s256 {
        cnf.insert("x5t#S256".into(), x5t.clone().into());
    }
    let mut claims = Object::from_iter([
        ("iss".to_owned(), request.gateway.into()),
        ("aud".to_owned(), request.audience.into()),
        ("jti".to_owned(), request.jti.into()),
        ("iat".to_owned(), now.seconds().into()),
        ("exp".to_owned(), exp.into()),
        ("sub".to_owned(), subject.key().into()),
        ("kind".to_owned(), Kind::Citizen.word().into()),
        ("acr".to_owned(), subject.level().to_string().into()),
        ("auth_time".to_owned(), subject.proven_at().seconds().into()),
        ("act".to_owned(), json!({"iss": actor.issuer(), "sub": actor.subject(), "kind": actor.kind().word()})),
        ("item".to_owned(), request.item.to_string().into()),
        ("purpose".to_owned(), request.purpose.into()),
        ("cnf".to_owned(), Value::Object(cnf)),
    ]);
    if let Some(case) = request.case {
        claims.insert("case".into(), case.to_string().into());
    }
    if let Some(first) = stands_in {
        claims.insert("stands_in_for".into(), first.into());
    }
    if let Some(paper) = request.paper {
        claims.insert("paper".into(), json!({"id": paper.id(), "sha256": paper.paper()}));
    }
    Ok(claims)
}

/// The same resident number under two accounts is one person.
fn same_person(subject: &Caller, actor: &Caller) -> bool {
    matches!((subject.resident(), actor.resident()), (Some(one), Some(other)) if one == other)
}

/// A citizen acts for another only by a paper between just these two, and never where presence is demanded.
fn agent(subject: &Caller, actor: &Caller, request: &Request<'_>) -> Result<(), ExchangeError> {
    if request.presence {
        return Err(DelegationError::PresenceNeeded.into());
    }
    let paper = request.paper.ok_or(IdentityError::ActNotAllowed("an agent without a power of attorney"))?;
    if paper.from() != subject.key() {
        return Err(DelegationError::Parties("giver").into());
    }
    if paper.to() != actor.key() {
        return Err(DelegationError::Parties("receiver").into());
    }
    if !paper.covers_item(request.item) {
        return Err(DelegationError::Scope("item").into());
    }
    Ok(())
}

/// The deputy acts only while the first is away, and both names go on record (D2).
fn post<'a>(actor: &Caller, post: Post<'a>) -> Result<Option<&'a str>, ExchangeError> {
    match post {
        Post::First => Ok(None),
        Post::Deputy { .. } if actor.kind() != Kind::Clerk => {
            Err(DelegationError::Post("only clerks have posts").into())
        }
        Post::Deputy { first, .. } if first == actor.key() => Err(DelegationError::Post("deputy of oneself").into()),
        Post::Deputy { away: false, .. } => Err(DelegationError::Post("the first post is not away").into()),
        Post::Deputy { first, away: true } => Ok(Some(first)),
    }
}
