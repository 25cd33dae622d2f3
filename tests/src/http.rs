//! A client of HTTP/1.1 that sends just what it is told to.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What follows, as text.
    pub body: String,
    /// What follows, as it came.
    pub bytes: Vec<u8>,
}

/// Gets a path as a local browser would.
///
/// # Errors
///
/// When nothing that is HTTP comes back in time.
pub fn get(server: SocketAddr, path: &str) -> Result<Answer> {
    send(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n"),
        "",
    )
}

/// Posts JSON as a local program would.
///
/// # Errors
///
/// When nothing that is HTTP comes back in time.
pub fn post(server: SocketAddr, path: &str, body: &str) -> Result<Answer> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    send(server, &head, body)
}

/// Sends a head without its empty line, and a body; reads until the server closes.
///
/// # Errors
///
/// When nothing that is HTTP comes back in time.
pub fn send(server: SocketAddr, head: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "{head}Connection: close\r\n\r\n{body}")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = answer.split_at(end.context("no HTTP")?);
    let head = String::from_utf8_lossy(head).into_owned();
    let bytes: Vec<u8> = rest.iter().skip(4).copied().collect();
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer {
        status,
        head,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        bytes,
    })
}
