//! Segments that could not be read, kept for people to look at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk;

/// Segments kept at most; the oldest goes first.
const KEPT_MAX: usize = 3;

/// Sets a segment's directory aside, and gives its new name.
pub(super) fn set_aside(store: &Path, name: &str) -> io::Result<String> {
    let aside = format!("bad-{name}");
    let target = store.join(&aside);
    disk::remove(&target)?;
    fs::rename(store.join(name), &target)?;
    disk::sync(store)?;
    prune(store, KEPT_MAX)?;
    Ok(aside)
}

/// Bytes of everything that is set aside.
pub(super) fn measure(store: &Path) -> u64 {
    kept(store).iter().map(|dir| disk::measure(dir)).sum()
}

/// Removes the oldest until so many are left.
pub(super) fn prune(store: &Path, keep: usize) -> io::Result<()> {
    let dirs = kept(store);
    let excess = dirs.len().saturating_sub(keep);
    dirs.iter()
        .take(excess)
        .try_for_each(|dir| disk::remove(dir))
}

fn kept(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    let bad = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("bad-"));
    let mut dirs: Vec<PathBuf> = bad.map(|entry| entry.path()).collect();
    dirs.sort();
    dirs
}
