//! Somebody with the gateway's keys and its disk tries to make another past. What each who looks on finds.
//!
//! The keys sign whatever is wanted, so integrity alone always holds; it is the witness, the mirror and the auditor's
//! own older checkpoint that catch it.

use std::io;
use std::path::Path;

use super::entry::Entry;
use super::log::Log;
use super::log::faulty::{Faults, FaultyDisk};
use super::mirror::{self, MirrorError};
use super::note::{KeyKind, Signer, VerifierKey};
use super::verify::{Fetch, Options, Pinned, Question, Report, Verdict, verify, verify_tree};
use super::witness::{Witness, WitnessError, request};
use super::{AuditError, Kind, OpenOptions, Pseudonym};
use crate::terms::{Digest, UnixMillis};

const ORIGIN: &str = "gov.example/gw/1";

fn keys() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

fn key() -> VerifierKey {
    keys().verifier(KeyKind::Ed25519)
}

/// A log of `count` entries; the one at `changed` tells another story.
fn log(dir: &Path, count: u64, changed: Option<u64>) -> Log {
    let log = Log::open(dir, OpenOptions::new(keys())).unwrap();
    for n in log.size()..count {
        let kind = if changed == Some(n) { Kind::Login } else { Kind::CaseEvent };
        log.append_blocking(&story(kind, n)).unwrap();
    }
    log.publish();
    log
}

/// Without chance in it, so that a log made again is the same but for what was changed.
fn story(kind: Kind, n: u64) -> Entry {
    let entry = Entry::new(kind, UnixMillis(n as i64)).with_nonce([1; 32]);
    if kind == Kind::CaseEvent { entry.case(Pseudonym([n as u8; 16])) } else { entry }
}

struct View(Log);

impl Fetch for View {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.read(path) {
            Ok(resource) => Ok(Some(resource.bytes)),
            Err(AuditError::NotFound) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Those who looked on while the log was honest.
struct Onlookers {
    folder: tempfile::TempDir,
    witness: Witness,
    old: Vec<u8>,
    size: u64,
}

impl Onlookers {
    fn of(honest: &Log) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::from_seed("w.example", &[9; 32]).unwrap();
        let witness = Witness::open(&folder.path().join("witness"), signer).unwrap();
        let mut all = Self { folder, witness, old: honest.checkpoint().note.clone().into_bytes(), size: honest.size() };
        all.cosign(honest, 0).unwrap();
        let copied = all.mirror(honest).unwrap();
        assert_eq!((copied.size, copied.before), (honest.size(), 0));
        assert_eq!(all.audit(honest).exit_code(), 0, "the honest log is proven");
        all
    }

    fn cosign(&mut self, log: &Log, old: u64) -> Result<(), WitnessError> {
        let served = log.checkpoint();
        let proof = log.consistency(old, served.size).unwrap_or_default();
        let body = request(old, &proof, &served.note);
        let line = self.witness.add_checkpoint(body.as_bytes(), &[key()], 1_771_000_000)?;
        let (text, _) = served.note.split_once("\n\n").unwrap();
        assert!(log.add_cosignatures(&format!("{text}\n\n{line}"), &[self.witness.key()]).unwrap());
        Ok(())
    }

    fn mirror(&self, log: &Log) -> Result<mirror::Copied, MirrorError> {
        mirror::run(&View(log.clone()), &self.folder.path().join("mirror"), &[key()], &mut |_, _| {})
    }

    fn audit(&self, log: &Log) -> Report {
        let mut options = Options::new(key());
        options.old = vec![self.old.clone()];
        let policy = format!("witness w {}\nquorum w\n", self.witness.key());
        options.policy = Some(Pinned::parse(&policy).unwrap());
        verify_tree(&View(log.clone()), &options, &mut |_, _| {})
    }

    /// The forged log is signed well, and yet everybody sees it.
    fn find(&mut self, forged: &Log, witness: u16, old: Verdict) {
        let report = self.audit(forged);
        assert_eq!(report.verdict(Question::Integrity), Verdict::Proven, "{}", report.text());
        assert_eq!(report.verdict(Question::AppendOnly), old, "{}", report.text());
        assert_eq!(report.verdict(Question::Witnessed), Verdict::Disproven, "{}", report.text());
        assert_eq!(report.exit_code(), 1);
        let mirrored = self.mirror(forged);
        assert!(matches!(mirrored, Err(MirrorError::Contradiction(_))), "{mirrored:?}");
        // Whatever size the attacker claims to be held, and whatever proof is sent along.
        let answer = self.cosign(forged, self.size.min(forged.size())).unwrap_err();
        assert_eq!(answer.status(), witness, "{answer}");
        for old in 0..=forged.size() {
            assert!(self.cosign(forged, old).is_err(), "old {old}");
        }
        // The copy is as it was, and the evidence lies beside it.
        let copy = self.folder.path().join("mirror");
        assert_eq!(verify(&copy, &Options::new(key()), &mut |_, _| {}).size, self.size);
        let kept = std::fs::read_dir(&copy).unwrap().flatten();
        assert!(kept.filter(|file| file.file_name().to_string_lossy().starts_with("contradiction.")).count() > 0);
    }
}

#[test]
fn a_split_view_is_caught() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut onlookers = Onlookers::of(&log(one.path(), 300, None));
    onlookers.find(&log(two.path(), 300, Some(299)), 409, Verdict::Disproven);
    assert_eq!(onlookers.witness.conflicts(), 1, "two signatures over one size are proof against the log");
}

#[test]
fn a_cut_tail_is_caught() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut onlookers = Onlookers::of(&log(one.path(), 300, None));
    onlookers.find(&log(two.path(), 290, None), 409, Verdict::Disproven);
    // And then grown again by other entries.
    let grown = tempfile::tempdir().unwrap();
    onlookers.find(&log(grown.path(), 320, Some(295)), 422, Verdict::Disproven);
}

#[test]
fn a_rebuilt_log_is_caught() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut onlookers = Onlookers::of(&log(one.path(), 300, None));
    onlookers.find(&log(two.path(), 600, Some(0)), 422, Verdict::Disproven);
}

#[test]
fn an_honest_log_goes_on_and_the_copy_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut onlookers = Onlookers::of(&log(dir.path(), 300, None));
    let grown = log(dir.path(), 900, None);
    onlookers.cosign(&grown, 300).unwrap();
    assert_eq!(onlookers.audit(&grown).exit_code(), 0);
    let copied = onlookers.mirror(&grown).unwrap();
    assert_eq!((copied.size, copied.before), (900, 300));
    assert!(copied.kept >= 2, "what was there is not fetched again: {copied:?}");
    let copy = onlookers.folder.path().join("mirror");
    let report = verify(&copy, &Options::new(key()), &mut |_, _| {});
    assert_eq!((report.exit_code(), report.entries), (0, 900), "{}", report.text());
    // Files that rot in the copy are made good again.
    std::fs::write(copy.join("tile/entries/001"), b"rot").unwrap();
    std::fs::write(copy.join("tile/0/000"), b"rot").unwrap();
    onlookers.mirror(&grown).unwrap();
    assert_eq!(verify(&copy, &Options::new(key()), &mut |_, _| {}).exit_code(), 0);
}

/// What is not on the disk for sure is not said to be copied: the next run goes on.
#[test]
fn a_copy_that_is_not_durable_is_none() {
    let (dir, copy, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = log(dir.path(), 300, None);
    for (sync_all, want) in [(true, false), (false, true)] {
        disk.set(Faults { sync_all, ..Faults::default() });
        let copied = mirror::run_on(&disk, &View(log.clone()), copy.path(), &[key()], &mut |_, _| {});
        assert_eq!((copied.is_ok(), copy.path().join("checkpoint").exists()), (want, want), "{copied:?}");
    }
    assert_eq!(verify(copy.path(), &Options::new(key()), &mut |_, _| {}).exit_code(), 0);
}

/// A server that changes what it sends.
struct Bent(Log, &'static str);

impl Fetch for Bent {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let bytes = View(self.0.clone()).get(path)?;
        Ok(bytes
            .map(|bytes| if path.starts_with(self.1) { Digest::of(&bytes).0.repeat(bytes.len() / 32) } else { bytes }))
    }
}

#[test]
fn nothing_forged_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path(), 600, None);
    for bent in ["tile/entries/001", "tile/0/000", "tile/0/002", "tile/1/000"] {
        let copy = tempfile::tempdir().unwrap();
        let copied = mirror::run(&Bent(log.clone(), bent), copy.path(), &[key()], &mut |_, _| {});
        assert!(copied.as_ref().is_err_and(MirrorError::is_proof), "{bent}: {copied:?}");
        assert!(!copy.path().join("checkpoint").exists(), "{bent}");
    }
}
