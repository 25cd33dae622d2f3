//! Checkpoints: what a log commits to, as three lines (C2SP tlog-checkpoint).

use std::fmt;

use super::tree::Hash;

/// A head of a log: its name, its size and the root over its leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log's origin.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not exactly three lines.
    #[error("a checkpoint has three lines: origin, size, root")]
    Lines,
    /// No origin.
    #[error("the origin is empty")]
    Origin,
    /// The size is no plain decimal number.
    #[error("the size is no plain number")]
    Size,
    /// The root is no SHA-256 hash in base64.
    #[error("the root is no SHA-256 hash in base64")]
    Root,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or("").split('\n').collect();
        let [origin, size, root] = *lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() {
            return Err(CheckpointError::Origin);
        }
        let number: u64 = size.parse().map_err(|_| CheckpointError::Size)?;
        if number.to_string() != size {
            return Err(CheckpointError::Size);
        }
        let hash = Hash::from_base64(root).ok_or(CheckpointError::Root)?;
        Ok(Self {
            origin: origin.to_owned(),
            size: number,
            root: hash,
        })
    }

    /// Reads the text of a note of any log: what follows the three lines is that log's own, and no line of it is empty.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] names the line that is wrong.
    pub fn parse_extended(text: &str) -> Result<Self, CheckpointError> {
        let ends = text.match_indices('\n').nth(2).map(|(end, _)| end + 1);
        let (three, rest) = ends
            .and_then(|end| text.split_at_checked(end))
            .ok_or(CheckpointError::Lines)?;
        let is_line = |line: &str| line.len() > 1 && line.ends_with('\n');
        if !rest.split_inclusive('\n').all(is_line) {
            return Err(CheckpointError::Lines);
        }
        Self::parse(three)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, CheckpointError};
    use crate::ledger::tree::Hash;

    #[test]
    fn three_lines_and_nothing_else() {
        let checkpoint = Checkpoint {
            origin: "lineside/site/gw".to_owned(),
            size: 42,
            root: Hash([7; 32]),
        };
        let text = checkpoint.to_string();
        assert_eq!(
            text,
            "lineside/site/gw\n42\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
        );
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint));
        let check = |from: &str, to: &str, error| {
            assert_eq!(
                Checkpoint::parse(&text.replace(from, to)),
                Err(error),
                "{to}"
            );
        };
        check("42", "042", CheckpointError::Size);
        check("42", "-1", CheckpointError::Size);
        check("42", "+42", CheckpointError::Size);
        check("42", "18446744073709551616", CheckpointError::Size);
        check("BwcH", "Bwc", CheckpointError::Root);
        check("lineside/site/gw", "", CheckpointError::Origin);
        check("c=\n", "c=\nextension\n", CheckpointError::Lines);
        check("c=\n", "c=", CheckpointError::Lines);
    }

    #[test]
    fn other_logs_may_say_more() {
        let text = "example.com/log\n42\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
        let three = Checkpoint::parse(text);
        assert!(three.is_ok());
        let check = |more: &str, expected| {
            let read = Checkpoint::parse_extended(&format!("{text}{more}"));
            assert_eq!(read, expected, "{more:?}");
        };
        check("", three.clone());
        check("timestamp 1\nand more\n", three);
        check("\n", Err(CheckpointError::Lines));
        check("timestamp 1", Err(CheckpointError::Lines));
        check("timestamp 1\n\nmore\n", Err(CheckpointError::Lines));
        for (text, error) in [
            ("", CheckpointError::Lines),
            ("a\n1\n", CheckpointError::Lines),
            ("a\n01\nx\n", CheckpointError::Size),
            ("\n1\nx\n", CheckpointError::Origin),
        ] {
            assert_eq!(Checkpoint::parse_extended(text), Err(error), "{text:?}");
        }
    }
}
