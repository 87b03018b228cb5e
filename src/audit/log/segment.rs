//! Segment files: 65,536 entries each, exactly one full level-1 tile. Integers are little-endian.
//!
//! ```text
//!  header 64    magic 8 · number 8 · SHA-256 of the origin 32 · zeros 12 · CRC-32C 4
//!  batch        record … record footer
//!    record     length 4 (1–65535) · CRC-32C 4 of length and bytes · bytes
//!    footer 92  "TBFT" 4 · first index 8 · count 4 · tree size 8 · root 32 · SHA-256 of the footer before 32 · CRC-32C 4
//!  zeros        preallocated; cut off when the segment is full or the log is closed
//! ```
//! Acknowledged = the footer is durable.

use std::io;
use std::ops::Range;

use super::disk::DiskFile;
use crate::audit::merkle::{Frontier, leaf_hash};
use crate::audit::tile::HEIGHT;
use crate::terms::Digest;

/// Entries of a full segment.
pub const SEGMENT_ENTRIES: u64 = 65_536;
pub const HEADER_LEN: usize = 64;
pub const FOOTER_LEN: usize = 92;
pub const RECORD_HEAD: usize = 8;
/// Longest file of a segment, in bytes: the longest entries, each in a batch of its own, and room taken in advance.
pub const MAX_SEGMENT: u64 = SEGMENT_ENTRIES * (65_535 + (RECORD_HEAD + FOOTER_LEN) as u64) + (1 << 28);
const MAGIC: &[u8; 8] = b"TBSEG01\n";
const FOOTER_MARK: &[u8; 4] = b"TBFT";
/// Bytes read at a time when a whole segment is walked.
const CHUNK: usize = 1 << 20;
/// Bytes read at a time when one bundle is looked up.
const SHORT_CHUNK: usize = 1 << 16;

/// File name of a segment.
pub fn name(number: u64) -> String {
    format!("{number:06}.seg")
}

pub fn header(number: u64, origin: &str) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&number.to_le_bytes());
    out[16..48].copy_from_slice(&Digest::of(origin.as_bytes()).0);
    let crc = crc32c::crc32c(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Makes a record of everything in `out` after `start + RECORD_HEAD`, where `start` left room for the head.
pub fn close_record(out: &mut [u8], start: usize) {
    let len = (out.len() - start - RECORD_HEAD) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), &out[start + RECORD_HEAD..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    pub first: u64,
    pub count: u32,
    pub size: u64,
    pub root: Digest,
    pub previous: Digest,
}

impl Footer {
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut out = [0; FOOTER_LEN];
        out[..4].copy_from_slice(FOOTER_MARK);
        out[4..12].copy_from_slice(&self.first.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.size.to_le_bytes());
        out[24..56].copy_from_slice(&self.root.0);
        out[56..88].copy_from_slice(&self.previous.0);
        let crc = crc32c::crc32c(&out[..88]);
        out[88..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; FOOTER_LEN]) -> Option<Self> {
        let n4 = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let n8 = |at: usize| u64::from(n4(at)) | u64::from(n4(at + 4)) << 32;
        let digest = |at: usize| bytes[at..at + 32].try_into().map(Digest).unwrap_or(Digest([0; 32]));
        (bytes.starts_with(FOOTER_MARK) && crc32c::crc32c(&bytes[..88]) == n4(88)).then(|| Self {
            first: n8(4),
            count: n4(12),
            size: n8(16),
            root: digest(24),
            previous: digest(56),
        })
    }
}

/// What a walk over the segments has seen: the tree so far and the hash of the last footer.
#[derive(Clone, Debug)]
pub struct Chain {
    pub frontier: Frontier,
    pub last_footer: Digest,
}

impl Chain {
    /// Before the first entry of the log of `origin`.
    pub fn start(origin: &str) -> Self {
        Self { frontier: Frontier::new(), last_footer: Digest::of(origin.as_bytes()) }
    }
}

/// Hears of a segment's content. What was heard since the last `batch` is void when the walk ends.
pub trait Visitor {
    fn entry(&mut self, index: u64, offset: u64, leaf: &Digest, bytes: &[u8]);
    /// A hash of tile level `level` is known.
    fn hash(&mut self, level: u8, hash: &Digest);
    /// The batch so far holds; `chain` is the state after it.
    fn batch(&mut self, chain: &Chain);
}

/// Where the last batch that holds ends, and what is wrong after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    pub end: u64,
    pub fault: Option<Fault>,
}

/// The first byte that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: u64,
    pub what: &'static str,
}

/// Reads forward through a file in chunks.
pub struct Cursor<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet passed.
    unread: Range<usize>,
    offset: u64,
    chunk: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(file: &'a dyn DiskFile, offset: u64) -> Self {
        Self { file, buffer: Vec::new(), unread: 0..0, offset, chunk: CHUNK }
    }

    /// For a few entries: reads less at a time.
    pub fn short(file: &'a dyn DiskFile, offset: u64) -> Self {
        Self { chunk: SHORT_CHUNK, ..Self::new(file, offset) }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `len` bytes, fewer at the end of the file.
    pub fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.unread.len() < len {
            let (have, want) = (self.unread.len(), self.chunk.max(len));
            if self.buffer.len() < want {
                let mut larger = vec![0; want];
                larger[..have].copy_from_slice(&self.buffer[self.unread.clone()]);
                self.buffer = larger;
            } else {
                self.buffer.copy_within(self.unread.clone(), 0);
            }
            self.unread = 0..have;
            self.unread.end += self.file.read_at(&mut self.buffer[have..want], self.offset + have as u64)?;
        }
        let rest = &self.buffer[self.unread.clone()];
        Ok(&rest[..len.min(rest.len())])
    }

    pub fn skip(&mut self, len: usize) {
        self.unread.start += len;
        self.offset += len as u64;
    }
}

/// What stands at a place in a segment.
pub enum Unit<'a> {
    Entry(&'a [u8]),
    Footer(Footer, [u8; FOOTER_LEN]),
    /// Zeros, or the end of the file.
    Blank,
    Bad(&'static str),
}

/// Reads one unit; its length in bytes comes with it.
pub fn unit<'c>(cursor: &'c mut Cursor<'_>) -> io::Result<(Unit<'c>, usize)> {
    let head = cursor.peek(RECORD_HEAD)?;
    let Some((len, crc)) = head.split_first_chunk::<4>() else {
        let blank = head.iter().all(|b| *b == 0);
        return Ok((if blank { Unit::Blank } else { Unit::Bad("a cut record") }, 0));
    };
    if len == FOOTER_MARK {
        let Ok(raw) = <[u8; FOOTER_LEN]>::try_from(cursor.peek(FOOTER_LEN)?) else {
            return Ok((Unit::Bad("a cut footer"), 0));
        };
        let footer =
            Footer::decode(&raw).map_or(Unit::Bad("a footer whose checksum is wrong"), |f| Unit::Footer(f, raw));
        return Ok((footer, FOOTER_LEN));
    }
    let Ok(crc) = <[u8; 4]>::try_from(crc) else { return Ok((Unit::Bad("a cut record"), 0)) };
    let (len, crc) = (u32::from_le_bytes(*len), u32::from_le_bytes(crc));
    if len == 0 && crc == 0 {
        return Ok((Unit::Blank, 0));
    }
    if !(1..=u32::from(u16::MAX)).contains(&len) {
        return Ok((Unit::Bad("a record of impossible length"), 0));
    }
    let total = RECORD_HEAD + len as usize;
    let record = cursor.peek(total)?;
    if record.len() < total {
        return Ok((Unit::Bad("a cut record"), total));
    }
    let bytes = &record[RECORD_HEAD..];
    if crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), bytes) != crc {
        return Ok((Unit::Bad("a record whose checksum is wrong"), total));
    }
    Ok((Unit::Entry(bytes), total))
}

/// Walks through a segment, checks every checksum, footer and root. `chain` ends after the last batch that holds.
pub fn walk(
    file: &dyn DiskFile,
    number: u64,
    origin: &str,
    chain: &mut Chain,
    visitor: &mut dyn Visitor,
) -> io::Result<Walked> {
    let mut cursor = Cursor::new(file, 0);
    let fault = |end, offset, what| Ok(Walked { end, fault: Some(Fault { offset, what }) });
    if cursor.peek(HEADER_LEN)? != header(number, origin) {
        return fault(0, 0, "the header of the segment is wrong");
    }
    cursor.skip(HEADER_LEN);
    let mut end = cursor.offset();
    let mut next = chain.clone();
    let mut first = next.frontier.size();
    let last = (number + 1) * SEGMENT_ENTRIES;
    loop {
        let offset = cursor.offset();
        let (found, len) = unit(&mut cursor)?;
        match found {
            Unit::Entry(_) if next.frontier.size() >= last => {
                return fault(end, offset, "more entries than a segment holds");
            }
            Unit::Entry(bytes) => {
                let leaf = leaf_hash(bytes);
                visitor.entry(next.frontier.size(), offset, &leaf, bytes);
                next.frontier.push_with(leaf, |height, hash| {
                    if height.is_multiple_of(HEIGHT) {
                        visitor.hash((height / HEIGHT) as u8, hash);
                    }
                });
            }
            Unit::Footer(footer, raw) => {
                let size = next.frontier.size();
                let want = Footer {
                    first,
                    count: (size - first) as u32,
                    size,
                    root: next.frontier.root(),
                    previous: next.last_footer,
                };
                if footer != want || size == first {
                    return fault(end, offset, "a footer that does not belong to the entries before it");
                }
                next.last_footer = Digest::of(&raw);
                first = size;
                end = offset + len as u64;
                *chain = next.clone();
                visitor.batch(chain);
            }
            Unit::Blank if offset != end => return fault(end, offset, "a batch without its footer"),
            Unit::Blank => break,
            Unit::Bad(what) => return fault(end, offset, what),
        }
        cursor.skip(len);
    }
    // Nothing but zeros may follow.
    loop {
        let offset = cursor.offset();
        let rest = cursor.peek(CHUNK)?;
        if rest.is_empty() {
            return Ok(Walked { end, fault: None });
        }
        if let Some(at) = rest.iter().position(|b| *b != 0) {
            return fault(end, offset + at as u64, "bytes that are not zero after the last footer");
        }
        let len = rest.len();
        cursor.skip(len);
    }
}

/// Whether a whole batch that holds follows the state `chain`, at `end`.
pub fn goes_on(file: &dyn DiskFile, end: u64, chain: &Chain) -> io::Result<bool> {
    let mut cursor = Cursor::short(file, end);
    let mut next = chain.frontier.clone();
    loop {
        let (found, len) = unit(&mut cursor)?;
        match found {
            Unit::Entry(bytes) => next.push_with(leaf_hash(bytes), |_, _| {}),
            Unit::Footer(footer, _) => {
                let (first, size) = (chain.frontier.size(), next.size());
                let chained = footer.previous == chain.last_footer && footer.root == next.root();
                return Ok(chained && footer.first == first && footer.size == size && size > first);
            }
            Unit::Blank | Unit::Bad(_) => return Ok(false),
        }
        cursor.skip(len);
    }
}

/// What follows the last good footer, where it is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// A batch cut short where writes break off: it was being written when the process or the power went.
    Cut,
    /// A batch cut elsewhere, or one that lacks whole sectors (they read as zeros, not yet on the disk when the power
    /// went). Nearly always a crash.
    Torn,
    /// No crash leaves this.
    Damaged,
}

const SECTOR: usize = 512;

/// Whether the `region` at `offset`, all that follows the last good footer, can be a batch that was being written
/// when the power went, rather than damage to a batch that was acknowledged.
///
/// No second batch follows a torn one, since the next is only written after the first is durable.
pub fn tail(region: &[u8], offset: u64, last_footer: &Digest) -> Tail {
    let used = region.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let footers: Vec<Footer> = region[..region.len().min(used + 4)] // a checksum may end in zeros
        .windows(FOOTER_LEN)
        .filter(|window| window.starts_with(FOOTER_MARK))
        .filter_map(|window| Footer::decode(window.try_into().ok()?))
        .collect();
    if footers.iter().any(|footer| footer.previous != *last_footer) || footers.len() > 1 {
        return Tail::Damaged;
    }
    let to_border = (SECTOR - (offset as usize % SECTOR)) % SECTOR;
    let lost = |sector: &[u8]| sector.len() >= 16 && sector.iter().all(|b| *b == 0);
    let (first, rest) = region[..used].split_at(to_border.min(used));
    if lost(first) || rest.chunks_exact(SECTOR).any(lost) {
        return Tail::Torn;
    }
    // Without a good footer, good units as far as they go, and the last one not all there.
    match footers.is_empty() {
        true => cut_short(region, used, offset),
        false => Tail::Damaged,
    }
}

fn cut_short(region: &[u8], used: usize, offset: u64) -> Tail {
    let at_border = (offset as usize + used).is_multiple_of(SECTOR);
    let cut = match at_border || region.len() - used < 8 {
        true => Tail::Cut, // at a sector's end, or at the file's (a number ends in zeros)
        false => Tail::Torn,
    };
    let mut at = 0;
    loop {
        let head = region.get(at..at + 4).map_or([0; 4], |head| [head[0], head[1], head[2], head[3]]);
        let is_footer = head == *FOOTER_MARK;
        let end = at
            + match (is_footer, u32::from_le_bytes(head)) {
                (true, _) => FOOTER_LEN,
                (_, len @ 1..=0xffff) => RECORD_HEAD + len as usize,
                _ if at + 4 > used => return cut,
                _ => return Tail::Damaged,
            };
        // A footer that is all there ends in its checksum, which may end in zeros.
        if is_footer && end <= region.len() && used + 3 >= end && !at_border {
            return Tail::Damaged;
        }
        if end > used {
            return cut;
        }
        if is_footer {
            return Tail::Damaged;
        }
        at = end;
    }
}
