//! Reading what was kept, anywhere in it, a chunk at a time.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{CHUNK, Key, TAG, VaultError, chunk_name};

/// A kept file, decrypted as it is read.
#[derive(Debug)]
pub struct Reading {
    pub(super) file: File,
    pub(super) key: Key,
    pub(super) id: String,
    pub(super) size: u64,
}

impl Reading {
    /// Plain octets.
    pub fn len(&self) -> u64 {
        self.size
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// One chunk of the plain text.
    pub fn chunk(&self, number: u64) -> Result<Vec<u8>, VaultError> {
        let begin = number * CHUNK as u64;
        let plain = self.size.saturating_sub(begin).min(CHUNK as u64) as usize;
        let mut sealed = vec![0; 12 + plain + TAG];
        self.file.read_exact_at(&mut sealed, number * (12 + CHUNK + TAG) as u64)?;
        self.key.open(&chunk_name(&self.id, number), &sealed)
    }

    pub fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK as u64)
    }

    /// Fills `out` from the plain octets at `offset`; the range must lie inside.
    pub fn read_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let chunk = self.chunk(offset / CHUNK as u64).map_err(io::Error::other)?;
            let from = (offset % CHUNK as u64) as usize;
            let n = out.len().min(chunk.len() - from);
            out[..n].copy_from_slice(&chunk[from..from + n]);
            out = &mut out[n..];
            offset += n as u64;
        }
        Ok(())
    }

    /// The whole file; for small documents only.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`] beyond `limit`.
    pub fn whole(&self, limit: u64) -> Result<Vec<u8>, VaultError> {
        if self.size > limit {
            return Err(VaultError::TooLarge { limit });
        }
        let mut out = Vec::with_capacity(self.size as usize);
        for number in 0..self.chunks() {
            out.extend(self.chunk(number)?);
        }
        Ok(out)
    }

    /// The file from its beginning.
    pub fn stream(self) -> impl Read + Send {
        ReadingStream { reading: self, next: 0, chunk: Vec::new(), at: 0 }
    }
}

struct ReadingStream {
    reading: Reading,
    next: u64,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for ReadingStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            if self.next == self.reading.chunks() {
                return Ok(0);
            }
            self.chunk = self.reading.chunk(self.next).map_err(io::Error::other)?;
            self.next += 1;
            self.at = 0;
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
