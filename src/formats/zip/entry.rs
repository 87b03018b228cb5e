//! One entry's data, unpacked while it is read, checked at its end.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::names::shown;
use super::{Entry, Source, ZipError};

const WINDOW: usize = 16 << 10;

/// Streams one entry: never gives more octets than the directory declares, and fails instead of ending when size,
/// CRC or packed size do not hold.
pub struct EntryReader<'a, S> {
    source: &'a S,
    entry: &'a Entry,
    /// Packed octets not yet fetched.
    left: u64,
    at: u64,
    window: Vec<u8>,
    used: usize,
    inflate: Option<Decompress>,
    ended: bool,
    given: u64,
    crc: crc32fast::Hasher,
}

impl<'a, S: Source> EntryReader<'a, S> {
    pub(super) fn new(source: &'a S, entry: &'a Entry) -> Self {
        Self {
            source,
            entry,
            left: entry.packed,
            at: entry.data_at,
            window: Vec::new(),
            used: 0,
            inflate: (!entry.stored).then(|| Decompress::new(false)),
            ended: false,
            given: 0,
            crc: crc32fast::Hasher::new(),
        }
    }

    fn damaged(&self, what: &'static str) -> io::Error {
        ZipError::Damaged { name: shown(&self.entry.name), what }.into_io()
    }

    fn fetch(&mut self) -> io::Result<()> {
        if self.used < self.window.len() || self.left == 0 {
            return Ok(());
        }
        let n = self.left.min(WINDOW as u64);
        self.window.resize(n as usize, 0);
        self.source.read_at(self.at, &mut self.window)?;
        (self.used, self.at, self.left) = (0, self.at + n, self.left - n);
        Ok(())
    }

    fn step(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            self.fetch()?;
            let input = &self.window[self.used..];
            let Some(inflate) = &mut self.inflate else {
                let n = input.len().min(buf.len());
                buf[..n].copy_from_slice(&input[..n]);
                self.used += n;
                return Ok(n);
            };
            if self.ended {
                return Ok(0);
            }
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(input, buf, FlushDecompress::None);
            let taken = (inflate.total_in() - before_in) as usize;
            let made = (inflate.total_out() - before_out) as usize;
            self.used += taken;
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(_) if made == 0 && taken == 0 => return Err(self.damaged("deflate stream cut off")),
                Ok(_) => {}
                Err(_) => return Err(self.damaged("deflate stream")),
            }
            if made > 0 || self.ended {
                return Ok(made);
            }
        }
    }
}

impl<S: Source> Read for EntryReader<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.step(buf)?;
        self.given += n as u64;
        self.crc.update(&buf[..n]);
        if self.given > self.entry.size {
            return Err(self.damaged("longer than declared"));
        }
        if n == 0 {
            if self.given != self.entry.size {
                return Err(self.damaged("shorter than declared"));
            }
            if self.left > 0 || self.used < self.window.len() {
                return Err(self.damaged("octets after the deflate stream"));
            }
            if self.crc.clone().finalize() != self.entry.crc {
                return Err(self.damaged("CRC"));
            }
        }
        Ok(n)
    }
}
