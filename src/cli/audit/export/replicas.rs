//! The logs of other replicas in an export: a case may have entries in each, and one that has none says so.

use std::path::PathBuf;
use std::time::Duration;

use super::{ExportArgs, told};
use crate::audit::Pseudonym;
use crate::audit::checkpoint;
use crate::audit::evidence::{self, EvidenceError, Half, MAX_ENTRIES};
use crate::audit::log::is_open;
use crate::audit::note::VerifierKey;
use crate::audit::verify::{Fetch, Peer};
use crate::cli::audit::target::{Target, peer};

/// How often, and how long apart, a replica's log is looked at for the map of cases that our export made it write.
const MAP_TRIES: u32 = 40;
const MAP_PAUSE: Duration = Duration::from_millis(250);

/// The log of a replica, as it was before the export was put on record.
pub(super) struct Replica {
    word: String,
    log: Peer,
    size: u64,
    /// Where its own folder is; it has rules and decisions, too.
    log_folder: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
}

/// Finds them before anything is put on record: one that cannot be read is not exported.
pub(super) fn find(own: &VerifierKey, keys: &[VerifierKey], args: &ExportArgs) -> Result<Vec<Replica>, String> {
    let mut known = vec![own.name().to_owned()];
    let mut one = |word: &String| {
        let named = |e: String| format!("{word}: {e}");
        let log = peer(word, keys, &args.reach)?;
        if known.iter().any(|origin| origin == log.key.name()) {
            return Err(named("该日志已在其中 · this log is in it already".into()));
        }
        known.push(log.key.name().to_owned());
        let note = log.log.get("checkpoint").map_err(|e| named(e.to_string()))?.unwrap_or_default();
        let size = checkpoint::open(&note, &log.key, None).map_err(|e| named(e.to_string()))?.size();
        let log_folder = match Target::find(word)? {
            Target::Folder(folder) => Some(folder),
            _ => None,
        };
        let data = log_folder.as_ref().and_then(|folder| folder.parent()).map(PathBuf::from);
        Ok(Replica { word: word.clone(), log, size, log_folder, data })
    };
    args.replica.iter().map(&mut one).collect()
}

/// Our own half, of this log, and those of the replicas. `asked`: whether they were asked for a new map of their cases.
pub(super) fn with(
    own: Half,
    (log, key): (&dyn Fetch, &VerifierKey),
    replicas: &[Replica],
    case: &Pseudonym,
    asked: bool,
) -> Result<Vec<Half>, String> {
    let mut halves = vec![own];
    for Replica { word, log: Peer { key, log }, size, log_folder, .. } in replicas {
        let named = |e: EvidenceError| format!("{word}: {}", told(&e));
        // One that was stopped has its last map at its end, and writes no other.
        let mut is_new = !asked || log_folder.as_deref().is_some_and(|folder| !is_open(folder));
        for _ in 0..MAP_TRIES {
            if is_new {
                break;
            }
            std::thread::sleep(MAP_PAUSE);
            is_new = evidence::mapped_size(&**log, key).map_err(named)?.is_some_and(|mapped| mapped > *size);
        }
        if !is_new {
            eprintln!(
                "{word}: 未等到新的办件索引，其完备性只到上一份索引为止 · no new map of its cases came: complete only up to the one before"
            );
        }
        halves.push(evidence::gather(&**log, log_folder.as_deref(), key, case).map_err(named)?);
    }
    let later: usize = halves.iter().map(|half| half.later).sum();
    if later > 0 {
        eprintln!(
            "{later} 条条目晚于最近的办件索引，未收入证据包 · {later} entries of the case are later than the newest map of cases, and not in it"
        );
    }
    let named: Vec<_> = halves.iter().flat_map(Half::named).collect();
    let theirs = replicas.iter().map(|Replica { log: Peer { key, log }, .. }| (&**log, key));
    for (half, (log, key)) in halves.iter_mut().zip(std::iter::once((log, key)).chain(theirs)) {
        half.same_log(log, key, &named).map_err(|e| format!("{}: {e}", key.name()))?;
    }
    if !halves.iter().any(|half| half.has_case) {
        return Err(told(&EvidenceError::NoCase));
    }
    match halves.iter().map(|half| half.entries.len()).sum::<usize>() > MAX_ENTRIES {
        true => Err(told(&EvidenceError::TooMany)),
        false => Ok(halves),
    }
}
