//! Checkpoints that end with a map of all cases, whatever comes behind it.

use super::*;
use crate::audit::checkpoint::{self, MAP};

/// Entries of the checkpoint that is served as `map`, whose last one is a map.
fn mapped(log: &Log) -> Option<u64> {
    let note = log.read(MAP).ok()?.bytes;
    let signed = checkpoint::open(&note, log.key(), None).unwrap();
    assert_eq!(signed.root(), log.root_at(signed.size()).unwrap());
    let last = String::from_utf8(log.entry(signed.size() - 1).unwrap()).unwrap();
    assert!(last.contains("\"kind\":\"index\""), "{last}");
    Some(signed.size())
}

#[test]
fn what_comes_behind_a_map_has_another_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 300);
    log.publish();
    assert_eq!((mapped(&log), log.checkpoint().size), (None, 300));
    for (before, behind) in [(1, 300), (0, 0), (3, 1)] {
        fill(&log, before);
        let at = map(&log).index;
        fill(&log, behind);
        log.publish();
        assert_eq!((mapped(&log), log.checkpoint().size), (Some(at + 1), at + 1 + behind));
    }
    // Of two, the newer one.
    map(&log);
    let at = map(&log).index;
    fill(&log, 1);
    log.publish();
    assert_eq!((mapped(&log), log.checkpoint().size), (Some(at + 1), at + 2));
    // One that nobody has signed yet when the log ends.
    let at = map(&log).index;
    fill(&log, 1);
    drop(log);
    let log = open(dir.path());
    assert_eq!((mapped(&log), log.checkpoint().size), (Some(at + 1), at + 2));
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0, "{}", judge(dir.path()).text());
}

/// While others write and checkpoints are signed all the time.
#[test]
fn it_ends_with_the_map_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), OpenOptions { interval: Duration::from_millis(1), ..options() }).unwrap();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            std::thread::spawn(move || fill(&log, 200))
        })
        .collect();
    let mut seen = 0;
    for _ in 0..20 {
        let at = map(&log).index;
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while mapped(&log).is_none_or(|size| size <= at) {
            assert!(std::time::Instant::now() < until, "no checkpoint ends with the map at {at}");
            std::thread::sleep(Duration::from_millis(1));
        }
        seen += 1;
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(seen, 20);
}

#[test]
fn witnesses_sign_it_before_what_comes_behind() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = Witness::open(kept.path(), Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap();
    let with = || OpenOptions { patience: Duration::from_secs(3600), ..options() };
    let log = Log::open(dir.path(), with()).unwrap();
    fill(&log, 5);
    map(&log);
    fill(&log, 3);
    log.publish();
    assert_eq!((log.unwitnessed().size, mapped(&log)), (6, None), "it waits for its witnesses");
    super::signed::cosigned(&log, &witness, 0, 1);
    log.release();
    log.publish();
    assert_eq!((log.unwitnessed().size, mapped(&log)), (9, Some(6)));
    let lines = |note: &str| note.split_once("\n\n").unwrap().1.lines().count();
    assert_eq!(lines(&log.mapped().unwrap().note), 2, "the log's line and the witness's");
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0, "{}", judge(dir.path()).text());
}

#[test]
fn a_map_that_found_no_space_ends_nothing() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    fill(&log, 5);
    disk.set(Faults { full: true, ..Faults::default() });
    while log.append_blocking(&entry(0)).is_ok() {}
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(1))));
    assert!(matches!(refused, Err(AuditError::Full(_))), "{refused:?}");
    disk.set(Faults::default());
    fill(&log, 9);
    log.publish();
    assert_eq!(mapped(&log), None, "another entry has its place");
}

/// The copy of the checkpoint is lost, or there never was one, or no checkpoint ended with the map yet.
#[test]
fn what_a_crash_left_out_is_made_up_for() {
    type Change = fn(&Path, &[u8]);
    let changes: [(&str, Change); 3] = [
        ("before the copy", |dir, _| std::fs::remove_file(dir.join(MAP)).unwrap()),
        ("an older copy", |dir, older| std::fs::write(dir.join(MAP), older).unwrap()),
        ("before the checkpoint", |dir, older| {
            std::fs::write(dir.join(MAP), older).unwrap();
            std::fs::write(dir.join("checkpoint"), older).unwrap();
        }),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 5);
        map(&log);
        log.publish();
        let older = log.read(MAP).unwrap().bytes;
        fill(&log, 5);
        let at = map(&log).index;
        drop(log);
        change(dir.path(), &older);
        let log = open(dir.path());
        fill(&log, 1);
        log.publish();
        assert_eq!((mapped(&log), log.checkpoint().size), (Some(at + 1), at + 2), "{what}");
        drop(log);
        assert_eq!(judge(dir.path()).exit_code(), 0, "{what}: {}", judge(dir.path()).text());
    }
}

#[test]
fn one_for_which_there_was_no_space_is_kept_later() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    fill(&log, 5);
    let at = map(&log).index;
    disk.set(Faults { full: true, ..Faults::default() });
    log.publish();
    assert_eq!((mapped(&log), log.checkpoint().size), (None, 0));
    disk.set(Faults::default());
    log.publish();
    assert_eq!((mapped(&log), log.checkpoint().size), (Some(at + 1), at + 1));
}

/// Of two maps that wait, the first one is signed by its witnesses and kept; the second one takes its place then.
#[test]
fn a_newer_map_does_not_keep_the_older_one_from_being_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), OpenOptions { patience: Duration::from_secs(3600), ..options() }).unwrap();
    fill(&log, 5);
    let first = map(&log).index;
    log.publish();
    let second = map(&log).index;
    log.release();
    assert_eq!(mapped(&log), Some(first + 1));
    log.publish();
    log.release();
    assert_eq!(mapped(&log), Some(second + 1));
}

#[test]
fn one_that_contradicts_the_log_is_refused_and_any_other_that_is_none_goes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    map(&log);
    drop(log);
    let file = dir.path().join(MAP);
    let honest = std::fs::read(&file).unwrap();
    // So that the newest checkpoint is not the map's.
    fill(&open(dir.path()), 1);
    let root = open(dir.path()).root_at(4).unwrap();
    let signed = |size: u64| signer().sign(&Checkpoint::new(ORIGIN, size, root).to_string()).into_bytes();
    let next = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let theirs = next.sign(&Checkpoint::new(ORIGIN, 4, root).to_string()).into_bytes();
    for (what, octets, want) in [
        ("as it was", honest.clone(), Ok(true)),
        ("of its past, and no map", signed(4), Ok(false)),
        ("of another log", signed(3), Err(())),
        ("of more than there is", signed(99), Err(())),
        ("none", b"x\n".to_vec(), Ok(false)),
        ("under another key", theirs, Ok(false)),
        ("as it was again", honest, Ok(true)),
    ] {
        std::fs::write(&file, octets).unwrap();
        assert_eq!(judge(dir.path()).exit_code() == 0, want == Ok(true), "{what}: {}", judge(dir.path()).text());
        let opened = Log::open(dir.path(), options()).map(|log| log.mapped().is_some()).map_err(drop);
        assert_eq!(opened, want, "{what}");
        assert_eq!(file.exists(), want != Ok(false), "{what}");
    }
}
