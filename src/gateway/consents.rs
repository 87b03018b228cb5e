//! Use consents at work: judged for one lookup, wherever they were registered and wherever the data are.
//!
//! ```text
//!  registered here, data here      ─▶ our own store ─────────────┐
//!  one of the two elsewhere        ─▶ the registrar's standing ──┴▶ Consent (held) ─▶ lookup ─▶ used, or given back
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::Trace;
use super::mandates::{self, Act, held, name, named, refused};
use super::registry::{self, Draft, Giver, PaperWord};
use super::rooms::Rooms;
use super::standing::{self, End, Ending, Expect, HELD_S};
use super::who::{Person, Terminal};
use crate::identity::delegation::{DelegationError, Once, UseConsent};
use crate::store::once;
use crate::terms::{CaseNo, Digest, ItemCode, Refusal, RegionCode, ResidentId, UnixMillis};

/// The one act of a use consent.
const USE: &str = "use";

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
    /// Registered here under this number, for data that are here; held where it is for one use.
    Here { id: String, held: Option<(Once, UnixMillis)> },
    /// Registered or used elsewhere: what its registrar says of it, and whether the data are here.
    Stated { registrar: String, standing: String, once: bool, here: bool },
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
            Held::Here { .. } => None,
        }
    }

    /// Uses the paper up where data were given, gives it back where they were not: a refused try costs nobody their paper.
    ///
    /// # Errors
    /// `TB-IDN-0104` where it was taken back meanwhile, `TB-IDN-0105` where it is another's by now, `TB-GW-0204` where its
    /// registrar cannot say: then nothing may be handed out.
    pub async fn close<T>(self, rooms: &Arc<Rooms>, trace: &Trace, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        match self.held {
            // Where the data are elsewhere, the gateway that has them gave the registrar the last word.
            Held::Stated { once: false, here: false, .. } => outcome,
            Held::Stated { once: false, .. } if outcome.is_err() => outcome,
            Held::Here { held: None, .. } if outcome.is_err() => outcome,
            Held::Here { id, held } => {
                let mut tx = rooms.store.begin().await?;
                // A provider takes its time: what was agreed to when it was asked may be taken back by now.
                let gone = outcome.is_ok() && mandates::is_taken_back(&mut tx, rooms, &id, trace.at).await?;
                let ours = match held {
                    Some((paper, until)) if outcome.is_ok() && !gone => {
                        once::settle(&mut tx, &name(paper), until, paper.expires).await?
                    }
                    Some((paper, until)) => once::release(&mut tx, &name(paper), until).await.map(|()| true)?,
                    None => true,
                };
                tx.commit(()).await?;
                match (gone, ours) {
                    (true, _) => Err(refused(&DelegationError::Revoked)),
                    (_, false) => Err(refused(&DelegationError::Used)),
                    (false, true) => outcome,
                }
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

/// Takes what a person who is here by their own token agrees to now: a paper for this one lookup, registered and listed among
/// theirs like any other, and held for it.
///
/// # Errors
/// `TB-GW-0132` where the person is not proven strongly or recently enough to give a paper, else as [`consented`].
pub async fn given_now(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    (person, terminal): (&Person, &Terminal),
    wanted: Use<'_>,
) -> Result<Consent, Refusal> {
    let giver = Giver::Person(person, terminal);
    let given = registry::register(rooms, trace, &giver, &Draft::consent_now(&wanted)).await?;
    consented(rooms, trace, &given.paper, wanted).await
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
        let id = grant.id().to_owned();
        let Some(paper) = grant.once() else {
            return Ok(Consent { paper: digest, held: Held::Here { id, held: None } });
        };
        let until = now.plus_seconds(HELD_S);
        let mut tx = rooms.store.begin().await?;
        if !once::claim(&mut tx, &name(paper), now, until).await? {
            return Err(refused(&DelegationError::Used));
        }
        tx.commit(()).await?;
        return Ok(Consent { paper: digest, held: Held::Here { id, held: Some((paper, until)) } });
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
        look: false,
    };
    let shown = standing::ask(rooms, trace, &registrar, &asked).await?;
    if audience == *me {
        // Used here: judged as of any gateway that shows one.
        let stated = standing::read(rooms, &shown.standing, &wanted.expected(me, now))?;
        if stated.paper() != digest {
            return Err(Refusal::new(&standing::BAD_STANDING, "about another paper"));
        }
    }
    let here = audience == *me;
    Ok(Consent { paper: digest, held: Held::Stated { registrar, standing: shown.standing, once: shown.held, here } })
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
