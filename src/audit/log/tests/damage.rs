//! What crashes, bad disks and thieves leave behind.

use super::*;

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
    super::map(&log);
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

/// The entry that a case's next one hangs on cannot be read: that one is refused, and whatever else is written stands where it is looked for.
#[tokio::test]
async fn an_entry_that_finds_no_hold_leaves_the_others_where_they_are() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), ..options() }).unwrap();
    let case = || entry(0).case(Pseudonym([9; 16]));
    log.append(&case()).await.unwrap();
    for bundle in 1..20 {
        let few: Vec<Entry> = (log.size()..bundle * 256 - 1).map(entry).collect();
        futures_util::future::join_all(few.iter().map(|entry| log.append(entry))).await;
        // The first keeps the writer busy, so that the others stand in one batch: the case's entry before the one that begins a bundle.
        disk.set(Faults { read: true, ..Faults::default() });
        let all = [entry(0), case(), entry(1), entry(2)];
        let done = futures_util::future::join_all(all.iter().map(|entry| log.append(entry))).await;
        disk.set(Faults::default());
        assert_eq!(done.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    }
    log.append(&case()).await.unwrap();
    log.publish();
    for index in (0..log.size()).step_by(64) {
        let (bytes, proof) = (log.entry(index).unwrap(), log.proof(index).unwrap());
        assert!(proof.verify(&bytes, log.key()).is_ok(), "entry {index}");
    }
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}
