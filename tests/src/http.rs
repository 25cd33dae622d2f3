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
    /// What follows.
    pub body: String,
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
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
