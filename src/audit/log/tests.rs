//! The log broken on purpose, and checked with the product's own verifier.

mod damage;
mod maps;
mod signed;
mod space;

use std::path::{Path, PathBuf};

use super::faulty::{Faults, FaultyDisk};
use super::segment::SEGMENT_ENTRIES;
use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::tests::{full, word};
use crate::audit::entry::{Kind, Pseudonym};
use crate::audit::logset::{Head, LogSet};
use crate::audit::note::{KeyKind, Note, Signer, VerifierKey};
use crate::audit::proof::TlogProof;
use crate::audit::verify::{self, Question, Verdict};
use crate::audit::witness::Witness;
use crate::audit::{bundle, merkle};
use crate::terms::UnixMillis;

const ORIGIN: &str = "gov.example/gw/1";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

/// A long interval: tests publish when they mean to.
fn options() -> OpenOptions {
    OpenOptions { interval: Duration::from_secs(3600), preallocate: 4096, ..OpenOptions::new(signer()) }
}

fn open(dir: &Path) -> Log {
    Log::open(dir, options()).unwrap()
}

fn entry(n: u64) -> Entry {
    Entry::new(Kind::Deny, UnixMillis(1_771_000_000_000 + n as i64)).trace(word(&format!("t{n}")))
}

fn fill(log: &Log, count: u64) {
    for n in 0..count {
        log.append_blocking(&entry(n).case(Pseudonym([(n % 3) as u8; 16]))).unwrap();
    }
}

/// Writes the map of all cases.
fn map(log: &Log) -> Committed {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(1_771_000_000_000)))).unwrap()
}

fn judge(dir: &Path) -> verify::Report {
    verify::verify(dir, &verify::Options::new(signer().verifier(KeyKind::Ed25519)), &mut |_, _| {})
}

fn last_segment(dir: &Path) -> PathBuf {
    dir.join("segments/000000.seg")
}

/// Copies a log folder, as a snapshot or a thief would.
fn copy(from: &Path, to: &Path) {
    for folder in ["segments", "levels"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for item in std::fs::read_dir(from.join(folder)).unwrap() {
            let item = item.unwrap();
            std::fs::copy(item.path(), to.join(folder).join(item.file_name())).unwrap();
        }
    }
    for file in ["key", "checkpoint", "lock", "map"].into_iter().filter(|file| from.join(file).is_file()) {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// Where the last batch of an open log ends: a closed copy has exactly that length.
fn end_of_last_batch(dir: &Path) -> u64 {
    let copied = tempfile::tempdir().unwrap();
    copy(dir, copied.path());
    drop(open(copied.path()));
    std::fs::metadata(last_segment(copied.path())).unwrap().len()
}

/// All files of a log folder with their bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    for folder in ["segments", "levels", ""] {
        for item in std::fs::read_dir(dir.join(folder)).unwrap().map(|item| item.unwrap().path()) {
            if item.is_file() {
                out.push((item.clone(), std::fs::read(item).unwrap()));
            }
        }
    }
    out
}

#[test]
fn what_is_acknowledged_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let committed: Vec<Committed> = (0..600).map(|n| log.append_blocking(&entry(n)).unwrap()).collect();
    assert!(committed.iter().enumerate().all(|(n, c)| c.index == n as u64));
    drop(log);
    let log = open(dir.path());
    assert_eq!((log.size(), log.checkpoint().size), (600, 600));
    for n in [0, 1, 255, 256, 599] {
        let (bytes, at) = (log.entry(n).unwrap(), committed[n as usize]);
        assert_eq!(merkle::leaf_hash(&bytes), at.leaf);
        let proof = TlogProof::parse(&log.proof(n).unwrap().to_string()).unwrap();
        assert_eq!(proof.verify(&bytes, log.key()).unwrap().size(), 600);
    }
    assert!(matches!(log.entry(600), Err(AuditError::NotFound)));
    drop(log);
    let report = judge(dir.path());
    assert_eq!((report.exit_code(), report.entries), (0, 600), "{}", report.text());
}

#[test]
fn only_published_and_canonical_resources_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 300);
    assert!(matches!(log.read("tile/0/000"), Err(AuditError::NotFound)), "durable, not yet published");
    log.publish();
    for (path, len) in [
        ("tile/0/000", Some(8192)),
        ("tile/0/001.p/44", Some(44 * 32)),
        ("tile/0/001.p/7", Some(7 * 32)), // of an earlier checkpoint
        ("tile/0/001.p/45", None),
        ("tile/0/001", None),
        ("tile/1/000.p/1", Some(32)),
        ("tile/2/000", None),
        ("tile/0/x000/000", None),
        ("tile/entries/002", None),
        ("../key", None),
    ] {
        assert_eq!(log.read(path).ok().map(|r| r.bytes.len()), len, "{path}");
    }
    let bundle = log.read("tile/entries/001.p/44").unwrap().bytes;
    let entries = bundle::parse(&bundle, 44).unwrap();
    assert_eq!(entries[43], log.entry(299).unwrap());
}

#[test]
fn case_chains_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let log = open(dir.path());
        fill(&log, 10);
        log.publish();
        assert_eq!(log.size(), (round + 1) * 10);
    }
    let report = judge(dir.path());
    assert_eq!(report.verdict(Question::Complete), Verdict::Proven, "{}", report.text());
}

#[test]
fn an_intent_without_outcome_is_handed_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lost = log.append_blocking(&full(Kind::CaseIntent)).unwrap();
    let done = log.append_blocking(&full(Kind::CaseIntent)).unwrap();
    log.append_blocking(&full(Kind::CaseOutcome).of(done.leaf)).unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.recovery().unanswered, [(lost.index, lost.leaf)]);
    log.append_blocking(&full(Kind::Recovered).of(lost.leaf)).unwrap();
    drop(log);
    assert_eq!(open(dir.path()).recovery().unanswered, []);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[tokio::test]
async fn many_tasks_share_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move { log.append(&entry(n).case(Pseudonym([1; 16]))).await.unwrap().index })
        })
        .collect();
    let mut indices = Vec::new();
    for task in tasks {
        indices.push(task.await.unwrap());
    }
    indices.sort_unstable();
    assert_eq!(indices, (0..500).collect::<Vec<u64>>());
    let again = log.clone();
    log.close().await;
    assert!(matches!(again.append(&entry(0)).await, Err(AuditError::Closed)));
    let report = judge(dir.path());
    assert_eq!((report.exit_code(), report.size), (0, 500), "{}", report.text());
    assert_eq!(open(dir.path()).size(), 500, "a closed log lets go of its folder");
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _log = open(dir.path());
    assert!(matches!(Log::open(dir.path(), options()), Err(AuditError::Locked)));
}

#[test]
fn another_key_does_not_open_the_log() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let other = OpenOptions::new(Signer::from_seed(ORIGIN, &[8; 32]).unwrap());
    assert!(matches!(Log::open(dir.path(), other), Err(AuditError::Foreign(_))));
}

#[tokio::test]
async fn a_failed_sync_is_the_end() {
    for faults in [
        Faults { sync: true, ..Faults::default() },
        Faults { write: true, ..Faults::default() },
        Faults { torn: Some(50), ..Faults::default() },
    ] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
        log.append(&entry(0)).await.unwrap();
        log.publish();
        disk.set(faults);
        assert!(matches!(log.append(&entry(1)).await, Err(AuditError::Dead(_))), "{faults:?}");
        disk.set(Faults::default());
        assert!(matches!(log.append(&entry(2)).await, Err(AuditError::Dead(_))), "never tried again");
        assert!(!log.fatal().await.is_empty() && !log.is_healthy());
        log.close().await;
        let log = open(dir.path());
        assert!((1..=2).contains(&log.size()), "entry 1 may have reached the disk; entry 0 must have");
        log.append(&entry(3)).await.unwrap();
        log.close().await;
        assert_eq!(judge(dir.path()).exit_code(), 0);
    }
}

#[test]
fn the_logs_of_all_replicas_are_handed_back() {
    let dir = tempfile::tempdir().unwrap();
    let set = |size: u64| {
        let head = |key: &VerifierKey| Head { key: key.clone(), size, root: Digest::of(&size.to_be_bytes()) };
        let other = Signer::from_seed("other.example/gw", &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
        LogSet::new(vec![head(&signer().verifier(KeyKind::Ed25519)), head(&other)]).unwrap()
    };
    assert_eq!(open(dir.path()).recovery().set, None);
    for (kind, size) in [(Kind::LogSet, 1), (Kind::Index, 2)] {
        let log = open(dir.path());
        log.append_blocking(&set(size).write(Entry::new(kind, UnixMillis(0))).unwrap()).unwrap();
        fill(&log, 3);
        drop(log);
        assert_eq!(open(dir.path()).recovery().set, Some(set(size)), "{kind}");
    }
}

#[test]
fn segments_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = open(dir.path());
    let total = SEGMENT_ENTRIES + 700;
    runtime.block_on(async {
        let mut done = 0;
        while done < total {
            let batch: Vec<Entry> = (done..total.min(done + 2000)).map(entry).collect();
            let appends = batch.iter().map(|entry| log.append(entry));
            for answer in futures_util::future::join_all(appends).await {
                answer.unwrap();
                done += 1;
            }
        }
    });
    log.publish();
    assert_eq!(log.read("tile/1/000").unwrap().bytes.len(), 8192);
    assert_eq!(log.read("tile/2/000.p/1").unwrap().bytes.len(), 32);
    let bytes = log.entry(SEGMENT_ENTRIES + 3).unwrap();
    assert!(log.proof(SEGMENT_ENTRIES + 3).unwrap().verify(&bytes, log.key()).is_ok());
    drop(log);
    assert_eq!(open(dir.path()).size(), total);
    let report = judge(dir.path());
    assert_eq!((report.exit_code(), report.entries), (0, total), "{}", report.text());
    // A segment taken away is a gap, not a shorter log.
    std::fs::remove_file(dir.path().join("segments/000000.seg")).unwrap();
    assert!(matches!(Log::open(dir.path(), options()), Err(AuditError::Corrupt { .. })));
    assert_eq!(judge(dir.path()).exit_code(), 1);
}
