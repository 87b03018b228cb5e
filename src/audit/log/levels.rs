//! Level files: the hashes of each tile level in one flat file, 32 bytes each. Derived; rebuilt from the segments.
//!
//! ```text
//!  levels/0   leaf hashes              tile (0, N) = bytes N·8192 ..
//!  levels/1   roots of 256 leaves      so every partial width can be served
//! ```

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use super::disk::{Disk, DiskFile};
use crate::audit::AuditError;
use crate::audit::tile::TileHashes;
use crate::terms::Digest;

/// Levels that a log of 2^64 entries could have.
pub const MAX_LEVELS: usize = 8;
/// Space taken in advance at levels 0 and above, in bytes.
const STEP: u64 = 1 << 18;

struct LevelFile {
    file: Arc<dyn DiskFile>,
    allocated: u64,
}

/// All level files of a log.
pub struct Levels {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: RwLock<Vec<LevelFile>>,
}

impl Levels {
    /// Opens the level files that are there.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> std::io::Result<Self> {
        let mut files = Vec::new();
        while files.len() < MAX_LEVELS && dir.join(files.len().to_string()).exists() {
            let file = disk.open(&dir.join(files.len().to_string()))?;
            let allocated = file.size()?;
            files.push(LevelFile { file, allocated });
        }
        Ok(Self { disk, dir, files: RwLock::new(files) })
    }

    /// Makes the hashes durable, with the names of their files. They are derived no more once the entries below them go.
    pub fn sync(&self) -> std::io::Result<()> {
        let files = self.files.read().unwrap_or_else(|p| p.into_inner());
        files.iter().try_for_each(|level| level.file.sync())?;
        self.disk.sync_dir(&self.dir)
    }

    /// Makes room for `hashes` more after the first `count` of `level`, so that a full disk shows before
    /// anything is acknowledged.
    pub fn reserve(&self, level: usize, count: u64, hashes: u64) -> std::io::Result<()> {
        let mut files = self.files.write().unwrap_or_else(|p| p.into_inner());
        while files.len() <= level {
            let file = self.disk.open(&self.dir.join(files.len().to_string()))?;
            let allocated = file.size()?;
            files.push(LevelFile { file, allocated });
        }
        let need = (count + hashes) * 32;
        let level = &mut files[level];
        if need > level.allocated {
            let to = need.next_multiple_of(STEP);
            level.file.allocate(level.allocated, to - level.allocated)?;
            level.allocated = to;
        }
        Ok(())
    }

    /// Writes hashes after the first `count` of `level`; no sync, they can be rebuilt.
    pub fn write(&self, level: usize, count: u64, bytes: &[u8]) -> std::io::Result<()> {
        match self.file(level) {
            Some(file) => file.write_at(bytes, count * 32),
            None => Err(std::io::Error::other("a level without a file")),
        }
    }

    /// Writes hashes where the file does not hold them already; whether it had to.
    pub fn repair(&self, level: usize, count: u64, bytes: &[u8]) -> std::io::Result<bool> {
        self.reserve(level, count, (bytes.len() / 32) as u64)?;
        let mut stored = vec![0; bytes.len()];
        let file = self.file(level).ok_or_else(|| std::io::Error::other("a level without a file"))?;
        if file.read_at(&mut stored, count * 32)? == bytes.len() && stored == bytes {
            return Ok(false);
        }
        file.write_at(bytes, count * 32).map(|()| true)
    }

    /// Cuts the level files to their exact lengths.
    pub fn trim(&self, size: u64) -> std::io::Result<()> {
        let mut files = self.files.write().unwrap_or_else(|p| p.into_inner());
        for (level, file) in files.iter_mut().enumerate() {
            file.allocated = (size >> (8 * level)) * 32;
            file.file.set_len(file.allocated)?;
            file.file.sync()?;
        }
        Ok(())
    }

    pub fn bytes(&self, level: usize, start: u64, count: usize) -> Result<Vec<u8>, AuditError> {
        let mut bytes = vec![0; count * 32];
        let file = self.file(level).ok_or(AuditError::NotFound)?;
        let got = file.read_at(&mut bytes, start * 32).map_err(|e| AuditError::io("reading a level file", &e))?;
        if got == bytes.len() { Ok(bytes) } else { Err(AuditError::NotFound) }
    }

    fn file(&self, level: usize) -> Option<Arc<dyn DiskFile>> {
        let files = self.files.read().unwrap_or_else(|p| p.into_inner());
        files.get(level).map(|level| level.file.clone())
    }
}

impl TileHashes for Levels {
    type Error = AuditError;
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, AuditError> {
        let bytes = self.bytes(usize::from(level), start, count)?;
        Ok(bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash)).collect())
    }
}
