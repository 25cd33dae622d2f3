//! A subscriber that is not ours: paho in a process of its own, and what it received.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Process;
use crate::wait;

const CONNECT_MAX: Duration = Duration::from_secs(20);
/// How long a persistent session outlives its connection: longer than any test.
const SESSION_S: u32 = 3600;

/// The Python of the tests' own environment.
///
/// # Errors
///
/// When `tests/setup.sh` did not run.
pub fn python() -> Result<String> {
    let path = root().join(".venv/bin/python");
    ensure!(
        path.exists(),
        "{} is missing: run tests/setup.sh",
        path.display()
    );
    Ok(path.display().to_string())
}

/// A program under `tests/peers`.
pub fn peer(name: &str) -> String {
    root().join("tests/peers").join(name).display().to_string()
}

/// The root of the work tree.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A message as the subscriber saw it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// Whether the broker had kept it.
    pub retain: bool,
    /// Whether the broker marked it as sent before.
    pub dup: bool,
    /// The quality of service.
    pub qos: u8,
    /// What is left of its expiry.
    pub expiry_s: Option<u32>,
    /// Its content type.
    pub content_type: Option<String>,
    /// The payload as text.
    pub payload: String,
    /// When it was received, on the boot clock.
    pub at_ms: i64,
}

/// What a subscriber went through.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A message.
    Message(Message),
    /// Its subscriptions were granted.
    Connected {
        /// Whether the broker still had its session.
        connected: bool,
        /// When, on the boot clock.
        at_ms: i64,
    },
    /// Its connection ended.
    Disconnected {
        /// Why, in paho's words.
        disconnected: String,
        /// When, on the boot clock.
        at_ms: i64,
    },
}

/// A running subscriber.
#[derive(Debug)]
pub struct Subscriber {
    process: Process,
    events: Vec<Event>,
}

impl Subscriber {
    /// A subscriber whose session outlives its connections and itself.
    ///
    /// # Errors
    ///
    /// When it can't subscribe.
    pub fn persistent(port: u16, id: &str, topics: &[&str]) -> Result<Self> {
        Self::start(port, id, topics, SESSION_S)
    }

    /// A subscriber that begins anew: as a portal that has just been opened.
    ///
    /// # Errors
    ///
    /// When it can't subscribe.
    pub fn clean(port: u16, id: &str, topics: &[&str]) -> Result<Self> {
        Self::start(port, id, topics, 0)
    }

    /// As [`clean`](Self::clean), where the broker may be away: does not wait for the connection.
    ///
    /// # Errors
    ///
    /// When Python can't be started.
    pub fn joining(port: u16, id: &str, topics: &[&str]) -> Result<Self> {
        Self::spawn(port, id, topics, 0)
    }

    fn start(port: u16, id: &str, topics: &[&str], expiry_s: u32) -> Result<Self> {
        let mut subscriber = Self::spawn(port, id, topics, expiry_s)?;
        subscriber.wait_for("a subscription", CONNECT_MAX, |event| {
            matches!(event, Event::Connected { .. }).then_some(())
        })?;
        Ok(subscriber)
    }

    fn spawn(port: u16, id: &str, topics: &[&str], expiry_s: u32) -> Result<Self> {
        let settings = json!({ "port": port, "id": id, "topics": topics, "expiry_s": expiry_s });
        let arguments = [&*peer("subscriber.py"), &*settings.to_string()];
        let process = Process::start("the subscriber", &python()?, &arguments)?;
        Ok(Self {
            process,
            events: Vec::new(),
        })
    }

    /// Everything so far, in the order of receipt.
    ///
    /// # Errors
    ///
    /// When it printed what is no event.
    pub fn events(&mut self) -> Result<&[Event]> {
        for line in self.process.output.lock().drain(..) {
            let event = serde_json::from_str(&line).with_context(|| line.clone())?;
            self.events.push(event);
        }
        Ok(&self.events)
    }

    /// Every message so far, in the order of receipt.
    ///
    /// # Errors
    ///
    /// When it printed what is no event.
    pub fn messages(&mut self) -> Result<Vec<&Message>> {
        Ok(self.events()?.iter().filter_map(message).collect())
    }

    /// Waits for the first event, from the start on, of which `probe` makes something.
    ///
    /// # Errors
    ///
    /// After `limit`, naming `what` was waited for.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        probe: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T> {
        self.wait_from(0, what, limit, probe)
    }

    /// As [`wait_for`](Self::wait_for), from the event numbered `from` on.
    ///
    /// # Errors
    ///
    /// After `limit`, naming `what` was waited for.
    pub fn wait_from<T>(
        &mut self,
        from: usize,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T> {
        let mut seen = from;
        let found = wait::until(what, limit, || {
            let fresh = self.events()?.iter().skip(seen);
            let mut looked = 0;
            let found = fresh.inspect(|_| looked += 1).find_map(&mut probe);
            seen += looked;
            Ok(found)
        });
        found.with_context(|| format!("{}\nreceived {} events", self.errors(), self.events.len()))
    }

    /// Waits for a message on `topic`, from the event numbered `from` on, of which `probe` makes something.
    ///
    /// # Errors
    ///
    /// After `limit`.
    pub fn wait_on<T>(
        &mut self,
        from: usize,
        topic: &str,
        limit: Duration,
        mut probe: impl FnMut(&Message) -> Option<T>,
    ) -> Result<T> {
        self.wait_from(from, topic, limit, |event| {
            message(event)
                .filter(|m| m.topic == topic)
                .and_then(&mut probe)
        })
    }

    /// How many events there are: where to wait from for what comes next.
    ///
    /// # Errors
    ///
    /// When it printed what is no event.
    pub fn mark(&mut self) -> Result<usize> {
        Ok(self.events()?.len())
    }

    fn errors(&self) -> String {
        self.process.errors.lock().join("\n")
    }
}

fn message(event: &Event) -> Option<&Message> {
    match event {
        Event::Message(message) => Some(message),
        Event::Connected { .. } | Event::Disconnected { .. } => None,
    }
}
