//! Leaves in a log's files are exchanged, and nothing else.

use anyhow::Result;
use lineside_proto::ledger::tile::{Kind, Tile, entries, put_entry};
use std::fs;
use std::path::Path;

/// Replaces what the bundles of a log of this size hold.
///
/// # Errors
///
/// When a bundle can't be read or written.
pub fn change_leaves(
    dir: &Path,
    size: u64,
    change: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    let bundles = || Tile::of_log(size).filter(|tile| tile.kind == Kind::Entries);
    let mut all = Vec::new();
    for tile in bundles() {
        let bytes = fs::read(dir.join(tile.to_string()))?;
        all.extend(entries(&bytes, tile.width)?.into_iter().map(<[u8]>::to_vec));
    }
    change(&mut all)?;
    let mut leaves = all.iter();
    for tile in bundles() {
        let mut bundle = Vec::new();
        for leaf in leaves.by_ref().take(usize::try_from(tile.width)?) {
            put_entry(&mut bundle, leaf)?;
        }
        fs::write(dir.join(tile.to_string()), bundle)?;
    }
    Ok(())
}
