//! An extra read of some points over a running link, for a technician: what is ordered, and what
//! comes back.

use std::sync::Arc;

use lineside_proto::Time;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::fault::LinkFault;
use super::modbus::decode::Raw;
use crate::config::model::MachineMap;
use crate::sample::{Bad, Value};

/// Points that one probe may read: what a person can look through.
pub(super) const PROBE_POINTS_MAX: usize = 256;

/// What a probe found at one point.
#[derive(Clone, PartialEq, Debug)]
pub struct ProbeReading {
    /// The point, as its place in the map.
    pub point: u16,
    /// What a Modbus device sent; none where it sent nothing.
    pub raw: Option<Raw>,
    /// What an OPC UA server sent; none where it sent nothing.
    pub node: Option<NodeRaw>,
    /// What that means.
    pub reading: Result<Value, Bad>,
}

/// What an OPC UA server says of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeRaw {
    /// The type of the value, in the standard's words.
    pub kind: String,
    /// The value as it came.
    pub value: String,
    /// The status.
    pub status: String,
    /// The source's time of it.
    pub source: Option<Time>,
    /// The server's.
    pub server: Option<Time>,
}

/// An order to probe points of one connection.
#[derive(Debug)]
pub(super) struct ProbeOrder {
    /// The machine's map.
    pub map: Arc<MachineMap>,
    /// The points.
    pub points: Vec<u16>,
    /// Where the readings go.
    pub reply: oneshot::Sender<Result<Vec<ProbeReading>, LinkFault>>,
}

impl ProbeOrder {
    /// Answers that the link is down.
    pub(super) fn refuse(self, fault: LinkFault) {
        drop(self.reply.send(Err(fault)));
    }
}
