//! The logs of all replicas, named in each of them: on start, when another one joins, and each hour with how far they
//! have come. A log that is cut or rewritten later contradicts what the others have on record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::log::keep_head;
use crate::audit::Kind;
use crate::audit::logset::{Head, LogSet, MAX_LOGS};
use crate::gateway::{Rooms, ledger, stopped};
use crate::store::{StoreError, head};
use crate::terms::{Refusal, UnixMillis};

/// How often the store is asked for logs that joined.
const LOOK: Duration = Duration::from_secs(5);
/// How often the heads of several logs are put on record, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Keeps the set in the log up to date; runs until `stop` turns true.
pub async fn run(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    let mut last: Option<(UnixMillis, LogSet)> = None;
    let mut told = None;
    loop {
        match write(&rooms, last.as_ref(), UnixMillis::now()).await {
            Ok(None) => {}
            Ok(written) => last = written,
            Err(error) => tracing::warn!(%error, "the log set is not in the log yet"),
        }
        is_listed(&rooms, &mut told);
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Writes the set when it is due after `last`; gives what was written.
async fn write(
    rooms: &Rooms,
    last: Option<&(UnixMillis, LogSet)>,
    now: UnixMillis,
) -> Result<Option<(UnixMillis, LogSet)>, Refusal> {
    if last.is_none() {
        keep_head(rooms).await?; // so that the others learn of this log at once
    }
    let Some(set) = known(rooms).await? else {
        tracing::error!(limit = MAX_LOGS, "the store names more logs than a set can have, or one with a broken key");
        return Ok(None);
    };
    if !last.is_none_or(|(at, before)| is_due(before, &set, now.0 - at.0)) {
        return Ok(None);
    }
    let entry = ledger::line(rooms, Kind::LogSet, now);
    let Some(entry) = set.write(entry) else { return Ok(None) };
    rooms.log.append(&entry).await?;
    Ok(Some((now, set)))
}

fn is_due(before: &LogSet, set: &LogSet, age_ms: i64) -> bool {
    !set.same_logs(before) || (set.heads().len() > 1 && age_ms >= HOUR_MS && set != before)
}

/// This log as it is, and the others as the store knows them.
pub(super) async fn known(rooms: &Rooms) -> Result<Option<LogSet>, StoreError> {
    let mut tx = rooms.store.begin().await?;
    let all = head::all(&mut tx).await?;
    tx.commit(()).await?;
    let (key, newest) = (rooms.log.key(), rooms.log.checkpoint());
    let mut heads = vec![Head { key: key.clone(), size: newest.size, root: newest.root }];
    for log in all.into_iter().filter(|log| log.origin != key.name()) {
        // A log whose replica has not started since keys are kept is listed when it does.
        let Some(text) = log.key else { continue };
        let Ok(key) = text.parse() else { return Ok(None) };
        heads.push(Head { key, size: log.size, root: log.root });
    }
    Ok(LogSet::new(heads).and_then(|set| rooms.log_state.logs(set)))
}

/// Says once for each version of the directory when it does not know this log.
fn is_listed(rooms: &Rooms, told: &mut Option<u64>) {
    let directory = rooms.directory.load();
    let key = rooms.log.key();
    let listed = directory.member(&rooms.me.id).is_some_and(|me| me.logs.iter().any(|log| log.keys.contains(key)));
    if !listed && told.replace(directory.version) != Some(directory.version) {
        let version = directory.version;
        tracing::warn!(%key, version, "the directory does not list this log: no peer cosigns it or proves its receipts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note::{KeyKind, Signer};
    use crate::terms::Digest;

    #[test]
    fn a_set_is_written_when_it_says_something_new() {
        let set = |heads: &[(&str, u64)]| {
            let head = |(origin, size): &(&str, u64)| {
                let key = Signer::from_seed(origin, &[1; 32]).unwrap().verifier(KeyKind::Ed25519);
                Head { key, size: *size, root: Digest::of(&size.to_be_bytes()) }
            };
            LogSet::new(heads.iter().map(head).collect()).unwrap()
        };
        for (before, now, age, due) in [
            (&[("a", 1)][..], &[("a", 1)][..], i64::MAX, false),
            (&[("a", 1)], &[("a", 9)], i64::MAX, false), // a log alone says nothing new of itself
            (&[("a", 1)], &[("a", 1), ("b", 0)], 0, true),
            (&[("a", 1), ("b", 0)], &[("a", 1), ("b", 7)], HOUR_MS - 1, false),
            (&[("a", 1), ("b", 0)], &[("a", 1), ("b", 7)], HOUR_MS, true),
            (&[("a", 1), ("b", 7)], &[("a", 1), ("b", 7)], HOUR_MS, false),
        ] {
            assert_eq!(is_due(&set(before), &set(now), age), due, "{before:?} {now:?} {age}");
        }
    }
}
