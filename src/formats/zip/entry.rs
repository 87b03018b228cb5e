//! One entry's data, unpacked while it is read, checked at its end.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::names::shown;
use super::{Entry, Source, ZipError};

const WINDOW: usize = 16 << 10;
/// Octets handed on at once: few enough to be in the nearest cache still when they are digested.
const PIECE: usize = 32 << 10;

/// Largest packed data that are unpacked at once.
const PACKED_MAX: u64 = 128 << 10;

/// Unpacks a deflated entry at once, where both it and its packed data are small: no window is filled and copied from. None for others.
///
/// # Errors
/// As [`EntryReader`]'s last `read`.
pub(super) fn at_once<S: Source>(
    source: &S,
    entry: &Entry,
    inflate: &mut DecompressorOxide,
) -> Result<Option<Vec<u8>>, ZipError> {
    if entry.stored || entry.packed > PACKED_MAX {
        return Ok(None);
    }
    let packed = match source.slice(entry.data_at, entry.packed) {
        Some(inside) => Cow::Borrowed(inside),
        None => {
            let mut read = vec![0; entry.packed as usize];
            source.read_at(entry.data_at, &mut read)?;
            Cow::Owned(read)
        }
    };
    let mut whole = vec![0; entry.size as usize];
    inflate.init();
    let plain = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, taken, made) = decompress(inflate, &packed, &mut whole, 0, plain);
    let wrong = match status {
        TINFLStatus::Done if made < whole.len() => Some("shorter than declared"),
        TINFLStatus::Done if taken < packed.len() => Some("octets after the deflate stream"),
        TINFLStatus::Done if crc32fast::hash(&whole) != entry.crc => Some("CRC"),
        TINFLStatus::Done => None,
        TINFLStatus::HasMoreOutput => Some("longer than declared"),
        TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => Some("deflate stream cut off"),
        _ => Some("deflate stream"),
    };
    match wrong {
        None => Ok(Some(whole)),
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
