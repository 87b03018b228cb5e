//! A gateway's own log folder, read as its URL would be: for the half that a peer's log holds of something.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Fetch;
use crate::audit::anchor::{self, MAX_ANCHOR};
use crate::audit::bundle;
use crate::audit::checkpoint::{Checkpoint, MAP};
use crate::audit::log::base::Base;
use crate::audit::log::segment::{self, Cursor, HEADER_LEN, SEGMENT_ENTRIES, Unit};
use crate::audit::note::{MAX_NOTE, Note};
use crate::audit::plain;
use crate::audit::retention::{PRUNED_ANCHOR, RETENTION, Retention};
use crate::audit::tile::{Level, TilePath, WIDTH};

/// The folder with `checkpoint`, `levels/` and `segments/`. Takes no lock and believes nothing of it.
pub struct SegmentFolder {
    dir: PathBuf,
    /// Where the bundles of each segment begin, as far as they have been passed: a kilobyte a segment, so that a folder
    /// that is read bundle by bundle is read once.
    starts: Mutex<HashMap<u64, Vec<u64>>>,
    /// Entries passed so far.
    passed: AtomicU64,
}

impl Fetch for SegmentFolder {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let found = match TilePath::parse(path) {
            Some(TilePath { level: Level::Hashes(level), index, width }) => self.hashes(level, index, width),
            Some(TilePath { level: Level::Entries, index, width }) => self.entries(index, width),
            None if path == "checkpoint" || path == MAP => plain::read(&self.dir.join(path), MAX_NOTE as u64).map(Some),
            None if path == RETENTION => self.retention(),
            None if path == "anchor" => anchor::newest(&self.dir).and_then(|file| self.anchor(file)),
            None if path == PRUNED_ANCHOR => match Base::read(&self.dir)? {
                Some(base) => anchor::first_from(&self.dir, base.minimum).and_then(|file| self.anchor(file)),
                None => Ok(None),
            },
            None => Ok(None),
        };
        match found {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(None),
            other => other,
        }
    }
}

impl SegmentFolder {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, starts: Mutex::default(), passed: AtomicU64::new(0) }
    }

    /// Entries that were read from the disk so far, also those before the bundles that were asked for.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// What the folder knows of its pruning, in the words of the log's own document.
    fn retention(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(base) = Base::read(&self.dir)? else { return Ok(None) };
        let note = plain::text(&self.dir.join("checkpoint"), MAX_NOTE as u64)?;
        let origin = note.lines().next().unwrap_or_default().to_owned();
        Ok(Some(Retention { origin, minimum: base.minimum, days: None }.to_string().into_bytes()))
    }

    fn anchor(&self, file: Option<PathBuf>) -> io::Result<Option<Vec<u8>>> {
        file.map(|file| plain::read(&file, MAX_ANCHOR as u64)).transpose()
    }

    fn hashes(&self, level: u8, index: u64, width: u16) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; usize::from(width) * 32];
        let Some(offset) = index.checked_mul(WIDTH * 32) else { return Ok(None) };
        let file = plain::open(&self.dir.join("levels").join(level.to_string()))?;
        file.read_exact_at(&mut bytes, offset).map(|()| Some(bytes))
    }

    fn entries(&self, index: u64, width: u16) -> io::Result<Option<Vec<u8>>> {
        let Some(first) = index.checked_mul(WIDTH) else { return Ok(None) };
        let (number, end) = (first / SEGMENT_ENTRIES, first + u64::from(width));
        let file = match plain::open(&self.dir.join("segments").join(segment::name(number))) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.absent(end),
            other => other?,
        };
        let starts = self.starts(number);
        // The nearest bundle before that is known; what follows it is learned on the way.
        let known = starts.len().min((index % (SEGMENT_ENTRIES / WIDTH)) as usize + 1);
        let (mut at, offset) = match known.checked_sub(1) {
            Some(bundle) => (number * SEGMENT_ENTRIES + bundle as u64 * WIDTH, starts[bundle]),
            None => (number * SEGMENT_ENTRIES, HEADER_LEN as u64),
        };
        let (mut cursor, mut bytes, mut learned) = (Cursor::short(&file, offset), Vec::new(), Vec::new());
        let begun = at;
        let whole = loop {
            if at.is_multiple_of(WIDTH) {
                learned.push((at, cursor.offset()));
            }
            if at >= end {
                break true;
            }
            let (unit, len) = segment::unit(&mut cursor)?;
            match unit {
                Unit::Entry(entry) => {
                    if at >= first && !bundle::push(&mut bytes, entry) {
                        break false;
                    }
                    at += 1;
                }
                Unit::Footer(..) => {}
                Unit::Blank => break false,
                Unit::Bad(what) => return Err(io::Error::new(io::ErrorKind::InvalidData, what)),
            }
            cursor.skip(len);
        };
        self.passed.fetch_add(at - begun, Ordering::Relaxed);
        self.learn(number, &learned);
        match whole {
            true => Ok(Some(bytes)),
            false => self.absent(end),
        }
    }

    /// Entries up to `end` are not here: nobody's fault where they were never signed, or were pruned.
    fn absent(&self, end: u64) -> io::Result<Option<Vec<u8>>> {
        let minimum = Base::read(&self.dir)?.map_or(0, |base| base.minimum);
        let note = plain::text(&self.dir.join("checkpoint"), MAX_NOTE as u64)?;
        let size = Note::parse(note.as_bytes()).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        match size.is_some_and(|signed| end <= signed.size) && end > minimum {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "entries that were signed are missing")),
            false => Ok(None),
        }
    }

    fn starts(&self, segment: u64) -> Vec<u64> {
        let starts = self.starts.lock().unwrap_or_else(|p| p.into_inner());
        starts.get(&segment).cloned().unwrap_or_default()
    }

    fn learn(&self, segment: u64, learned: &[(u64, u64)]) {
        let mut starts = self.starts.lock().unwrap_or_else(|p| p.into_inner());
        let known = starts.entry(segment).or_default();
        for (at, offset) in learned {
            // The end of a segment is the start of no bundle in it.
            if at / SEGMENT_ENTRIES == segment && (at % SEGMENT_ENTRIES / WIDTH) as usize == known.len() {
                known.push(*offset);
            }
        }
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
        let folder = SegmentFolder::new(dir.path().to_owned());
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

    #[test]
    fn a_folder_read_bundle_by_bundle_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), OpenOptions::new(Signer::from_seed("o", &[1; 32]).unwrap())).unwrap();
        for n in 0..20 * 256 {
            log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(n))).unwrap();
        }
        log.publish();
        let folder = SegmentFolder::new(dir.path().to_owned());
        let path = |bundle: u64| TilePath { level: Level::Entries, index: bundle, width: 256 }.to_string();
        for bundle in 0..20 {
            assert_eq!(folder.get(&path(bundle)).unwrap().unwrap(), log.read(&path(bundle)).unwrap().bytes, "{bundle}");
        }
        assert_eq!(folder.passed(), 20 * 256, "each entry once");
        // Backwards too, once the way is known; and a fresh folder learns the way by going it once.
        for bundle in (0..20).rev() {
            assert_eq!(folder.get(&path(bundle)).unwrap().unwrap(), log.read(&path(bundle)).unwrap().bytes, "{bundle}");
        }
        assert_eq!(folder.passed(), 2 * 20 * 256);
        let fresh = SegmentFolder::new(dir.path().to_owned());
        for bundle in [19, 3, 12] {
            assert_eq!(fresh.get(&path(bundle)).unwrap().unwrap(), log.read(&path(bundle)).unwrap().bytes, "{bundle}");
        }
        assert_eq!(fresh.passed(), (20 + 1 + 1) * 256);
    }
}
