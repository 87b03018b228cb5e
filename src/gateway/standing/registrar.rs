//! The registrar's side: what it says of its own papers, and the one use of those that have but one.

use std::sync::Arc;

use super::{Claims, End, Ending, HELD_S, LEEWAY_S, LIVES_S, Shown, TYP, Wanted, bad, holder, number};
use crate::audit::Kind;
use crate::audit::entry::{Behalf, Outcome};
use crate::federation::FederationError;
use crate::gateway::ledger::{self, Trace};
use crate::gateway::mandates::{self, Act, PAPER};
use crate::gateway::registry::{self, PaperWord};
use crate::gateway::rooms::Rooms;
use crate::gateway::who::Terminal;
use crate::gateway::word::{self, WordError};
use crate::identity::delegation::{DelegationError, Grant, Once, Paper, PowerOfAttorney, UseConsent, WindowMandate};
use crate::store::{once, revoked};
use crate::terms::{Digest, Refusal, ResidentId, UnixMillis};

/// What a paper that holds says, whatever its kind.
struct Good {
    id: String,
    paper: Digest,
    from: String,
    issuer: Option<String>,
    until: UnixMillis,
    once: Option<Once>,
}

impl<P: Paper> From<Grant<P>> for Good {
    fn from(grant: Grant<P>) -> Self {
        Self {
            id: grant.id().to_owned(),
            paper: grant.paper(),
            from: grant.from().to_owned(),
            issuer: grant.issuer().map(str::to_owned),
            until: grant.expires(),
            once: grant.once(),
        }
    }
}

/// Says what one of our papers is good for, for one act before one gateway. A paper for one use is held for it, but where
/// the act itself spends it in its own transaction here (`hold` is false).
///
/// # Errors
/// `TB-IDN-0101` to `-0108`; `TB-FED-0003` for a gateway that is none, or that acts outside its own places.
pub async fn state(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    requester: &str,
    wanted: &Wanted,
    hold: bool,
) -> Result<Shown, Refusal> {
    let now = trace.at;
    {
        let directory = rooms.directory.load();
        let strange = |why: String| Refusal::from(FederationError::NotThatMember(why));
        let member = |id: &str| directory.member(id).ok_or_else(|| strange(format!("no member {id}")));
        member(&wanted.audience)?;
        if !member(requester)?.speaks_for(wanted.place) {
            return Err(strange(format!("{requester} acts outside its divisions")));
        }
    }
    // A word that holds nothing is for the eyes of whoever asks: shown to another, it would pass for that of a paper for many
    // acts.
    if wanted.look && wanted.audience != requester {
        return Err(bad("a look at a paper is for oneself"));
    }
    let subject: Option<ResidentId> = wanted.subject.as_deref().map(str::parse).transpose()?;
    let good = judged(rooms, requester, wanted, subject.as_ref(), now).await?;
    let held = match good.once {
        Some(paper) if hold && !wanted.look => Some(claim(rooms, paper, now).await?),
        _ => None,
    };
    let salt = number()?;
    let claims = Claims {
        iss: rooms.me.id.clone(),
        aud: wanted.audience.clone(),
        iat: now.seconds(),
        exp: now.seconds() + LIVES_S,
        jti: number()?,
        kind: wanted.kind,
        paper: good.paper,
        id: good.id,
        place: rooms.me.region,
        issuer: good.issuer,
        requester: requester.to_owned(),
        holder: subject.as_ref().map(|number| holder(&salt, number)),
        salt,
        from: (wanted.kind == PaperWord::Mandate).then_some(good.from),
        to: wanted.called.clone().unwrap_or_else(|| wanted.to.clone()),
        act: wanted.act.clone(),
        item: wanted.item,
        case: wanted.case,
        resource: wanted.resource.clone(),
        fields: wanted.fields.clone(),
        purpose: wanted.purpose.clone(),
        until: good.until,
        held,
    };
    let standing = word::sign(rooms, TYP, &claims)?;
    if requester != rooms.me.id {
        record(rooms, trace, requester, claims.paper, "paper-shown").await?;
    }
    Ok(Shown { standing, held: held.is_some() })
}

async fn judged(
    rooms: &Arc<Rooms>,
    requester: &str,
    wanted: &Wanted,
    subject: Option<&ResidentId>,
    now: UnixMillis,
) -> Result<Good, Refusal> {
    let act = Act {
        act: &wanted.act,
        item: wanted.item,
        place: Some(wanted.place),
        case: wanted.case,
        presence: wanted.presence,
        resource: wanted.resource.as_deref(),
        fields: (!wanted.fields.is_empty()).then_some(&wanted.fields),
        purpose: wanted.purpose.as_deref(),
    };
    // Whom it names is compared with who gave it, as the registry has it: a number stands behind a name there.
    let from = mandates::giver(&wanted.paper)?;
    let (paper, parties) = (wanted.paper.as_str(), (from.as_str(), wanted.to.as_str()));
    let mut good: Good = match wanted.kind {
        PaperWord::Attorney => mandates::held(rooms, PowerOfAttorney, paper, parties, act, now).await?.into(),
        PaperWord::Consent => mandates::held(rooms, UseConsent, paper, parties, act, now).await?.into(),
        PaperWord::Mandate => mandates::held(rooms, WindowMandate, paper, parties, act, now).await?.into(),
    };
    if wanted.kind == PaperWord::Attorney {
        good.issuer = good.from.split_once('#').map(|(issuer, _)| issuer.to_owned());
        // Both are at our own door with their tokens, which say who they are and what number is theirs.
        if requester == rooms.me.id {
            return Ok(good);
        }
    }
    let mut tx = rooms.store.read().await?;
    let giver = registry::giver_of(&mut tx, &good.id).await?;
    drop(tx);
    let giver = giver.ok_or_else(|| mandates::refused(&DelegationError::Invalid("not in the register")))?;
    let want = match (wanted.kind, subject) {
        (PaperWord::Mandate, None) => format!("authority:{}", good.from),
        (PaperWord::Attorney | PaperWord::Consent, Some(number)) => {
            format!("person:{}", rooms.pseudonyms.resident(number))
        }
        _ => return Err(bad("a person gives this kind of paper, or a department; the other was named")),
    };
    if giver != want {
        return Err(mandates::refused(&DelegationError::Parties("giver")));
    }
    if wanted.kind != PaperWord::Mandate && good.issuer.is_none() {
        return Err(mandates::refused(&DelegationError::Invalid(
            "it does not say who proved the giver: have it made anew",
        )));
    }
    Ok(good)
}

async fn claim(rooms: &Rooms, paper: Once, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    let until = now.plus_seconds(HELD_S);
    let mut tx = rooms.store.begin().await?;
    if !once::claim(&mut tx, &mandates::name(paper), now, until).await? {
        return Err(mandates::refused(&DelegationError::Used));
    }
    tx.commit(()).await?;
    Ok(until)
}

/// Ends what was said: spends the one use of a paper, or gives it back. Asked of us before anything is handed out, so that
/// what was revoked a moment ago stops it.
///
/// # Errors
/// `TB-GW-0203` for a word that is not ours, or in other hands; `TB-IDN-0104` revoked, `TB-IDN-0105` used by another.
pub async fn end(rooms: &Arc<Rooms>, trace: &Trace, by: &str, ending: &Ending) -> Result<(), Refusal> {
    let now = trace.at;
    let (claims, _) = word::read::<Claims>(rooms, &rooms.me.id, TYP, &ending.standing, now).map_err(|e| match e {
        WordError::Member(error) => error.into(),
        WordError::Wrong(why) => bad(why),
    })?;
    let may = match ending.end {
        End::Used => by == claims.aud || by == claims.requester,
        End::Back => by == claims.requester,
    };
    if claims.iss != rooms.me.id || !may {
        return Err(bad(format!("{by}: a word in other hands")).with("paper", claims.paper.to_string()));
    }
    if now.seconds() > claims.iat + HELD_S + LEEWAY_S {
        return Err(bad(format!("{by}: out of time")).with("paper", claims.paper.to_string()));
    }
    let paper = match claims.kind {
        PaperWord::Attorney => Once::of::<PowerOfAttorney>(&claims.iss, &claims.id, claims.until),
        PaperWord::Consent => Once::of::<UseConsent>(&claims.iss, &claims.id, claims.until),
        PaperWord::Mandate => Once::of::<WindowMandate>(&claims.iss, &claims.id, claims.until),
    };
    let no = |error| mandates::refused(&error).with("paper", claims.paper.to_string());
    // The gateway that hands out and the one that asked for it both say so: it is one use.
    let this = format!("standing:{}", claims.jti);
    let mut tx = rooms.store.begin().await?;
    let mut undone = false;
    match (ending.end, claims.held) {
        (End::Back, Some(until)) => {
            once::release(&mut tx, &mandates::name(paper), until).await?;
            // An agent's act is done by the gateway that had the paper held: it says `used` before it keeps the act, and
            // takes that back where it could not. Of data under a consent another gateway has the last word.
            if claims.kind == PaperWord::Attorney && once::is_there(&mut tx, &this).await? {
                once::release(&mut tx, &mandates::name(paper), paper.expires).await?;
                once::release(&mut tx, &this, paper.expires).await?;
                undone = true;
            }
        }
        (End::Back, None) => {}
        (End::Used, held) => {
            if revoked::is_there(&mut tx, PAPER, &rooms.me.id, &claims.id, now).await? {
                return Err(no(DelegationError::Revoked));
            }
            if let Some(until) = held {
                if once::settle(&mut tx, &mandates::name(paper), until, paper.expires).await? {
                    once::first_use(&mut tx, &this, paper.expires).await?;
                } else if !once::is_there(&mut tx, &this).await? {
                    return Err(no(DelegationError::Used));
                }
            }
        }
    }
    tx.commit(()).await?;
    if by != rooms.me.id && (ending.end == End::Used || undone) {
        let what = if undone { "paper-given-back" } else { "paper-used" };
        record(rooms, trace, by, claims.paper, what).await?;
    }
    Ok(())
}

/// What another gateway did with one of our papers.
async fn record(rooms: &Rooms, trace: &Trace, peer: &str, paper: Digest, what: &str) -> Result<(), Refusal> {
    let line = trace
        .about(rooms, Kind::Login, None, &Terminal::Peer(peer.to_owned()))
        .behalf(Behalf { mandate: Some(paper), ..Behalf::default() })
        .out(Outcome { status: Some(200), receipt: ledger::word(what), ..Outcome::default() });
    rooms.log.append(&line).await?;
    Ok(())
}
