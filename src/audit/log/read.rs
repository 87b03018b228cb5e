//! What can be read in an open log.

use super::Log;
use super::segment::{self, Cursor, SEGMENT_ENTRIES, Unit};
use crate::audit::AuditError;
use crate::audit::checkpoint::MAP;
use crate::audit::proof::TlogProof;
use crate::audit::retention::Retention;
use crate::audit::tile::{Level, TilePath, Tiled};
use crate::audit::{bundle, merkle};
use crate::terms::Digest;

/// A resource of the log as C2SP tlog-tiles serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
    /// Never changes: may be cached for ever.
    pub immutable: bool,
}

impl Log {
    /// A resource by its path: `checkpoint`, `map`, `tile/…`, `tile/entries/…`. Only canonical paths, only what is published.
    /// Bundles (`tile/entries/…`) are for auditors and mirrors; who may read them is asked by the caller.
    pub fn read(&self, path: &str) -> Result<Resource, AuditError> {
        let published = self.0.shared.published.load();
        let note = match path {
            "checkpoint" => Some(published.note.clone()),
            MAP => Some(self.mapped().ok_or(AuditError::NotFound)?.note.clone()),
            _ => None,
        };
        if let Some(note) = note {
            let content_type = "text/plain; charset=utf-8";
            return Ok(Resource { bytes: note.into_bytes(), content_type, immutable: false });
        }
        let tile = TilePath::parse(path).filter(|tile| tile.within(published.size)).ok_or(AuditError::NotFound)?;
        let start = tile.index * 256;
        let bytes = match tile.level {
            Level::Hashes(level) => self.0.shared.levels.bytes(usize::from(level), start, usize::from(tile.width))?,
            Level::Entries => {
                let mut bytes = Vec::new();
                self.entries_from(start, u64::from(tile.width), |_, entry| bundle::push(&mut bytes, entry))?;
                bytes
            }
        };
        Ok(Resource { bytes, content_type: "application/octet-stream", immutable: true })
    }

    /// What it says of its pruning; `days` that its policy keeps entries.
    pub fn retention(&self, days: Option<u32>) -> Retention {
        Retention { origin: self.0.key.name().to_owned(), minimum: self.minimum(), days }
    }

    /// The bytes of a durable entry, published or not: for this gateway itself, never for strangers.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, AuditError> {
        let mut found = None;
        let start = index - index % 256;
        self.entries_from(start, index - start + 1, |at, entry| {
            if at == index {
                found = Some(entry.to_vec());
            }
            true
        })?;
        found.ok_or(AuditError::NotFound)
    }

    /// Hears of at most `most` durable entries from `start` on, in order; gives the index to go on from. Stops at the end of
    /// a segment. Entries that were pruned are passed over.
    pub fn entries(&self, start: u64, most: u64, mut each: impl FnMut(u64, &[u8])) -> Result<u64, AuditError> {
        if start < self.minimum() {
            return Ok(self.minimum());
        }
        let segment_end = (start / SEGMENT_ENTRIES + 1) * SEGMENT_ENTRIES;
        let end = start.saturating_add(most).min(self.size()).min(segment_end);
        if end <= start {
            return Ok(start);
        }
        let from = start - start % 256;
        self.entries_from(from, end - from, |at, entry| {
            if at >= start {
                each(at, entry);
            }
            true
        })?;
        Ok(end)
    }

    /// Hears of `count` entries from `start`, a multiple of 256, on; never crosses a segment.
    fn entries_from(&self, start: u64, count: u64, mut each: impl FnMut(u64, &[u8]) -> bool) -> Result<(), AuditError> {
        if start + count > self.size() {
            return Err(AuditError::NotFound);
        }
        let minimum = self.minimum();
        if start < minimum {
            return Err(AuditError::Pruned { minimum });
        }
        let offset = {
            let bundles = self.0.shared.bundles.read().unwrap_or_else(|p| p.into_inner());
            *bundles.get((start / 256) as usize).ok_or(AuditError::NotFound)?
        };
        let io = |e: std::io::Error| AuditError::io("reading a segment", &e);
        let name = segment::name(start / SEGMENT_ENTRIES);
        let file = self.0.disk.open(&self.0.segments.join(&name)).map_err(io)?;
        let mut cursor = Cursor::short(&*file, u64::from(offset));
        let mut at = start;
        while at < start + count {
            let place = cursor.offset();
            let (unit, len) = segment::unit(&mut cursor).map_err(io)?;
            match unit {
                Unit::Entry(bytes) if each(at, bytes) => at += 1,
                Unit::Footer(..) => {}
                _ => {
                    let what = "an entry cannot be read back".into();
                    return Err(AuditError::Corrupt { file: format!("segments/{name}"), offset: place, what });
                }
            }
            cursor.skip(len);
        }
        Ok(())
    }

    /// The inclusion proof of a published entry with the checkpoint being served.
    pub fn proof(&self, index: u64) -> Result<TlogProof, AuditError> {
        let published = self.0.shared.published.load();
        if index >= published.size {
            return Err(AuditError::NotFound);
        }
        let hashes = merkle::inclusion(&Tiled(&self.0.shared.levels), index, published.size)?;
        Ok(TlogProof { extra: None, index, hashes, checkpoint: published.note.clone() })
    }

    /// The proof that the tree of `size` entries only adds to the tree of `old`; for witnesses.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Digest>, AuditError> {
        if old > size || size > self.size() {
            return Err(AuditError::NotFound);
        }
        merkle::consistency(&Tiled(&self.0.shared.levels), old, size)
    }

    /// Root of the first `size` entries, which must be published.
    pub fn root_at(&self, size: u64) -> Result<Digest, AuditError> {
        if size > self.0.shared.published.load().size {
            return Err(AuditError::NotFound);
        }
        merkle::range_root(&Tiled(&self.0.shared.levels), 0, size)
    }
}
