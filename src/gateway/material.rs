//! What verdicts were reached by, on disk before the line that names it: `data/trust/<SHA-256>`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::licences::{Material, Profile};
use crate::terms::Digest;

/// Files that are known to be there; beyond, they are looked for.
const KNOWN: usize = 16_384;

/// The folder, and what is known to be in it.
pub struct Materials {
    folder: PathBuf,
    known: Mutex<HashSet<Digest>>,
}

impl Materials {
    /// Opens the folder; it is made when missing.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), known: Mutex::default() })
    }

    /// Keeps what an examination goes by; gives its name. Blocks for disk syncs where something is new. Nothing is named
    /// that is not durable: then the verdict stands, and cannot be reached again by others.
    pub fn keep(&self, profile: &Profile) -> Option<Digest> {
        let material = Material::of(profile)?;
        let all = material.parts.iter().map(|(digest, octets)| (*digest, &octets[..]));
        for (digest, octets) in all.chain([(material.digest, &material.list[..])]) {
            if let Err(error) = self.one(digest, octets) {
                tracing::warn!(%error, "what a verdict was reached by is not kept");
                return None;
            }
        }
        Some(material.digest)
    }

    fn one(&self, digest: Digest, octets: &[u8]) -> io::Result<()> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&digest) {
            return Ok(());
        }
        let file = self.folder.join(digest.to_string());
        if !file.is_file() {
            let part = tempfile_beside(&file);
            let mut new = std::fs::File::create(&part)?;
            new.write_all(octets)?;
            new.sync_all()?;
            std::fs::rename(&part, &file)?;
            std::fs::File::open(&self.folder)?.sync_all()?;
        }
        let mut known = known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(digest);
        Ok(())
    }
}

/// A name that no other thread writes to.
fn tempfile_beside(file: &Path) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    file.with_extension(format!("{}.{n}.part", std::process::id()))
}
