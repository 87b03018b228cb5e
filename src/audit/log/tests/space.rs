//! Disks without space, and threads that are gone: nothing acknowledged is lost, and all of it heals or ends.

use super::*;

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
    crate::audit::log::disk::take(&file, 10, 200_000).unwrap();
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
