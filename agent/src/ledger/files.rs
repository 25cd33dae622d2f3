//! The check of a ledger by the files that everybody may have: nothing is opened for writing and no private key
//! is needed, so that it works on a copy as well as while an agent runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::files::{self, FilesError};
use lineside_proto::ledger::note::VerifierKey;

/// Checks the static files in a directory (`checkpoint`, `tile/…`): that the checkpoint is signed by one of these
/// keys for this origin, that every leaf and every tile is what it commits to, and that the log continues
/// the heads that were seen of it before.
///
/// # Errors
///
/// [`FilesError`] names what is wrong.
pub fn verify_files(
    dir: &Path,
    keys: &[VerifierKey],
    origin: &str,
    seen: &[Checkpoint],
) -> Result<Checkpoint, FilesError<io::Error>> {
    let read = |path: &str, bytes_max: usize| {
        let file = match File::open(dir.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    files::check(read, keys, origin, seen)
}
