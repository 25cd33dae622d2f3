//! A command's end of the local socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ANSWER_BYTES_MAX, Answer, Request, path};

/// How long the agent may take: a probe waits for the link's turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent serves this state directory, or not to this user.
    #[error("no agent answers at {path}")]
    Absent {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It broke off.
    #[error("the agent broke off")]
    Broken(#[from] io::Error),
    /// It answered in words of another version.
    #[error("the agent's answer can't be read; is it of another version?")]
    Answer(#[from] serde_json::Error),
}

/// Asks the agent that serves a state directory. Blocks for a minute at most.
///
/// # Errors
///
/// See [`AskError`].
pub fn ask(state_dir: &Path, request: &Request) -> Result<Answer, AskError> {
    let path = path(state_dir);
    let mut stream =
        UnixStream::connect(&path).map_err(|source| AskError::Absent { path, source })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
