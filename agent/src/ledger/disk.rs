//! Files that are whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Writes a file under another name, makes it durable and gives it its own name; durable on return.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dirs(parent)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync(parent)
}

/// Reads a file; none if it is longer than that, or something else than a file.
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let about = fs::metadata(path)?;
    // Whoever opens a pipe waits for the other end.
    if !about.is_file() || about.len() > most {
        return Ok(None);
    }
    let length = usize::try_from(about.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    let mut part = File::open(path)?.take(most.saturating_add(1));
    part.read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// Makes the entries of a directory durable.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    // A path of one name lies here.
    let dir = if dir == Path::new("") {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

/// Makes a directory and those above it that are missing; durable on return.
pub(crate) fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir == Path::new("") || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dirs(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => sync(parent),
    }
}

/// Takes a file for this process alone, as long as it is open; none if another process has it.
pub(crate) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive)
        .is_ok()
        .then_some(file))
}
