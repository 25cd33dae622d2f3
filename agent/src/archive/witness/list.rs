//! Files with an entry a line, two words at most, and remarks from `#` on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of such a file at most: ten thousand lines.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// Why such a file can't be used: with its name and the line, from 1.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It can't be read, or is longer than such a file may be.
    #[error("{} can't be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{}:{line}: {fault}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to write.
        fault: String,
    },
}

/// Reads the entries of a file: of each line its one or two words.
pub(super) fn load<T>(
    path: &Path,
    mut read: impl FnMut(&str, Option<&str>) -> Result<T, String>,
) -> Result<Vec<T>, ListError> {
    let failed = |source| ListError::File {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mut entries = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let entry = match words(line) {
            Ok(None) => continue,
            Ok(Some((one, other))) => read(one, other),
            Err(fault) => Err(fault),
        };
        entries.push(entry.map_err(|fault| ListError::Line {
            path: path.to_owned(),
            line: place + 1,
            fault,
        })?);
    }
    Ok(entries)
}

/// The words of a line; none where it is empty or a remark. A `#` within a word belongs to it.
fn words(line: &str) -> Result<Option<(&str, Option<&str>)>, String> {
    let mut words = line
        .split_whitespace()
        .take_while(|word| !word.starts_with('#'));
    let Some(one) = words.next() else {
        return Ok(None);
    };
    let other = words.next();
    match words.next() {
        Some(word) => Err(format!("`{word}` is a word too many")),
        None => Ok(Some((one, other))),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_has_two_words_at_most() {
        let check = |line: &str, expected: Result<Option<(&str, Option<&str>)>, &str>| {
            assert_eq!(words(line), expected.map_err(str::to_owned), "{line:?}");
        };
        check("", Ok(None));
        check("  # a remark", Ok(None));
        check("one", Ok(Some(("one", None))));
        check("\tone  two # and why", Ok(Some(("one", Some("two")))));
        check("on#e #", Ok(Some(("on#e", None))));
        check("one two three", Err("`three` is a word too many"));
    }
}
