//! Papers of delegation at work: registered here, and each judged anew at every act.

use std::collections::BTreeSet;

use super::rooms::Rooms;
use crate::exchange;
use crate::exchange::message::Dossier;
use crate::federation::{Directory, FederationError};
use crate::identity::book::Reach;
use crate::identity::delegation::{self, Ask, DelegationError, Grant, Once, Paper, PaperView, Registrar, Wording};
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
    pub fields: Option<&'a BTreeSet<String>>,
    pub purpose: Option<&'a str>,
}

impl<'a> Act<'a> {
    /// An agent's act in a matter of this gateway's place.
    pub fn of_agent(rooms: &Rooms, act: &'a str, item: ItemCode, case: Option<CaseNo>, presence: bool) -> Self {
        let place = Some(rooms.me.region);
        Self { act, item: Some(item), place, case, presence, resource: None, fields: None, purpose: None }
    }
}

impl<'a> Act<'a> {
    /// A window's act on a case, for its owner.
    pub fn of_window(act: exchange::Act, dossier: &Dossier, no: CaseNo) -> Self {
        Self {
            act: act.word(),
            item: Some(dossier.item),
            place: Some(dossier.owner),
            case: Some(no),
            presence: false,
            resource: None,
            fields: None,
            purpose: None,
        }
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
    let (registrar, id, _) = named(paper).map_err(|e| refused(&e))?;
    // Of a paper registered elsewhere nobody could say here whether it was taken back a moment ago.
    if registrar != rooms.me.id {
        return Err(refused(&DelegationError::Invalid("registered at another gateway: have it made here")));
    }
    let gone = {
        let mut tx = rooms.store.read().await?;
        revoked::is_there(&mut tx, PAPER, &registrar, &id, now).await?
    };
    judged(rooms, kind, paper, (from, to), act, gone, now)
}

/// Judges a paper that may be another gateway's, as far as can be seen here: whether it was taken back or used, its registrar
/// will say.
///
/// # Errors
/// `TB-IDN-0101` to `-0108`.
pub fn seen<P: Paper>(
    rooms: &Rooms,
    kind: P,
    (registrar, paper): (&str, &str),
    parties: (&str, &str),
    act: Act<'_>,
    now: UnixMillis,
) -> Result<Grant<P>, Refusal> {
    if named(paper).map_err(|e| refused(&e))?.0 != registrar {
        return Err(refused(&DelegationError::Invalid("registered at another gateway than it must be")));
    }
    judged(rooms, kind, paper, parties, act, false, now)
}

fn judged<P: Paper>(
    rooms: &Rooms,
    kind: P,
    paper: &str,
    (from, to): (&str, &str),
    act: Act<'_>,
    gone: bool,
    now: UnixMillis,
) -> Result<Grant<P>, Refusal> {
    let (registrar, _, at) = named(paper).map_err(|e| refused(&e))?;
    let (keys, reach) = registrar_of(&rooms.directory.load(), &registrar, at)?;
    let registrar = Registrar { id: &registrar, keys: &keys, reach: &reach };
    let ask = Ask {
        from,
        to,
        item: act.item,
        act: act.act,
        place: act.place,
        resource: act.resource,
        fields: act.fields,
        purpose: act.purpose,
        case: act.case,
        presence: act.presence,
    };
    delegation::check(kind, paper, registrar, &ask, &Now(gone), now).map_err(|e| refused(&e))
}

/// What a paper says that was registered at gateway `me`, whenever it is in force; `None` where the directory lists no key (any more)
/// that could have signed it.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn wording<P: Paper>(me: &str, directory: &Directory, paper: &str) -> Result<Option<Wording>, String> {
    let (registrar, _, at) = named(paper).map_err(|e| e.to_string())?;
    if registrar != me {
        return Err(format!("was registered at {registrar}: whether it was taken back, this gateway could not know"));
    }
    let (keys, reach) = registrar_of(directory, me, at).map_err(|refusal| refusal.to_string())?;
    let registrar = Registrar { id: me, keys: &keys, reach: &reach };
    match delegation::wording::<P>(paper, registrar) {
        Err(DelegationError::NoKey) => Ok(None),
        read => read.map(Some).map_err(|e| e.to_string()),
    }
}

/// How the store names a paper for one use.
pub(super) fn name(paper: Once) -> String {
    format!("paper:{}", paper.key)
}

/// Registrar, id and time of signing that a paper names; nothing in it is true yet.
pub(super) fn named(paper: &str) -> Result<(String, String, UnixMillis), DelegationError> {
    let unverified = Unverified::parse(paper, Embedded::Refused).map_err(DelegationError::Signature)?;
    let claims = unverified.claims_unverified().map_err(DelegationError::Signature)?;
    let member = |name: &str| claims.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let at = claims.get("iat").and_then(|v| v.as_i64()).map(UnixMillis::from_seconds);
    match (member("iss"), member("jti"), at) {
        (Some(registrar), Some(id), Some(at)) => Ok((registrar, id, at)),
        _ => Err(DelegationError::Invalid("it names no registrar, has no number or no time")),
    }
}

/// Who a paper says gave it; nothing in it is true yet.
pub(super) fn giver(paper: &str) -> Result<String, Refusal> {
    let unverified = Unverified::parse(paper, Embedded::Refused).and_then(|unverified| unverified.claims_unverified());
    let claims = unverified.map_err(|e| refused(&DelegationError::Signature(e)))?;
    let from = claims.get("from").and_then(|v| v.as_str()).map(str::to_owned);
    from.ok_or_else(|| refused(&DelegationError::Invalid("it names nobody who gave it")))
}

/// Places of a registrar, a member of the federation, and its keys that counted when a paper was signed.
fn registrar_of(directory: &Directory, id: &str, at: UnixMillis) -> Result<(IssuerKeys, Reach), Refusal> {
    let stranger = || refused(&DelegationError::Invalid("no registrar of the federation"));
    let member = directory.member(id).ok_or_else(stranger)?;
    let (keys, _) = IssuerKeys::from_jwks(&member.keys_at(at), &[jsonwebtoken::Algorithm::ES256])
        .map_err(|_| FederationError::NotThatMember(format!("{id}: its keys cannot be read")))?;
    Ok((keys, Reach::Within(member.places.iter().map(|place| place.division()).collect())))
}

/// Whether a paper registered here was taken back, as the store says in the transaction of the act.
///
/// # Errors
/// The store's.
pub(super) async fn is_taken_back(tx: &mut Tx, rooms: &Rooms, id: &str, now: UnixMillis) -> Result<bool, Refusal> {
    Ok(revoked::is_there(tx, PAPER, &rooms.me.id, id, now).await?)
}

/// Asks once more about a paper registered here, in the transaction of the act that took its time: another gateway's is its
/// registrar's to say.
///
/// # Errors
/// `TB-IDN-0104` where it was taken back meanwhile.
pub async fn still_given(tx: &mut Tx, rooms: &Rooms, paper: &str, now: UnixMillis) -> Result<(), Refusal> {
    let (registrar, id, _) = named(paper).map_err(|e| refused(&e))?;
    match registrar == rooms.me.id && is_taken_back(tx, rooms, &id, now).await? {
        true => Err(refused(&DelegationError::Revoked)),
        false => Ok(()),
    }
}

/// Uses a one-use paper up, in the transaction of the act.
///
/// # Errors
/// `TB-IDN-0105` when it has been used, at whichever replica.
pub async fn use_once(tx: &mut Tx, paper: Once, now: UnixMillis) -> Result<(), Refusal> {
    // Another gateway may have held it for an act that came to nothing: a hold that ran out holds nobody up.
    match once::claim(tx, &name(paper), now, paper.expires).await? {
        true => Ok(()),
        false => Err(refused(&DelegationError::Used)),
    }
}
