//! One file of the configuration: its text, and where in it a byte stands.
//!
//! Reads regular files only, of at most [`FILE_BYTES_MAX`]; understands no format.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of the configuration in bytes at most: ten times the largest map, 20,000 points of 80
/// characters, so that a wrong path can't fill the memory of a gateway.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

const BOM: &str = "\u{feff}";

/// A file that was read, or that could not be: then its text is empty.
#[derive(PartialEq, Eq, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    order: usize,
    content: Content,
}

/// A file's exact bytes, as far as evidence needs them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    /// Their SHA-256.
    pub(super) sha256: [u8; 32],
    /// How many there are.
    pub(super) length: usize,
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Sha256::digest(bytes).into(),
            length: bytes.len(),
        }
    }
}

/// Why a file could not be read as text.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// There is none.
    #[error("no such file")]
    Missing,
    /// A directory, a device, a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// More than [`FILE_BYTES_MAX`].
    #[error("too large")]
    TooLarge,
    /// Not UTF-8 from this byte on.
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Anything else.
    #[error("can't be read")]
    Io(#[source] io::Error),
}

/// A place in text: line and column from 1, the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Source {
    /// A file with the given text; `order` is its rank in reports.
    pub(super) fn new(path: &Path, text: &str, order: usize) -> Self {
        let content = Content::of(text.as_bytes());
        let text = text.strip_prefix(BOM).unwrap_or(text).to_owned();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.to_owned(),
            text,
            line_starts,
            order,
            content,
        }
    }

    /// Reads a file. On failure the source still stands for the path, with what text there is.
    pub(super) fn read(path: &Path, order: usize) -> (Self, Result<(), ReadError>) {
        match bytes(path) {
            Err(error) => (Self::new(path, "", order), Err(error)),
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => (Self::new(path, text, order), Ok(())),
                Err(error) => {
                    let text = String::from_utf8_lossy(&bytes);
                    let skipped = if text.starts_with(BOM) { BOM.len() } else { 0 };
                    let at = error.valid_up_to().saturating_sub(skipped);
                    let mut source = Self::new(path, &text, order);
                    source.content = Content::of(&bytes);
                    (source, Err(ReadError::NotUtf8(at)))
                }
            },
        }
    }

    /// The file's path, as it was reached from the gateway file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's exact bytes, a byte order mark with them.
    pub(super) fn content(&self) -> Content {
        self.content
    }

    /// The file's rank in reports: the order in which files were read.
    pub(super) fn order(&self) -> usize {
        self.order
    }

    /// Where a byte stands.
    pub fn position(&self, offset: usize) -> Position {
        let (line, start, text) = self.line(offset);
        let within = offset.saturating_sub(start).min(text.len());
        let column = text
            .char_indices()
            .take_while(|(at, _)| *at < within)
            .count()
            + 1;
        Position { line, column }
    }

    /// The line around a byte: its number from 1, the offset of its start, its text.
    pub(super) fn line(&self, offset: usize) -> (usize, usize, &str) {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end).unwrap_or("");
        (line, start, text.strip_suffix('\r').unwrap_or(text))
    }
}

/// The bytes of a regular file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let sort = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            ReadError::Missing
        } else {
            ReadError::Io(error)
        }
    };
    // Asked before opening: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(sort)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(sort)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(ReadError::Io)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(ReadError::TooLarge)
    }
}

/// A stretch of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The file.
    pub(super) file: Arc<Source>,
    /// The bytes; none: the file as a whole.
    pub(super) span: Option<Range<usize>>,
}

impl Place {
    /// The file as a whole.
    pub(super) fn whole(file: &Arc<Source>) -> Self {
        Self {
            file: Arc::clone(file),
            span: None,
        }
    }

    /// Bytes of a file.
    pub(super) fn of(file: &Arc<Source>, span: Range<usize>) -> Self {
        Self {
            file: Arc::clone(file),
            span: Some(span),
        }
    }

    /// The text there.
    pub(super) fn text(&self) -> &str {
        self.span
            .clone()
            .and_then(|span| self.file.text().get(span))
            .unwrap_or("")
    }

    /// The place in words, for messages about two places.
    pub(super) fn words(&self) -> String {
        let path = self.file.path().display();
        match &self.span {
            Some(span) => format!("{path}:{}", self.file.position(span.start).line),
            None => path.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Source};
    use std::path::Path;

    #[test]
    fn columns_count_characters_and_lines_end_at_either_kind_of_break() {
        let source = Source::new(Path::new("x"), "\u{feff}ab\r\n温度 = 1\n\nz", 0);
        for (needle, line, column) in [("ab", 1, 1), ("温", 2, 1), ("=", 2, 4), ("z", 4, 1)] {
            let offset = source.text().find(needle).unwrap();
            assert_eq!(
                source.position(offset),
                Position { line, column },
                "{needle}"
            );
        }
        assert_eq!(source.line(0).2, "ab");
        assert_eq!(
            source.position(source.text().len()),
            Position { line: 4, column: 2 }
        );
        assert_eq!(source.position(usize::MAX), Position { line: 4, column: 2 });
    }
}
