//! A stand: a broker, a proxy before it, an archive that keeps a persistent session, and the agent.

use crate::agent::{Agent, command};
use crate::broker::{Mosquitto, Persistence};
use crate::proxy::{Acknowledged, Proxy};
use crate::sequence::Streams;
use crate::site::Site;
use crate::subscriber::{Event, Message, Subscriber};
use crate::wait;
use anyhow::{Context, Result};
use lineside_proto::{Availability, GatewayStatus, Telemetry};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long anything may take that should take a moment, on a machine that does other things too.
pub const LIMIT: Duration = Duration::from_secs(40);

/// The publishes that may be on their way at once, in every stand.
pub const WINDOW: u64 = 20;

/// Settings that make the agent quick enough for a test: messages ten times a second, documents that
/// age within seconds.
pub const QUICK: &str = "window = 20\nkeep-alive = \"5s\"\nack-timeout = \"2s\"\n\
    [outbox]\ncommit = \"100ms\"\n[telemetry]\nbatch = \"100ms\"\n[availability]\nheartbeat = \"1s\"";

/// Tests that need a core for themselves run one at a time: each holds this.
pub static HEAVY: Mutex<()> = Mutex::const_new(());

/// A broker, a proxy, an archive and an agent that publishes through the proxy.
pub struct Stand {
    /// The broker; the archive talks to it directly.
    pub broker: Mosquitto,
    /// What lies between the agent and the broker.
    pub proxy: Proxy,
    /// What the broker has acknowledged to the agent.
    pub acknowledged: Acknowledged,
    /// The agent's files.
    pub site: Site,
    /// Subscribed to everything, in a persistent session.
    pub archive: Subscriber,
    agent: Option<Agent>,
}

impl Stand {
    /// A stand whose agent does not run yet; `settings` begin with further keys of `[uplink]`.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn new(persistence: Persistence, settings: &str) -> Result<Self> {
        let broker = Mosquitto::start(persistence)?;
        let archive = Subscriber::persistent(broker.port(), "archive", &["lineside/v1/#"])?;
        let acknowledged = Acknowledged::default();
        let proxy = Proxy::tapped(broker.address(), acknowledged.tap())?;
        let site = Site::new(proxy.port())?.with(settings)?;
        Ok(Self {
            broker,
            proxy,
            acknowledged,
            site,
            archive,
            agent: None,
        })
    }

    /// Starts the agent.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn start(&mut self) -> Result<()> {
        self.agent = Some(Agent::start(&self.site.config())?);
        Ok(())
    }

    /// The running agent.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn agent(&mut self) -> Result<&mut Agent> {
        self.agent.as_mut().context("the agent does not run")
    }

    /// Ends the agent by SIGKILL.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.take().context("the agent does not run")?.kill()
    }

    /// Stops the agent.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn stop(&mut self) -> Result<()> {
        self.agent.take().context("the agent does not run")?.stop()
    }

    /// Waits until so many more telemetry messages have come in.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn flow(&mut self, count: usize) -> Result<()> {
        let mark = self.archive.mark()?;
        let mut seen = 0;
        let flowed = self.archive.wait_from(mark, "telemetry", LIMIT, |event| {
            if let Event::Message(message) = event {
                seen += usize::from(message.topic.contains("/telemetry/"));
            }
            (seen >= count).then_some(())
        });
        flowed.with_context(|| self.log())
    }

    /// Waits until everything that had been read by now has come in, of all these machines.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn caught_up(&mut self, machines: &[&str], limit: Duration) -> Result<()> {
        let mark_ms = jiff::Timestamp::now().as_millisecond();
        let mut waiting: BTreeSet<String> = machines
            .iter()
            .map(|machine| Site::topic(&format!("telemetry/{machine}")))
            .collect();
        let caught_up = self
            .archive
            .wait_for("what was read until now", limit, |event| {
                if let Event::Message(message) = event {
                    if waiting.contains(&message.topic) && newest_frame(message) >= Some(mark_ms) {
                        waiting.remove(&message.topic);
                    }
                }
                waiting.is_empty().then_some(())
            });
        caught_up.with_context(|| self.log())
    }

    /// Everything that the archive has received of the streams.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn streams(&mut self) -> Result<Streams> {
        Streams::of(self.archive.messages()?)
    }

    /// Waits for an availability document of a machine, from the event numbered `from` on, of which
    /// `probe` makes something.
    ///
    /// # Errors
    ///
    /// With the agent's log, when it does not come about.
    pub fn availability<T>(
        &mut self,
        machine: &str,
        from: usize,
        mut probe: impl FnMut(&Availability, &Message) -> Option<T>,
    ) -> Result<T> {
        let topic = Site::topic(&format!("availability/{machine}"));
        let mut wrong = None;
        let found =
            self.archive.wait_on(from, &topic, LIMIT, |message| {
                match serde_json::from_str(&message.payload) {
                    Ok(document) => probe(&document, message),
                    Err(error) => {
                        wrong = Some(format!("{error}: {}", message.payload));
                        None
                    }
                }
            });
        found.with_context(|| format!("{wrong:?}\n{}", self.log()))
    }

    /// The first link of a machine as `lineside status --json` has it; none while there is nothing to tell.
    ///
    /// # Errors
    ///
    /// When the answer is none.
    pub fn link(&self, machine: &str) -> Result<Option<Value>> {
        let config = self.site.config().display().to_string();
        let output = command(&["status", "--json", "-c", &config])?;
        if !output.status.success() {
            return Ok(None);
        }
        let live: Value = serde_json::from_slice(&output.stdout)?;
        let machines = live.get("machines").and_then(Value::as_array);
        let mut machines = machines.context("machines")?.iter();
        let ours = machines.find(|one| one.get("machine").and_then(Value::as_str) == Some(machine));
        Ok(ours.and_then(|one| one.pointer("/links/0")).cloned())
    }

    /// What the agent has logged.
    pub fn log(&self) -> String {
        self.agent.as_ref().map(Agent::log).unwrap_or_default()
    }
}

/// The time of the newest frame in a telemetry message.
pub fn newest_frame(message: &Message) -> Option<i64> {
    let document: Telemetry = serde_json::from_str(&message.payload).ok()?;
    document.frames.last().map(|frame| frame.t_ms)
}

/// A status document, unless it is none.
pub fn status(message: &Message) -> Option<GatewayStatus> {
    if message.topic.ends_with("/status") {
        serde_json::from_str(&message.payload).ok()
    } else {
        None
    }
}

/// Waits until a proxy has had more connections than so many.
///
/// # Errors
///
/// When none comes in time.
pub fn until_connections(proxy: &Proxy, more_than: u64) -> Result<()> {
    wait::until_true("a new connection", LIMIT, || proxy.accepted() > more_than)
}
