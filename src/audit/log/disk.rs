//! The disk as the log sees it: a seam, so that tests can break it on purpose.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Folders and names.
pub trait Disk: Send + Sync + 'static {
    /// Opens for reading and writing; makes the file when it is not there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes everything durable that was written to the file system that `dir` is on.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes sure that `len` bytes have their place on disk; new ones read as zeros.
    fn allocate(&self, from: u64, len: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync(&self) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
}

/// The operating system's files.
#[derive(Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let dir = File::open(dir)?;
        Ok(rustix::io::retry_on_intr(|| rustix::fs::syncfs(&dir))?)
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, from: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::{Errno, retry_on_intr};
        // A signal that comes meanwhile says nothing about the disk.
        match retry_on_intr(|| fallocate(self, FallocateFlags::empty(), from, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => take(self, from, len),
            other => Ok(other?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Takes space on a file system without preallocation: a file that only grew in length would show a full disk when it is
/// too late. A file system that writes elsewhere each time may still find none when it is filled.
pub(super) fn take(file: &File, from: u64, len: u64) -> io::Result<()> {
    let blank = vec![0; 64 << 10];
    let mut at = from;
    while at < from + len {
        let piece = &blank[..blank.len().min((from + len - at) as usize)];
        if let Err(error) = file.write_all_at(piece, at) {
            file.set_len(from)?;
            return Err(error);
        }
        at += piece.len() as u64;
    }
    Ok(())
}

/// Writes a small file so that after a crash either the old or the new content is there, whole.
pub(in crate::audit) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (new, to) = (dir.join(format!("{name}.new")), dir.join(name));
    let file = disk.open(&new)?;
    file.set_len(0)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&new, &to)?;
    disk.sync_dir(dir)
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
