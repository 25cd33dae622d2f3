//! The tree over the leaves: SHA-256 as RFC 6962 section 2.1 builds it, and the proofs of RFC 9162
//! sections 2.1.3 and 2.1.4.
//!
//! A *node* `(level, index)` is the root of the perfect subtree over the leaves from `index · 2^level` on.
//! Nothing here stores nodes: who makes a proof passes a way to read them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt;

/// Hashes of a proof at most: one a level, and one more.
pub const PROOF_HASHES_MAX: usize = 65;

/// A hash of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// From base64, as proofs and checkpoints write it.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The root of a tree without leaves.
    pub fn of_nothing() -> Self {
        Self(Sha256::digest(b"").into())
    }

    /// The hash of a leaf.
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update([0])
                .chain_update(leaf)
                .finalize()
                .into(),
        )
    }

    /// The hash of a node over two.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let node = Sha256::new().chain_update([1]);
        Self(
            node.chain_update(left.0)
                .chain_update(right.0)
                .finalize()
                .into(),
        )
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The roots of the perfect subtrees that the first leaves of a log make up, from left to right: enough
/// to append, and to know the root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Range {
    size: u64,
    peaks: Vec<Hash>,
}

impl Range {
    /// A log of this size with these subtrees; none if their number does not fit the size.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let fits = u32::try_from(peaks.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, peaks })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtrees' roots, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf by its hash. `seen` is told of each node that is complete now, the leaf's own first.
    pub fn push(&mut self, leaf: Hash, seen: impl FnMut(u8, u64, Hash)) {
        self.push_node(0, leaf, seen);
    }

    /// Appends the leaves of a perfect subtree by its root; says whether it can stand here: the size must be a
    /// multiple of its leaves. `seen` is told of each node that is complete now, the subtree's own first.
    pub fn push_node(
        &mut self,
        level: u8,
        node: Hash,
        mut seen: impl FnMut(u8, u64, Hash),
    ) -> bool {
        let leaves = 1_u64.checked_shl(u32::from(level)).unwrap_or(0);
        let fits = leaves > 0 && self.size % leaves == 0;
        let Some(size) = self.size.checked_add(leaves).filter(|_| fits) else {
            return false;
        };
        let (mut level, mut index, mut node) = (level, self.size / leaves, node);
        seen(level, index, node);
        while index % 2 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Hash::of_node(&left, &node);
            level += 1;
            index /= 2;
            seen(level, index, node);
        }
        self.peaks.push(node);
        self.size = size;
        true
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Hash::of_nothing();
        };
        peaks.fold(*last, |right, left| Hash::of_node(left, &right))
    }
}

/// The nodes that make up the first `size` leaves, from left to right: the places of a [`Range`]'s peaks.
pub fn peaks(size: u64) -> impl Iterator<Item = (u8, u64)> {
    (0..64_u8)
        .rev()
        .filter(move |level| size >> level & 1 == 1)
        .map(move |level| (level, (size >> level) - 1))
}

/// The root over `count` leaves from `from` on, by reading nodes. `from` must be a multiple of the
/// smallest power of two that is not below `count`, as it is in every proof.
fn root_of<E>(
    from: u64,
    count: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    if count == 0 {
        return Ok(Hash::of_nothing());
    }
    if count.is_power_of_two() {
        let level = level_of(count);
        return read(level, from >> level);
    }
    let left = split(count);
    let one = root_of(from, left, read)?;
    let other = root_of(from + left, count - left, read)?;
    Ok(Hash::of_node(&one, &other))
}

/// The root of the first `size` leaves.
///
/// # Errors
///
/// Only the reader's own.
pub fn root<E>(size: u64, mut read: impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    root_of(0, size, &mut read)
}

/// The proof that the leaf at `index` is among the first `size`; empty for an index that is not.
///
/// # Errors
///
/// Only the reader's own.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut hashes = Vec::new();
    let (mut from, mut count) = (0, size);
    while index < size && count > 1 {
        let left = split(count);
        if index < from + left {
            hashes.push(root_of(from + left, count - left, &mut read)?);
            count = left;
        } else {
            hashes.push(root_of(from, left, &mut read)?);
            from += left;
            count -= left;
        }
    }
    hashes.reverse();
    Ok(hashes)
}

/// The proof that the first `old` leaves are still the first of `new`; empty where one is the other, or
/// `old` is 0 or larger than `new`.
///
/// # Errors
///
/// Only the reader's own.
pub fn consistency<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut hashes = Vec::new();
    if old == 0 || old >= new {
        return Ok(hashes);
    }
    let (mut from, mut count, mut known) = (0, new, old);
    let mut is_whole = true;
    while known != count {
        let left = split(count);
        if known <= left {
            hashes.push(root_of(from + left, count - left, &mut read)?);
            count = left;
        } else {
            hashes.push(root_of(from, left, &mut read)?);
            from += left;
            count -= left;
            known -= left;
            is_whole = false;
        }
    }
    if !is_whole {
        hashes.push(root_of(from, count, &mut read)?);
    }
    hashes.reverse();
    Ok(hashes)
}

/// The largest power of two below a number of at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

fn level_of(count: u64) -> u8 {
    u8::try_from(count.trailing_zeros()).unwrap_or(63)
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// The leaf's place, or the older size, lies beyond the tree.
    #[error("leaf or size {place} lies beyond a tree of {size}")]
    Beyond {
        /// The place or the older size.
        place: u64,
        /// The tree's size.
        size: u64,
    },
    /// Too many or too few hashes.
    #[error("the proof has {0} hashes, which is not its length")]
    Length(usize),
    /// The hashes give another root than the older tree has.
    #[error("the proof does not lead to the older root: this is another history")]
    OldRoot,
    /// The hashes give another root.
    #[error("the proof does not lead to the root")]
    Root,
}

/// Checks an inclusion proof (RFC 9162, 2.1.3.2).
///
/// # Errors
///
/// [`ProofError`] says why it proves nothing.
pub fn check_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    hashes: &[Hash],
    root: Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond { place: index, size });
    }
    let (mut place, mut last, mut node) = (index, size - 1, leaf);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError::Length(hashes.len()));
        }
        if place & 1 == 1 || place == last {
            node = Hash::of_node(hash, &node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = Hash::of_node(&node, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    match (last, node == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        (_, _) => Err(ProofError::Length(hashes.len())),
    }
}

/// Checks a consistency proof (RFC 9162, 2.1.4.2).
///
/// # Errors
///
/// [`ProofError`] says why it proves nothing.
pub fn check_consistency(
    old: u64,
    new: u64,
    hashes: &[Hash],
    old_root: Hash,
    new_root: Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Beyond {
            place: old,
            size: new,
        });
    }
    if old == new || old == 0 {
        let same = old == 0 || old_root == new_root;
        return match (hashes.is_empty(), same) {
            (false, _) => Err(ProofError::Length(hashes.len())),
            (true, false) => Err(ProofError::OldRoot),
            (true, true) => Ok(()),
        };
    }
    let (one, other) = consistency_roots(old, new, hashes, old_root)?;
    if one != old_root {
        return Err(ProofError::OldRoot);
    }
    if other != new_root {
        return Err(ProofError::Root);
    }
    Ok(())
}

/// The two roots that a consistency proof leads to, of the older tree and of the newer; `old` is at least 1 and below
/// `new`. Where `old` is a power of two the proof begins with the older root, which is taken as it is given.
///
/// A proof that leads to the root that somebody signed for `new` leaves, and to another than they signed for `old`, proves
/// that they signed two histories.
///
/// # Errors
///
/// [`ProofError::Beyond`] or [`ProofError::Length`]: it leads nowhere.
pub fn consistency_roots(
    old: u64,
    new: u64,
    hashes: &[Hash],
    old_root: Hash,
) -> Result<(Hash, Hash), ProofError> {
    if old == 0 || old >= new {
        return Err(ProofError::Beyond {
            place: old,
            size: new,
        });
    }
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let mut rest = hashes.iter();
    let seed = if old.is_power_of_two() {
        old_root
    } else {
        *rest.next().ok_or(ProofError::Length(0))?
    };
    let (mut one, mut other) = (seed, seed);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Length(hashes.len()));
        }
        if place & 1 == 1 || place == last {
            one = Hash::of_node(hash, &one);
            other = Hash::of_node(hash, &other);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            other = Hash::of_node(&other, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(hashes.len()));
    }
    Ok((one, other))
}

#[cfg(test)]
mod tests;
