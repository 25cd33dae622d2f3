//! Tiles: the log as static files that any web server can serve (C2SP tlog-tiles).
//!
//! A tile of level L holds up to 256 hashes of the tree's level 8·L; an entry bundle holds the same
//! leaves' bytes, each after its length as two bytes, big-endian. Full ones never change; the last of a
//! level may be partial and is named by its width.

use std::fmt;

use super::tree::Hash;

/// Hashes of a full tile, and leaves of a full bundle.
pub const WIDTH: u64 = 256;
/// Levels of the tree that a tile spans.
pub const HEIGHT: u8 = 8;
/// Levels of tiles at most: 8 · 8 levels of the tree.
pub const LEVELS_MAX: u8 = 8;
/// Bytes of a full tile.
pub const TILE_BYTES_MAX: usize = 256 * 32;

/// What a file of the log holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Hashes of this level of tiles.
    Hashes(u8),
    /// Leaves.
    Entries,
}

/// A tile or bundle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its place in its level.
    pub index: u64,
    /// How many hashes or leaves, 1 to [`WIDTH`].
    pub width: u64,
}

impl Tile {
    /// Whether it will never change.
    pub fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// The tile that stands at a path (`tile/0/x001/234.p/17`); none for any other path.
    pub fn from_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (kind, rest) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => {
                let number: u8 = level.parse().ok().filter(|level| *level < LEVELS_MAX)?;
                (number.to_string() == level).then_some(Kind::Hashes(number))?
            }
        };
        let (name, width) = match rest.split_once(".p/") {
            Some((name, width)) => {
                let number: u64 = width.parse().ok()?;
                let is_partial = (1..WIDTH).contains(&number) && number.to_string() == width;
                (name, is_partial.then_some(number)?)
            }
            None => (rest, WIDTH),
        };
        let mut index: u64 = 0;
        for part in name.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            let is_group = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
            let group: u64 = is_group.then(|| digits.parse().ok())??;
            index = index.checked_mul(1000)?.checked_add(group)?;
        }
        let tile = Self { kind, index, width };
        (tile.to_string() == path).then_some(tile)
    }

    /// The tiles and bundles of a log of this size, full and partial.
    pub fn of_log(size: u64) -> impl Iterator<Item = Self> {
        Self::since(0, size)
    }

    /// The tiles and bundles that a log of this size has and one of `old` leaves had not.
    pub fn since(old: u64, size: u64) -> impl Iterator<Item = Self> {
        let kinds = (0..LEVELS_MAX).map(Kind::Hashes).chain([Kind::Entries]);
        kinds.flat_map(move |kind| {
            let level = match kind {
                Kind::Hashes(level) => HEIGHT * level,
                Kind::Entries => 0,
            };
            let (before, count) = (old >> level, size >> level);
            let tiles = count.div_ceil(WIDTH);
            let first = if count > before {
                before / WIDTH
            } else {
                tiles
            };
            (first..tiles).map(move |index| Self {
                kind,
                index,
                width: (count - index * WIDTH).min(WIDTH),
            })
        })
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        while groups.is_empty() || rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Why bytes are no tile or bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TileError {
    /// Not as many bytes as its hashes have.
    #[error("a tile of {0} bytes, which is not its length")]
    Length(usize),
    /// The bundle ends within an entry, or holds more or fewer than it is named for.
    #[error("a bundle that breaks off, or holds more or fewer leaves than its name says")]
    Bundle,
    /// An entry is longer than its length can say.
    #[error("an entry of {0} bytes is too long for a bundle")]
    Entry(usize),
}

/// The hashes of a tile.
///
/// # Errors
///
/// Its length is not that of so many hashes.
pub fn hashes(bytes: &[u8], width: u64) -> Result<Vec<Hash>, TileError> {
    let hashes = bytes.chunks(32).map(|chunk| chunk.try_into().map(Hash));
    let hashes: Result<Vec<Hash>, _> = hashes.collect();
    hashes
        .ok()
        .filter(|hashes| u64::try_from(hashes.len()) == Ok(width))
        .ok_or(TileError::Length(bytes.len()))
}

/// Appends an entry to a bundle.
///
/// # Errors
///
/// It is longer than 65,535 bytes.
pub fn put_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::Entry(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle.
///
/// # Errors
///
/// It breaks off, or does not hold so many.
pub fn entries(mut bundle: &[u8], width: u64) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(TileError::Bundle)?;
        entries.push(entry);
        bundle = rest;
    }
    if !bundle.is_empty() || u64::try_from(entries.len()) != Ok(width) {
        return Err(TileError::Bundle);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tile, TileError, WIDTH, entries, put_entry};
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_standard() {
        let check = |kind, index, width, path: &str| {
            let tile = Tile { kind, index, width };
            assert_eq!(tile.to_string(), path);
            assert_eq!(Tile::from_path(path), Some(tile));
        };
        check(Kind::Hashes(0), 0, WIDTH, "tile/0/000");
        check(Kind::Hashes(0), 1_234_067, WIDTH, "tile/0/x001/x234/067");
        check(Kind::Hashes(1), 67, 8, "tile/1/067.p/8");
        check(Kind::Entries, 1000, 255, "tile/entries/x001/000.p/255");
        for path in [
            "tile/0/1",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/00/001",
            "tile/8/000",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/08",
            "tile/0/../001",
            "tile/entries/x001",
            "tile/0/001/",
            "/tile/0/001",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/0/+01",
        ] {
            assert_eq!(Tile::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_log_has_the_tiles_of_its_size() {
        let check = |old, size, expected: &[&str]| {
            let tiles: Vec<String> = Tile::since(old, size)
                .map(|tile| tile.to_string())
                .collect();
            assert_eq!(tiles, expected, "{old}..{size}");
        };
        check(0, 0, &[]);
        check(0, 3, &["tile/0/000.p/3", "tile/entries/000.p/3"]);
        check(
            0,
            256,
            &["tile/0/000", "tile/1/000.p/1", "tile/entries/000"],
        );
        check(256, 256, &[]);
        check(
            300,
            700,
            &[
                "tile/0/001",
                "tile/0/002.p/188",
                "tile/1/000.p/2",
                "tile/entries/001",
                "tile/entries/002.p/188",
            ],
        );
    }

    #[test]
    fn bundles_are_read_as_they_were_written() {
        let mut bundle = Vec::new();
        put_entry(&mut bundle, b"abc").unwrap();
        put_entry(&mut bundle, b"").unwrap();
        assert_eq!(bundle, b"\0\x03abc\0\0");
        assert_eq!(entries(&bundle, 2).unwrap(), [&b"abc"[..], b""]);
        assert_eq!(entries(&bundle, 1), Err(TileError::Bundle));
        assert_eq!(entries(&bundle[..4], 1), Err(TileError::Bundle));
        assert!(put_entry(&mut bundle, &[0; 65_536]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(path in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(tile) = Tile::from_path(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
            drop(entries(&bytes, 3));
        }
    }
}
