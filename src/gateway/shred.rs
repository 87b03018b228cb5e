//! The end of a case's personal data (销毁): its key is destroyed, and everything that was encrypted under it removed.
//! The log stays as it is and still verifies: what it holds of people is under the same key, or a pseudonym.
//!
//! ```text
//!  closed? nothing underway? no hold? ─▶ line in the log ─▶ key gone, files unnamed ─▶ files removed, store scrubbed
//!                                                           └ a crash after this: the tidying job removes the files
//! ```

use super::keep;
use super::rooms::Rooms;
use crate::exchange::{ExchangeError, records};
use crate::store::Tx;
use crate::terms::{CaseNo, Refusal, UnixMillis};

/// Destroys the key, in the caller's transaction; gives the files to be removed after its commit.
///
/// # Errors
/// `TB-EXC-0001` for a case that is not over, `TB-EXC-0005` for none, `TB-EXC-0010` for one whose key is gone already,
/// `TB-EXC-0011` for one on hold.
pub async fn shred(tx: &mut Tx, case: CaseNo) -> Result<Vec<String>, Refusal> {
    let record = records::load(tx, case).await?.ok_or(ExchangeError::NoCase)?;
    if let Some(ground) = records::held(tx, case).await? {
        return Err(ExchangeError::OnHold(ground).into());
    }
    if !record.case.state.is_terminal() || records::underway(tx, case).await? {
        return Err(ExchangeError::NotOver.into());
    }
    let files = records::vault_names(tx, case).await?;
    match records::shred(tx, case).await? {
        true => Ok(files),
        false => Err(ExchangeError::Shredded.into()),
    }
}

/// After the commit: what is left on disk.
pub async fn sweep(rooms: &Rooms, files: &[String]) -> Result<(), Refusal> {
    keep::forget_unnamed(rooms, files.iter().map(String::as_str)).await;
    if !rooms.store.scrub().await? {
        tracing::warn!(
            "the store may hold the destroyed key in dead rows: VACUUM FULL case_key (PostgreSQL), or stop and start"
        );
    }
    Ok(())
}

/// Puts a case on hold (保全).
///
/// # Errors
/// `TB-EXC-0005` for none, `TB-EXC-0010` for one whose key is gone.
pub async fn hold(tx: &mut Tx, case: CaseNo, ground: &str, now: UnixMillis) -> Result<(), Refusal> {
    records::wrapped_key(tx, case).await?;
    records::hold(tx, case, ground, now).await?;
    Ok(())
}
