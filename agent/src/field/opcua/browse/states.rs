//! The states of a state machine, by the names and numbers that its type gives them.

use std::collections::BTreeMap;

use opcua::types::{
    AttributeId, BrowseDirection, NodeId, ReferenceDescription, ReferenceTypeId, Variant,
};

use super::asking::{Asked, OBJECT_TYPES, THINGS, Which};
use crate::field::opcua::fault::OpcFault;

/// States of one machine: the largest in the standards has 17.
const STATES_MAX: usize = 100;

/// Types above a vendor's own that are looked through for states.
const STEPS_MAX: usize = 5;

/// The states of each type; empty where the server does not tell them.
pub(super) async fn of_types(
    asked: &Asked<'_>,
    types: &[NodeId],
) -> Result<Vec<Vec<(String, u32)>>, OpcFault> {
    let mut known: BTreeMap<String, Vec<(String, u32)>> = BTreeMap::new();
    let mut all = Vec::with_capacity(types.len());
    for id in types {
        // Machines of a line are of one type.
        let states = match known.get(&id.to_string()) {
            Some(states) => states.clone(),
            None => of_type(asked, id).await?,
        };
        known.insert(id.to_string(), states.clone());
        all.push(states);
    }
    Ok(all)
}

async fn of_type(asked: &Asked<'_>, id: &NodeId) -> Result<Vec<(String, u32)>, OpcFault> {
    let mut id = id.clone();
    for _ in 0..STEPS_MAX {
        let states = own(asked, &id).await?;
        if !states.is_empty() {
            return Ok(states);
        }
        let kind = ReferenceTypeId::HasSubtype;
        let above = listed(asked, &[id], kind, BrowseDirection::Inverse).await?;
        let above = above.into_iter().flatten().next();
        match above {
            Some(above) => id = above.node_id.node_id,
            None => break,
        }
    }
    Ok(Vec::new())
}

/// The states that a type defines itself: its components that have a number.
async fn own(asked: &Asked<'_>, id: &NodeId) -> Result<Vec<(String, u32)>, OpcFault> {
    let forward = BrowseDirection::Forward;
    let id = std::slice::from_ref(id);
    let parts = listed(asked, id, ReferenceTypeId::HasComponent, forward).await?;
    let mut parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.truncate(STATES_MAX);
    let ids: Vec<NodeId> = parts
        .iter()
        .map(|part| part.node_id.node_id.clone())
        .collect();
    let properties = listed(asked, &ids, ReferenceTypeId::HasProperty, forward).await?;
    let mut found = Vec::new();
    for (part, properties) in parts.iter().zip(properties) {
        let number = properties.into_iter().find(|property| {
            property.browse_name.namespace_index == 0
                && property.browse_name.name.as_ref() == "StateNumber"
        });
        if let Some(number) = number {
            found.push((part.browse_name.name.to_string(), number.node_id.node_id));
        }
    }
    let wanted: Vec<_> = found
        .iter()
        .map(|(_, id)| (id.clone(), AttributeId::Value))
        .collect();
    let read = asked.attributes(&wanted).await?;
    let states = found.into_iter().zip(read);
    Ok(states
        .filter_map(|((name, _), data)| match data.value {
            Some(Variant::UInt32(number)) => Some((name, number)),
            _ => None,
        })
        .collect())
}

async fn listed(
    asked: &Asked<'_>,
    nodes: &[NodeId],
    kind: ReferenceTypeId,
    direction: BrowseDirection,
) -> Result<Vec<Vec<ReferenceDescription>>, OpcFault> {
    let which = Which {
        kind,
        direction,
        classes: THINGS | OBJECT_TYPES,
    };
    let found = asked.references(nodes, which, STATES_MAX).await?;
    Ok(found.into_iter().map(|listed| listed.references).collect())
}
