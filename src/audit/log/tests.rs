//! The log broken on purpose, and checked with the product's own verifier.

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
    for file in ["key", "checkpoint", "lock"] {
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

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    fill(&log, 20);
    disk.set(Faults { full: true, ..Faults::default() });
    let mut kept = 20;
    let refused = loop {
        match log.append_blocking(&entry(kept)) {
            Ok(_) => kept += 1, // the space taken in advance
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AuditError::Full(_)), "{refused}");
    disk.set(Faults::default());
    assert_eq!(log.append_blocking(&entry(0)).unwrap().index, kept);
    drop(log);
    assert_eq!(open(dir.path()).size(), kept + 1);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

/// A thread that is gone says nothing more; the log says it for it, and the process ends.
#[test]
fn a_thread_that_breaks_down_is_the_end_of_the_log() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    fill(&log, 20);
    disk.set(Faults { panic: true, ..Faults::default() });
    assert!(log.append_blocking(&entry(0)).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), log.fatal()).await });
    assert!(told.unwrap().contains("audit-writer"));
    assert!(!log.is_healthy());
    disk.set(Faults::default());
    drop(log);
    assert_eq!(open(dir.path()).size(), 20);
}

#[test]
fn a_disk_full_when_a_segment_begins_loses_nothing_and_heals() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let with = |dir: &Path| Log::open(dir, OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    let log = Arc::new(with(dir.path()));
    let write = |n: u64| {
        let log = log.clone();
        std::thread::spawn(move || (0..n).for_each(|n| assert!(log.append_blocking(&entry(n)).is_ok())))
    };
    // Many at once, for one sync each would take minutes.
    let writers: Vec<_> = (0..64).map(|_| write(SEGMENT_ENTRIES / 64)).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let refused = |log: &Log| log.append_blocking(&entry(0)).err();
    disk.set(Faults { full: true, ..Faults::default() });
    for _ in 0..3 {
        assert!(matches!(refused(&log), Some(AuditError::Full(_))), "{:?}", refused(&log));
    }
    assert!(log.is_healthy());
    // The process may end meanwhile: a segment was begun, with nothing in it.
    disk.set(Faults::default());
    drop(log);
    let log = with(dir.path());
    assert_eq!(log.size(), SEGMENT_ENTRIES);
    disk.set(Faults { full: true, ..Faults::default() });
    assert!(matches!(refused(&log), Some(AuditError::Full(_))));
    disk.set(Faults::default());
    for more in 0..3 {
        assert_eq!(log.append_blocking(&entry(more)).unwrap().index, SEGMENT_ENTRIES + more);
    }
    drop(log);
    assert_eq!(open(dir.path()).size(), SEGMENT_ENTRIES + 3);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[test]
fn space_is_taken_or_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::options().create(true).truncate(true).read(true).write(true).open(dir.path().join("f"));
    let file = file.unwrap();
    file.set_len(10).unwrap();
    super::disk::take(&file, 10, 200_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 200_010);
    assert!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512 >= 200_000, "not only in name");
}

/// The space that was taken in advance ends in the segment, or, where much was taken, with the first hash of a level.
#[tokio::test]
async fn a_full_disk_is_told_and_the_log_is_ready_again_by_itself() {
    for (preallocate, ends_at) in [(options().preallocate, None), (1 << 20, Some(255))] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let options = OpenOptions { disk: Arc::new(disk.clone()), preallocate, ..options() };
        let log = Log::open(dir.path(), options).unwrap();
        log.append(&entry(0)).await.unwrap();
        assert!(log.takes_entries().await.is_ok());
        disk.set(Faults { full: true, ..Faults::default() });
        let mut kept = 1;
        while log.append(&entry(kept)).await.is_ok() {
            kept += 1;
        }
        assert!(ends_at.is_none_or(|end| kept == end), "{kept}");
        for _ in 0..3 {
            assert!(matches!(log.takes_entries().await, Err(AuditError::Full(_))), "{kept}");
        }
        disk.set(Faults::default());
        assert!(log.takes_entries().await.is_ok(), "though nobody filed meanwhile");
        assert_eq!(log.append(&entry(0)).await.unwrap().index, kept);
        log.close().await;
        assert_eq!(open(dir.path()).size(), kept + 1);
        assert_eq!(judge(dir.path()).exit_code(), 0);
    }
}

/// Shows a witness what is to be witnessed, as of `old` entries, and adds its line.
fn cosigned(log: &Log, witness: &Witness, old: u64, now: u64) {
    let target = log.unwitnessed();
    let body = crate::audit::witness::request(old, &log.consistency(old, target.size).unwrap(), &target.note);
    let line = witness.add_checkpoint(body.as_bytes(), &[signer().verifier(KeyKind::Ed25519)], now).unwrap();
    let text = target.note.split_once("\n\n").unwrap().0;
    assert!(log.add_cosignatures(&format!("{text}\n\n{line}"), &[witness.key()]).unwrap());
}

fn cosigned_at(log: &Log, witness: &Witness) -> Vec<Option<u64>> {
    let note = log.checkpoint().note.clone();
    let note = Note::parse(note.as_bytes()).unwrap();
    let signed = note.verify(&[signer().verifier(KeyKind::Ed25519), witness.key()]).unwrap();
    assert_eq!(signed.len(), note.signatures().len(), "no line stands there twice");
    signed.iter().map(|by| by.time).collect()
}

#[test]
fn what_a_witness_has_seen_waits_for_space_and_is_served_then() {
    let (dir, kept, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), FaultyDisk::default());
    let witness = Witness::open(kept.path(), Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap();
    let patience = Duration::from_secs(3600);
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), patience, ..options() }).unwrap();
    fill(&log, 5);
    log.publish();
    cosigned(&log, &witness, 0, 1);
    log.release();
    fill(&log, 4);
    log.publish();
    cosigned(&log, &witness, 5, 2);
    disk.set(Faults { full: true, ..Faults::default() });
    for _ in 0..3 {
        log.release();
        log.publish();
        assert_eq!((log.checkpoint().size, log.unwitnessed().size), (5, 9), "what the witness saw is not forgotten");
    }
    disk.set(Faults::default());
    log.release();
    assert_eq!((log.checkpoint().size, cosigned_at(&log, &witness)), (9, vec![None, Some(2)]));
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[test]
fn a_renewed_cosignature_takes_the_place_of_the_older_one() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = Witness::open(kept.path(), Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    cosigned(&log, &witness, 0, 1_000);
    for now in [1_300, 1_600, 1_900] {
        cosigned(&log, &witness, 5, now);
        assert_eq!(cosigned_at(&log, &witness), [None, Some(now)]);
    }
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0);
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
fn a_tail_cut_anywhere_costs_no_acknowledged_entry() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    let acknowledged = end_of_last_batch(dir.path());
    fill(&log, 1);
    let snapshot = tempfile::tempdir().unwrap();
    copy(dir.path(), snapshot.path());
    drop(log);
    let whole = std::fs::read(last_segment(snapshot.path())).unwrap();
    let used = end_of_last_batch(snapshot.path());
    assert!(used > acknowledged);
    for zero_tail in [false, true] {
        for cut in acknowledged..=used {
            if zero_tail && (used - 3..used).contains(&cut) {
                continue; // within a checksum, where no sector ends: no crash cuts there
            }
            let torn = tempfile::tempdir().unwrap();
            copy(snapshot.path(), torn.path());
            let mut bytes = whole[..cut as usize].to_vec();
            if zero_tail {
                bytes.resize(whole.len(), 0);
            }
            std::fs::write(last_segment(torn.path()), &bytes).unwrap();
            // Its hash is written once the entry is durable, so it is not there yet.
            let level = torn.path().join("levels/0");
            std::fs::write(&level, &std::fs::read(&level).unwrap()[..5 * 32]).unwrap();
            let as_found = judge(torn.path());
            // Within a sector no write breaks off: that may as well be a changed byte.
            let doubtful = zero_tail && (acknowledged + 1..used).contains(&cut) && cut % 512 != 0;
            assert_eq!(as_found.exit_code(), if doubtful { 2 } else { 0 }, "cut at {cut}: {}", as_found.text());
            let log = Log::open(torn.path(), options()).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
            let want = if cut == used { 6 } else { 5 };
            assert!(log.size() == want || (zero_tail && log.size() == 6), "cut at {cut}: {}", log.size());
            log.append_blocking(&entry(99)).unwrap();
            drop(log);
            assert_eq!(judge(torn.path()).exit_code(), 0, "cut at {cut}");
        }
    }
}

#[test]
fn a_log_that_is_being_written_is_proven_as_far_as_it_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..100 {
                fill(&log, 20);
                log.publish();
            }
        });
        while !writer.is_finished() {
            let report = judge(dir.path());
            assert_eq!(report.exit_code(), 0, "{}", report.text());
        }
    });
}

#[test]
fn a_changed_octet_is_found_while_the_log_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    fill(&log, 3); // not signed yet
    let file = last_segment(dir.path());
    let whole = std::fs::read(&file).unwrap();
    let end = whole.iter().rposition(|b| *b != 0).unwrap();
    for at in [100, end - 200, end - 10, end + 4, end + 600, whole.len() - 1] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        std::fs::write(&file, &bent).unwrap();
        assert_ne!(judge(dir.path()).exit_code(), 0, "byte {at} of {}: {}", whole.len(), judge(dir.path()).text());
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[test]
fn a_hash_that_a_crash_left_unwritten_is_doubt_only_where_it_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    fill(&log, 3);
    for (kept, want) in [(8, 0), (7, 0), (5, 0), (4, 2), (0, 2)] {
        let crashed = tempfile::tempdir().unwrap();
        copy(dir.path(), crashed.path());
        let file = crashed.path().join("levels/0");
        std::fs::write(&file, &std::fs::read(&file).unwrap()[..kept * 32]).unwrap();
        let report = judge(crashed.path());
        assert_eq!(report.exit_code(), want, "{kept} hashes kept: {}", report.text());
    }
}

#[test]
fn lost_sectors_of_the_last_batch_are_a_crash_and_other_damage_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.publish();
    let mut big = entry(0);
    for n in 0..60 {
        big = big.fact(word(&format!("n{n}")), word(&"x".repeat(100)));
    }
    log.append_blocking(&big).unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    copy(dir.path(), snapshot.path());
    drop(log);
    let whole = std::fs::read(last_segment(snapshot.path())).unwrap();
    let reopened = |change: &dyn Fn(&mut Vec<u8>)| {
        let bent = tempfile::tempdir().unwrap();
        copy(snapshot.path(), bent.path());
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(last_segment(bent.path()), &bytes).unwrap();
        Log::open(bent.path(), options()).map(|log| log.size())
    };
    assert_eq!(reopened(&|bytes| bytes[1024..1536].fill(0)).unwrap(), 0);
    for at in [64, 68, 72, 1000, 3000] {
        let damaged = reopened(&|bytes| bytes[at] ^= 1);
        assert!(matches!(damaged, Err(AuditError::Corrupt { .. })), "byte {at}: {damaged:?}");
    }
}

#[test]
fn a_restored_older_folder_is_refused() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    copy(dir.path(), old.path());
    fill(&log, 5);
    log.publish();
    let newest = Checkpoint::new(ORIGIN, log.size(), log.checkpoint().root);
    let note = log.checkpoint().note.clone();
    drop(log);
    // The older folder is sound in itself; only somebody who remembers can tell.
    let known = OpenOptions { at_least: vec![newest], ..options() };
    assert!(matches!(Log::open(old.path(), known), Err(AuditError::RolledBack(_))));
    let mut asked = verify::Options::new(signer().verifier(KeyKind::Ed25519));
    asked.old = vec![note.clone().into_bytes()];
    let report = verify::verify(old.path(), &asked, &mut |_, _| {});
    assert_eq!(report.verdict(Question::AppendOnly), Verdict::Disproven, "{}", report.text());
    // Its own newer checkpoint in the folder betrays cut-off entries as well.
    std::fs::write(old.path().join("checkpoint"), note).unwrap();
    assert!(matches!(Log::open(old.path(), options()), Err(AuditError::RolledBack(_))));
    assert_eq!(judge(old.path()).exit_code(), 1);
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 4);
    log.publish();
    fill(&log, 1); // kept, not yet covered by a checkpoint
    let open_folder = tempfile::tempdir().unwrap();
    copy(dir.path(), open_folder.path()); // with preallocated space at the end
    drop(log);
    for (folder, stride) in [(dir.path(), 1), (open_folder.path(), 13)] {
        assert_eq!(judge(folder).exit_code(), 0, "{}", judge(folder).text());
        let mut rng = 1u32;
        for (path, bytes) in files(folder) {
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            // Preallocated zeros are sampled: they are all alike.
            let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            let step = |at: usize| if at < used + 40 { stride } else { 9_973 };
            let mut at = 0;
            while at < bytes.len() {
                let mut bent = bytes.clone();
                rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bent[at] ^= 1 << (rng >> 29);
                std::fs::write(&path, &bent).unwrap();
                let report = judge(folder);
                assert_ne!(report.exit_code(), 0, "{name} byte {at} was changed and not found: {}", report.text());
                assert!(report.faults.iter().any(|fault| fault.file == name), "{name} byte {at}: {}", report.text());
                at += step(at);
            }
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(judge(folder).exit_code(), 0);
    }
}

#[test]
fn witnesses_sign_beside_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 3);
    log.publish();
    let witness = Signer::from_seed("witness.example", &[9; 32]).unwrap();
    let keys = [witness.verifier(KeyKind::Cosignature)];
    let text = Checkpoint::new(ORIGIN, 3, log.checkpoint().root).to_string();
    let line = witness.cosign(&text, 1_771_000_000);
    assert!(log.add_cosignatures(&format!("{text}\n{line}"), &keys).unwrap());
    assert!(!log.add_cosignatures(&format!("{text}\n{line}"), &keys).unwrap(), "once is enough");
    let other = Checkpoint::new(ORIGIN, 2, log.checkpoint().root).to_string();
    assert!(!log.add_cosignatures(&format!("{other}\n{}", witness.cosign(&other, 1)), &keys).unwrap());
    assert!(log.add_cosignatures(&format!("{other}\n{line}"), &keys).is_err(), "a line over another text");
    drop(log);
    // Without a policy no witness counts, and yet no octet of theirs may change.
    assert_eq!(judge(dir.path()).exit_code(), 0, "{}", judge(dir.path()).text());
    for name in ["checkpoint", "cosigners"] {
        let whole = std::fs::read(dir.path().join(name)).unwrap();
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            std::fs::write(dir.path().join(name), &bent).unwrap();
            assert_ne!(judge(dir.path()).exit_code(), 0, "{name} byte {at}");
        }
        std::fs::write(dir.path().join(name), &whole).unwrap();
    }
    let mut asked = verify::Options::new(signer().verifier(KeyKind::Ed25519));
    for (quorum, want) in [("w", Verdict::Proven), ("both", Verdict::Disproven)] {
        let stranger = Signer::from_seed("other.example", &[3; 32]).unwrap().verifier(KeyKind::Cosignature);
        let policy = format!("witness w {}\nwitness o {stranger}\ngroup both all w o\nquorum {quorum}\n", keys[0]);
        asked.policy = Some(verify::Pinned::parse(&policy).unwrap());
        assert_eq!(verify::verify(dir.path(), &asked, &mut |_, _| {}).verdict(Question::Witnessed), want);
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

#[test]
fn a_log_changes_its_key_with_both_lines_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let next = || Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let with = |signer: Signer, second: Option<Signer>| {
        Log::open(dir.path(), OpenOptions { second, interval: Duration::from_secs(3600), ..OpenOptions::new(signer) })
    };
    let (old, new) = (signer().verifier(KeyKind::Ed25519), next().verifier(KeyKind::Ed25519));
    let judged = |key: &VerifierKey, other: &[&VerifierKey], before: &[Vec<u8>]| {
        let other_keys = other.iter().map(|key| (*key).clone()).collect();
        let options = verify::Options { other_keys, old: before.to_vec(), ..verify::Options::new(key.clone()) };
        verify::verify(dir.path(), &options, &mut |_, _| {}).exit_code()
    };
    let log = with(signer(), None).unwrap();
    fill(&log, 3);
    log.publish();
    let before = vec![log.checkpoint().note.clone().into_bytes()];
    drop(log);
    assert!(matches!(with(next(), None), Err(AuditError::Foreign(_))), "another key without the one that is known");
    let other = Signer::from_seed("gov.example/gw/2", &[9; 32]).unwrap();
    assert!(matches!(with(signer(), Some(other)), Err(AuditError::Foreign(_))), "a second key of another log");

    // A witness that the directory tells of both keys goes on cosigning: one origin, one history.
    let held = tempfile::tempdir().unwrap();
    let witness = Witness::open(held.path(), Signer::from_seed("w.example", &[3; 32]).unwrap()).unwrap();
    let mut seen = 0;
    // The next key beside the old one, then the other way round, then alone.
    for (primary, second, by_old, by_new) in
        [(signer(), Some(next()), 0, 0), (next(), Some(signer()), 0, 0), (next(), None, 1, 0)]
    {
        let log = with(primary, second).unwrap();
        assert!(log.keys_changed());
        fill(&log, 2);
        log.adopt_keys().unwrap();
        log.publish();
        let note = log.checkpoint().note.clone();
        let proof = log.consistency(seen, log.size()).unwrap();
        let ask = crate::audit::witness::request(seen, &proof, &note);
        witness.add_checkpoint(ask.as_ref(), &[old.clone(), new.clone()], 1).unwrap();
        seen = log.size();
        let (known, want) = (log.keys().to_vec(), log.keys().len());
        assert_eq!(Note::parse(note.as_bytes()).unwrap().verify(&known).unwrap().len(), want, "a line of each");
        drop(log);
        assert_eq!((judged(&old, &[], &[]), judged(&new, &[], &[])), (by_old, by_new));
        assert_eq!(judged(&new, &[&old], &before), 0, "a checkpoint from before holds for who pinned both");
        assert_eq!(judged(&new, &[], &before), 2, "and tells nothing to who knows the new key only");
    }
    assert!(!with(next(), None).unwrap().keys_changed());
}
