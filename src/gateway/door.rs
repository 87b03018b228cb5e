//! From headers to people: tokens are checked, proofs are used up, and the keys of issuers are looked after.

use std::sync::Arc;

use http::HeaderMap;

use super::rooms::Rooms;
use super::who::{Person, PersonKind};
use crate::identity::access::{self, Caller, Expect, Presented};
use crate::identity::book::Kind;
use crate::identity::error::{Challenge, IdentityError};
use crate::policy::{Ask, Role};
use crate::store::once;
use crate::terms::{Digest, Refusal, UnixMillis};

/// Header with the applicant's token, beside the clerk's in `Authorization`.
pub const SUBJECT_TOKEN: &str = "tongban-subject-token";

/// The request as far as tokens are bound to it.
pub struct Door<'a> {
    pub headers: &'a HeaderMap,
    pub method: &'a str,
    /// Scheme, authority and path.
    pub url: &'a str,
    pub certificate: Option<Digest>,
    pub now: UnixMillis,
}

impl Door<'_> {
    /// All lines of a header; one that is not text is no line to pass over.
    fn lines(&self, name: &str) -> Result<Vec<&str>, Refusal> {
        let lines: Result<Vec<_>, _> = self.headers.get_all(name).iter().map(|v| v.to_str()).collect();
        lines.map_err(|_| refused(&IdentityError::TokenMalformed("a header that is not ASCII"), false))
    }

    /// Who sends the request. `None` when there is no token at all.
    pub async fn caller(&self, rooms: &Arc<Rooms>) -> Result<Option<Person>, Refusal> {
        let headers = self.lines("authorization")?;
        if headers.is_empty() {
            return Ok(None);
        }
        let (scheme, token) = access::credential(&headers).map_err(|e| refused(&e, false))?;
        let presented = Presented {
            scheme,
            method: self.method,
            url: self.url,
            proofs: self.lines("dpop")?,
            certificate: self.certificate,
        };
        self.check(rooms, token, &presented).await.map(Some)
    }

    /// In whose name. The applicant's own device proved possession at the window's reader, so this token is bound to the
    /// terminal's certificate or to nothing.
    pub async fn subject(&self, rooms: &Arc<Rooms>) -> Result<Option<Person>, Refusal> {
        match self.lines(SUBJECT_TOKEN)?[..] {
            [] => Ok(None),
            [token] => {
                let presented = Presented {
                    scheme: "Bearer",
                    method: self.method,
                    url: self.url,
                    proofs: Vec::new(),
                    certificate: self.certificate,
                };
                self.check(rooms, token, &presented).await.map(Some)
            }
            _ => Err(refused(&IdentityError::TwoCredentials, false)),
        }
    }

    async fn check(&self, rooms: &Arc<Rooms>, token: &str, presented: &Presented<'_>) -> Result<Person, Refusal> {
        let dpop = presented.scheme.eq_ignore_ascii_case("dpop");
        let judge = || {
            let (book, ended) = (rooms.issuers.load(), rooms.ended.load());
            rooms.verdicts.check(token, presented, &book, &Expect::default(), &**ended, self.now)
        };
        let checked = match judge() {
            Err(error) if error.needs().is_some() => {
                // A newer key set may help; the refresher limits how often it is asked for.
                rooms.keys_wanted.notify_one();
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                judge()
            }
            other => other,
        };
        let checked = checked.map_err(|e| refused(&e, dpop))?;
        if let Some(replay) = checked.replay {
            let mut tx = rooms.store.begin().await?;
            let first = once::first_use(&mut tx, &format!("dpop:{}", replay.key), replay.expires).await?;
            tx.commit(()).await?;
            if !first {
                return Err(refused(&IdentityError::DpopReplay, true));
            }
        }
        Ok(person(&checked.caller))
    }
}

fn refused(error: &IdentityError, dpop: bool) -> Refusal {
    error.refusal(&Challenge { realm: "tongban", dpop, dpop_nonce: None })
}

fn person(caller: &Caller) -> Person {
    let roles = Role::ALL.iter().copied().filter(|r| caller.roles().contains(r.word())).collect();
    Person {
        kind: match caller.kind() {
            Kind::Citizen => PersonKind::Citizen,
            Kind::Clerk | Kind::Outlet | Kind::System => PersonKind::Staff,
            Kind::Auditor => PersonKind::Auditor,
            Kind::Operator => PersonKind::Operator,
        },
        subject: format!("{}#{}", caller.issuer(), caller.subject()),
        id: caller.subject().to_owned(),
        issuer: caller.issuer().to_owned(),
        name: caller.name().map(str::to_owned),
        resident: caller.resident().cloned(),
        level: caller.level(),
        level_at: caller.proven_at(),
        org: caller.org().map(str::to_owned),
        roles,
        places: caller.divisions().to_vec(),
        scopes: caller.scopes().iter().cloned().collect(),
        session: caller.token(),
        bound: caller.is_bound(),
    }
}

/// A no of the rules about the level, with the challenge that tells a client how to mend it (RFC 9470).
pub fn step_up(rooms: &Rooms, person: &Person, ask: &Ask, refusal: Refusal) -> Refusal {
    let Some((level, minutes)) = ask.level_needed().filter(|_| refusal.told.code == LEVEL_TOLD) else { return refusal };
    let book = rooms.issuers.load();
    let strong = book.get(&person.issuer).map(|issuer| {
        let enough = issuer.entry.acr_levels.iter().filter(|(_, have)| **have >= level);
        enough.map(|(acr, _)| acr.as_str()).collect::<Vec<_>>().join(" ")
    });
    let error = IdentityError::AcrInsufficient {
        have: person.level,
        want: level,
        max_age_s: Some(i64::from(minutes) * 60),
        acr_values: strong.unwrap_or_default(),
    };
    let challenge = refused(&error, person.bound);
    challenge.headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.header(name, value))
}

/// The code under which the rules refuse a level that is too low or too old.
const LEVEL_TOLD: &str = "TB-POL-0202";

/// A person is needed, and there is none.
pub fn required(person: Option<Person>) -> Result<Person, Refusal> {
    person.ok_or_else(|| refused(&IdentityError::TokenMissing, false))
}
