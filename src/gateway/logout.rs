//! Sessions that an issuer ends: kept for all replicas, in force everywhere within seconds.

use std::sync::Arc;

use super::ledger::{self, Trace};
use super::rooms::Rooms;
use crate::audit::Kind;
use crate::audit::entry::{Actor, Outcome};
use crate::identity::IdentityError;
use crate::identity::error::Challenge;
use crate::identity::logout::LogoutToken;
use crate::identity::revocation::Revocations;
use crate::store::{once, revoked};
use crate::terms::{Refusal, UnixMillis};

/// What a row of the list names.
const SESSION: &str = "session";
const SUBJECT: &str = "subject";

/// Takes a logout token; one that came before changes nothing.
///
/// # Errors
/// As of an access token, or the store's.
pub async fn take(rooms: &Arc<Rooms>, trace: &Trace, token: &str) -> Result<(), Refusal> {
    let book = rooms.issuers.load_full();
    let refused = |e: IdentityError| e.refusal(&Challenge::default());
    let people = rooms.people.load_full();
    let client = people.sign_in.as_ref().map(|s| (s.issuer.as_str(), s.credentials.client_id.as_str()));
    let end = LogoutToken::read_as(token, &book, client, trace.at).map_err(refused)?;
    let until = trace.at.plus_seconds(end.remember_s);
    let mut tx = rooms.store.begin().await?;
    // A session where one is named; else everything of the subject issued so far.
    let (kind, id) = match (&end.session, &end.subject) {
        (Some(session), _) => (SESSION, session),
        (None, Some(subject)) => (SUBJECT, subject),
        (None, None) => return Err(refused(IdentityError::TokenMalformed("nobody is named"))),
    };
    if !once::first_use(&mut tx, &format!("logout:{}:{}", end.issuer, end.jti), until).await? {
        // Sent again, by an issuer that missed our answer or by somebody who overheard it: done once, and on record.
        return Ok(());
    }
    let row = revoked::Revoked { kind: kind.into(), issuer: end.issuer.clone(), id: id.clone(), at: end.issued };
    revoked::add(&mut tx, &row, until).await?;
    tx.commit(()).await?;
    refresh(rooms, trace.at).await?;
    let actor = Actor { kind: ledger::word("issuer"), issuer: ledger::word(&end.issuer), ..Actor::default() };
    let entry = trace.entry(rooms, Kind::Login).actor(actor).out(Outcome {
        status: Some(200),
        receipt: ledger::word(kind),
        ..Outcome::default()
    });
    rooms.log.append(&entry).await?;
    Ok(())
}

/// Reads the list anew; another replica may have added to it.
pub async fn refresh(rooms: &Arc<Rooms>, now: UnixMillis) -> Result<(), Refusal> {
    let mut tx = rooms.store.read().await?;
    let mut ended = Revocations::default();
    for row in revoked::all(&mut tx, now).await? {
        match row.kind.as_str() {
            super::errand::TOKEN => ended.token(&row.issuer, &row.id),
            SESSION => ended.session(&row.issuer, &row.id),
            SUBJECT => ended.subject(&row.issuer, &row.id, row.at),
            // Papers and posts are asked of the store when they matter.
            _ => {}
        }
    }
    rooms.ended.store(Arc::new(ended));
    Ok(())
}
