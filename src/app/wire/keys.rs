//! The keys that a gateway makes itself at its first start, and never again: with another one all that it has would be lost, or go on
//! under other names.

use std::path::Path;

use super::{Wrong, wrong};
use crate::audit::{Log, Pseudonymiser};
use crate::exchange::{Key, records};
use crate::store::Store;
use crate::terms::UnixMillis;

const NO_KEY: &str = "缺失，而日志或办件库中已有内容：请从备份恢复，或挂载其所在目录 · is missing, and the log or the store is not empty: restore it from \
                      its backup, or mount the folder that it is in (lost for good: the manual, Changing keys)";
const NOT_THE_KEY: &str = "与日志中办件索引所记的密钥不符：请从备份恢复 · is not the key that the log's map of cases names: every case would go on under \
                           another name; restore it from its backup (lost for good: the manual, Changing keys)";

/// Whether nothing was logged or kept yet.
///
/// # Errors
/// The store's.
pub(super) async fn is_first(log: &Log, store: &Store) -> Result<bool, Wrong> {
    let mut tx = store.read().await.map_err(|e| e.to_string())?;
    let has_cases = records::any(&mut tx).await.map_err(|e| e.to_string())?;
    Ok(log.size() == 0 && !has_cases)
}

/// Reads a key; makes it at the first start.
///
/// # Errors
/// Where it is missing later.
pub(super) fn kept(file: &Path, is_first: bool) -> Result<Key, Wrong> {
    let is_there = file.try_exists().map_err(|e| wrong(file, e))?;
    if !is_there && !is_first {
        return Err(wrong(file, NO_KEY));
    }
    Key::read_or_make(file).map_err(|e| wrong(file, e))
}

/// What makes the pseudonyms, by the key that the log names.
///
/// # Errors
/// As [`kept`], and for another key.
pub(super) fn pseudonyms(file: &Path, is_first: bool, log: &Log, now: UnixMillis) -> Result<Pseudonymiser, Wrong> {
    let year = super::year(now);
    let made = Pseudonymiser::new(kept(file, is_first)?.octets(), year);
    match log.recovery().pseudonyms {
        Some(print) if print != made.print() => Err(wrong(file, NOT_THE_KEY)),
        _ => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::evidence::index::PSEUDONYMS;
    use crate::audit::note::Signer;
    use crate::audit::{Entry, Kind, OpenOptions};
    use crate::gateway::ledger;

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        assert!(kept(&file, false).is_err_and(|why| why.contains("restore it")));
        let made = kept(&file, true).unwrap();
        for is_first in [true, false] {
            assert_eq!(kept(&file, is_first).unwrap().octets(), made.octets(), "{is_first}");
        }
        std::fs::write(&file, b"short").unwrap();
        assert!(kept(&file, true).is_err());
    }

    #[test]
    fn pseudonyms_are_made_with_the_key_that_the_log_names() {
        let (folder, now) = (tempfile::tempdir().unwrap(), UnixMillis(1_771_000_000_000));
        let open = || {
            let signer = Signer::from_seed("own.example/gw", &[7; 32]).unwrap();
            Log::open(&folder.path().join("log"), OpenOptions::new(signer)).unwrap()
        };
        let file = folder.path().join("pseudonym.key");
        let log = open();
        let made = pseudonyms(&file, true, &log, now).unwrap();
        let map = ledger::facts(Entry::new(Kind::Index, now), &[(PSEUDONYMS, made.print())]);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.append_index(map)).unwrap();
        drop(log);
        let log = open();
        assert!(pseudonyms(&file, false, &log, now).is_ok());
        std::fs::write(&file, [1; 32]).unwrap();
        assert!(pseudonyms(&file, false, &log, now).is_err_and(|why| why.contains("another name")));
        std::fs::remove_file(&file).unwrap();
        assert!(pseudonyms(&file, false, &log, now).is_err_and(|why| why.contains("restore it")));
    }
}
