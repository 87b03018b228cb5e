//! Verifies a log in the C2SP tlog-tiles layout: a folder of tiles, or anything else that can fetch by path.
//!
//! Every hash tile is compared with what the entries themselves give, and the entries with the signed root; so no
//! tile is ever believed. Reading a tile *before* all entries are known is another matter: see [`super::sparse`].

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::judge::{Judge, Place};
use super::report::{Question, Report, Verdict};
use super::{Options, Progress};
use crate::audit::bundle;
use crate::audit::merkle::leaf_hash;
use crate::audit::tile::{Level, TilePath, tiles_at};
use crate::terms::Digest;

/// Longest resource read, in bytes: a full bundle of longest entries.
pub const MAX_RESOURCE: u64 = 256 * 65_537;

/// Gets resources of a log by path.
pub trait Fetch {
    /// `None` when there is no such resource.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// All paths below `tile/`, when they can be listed.
    fn list(&self) -> io::Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// A folder in the layout of the log's URL space.
pub struct TileFolder(pub PathBuf);

impl Fetch for TileFolder {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.0.join(path);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_RESOURCE => Err(io::Error::other("a resource that is too long")),
            Ok(_) => std::fs::read(&path).map(Some),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self) -> io::Result<Option<Vec<String>>> {
        let mut paths = Vec::new();
        let mut folders = vec![self.0.join("tile")];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder)? {
                let path = item?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(rest) = path.strip_prefix(&self.0) {
                    paths.push(slashed(rest));
                }
            }
        }
        Ok(Some(paths))
    }
}

fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

pub(super) fn verify(fetch: &dyn Fetch, options: &Options, progress: Progress<'_>) -> Report {
    let note = match fetch.get("checkpoint") {
        Ok(note) => note,
        Err(error) => {
            let (mut judge, _) = Judge::new(options, None);
            judge.fault(Question::Integrity, Verdict::Undecided, "checkpoint", None, &error.to_string());
            return judge.finish();
        }
    };
    let (judge, signed) = Judge::new(options, note.as_deref());
    let Some(signed) = signed else { return judge.finish() };
    let mut walk = Walk { fetch, judge, leftovers: BTreeMap::new(), tiles: HashMap::new(), size: signed.size() };
    walk.list_leftovers();
    for tile in tiles_at(Level::Entries, signed.size()) {
        if !walk.bundle(tile) {
            break; // without these entries nothing after them can be judged
        }
        progress(walk.judge.frontier.size());
    }
    if walk.judge.frontier.size() == signed.size() {
        walk.partial_tiles();
    }
    walk.judge.finish()
}

struct Walk<'a> {
    fetch: &'a dyn Fetch,
    judge: Judge<'a>,
    /// Partial resources that the present size does not call for; each must be a prefix of the truth.
    leftovers: BTreeMap<(Level, u64), Vec<u16>>,
    /// The tile being filled at each level: its index and hashes so far.
    tiles: HashMap<u8, (u64, Vec<u8>)>,
    size: u64,
}

impl Walk<'_> {
    fn list_leftovers(&mut self) {
        let paths = match self.fetch.list() {
            Ok(Some(paths)) => paths,
            Ok(None) => return,
            Err(_) if self.size == 0 => return,
            Err(error) => return self.broken("tile", Verdict::Undecided, &error.to_string()),
        };
        let mut beyond = 0u64;
        for path in paths {
            match TilePath::parse(&path) {
                None => self.broken(&path, Verdict::Undecided, "a file that is no resource of a log"),
                Some(tile) if !tile.within(self.size) => beyond += 1,
                Some(tile) if !tile.is_full() => {
                    self.leftovers.entry((tile.level, tile.index)).or_default().push(tile.width);
                }
                Some(_) => {}
            }
        }
        if beyond > 0 {
            self.judge
                .report
                .notes
                .push(format!("{beyond} 个资源超出检查点 resources beyond the checkpoint, not judged"));
        }
    }

    fn broken(&mut self, path: &str, verdict: Verdict, what: &str) {
        self.judge.fault(Question::Integrity, verdict, path, None, what);
    }

    /// A resource, or the full one that replaced it. Names it when it is not there.
    fn resource(&mut self, tile: TilePath) -> Option<(TilePath, Vec<u8>)> {
        let full = TilePath { width: 256, ..tile };
        let mut candidates = vec![tile];
        if !tile.is_full() {
            candidates.push(full);
        }
        for candidate in candidates {
            match self.fetch.get(&candidate.to_string()) {
                Ok(Some(bytes)) => return Some((candidate, bytes)),
                Ok(None) => {}
                Err(error) => {
                    self.broken(&candidate.to_string(), Verdict::Undecided, &error.to_string());
                    return None;
                }
            }
        }
        self.broken(&tile.to_string(), Verdict::Disproven, "the resource is missing");
        None
    }

    /// Judges the entries of a bundle; `false` when they are not there.
    fn bundle(&mut self, tile: TilePath) -> bool {
        let Some((found, bytes)) = self.resource(tile) else { return false };
        let path = found.to_string();
        let Some(entries) = bundle::parse(&bytes, found.width) else {
            self.broken(&path, Verdict::Disproven, "not the number of entries that its path says");
            return false;
        };
        let mut full = Vec::new();
        for entry in entries.iter().take(usize::from(tile.width)) {
            self.judge.entry(entry, leaf_hash(entry), Place { file: &path, offset: None }, |level, hash| {
                let tile = self.tiles.entry(level).or_default();
                tile.1.extend_from_slice(&hash.0);
                if tile.1.len() == 256 * 32 {
                    full.push((level, tile.0, std::mem::take(&mut tile.1)));
                    tile.0 += 1;
                }
            });
        }
        for (level, index, hashes) in full {
            self.hash_tile(TilePath { level: Level::Hashes(level), index, width: 256 }, &hashes);
        }
        for width in self.leftovers.remove(&(Level::Entries, tile.index)).unwrap_or_default() {
            let left = TilePath { width, ..tile };
            let len: usize = entries.iter().take(usize::from(width)).map(|entry| entry.len() + 2).sum();
            self.prefix(left, bytes.get(..len).unwrap_or_default());
        }
        true
    }

    fn hash_tile(&mut self, tile: TilePath, want: &[u8]) {
        if let Some((found, bytes)) = self.resource(tile)
            && (bytes.get(..want.len()) != Some(want) || bytes.len() != usize::from(found.width) * 32)
        {
            self.wrong_hashes(&found.to_string(), &bytes, want);
        }
        for width in self.leftovers.remove(&(tile.level, tile.index)).unwrap_or_default() {
            self.prefix(TilePath { width, ..tile }, want.get(..usize::from(width) * 32).unwrap_or_default());
        }
    }

    fn wrong_hashes(&mut self, path: &str, bytes: &[u8], want: &[u8]) {
        let at = bytes.chunks(32).zip(want.chunks(32)).position(|(a, b)| a != b);
        let what = match at {
            Some(n) => format!("hash {n} is not the hash of the entries below it"),
            None => "not the number of hashes that its path says".to_owned(),
        };
        self.broken(path, Verdict::Disproven, &what);
    }

    fn prefix(&mut self, tile: TilePath, want: &[u8]) {
        let path = tile.to_string();
        match self.fetch.get(&path) {
            Ok(Some(bytes)) if bytes == want => {}
            Ok(Some(_)) => self.broken(&path, Verdict::Disproven, "not a prefix of the tile that it became"),
            Ok(None) => {}
            Err(error) => self.broken(&path, Verdict::Undecided, &error.to_string()),
        }
    }

    fn partial_tiles(&mut self) {
        let mut open: Vec<(u8, (u64, Vec<u8>))> = std::mem::take(&mut self.tiles).into_iter().collect();
        open.sort_unstable();
        for (level, (index, hashes)) in open.into_iter().filter(|(_, (_, hashes))| !hashes.is_empty()) {
            let width = (hashes.len() / 32) as u16;
            self.hash_tile(TilePath { level: Level::Hashes(level), index, width }, &hashes);
        }
    }
}

/// A tile hash as it comes from the wire, for [`super::sparse`].
pub(super) fn digests(bytes: &[u8]) -> Vec<Digest> {
    bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash)).collect()
}
