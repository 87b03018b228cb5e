//! ZIP archives (APPNOTE 6.3.10), as OFD, ASiC-E and evidence bundles are: a strict reader, a deterministic writer.
//!
//! ```text
//!  Source (len, read_at) ──▶ Archive::open ──▶ entries (unique, normal names; no overlap)
//!    [u8] · Bytes · File          │                 │
//!                                 │                 └──▶ EntryReader: impl Read, size and CRC checked at its end
//!                                 └──▶ findings: odd but harmless
//!  Writer ──▶ the same entries in the same order give the same bytes
//! ```
//! No archive and no entry is ever held in memory whole, unless the caller asks with a limit.

mod directory;
mod entry;
mod names;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use flate2::Decompress;

pub use entry::EntryReader;
pub use writer::{DosTime, Packing, Writer};

/// Bytes that can be read from anywhere: a slice, a buffer, a file.
pub trait Source {
    /// Size in octets.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buf` from `offset`; an error when there are fewer octets.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// The octets themselves, where they lie in memory and are there: then nobody copies them.
    fn slice(&self, _offset: u64, _len: u64) -> Option<&[u8]> {
        None
    }
}

impl Source for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.copy_from_slice(self.slice(offset, buf.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset).ok()?;
        self.get(from..from.checked_add(usize::try_from(len).ok()?)?)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buf)
    }
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        self.as_slice().slice(offset, len)
    }
}

impl Source for bytes::Bytes {
    fn size(&self) -> io::Result<u64> {
        self.as_ref().size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_ref().read_at(offset, buf)
    }
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        self.as_ref().slice(offset, len)
    }
}

impl Source for std::fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        (**self).slice(offset, len)
    }
}

/// A source with one octet replaced.
struct Patched<'a, S> {
    source: &'a S,
    at: u64,
    octet: u8,
}

impl<S: Source> Source for Patched<'_, S> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.source.read_at(offset, buf)?;
        let here = self.at.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
        if let Some(octet) = here.and_then(|n| buf.get_mut(n)) {
            *octet = self.octet;
        }
        Ok(())
    }
}

/// How much an archive may ask of us. Sizes in octets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: usize,
    /// Size of the central directory.
    pub directory: u64,
    pub entry_size: u64,
    pub total_size: u64,
    /// Unpacked to packed, judged for entries above [`Limits::RATIO_FLOOR`]. Deflate reaches 1032 on a run of zeros;
    /// page descriptions of real files stay below 100.
    pub ratio: u64,
}

impl Limits {
    /// Entries up to this size are never called bombs: 1 MiB.
    pub const RATIO_FLOOR: u64 = 1 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000, directory: 4 << 20, entry_size: 512 << 20, total_size: 1 << 30, ratio: 250 }
    }
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    #[error("no end of central directory: not a ZIP archive, or cut off")]
    NoEnd,
    #[error("more than one end of central directory")]
    Ambiguous,
    #[error("several volumes")]
    Volumes,
    #[error("central directory: {0}")]
    Directory(&'static str),
    #[error("entry {0:?} twice, or under names that differ only in case")]
    Duplicate(String),
    #[error("entry {0:?} leaves the archive")]
    Traversal(String),
    #[error("entry {name:?}: {why}")]
    Name { name: String, why: &'static str },
    #[error("entry {0:?} has another name in its local header")]
    LocalName(String),
    #[error("entry {name:?}: local header and directory disagree: {what}")]
    LocalMismatch { name: String, what: &'static str },
    #[error("entries {0:?} and the next one share octets")]
    Overlap(String),
    #[error("an entry that the directory does not list")]
    Hidden,
    #[error("entry {0:?} is encrypted")]
    Encrypted(String),
    #[error("entry {0:?} is a link or device")]
    Special(String),
    #[error("entry {name:?}: compression method {method}")]
    Method { name: String, method: u16 },
    #[error("too big: {0}")]
    TooBig(&'static str),
    #[error("entry {0:?} unpacks to far more than its packed size")]
    Bomb(String),
    #[error("entry {name:?} is damaged: {what}")]
    Damaged { name: String, what: &'static str },
    #[error("no entry {0:?}")]
    Missing(String),
    #[error("reading: {0}")]
    Io(#[from] io::Error),
}

impl ZipError {
    /// Fine code for reports; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoEnd => "ZIP_NO_EOCD",
            Self::Ambiguous => "ZIP_AMBIGUOUS",
            Self::Volumes => "ZIP_MULTI_VOLUME",
            Self::Directory(_) => "ZIP_DIRECTORY",
            Self::Duplicate(_) => "ZIP_DUPLICATE_ENTRY",
            Self::Traversal(_) => "ZIP_PATH_TRAVERSAL",
            Self::Name { .. } => "ZIP_BAD_NAME",
            Self::LocalName(_) => "ZIP_LOCAL_NAME_MISMATCH",
            Self::LocalMismatch { .. } => "ZIP_LOCAL_MISMATCH",
            Self::Overlap(_) => "ZIP_OVERLAP",
            Self::Hidden => "ZIP_HIDDEN_ENTRY",
            Self::Encrypted(_) => "ZIP_ENCRYPTED",
            Self::Special(_) => "ZIP_SYMLINK",
            Self::Method { .. } => "ZIP_METHOD",
            Self::TooBig(_) => "ZIP_TOO_BIG",
            Self::Bomb(_) => "ZIP_BOMB",
            Self::Damaged { .. } => "ZIP_DATA",
            Self::Missing(_) => "ZIP_MISSING_ENTRY",
            Self::Io(_) => "ZIP_IO",
        }
    }

    /// Carries an archive error through `std::io::Read`.
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Io(e) => e,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }

    /// Takes an archive error out of an I/O error again.
    pub fn from_io(error: io::Error) -> Self {
        match error.downcast::<ZipError>() {
            Ok(e) => e,
            Err(e) => Self::Io(e),
        }
    }
}

/// Odd, seen in genuine files, and harmless: reported, not refused. An archive without any of these, and
/// without a [`Archive::loose_end`], holds no octet that could be another one unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// Octets before the first entry.
    Prefix,
    /// Octets after the end record.
    Trailer,
    /// Octets between entries or before the directory.
    Gap,
    /// An archive or entry comment.
    Comment,
    /// A name outside ASCII not marked as UTF-8.
    NameEncoding,
    /// Local header and directory give another version, time, or hint about packing.
    HeadersDiffer,
    /// The directory says more of an entry than that it is a plain file or folder: the maker's version, attributes,
    /// extra fields.
    Attributes,
}

impl Finding {
    pub fn code(self) -> &'static str {
        match self {
            Self::Prefix => "ZIP_PREFIX",
            Self::Trailer => "ZIP_TRAILER",
            Self::Gap => "ZIP_GAP",
            Self::Comment => "ZIP_COMMENT",
            Self::NameEncoding => "ZIP_NAME_ENCODING",
            Self::HeadersDiffer => "ZIP_HEADERS_DIFFER",
            Self::Attributes => "ZIP_ATTRIBUTES",
        }
    }
}

/// One file or folder of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Normal path: no leading slash, no `.` or `..`, no backslash. Folders end with `/`.
    pub name: String,
    /// Octets unpacked and packed.
    pub size: u64,
    pub packed: u64,
    pub crc: u32,
    /// Stored, not deflated.
    pub stored: bool,
    /// Where its local header begins; ASiC wants the first entry at a fixed place.
    pub header_at: u64,
    /// Whether the local header has an extra field (ASiC forbids one for `mimetype`).
    pub has_extra: bool,
    data_at: u64,
}

impl Entry {
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Where its packed octets lie in the file.
    pub fn data(&self) -> Range<u64> {
        self.data_at..self.data_at + self.packed
    }
}

/// An archive whose directory and local headers agree. See [`Archive::open`].
#[derive(Debug)]
pub struct Archive<S> {
    source: S,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    findings: Vec<Finding>,
    kept: Mutex<Kept>,
}

/// Small entries, unpacked and found right, by where their data begin: an examination looks at the same dozen again and again.
#[derive(Default)]
struct Kept {
    entries: HashMap<u64, Arc<Vec<u8>>>,
    octets: usize,
    tools: Option<Tools>,
}

/// What unpacking takes, made once.
struct Tools {
    /// Some ten kilobytes of tables, and a window.
    inflate: Decompress,
    /// Where entries that are not kept are unpacked to.
    room: Vec<u8>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.entries.len())
    }
}

impl Kept {
    /// Largest entry that is kept: lists, signatures and seals, not pictures of pages.
    const ENTRY: u64 = 64 << 10;
    /// Most octets of all together.
    const ALL: usize = 1 << 20;
}

impl<S: Source> Archive<S> {
    /// Reads the directory and every local header; entry data are read when asked for.
    ///
    /// # Errors
    /// [`ZipError`] for anything that two readers could understand differently, and for what is beyond `limits`.
    pub fn open(source: S, limits: &Limits) -> Result<Self, ZipError> {
        let (entries, findings) = directory::read(&source, limits)?;
        let by_name = entries.iter().enumerate().map(|(n, e)| (e.name.clone(), n)).collect();
        Ok(Self { source, entries, by_name, findings, kept: Mutex::default() })
    }

    /// In the order of the central directory, folders included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Files only.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| !e.is_folder())
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// By exact name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&n| &self.entries[n])
    }

    /// Streams an entry; see [`Archive::each`]. The reader's last `read` fails if size or CRC do not hold.
    pub fn reader<'a>(&'a self, entry: &'a Entry) -> EntryReader<'a, S> {
        EntryReader::new(&self.source, entry)
    }

    /// A whole entry, at most `limit` octets.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, ZipError> {
        let entry = self.find(name).ok_or_else(|| ZipError::Missing(name.to_owned()))?;
        if entry.size > limit {
            return Err(ZipError::TooBig("an entry to be held in memory"));
        }
        // The declared size is a claim: let the buffer grow with what really comes.
        let mut bytes = Vec::with_capacity(entry.size.min(64 << 10) as usize);
        self.each(entry, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Hands on all octets of an entry, in pieces of bounded size. Small entries are unpacked once, and kept.
    ///
    /// # Errors
    /// When the entry is damaged, which may be after its last piece.
    pub fn each(&self, entry: &Entry, take: &mut dyn FnMut(&[u8])) -> Result<(), ZipError> {
        let (keep, small) = (entry.size <= Kept::ENTRY, entry::is_small(entry));
        if !keep && !small {
            return self.reader(entry).each(take).map_err(ZipError::from_io);
        }
        let kept = keep.then(|| self.kept().entries.get(&entry.data_at).cloned()).flatten();
        if let Some(kept) = kept {
            take(&kept);
            return Ok(());
        }
        let tools = self.kept().tools.take();
        let mut tools = tools.unwrap_or_else(|| Tools { inflate: Decompress::new(false), room: Vec::new() });
        if small {
            entry::at_once(&self.source, entry, &mut tools.inflate, &mut tools.room)?;
        } else {
            tools.room.clear();
            self.reader(entry).each(&mut |piece| tools.room.extend_from_slice(piece)).map_err(ZipError::from_io)?;
        }
        take(&tools.room);
        let mut kept = self.kept();
        if keep && kept.octets + tools.room.len() <= Kept::ALL {
            kept.octets += tools.room.len();
            kept.entries.insert(entry.data_at, Arc::new(tools.room.clone()));
        }
        kept.tools = Some(tools);
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Reads all data once, for size and CRC of every entry.
    pub fn check_all(&self) -> Result<(), ZipError> {
        for entry in &self.entries {
            self.each(entry, &mut |_| {})?;
        }
        Ok(())
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    /// The first entry whose packed data end in bits that mean nothing and are not zero: a deflate stream ends anywhere in
    /// its last octet, and no checksum speaks for the rest of it. Unpacks every entry up to eight times.
    pub fn loose_end(&self) -> Result<Option<&Entry>, ZipError> {
        for entry in self.entries.iter().filter(|e| !e.stored && e.packed > 0) {
            let last = entry.data_at + entry.packed - 1;
            let mut octet = [0];
            self.source.read_at(last, &mut octet)?;
            let set = (0..8).map(|bit| 1 << bit).filter(|bit| octet[0] & bit != 0);
            for bit in set {
                let without = Patched { source: &self.source, at: last, octet: octet[0] & !bit };
                if EntryReader::new(&without, entry).each(&mut |_| {}).is_ok() {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
