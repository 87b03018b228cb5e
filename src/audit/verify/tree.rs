//! Verifies a log in the C2SP tlog-tiles layout: a folder of tiles, or anything else that can fetch by path.
//!
//! Every hash tile is compared with what the entries themselves give, and the entries with the signed root; so no
//! tile is ever believed. Reading a tile *before* all entries are known is another matter: see [`super::sparse`].

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::keys_in;
use super::judge::{Judge, Place};
use super::report::{Question, Report, Verdict};
use super::sparse::{Sparse, SparseError};
use super::{Options, Progress, sample};
use crate::audit::bundle;
use crate::audit::checkpoint::{MAP, SignedCheckpoint};
use crate::audit::merkle::{Frontier, leaf_hash};
use crate::audit::plain;
use crate::audit::retention::{PRUNED_ANCHOR, RETENTION, Retention};
use crate::audit::tile::{Level, TileHashes, TilePath, WIDTH, nodes_at, parse_hashes};
use crate::terms::Digest;

/// Longest resource read, in bytes: a full bundle of longest entries.
pub const MAX_RESOURCE: u64 = 256 * 65_537;
/// How the name of a file ends that is being written beside the one it replaces.
pub const PART: &str = "part";
/// Bundles announced before they are read.
const AHEAD: u64 = 4;

/// Gets resources of a log by path.
pub trait Fetch {
    /// `None` when there is no such resource; an error of kind `PermissionDenied` when it is not for this reader.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// Will be asked for next, in this order; a fetcher over a network may begin.
    fn ahead(&self, _paths: &[String]) {}
    /// All paths below `tile/`, when they can be listed.
    fn list(&self) -> io::Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// A folder in the layout of the log's URL space.
pub struct TileFolder(pub PathBuf);

impl Fetch for TileFolder {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match plain::read(&self.0.join(path), MAX_RESOURCE) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self) -> io::Result<Option<Vec<String>>> {
        let mut paths = Vec::new();
        let mut folders = vec![self.0.join("tile")];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder)? {
                let item = item?;
                let path = item.path();
                // Links are not followed: a folder that contains itself would never end.
                if item.file_type()?.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == PART) {
                    // A copy that was broken off while it wrote beside a file: it replaced nothing.
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

/// A resource that not every log has; static hosts refuse what they do not have.
///
/// # Errors
/// What cannot be read otherwise.
pub(in crate::audit) fn optional(fetch: &dyn Fetch, path: &str) -> io::Result<Option<Vec<u8>>> {
    match fetch.get(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

pub(super) fn verify(fetch: &dyn Fetch, options: &Options, progress: Progress<'_>) -> Report {
    // In this order: what the first one promises, the second one has.
    let mapped = if options.entries_are_ours { optional(fetch, MAP) } else { Ok(None) };
    let note = match fetch.get("checkpoint") {
        Ok(note) => note.ok_or_else(|| "there is no checkpoint".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let (mut judge, signed) = Judge::new(options, note.as_deref().map_err(String::as_str));
    let Some(signed) = signed else { return judge.finish() };
    let size = signed.size();
    match mapped {
        Ok(None) => {}
        // A cache, or a copy that was taken while it was written: the entries of that map are not read here.
        Ok(Some(note)) if options.open(&note).is_ok_and(|mapped| mapped.size() > size) => {
            judge.fault(Question::Integrity, Verdict::Undecided, MAP, None, "of more entries than the checkpoint");
        }
        Ok(Some(note)) => judge.mapped(&note),
        Err(error) => judge.fault(Question::Integrity, Verdict::Undecided, MAP, None, &error.to_string()),
    }
    if !options.time_authorities.is_empty() {
        for path in ["anchor", PRUNED_ANCHOR] {
            match fetch.get(path) {
                Ok(Some(anchor)) => judge.anchor(&anchor),
                Ok(None) => {}
                Err(error) => judge.fault(Question::Anchored, Verdict::Undecided, path, None, &error.to_string()),
            }
        }
        judge.keep_promises("checkpoint");
    }
    if let Some((count, seed)) = options.sample {
        return sample::verify(fetch, judge, signed.checkpoint(), (count, seed), progress);
    }
    let mut tiles = HashMap::new();
    if let Some(since) = since(options, size) {
        match resume(fetch, &signed, since, &mut judge, &mut tiles) {
            Ok(frontier) => judge.resume(frontier, options.state.clone()),
            Err(error) => {
                sample::broken(&mut judge, Question::Integrity, &error);
                return judge.finish();
            }
        }
    }
    let mut walk = Walk {
        fetch,
        judge,
        leftovers: BTreeMap::new(),
        longer: BTreeMap::new(),
        tiles,
        size,
        hashes_only: false,
        minimum: None,
    };
    walk.list_leftovers();
    let start = walk.judge.frontier.size() / WIDTH;
    for index in start..size.div_ceil(WIDTH) {
        walk.ahead(index);
        let tile = TilePath { level: Level::Entries, index, width: (size - index * WIDTH).min(WIDTH) as u16 };
        if !walk.bundle(tile) {
            break; // without these entries nothing after them can be judged
        }
        progress(walk.judge.frontier.size(), size);
    }
    if walk.judge.frontier.size() == size {
        walk.partial_tiles();
    }
    walk.judge.finish()
}

/// Size of the checkpoint to begin after: a good one of this log that is not larger than the present one.
fn since(options: &Options, size: u64) -> Option<u64> {
    let signed = options.open(options.since.as_deref()?).ok()?;
    (1..=size).contains(&signed.size()).then_some(signed.size())
}

/// Ties the older checkpoints to the present root by tiles alone, and gives the tree's edge at `since`.
fn resume(
    fetch: &dyn Fetch,
    signed: &SignedCheckpoint,
    since: u64,
    judge: &mut Judge<'_>,
    tiles: &mut HashMap<u8, (u64, Vec<u8>)>,
) -> Result<Frontier, SparseError> {
    let sparse = Sparse::new(fetch, signed.checkpoint())?;
    sample::keep_promises(&sparse, judge, since + 1)?;
    for level in 0..8u8 {
        let nodes = nodes_at(Level::Hashes(level), since);
        let (index, begun) = (nodes / WIDTH, (nodes % WIDTH) as usize);
        let hashes = if begun == 0 { Vec::new() } else { sparse.hashes(level, index * WIDTH, begun)? };
        tiles.insert(level, (index, hashes.iter().flat_map(|hash| hash.0).collect()));
    }
    sparse.frontier(since)
}

/// The minimum index that a log of `size` entries claims for itself; 0 where it says nothing that makes sense.
///
/// # Errors
/// As [`Fetch::get`]: what it claims is not known.
pub fn claimed_minimum(fetch: &dyn Fetch, origin: &str, size: u64) -> io::Result<u64> {
    let claim = fetch.get(RETENTION)?.and_then(|bytes| Retention::parse(&bytes, origin));
    Ok(claim.map_or(0, |claim| claim.minimum).min(size))
}

/// Bundle `index` of a log of `size` entries, or the full one that replaced it.
pub fn read_bundle(fetch: &dyn Fetch, index: u64, size: u64) -> io::Result<Option<(TilePath, Vec<u8>)>> {
    let width = size.saturating_sub(index * WIDTH).min(WIDTH) as u16;
    let tile = TilePath { level: Level::Entries, index, width };
    let full = TilePath { width: 256, ..tile };
    match fetch.get(&tile.to_string())? {
        None if !tile.is_full() => Ok(fetch.get(&full.to_string())?.map(|bytes| (full, bytes))),
        found => Ok(found.map(|bytes| (tile, bytes))),
    }
}

struct Walk<'a> {
    fetch: &'a dyn Fetch,
    judge: Judge<'a>,
    /// Partial resources that the present size does not call for; each must be a prefix of the truth.
    leftovers: BTreeMap<(Level, u64), Vec<u16>>,
    /// Resources that are longer than the present size calls for, of a copy that was broken off: they must go on from the truth.
    longer: BTreeMap<(Level, u64), Vec<u16>>,
    /// The tile being filled at each level: its index and hashes so far.
    tiles: HashMap<u8, (u64, Vec<u8>)>,
    size: u64,
    /// Entries are refused to this reader: the tree is judged from its leaf hashes.
    hashes_only: bool,
    /// The minimum index that the log claims, once it was asked for.
    minimum: Option<Result<u64, String>>,
}

impl Walk<'_> {
    fn list_leftovers(&mut self) {
        let paths = match self.fetch.list() {
            Ok(Some(paths)) => paths,
            Ok(None) => return,
            Err(_) if self.size == 0 => return,
            Err(error) => return self.broken("tile", Verdict::Undecided, &error.to_string()),
        };
        self.key();
        let mut beyond = 0u64;
        for path in paths {
            match TilePath::parse(&path) {
                None => self.broken(&path, Verdict::Undecided, "a file that is no resource of a log"),
                Some(tile) if !tile.within(self.size) => {
                    beyond += 1;
                    self.longer.entry((tile.level, tile.index)).or_default().push(tile.width);
                }
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

    /// The key that lies in a copy is for whoever has none; whose word it is, is not asked here, but a key of this log it must be.
    fn key(&mut self) {
        let options = self.judge.options;
        match optional(self.fetch, "key") {
            Ok(Some(text)) if options.entries_are_ours => {
                if keys_in(&text).is_none_or(|keys| keys.iter().any(|key| key.name() != options.key.name())) {
                    self.broken("key", Verdict::Disproven, "not a key of this log");
                }
            }
            Ok(_) => {}
            Err(error) => self.broken("key", Verdict::Undecided, &error.to_string()),
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
                    self.judge.unread(Question::Integrity, &candidate.to_string(), &error.to_string());
                    return None;
                }
            }
        }
        self.broken(&tile.to_string(), Verdict::Disproven, "the resource is missing");
        None
    }

    /// Says what will be read soon.
    fn ahead(&self, index: u64) {
        let last = self.size.div_ceil(WIDTH);
        let soon = (index..last.min(index + AHEAD)).flat_map(|index| {
            let width = (self.size - index * WIDTH).min(WIDTH) as u16;
            let entries = TilePath { level: Level::Entries, index, width };
            let hashes = TilePath { level: Level::Hashes(0), index, width };
            let entries = (!self.hashes_only).then_some(entries);
            entries.into_iter().chain([hashes]).map(|tile| tile.to_string())
        });
        self.fetch.ahead(&soon.collect::<Vec<_>>());
    }

    /// Judges the leaf hashes of a tile instead of its entries; `false` when they are not there.
    fn leaves(&mut self, tile: TilePath) -> bool {
        let tile = TilePath { level: Level::Hashes(0), ..tile };
        let Some((found, bytes)) = self.resource(tile) else { return false };
        let path = found.to_string();
        let Some(hashes) = parse_hashes(&bytes, found.width) else {
            self.broken(&path, Verdict::Disproven, "not the number of hashes that its path says");
            return false;
        };
        let known = (self.judge.frontier.size() - tile.index * WIDTH) as usize;
        let mut full = Vec::new();
        for leaf in hashes.iter().take(usize::from(tile.width)).skip(known) {
            let tiles = &mut self.tiles;
            self.judge.leaf(*leaf, &path, |level, hash| grow(tiles, &mut full, level, hash));
        }
        for (level, index, hashes) in full.into_iter().filter(|(level, ..)| *level > 0) {
            self.hash_tile(TilePath { level: Level::Hashes(level), index, width: 256 }, &hashes);
        }
        true
    }

    /// Judges the entries of a bundle; `false` when they are not there.
    fn bundle(&mut self, tile: TilePath) -> bool {
        if self.hashes_only {
            return self.leaves(tile);
        }
        match self.fetch.get(&tile.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.hashes_only = true;
                self.judge.entries_unread(&tile.to_string(), &format!("{error}; judged by hashes alone"));
                self.leaves(tile)
            }
            Ok(Some(bytes)) => self.entries(tile, tile, bytes),
            Ok(None) if tile.is_full() => match self.is_pruned(tile) {
                Ok(true) => {
                    let before = self.judge.frontier.size();
                    let there = self.leaves(tile);
                    self.judge.not_kept(self.judge.frontier.size() - before, &tile.to_string());
                    there
                }
                Ok(false) => {
                    self.broken(&tile.to_string(), Verdict::Disproven, "the resource is missing");
                    false
                }
                Err(why) => {
                    self.judge.unread(Question::Integrity, RETENTION, &format!("whether {tile} was pruned: {why}"));
                    false
                }
            },
            Ok(None) | Err(_) => match self.resource(tile) {
                Some((found, bytes)) => self.entries(tile, found, bytes),
                None => false,
            },
        }
    }

    /// Whether the log claims to have pruned a bundle; the claim counts only with the entry that says so.
    fn is_pruned(&mut self, tile: TilePath) -> Result<bool, String> {
        let (fetch, origin) = (self.fetch, self.judge.options.origin());
        let claim = || claimed_minimum(fetch, origin, self.size).map_err(|error| error.to_string());
        let minimum = self.minimum.get_or_insert_with(claim).clone()?;
        Ok(tile.end().is_some_and(|end| end <= minimum))
    }

    fn entries(&mut self, tile: TilePath, found: TilePath, bytes: Vec<u8>) -> bool {
        let path = found.to_string();
        let Some(entries) = bundle::parse(&bytes, found.width) else {
            self.broken(&path, Verdict::Disproven, "not the number of entries that its path says");
            return false;
        };
        let known = (self.judge.frontier.size() - tile.index * WIDTH) as usize;
        let begun = self.tiles.get(&0).map(|(_, hashes)| hashes.clone()).unwrap_or_default();
        for (entry, leaf) in entries.iter().take(known).zip(begun.chunks(32)) {
            if leaf_hash(entry).0 != *leaf {
                self.broken(&path, Verdict::Disproven, "an entry that was verified before has changed");
                return false;
            }
        }
        let mut full = Vec::new();
        for entry in entries.iter().take(usize::from(tile.width)).skip(known) {
            let (tiles, place) = (&mut self.tiles, Place { file: &path, offset: None });
            self.judge.entry(entry, leaf_hash(entry), place, |level, hash| grow(tiles, &mut full, level, hash));
        }
        for (level, index, hashes) in full {
            self.hash_tile(TilePath { level: Level::Hashes(level), index, width: 256 }, &hashes);
        }
        for width in self.leftovers.remove(&(Level::Entries, tile.index)).unwrap_or_default() {
            let left = TilePath { width, ..tile };
            let len: usize = entries.iter().take(usize::from(width)).map(|entry| entry.len() + 2).sum();
            self.prefix(left, bytes.get(..len).unwrap_or_default());
        }
        let known: usize = entries.iter().take(usize::from(tile.width)).map(|entry| entry.len() + 2).sum();
        self.goes_on(tile, bytes.get(..known).unwrap_or_default());
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
        self.goes_on(tile, want);
    }

    /// What lies there beyond the checkpoint begins as the tile that is known does. The rest of it nobody can judge yet.
    fn goes_on(&mut self, tile: TilePath, known: &[u8]) {
        for width in self.longer.remove(&(tile.level, tile.index)).unwrap_or_default() {
            let path = TilePath { width, ..tile }.to_string();
            match self.fetch.get(&path) {
                Ok(Some(bytes)) if !is_of_width(tile.level, &bytes, width) => {
                    self.broken(&path, Verdict::Disproven, "not as long as its path says");
                }
                Ok(Some(bytes)) if !bytes.starts_with(known) => {
                    self.broken(&path, Verdict::Disproven, "does not begin as the tile that the checkpoint covers");
                }
                Ok(_) => {}
                Err(error) => self.broken(&path, Verdict::Undecided, &error.to_string()),
            }
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
        let read = |level: u8| level == 0 && self.hashes_only; // its hashes are the leaves that were judged
        let open: Vec<_> = open.into_iter().filter(|(l, (_, hashes))| !hashes.is_empty() && !read(*l)).collect();
        for (level, (index, hashes)) in open {
            let width = (hashes.len() / 32) as u16;
            self.hash_tile(TilePath { level: Level::Hashes(level), index, width }, &hashes);
        }
    }
}

fn is_of_width(level: Level, bytes: &[u8], width: u16) -> bool {
    match level {
        Level::Hashes(_) => parse_hashes(bytes, width).is_some(),
        Level::Entries => bundle::parse(bytes, width).is_some(),
    }
}

/// Adds a hash to the tile being filled at its level; a tile that is full now is handed on.
fn grow(tiles: &mut HashMap<u8, (u64, Vec<u8>)>, full: &mut Vec<(u8, u64, Vec<u8>)>, level: u8, hash: &Digest) {
    let tile = tiles.entry(level).or_default();
    tile.1.extend_from_slice(&hash.0);
    if tile.1.len() == WIDTH as usize * 32 {
        full.push((level, tile.0, std::mem::take(&mut tile.1)));
        tile.0 += 1;
    }
}

/// A tile hash as it comes from the wire, for [`super::sparse`].
pub(super) fn digests(bytes: &[u8]) -> Vec<Digest> {
    bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash)).collect()
}
