//! One entry's data, unpacked while it is read, checked at its end.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::names::shown;
use super::{Entry, Source, ZipError};

const WINDOW: usize = 16 << 10;
/// Octets handed on at once: few enough to be in the nearest cache still when they are digested.
const PIECE: usize = 32 << 10;

/// Largest entry that is unpacked at once: into octets that the nearer caches hold.
const AT_ONCE_MAX: u64 = 256 << 10;

/// Whether an entry is deflated, and both it and its packed data are small.
pub(super) fn is_small(entry: &Entry) -> bool {
    !entry.stored && entry.packed <= AT_ONCE_MAX && entry.size <= AT_ONCE_MAX
}

/// Unpacks a small entry at once into `out`: no window is filled and copied from.
///
/// # Errors
/// As [`EntryReader`]'s last `read`.
pub(super) fn at_once<S: Source>(
    source: &S,
    entry: &Entry,
    inflate: &mut Decompress,
    out: &mut Vec<u8>,
) -> Result<(), ZipError> {
    let packed = match source.slice(entry.data_at, entry.packed) {
        Some(inside) => Cow::Borrowed(inside),
        None => {
            let mut read = vec![0; entry.packed as usize];
            source.read_at(entry.data_at, &mut read)?;
            Cow::Owned(read)
        }
    };
    let size = entry.size as usize;
    out.clear();
    // Room for one octet more, which must stay empty.
    out.reserve(size + 1);
    inflate.reset(false);
    let status = inflate.decompress_vec(&packed, out, FlushDecompress::Finish);
    let wrong = match status {
        Err(_) => Some("deflate stream"),
        Ok(_) if out.len() > size => Some("longer than declared"),
        Ok(Status::StreamEnd) if out.len() < size => Some("shorter than declared"),
        Ok(Status::StreamEnd) if inflate.total_in() < entry.packed => Some("octets after the deflate stream"),
        Ok(Status::StreamEnd) if crc32fast::hash(out) != entry.crc => Some("CRC"),
        Ok(Status::StreamEnd) => None,
        Ok(_) => Some("deflate stream cut off"),
    };
    match wrong {
        None => Ok(()),
        Some(what) => Err(ZipError::Damaged { name: shown(&entry.name), what }),
    }
}

/// Streams one entry: never gives more octets than the directory declares, and fails instead of ending when size,
/// CRC or packed size do not hold.
pub struct EntryReader<'a, S> {
    source: &'a S,
    entry: &'a Entry,
    /// Packed octets not yet fetched: none where the source lies in memory.
    left: u64,
    at: u64,
    window: Cow<'a, [u8]>,
    used: usize,
    inflate: Option<Decompress>,
    ended: bool,
    given: u64,
    crc: crc32fast::Hasher,
}

impl<'a, S: Source> EntryReader<'a, S> {
    pub(super) fn new(source: &'a S, entry: &'a Entry) -> Self {
        let inside = source.slice(entry.data_at, entry.packed);
        Self {
            source,
            entry,
            left: if inside.is_some() { 0 } else { entry.packed },
            at: entry.data_at,
            window: Cow::Borrowed(inside.unwrap_or_default()),
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
        let window = self.window.to_mut();
        window.resize(n as usize, 0);
        self.source.read_at(self.at, window)?;
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

    /// Hands on all octets, and does not copy what is stored and lies in memory.
    pub fn each(mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if let (None, 0, Cow::Borrowed(all)) = (&self.inflate, self.left, &self.window) {
            let all = *all;
            self.used = all.len();
            for piece in all.chunks(PIECE) {
                self.count(piece)?;
                take(piece);
            }
            return self.count(&[]);
        }
        let mut buf = vec![0; self.entry.size.clamp(1, PIECE as u64) as usize];
        loop {
            match self.read(&mut buf)? {
                0 => return Ok(()),
                n => take(&buf[..n]),
            }
        }
    }

    /// Counts what is given, and checks all of it once nothing more is.
    fn count(&mut self, given: &[u8]) -> io::Result<()> {
        self.given += given.len() as u64;
        self.crc.update(given);
        if self.given > self.entry.size {
            return Err(self.damaged("longer than declared"));
        }
        if given.is_empty() {
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
        Ok(())
    }
}

impl<S: Source> Read for EntryReader<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.step(buf)?;
        self.count(&buf[..n])?;
        Ok(n)
    }
}
