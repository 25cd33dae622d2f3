//! The names that a bundle's entries may have, and how long each may be.

use std::fmt;

use super::PART_LEAVES;
use crate::ledger::LEAF_BYTES_MAX;
use crate::ledger::note::NOTE_BYTES_MAX;
use crate::ledger::tile::{HEIGHT, Kind, LEVELS_MAX, TILE_BYTES_MAX, Tile, WIDTH};

/// Bytes of a bundle at most: ten times a year of a large gateway.
pub const BUNDLE_BYTES_MAX: u64 = 8 << 30;
/// Entries of a bundle at most.
pub const ENTRIES_MAX: u64 = 100_000;
/// Bytes of the manifest at most: [`ENTRIES_MAX`] entries take less.
pub(super) const MANIFEST_BYTES_MAX: u64 = 32 << 20;
/// Bytes of a file of proofs at most.
pub(super) const PROOF_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a part of leaves at most: the longest leaves, each with its line break.
pub(super) const PART_BYTES_MAX: u64 = PART_LEAVES * (LEAF_BYTES_MAX as u64 + 1);
/// Bytes of a map at most.
pub(super) const MAP_BYTES_MAX: u64 = 64 << 20;
/// Bytes of all maps together at most.
pub(super) const MAPS_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a booking token at most.
pub(super) const TOKEN_BYTES_MAX: u64 = 16 << 10;
/// Bytes of `report.json` at most: some hundred thousand sessions.
pub(super) const REPORT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of other texts at most.
pub(super) const TEXT_BYTES_MAX: u64 = 1 << 20;

/// What an entry is. `Display` is its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entry {
    /// The manifest.
    Manifest,
    /// The note of the tree that holds the bundle's leaves.
    End,
    /// The note of an older tree.
    Start,
    /// A note of so many leaves that a witness has cosigned.
    Cosigned(u64),
    /// The proof that the older tree is the newer one's beginning.
    Consistency,
    /// The proof that the leaves are all of a range.
    Range,
    /// The proofs of the sessions' leaves.
    Sessions,
    /// A part of the leaves, by the index of its first.
    Leaves(u64),
    /// Hashes of the tree.
    Tile(Tile),
    /// A machine map, by the 64 hexadecimal digits of its SHA-256.
    Map(String),
    /// A booking token, likewise.
    Token(String),
    /// The totals.
    Report,
    /// The commands for people.
    HowTo,
    /// The same in Chinese.
    HowToZh,
}

impl Entry {
    /// The entry of this name; none for any other name.
    pub fn from_path(path: &str) -> Option<Self> {
        let entry = match path {
            "manifest.json" => Self::Manifest,
            "checkpoint/end" => Self::End,
            "checkpoint/start" => Self::Start,
            "proof/consistency.json" => Self::Consistency,
            "proof/range.json" => Self::Range,
            "proof/sessions.json" => Self::Sessions,
            "report.json" => Self::Report,
            "HOW-TO-VERIFY.txt" => Self::HowTo,
            "HOW-TO-VERIFY.zh-CN.txt" => Self::HowToZh,
            _ => Self::numbered(path)?,
        };
        (entry.to_string() == path).then_some(entry)
    }

    fn numbered(path: &str) -> Option<Self> {
        if let Some(size) = path.strip_prefix("checkpoint/cosigned/") {
            return size.parse().ok().map(Self::Cosigned);
        }
        if let Some(name) = path.strip_prefix("leaves/") {
            let digits = name.strip_suffix(".jsonl")?;
            return digits.parse().ok().map(Self::Leaves);
        }
        let digest = |name: &str| is_digest(name).then(|| name.to_owned());
        if let Some(name) = path.strip_prefix("maps/") {
            return digest(name.strip_suffix(".json")?).map(Self::Map);
        }
        if let Some(name) = path.strip_prefix("tokens/") {
            return digest(name.strip_suffix(".jws")?).map(Self::Token);
        }
        let tile = Tile::from_path(path)?;
        matches!(tile.kind, Kind::Hashes(_)).then_some(Self::Tile(tile))
    }

    /// How many bytes it may have.
    pub fn bytes_max(&self) -> u64 {
        match self {
            Self::Manifest => MANIFEST_BYTES_MAX,
            Self::End | Self::Start | Self::Cosigned(_) => NOTE_BYTES_MAX as u64,
            Self::Consistency | Self::Range | Self::Sessions => PROOF_BYTES_MAX,
            Self::Leaves(_) => PART_BYTES_MAX,
            Self::Tile(_) => TILE_BYTES_MAX as u64,
            Self::Map(_) => MAP_BYTES_MAX,
            Self::Token(_) => TOKEN_BYTES_MAX,
            Self::Report => REPORT_BYTES_MAX,
            Self::HowTo | Self::HowToZh => TEXT_BYTES_MAX,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("manifest.json"),
            Self::End => f.write_str("checkpoint/end"),
            Self::Start => f.write_str("checkpoint/start"),
            Self::Cosigned(size) => write!(f, "checkpoint/cosigned/{size}"),
            Self::Consistency => f.write_str("proof/consistency.json"),
            Self::Range => f.write_str("proof/range.json"),
            Self::Sessions => f.write_str("proof/sessions.json"),
            Self::Leaves(first) => write!(f, "leaves/{first:010}.jsonl"),
            Self::Tile(tile) => tile.fmt(f),
            Self::Map(digest) => write!(f, "maps/{digest}.json"),
            Self::Token(digest) => write!(f, "tokens/{digest}.jws"),
            Self::Report => f.write_str("report.json"),
            Self::HowTo => f.write_str("HOW-TO-VERIFY.txt"),
            Self::HowToZh => f.write_str("HOW-TO-VERIFY.zh-CN.txt"),
        }
    }
}

/// Whether a text is a SHA-256 hash as bundles write it: 64 small hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The 64 hexadecimal digits of a hash.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}

/// The hash tiles that a bundle of the leaves from `first` to `end` of a tree of `size` holds: those of level 1
/// and up that overlap them, and the last one of each level; of level 0 the last one, where it is partial and its
/// leaves are not in the bundle.
pub fn tiles(first: u64, end: u64, size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for level in 0..LEVELS_MAX {
        let count = size >> (HEIGHT * level);
        let Some(last) = count.checked_sub(1).map(|last| last / WIDTH) else {
            break;
        };
        let tile = |index: u64| Tile {
            kind: Kind::Hashes(level),
            index,
            width: (count - index * WIDTH).min(WIDTH),
        };
        if level == 0 {
            let edge = tile(last);
            tiles.extend((end < size && !edge.is_full()).then_some(edge));
            continue;
        }
        let spans = |at: u64| (at >> (HEIGHT * level)) / WIDTH;
        if first < end {
            let to = spans(end - 1).min(last);
            tiles.extend((spans(first)..=to).map(tile));
            tiles.extend((to < last).then(|| tile(last)));
        } else {
            tiles.push(tile(last));
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::{Entry, tiles};
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_specification() {
        let digest = "0123456789abcdef".repeat(4);
        for path in [
            "manifest.json",
            "checkpoint/end",
            "checkpoint/start",
            "checkpoint/cosigned/512",
            "proof/consistency.json",
            "proof/range.json",
            "proof/sessions.json",
            "leaves/0000016384.jsonl",
            "leaves/12345678901.jsonl",
            "tile/1/000",
            "tile/0/003.p/7",
            "tile/1/x001/234.p/5",
            "report.json",
            "HOW-TO-VERIFY.txt",
            "HOW-TO-VERIFY.zh-CN.txt",
            &format!("maps/{digest}.json"),
            &format!("tokens/{digest}.jws"),
        ] {
            let entry = Entry::from_path(path);
            assert_eq!(entry.map(|entry| entry.to_string()).as_deref(), Some(path));
        }
        for path in [
            "",
            "Manifest.json",
            "./manifest.json",
            "checkpoint/",
            "checkpoint/cosigned/0512",
            "checkpoint/cosigned/-1",
            "checkpoint/cosigned/18446744073709551616",
            "leaves/16384.jsonl",
            "leaves/+000016384.jsonl",
            "leaves/0000016384.json",
            "tile/entries/000",
            "tile/1/000.p/256",
            "maps/../maps/a.json",
            &format!("maps/{}.json", digest.to_uppercase()),
            &format!("tokens/{}.jws", &digest[1..]),
        ] {
            assert_eq!(Entry::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn tiles_are_those_that_overlap_and_the_right_edge() {
        let check = |first, end, size, expected: &[&str]| {
            let found: Vec<String> = tiles(first, end, size)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, expected, "{first}..{end} of {size}");
        };
        check(0, 0, 0, &[]);
        check(0, 200, 200, &[]);
        check(0, 700, 700, &["tile/1/000.p/2"]);
        check(0, 512, 700, &["tile/0/002.p/188", "tile/1/000.p/2"]);
        check(0, 512, 768, &["tile/1/000.p/3"]);
        check(
            65_536,
            65_792,
            200_000,
            &[
                "tile/0/781.p/64",
                "tile/1/001",
                "tile/1/003.p/13",
                "tile/2/000.p/3",
            ],
        );
    }

    proptest! {
        #[test]
        fn no_name_panics(path in ".{0,60}", a in any::<u64>(), b in 0..100_000_u64, c in 0..100_000_u64) {
            if let Some(entry) = Entry::from_path(&path) {
                prop_assert_eq!(entry.to_string(), path);
            }
            let first = a >> 1;
            drop(tiles(first, first + b, first + b + c));
        }
    }
}
