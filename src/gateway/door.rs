//! From headers to people: tokens are checked, proofs are used up, and the keys of issuers are looked after.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::duty;
use super::errand::{self, Errand};
use super::lasting::Lasting;
use super::ledger::Trace;
use super::opaque::{PORTAL, Source};
use super::rooms::Rooms;
use super::strangers::network;
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use crate::identity::access::{self, Caller, Checked, Expect, Presented, Verdict};
use crate::identity::book::Kind;
use crate::identity::dpop;
use crate::identity::error::{Challenge, IdentityError};
use crate::identity::exchanged::{self, Exchanged};
use crate::identity::jose::Object;
use crate::policy::{Ask, Post, Role};
use crate::terms::{Digest, Refusal, UnixMillis};

/// Header with the applicant's token, beside the clerk's in `Authorization`.
pub const SUBJECT_TOKEN: &str = "tongban-subject-token";

/// Clock difference to a device that is forgiven where no issuer's entry says another, in seconds.
const LEEWAY_S: i64 = 10;

/// The request as far as tokens are bound to it.
pub struct Door<'a> {
    pub headers: &'a HeaderMap,
    pub method: &'a str,
    /// Scheme, authority and path.
    pub url: &'a str,
    pub certificate: Option<Digest>,
    pub from: From<'a>,
    pub now: UnixMillis,
}

/// Who stands at the door, for the sake of tokens that do not say whose they are.
#[derive(Clone, Copy)]
pub enum From<'a> {
    Terminal(&'a Terminal, IpAddr),
    /// A session at a page, begun at this issuer.
    Session(&'a str),
}

/// Who comes: who acts, for whom, and on which errand where one token of ours speaks for both.
#[derive(Default)]
pub struct People {
    pub caller: Option<Person>,
    pub subject: Option<Person>,
    pub errand: Option<Errand>,
    /// What their tokens rest on.
    pub lasting: Lasting,
}

impl Door<'_> {
    /// All lines of a header; one that is not text is no line to pass over.
    fn lines(&self, rooms: &Rooms, name: &str) -> Result<Vec<&str>, Refusal> {
        let lines: Result<Vec<_>, _> = self.headers.get_all(name).iter().map(|v| v.to_str()).collect();
        let odd = IdentityError::TokenMalformed("a header that is not ASCII");
        lines.map_err(|_| refused(rooms, &odd, false, self.now))
    }

    pub(super) fn proofs_absent(&self) -> bool {
        !self.headers.contains_key("dpop")
    }

    /// Everybody whom the request names. `act` is what the route does, as papers name it.
    ///
    /// # Errors
    /// What is wrong with a token, a proof or a paper; `two_credentials` for a second token beside one that speaks for two.
    pub async fn people(
        &self,
        rooms: &Arc<Rooms>,
        trace: &Trace,
        terminal: &Terminal,
        act: &'static str,
    ) -> Result<People, Refusal> {
        let headers = self.lines(rooms, "authorization")?;
        let beside = self.lines(rooms, SUBJECT_TOKEN)?;
        let mut lasting = Lasting::default();
        let two = || refused(rooms, &IdentityError::TwoCredentials, false, self.now);
        let caller = match headers.is_empty() {
            true => None,
            false => {
                let found = access::credential(&headers);
                let (scheme, token) = found.map_err(|e| refused(rooms, &e, false, self.now))?;
                if exchanged::is_of(token, &rooms.issuer()?) {
                    if !beside.is_empty() {
                        return Err(two());
                    }
                    let exchanged = self.exchanged_by(rooms, scheme, token, false).await.map_err(|(_, no)| no)?;
                    let people = errand::people(rooms, trace, &exchanged, terminal, act).await?;
                    let (caller, subject, errand) = people;
                    let lasting = Lasting::of(&exchanged, act, self.now);
                    return Ok(People { caller: Some(caller), subject: Some(subject), errand: Some(errand), lasting });
                }
                let presented = self.presented(rooms, scheme, false)?;
                let checked = self.check(rooms, token, &presented).await?;
                lasting.add(&checked, Some(token).filter(|token| is_opaque(token)));
                let mut caller = person(&checked.caller);
                duty::of(rooms, &caller.subject, self.now).await?.seat(&mut caller);
                Some(caller)
            }
        };
        // In whose name. The applicant's own device proved possession at the window's reader, so this token is bound to the
        // terminal's certificate or to nothing.
        let subject = match beside[..] {
            [] => None,
            [token] => {
                let presented = Presented { proofs: Vec::new(), ..self.presented(rooms, "Bearer", false)? };
                let checked = self.check(rooms, token, &presented).await?;
                lasting.add(&checked, Some(token).filter(|token| is_opaque(token)));
                let subject = person(&checked.caller);
                if subject.kind != PersonKind::Citizen {
                    return Err(Refusal::new(&WRONG_KIND, "the token beside is not a citizen's"));
                }
                Some(subject)
            }
            _ => return Err(two()),
        };
        Ok(People { caller, subject, errand: None, lasting })
    }

    fn presented<'p>(&'p self, rooms: &Rooms, scheme: &'p str, token_endpoint: bool) -> Result<Presented<'p>, Refusal> {
        Ok(Presented {
            scheme,
            method: self.method,
            url: self.url,
            proofs: self.lines(rooms, "dpop")?,
            certificate: self.certificate,
            token_endpoint,
        })
    }

    /// A bearer token that comes from no header: that of a session.
    pub(super) async fn bearer(&self, rooms: &Arc<Rooms>, token: &str) -> Result<Checked, Refusal> {
        let presented = Presented { scheme: "Bearer", method: self.method, url: self.url, ..Presented::default() };
        self.check(rooms, token, &presented).await
    }

    /// The citizen's token in an exchange; a proof of the citizen's own device comes beside it.
    pub(super) async fn subject_of_exchange(
        &self,
        rooms: &Arc<Rooms>,
        token: &str,
        proof: Option<&str>,
    ) -> Result<Checked, Refusal> {
        let mut presented = self.presented(rooms, "", true)?;
        presented.proofs = proof.into_iter().collect();
        self.check(rooms, token, &presented).await
    }

    /// The actor's token in an exchange, and the key its device has proven where the token itself names none.
    pub(super) async fn actor_of_exchange(&self, rooms: &Arc<Rooms>, token: &str) -> Result<errand::Actor, Refusal> {
        let presented = self.presented(rooms, "", true)?;
        let checked = self.check(rooms, token, &presented).await?;
        if checked.caller.binding().jkt.is_some() {
            return Ok((checked, None));
        }
        let nonces = rooms.nonces(self.now);
        let nonces: Vec<&str> = nonces.iter().map(String::as_str).collect();
        let new = dpop::check_new(&presented, &nonces, LEEWAY_S, self.now);
        match new.map_err(|e| refused(rooms, &e, true, self.now))? {
            None => Ok((checked, None)),
            Some((jkt, replay)) => {
                errand::remember(rooms, Some(replay), self.now).await?;
                Ok((checked, Some(jkt)))
            }
        }
    }

    /// Reads a token of our own; beside the refusal, why, where it is about the token.
    pub(super) async fn exchanged(
        &self,
        rooms: &Arc<Rooms>,
        token: &str,
        token_endpoint: bool,
    ) -> Result<Exchanged, (Option<IdentityError>, Refusal)> {
        self.exchanged_by(rooms, "", token, token_endpoint).await
    }

    async fn exchanged_by(
        &self,
        rooms: &Arc<Rooms>,
        scheme: &str,
        token: &str,
        token_endpoint: bool,
    ) -> Result<Exchanged, (Option<IdentityError>, Refusal)> {
        let lines = self.lines(rooms, "dpop").map_err(|no| (None, no))?;
        let presented = Presented {
            scheme,
            method: self.method,
            url: self.url,
            proofs: lines,
            certificate: self.certificate,
            token_endpoint,
        };
        let issuer = rooms.issuer().map_err(|no| (None, no.into()))?;
        let nonces = rooms.nonces(self.now);
        let nonces: Vec<&str> = nonces.iter().map(String::as_str).collect();
        let read = {
            let (keys, book, ended) = (rooms.keys.load(), rooms.issuers.load(), rooms.ended.load());
            let house = exchanged::House {
                issuer: &issuer,
                keys: keys.assertion.keys(),
                cover: &rooms.secrets.cover,
                book: &book,
                nonces: &nonces,
            };
            exchanged::read(token, &presented, house, &**ended, self.now)
        };
        let dpop = scheme.eq_ignore_ascii_case("dpop") || (token_endpoint && !presented.proofs.is_empty());
        let exchanged = read.map_err(|e| {
            let no = refused(rooms, &e, dpop, self.now);
            (Some(e), no)
        })?;
        errand::remember(rooms, exchanged.replay, self.now).await.map_err(|no| (None, no))?;
        // What only an issuer can read ends when it says so, also where two were made into one.
        let whom = rooms.people.load_full();
        for (issuer, token) in exchanged.opaque() {
            let said = rooms.services.introspect(token, &whom.introspected, &Source::Session { issuer }).await;
            said.map_err(|e| {
                let no = refused(rooms, &e, dpop, self.now);
                (Some(e), no)
            })?;
        }
        Ok(exchanged)
    }

    async fn introspected(&self, rooms: &Rooms, token: &str) -> Result<Arc<Object>, IdentityError> {
        let whom = rooms.people.load_full();
        let (terminal, address) = match self.from {
            From::Session(issuer) => {
                return rooms.services.introspect(token, &whom.introspected, &Source::Session { issuer }).await;
            }
            From::Terminal(terminal, address) => (terminal, address),
        };
        let word = match terminal {
            Terminal::Unknown => PORTAL.to_owned(),
            known => known.word(rooms),
        };
        let key = self.certificate.unwrap_or_else(|| Digest::of(network(address).to_string().as_bytes()));
        rooms.services.introspect(token, &whom.introspected, &Source::Caller { terminal: &word, key }).await
    }

    async fn check(&self, rooms: &Arc<Rooms>, token: &str, presented: &Presented<'_>) -> Result<Checked, Refusal> {
        let dpop =
            presented.scheme.eq_ignore_ascii_case("dpop") || (presented.token_endpoint && !presented.proofs.is_empty());
        let nonces = rooms.nonces(self.now);
        let nonces: Vec<&str> = nonces.iter().map(String::as_str).collect();
        let expect = Expect { nonces: &nonces, ..Expect::default() };
        let judge = || {
            let (book, ended) = (rooms.issuers.load(), rooms.ended.load());
            rooms.verdicts.check(token, presented, &book, &expect, &**ended, self.now)
        };
        let checked = match judge() {
            _ if is_opaque(token) => match self.introspected(rooms, token).await {
                Err(error) => Err(error),
                Ok(claims) => {
                    let (book, ended) = (rooms.issuers.load(), rooms.ended.load());
                    let verdict = Verdict::introspected(token, &claims, &book);
                    verdict.and_then(|verdict| verdict.judge(token, presented, &expect, &**ended, self.now))
                }
            },
            Err(error) if error.needs().is_some() => {
                // A newer key set may help; the refresher limits how often it is asked for.
                rooms.keys_wanted.notify_one();
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                judge()
            }
            other => other,
        };
        let checked = checked.and_then(|checked| {
            rooms.people.load().bindings.check(&checked.caller)?;
            Ok(checked)
        });
        let checked = checked.map_err(|e| refused(rooms, &e, dpop, self.now))?;
        errand::remember(rooms, checked.replay, self.now).await?;
        Ok(checked)
    }
}

/// A token that only its issuer can read: anything but the three parts of a JWS.
pub(super) fn is_opaque(token: &str) -> bool {
    token.bytes().filter(|b| *b == b'.').count() != 2
}

/// The refusal with its challenge; where proofs carry nonces of ours, the current one goes along.
pub(super) fn refused(rooms: &Rooms, error: &IdentityError, dpop: bool, now: UnixMillis) -> Refusal {
    let nonce = rooms.nonce(now);
    error.refusal(&Challenge { realm: "tongban", dpop, dpop_nonce: nonce.as_deref() })
}

pub(super) fn person(caller: &Caller) -> Person {
    let roles = Role::ALL.iter().copied().filter(|r| caller.roles().contains(r.word())).collect();
    Person {
        kind: match caller.kind() {
            Kind::Citizen => PersonKind::Citizen,
            Kind::Clerk => PersonKind::Clerk,
            Kind::Outlet => PersonKind::Outlet,
            Kind::System => PersonKind::System,
            Kind::Auditor => PersonKind::Auditor,
            Kind::Operator => PersonKind::Operator,
        },
        subject: format!("{}#{}", caller.issuer(), caller.subject()),
        id: caller.subject().to_owned(),
        issuer: caller.issuer().to_owned(),
        name: caller.name().map(str::to_owned),
        resident: caller.resident().cloned(),
        contact: caller.contact().clone(),
        level: caller.level(),
        level_at: caller.proven_at(),
        method: caller.method().map(str::to_owned),
        org: caller.org().map(str::to_owned),
        roles,
        places: caller.divisions().to_vec(),
        scopes: caller.scopes().iter().cloned().collect(),
        session: caller.token(),
        bound: caller.is_bound(),
        paper: None,
        post: Post::A,
        stands_in_for: None,
        behalf: None,
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
        max_age_s: minutes.map(|minutes| i64::from(minutes) * 60),
        acr_values: strong.unwrap_or_default(),
    };
    let challenge = error.refusal(&Challenge { realm: "tongban", dpop: person.bound, dpop_nonce: None });
    challenge.headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.header(name, value))
}

/// The code under which the rules refuse a level that is too low or too old.
const LEVEL_TOLD: &str = "TB-POL-0202";

/// A person is needed, and there is none.
pub fn required(person: Option<Person>) -> Result<Person, Refusal> {
    let challenge = Challenge { realm: "tongban", ..Challenge::default() };
    person.ok_or_else(|| IdentityError::TokenMissing.refusal(&challenge))
}
