//! The central directory and the local headers, which must tell the same story.

use std::borrow::Cow;

use super::names::shown;
use super::{Entry, Finding, Limits, Source, ZipError, names};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: [u8; 4] = *b"PK\x05\x06";
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END_LEN: u64 = 22;
/// A comment can take 65,535 octets; vendors append a few more after it.
const TAIL: u64 = 65_535 + END_LEN + 65_536;

pub(super) fn read<S: Source>(source: &S, limits: &Limits) -> Result<(Vec<Entry>, Vec<Finding>), ZipError> {
    let size = source.size()?;
    let mut findings = Vec::new();
    let end = find_end(source, size, &mut findings)?;
    if end.entries > limits.entries as u64 {
        return Err(ZipError::TooBig("number of entries"));
    }
    if end.size > limits.directory {
        return Err(ZipError::TooBig("central directory"));
    }
    // Offsets count from the archive's own start, which vendors' octets may have moved.
    let start = end.at.checked_sub(end.size).ok_or(ZipError::Directory("larger than the file"))?;
    let shift = start.checked_sub(end.offset).ok_or(ZipError::Directory("offset beyond its place"))?;
    let raw = octets(source, start, end.size)?;

    let mut entries = Vec::new();
    let mut heads = Vec::new();
    let (mut cursor, mut total) = (Cursor(&raw), 0u64);
    for _ in 0..end.entries {
        let (entry, head) = central(&mut cursor, shift, limits, &mut findings)?;
        total = total.saturating_add(entry.size);
        if total > limits.total_size {
            return Err(ZipError::TooBig("all entries together"));
        }
        entries.push(entry);
        heads.push(head);
    }
    if !cursor.0.is_empty() {
        return Err(ZipError::Directory("size and number of entries disagree"));
    }
    names::check_all(&entries)?;
    lay_out(source, &mut entries, &heads, start, &mut findings)?;
    if shift > 0 {
        findings.push(Finding::Prefix);
    }
    findings.sort_unstable();
    findings.dedup();
    Ok((entries, findings))
}

/// Octets of a source, copied only where they do not lie in memory.
fn octets<S: Source>(source: &S, from: u64, len: u64) -> Result<Cow<'_, [u8]>, ZipError> {
    if let Some(octets) = source.slice(from, len) {
        return Ok(Cow::Borrowed(octets));
    }
    let mut octets = vec![0; len as usize];
    source.read_at(from, &mut octets)?;
    Ok(Cow::Owned(octets))
}

struct End {
    /// Where the directory ends.
    at: u64,
    entries: u64,
    size: u64,
    offset: u64,
}

fn find_end<S: Source>(source: &S, size: u64, findings: &mut Vec<Finding>) -> Result<End, ZipError> {
    if size < END_LEN {
        return Err(ZipError::NoEnd);
    }
    let tail_at = size.saturating_sub(TAIL);
    let tail = octets(source, tail_at, size - tail_at)?;
    // The last of them that has room for a whole record.
    let room = tail.len() - END_LEN as usize + END.len();
    let at = memchr::memmem::rfind(&tail[..room], &END).ok_or(ZipError::NoEnd)?;
    let mut c = Cursor(&tail[at + 4..]);
    let (disk, directory_disk, here, entries) = (c.u16()?, c.u16()?, c.u16()?, c.u16()?);
    let (dir_size, dir_offset, comment) = (c.u32()?, c.u32()?, usize::from(c.u16()?));
    let rest = c.0;
    if comment > rest.len() {
        return Err(ZipError::NoEnd); // cut off inside the comment, or a signature by chance
    }
    if comment > 0 {
        findings.push(Finding::Comment);
    }
    if rest.len() > comment {
        findings.push(Finding::Trailer);
    }
    // Whoever repairs an archive takes what looks like an entry wherever it stands.
    if holds_record(rest) {
        return Err(ZipError::Hidden);
    }
    // An earlier end record whose comment reaches over this one: a reader that trusts comment lengths takes that one.
    let reaches = |q: usize| {
        let comment = usize::from(u16::from_le_bytes([tail[q + 20], tail[q + 21]]));
        q + END_LEN as usize + comment > at
    };
    // One that begins in the last octets before this one has its comment's length in it: both lie in the tail.
    if memchr::memmem::find_iter(&tail[..at + END.len() - 1], &END).any(reaches) {
        return Err(ZipError::Ambiguous);
    }
    let at = tail_at + at as u64;
    if let Some(end) = find_end64(source, at)? {
        let same = |small: u64, max: u64, big: u64| small == max || small == big;
        let agree = same(entries.into(), 0xffff, end.entries)
            && same(dir_size.into(), 0xffff_ffff, end.size)
            && same(dir_offset.into(), 0xffff_ffff, end.offset);
        findings.push(Finding::Attributes); // versions, which nothing repeats
        return if agree { Ok(end) } else { Err(ZipError::Ambiguous) };
    }
    if disk != 0 || directory_disk != 0 || here != entries {
        return Err(ZipError::Volumes);
    }
    Ok(End { at, entries: entries.into(), size: dir_size.into(), offset: dir_offset.into() })
}

/// ZIP64 end record by its locator, which sits right before the end record.
fn find_end64<S: Source>(source: &S, end_at: u64) -> Result<Option<End>, ZipError> {
    let Some(locator_at) = end_at.checked_sub(20) else { return Ok(None) };
    let mut raw = [0; 20];
    source.read_at(locator_at, &mut raw)?;
    let mut c = Cursor(&raw);
    if c.u32()? != LOCATOR64 {
        return Ok(None);
    }
    let (disk, claimed, disks) = (c.u32()?, c.u64()?, c.u32()?);
    if disk != 0 || disks > 1 {
        return Err(ZipError::Volumes);
    }
    // The record without extensible data ends where the locator begins; the claimed place may be shifted by a prefix.
    let Some(at) = locator_at.checked_sub(56) else { return Err(ZipError::Directory("ZIP64 end record")) };
    let mut raw = [0; 56];
    source.read_at(at, &mut raw)?;
    let mut c = Cursor(&raw);
    if c.u32()? != END64 || c.u64()? != 44 || claimed > at {
        return Err(ZipError::Directory("ZIP64 end record"));
    }
    let (_versions, disk, directory_disk) = (c.u32()?, c.u32()?, c.u32()?);
    let (here, entries, size, offset) = (c.u64()?, c.u64()?, c.u64()?, c.u64()?);
    if disk != 0 || directory_disk != 0 || here != entries {
        return Err(ZipError::Volumes);
    }
    Ok(Some(End { at, entries, size, offset }))
}

/// What the local header must repeat.
struct Head<'a> {
    needed: u16,
    flags: u16,
    method: u16,
    /// Time and date.
    when: u32,
    raw_name: &'a [u8],
}

fn central<'a>(
    c: &mut Cursor<'a>,
    shift: u64,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) -> Result<(Entry, Head<'a>), ZipError> {
    if c.u32()? != CENTRAL {
        return Err(ZipError::Directory("a record without its signature"));
    }
    let (made_by, needed, flags, method) = (c.u16()?, c.u16()?, c.u16()?, c.u16()?);
    let (when, crc) = (c.u32()?, c.u32()?);
    let (packed, size) = (c.u32()?, c.u32()?);
    let (name_len, extra_len, comment_len) = (c.u16()?, c.u16()?, c.u16()?);
    let (disk, internal, external, offset) = (c.u16()?, c.u16()?, c.u32()?, c.u32()?);
    let raw_name = c.take(name_len.into())?;
    let extra = c.take(extra_len.into())?;
    if !c.take(comment_len.into())?.is_empty() {
        findings.push(Finding::Comment);
    }
    let (name, plain) = names::read(raw_name, flags & FLAG_UTF8 != 0, unicode_path(extra, raw_name))?;
    if !plain {
        findings.push(Finding::NameEncoding);
    }
    if flags & (1 | 1 << 6 | 1 << 13) != 0 {
        return Err(ZipError::Encrypted(shown(&name)));
    }
    if !matches!(method, 0 | 8) {
        return Err(ZipError::Method { name: shown(&name), method });
    }
    let kind = external >> 16 & 0o170_000;
    let on_unix = matches!(made_by >> 8, 3 | 19);
    if kind == 0o120_000 || on_unix && !matches!(kind, 0 | 0o100_000 | 0o040_000) {
        return Err(ZipError::Special(shown(&name)));
    }
    if !extra.is_empty() || !is_plain(made_by, needed, internal, external, name.ends_with('/')) {
        findings.push(Finding::Attributes);
    }
    let mut wide = Wide::find(extra, &name)?;
    let size = wide.resolve(size)?;
    let packed = wide.resolve(packed)?;
    let offset = wide.resolve(offset)?;
    if disk != 0 && disk != 0xffff {
        return Err(ZipError::Volumes);
    }
    if size > limits.entry_size {
        return Err(ZipError::TooBig("an entry"));
    }
    if size > Limits::RATIO_FLOOR && size / packed.max(1) > limits.ratio {
        return Err(ZipError::Bomb(shown(&name)));
    }
    if name.ends_with('/') && size != 0 {
        return Err(ZipError::Name { name: shown(&name), why: "a folder with content" });
    }
    if method == 0 && size != packed {
        return Err(ZipError::Damaged { name: shown(&name), what: "stored, with two sizes" });
    }
    let header_at = offset.checked_add(shift).ok_or(ZipError::Directory("offset"))?;
    let entry = Entry { name, size, packed, crc, stored: method == 0, header_at, has_extra: false, data_at: 0 };
    Ok((entry, Head { needed, flags, method, when, raw_name }))
}

/// Whether what the directory says of an entry's maker and attributes is what every plain file or folder has: of MS-DOS
/// without attributes, or of Unix with the usual mode. No other octet in one place is plain again.
fn is_plain(made_by: u16, needed: u16, internal: u16, external: u32, folder: bool) -> bool {
    let (host, version) = (made_by >> 8, made_by & 0xff);
    let usual = match (host, folder) {
        (0, false) => 0,
        (0, true) => 0x10,
        (3, false) => 0o100_644 << 16,
        (3, true) => 0o040_755 << 16,
        _ => return false,
    };
    version == needed && internal == 0 && external == usual
}

const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;

/// Reads every local header, in the order of the file, and proves that the records lie one after the other.
fn lay_out<S: Source>(
    source: &S,
    entries: &mut [Entry],
    heads: &[Head<'_>],
    directory_at: u64,
    findings: &mut Vec<Finding>,
) -> Result<(), ZipError> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&n| entries[n].header_at);
    let mut free_from = 0;
    for (place, &n) in order.iter().enumerate() {
        let entry = &mut entries[n];
        if entry.header_at < free_from {
            return Err(ZipError::Overlap(shown(&entry.name)));
        }
        if entry.header_at > free_from {
            no_hidden_record(source, free_from, entry.header_at)?;
            findings.push(if place == 0 { Finding::Prefix } else { Finding::Gap });
        }
        free_from = local(source, entry, &heads[n], directory_at, findings)?;
    }
    if free_from < directory_at {
        no_hidden_record(source, free_from, directory_at)?;
        findings.push(Finding::Gap);
    }
    Ok(())
}

/// Octets looked through at once.
const WINDOW: u64 = 64 << 10;

/// A reader that walks local headers from the front would see an entry the directory does not list, however far in: libarchive goes on
/// to the next header that it finds, 7-Zip opens the first archive of two.
fn no_hidden_record<S: Source>(source: &S, from: u64, to: u64) -> Result<(), ZipError> {
    let mut at = from;
    while to - at >= 4 {
        // Three octets of each window once more in the next: a header may begin in them.
        let len = (to - at).min(WINDOW);
        if holds_record(&octets(source, at, len)?) {
            return Err(ZipError::Hidden);
        }
        at += len - 3;
    }
    Ok(())
}

fn holds_record(octets: &[u8]) -> bool {
    memchr::memmem::find(octets, &LOCAL.to_le_bytes()).is_some()
}

/// Checks one local header and its data descriptor; gives the first octet after the record.
fn local<S: Source>(
    source: &S,
    entry: &mut Entry,
    head: &Head<'_>,
    directory_at: u64,
    findings: &mut Vec<Finding>,
) -> Result<u64, ZipError> {
    let differs = |what| ZipError::LocalMismatch { name: shown(&entry.name), what };
    let beyond = || ZipError::Overlap(shown(&entry.name));
    let mut raw = [0; 30];
    if entry.header_at.checked_add(30).is_none_or(|end| end > directory_at) {
        return Err(beyond());
    }
    source.read_at(entry.header_at, &mut raw)?;
    let mut c = Cursor(&raw);
    if c.u32()? != LOCAL {
        return Err(differs("no header there"));
    }
    let (needed, flags, method, when) = (c.u16()?, c.u16()?, c.u16()?, c.u32()?);
    let (crc, packed, size) = (c.u32()?, c.u32()?, c.u32()?);
    let (name_len, extra_len) = (u64::from(c.u16()?), u64::from(c.u16()?));
    let data_at = entry.header_at + 30 + name_len + extra_len;
    let data_end = data_at.checked_add(entry.packed).filter(|&end| end <= directory_at).ok_or_else(beyond)?;
    let rest = octets(source, entry.header_at + 30, name_len + extra_len)?;
    let (name, extra) = rest.split_at(name_len as usize);
    if name != head.raw_name || unicode_path(extra, name).is_some_and(|path| path != entry.name.as_bytes()) {
        return Err(ZipError::LocalName(shown(&entry.name)));
    }
    if method != head.method {
        return Err(differs("compression method"));
    }
    // Encryption and descriptor bits change how data are read; the others are hints.
    if (flags ^ head.flags) & (1 | FLAG_DESCRIPTOR | 1 << 6 | 1 << 13) != 0 {
        return Err(differs("flags"));
    }
    if (needed, flags, when) != (head.needed, head.flags, head.when) {
        findings.push(Finding::HeadersDiffer);
    }
    let mut wide = Wide::find(extra, &entry.name)?;
    let (size, packed) = (wide.resolve(size)?, wide.resolve(packed)?);
    let with_descriptor = flags & FLAG_DESCRIPTOR != 0;
    let fits = |local: u64, ours: u64| local == ours || with_descriptor && local == 0;
    if !fits(crc.into(), entry.crc.into()) {
        return Err(differs("CRC"));
    }
    if !fits(size, entry.size) || !fits(packed, entry.packed) {
        return Err(differs("size"));
    }
    // Where a descriptor follows, the header says all three or none of them.
    let told = [u64::from(crc), size, packed].map(|value| value != 0);
    let ours = [u64::from(entry.crc), entry.size, entry.packed].map(|value| value != 0);
    if with_descriptor && told != [false; 3] && told != ours {
        findings.push(Finding::HeadersDiffer);
    }
    let end = if with_descriptor { data_end + descriptor(source, entry, data_end, directory_at)? } else { data_end };
    entry.data_at = data_at;
    entry.has_extra = extra_len > 0;
    if entry.has_extra {
        findings.push(Finding::Attributes);
    }
    Ok(end)
}

/// The four layouts of a data descriptor seen in the wild: with or without signature, 32 or 64 bits.
fn descriptor<S: Source>(source: &S, entry: &Entry, at: u64, directory_at: u64) -> Result<u64, ZipError> {
    let mut raw = [0; 24];
    let have = (directory_at - at).min(24) as usize;
    source.read_at(at, &mut raw[..have])?;
    let crc = entry.crc.to_le_bytes();
    for signed in [true, false] {
        for wide in [false, true] {
            let mut want = Vec::with_capacity(24);
            if signed {
                want.extend(DESCRIPTOR.to_le_bytes());
            }
            want.extend(crc);
            for value in [entry.packed, entry.size] {
                let bytes = value.to_le_bytes();
                if !wide && value > u64::from(u32::MAX) {
                    want.clear();
                    break;
                }
                want.extend(if wide { &bytes[..] } else { &bytes[..4] });
            }
            if !want.is_empty() && raw[..have].starts_with(&want) {
                return Ok(want.len() as u64);
            }
        }
    }
    Err(ZipError::LocalMismatch { name: shown(&entry.name), what: "data descriptor" })
}

/// The ZIP64 extra field: values that did not fit, in a fixed order.
struct Wide<'a>(Cursor<'a>);

impl<'a> Wide<'a> {
    fn find(extra: &'a [u8], name: &str) -> Result<Self, ZipError> {
        let (mut c, mut found) = (Cursor(extra), None);
        // Some writers pad the field with less than a header's worth of zeros.
        while c.0.len() >= 4 {
            let (tag, len) = (c.u16()?, c.u16()?);
            let Ok(body) = c.take(len.into()) else { break };
            if tag == 1 && found.replace(body).is_some() {
                return Err(ZipError::LocalMismatch { name: shown(name), what: "two ZIP64 fields" });
            }
        }
        Ok(Self(Cursor(found.unwrap_or_default())))
    }

    fn resolve(&mut self, small: u32) -> Result<u64, ZipError> {
        if small == u32::MAX { self.0.u64() } else { Ok(small.into()) }
    }
}

/// Info-ZIP's Unicode Path: the name in UTF-8, valid while the CRC of the name beside it holds (APPNOTE 4.6.9).
fn unicode_path<'a>(extra: &'a [u8], raw_name: &[u8]) -> Option<&'a [u8]> {
    let mut c = Cursor(extra);
    while c.0.len() >= 4 {
        let (tag, len) = (c.u16().ok()?, c.u16().ok()?);
        let mut body = Cursor(c.take(len.into()).ok()?);
        if tag == 0x7075 && body.array::<1>().ok()? == [1] && body.u32().ok()? == crc32fast::hash(raw_name) {
            return Some(body.0);
        }
    }
    None
}

/// Little-endian numbers off the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], ZipError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(ZipError::Directory("cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ZipError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(ZipError::Directory("cut off"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, ZipError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ZipError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ZipError> {
        self.array().map(u64::from_le_bytes)
    }
}
