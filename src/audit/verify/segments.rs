//! A gateway's own log folder, read as its URL would be: for the half that a peer's log holds of something.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::Fetch;
use crate::audit::bundle;
use crate::audit::log::base::Base;
use crate::audit::log::segment::{self, Cursor, HEADER_LEN, SEGMENT_ENTRIES, Unit};
use crate::audit::retention::{RETENTION, Retention};
use crate::audit::tile::{Level, TilePath, WIDTH};

/// The folder with `checkpoint`, `levels/` and `segments/`. Takes no lock and believes nothing of it.
pub struct SegmentFolder(pub PathBuf);

impl Fetch for SegmentFolder {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let found = match TilePath::parse(path) {
            Some(TilePath { level: Level::Hashes(level), index, width }) => self.hashes(level, index, width),
            Some(TilePath { level: Level::Entries, index, width }) => self.entries(index, width),
            None if path == "checkpoint" => std::fs::read(self.0.join(path)).map(Some),
            None if path == RETENTION => self.retention(),
            None => Ok(None),
        };
        match found {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(None),
            other => other,
        }
    }
}

impl SegmentFolder {
    /// What the folder knows of its pruning, in the words of the log's own document.
    fn retention(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(base) = Base::read(&self.0)? else { return Ok(None) };
        let note = std::fs::read_to_string(self.0.join("checkpoint"))?;
        let origin = note.lines().next().unwrap_or_default().to_owned();
        Ok(Some(Retention { origin, minimum: base.minimum, days: None }.to_string().into_bytes()))
    }

    fn hashes(&self, level: u8, index: u64, width: u16) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; usize::from(width) * 32];
        let Some(offset) = index.checked_mul(WIDTH * 32) else { return Ok(None) };
        let file = File::open(self.0.join("levels").join(level.to_string()))?;
        file.read_exact_at(&mut bytes, offset).map(|()| Some(bytes))
    }

    fn entries(&self, index: u64, width: u16) -> io::Result<Option<Vec<u8>>> {
        let Some(first) = index.checked_mul(WIDTH) else { return Ok(None) };
        let file = File::open(self.0.join("segments").join(segment::name(first / SEGMENT_ENTRIES)))?;
        let mut cursor = Cursor::new(&file, HEADER_LEN as u64);
        let (mut at, mut bytes) = (first - first % SEGMENT_ENTRIES, Vec::new());
        while at < first + u64::from(width) {
            let (unit, len) = segment::unit(&mut cursor)?;
            match unit {
                Unit::Entry(entry) => {
                    if at >= first && !bundle::push(&mut bytes, entry) {
                        return Ok(None);
                    }
                    at += 1;
                }
                Unit::Footer(..) => {}
                Unit::Blank | Unit::Bad(_) => return Ok(None),
            }
            cursor.skip(len);
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note::Signer;
    use crate::audit::{Entry, Kind, Log, OpenOptions};
    use crate::terms::UnixMillis;

    #[test]
    fn a_folder_shows_what_its_log_serves() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), OpenOptions::new(Signer::from_seed("o", &[1; 32]).unwrap())).unwrap();
        for n in 0..300 {
            log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(n))).unwrap();
        }
        log.publish();
        let folder = SegmentFolder(dir.path().to_owned());
        for (path, there) in [
            ("checkpoint", true),
            ("tile/0/000", true),
            ("tile/0/001.p/44", true),
            ("tile/1/000.p/1", true),
            ("tile/entries/000", true),
            ("tile/entries/001.p/44", true),
            ("tile/entries/001.p/45", false),
            ("tile/entries/300", false),
            ("tile/entries/x999/x999/x999/x999/x999/x999/999", false),
            ("tile/7/000", false),
            ("key", false),
            ("../checkpoint", false),
        ] {
            let served = log.read(path).ok().map(|resource| resource.bytes);
            let found = folder.get(path).unwrap();
            assert_eq!(found.is_some(), there, "{path}");
            assert_eq!(found, served, "{path}");
        }
    }
}
