//! Papers of delegation at work: registered here, and each judged anew at every act.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::Trace;
use super::registry::PaperWord;
use super::rooms::Rooms;
use super::standing::{self, End, Ending, Expect, HELD_S};
use crate::exchange::message::Dossier;
use crate::exchange::{self};
use crate::federation::FederationError;
use crate::identity::book::Reach;
use crate::identity::delegation::{self, Ask, DelegationError, Grant, Once, Paper, PaperView, Registrar, UseConsent};
use crate::identity::jose::{Embedded, Unverified};
use crate::identity::keys::IssuerKeys;
use crate::store::{Tx, once, revoked};
use crate::terms::{CaseNo, Digest, Explain, ItemCode, Refusal, RegionCode, ResidentId, UnixMillis};

/// The row of the list of ended things that names a paper.
pub const PAPER: &str = "paper";
/// The one act of a use consent.
const USE: &str = "use";

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
        return Err(refused(&DelegationError::Invalid("registered at another gateway than the owner's")));
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
    let (keys, reach) = registrar_of(rooms, &registrar, at)?;
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

/// What a person agreed to in writing: that this department uses this data about them, for this purpose (and case).
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    pub person: &'a ResidentId,
    /// Credit code of the department.
    pub department: &'a str,
    pub item: Option<ItemCode>,
    pub resource: &'a str,
    pub fields: &'a BTreeSet<String>,
    pub purpose: Option<&'a str>,
    pub case: Option<CaseNo>,
    /// Where the data are.
    pub place: RegionCode,
}

/// A consent found good for one lookup. One for one use is held meanwhile: [`Consent::close`] says what came of it.
#[must_use = "a consent that is held is used or given back"]
pub struct Consent {
    paper: Digest,
    held: Held,
}

enum Held {
    /// Registered here, for data that are here.
    Here(Option<(Once, UnixMillis)>),
    /// Registered or used elsewhere: what its registrar says of it.
    Stated { registrar: String, standing: String, once: bool },
}

impl Consent {
    /// Digest of the paper: names it in the log.
    pub fn paper(&self) -> Digest {
        self.paper
    }

    /// What the registrar says of it, for the gateway where the data are.
    pub fn standing(&self) -> Option<&str> {
        match &self.held {
            Held::Stated { standing, .. } => Some(standing),
            Held::Here(_) => None,
        }
    }

    /// Uses the paper up where data were given, gives it back where they were not: a refused try costs nobody their paper.
    ///
    /// # Errors
    /// `TB-IDN-0105` where it is another's by now, `TB-GW-0204` where its registrar cannot say: then nothing may be handed
    /// out.
    pub async fn close<T>(self, rooms: &Arc<Rooms>, trace: &Trace, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        match self.held {
            Held::Here(None) | Held::Stated { once: false, .. } => outcome,
            Held::Here(Some((paper, until))) => {
                let mut tx = rooms.store.begin().await?;
                let ours = match &outcome {
                    Ok(_) => once::settle(&mut tx, &name(paper), until, paper.expires).await?,
                    Err(_) => once::release(&mut tx, &name(paper), until).await.map(|()| true)?,
                };
                tx.commit(()).await?;
                if ours { outcome } else { Err(refused(&DelegationError::Used)) }
            }
            Held::Stated { registrar, standing, .. } => {
                let end = if outcome.is_ok() { End::Used } else { End::Back };
                let told = standing::tell(rooms, trace, &registrar, &Ending { standing, end }).await;
                match (outcome, told) {
                    (Ok(_), Err(refusal)) => Err(refusal),
                    // Who cannot be told lets the hold run out.
                    (outcome, _) => outcome,
                }
            }
        }
    }
}

/// Judges a use consent, wherever it was registered and wherever the data are; one for one use is held from here on, at
/// every replica.
///
/// # Errors
/// `TB-IDN-0101` to `-0107`; `TB-GW-0204` where its registrar is another gateway and does not answer.
pub async fn consented(rooms: &Arc<Rooms>, trace: &Trace, paper: &str, wanted: Use<'_>) -> Result<Consent, Refusal> {
    let (registrar, ..) = named(paper).map_err(|e| refused(&e))?;
    let (me, now) = (&rooms.me.id, trace.at);
    let audience = rooms.directory.load().member_for(wanted.place)?.id.clone();
    let digest = Digest::of(paper.as_bytes());
    if registrar == *me && audience == *me {
        let act = Act {
            act: USE,
            item: wanted.item,
            place: Some(rooms.me.region),
            case: wanted.case,
            presence: false,
            resource: Some(wanted.resource),
            fields: Some(wanted.fields),
            purpose: wanted.purpose,
        };
        let person = rooms.pseudonyms.resident(wanted.person).to_string();
        let grant = held(rooms, UseConsent, paper, (&person, wanted.department), act, now).await?;
        let Some(paper) = grant.once() else { return Ok(Consent { paper: digest, held: Held::Here(None) }) };
        let until = now.plus_seconds(HELD_S);
        let mut tx = rooms.store.begin().await?;
        if !once::claim(&mut tx, &name(paper), now, until).await? {
            return Err(refused(&DelegationError::Used));
        }
        tx.commit(()).await?;
        return Ok(Consent { paper: digest, held: Held::Here(Some((paper, until))) });
    }
    let asked = standing::Wanted {
        kind: PaperWord::Consent,
        paper: paper.to_owned(),
        audience: audience.clone(),
        subject: Some(wanted.person.reveal().to_owned()),
        to: wanted.department.to_owned(),
        called: None,
        act: USE.to_owned(),
        item: wanted.item,
        place: rooms.me.region,
        case: wanted.case,
        resource: Some(wanted.resource.to_owned()),
        fields: wanted.fields.clone(),
        purpose: wanted.purpose.map(str::to_owned),
        presence: false,
    };
    let shown = standing::ask(rooms, trace, &registrar, &asked).await?;
    if audience == *me {
        // Used here: judged as of any gateway that shows one.
        let stated = standing::read(rooms, &shown.standing, &wanted.expected(me, now))?;
        if stated.paper() != digest {
            return Err(Refusal::new(&standing::BAD_STANDING, "about another paper"));
        }
    }
    Ok(Consent { paper: digest, held: Held::Stated { registrar, standing: shown.standing, once: shown.held } })
}

impl<'a> Use<'a> {
    /// What a registrar must have said for a lookup like this, shown by `requester`.
    pub fn expected(&self, requester: &'a str, at: UnixMillis) -> Expect<'a> {
        Expect {
            kind: PaperWord::Consent,
            requester,
            subject: Some(self.person),
            from: None,
            to: self.department,
            act: USE,
            item: self.item,
            case: self.case,
            resource: Some(self.resource),
            fields: Some(self.fields),
            purpose: self.purpose,
            at,
        }
    }
}

/// How the store names a paper for one use.
pub(super) fn name(paper: Once) -> String {
    format!("paper:{}", paper.key)
}

/// Registrar, id and time of signing that a paper names; nothing in it is true yet.
fn named(paper: &str) -> Result<(String, String, UnixMillis), DelegationError> {
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
fn registrar_of(rooms: &Rooms, id: &str, at: UnixMillis) -> Result<(IssuerKeys, Reach), Refusal> {
    let directory = rooms.directory.load();
    let stranger = || refused(&DelegationError::Invalid("no registrar of the federation"));
    let member = directory.member(id).ok_or_else(stranger)?;
    let (keys, _) = IssuerKeys::from_jwks(&member.keys_at(at), &[jsonwebtoken::Algorithm::ES256])
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
