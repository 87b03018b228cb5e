//! Whether the tokens that came with a request still count, for whatever takes its time: a stream, a lookup that waits.
//! Proofs of possession are for one request and were seen with it; what ends a token may come at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::agents;
use super::door::refused;
use super::ledger::Trace;
use super::mandates::{self, Act};
use super::opaque::Source;
use super::rooms::Rooms;
use crate::identity::IdentityError;
use crate::identity::access::Checked;
use crate::identity::caller::Caller;
use crate::identity::exchanged::Exchanged;
use crate::identity::revocation::RevocationView;
use crate::terms::{CaseNo, ItemCode, Presence, Refusal, ResidentId, UnixMillis};

/// A token goes on for so long beyond its end, in seconds, as it does at the door: clocks differ.
const LEEWAY_S: i64 = 10;
/// The registrar of another gateway's paper is asked again after so long, in seconds: what it says counts for a minute, and a stream
/// looks every five seconds.
const ELSEWHERE_S: i64 = 50;

/// What the tokens of one request rest on.
#[derive(Default)]
pub struct Lasting {
    callers: Vec<Arc<Caller>>,
    /// Number of a token of ours.
    own: Option<String>,
    /// The earliest of their ends.
    until: Option<UnixMillis>,
    /// Issuer and text of each token that only its issuer can read.
    opaque: Vec<(String, String)>,
    agency: Option<Agency>,
}

/// An agent's power of attorney, and the act for which it was judged.
struct Agency {
    /// As signed.
    paper: String,
    from: String,
    to: String,
    person: Option<ResidentId>,
    act: &'static str,
    item: ItemCode,
    case: Option<CaseNo>,
    /// When its registrar was asked last, where that is another gateway.
    asked: AtomicI64,
}

impl Lasting {
    /// One more token; `opaque` where only its issuer can read it.
    pub(super) fn add(&mut self, checked: &Checked, opaque: Option<&str>) {
        let caller = &checked.caller;
        self.ends(caller.expires());
        self.opaque.extend(opaque.map(|token| (caller.issuer().to_owned(), token.to_owned())));
        self.callers.push(caller.clone());
    }

    /// A token of ours, for two people, and for `act`.
    pub(super) fn of(exchanged: &Exchanged, act: &'static str, now: UnixMillis) -> Self {
        let agency = |paper: &str| Agency {
            paper: paper.to_owned(),
            from: exchanged.subject().key(),
            to: exchanged.actor().key(),
            person: exchanged.subject().resident().cloned(),
            act,
            item: exchanged.item(),
            case: exchanged.case(),
            asked: AtomicI64::new(now.0),
        };
        Self {
            callers: exchanged.callers().to_vec(),
            own: Some(exchanged.jti().to_owned()),
            until: Some(exchanged.expires()),
            opaque: exchanged.opaque().to_vec(),
            agency: exchanged.paper().map(agency),
        }
    }

    fn ends(&mut self, at: UnixMillis) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }

    /// Asks again. Where nobody showed a token there is nothing to ask.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`, `issuer_silent`; what is wrong with a power of attorney by now, `TB-GW-0204` where its
    /// registrar is another gateway and does not answer.
    pub async fn still(&self, rooms: &Arc<Rooms>, trace: &Trace) -> Result<(), Refusal> {
        let now = trace.at;
        self.tokens(rooms, now).await.map_err(|error| refused(rooms, &error, false, now))?;
        match &self.agency {
            Some(agency) => agency.still(rooms, trace).await,
            None => Ok(()),
        }
    }

    async fn tokens(&self, rooms: &Rooms, now: UnixMillis) -> Result<(), IdentityError> {
        if self.until.is_some_and(|until| now >= until.plus_seconds(LEEWAY_S)) {
            return Err(IdentityError::TokenExpired);
        }
        {
            let ended = rooms.ended.load();
            let own = self.own.as_ref().zip(rooms.issuer().ok());
            if self.callers.iter().any(|caller| ended.is_revoked(caller))
                || own.is_some_and(|(jti, issuer)| ended.is_token_revoked(&issuer, jti))
            {
                return Err(IdentityError::TokenRevoked);
            }
        }
        let whom = rooms.people.load_full();
        for (issuer, token) in &self.opaque {
            rooms.services.introspect(token, &whom.introspected, &Source::Session { issuer }).await?;
        }
        Ok(())
    }
}

impl Agency {
    async fn still(&self, rooms: &Arc<Rooms>, trace: &Trace) -> Result<(), Refusal> {
        let elsewhere = mandates::named(&self.paper).is_ok_and(|(registrar, ..)| registrar != rooms.me.id);
        let asked = self.asked.load(Ordering::Relaxed);
        if elsewhere && trace.at < UnixMillis(asked).plus_seconds(ELSEWHERE_S) {
            return Ok(());
        }
        let presence = rooms.catalogue.load().item(self.item)?.presence != Presence::None;
        let act = Act::of_agent(rooms, self.act, self.item, self.case, presence);
        agents::held_by(rooms, trace, &self.paper, (&self.from, &self.to), act, self.person.as_ref()).await?;
        self.asked.store(trace.at.0, Ordering::Relaxed);
        Ok(())
    }
}
