//! What one task owns: a physical link of Modbus, or the session with an OPC UA server.

use std::fmt;
use std::sync::Arc;

use super::modbus::transport;
use crate::config::model::{Connection, Endpoint, Link, Server};

/// The way to a device. Connections with equal routes share one task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Route {
    /// Over a physical link of Modbus.
    Modbus(Endpoint),
    /// Through an OPC UA server.
    OpcUa(Arc<Server>),
}

impl Route {
    /// The route of a connection.
    pub fn of(connection: &Connection) -> Self {
        match &connection.link {
            Link::Modbus { endpoint, .. } => Self::Modbus(endpoint.clone()),
            Link::OpcUa(server) => Self::OpcUa(Arc::clone(server)),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modbus(endpoint) => f.write_str(&transport::describe(endpoint)),
            Self::OpcUa(server) => write!(f, "opc-ua {}", server.url),
        }
    }
}
