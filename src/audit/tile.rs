//! Tiles (C2SP tlog-tiles): the tree cut into pieces of up to 256 hashes, each at one path.
//!
//! ```text
//!  tile/0/000          leaf hashes 0..256           tile/entries/000    the entries themselves
//!  tile/0/x001/234     leaf hashes of tile 1234     tile/0/005.p/17     17 hashes: the log is not longer yet
//!  tile/1/000          roots of level-0 tiles 0..256
//! ```

use std::fmt;

use super::checkpoint::decimal;
use super::merkle::{Frontier, Nodes};
use crate::terms::Digest;

/// Hashes in a full tile.
pub const WIDTH: u64 = 256;
/// Heights of tree between two levels of tiles.
pub const HEIGHT: u32 = 8;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Hashes of complete subtrees of 256^level entries, level 0–63.
    Hashes(u8),
    Entries,
}

/// A tile's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    pub level: Level,
    pub index: u64,
    /// 1–255 for a partial tile, 256 for a full one.
    pub width: u16,
}

impl TilePath {
    /// Reads a path as a server must: only the one canonical spelling is taken.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (level, rest) = rest.split_once('/')?;
        let level = match level {
            "entries" => Level::Entries,
            digits => Level::Hashes(u8::try_from(decimal(digits)?).ok().filter(|l| *l < 64)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((number, width)) => (number, decimal(width).filter(|w| (1..WIDTH).contains(w))?),
        };
        let mut index: u64 = 0;
        let mut groups = number.split('/').peekable();
        while let Some(group) = groups.next() {
            let digits = match groups.peek() {
                Some(_) => group.strip_prefix('x')?,
                None => group,
            };
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { level, index, width: width as u16 };
        // A leading group of zeros is the one thing left that could be spelt otherwise.
        (tile.to_string() == path).then_some(tile)
    }

    /// Number of hashes (or entries) before the end of this tile, or `None` beyond 2^64.
    pub fn end(&self) -> Option<u64> {
        self.index.checked_mul(WIDTH)?.checked_add(u64::from(self.width))
    }

    /// Whether a log of `size` entries has all of this tile.
    pub fn within(&self, size: u64) -> bool {
        self.end().is_some_and(|end| end <= nodes_at(self.level, size))
    }

    pub fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }
}

/// Number of hashes at a level of a log of `size` entries.
pub fn nodes_at(level: Level, size: u64) -> u64 {
    match level {
        Level::Entries => size,
        Level::Hashes(l) => size.checked_shr(u32::from(l) * HEIGHT).unwrap_or(0),
    }
}

/// The tiles that a log of `size` entries must serve at `level`: the full ones and at most one partial.
pub fn tiles_at(level: Level, size: u64) -> impl Iterator<Item = TilePath> {
    let nodes = nodes_at(level, size);
    (0..nodes.div_ceil(WIDTH)).map(move |index| {
        let width = (nodes - index * WIDTH).min(WIDTH) as u16;
        TilePath { level, index, width }
    })
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
            Level::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut left = self.index / 1000;
        while left > 0 {
            groups.push(left % 1000);
            left /= 1000;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Where the hashes of tiles come from; [`Tiled`] folds inner nodes out of them.
pub trait TileHashes {
    type Error;
    /// Hashes `start..start + count` of `level`; never across the border of a tile.
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, Self::Error>;
}

/// Nodes of every height from hashes at heights 0, 8, 16, …
pub struct Tiled<'a, T: ?Sized>(pub &'a T);

impl<T: TileHashes + ?Sized> Nodes for Tiled<'_, T> {
    type Error = T::Error;
    fn node(&self, height: u32, index: u64) -> Result<Digest, T::Error> {
        let inner = height % HEIGHT;
        let hashes = self.0.hashes((height / HEIGHT) as u8, index << inner, 1 << inner)?;
        let mut frontier = Frontier::new();
        hashes.into_iter().for_each(|hash| frontier.push(hash));
        Ok(frontier.root())
    }
}

/// Splits the bytes of a hash tile; `None` unless they are exactly `width` hashes.
pub fn parse_hashes(bytes: &[u8], width: u16) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(width)).then(|| hashes.iter().map(|h| Digest(*h)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_paths_are_taken() {
        for (path, want) in [
            ("tile/entries/000", true),
            ("tile/entries/x001/234.p/7", true),
            ("tile/0/x000/001", false), // leading group of zeros
            ("tile/00/001", false),
            ("tile/0/001.p/0", false),
            ("tile/0/001.p/256", false),
            ("tile/0/001.p/07", false),
            ("tile/data/001", false),
            ("/tile/0/001", false),
            ("tile/0/../0/001", false),
            ("tile/0/001/", false),
        ] {
            assert_eq!(TilePath::parse(path).is_some(), want, "{path}");
        }
    }

    #[test]
    fn a_log_of_70000_entries_has_these_tiles() {
        for (level, full, partial) in [(0u8, 273, 112u16), (1, 1, 17), (2, 0, 1), (3, 0, 0)] {
            let tiles: Vec<TilePath> = tiles_at(Level::Hashes(level), 70_000).collect();
            assert_eq!(tiles.iter().filter(|t| t.is_full()).count(), full, "level {level}");
            assert_eq!(tiles.last().filter(|t| !t.is_full()).map_or(0, |t| t.width), partial, "level {level}");
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_as_it_prints(level in 0u8..64, index in 0..1_000_000_000_000_000u64, width in 1u16..=256, hashes: bool) {
            let level = if hashes { Level::Hashes(level) } else { Level::Entries };
            let tile = TilePath { level, index, width };
            prop_assert_eq!(TilePath::parse(&tile.to_string()), Some(tile));
        }

        #[test]
        fn any_path_is_read_or_refused(tail in "[x0-9./p-]{0,40}", any: String) {
            let _ = (TilePath::parse(&format!("tile/{tail}")), TilePath::parse(&any));
        }
    }
}
