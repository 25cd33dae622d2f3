//! `lineside run`: the daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::{Context, Failure, Outcome, runtime};
use crate::config::Loaded;
use crate::control;
use crate::logs;
use crate::run::{Agent, Ask, ReloadError, StartError, StopError};
use crate::text;
use crate::text::{Language, Text};

/// Arguments of `lineside run`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside run -c /etc/lineside/gateway.toml")]
pub struct Args {}

/// Runs until SIGTERM or SIGINT; SIGHUP takes up changed machine maps.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(_args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let Loaded {
        config, warnings, ..
    } = context.load()?;
    logs::start(config.gateway.log)?;
    // They go to the log, too: nobody may have seen `check`.
    for fault in &warnings {
        tracing::warn!(file = %fault.file.path().display(), "{}", fault.message);
    }
    let runtime = runtime()?;
    let path = std::path::absolute(&context.config)?;
    runtime.block_on(async {
        let state_dir = config.gateway.state_dir.clone();
        let mut agent = Agent::start(config, path).await.map_err(start_failure)?;
        if let Err(error) = control::serve(&state_dir, agent.asks()) {
            tracing::warn!(%error, "no local socket: status, probe and apply can't reach this agent");
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "lineside runs");
        let ended = wait(&mut agent).await?;
        tracing::info!("stopping");
        match ended {
            None => agent.stop().await.map_err(stop_failure)?,
            Some(error) => return Err(stop_failure(error)),
        }
        tracing::info!("stopped");
        Ok(Outcome::Done)
    })
}

/// Waits for a signal to stop, or for a part that ends by itself.
async fn wait(agent: &mut Agent) -> Result<Option<StopError>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup: Signal = signal(SignalKind::hangup())?;
    let asks = agent.asks();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(None),
            _ = interrupt.recv() => return Ok(None),
            _ = hangup.recv() => reload(&asks).await,
            error = agent.ended() => return Ok(Some(error)),
        }
    }
}

/// Takes up changed machine maps; a configuration with faults is refused and told.
async fn reload(asks: &mpsc::Sender<Ask>) {
    let (reply, answer) = oneshot::channel();
    if asks.send(Ask::Reload { apply: true, reply }).await.is_err() {
        return;
    }
    if let Ok(Err(ReloadError::Faults(faults))) = answer.await {
        let report = faults.render(Language::En, false, 100);
        tracing::error!("reload refused, the old configuration keeps running:\n{report}");
    }
}

/// A failure to start, for a person.
pub(super) fn start_failure(error: StartError) -> Failure {
    Failure::Store(chain(&error))
}

/// A failure to stop well, for a person.
pub(super) fn stop_failure(error: StopError) -> Failure {
    match error {
        StopError::Store(_) => Failure::Store(chain(&error)),
        StopError::Part(_) => Failure::Other(error.into()),
    }
}

fn chain(error: &dyn std::error::Error) -> Text {
    let chain = logs::chain(error);
    text!("{chain}", "{chain}")
}
