//! Asks whether nodes are still there: a server that loses one at run time may say nothing of it, and
//! its value would be vouched for for ever.
//!
//! Only Read, of an attribute that every node has and no device is asked for. Bounded: so many nodes a
//! request, one request at a time.

use std::time::Duration;

use opcua::types::{AttributeId, ReadValueId, StatusCode, TimestampsToReturn};

use super::item::Item;
use super::wanted::Handle;
use super::work::Bench;

/// Nodes in one request.
pub(super) const NODES_MAX: usize = 500;

/// How often so many nodes are asked for: a node that is gone is known after this, and after as much
/// again for every [`NODES_MAX`] items of the server.
pub(super) const PACE: Duration = Duration::from_secs(5);

/// The items of these whose nodes are gone, each with what the server says. A server that does not
/// answer says nothing of its nodes.
pub(super) async fn audit(bench: Bench, items: Vec<(Handle, Item)>) -> Vec<(Handle, StatusCode)> {
    let (mut handles, mut nodes) = (Vec::new(), Vec::new());
    for (handle, item) in items {
        if let Ok(node) = item.node(&bench.namespaces) {
            handles.push(handle);
            nodes.push(ReadValueId {
                attribute_id: AttributeId::NodeClass as u32,
                ..node
            });
        }
    }
    let reading = bench.session.read(&nodes, TimestampsToReturn::Neither, 0.0);
    let told = bench.ask(reading).await.unwrap_or_default();
    let statuses = told.into_iter().map(|data| data.status);
    let told = handles.into_iter().zip(statuses);
    told.filter_map(|(handle, status)| Some((handle, status.filter(|status| is_gone(*status))?)))
        .collect()
}

/// Whether the server says that an item's node is no longer there.
pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(
        status.set_overflow(false),
        StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid
    )
}
