//! Proofs from the tiles of a log that is not trusted, without reading all of it.
//!
//! A tile is used only after its hash was found in its parent tile or in the computation of the root. Readers that
//! tie only *some* of their tiles to the root accept forged logs (CVE-2026-56865 in one of them).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use super::tree::{Fetch, digests};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::{self, Frontier, Nodes, node_hash};
use crate::audit::tile::{HEIGHT, Level, TileHashes, TilePath, Tiled, WIDTH, nodes_at, parse_hashes};
use crate::terms::Digest;

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum SparseError {
    #[error("reading {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("{0} is missing")]
    Missing(String),
    #[error("{0} is not what the signed root says")]
    Forged(String),
    #[error("the index lies outside the tree")]
    Range,
}

/// Tiles below one signed checkpoint.
pub struct Sparse<'a> {
    fetch: &'a dyn Fetch,
    size: u64,
    /// Tiles whose hashes are tied to the root: the right edge, and those above the leaves (one for 65,536 entries).
    trusted: RefCell<HashMap<(u8, u64), Vec<Digest>>>,
    /// The last full tile of leaf hashes; the others are forgotten, so that memory stays bounded.
    leaves: RefCell<(u64, Vec<Digest>)>,
}

impl<'a> Sparse<'a> {
    /// Reads the right edge of the tree and ties it to the checkpoint's root.
    pub fn new(fetch: &'a dyn Fetch, checkpoint: &Checkpoint) -> Result<Self, SparseError> {
        let sparse = Self { fetch, size: checkpoint.size, trusted: RefCell::default(), leaves: RefCell::default() };
        // The root is folded from the last tile of each level where that tile is partial; full tiles below have a
        // parent. From the top: the hashes of one level that no higher level covers.
        let mut edge: Vec<(u8, u64, Vec<Digest>)> = Vec::new();
        let mut peaks: Vec<Digest> = Vec::new();
        for level in (0..8u8).rev() {
            let nodes = nodes_at(Level::Hashes(level), checkpoint.size);
            let width = (nodes % WIDTH) as u16;
            if width > 0 {
                let tile = TilePath { level: Level::Hashes(level), index: nodes / WIDTH, width };
                let hashes = sparse.fetch_tile(tile)?;
                let mut at = 0;
                for bit in (0..HEIGHT).rev().filter(|bit| width >> bit & 1 == 1) {
                    let mut fold = Frontier::new();
                    hashes[at..at + (1 << bit)].iter().for_each(|hash| fold.push(*hash));
                    peaks.push(fold.root());
                    at += 1 << bit;
                }
                edge.push((level, tile.index, hashes));
            }
        }
        let mut folded = peaks.iter().rev();
        let root = match folded.next() {
            None => merkle::empty_root(),
            Some(last) => folded.fold(*last, |right, left| node_hash(left, &right)),
        };
        if root != checkpoint.root {
            return Err(SparseError::Forged("the right edge of the tree".into()));
        }
        sparse.trusted.borrow_mut().extend(edge.into_iter().map(|(level, index, hashes)| ((level, index), hashes)));
        Ok(sparse)
    }

    fn fetch_tile(&self, tile: TilePath) -> Result<Vec<Digest>, SparseError> {
        let get = |tile: TilePath| {
            let path = tile.to_string();
            self.fetch.get(&path).map_err(|source| SparseError::Read { path, source })
        };
        if let Some(bytes) = get(tile)? {
            return parse_hashes(&bytes, tile.width).ok_or(SparseError::Forged(tile.to_string()));
        }
        // A partial tile may have been removed once the full one was there.
        let full = TilePath { width: 256, ..tile };
        let bytes = if tile.is_full() { None } else { get(full)? };
        let bytes = bytes.ok_or(SparseError::Missing(tile.to_string()))?;
        let hashes = digests(&bytes);
        let prefix = hashes.get(..usize::from(tile.width));
        prefix.map(<[Digest]>::to_vec).ok_or(SparseError::Forged(full.to_string()))
    }

    /// A tile's hashes, tied to the root.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Digest>, SparseError> {
        if let Some(hashes) = self.trusted.borrow().get(&(level, index)) {
            return Ok(hashes.clone());
        }
        if level == 0 && !self.leaves.borrow().1.is_empty() && self.leaves.borrow().0 == index {
            return Ok(self.leaves.borrow().1.clone());
        }
        let parent = level.checked_add(1).filter(|l| *l < 8).ok_or(SparseError::Range)?;
        let tile = TilePath { level: Level::Hashes(level), index, width: 256 };
        if !tile.within(self.size) {
            return Err(SparseError::Range);
        }
        let above = self.tile(parent, index / WIDTH)?;
        let want = above.get((index % WIDTH) as usize).ok_or(SparseError::Range)?;
        let hashes = self.fetch_tile(tile)?;
        let mut fold = Frontier::new();
        hashes.iter().for_each(|hash| fold.push(*hash));
        if fold.root() != *want {
            return Err(SparseError::Forged(tile.to_string()));
        }
        match level {
            0 => *self.leaves.borrow_mut() = (index, hashes.clone()),
            _ => drop(self.trusted.borrow_mut().insert((level, index), hashes.clone())),
        }
        Ok(hashes)
    }

    /// Entries of the checkpoint.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Inclusion proof of an entry.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Digest>, SparseError> {
        self.inclusion_in(index, self.size)
    }

    /// Its inclusion proof in the tree of the first `size` entries.
    pub fn inclusion_in(&self, index: u64, size: u64) -> Result<Vec<Digest>, SparseError> {
        let is_in = index < size && size <= self.size;
        if is_in { merkle::inclusion(&Tiled(self), index, size) } else { Err(SparseError::Range) }
    }

    /// Leaf hash of an entry.
    pub fn leaf(&self, index: u64) -> Result<Digest, SparseError> {
        if index < self.size { Tiled(self).node(0, index) } else { Err(SparseError::Range) }
    }

    /// The right edge of the first `size` entries.
    pub fn frontier(&self, size: u64) -> Result<Frontier, SparseError> {
        if size <= self.size { Frontier::at(&Tiled(self), size) } else { Err(SparseError::Range) }
    }

    /// Root of the first `size` entries, to be compared with an older checkpoint.
    pub fn root_at(&self, size: u64) -> Result<Digest, SparseError> {
        if size <= self.size { merkle::range_root(&Tiled(self), 0, size) } else { Err(SparseError::Range) }
    }
}

impl TileHashes for Sparse<'_> {
    type Error = SparseError;
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, SparseError> {
        let tile = self.tile(level, start / WIDTH)?;
        let at = (start % WIDTH) as usize;
        tile.get(at..at + count).map(<[Digest]>::to_vec).ok_or(SparseError::Range)
    }
}
