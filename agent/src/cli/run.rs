//! `lineside run`: the daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Context, Failure, Outcome, runtime};
use crate::config::Loaded;
use crate::console::{self, Desk};
use crate::control;
use crate::logs;
use crate::run::{Agent, Ask, ReloadError, StartError, StopError, put};
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
    logs::start(config.gateway.log).map_err(|error| {
        Failure::Unreachable(text!(
            "the log can't be written: {error:#}; outside systemd use [log] format = \"human\"",
            "无法写日志：{error:#}；不在 systemd 下运行时请用 [log] format = \"human\""
        ))
    })?;
    // They go to the log, too: nobody may have seen `check`.
    for fault in &warnings {
        tracing::warn!(file = %fault.file.path().display(), "{}", fault.message);
    }
    let runtime = runtime()?;
    let path = std::path::absolute(&context.config)?;
    runtime.block_on(async {
        let gateway = config.gateway.clone();
        // From here on a signal waits: a reload asked for while the agent starts must not end it.
        let mut signals = Signals::new()?;
        let mut agent = Agent::start(config, path).await.map_err(start_failure)?;
        if let Err(error) = control::serve(&gateway.state_dir, agent.asks()) {
            tracing::warn!(%error, "no local socket: commands can't reach this agent");
        }
        let listen = gateway.console.listen;
        let desk = Desk::new(&gateway, context.language, agent.asks(), agent.known());
        match console::serve(desk).await {
            Ok(address) => tracing::info!(%address, "the console listens"),
            Err(error) => {
                tracing::warn!(%listen, %error, "no console: its port can't be listened on")
            }
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "lineside runs");
        let ended = signals.wait(&mut agent).await;
        tracing::info!("stopping");
        match ended {
            None => agent.stop().await.map_err(stop_failure)?,
            Some(error) => return Err(stop_failure(error)),
        }
        tracing::info!("stopped");
        Ok(Outcome::Done)
    })
}

/// What a service manager or a terminal says.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop, or for a part that ends by itself.
    async fn wait(&mut self, agent: &mut Agent) -> Option<StopError> {
        let asks = agent.asks();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return None,
                _ = self.interrupt.recv() => return None,
                _ = self.hangup.recv() => reload(&asks).await,
                error = agent.ended() => return Some(error),
            }
        }
    }
}

/// Takes up changed machine maps; a configuration with faults is refused and told.
async fn reload(asks: &mpsc::Sender<Ask>) {
    let ask = |reply| Ask::Reload {
        apply: true,
        // Whoever may send a signal is the agent's own user or root.
        who: "SIGHUP".to_owned(),
        reply,
    };
    if let Some(Err(ReloadError::Faults(faults))) = put(asks, ask).await {
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
        StopError::Store(_) | StopError::Ledger(_) => Failure::Store(chain(&error)),
        StopError::Part(_) => Failure::Other(error.into()),
    }
}

fn chain(error: &dyn std::error::Error) -> Text {
    let chain = logs::chain(error);
    text!("{chain}", "{chain}")
}
