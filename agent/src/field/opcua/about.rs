//! What a server says of itself: what its clock shows, and what its namespaces are called.
//!
//! One read each, bounded by the server's `timeout`.

use lineside_proto::Time;
use opcua::types::{NodeId, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant};

use super::item::Namespaces;
use super::value::moment;
use super::work::Bench;

/// The server's clock, as a time and in ticks.
pub(super) async fn beat(bench: Bench) -> Option<(Time, i64)> {
    let node = VariableId::Server_ServerStatus_CurrentTime;
    let asked = [ReadValueId::from(NodeId::from(node))];
    let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
    let data = bench.ask(reading).await.ok()?.into_iter().next()?;
    let Variant::DateTime(time) = data.value? else {
        return None;
    };
    Some((moment(&time)?, time.ticks()))
}

/// The server's namespaces: they have the same names for ever, and other indexes after each start.
pub(super) async fn namespaces(bench: Bench) -> Result<Namespaces, StatusCode> {
    let node = VariableId::Server_NamespaceArray;
    let asked = [ReadValueId::from(NodeId::from(node))];
    let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
    let data = bench.ask(reading).await?.into_iter().next();
    let Some(Variant::Array(array)) = data.and_then(|data| data.value) else {
        return Err(StatusCode::BadUnknownResponse);
    };
    let mut namespaces = Namespaces::new();
    for (index, uri) in (0..).zip(array.values) {
        if let Variant::String(uri) = uri {
            namespaces.extend(uri.value().clone().map(|uri| (uri, index)));
        }
    }
    Ok(namespaces)
}
