//! An archive's directory, laid out from a state directory: static files below `logs`, texts and notes below `kept`.

use anyhow::Result;
use lineside::archive::{Place, Shelf};
use std::fs;
use std::path::Path;

/// Lays out a state directory's ledger as this log of an archive. What lay there before goes.
///
/// # Errors
///
/// When the disk refuses.
pub fn lay(state: &Path, shelf: &Shelf, place: &Place) -> Result<()> {
    let (ledger, log) = (state.join("ledger"), shelf.log_dir(place));
    if log.exists() {
        fs::remove_dir_all(&log)?;
    }
    copy(&ledger.join("tile"), &log.join("tile"))?;
    copy(&ledger.join("notes"), &shelf.kept_dir(place).join("notes"))?;
    for texts in ["maps", "tokens"] {
        let kept = shelf.gateway_dir(&place.site, &place.gateway).join(texts);
        copy(&state.join(texts), &kept)?;
    }
    fs::copy(ledger.join("checkpoint"), log.join("checkpoint"))?;
    Ok(())
}

/// Copies a folder; none leaves an empty one.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let Ok(listed) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in listed {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
