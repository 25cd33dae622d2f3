//! The agent's end of the local socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::{Answer, REQUEST_BYTES_MAX, Request, caller, path};
use crate::entered;
use crate::pseudonym::Pseudonyms;
use crate::run::{Arrival, Ask, Departure, Refused, ReloadError, put};
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
    let pseudonyms = Arc::new(Pseudonyms::new(state_dir));
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let asks = asks.clone();
                    let pseudonyms = Arc::clone(&pseudonyms);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &asks, &pseudonyms).await {
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

async fn converse(
    stream: UnixStream,
    asks: &mpsc::Sender<Ask>,
    pseudonyms: &Pseudonyms,
) -> io::Result<()> {
    let who = caller::name(stream.peer_cred()?.uid());
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => answer(request, who, asks, pseudonyms)
            .await
            .unwrap_or_else(|| refused(text!("the agent is stopping", "程序正在停止"))),
        Err(error) => refused(text!("not a request: {error}", "无法识别的请求：{error}")),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await?;
    writer.shutdown().await
}

/// Answers a request of `who`. None where the agent is stopping.
async fn answer(
    request: Request,
    who: String,
    asks: &mpsc::Sender<Ask>,
    pseudonyms: &Pseudonyms,
) -> Option<Answer> {
    let answer = match request {
        Request::Live => Answer::Live(Box::new(put(asks, Ask::Live).await?)),
        Request::Reload { apply } => {
            let result = put(asks, |reply| Ask::Reload { apply, who, reply }).await?;
            result.map_or_else(|error| faulty(&error), Answer::Reload)
        }
        Request::Probe { machine, points } => {
            let ask = |reply| Ask::Probe {
                machine,
                points,
                reply,
            };
            let result = put(asks, ask).await?;
            result.map_or_else(|error| refused(error.text()), Answer::Probe)
        }
        Request::CheckIn {
            machine,
            booking,
            class,
            by,
        } => {
            let by = by.unwrap_or_else(|| who.clone());
            match Arrival::entered(machine, booking, class, &by, pseudonyms) {
                Ok(arrival) => check_in(arrival, who, asks).await?,
                Err(error) => refused(error.text()),
            }
        }
        Request::CheckOut { machine, by } => {
            let by = by.unwrap_or_else(|| who.clone());
            match Departure::entered(machine, &by, pseudonyms) {
                Ok(departure) => check_out(departure, who, asks).await?,
                Err(error) => refused(error.text()),
            }
        }
        Request::Correct { refers, reason, by } => {
            match (entered::reason(&reason), entered::name(&by)) {
                (Ok(reason), Ok(by)) => {
                    let ask = |reply| Ask::Correct {
                        refers,
                        reason,
                        by,
                        who,
                        reply,
                    };
                    written(put(asks, ask).await?, Answer::Written)
                }
                (Err(text), _) | (_, Err(text)) => refused(text),
            }
        }
        Request::RotateKey { finish } => {
            let ask = |reply| Ask::RotateKey { finish, who, reply };
            written(put(asks, ask).await?, Answer::Rotated)
        }
    };
    Some(answer)
}

async fn check_in(arrival: Arrival, who: String, asks: &mpsc::Sender<Ask>) -> Option<Answer> {
    let ask = |reply| Ask::CheckIn {
        arrival,
        who,
        reply,
    };
    Some(written(put(asks, ask).await?, Answer::Session))
}

async fn check_out(departure: Departure, who: String, asks: &mpsc::Sender<Ask>) -> Option<Answer> {
    let ask = |reply| Ask::CheckOut {
        departure,
        who,
        reply,
    };
    Some(written(put(asks, ask).await?, Answer::Session))
}

/// What became of something that a person entered.
fn written<T>(result: Result<T, Refused>, done: fn(T) -> Answer) -> Answer {
    result.map_or_else(|error| refused(error.text()), done)
}

fn faulty(error: &ReloadError) -> Answer {
    let ReloadError::Faults(faults) = error;
    Answer::Refused {
        en: faults.render(Language::En, false, 100),
        zh: faults.render(Language::ZhCn, false, 100),
    }
}

fn refused(text: Text) -> Answer {
    Answer::Refused {
        en: text.en,
        zh: text.zh,
    }
}
