//! Files and records at rest, encrypted under the key of their case.
//!
//! ```text
//!  master key (file of the gateway) ──wraps──▶ case key (one row) ──▶ files: 64 KiB chunks, AES-256-GCM
//!                                                               └──▶ the case's personal record
//! ```
//! Forgetting the one row makes everything of the case unreadable, in every copy and backup of the files: that is how
//! personal data are destroyed while the log and its proofs stay whole.

mod key;
mod reading;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use key::random;

use crate::terms::Digest;
use crate::terms::digest::hex;

pub use key::Key;
pub use reading::Reading;

/// Plain octets per chunk. Each chunk carries a 16-octet tag.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("vault: {0}")]
    Io(#[from] io::Error),
    #[error("vault: a file or record does not open under its key: it was changed, or belongs to another case")]
    Opened,
    #[error("vault: the file is larger than {limit} octets")]
    TooLarge { limit: u64 },
}

impl VaultError {
    /// Whether nothing more can be kept for now; what is kept is not concerned.
    pub fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Io(error) if full(error.kind()))
    }
}

/// The folder of encrypted files.
#[derive(Clone, Debug)]
pub struct Vault {
    folder: PathBuf,
}

/// A file that was written whole and is durable. Its name says nothing about its content.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Plain octets.
    pub size: u64,
    /// SHA-256 of the plain octets.
    pub digest: Digest,
}

impl Vault {
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(&id[..2.min(id.len())]).join(id)
    }

    /// Begins a file of at most `limit` plain octets.
    pub fn write(&self, key: &Key, limit: u64) -> Result<Writing, VaultError> {
        let id = hex(&random::<16>()?);
        let path = self.path(&id);
        fs::create_dir_all(path.parent().expect("has a folder"))?;
        let part = path.with_extension("part");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        let hash = ring::digest::Context::new(&ring::digest::SHA256);
        Ok(Writing {
            id,
            path,
            part,
            file,
            key: key.clone(),
            chunk: Vec::new(),
            chunks: 0,
            size: 0,
            limit,
            hash,
            done: false,
        })
    }

    /// Writes a file whole.
    pub fn keep(&self, key: &Key, bytes: &[u8]) -> Result<Kept, VaultError> {
        let mut writing = self.write(key, u64::MAX)?;
        writing.push(bytes)?;
        writing.finish()
    }

    /// Whether a file of one chunk could be kept now; leaves nothing behind.
    ///
    /// # Errors
    /// As [`Vault::keep`].
    pub fn takes_files(&self) -> Result<(), VaultError> {
        let mut probe = self.write(&Key::generate()?, u64::MAX)?;
        probe.push(&[0; CHUNK])
    }

    /// Opens a kept file for reading anywhere in it.
    pub fn read(&self, key: &Key, kept: &Kept) -> Result<Reading, VaultError> {
        let file = File::open(self.path(&kept.id))?;
        Ok(Reading { file, key: key.clone(), id: kept.id.clone(), size: kept.size })
    }

    /// Ids of the files in one of the 256 drawers that were last written more than `age_s` seconds ago. Files that were
    /// never finished and are as old are removed.
    pub fn older_than(&self, drawer: u8, age_s: u64) -> Result<Vec<String>, VaultError> {
        let entries = match fs::read_dir(self.folder.join(hex(&[drawer]))) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut old = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(written) = entry.metadata().and_then(|m| m.modified()) else { continue };
            if written.elapsed().is_ok_and(|age| age.as_secs() > age_s) {
                let path = entry.path();
                if path.extension().is_some_and(|e| e == "part") {
                    fs::remove_file(&path)?;
                } else if let Some(id) = path.file_name().and_then(|n| n.to_str()) {
                    old.push(id.to_owned());
                }
            }
        }
        Ok(old)
    }

    /// Removes a file that no record names.
    pub fn forget(&self, id: &str) -> Result<(), VaultError> {
        match fs::remove_file(self.path(id)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}

/// A file on its way in. Dropped unfinished, it leaves nothing.
pub struct Writing {
    id: String,
    path: PathBuf,
    part: PathBuf,
    file: File,
    key: Key,
    chunk: Vec<u8>,
    chunks: u64,
    size: u64,
    limit: u64,
    hash: ring::digest::Context,
    done: bool,
}

impl Writing {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`] beyond the limit.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), VaultError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limit {
            return Err(VaultError::TooLarge { limit: self.limit });
        }
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), VaultError> {
        let sealed = self.key.seal(&chunk_name(&self.id, self.chunks), &self.chunk)?;
        self.file.write_all(&sealed)?;
        self.chunks += 1;
        self.chunk.clear();
        Ok(())
    }

    /// Makes the file durable. A crash before this leaves a `.part` file that nobody names.
    pub fn finish(mut self) -> Result<Kept, VaultError> {
        if !self.chunk.is_empty() {
            self.flush()?;
        }
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.done = true;
        sync_folder(&self.path)?;
        let digest = Digest(self.hash.clone().finish().as_ref().try_into().expect("SHA-256 is 32 octets"));
        Ok(Kept { id: self.id.clone(), size: self.size, digest })
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(|error| match error {
            VaultError::Io(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn chunk_name(id: &str, number: u64) -> String {
    format!("{id}/{number}")
}

fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind_and_fails_where_files_cannot_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        vault.takes_files().unwrap();
        let drawers = fs::read_dir(folder.path()).unwrap().map(|drawer| drawer.unwrap().path());
        assert_eq!(drawers.flat_map(|drawer| fs::read_dir(drawer).unwrap()).count(), 0);
        fs::remove_dir_all(folder.path()).unwrap();
        fs::write(folder.path(), b"in its place").unwrap();
        assert!(matches!(vault.takes_files(), Err(error @ VaultError::Io(_)) if !error.is_full()));
        for (kind, full) in [(io::ErrorKind::StorageFull, true), (io::ErrorKind::PermissionDenied, false)] {
            assert_eq!(VaultError::from(io::Error::from(kind)).is_full(), full, "{kind:?}");
        }
    }

    #[test]
    fn files_come_back_and_changed_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let key = Key::generate().unwrap();
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let plain: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let kept = vault.keep(&key, &plain).unwrap();
            assert_eq!(kept.digest, Digest::of(&plain));
            let reading = vault.read(&key, &kept).unwrap();
            assert_eq!(reading.whole(u64::MAX).unwrap(), plain);
            if size > CHUNK {
                let mut part = vec![0; 1_000];
                reading.read_at(CHUNK as u64 - 500, &mut part[..501]).unwrap();
                assert_eq!(part[..501], plain[CHUNK - 500..CHUNK + 1]);
            }
            let mut read = Vec::new();
            reading.stream().read_to_end(&mut read).unwrap();
            assert_eq!(read, plain);
            assert!(size == 0 || vault.read(&Key::generate().unwrap(), &kept).unwrap().whole(u64::MAX).is_err());
        }
    }

    #[test]
    fn nothing_of_the_plain_text_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let kept = vault.keep(&Key::generate().unwrap(), b"990101199202290010 ".repeat(100).as_slice()).unwrap();
        let bytes = fs::read(vault.path(&kept.id)).unwrap();
        assert!(!bytes.windows(18).any(|w| w == b"990101199202290010"));
    }

    #[test]
    fn an_upload_over_the_limit_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let mut writing = vault.write(&Key::generate().unwrap(), 10).unwrap();
        writing.push(b"12345").unwrap();
        assert!(matches!(writing.push(b"678901"), Err(VaultError::TooLarge { limit: 10 })));
        let id = writing.id.clone();
        drop(writing);
        assert_eq!(fs::read_dir(vault.path(&id).parent().unwrap()).unwrap().count(), 0);
    }
}
