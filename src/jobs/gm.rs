//! The SM3 root over the log's entries: each day, and before the gateway stops.

use std::sync::{Arc, Mutex};

use crate::audit::gm::{GmError, Sm3Tree, WINDOW};
use crate::audit::tile::{Level, TilePath};
use crate::audit::{AuditError, Kind, Log, bundle};
use crate::gateway::{Rooms, ledger};
use crate::terms::{Digest, UnixMillis};

/// Entries that are hashed before a stop at most: a stop must not wait for a long log that was just opened.
const LAST_ENTRIES: u64 = 100_000;

/// Why there is no root today.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error(transparent)]
    Log(#[from] AuditError),
    #[error(transparent)]
    Gm(#[from] GmError),
    #[error("hashing was cut off")]
    CutOff,
}

/// The tree so far, kept from one root to the next.
#[derive(Clone, Debug, Default)]
pub struct Roots(Arc<Mutex<Sm3Tree>>);

impl Roots {
    /// Puts the root of everything published into the log; nothing without an SM2 key, or without new entries.
    pub async fn write(&self, rooms: &Rooms, now: UnixMillis) -> Result<(), RootError> {
        let (Some(gm), tree, log) = (rooms.log.gm(), self.0.clone(), rooms.log.clone()) else { return Ok(()) };
        let hashed = tokio::task::spawn_blocking(move || catch_up(&log, &tree)).await;
        let Some((size, root)) = hashed.map_err(|_| RootError::CutOff)?? else { return Ok(()) };
        let entry = ledger::line(rooms, Kind::GmRoot, now);
        rooms.log.append(&gm.sign_root(entry, size, &root)?).await?;
        Ok(())
    }

    /// As [`Roots::write`], unless there is too much to hash.
    pub async fn write_last(&self, rooms: &Rooms, now: UnixMillis) -> Result<(), RootError> {
        let hashed = self.0.lock().unwrap_or_else(|p| p.into_inner()).size();
        match rooms.log.size() - hashed.max(rooms.log.minimum()) {
            ..=LAST_ENTRIES => self.write(rooms, now).await,
            _ => Ok(()),
        }
    }
}

/// Hashes what was published since; again while the log grows faster than it is hashed.
fn catch_up(log: &Log, tree: &Mutex<Sm3Tree>) -> Result<Option<(u64, Digest)>, AuditError> {
    let mut tree = tree.lock().unwrap_or_else(|p| p.into_inner());
    let before = tree.size();
    // After a start the tree begins where the entries do.
    if before < log.minimum()
        && let Some(edge) = log.pruned_sm3()?
    {
        *tree = Sm3Tree::after(edge);
    }
    loop {
        hash_to(log, &mut tree, log.checkpoint().size)?;
        if log.size() - tree.size() < WINDOW as u64 / 2 {
            break;
        }
    }
    let size = tree.size();
    Ok(tree.root(size).filter(|_| size > before).map(|root| (size, root)))
}

fn hash_to(log: &Log, tree: &mut Sm3Tree, to: u64) -> Result<(), AuditError> {
    while tree.size() < to {
        let (index, within) = (tree.size() / 256, (tree.size() % 256) as usize);
        let width = (to - index * 256).min(256) as u16;
        let tile = TilePath { level: Level::Entries, index, width };
        let octets = log.read(&tile.to_string())?.bytes;
        let entries = bundle::parse(&octets, width).ok_or(AuditError::NotFound)?;
        entries[within..].iter().for_each(|entry| tree.push(entry));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::gm::GmSigner;
    use crate::audit::note::{KeyKind, Signer};
    use crate::audit::verify::{self, Options, Question, Verdict};
    use crate::audit::{Entry, OpenOptions};
    use crate::trust::suite::{SignatureAlgorithm, SigningKey};

    const ORIGIN: &str = "gov.example/gw/1";

    fn gm() -> GmSigner {
        let key = SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap();
        GmSigner::new(ORIGIN, Arc::new(SigningKey::from_pkcs8(&key).unwrap())).unwrap()
    }

    fn verdict(dir: &std::path::Path, key: &GmSigner) -> (Verdict, Option<u64>) {
        let log = Signer::from_seed(ORIGIN, &[5; 32]).unwrap().verifier(KeyKind::Ed25519);
        let options = Options { gm: vec![key.key().clone()], ..Options::new(log) };
        let report = verify::verify(dir, &options, &mut |_, _| {});
        (report.verdict(Question::Commercial), report.gm_root)
    }

    #[test]
    fn roots_of_a_growing_log_verify_and_wrong_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (gm, other) = (gm(), gm());
        let options = OpenOptions::new(Signer::from_seed(ORIGIN, &[5; 32]).unwrap());
        let log = Log::open(dir.path(), OpenOptions { gm: Some(gm.clone()), ..options }).unwrap();
        let roots = Roots::default();
        let entry = |kind| Entry::new(kind, UnixMillis(0));
        for count in [1u64, 300, 700] {
            for _ in 0..count {
                log.append_blocking(&entry(Kind::Deny)).unwrap();
            }
            log.publish();
            let (size, root) = catch_up(&log, &roots.0).unwrap().unwrap();
            assert_eq!((size, catch_up(&log, &roots.0).unwrap()), (log.size(), None), "nothing new");
            log.append_blocking(&entry(Kind::Deny)).unwrap();
            log.append_blocking(&gm.sign_root(entry(Kind::GmRoot), size, &root).unwrap()).unwrap();
            log.publish();
            assert_eq!(verdict(dir.path(), &gm), (Verdict::Proven, Some(size)));
            assert_eq!(verdict(dir.path(), &other).0, Verdict::Undecided);
        }
        let wrong = gm.sign_root(entry(Kind::GmRoot), log.size(), &Digest::of(b"another")).unwrap();
        log.append_blocking(&wrong).unwrap();
        log.publish();
        assert_eq!(verdict(dir.path(), &gm).0, Verdict::Disproven);
    }
}
