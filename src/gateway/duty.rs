//! A and B posts (AB岗): who stands in for whom, and whether the first is away.
//!
//! ```text
//!  roster (configuration): first ─ deputy         POST /v1/duty {"away": true} by the first or a head of their organisation
//!  deputy ─▶ is the first away, now, at any replica? ─▶ acts, and both names go on record
//! ```

use serde::Deserialize;

use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::who::{Person, Terminal, WRONG_KIND};
use crate::audit::entry::Outcome;
use crate::audit::{Committed, Kind};
use crate::identity::delegation::DelegationError;
use crate::identity::exchange::Post;
use crate::policy::{self, Role};
use crate::store::revoked;
use crate::terms::{Refusal, UnixMillis};

/// The row of the list that names somebody who is away.
const AWAY: &str = "away";
/// Somebody is away for so long at most, in hours: a mark that was forgotten ends by itself.
const AWAY_MAX_H: u32 = 24;

/// A pair of posts; both as `issuer#subject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub first: String,
    pub deputy: String,
    /// Whose heads say that the first is away; nobody but the first where there is none.
    pub org: Option<String>,
}

impl Pair {
    /// A head of the same organisation, but not the deputy: nobody opens their own post.
    fn is_under(&self, head: &Person) -> bool {
        head.roles.contains(&Role::Head) && self.org.is_some() && self.org == head.org && self.deputy != head.subject
    }
}

/// On which post somebody sits.
#[derive(Clone, Debug)]
pub struct Duty {
    pair: Option<(String, bool)>,
}

impl Duty {
    pub fn post(&self) -> Post<'_> {
        match &self.pair {
            None => Post::First,
            Some((first, away)) => Post::Deputy { first, away: *away },
        }
    }

    /// As the rules see it.
    pub fn as_rules(&self) -> policy::Post {
        match &self.pair {
            None => policy::Post::A,
            Some((_, true)) => policy::Post::Acting,
            Some((_, false)) => policy::Post::Deputy,
        }
    }

    /// Whoever sits there, with the post and for whom they stand in.
    pub fn seat(&self, person: &mut Person) {
        person.post = self.as_rules();
        person.stands_in_for = self.first().map(str::to_owned);
    }

    /// For whom a deputy acts, by number.
    fn first(&self) -> Option<&str> {
        self.pair.as_ref().map(|(first, _)| first.rsplit_once('#').map_or(first.as_str(), |(_, number)| number))
    }

    /// # Errors
    /// `TB-IDN-0109` for a deputy whose first is there again.
    pub fn still_acting(&self) -> Result<(), Refusal> {
        match &self.pair {
            Some((_, false)) => Err(super::mandates::refused(&DelegationError::Post("the first post is not away"))),
            _ => Ok(()),
        }
    }
}

/// The post of somebody, by `issuer#subject`.
pub async fn of(rooms: &Rooms, key: &str, now: UnixMillis) -> Result<Duty, Refusal> {
    let people = rooms.people.load_full();
    let Some(pair) = people.posts.iter().find(|pair| pair.deputy == key) else { return Ok(Duty { pair: None }) };
    let mut tx = rooms.store.read().await?;
    let away = revoked::is_there(&mut tx, AWAY, "", &pair.first, now).await?;
    Ok(Duty { pair: Some((pair.first.clone(), away)) })
}

/// What is said of a post.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    pub away: bool,
    /// For how long, at most 24 hours; 12 when absent.
    #[serde(default)]
    pub hours: Option<u32>,
    /// Whose post: `issuer#subject`; one's own when absent. Heads say it of others.
    #[serde(default)]
    pub of: Option<String>,
}

/// Marks a first post as away or back.
///
/// # Errors
/// `TB-GW-0103` for anybody but the holder of the post or a head of the same organisation who is not the deputy.
pub async fn mark(
    rooms: &Rooms,
    trace: &Trace,
    terminal: &Terminal,
    person: &Person,
    notice: &Notice,
) -> Result<Committed, Refusal> {
    let whose = notice.of.as_deref().unwrap_or(&person.subject);
    let wrong = |why: &str| Refusal::new(&WRONG_KIND, why);
    if !person.kind.is_staff() {
        return Err(wrong("only staff have posts"));
    }
    let people = rooms.people.load_full();
    let mut pairs = people.posts.iter().filter(|pair| pair.first == whose);
    if whose == person.subject {
        if pairs.next().is_none() {
            return Err(wrong("you hold no first post"));
        }
    } else if !pairs.any(|pair| pair.is_under(person)) {
        return Err(wrong("only a head of the same organisation, but not the deputy, says that somebody else is away"));
    }
    let hours = notice.hours.unwrap_or(AWAY_MAX_H / 2).clamp(1, AWAY_MAX_H);
    let until = if notice.away { trace.at.plus_seconds(i64::from(hours) * 3_600) } else { trace.at };
    let mut tx = rooms.store.begin().await?;
    let row = revoked::Revoked { kind: AWAY.into(), issuer: String::new(), id: whose.to_owned(), at: trace.at };
    revoked::add(&mut tx, &row, until).await?;
    tx.commit(()).await?;
    let number = whose.rsplit_once('#').map_or(whose, |(_, number)| number);
    let line = trace
        .about(rooms, Kind::Login, Some(person), terminal)
        .out(Outcome { status: Some(200), ..Outcome::default() });
    let word = if notice.away { "post-away" } else { "post-back" };
    let line = ledger::facts(line, &[(word, number)]);
    Ok(rooms.log.append(&line).await?)
}
