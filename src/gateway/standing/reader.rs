//! The other side: what a registrar says, read by the gateway before which the act is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Claims, End, Ending, LEEWAY_S, LIVES_S, TYP, bad, holder, tell};
use crate::federation::{Directory, Member};
use crate::gateway::ledger::Trace;
use crate::gateway::mandates;
use crate::gateway::registry::PaperWord;
use crate::gateway::rooms::Rooms;
use crate::gateway::word::{self, WordError};
use crate::identity::delegation::DelegationError;
use crate::identity::jose::{Embedded, Unverified};
use crate::store::once;
use crate::terms::{CaseNo, Digest, ItemCode, Refusal, ResidentId, UnixMillis};

/// The act at hand, as this gateway sees it. What is said must be about exactly this.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    pub kind: PaperWord,
    /// The gateway that shows it.
    pub requester: &'a str,
    /// Who must have given it; a department gives a mandate.
    pub subject: Option<&'a ResidentId>,
    pub from: Option<&'a str>,
    /// Who must have received it.
    pub to: &'a str,
    pub act: &'a str,
    pub item: Option<ItemCode>,
    pub case: Option<CaseNo>,
    pub resource: Option<&'a str>,
    /// Fields that are asked for; fewer than were named is well.
    pub fields: Option<&'a BTreeSet<String>>,
    pub purpose: Option<&'a str>,
    /// When the act is done.
    pub at: UnixMillis,
}

/// What a registrar said, found to be about the act at hand. Only [`read`] makes one.
#[derive(Clone)]
pub struct Stated {
    claims: Claims,
    token: String,
}

impl Stated {
    /// Digest of the paper: names it in the log.
    pub fn paper(&self) -> Digest {
        self.claims.paper
    }

    /// Remembers the word: one act, one word, at whichever replica.
    ///
    /// # Errors
    /// `TB-GW-0203` when it came before.
    pub async fn first(&self, rooms: &Rooms) -> Result<(), Refusal> {
        let until = UnixMillis::from_seconds(self.claims.exp + LEEWAY_S + 1);
        let mut tx = rooms.store.begin().await?;
        let first = once::first_use(&mut tx, &format!("stated:{}:{}", self.claims.iss, self.claims.jti), until).await?;
        tx.commit(()).await?;
        if first { Ok(()) } else { Err(self.named(bad("the same word came before"))) }
    }

    /// Asks the registrar whether the paper still holds, and spends its one use: nothing is handed out before.
    ///
    /// # Errors
    /// `TB-IDN-0104`, `TB-IDN-0105`, `TB-GW-0204`.
    pub async fn confirm(&self, rooms: &Arc<Rooms>, trace: &Trace) -> Result<(), Refusal> {
        let ending = Ending { standing: self.token.clone(), end: End::Used };
        tell(rooms, trace, &self.claims.iss, &ending).await.map_err(|refusal| self.named(refusal))
    }

    /// Gives a paper for one use back to its registrar. One that cannot be told lets the hold run out.
    pub async fn give_back(&self, rooms: &Arc<Rooms>, trace: &Trace) {
        let ending = Ending { standing: self.token.clone(), end: End::Back };
        if let Err(refusal) = tell(rooms, trace, &self.claims.iss, &ending).await {
            tracing::info!(%refusal, "a paper stays held until its hold runs out");
        }
    }

    /// A no that names the paper for the log.
    fn named(&self, refusal: Refusal) -> Refusal {
        let named = refusal.members.iter().any(|(name, _)| *name == "paper");
        if named { refusal } else { refusal.with("paper", self.claims.paper.to_string()) }
    }
}

/// Reads what a registrar says and compares it with the act at hand.
///
/// # Errors
/// `TB-GW-0203` where signature, registrar, audience or time do not hold; `TB-IDN-0103` for a paper that ran out,
/// `TB-IDN-0106` for another's, `TB-IDN-0107` for another act, item, case, resource, field or purpose.
pub fn read(rooms: &Rooms, token: &str, expect: &Expect<'_>) -> Result<Stated, Refusal> {
    let registrar = registrar(token)?;
    let (claims, member) = word::read::<Claims>(rooms, &registrar, TYP, token, expect.at).map_err(|e| match e {
        WordError::Member(error) => bad(error.to_string()),
        WordError::Wrong(why) => bad(why),
    })?;
    let stated = Stated { claims, token: token.to_owned() };
    match genuine(rooms, &stated.claims, &member, expect).and_then(|()| fits(&stated.claims, expect)) {
        Ok(()) => Ok(stated),
        Err(refusal) => Err(stated.named(refusal)),
    }
}

/// Who says it; nothing of it is true yet.
fn registrar(token: &str) -> Result<String, Refusal> {
    let unverified = Unverified::parse(token, Embedded::Refused).map_err(|e| bad(e.to_string()))?;
    let claims = unverified.claims_unverified().map_err(|e| bad(e.to_string()))?;
    let named = claims.get("iss").and_then(|v| v.as_str());
    named.map(str::to_owned).ok_or_else(|| bad("it names no registrar"))
}

/// Said by a registrar of its own places, to us, now, for the gateway that shows it.
fn genuine(rooms: &Rooms, claims: &Claims, member: &Member, expect: &Expect<'_>) -> Result<(), Refusal> {
    if claims.iss != member.id || claims.aud != rooms.me.id || claims.requester != expect.requester {
        return Err(bad(format!("{}: made by, for or through somebody else", member.id)));
    }
    if !word::in_time((claims.iat, claims.exp), expect.at, LIVES_S, LEEWAY_S) {
        return Err(bad(format!("{}: out of time", member.id)));
    }
    if !member.speaks_for(claims.place) {
        return Err(bad(format!("{}: registered outside its divisions", member.id)));
    }
    match (claims.kind, &claims.issuer) {
        (PaperWord::Mandate, _) => Ok(()),
        (_, Some(issuer)) if proves(&rooms.directory.load(), issuer, claims) => Ok(()),
        _ => Err(bad(format!("{}: the giver was proven by nobody who may", member.id))),
    }
}

/// Whether the directory lets an issuer prove people where the paper was registered.
fn proves(directory: &Directory, issuer: &str, claims: &Claims) -> bool {
    let issuer = directory.issuers.iter().find(|listed| listed.issuer == issuer);
    issuer.is_some_and(|i| i.populations.iter().any(|p| p == "citizen") && i.speaks_for(claims.place))
}

fn fits(claims: &Claims, expect: &Expect<'_>) -> Result<(), Refusal> {
    use DelegationError::{Kind, Parties, Period, Scope};
    let given = match expect.subject {
        Some(number) => claims.holder == Some(holder(&claims.salt, number)),
        None => claims.holder.is_none() && expect.from.is_some(),
    };
    let covered = expect.fields.is_none_or(|fields| fields.is_subset(&claims.fields));
    let error = [
        (claims.kind == expect.kind, Kind),
        (claims.until > expect.at, Period),
        (given && claims.from.as_deref() == expect.from, Parties("giver")),
        (claims.to == expect.to, Parties("receiver")),
        (claims.act == expect.act, Scope("act")),
        (claims.item == expect.item, Scope("item")),
        (claims.case == expect.case, Scope("case")),
        (claims.resource.as_deref() == expect.resource, Scope("resource")),
        (covered, Scope("fields")),
        (claims.purpose.as_deref() == expect.purpose, Scope("purpose")),
    ];
    match error.into_iter().find(|(holds, _)| !holds) {
        Some((_, error)) => Err(mandates::refused(&error)),
        None => Ok(()),
    }
}
