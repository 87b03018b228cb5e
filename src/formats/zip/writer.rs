//! Writes archives: the same entries in the same order at the same time give the same bytes.

use std::io::{self, Read, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::{ZipError, names};

/// Date and time of all entries, as MS-DOS wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DosTime {
    date: u16,
    time: u16,
}

impl DosTime {
    /// 1980-01-01 00:00:00, for archives that shall not say when.
    pub const EPOCH: Self = Self { date: 0x21, time: 0 };

    /// The day (Asia/Shanghai) of `at`, at midnight; days outside 1980–2107 become [`DosTime::EPOCH`].
    pub fn day_of(at: crate::terms::UnixMillis) -> Self {
        let digits: u32 = at.day().digits().parse().unwrap_or(0);
        let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
        match year {
            1980..=2107 => Self { date: ((year - 1980) << 9 | month << 5 | day) as u16, time: 0 },
            _ => Self::EPOCH,
        }
    }
}

/// How an entry is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Stored,
    Deflated,
}

/// Writes entries to `out` as they come; nothing but the directory is kept.
pub struct Writer<W: Write> {
    out: Counted<W>,
    when: DosTime,
    directory: Vec<u8>,
    names: std::collections::HashSet<String>,
}

struct Counted<W> {
    inner: W,
    at: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.at += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What header and directory both say of an entry.
struct Facts<'a> {
    name: &'a str,
    flags: u16,
    packing: Packing,
    crc: u32,
    packed: u32,
    size: u32,
}

const UTF8: u16 = 1 << 11;
const DESCRIPTOR: u16 = 1 << 3;

impl<W: Write> Writer<W> {
    pub fn new(out: W, when: DosTime) -> Self {
        Self { out: Counted { inner: out, at: 0 }, when, directory: Vec::new(), names: Default::default() }
    }

    /// Adds an entry whose bytes are at hand; its sizes stand in the local header, as ASiC wants for `mimetype`.
    ///
    /// # Errors
    /// [`ZipError::Name`], [`ZipError::Traversal`], [`ZipError::Duplicate`] for a name the reader would refuse;
    /// [`ZipError::TooBig`] from 4 GiB or 65,535 entries on.
    pub fn add(&mut self, name: &str, packing: Packing, bytes: &[u8]) -> Result<(), ZipError> {
        let mut crc = Crc::new();
        crc.update(bytes);
        let packed = match packing {
            Packing::Stored => None,
            Packing::Deflated => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
                encoder.write_all(bytes)?;
                Some(encoder.finish()?)
            }
        };
        let data = packed.as_deref().unwrap_or(bytes);
        let (packed, size) = (small(data.len() as u64)?, small(bytes.len() as u64)?);
        let facts = Facts { name, flags: UTF8, packing, crc: crc.sum(), packed, size };
        let at = self.begin(&facts)?;
        self.out.write_all(data)?;
        self.record(&facts, at)
    }

    /// Adds an entry read to its end from `from`; sizes follow in a data descriptor. Gives the octets read.
    pub fn add_from(&mut self, name: &str, packing: Packing, from: &mut impl Read) -> Result<u64, ZipError> {
        let mut facts = Facts { name, flags: UTF8 | DESCRIPTOR, packing, crc: 0, packed: 0, size: 0 };
        let at = self.begin(&facts)?;
        let data_at = self.out.at;
        let mut from = flate2::CrcReader::new(from);
        let size = match packing {
            Packing::Stored => io::copy(&mut from, &mut self.out)?,
            Packing::Deflated => {
                let mut encoder = DeflateEncoder::new(&mut self.out, Compression::new(6));
                let size = io::copy(&mut from, &mut encoder)?;
                encoder.finish()?;
                size
            }
        };
        facts.crc = from.crc().sum();
        facts.packed = small(self.out.at - data_at)?;
        facts.size = small(size)?;
        let mut tail = Vec::with_capacity(16);
        tail.extend(b"PK\x07\x08");
        for value in [facts.crc, facts.packed, facts.size] {
            tail.extend(value.to_le_bytes());
        }
        self.out.write_all(&tail)?;
        self.record(&facts, at)?;
        Ok(facts.size.into())
    }

    /// Writes the directory and hands `out` back.
    pub fn finish(mut self) -> Result<W, ZipError> {
        let (at, size) = (small(self.out.at)?, small(self.directory.len() as u64)?);
        let count = u16::try_from(self.names.len()).map_err(|_| ZipError::TooBig("number of entries"))?;
        let mut end = std::mem::take(&mut self.directory);
        end.extend(b"PK\x05\x06\0\0\0\0");
        end.extend(count.to_le_bytes());
        end.extend(count.to_le_bytes());
        end.extend(size.to_le_bytes());
        end.extend(at.to_le_bytes());
        end.extend([0, 0]);
        self.out.write_all(&end)?;
        self.out.flush()?;
        Ok(self.out.inner)
    }

    fn begin(&mut self, facts: &Facts<'_>) -> Result<u32, ZipError> {
        names::check(facts.name)?;
        if !self.names.insert(facts.name.trim_end_matches('/').to_lowercase()) {
            return Err(ZipError::Duplicate(names::shown(facts.name)));
        }
        let at = small(self.out.at)?;
        let mut head = Vec::with_capacity(30 + facts.name.len());
        head.extend(b"PK\x03\x04");
        self.common(&mut head, facts);
        head.extend(facts.name.as_bytes());
        self.out.write_all(&head)?;
        Ok(at)
    }

    /// The fields both headers share, from "version needed" to "extra field length".
    fn common(&self, out: &mut Vec<u8>, facts: &Facts<'_>) {
        let method: u16 = if facts.packing == Packing::Stored { 0 } else { 8 };
        for value in [20, facts.flags, method, self.when.time, self.when.date] {
            out.extend(value.to_le_bytes());
        }
        for value in [facts.crc, facts.packed, facts.size] {
            out.extend(value.to_le_bytes());
        }
        out.extend((facts.name.len() as u16).to_le_bytes());
        out.extend([0, 0]);
    }

    fn record(&mut self, facts: &Facts<'_>, at: u32) -> Result<(), ZipError> {
        let mut out = std::mem::take(&mut self.directory);
        out.extend(b"PK\x01\x02\x14\x03"); // made by 2.0 on Unix
        self.common(&mut out, facts);
        out.extend([0; 6]); // comment length, disk, internal attributes
        let mode: u32 = if facts.name.ends_with('/') { 0o040_755 } else { 0o100_644 };
        out.extend((mode << 16).to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend(facts.name.as_bytes());
        self.directory = out;
        Ok(())
    }
}

/// No ZIP64 when writing: nothing we hand over reaches 4 GiB.
fn small(value: u64) -> Result<u32, ZipError> {
    u32::try_from(value).ok().filter(|&v| v != u32::MAX).ok_or(ZipError::TooBig("4 GiB"))
}
