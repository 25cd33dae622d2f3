//! Physical links that several connections name, across all machines: one port or address has one
//! owner, so what they say about it must agree. A server takes as many sessions as there are ways to
//! speak to it, though more than one is seldom meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fault::{Fault, Report};
use super::model::{Connection, Endpoint, Security, SecurityMode, SecurityPolicy, Server};
use super::source::Place;
use crate::text;

/// Reports connections that disagree with an earlier one about their common link.
pub(super) fn check<'a>(links: impl Iterator<Item = &'a (Connection, Place)>, report: &Report) {
    let mut first: BTreeMap<String, (&Endpoint, &Place)> = BTreeMap::new();
    let mut devices: BTreeMap<PathBuf, (&str, &Place)> = BTreeMap::new();
    let mut servers: BTreeMap<&str, (&Server, &Place)> = BTreeMap::new();
    for (connection, at) in links {
        if let Some(server) = connection.server() {
            let (other, place) = *servers.entry(&server.url).or_insert((server, at));
            if *other != **server {
                report.add(two_sessions(other, server, at, place));
            }
        }
        let Some((endpoint, _)) = connection.modbus() else {
            continue;
        };
        if let Endpoint::Rtu(serial) = endpoint {
            let (name, place) = *devices
                .entry(device(&serial.port))
                .or_insert((&serial.port, at));
            if name != serial.port {
                let place = place.words();
                let message = text!(
                    "this port is the same device as {name} at {place}",
                    "此端口与 {place} 处的 {name} 是同一设备"
                );
                report.add(Fault::error("port-conflict", at, message).hint(text!(
                    "write the same path in both, so that they share one link",
                    "两处写相同的路径，以便共用一条链路"
                )));
                continue;
            }
        }
        let (other, place) = *first.entry(wire(endpoint)).or_insert((endpoint, at));
        if other != endpoint {
            report.add(conflict(other, endpoint, at, place));
        }
    }
}

/// What can have one owner only.
fn wire(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp { address } | Endpoint::RtuOverTcp { address } => address.clone(),
        Endpoint::Rtu(serial) => serial.port.clone(),
    }
}

/// The device behind a path, where there is one now.
fn device(port: &str) -> PathBuf {
    std::fs::canonicalize(port).unwrap_or_else(|_| Path::new(port).to_owned())
}

fn conflict(first: &Endpoint, second: &Endpoint, at: &Place, first_at: &Place) -> Fault {
    let place = first_at.words();
    let (Endpoint::Rtu(first), Endpoint::Rtu(second)) = (first, second) else {
        let message = text!(
            "this address is used with another protocol at {place}",
            "{place} 处以另一种协议使用此地址"
        );
        return Fault::error("port-conflict", at, message).hint(text!(
            "one device speaks one of modbus-tcp and modbus-rtu-over-tcp",
            "同一设备只使用 modbus-tcp 和 modbus-rtu-over-tcp 之一"
        ));
    };
    let mut keys = Vec::new();
    for (key, same) in [
        ("baud", first.baud == second.baud),
        ("parity", first.parity == second.parity),
        ("data-bits", first.data_bits == second.data_bits),
        ("stop-bits", first.stop_bits == second.stop_bits),
        ("turnaround", first.turnaround == second.turnaround),
        ("listen", first.listen == second.listen),
    ] {
        if !same {
            keys.push(key);
        }
    }
    let keys = keys.join("`, `");
    let message = text!(
        "this port has another `{keys}` at {place}",
        "{place} 处对此端口的 `{keys}` 设置不同"
    );
    Fault::error("port-conflict", at, message).hint(text!(
        "connections that share a port must agree on its settings",
        "共用端口的连接，其端口设置必须一致"
    ))
}

/// Policy and mode; none: messages are not protected.
fn protection(server: &Server) -> Option<(SecurityPolicy, SecurityMode)> {
    match server.security {
        Security::None => None,
        Security::Secured { policy, mode, .. } => Some((policy, mode)),
    }
}

fn two_sessions(first: &Server, second: &Server, at: &Place, first_at: &Place) -> Fault {
    let mut what = Vec::new();
    for (key, same) in [
        (
            "`security` or `mode`",
            protection(first) == protection(second),
        ),
        (
            "the trusted certificate",
            protection(first) != protection(second) || first.security == second.security,
        ),
        ("the user", first.identity == second.identity),
        ("`timeout`", first.timeout == second.timeout),
        ("`history`", first.history == second.history),
    ] {
        if !same {
            what.push(key);
        }
    }
    let keys = what.join(", ");
    let place = first_at.words();
    let message = text!(
        "the connection at {place} has the same server with other settings ({keys}): two sessions will be opened",
        "{place} 处的连接指向同一服务器但设置不同（{keys}）：将建立两个会话"
    );
    Fault::warning("two-sessions", at, message).hint(text!(
        "say the same in both, so that they share one session: a server has few",
        "两处写相同的设置，以便共用一个会话：服务器的会话数有限"
    ))
}
