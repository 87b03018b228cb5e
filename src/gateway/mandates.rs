//! Papers of delegation at work: whoever registered them is in the directory, and each is judged anew at every act.

use super::rooms::Rooms;
use crate::federation::FederationError;
use crate::identity::book::Reach;
use crate::identity::delegation::{self, Ask, DelegationError, Grant, Once, Paper, PaperView, Registrar};
use crate::identity::jose::{Embedded, Unverified};
use crate::identity::keys::IssuerKeys;
use crate::store::{Tx, once, revoked};
use crate::terms::{CaseNo, Explain, ItemCode, Refusal, UnixMillis};

/// The row of the list of ended things that names a paper.
pub const PAPER: &str = "paper";

/// What is about to be done under a paper.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub act: &'static str,
    pub item: ItemCode,
    pub case: Option<CaseNo>,
    /// The item demands the person.
    pub presence: bool,
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
    act: Act,
    now: UnixMillis,
) -> Result<Grant<P>, Refusal> {
    let (registrar, id) = named(paper).map_err(|e| refused(&e))?;
    let gone = {
        let mut tx = rooms.store.read().await?;
        revoked::is_there(&mut tx, PAPER, &registrar, &id, now).await?
    };
    let (keys, reach) = registrar_of(rooms, &registrar)?;
    let registrar = Registrar { id: &registrar, keys: &keys, reach: &reach };
    let ask = Ask {
        from,
        to,
        item: Some(act.item),
        act: act.act,
        place: Some(rooms.me.region),
        resource: None,
        purpose: None,
        case: act.case,
        presence: act.presence,
    };
    delegation::check(kind, paper, registrar, &ask, &Now(gone), now).map_err(|e| refused(&e))
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
    match once::first_use(tx, &format!("paper:{}", paper.key), paper.expires).await? {
        true => Ok(()),
        false => Err(refused(&DelegationError::Used)),
    }
}
