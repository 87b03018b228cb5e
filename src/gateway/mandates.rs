//! Papers of delegation at work: registered here, and each judged anew at every act.

use super::rooms::Rooms;
use crate::federation::FederationError;
use crate::identity::book::Reach;
use crate::identity::delegation::{self, Ask, DelegationError, Grant, Once, Paper, PaperView, Registrar, UseConsent};
use crate::identity::jose::{Embedded, Unverified};
use crate::identity::keys::IssuerKeys;
use crate::store::{Tx, once, revoked};
use crate::terms::{CaseNo, Explain, ItemCode, Refusal, RegionCode, UnixMillis};

/// The row of the list of ended things that names a paper.
pub const PAPER: &str = "paper";

/// What is about to be done under a paper.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    pub act: &'a str,
    pub item: Option<ItemCode>,
    pub place: Option<RegionCode>,
    pub case: Option<CaseNo>,
    /// The item demands the person.
    pub presence: bool,
    pub resource: Option<&'a str>,
    pub purpose: Option<&'a str>,
}

impl<'a> Act<'a> {
    /// An agent's act in a matter of this gateway's place.
    pub fn of_agent(rooms: &Rooms, act: &'a str, item: ItemCode, case: Option<CaseNo>, presence: bool) -> Self {
        let place = Some(rooms.me.region);
        Self { act, item: Some(item), place, case, presence, resource: None, purpose: None }
    }
}

/// A paper and whether it has been revoked, as the store says at this moment.
struct Now(bool);

impl PaperView for Now {
    fn is_revoked(&self, _: &str, _: &str) -> bool {
        self.0
    }
}

pub(super) fn refused(error: &DelegationError) -> Refusal {
    Refusal::new(error.told(), error.to_string())
}

/// Judges a paper for one act. Revocation is asked of the store itself: it counts at once, at every replica.
///
/// # Errors
/// `TB-IDN-0101` to `-0108`.
pub async fn held<P: Paper>(
    rooms: &Rooms,
    kind: P,
    paper: &str,
    (from, to): (&str, &str),
    act: Act<'_>,
    now: UnixMillis,
) -> Result<Grant<P>, Refusal> {
    let (registrar, id) = named(paper).map_err(|e| refused(&e))?;
    // Of a paper registered elsewhere nobody could say here whether it was taken back a moment ago.
    if registrar != rooms.me.id {
        return Err(refused(&DelegationError::Invalid("registered at another gateway: have it made here")));
    }
    let gone = {
        let mut tx = rooms.store.read().await?;
        revoked::is_there(&mut tx, PAPER, &registrar, &id, now).await?
    };
    let (keys, reach) = registrar_of(rooms, &registrar)?;
    let registrar = Registrar { id: &registrar, keys: &keys, reach: &reach };
    let ask = Ask {
        from,
        to,
        item: act.item,
        act: act.act,
        place: act.place,
        resource: act.resource,
        purpose: act.purpose,
        case: act.case,
        presence: act.presence,
    };
    delegation::check(kind, paper, registrar, &ask, &Now(gone), now).map_err(|e| refused(&e))
}

/// What a person agreed to in writing: that this department uses this data about them, for this purpose (and case).
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The person, by pseudonym.
    pub person: &'a str,
    /// Credit code of the department.
    pub department: &'a str,
    pub item: Option<ItemCode>,
    pub resource: &'a str,
    pub purpose: Option<&'a str>,
    pub case: Option<CaseNo>,
}

/// How long one lookup may hold a consent for one use before another may try, in seconds: longer than any provider is
/// waited for, so that only a process that died leaves it to run out.
const CLAIM_S: i64 = 120;

/// A consent found good for one lookup. One for one use is held meanwhile: [`Consent::close`] says what came of it.
#[derive(Debug)]
#[must_use = "a consent that is held is used or given back"]
pub struct Consent {
    held: Option<(Once, UnixMillis)>,
}

impl Consent {
    /// Uses the paper up where data were given, gives it back where they were not: a refused try costs nobody their paper.
    ///
    /// # Errors
    /// `TB-IDN-0105` where it is another's by now: then nothing may be handed out.
    pub async fn close<T>(self, rooms: &Rooms, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        let Some((paper, until)) = self.held else { return outcome };
        let mut tx = rooms.store.begin().await?;
        let ours = match &outcome {
            Ok(_) => once::settle(&mut tx, &name(paper), until, paper.expires).await?,
            Err(_) => once::release(&mut tx, &name(paper), until).await.map(|()| true)?,
        };
        tx.commit(()).await?;
        if ours { outcome } else { Err(refused(&DelegationError::Used)) }
    }
}

/// Judges a use consent; one for one use is held from here on, at every replica.
///
/// # Errors
/// `TB-IDN-0101` to `-0107`.
pub async fn consented(rooms: &Rooms, paper: &str, wanted: Use<'_>, now: UnixMillis) -> Result<Consent, Refusal> {
    let act = Act {
        act: "use",
        item: wanted.item,
        place: Some(rooms.me.region),
        case: wanted.case,
        presence: false,
        resource: Some(wanted.resource),
        purpose: wanted.purpose,
    };
    let grant = held(rooms, UseConsent, paper, (wanted.person, wanted.department), act, now).await?;
    let Some(paper) = grant.once() else { return Ok(Consent { held: None }) };
    let until = now.plus_seconds(CLAIM_S);
    let mut tx = rooms.store.begin().await?;
    if !once::claim(&mut tx, &name(paper), now, until).await? {
        return Err(refused(&DelegationError::Used));
    }
    tx.commit(()).await?;
    Ok(Consent { held: Some((paper, until)) })
}

/// How the store names a paper for one use.
fn name(paper: Once) -> String {
    format!("paper:{}", paper.key)
}

/// Registrar and id that a paper names; nothing in it is true yet.
fn named(paper: &str) -> Result<(String, String), DelegationError> {
    let unverified = Unverified::parse(paper, Embedded::Refused).map_err(DelegationError::Signature)?;
    let claims = unverified.claims_unverified().map_err(DelegationError::Signature)?;
    let member = |name: &str| claims.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    member("iss").zip(member("jti")).ok_or(DelegationError::Invalid("it names no registrar or has no number"))
}

/// Keys and places of a registrar: a member of the federation, for its own places.
fn registrar_of(rooms: &Rooms, id: &str) -> Result<(IssuerKeys, Reach), Refusal> {
    let directory = rooms.directory.load();
    let stranger = || refused(&DelegationError::Invalid("no registrar of the federation"));
    let member = directory.member(id).ok_or_else(stranger)?;
    let keys = serde_json::to_vec(&member.assertion_keys).unwrap_or_default();
    let (keys, _) = IssuerKeys::from_jwks(&keys, &[jsonwebtoken::Algorithm::ES256])
        .map_err(|_| FederationError::NotThatMember(format!("{id}: its keys cannot be read")))?;
    Ok((keys, Reach::Within(member.places.iter().map(|place| place.division()).collect())))
}

/// Uses a one-use paper up, in the transaction of the act.
///
/// # Errors
/// `TB-IDN-0105` when it has been used, at whichever replica.
pub async fn use_once(tx: &mut Tx, paper: Once) -> Result<(), Refusal> {
    match once::first_use(tx, &name(paper), paper.expires).await? {
        true => Ok(()),
        false => Err(refused(&DelegationError::Used)),
    }
}
