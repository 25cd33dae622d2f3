//! Asks whether nodes are still there, and whether they hold what their items said last: a server that
//! loses a node or an item at run time may say nothing of it, and its value would be vouched for for ever.
//!
//! Only Read: of an attribute that every node has, and of values, which the server has at hand. Bounded: so
//! many nodes a turn, one request at a time.

use std::time::Duration;

use opcua::types::{AttributeId, DataValue, ReadValueId, StatusCode, TimestampsToReturn};

use super::doubt::digest;
use super::item::{Item, values_a_request};
use super::pieces::Pieces;
use super::wanted::Handle;
use super::work::Bench;

/// Nodes in one turn, and in one request at most.
pub(super) const NODES_MAX: usize = 500;

/// How often so many nodes are asked for: a node that is gone is known after this, and after as much
/// again for every [`NODES_MAX`] items of the server; a dead item after twice that.
pub(super) const PACE: Duration = Duration::from_secs(5);

/// The longest ago that a value may have been read for the answer: a sampled one never is older, so that no
/// device is asked but for items that are dead.
const AGE_MAX_MS: f64 = 10_000.0;

/// What a server says of items when it is asked.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// Those whose nodes are gone, each with the reason.
    pub gone: Vec<(Handle, StatusCode)>,
    /// What the others hold, by its digest, where that is any good.
    pub held: Vec<(Handle, u64)>,
}

/// Asks for these items. A server that does not answer says nothing of them.
pub(super) async fn audit(bench: Bench, items: Vec<(Handle, Item)>) -> Audited {
    let (mut handles, mut nodes) = (Vec::new(), Vec::new());
    let is_any_wide = items.iter().any(|(_, item)| item.rhythm.is_wide);
    for (handle, item) in items {
        if let Ok(node) = item.node(&bench.namespaces) {
            handles.push(handle);
            nodes.push(node);
        }
    }
    let classes: Vec<ReadValueId> = nodes.iter().map(class).collect();
    let mut audited = Audited::default();
    let told = read(&bench, &classes, NODES_MAX, 0.0).await.into_iter();
    for (handle, data) in handles.iter().zip(told) {
        let gone = data.status.filter(|status| is_gone(*status));
        audited.gone.extend(gone.map(|status| (*handle, status)));
    }
    let held = read(
        &bench,
        &nodes,
        values_a_request(NODES_MAX, is_any_wide),
        AGE_MAX_MS,
    )
    .await;
    let held = handles.into_iter().zip(held.iter().map(digest));
    audited.held = held
        .filter_map(|(handle, held)| Some((handle, held?)))
        .collect();
    audited
}

fn class(node: &ReadValueId) -> ReadValueId {
    ReadValueId {
        attribute_id: AttributeId::NodeClass as u32,
        ..node.clone()
    }
}

/// What the server says of nodes, as far as it says something.
async fn read(
    bench: &Bench,
    nodes: &[ReadValueId],
    at_once: usize,
    age_max_ms: f64,
) -> Vec<DataValue> {
    let mut told = Vec::with_capacity(nodes.len());
    let mut pieces = Pieces::of(nodes, at_once);
    while let Some(piece) = pieces.next() {
        let session = &bench.session;
        let reading = session.read(piece, TimestampsToReturn::Neither, age_max_ms);
        match bench.ask(reading).await {
            Ok(values) if values.len() == piece.len() => told.extend(values),
            Err(status) if pieces.halve(status) => {}
            // What this does not tell, the next turn does.
            Ok(_) | Err(_) => break,
        }
    }
    told
}

/// Whether the server says that an item's node is no longer there.
pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(
        status.set_overflow(false),
        StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid
    )
}
