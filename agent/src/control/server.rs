//! The agent's end of the local socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Answer, REQUEST_BYTES_MAX, Request, path};
use crate::run::{Ask, ReloadError};
use crate::text;
use crate::text::{Language, Text};

/// Commands served at once; more wait.
const CONNECTIONS_MAX: usize = 8;

/// Who asks nothing for so long is let go: a command asks at once, and others wait for its place.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves the socket in the background until the runtime ends.
///
/// # Errors
///
/// The socket can't be made in the state directory.
pub fn serve(state_dir: &Path, asks: mpsc::Sender<Ask>) -> io::Result<()> {
    let path = path(state_dir);
    // The state directory is locked by this process: what lies there is left from an earlier one.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let asks = asks.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &asks).await {
                            tracing::debug!(%error, "a local command went away");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the local socket can't be served for a moment");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(stream: UnixStream, asks: &mpsc::Sender<Ask>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => answer(request, asks).await,
        Err(error) => refused(text!("not a request: {error}", "无法识别的请求：{error}")),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await?;
    writer.shutdown().await
}

async fn answer(request: Request, asks: &mpsc::Sender<Ask>) -> Answer {
    let stopping = || refused(text!("the agent is stopping", "程序正在停止"));
    match request {
        Request::Live => {
            let (reply, answer) = oneshot::channel();
            if asks.send(Ask::Live(reply)).await.is_err() {
                return stopping();
            }
            answer
                .await
                .map_or_else(|_| stopping(), |live| Answer::Live(Box::new(live)))
        }
        Request::Reload { apply } => {
            let (reply, answer) = oneshot::channel();
            if asks.send(Ask::Reload { apply, reply }).await.is_err() {
                return stopping();
            }
            match answer.await {
                Ok(Ok(difference)) => Answer::Reload(difference),
                Ok(Err(ReloadError::Faults(faults))) => Answer::Refused {
                    en: faults.render(Language::En, false, 100),
                    zh: faults.render(Language::ZhCn, false, 100),
                },
                Err(_) => stopping(),
            }
        }
        Request::Probe { machine, points } => {
            let (reply, answer) = oneshot::channel();
            if asks
                .send(Ask::Probe {
                    machine,
                    points,
                    reply,
                })
                .await
                .is_err()
            {
                return stopping();
            }
            match answer.await {
                Ok(Ok(readings)) => Answer::Probe(readings),
                Ok(Err(error)) => refused(error.text()),
                Err(_) => stopping(),
            }
        }
    }
}

fn refused(text: Text) -> Answer {
    Answer::Refused {
        en: text.en,
        zh: text.zh,
    }
}
