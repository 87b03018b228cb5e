//! Who has a log's folder open.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::audit::AuditError;

/// One process at a time. The lock goes with the process, however it ends.
pub(super) fn lock(dir: &Path) -> Result<File, AuditError> {
    let file = File::options().write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(|e| AuditError::io("opening the lock file", &e))?;
    let mut patience = 10; // who asks whether the log is open holds the lock for a moment
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if patience > 0 => patience -= 1,
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(AuditError::Locked),
            Err(e) => return Err(AuditError::io("locking the log folder", &e.into())),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keeps every process from opening the log in `dir` until the file is dropped.
///
/// # Errors
/// [`AuditError::Locked`] while a gateway has it open.
pub fn hold(dir: &Path) -> Result<File, AuditError> {
    lock(dir)
}

/// Whether a process has the log in `dir` open, and may be writing to it.
pub fn is_open(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    let held = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared);
    matches!(held, Err(rustix::io::Errno::WOULDBLOCK))
}
