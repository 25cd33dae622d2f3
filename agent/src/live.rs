//! What the agent knows right now, as a snapshot for people: `status`, the demo's table, the console.

use lineside_proto::{
    AvailableNow, CheckIn, Class, Clock, Identifier, LocalText, OutboxFigures, PointName,
    ReasonCode, State, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A snapshot of the whole agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The agent's version.
    pub version: String,
    /// When the agent started.
    pub started: Time,
    /// When the snapshot was made.
    pub at: Time,
    /// The gateway's clock.
    pub clock: Clock,
    /// The machines, by name.
    pub machines: Vec<LiveMachine>,
    /// The connection to the broker.
    pub uplink: UplinkFigures,
    /// The durable queue.
    pub outbox: OutboxFigures,
    /// The ledger; none before it is open.
    #[serde(default)]
    pub ledger: Option<LedgerFigures>,
}

/// How far the ledger is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LedgerFigures {
    /// Its name in its checkpoints.
    pub origin: String,
    /// Leaves on disk.
    pub size: u64,
    /// Leaves under the newest signed checkpoint.
    pub signed: u64,
    /// Leaves that have reached the city: the broker has acknowledged them and, where witnesses are configured, as many
    /// of them as are wanted have cosigned them.
    pub delivered: u64,
    /// Leaves that the broker has acknowledged.
    #[serde(default)]
    pub acknowledged: u64,
    /// Leaves that as many witnesses as are wanted have cosigned; null where none is configured.
    #[serde(default)]
    pub cosigned: Option<u64>,
    /// How many witnesses must have cosigned.
    #[serde(default)]
    pub quorum: u64,
    /// The witnesses, in the order of the configuration.
    #[serde(default)]
    pub witnesses: Vec<WitnessFigures>,
    /// Why it is neither signed nor published, until somebody looks after it; left out while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
    /// The verifier keys whose signature counts (C2SP vkeys): the present one, and the one before while a
    /// change is not finished.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What a witness has seen of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct WitnessFigures {
    /// Its name.
    pub name: String,
    /// Its verifier key (C2SP vkey).
    pub key: String,
    /// Leaves that it has cosigned.
    pub size: u64,
    /// When it did so last, by its own clock; null before the first time.
    pub at: Option<Time>,
    /// The time of the oldest leaf that a checkpoint covers and it has not cosigned; null where there is none.
    pub owed_since: Option<Time>,
    /// Whether that is longer than it may be: 15 minutes.
    pub silent: bool,
    /// What it has cosigned by itself that this ledger does not continue; left out where there is none. As long as fewer
    /// witnesses than are wanted say so it stops nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contradicts: Option<String>,
}

/// One machine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LiveMachine {
    /// The machine.
    pub machine: Identifier,
    /// What people call it.
    pub name: LocalText,
    /// What it is doing.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// The rule that gave the state (`RUN@2`).
    pub rule: Option<String>,
    /// The kind of reason.
    pub reason: ReasonCode,
    /// The reason in words.
    pub reason_text: String,
    /// Whether somebody could start now.
    pub available_now: AvailableNow,
    /// The newest good evidence.
    pub observed_at: Option<Time>,
    /// The points in the order of the map.
    pub points: Vec<LivePoint>,
    /// The machine's links.
    pub links: Vec<LinkFigures>,
    /// The session that is open.
    #[serde(default)]
    pub session: Option<LiveSession>,
}

/// A session that is open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LiveSession {
    /// The session.
    pub session: String,
    /// The booking that it is for.
    pub booking: Option<String>,
    /// Its class.
    pub class: Class,
    /// How it became known who uses the machine.
    pub check_in: CheckIn,
    /// Who entered it at the machine, as a pseudonym.
    pub by: Option<String>,
    /// When it began.
    pub from: Time,
    /// When its booking ends.
    pub expected_end: Option<Time>,
}

/// One point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LivePoint {
    /// Its name.
    pub point: PointName,
    /// Its last good value, as text.
    pub value: Option<String>,
    /// Why the newest reading gave none (`timeout`, `exception:2`, …).
    pub bad: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// When the newest good value was received.
    pub at: Option<Time>,
}

/// What one machine's connection is going through.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkFigures {
    /// The connection's name in the map.
    pub connection: String,
    /// The endpoint, as people write it.
    pub endpoint: String,
    /// The phase of the link.
    pub phase: LinkPhase,
    /// The last failure, in words.
    pub fault: Option<String>,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_zh: Option<String>,
    /// Requests sent.
    pub requests: u64,
    /// Requests that got no answer in time.
    pub timeouts: u64,
    /// Answers that were exceptions.
    pub exceptions: u64,
    /// Broken, foreign or late frames that were refused.
    pub rejected: u64,
    /// Poll cycles that were skipped because the link was busy.
    pub skipped: u64,
    /// What came by subscription; none where the connection polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<Subscribed>,
}

/// What a connection gets by subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// Points that the map wants.
    pub items_wanted: u64,
    /// Points that the server watches for us.
    pub items_made: u64,
    /// Values that came.
    pub notifications: u64,
    /// Values before which the server's queue had to drop others.
    pub overflows: u64,
    /// Messages that were missing and came when asked for again.
    pub republished: u64,
    /// Times in which values may have been lost.
    pub gaps: u64,
}

/// The phase of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkPhase {
    /// Not yet connected.
    #[default]
    Connecting,
    /// Listening on a serial line for another master.
    Listening,
    /// Exchanging.
    Up,
    /// Waiting out a late answer.
    Quiet,
    /// Waiting before another try.
    Backoff,
    /// Another master talks on the line.
    Refused,
}

/// The connection to the broker.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct UplinkFigures {
    /// `host:port`.
    pub broker: String,
    /// Whether the broker has accepted the present connection.
    pub connected: bool,
    /// Connections accepted since the start.
    pub connects: u64,
    /// Publishes that the broker acknowledged.
    pub acknowledged: u64,
    /// Publishes that the broker refused.
    pub refused: u64,
    /// Publishes on their way.
    pub in_flight: u32,
    /// The last failure, in words.
    pub fault: Option<String>,
}

/// The command connection: bookings come in, requests are answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CommandFigures {
    /// Whether the broker has accepted the present subscription.
    pub connected: bool,
    /// Subscriptions accepted since the start.
    pub connects: u64,
    /// Messages of bookings for machines of the configuration.
    pub bookings: u64,
    /// Requests that made sense.
    pub requests: u64,
    /// Requests that did not, that were too many, or whose answer the broker did not take.
    pub refused: u64,
    /// Cosignatures that said something new.
    pub cosignatures: u64,
    /// Messages on topics that nobody asked for, cosignatures that count for nothing, or messages for machines that are
    /// not configured.
    pub ignored: u64,
    /// The last failure, in words.
    pub fault: Option<String>,
}
