//! Whether the tokens that came with a request still count, for whatever takes its time: a stream, a lookup that waits.
//! Proofs of possession are for one request and were seen with it; what ends a token may come at any moment.

use std::sync::Arc;

use super::door::refused;
use super::mandates;
use super::opaque::Source;
use super::rooms::Rooms;
use crate::identity::IdentityError;
use crate::identity::access::Checked;
use crate::identity::caller::Caller;
use crate::identity::exchanged::Exchanged;
use crate::identity::revocation::RevocationView;
use crate::terms::{Refusal, UnixMillis};

/// A token goes on for so long beyond its end, in seconds, as it does at the door: clocks differ.
const LEEWAY_S: i64 = 10;

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
    /// An agent's power of attorney, as signed.
    paper: Option<String>,
}

impl Lasting {
    /// One more token; `opaque` where only its issuer can read it.
    pub(super) fn add(&mut self, checked: &Checked, opaque: Option<&str>) {
        let caller = &checked.caller;
        self.ends(caller.expires());
        self.opaque.extend(opaque.map(|token| (caller.issuer().to_owned(), token.to_owned())));
        self.callers.push(caller.clone());
    }

    /// A token of ours, for two people.
    pub(super) fn of(exchanged: &Exchanged) -> Self {
        Self {
            callers: exchanged.callers().to_vec(),
            own: Some(exchanged.jti().to_owned()),
            until: Some(exchanged.expires()),
            opaque: exchanged.opaque().to_vec(),
            paper: exchanged.paper().map(str::to_owned),
        }
    }

    fn ends(&mut self, at: UnixMillis) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }

    /// Asks again. Where nobody showed a token there is nothing to ask.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`, `issuer_silent`; `TB-IDN-0104` for a power of attorney that was taken back here.
    pub async fn still(&self, rooms: &Rooms, now: UnixMillis) -> Result<(), Refusal> {
        self.tokens(rooms, now).await.map_err(|error| refused(rooms, &error, false, now))?;
        if let Some(paper) = &self.paper {
            let mut tx = rooms.store.read().await?;
            mandates::still_given(&mut tx, rooms, paper, now).await?;
        }
        Ok(())
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
