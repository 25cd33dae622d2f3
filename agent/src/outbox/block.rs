//! A block: the value under one key, a part of a pack small enough to be safe in sled.
//!
//! Key: the position of the pack's first record, 8 bytes, and the part's number, 2 bytes, big-endian.
//! Value, little-endian: CRC-32 of all that follows (4), version (1), first position (8), records (4), length
//! before compression (4), part (2), parts (2), and the part's bytes.

use super::pack::{PACK_BYTES_MAX, Pack};

/// A value's length at most. A leaf of sled holds up to 17 values, and one over 128 KiB goes to a file that
/// is never synced.
pub(super) const BLOCK_BYTES_MAX: usize = 6 << 10;

/// Length of a key.
pub(super) const KEY_BYTES: usize = 10;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 25;
const BODY_BYTES_MAX: usize = BLOCK_BYTES_MAX - HEAD_BYTES;

/// Parts of one pack at most: enough even if compression lengthens it.
const PARTS_MAX: usize = PACK_BYTES_MAX / BODY_BYTES_MAX + 2;

/// A key.
pub(super) type Key = [u8; KEY_BYTES];

/// What a block says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Block<'a> {
    /// Position of the pack's first record.
    pub first: u64,
    /// Records in the pack.
    pub count: u32,
    /// The pack's length before compression.
    pub raw_bytes: u32,
    /// This part's number.
    pub part: u16,
    /// Parts of the pack.
    pub parts: u16,
    /// The part's bytes.
    pub body: &'a [u8],
}

/// The key of a part.
pub(super) fn key(first: u64, part: u16) -> Key {
    let mut key = [0; KEY_BYTES];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&first.to_be_bytes());
    tail.copy_from_slice(&part.to_be_bytes());
    key
}

/// The position in a key; none if it is no key of ours.
pub(super) fn first_of(key: &[u8]) -> Option<u64> {
    let head: [u8; 8] = key.get(..8)?.try_into().ok()?;
    (key.len() == KEY_BYTES).then(|| u64::from_be_bytes(head))
}

/// A pack's blocks, when its first record gets the position `first`.
pub(super) fn blocks_of(first: u64, pack: &Pack) -> impl Iterator<Item = (Key, Vec<u8>)> {
    let parts = pack.body.len().div_ceil(BODY_BYTES_MAX);
    let parts_field = u16::try_from(parts).unwrap_or(u16::MAX);
    let raw_field = u32::try_from(pack.raw_bytes).unwrap_or(u32::MAX);
    let numbered = (0_u16..).zip(pack.body.chunks(BODY_BYTES_MAX));
    numbered.map(move |(part, body)| {
        let block = Block {
            first,
            count: pack.count,
            raw_bytes: raw_field,
            part,
            parts: parts_field,
            body,
        };
        (key(first, part), block.to_bytes())
    })
}

impl<'a> Block<'a> {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.body.len());
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.raw_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.part.to_le_bytes());
        bytes.extend_from_slice(&self.parts.to_le_bytes());
        bytes.extend_from_slice(self.body);
        let crc = crc32fast::hash(bytes.get(4..).unwrap_or_default());
        if let Some(field) = bytes.get_mut(..4) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// Reads a value; none if it is damaged, too long or of another make.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
        let crc = u32::from_le_bytes(head.get(..4)?.try_into().ok()?);
        let block = Self {
            first: u64::from_le_bytes(head.get(5..13)?.try_into().ok()?),
            count: u32::from_le_bytes(head.get(13..17)?.try_into().ok()?),
            raw_bytes: u32::from_le_bytes(head.get(17..21)?.try_into().ok()?),
            part: u16::from_le_bytes(head.get(21..23)?.try_into().ok()?),
            parts: u16::from_le_bytes(head.get(23..25)?.try_into().ok()?),
            body,
        };
        let sound = bytes.len() <= BLOCK_BYTES_MAX
            && crc32fast::hash(bytes.get(4..)?) == crc
            && head.get(4) == Some(&VERSION)
            && block.part < block.parts
            && usize::from(block.parts) <= PARTS_MAX;
        sound.then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::super::extent::Shares;
    use super::{BLOCK_BYTES_MAX, Block, blocks_of, first_of};
    use crate::outbox::pack::{PACK_BYTES_MAX, Pack};

    #[test]
    fn a_pack_is_cut_into_blocks_and_every_flipped_bit_is_seen() {
        for length in [
            1,
            BLOCK_BYTES_MAX,
            3 * BLOCK_BYTES_MAX,
            PACK_BYTES_MAX + 4096,
        ] {
            let pack = Pack {
                body: (0..length)
                    .map(|byte| u8::try_from(byte % 249).unwrap())
                    .collect(),
                raw_bytes: length,
                count: 3,
                shares: Shares::default(),
            };
            let mut body = Vec::new();
            for (key, value) in blocks_of(77, &pack) {
                assert!(value.len() <= BLOCK_BYTES_MAX, "{length}");
                assert_eq!(first_of(&key), Some(77));
                let block = Block::parse(&value).unwrap();
                assert_eq!((block.first, block.count), (77, 3));
                assert_eq!(usize::try_from(block.raw_bytes).unwrap(), length);
                body.extend_from_slice(block.body);
                for place in (0..value.len()).step_by(value.len() / 40 + 1) {
                    let mut flipped = value.clone();
                    flipped[place] ^= 4;
                    assert_eq!(Block::parse(&flipped), None, "{length}: {place}");
                }
                assert_eq!(Block::parse(&value[..value.len() - 1]), None);
            }
            assert!(body == pack.body, "{length}");
        }
        assert_eq!(Block::parse(b""), None);
        assert_eq!(first_of(b"12345678"), None);
    }
}
