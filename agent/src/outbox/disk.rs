//! Directories: how large, how durable, how much room beside them.

use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that a directory takes on disk, with all that is in it. What vanishes meanwhile counts nothing.
pub(super) fn measure(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let own = fs::metadata(dir).map_or(0, |data| data.blocks());
    entries
        .flatten()
        .fold(own.saturating_mul(512), |sum, entry| {
            sum.saturating_add(match entry.metadata() {
                Ok(data) if data.is_dir() => measure(&entry.path()),
                Ok(data) => data.blocks().saturating_mul(512),
                Err(_) => 0,
            })
        })
}

/// Bytes that this process may still write on the partition of `dir`.
pub(super) fn free(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of the partition of `dir`.
pub(super) fn partition(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
}

/// Makes the entries of a directory durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory and everything in it durable.
pub(super) fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync(dir)
}

/// Removes a directory; that there is none is as good.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Whether an error says something about this process or the whole disk rather than about the bytes
/// that were read, so that trying again later may help.
pub(super) fn is_passing(error: &io::Error) -> bool {
    is_full(error)
        || matches!(
            error.kind(),
            ErrorKind::PermissionDenied
                | ErrorKind::OutOfMemory
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::Interrupted
        )
        || [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
