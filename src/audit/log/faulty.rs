//! A disk that fails when told to. For tests of this room and of the rooms above it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, RealDisk};

/// What fails next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every allocation, and every write past a file's end, fails with "no space left".
    pub full: bool,
    /// Every read fails.
    pub read: bool,
    /// Every write fails.
    pub write: bool,
    /// Every `fdatasync` fails, after the bytes have reached the page cache.
    pub sync: bool,
    /// Everything together cannot be made durable; files one by one can.
    pub sync_all: bool,
    /// Whoever writes breaks down.
    pub panic: bool,
    /// The next write keeps only this many bytes and fails.
    pub torn: Option<usize>,
}

/// [`RealDisk`] with [`Faults`] that can be switched while the log runs.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<Faults>>);

impl FaultyDisk {
    pub fn set(&self, faults: Faults) {
        *self.faults() = faults;
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile { inner: RealDisk.open(path)?, disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        if self.faults().sync_all { Err(io::Error::other("failed syncfs")) } else { RealDisk.sync_all(dir) }
    }
}

struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    disk: FaultyDisk,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.disk.faults().read { Err(io::Error::other("failed read")) } else { self.inner.read_at(buffer, offset) }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(keep) = self.disk.faults().torn.take() {
            self.inner.write_at(&bytes[..keep.min(bytes.len())], offset)?;
            return Err(io::Error::other("torn write"));
        }
        let broken = self.disk.faults().panic; // before it panics, nothing is held
        assert!(!broken, "told to break down");
        if self.disk.faults().write {
            return Err(io::Error::other("failed write"));
        }
        if self.disk.faults().full && offset + bytes.len() as u64 > self.inner.size()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_at(bytes, offset)
    }

    fn allocate(&self, from: u64, len: u64) -> io::Result<()> {
        if self.disk.faults().full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.allocate(from, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.faults().sync { Err(io::Error::other("failed fdatasync")) } else { self.inner.sync() }
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}
