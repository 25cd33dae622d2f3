//! A server's address space below Objects, as far as was asked for.
//!
//! Reads and nothing else. The server's own object (its diagnostics) is named, and not looked into.
//! Bounds: the caller's depth and number of nodes; each request as the server's `timeout` allows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use opcua::client::Session;
use opcua::types::{
    AttributeId, BrowseDirection, NodeClass, NodeId, ObjectId, ReferenceDescription,
    ReferenceTypeId, VariableId,
};

use super::Own;
use super::fault::OpcFault;
use super::session::{Opened, open};
use crate::clock::Clock;
use crate::config::model::{OPC_UA_NAMESPACE, Server};
use asking::{Asked, End, THINGS, Which};
use content::Extra;
use names::Namespaces;
use space::{Content, Seen, Space};

mod asking;
mod content;
mod kind;
mod names;
pub mod space;
mod states;

/// How long a session may take to close: it is only politeness, the server forgets it anyway.
const GOODBYE: Duration = Duration::from_secs(2);

/// Characters of a name that are kept.
const NAME_CHARS_MAX: usize = 200;

/// Nodes whose references are held at once: a server may list the same thousands below each.
const NODES_AT_ONCE: usize = 100;

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Steps below Objects.
    pub depth: u32,
    /// Nodes at all.
    pub nodes: usize,
    /// Whether values are read, too.
    pub values: bool,
}

/// Looks at a server's address space over a session of its own, which is closed again.
///
/// # Errors
///
/// There is no session, or it breaks.
pub async fn browse(
    server: &Server,
    own: &Own,
    clock: &Arc<dyn Clock>,
    reach: Reach,
) -> Result<Space, OpcFault> {
    let Opened {
        session,
        mut events,
        ..
    } = open(server, own, clock).await?;
    let events = async {
        while let Some(event) = events.next().await {
            event.map_err(OpcFault::of_status)?;
        }
        Err(OpcFault::Closed)
    };
    tokio::pin!(events);
    let space = tokio::select! {
        space = walk(&session, reach) => space,
        ended = &mut events => ended,
    };
    session.disable_reconnects();
    let goodbye = async {
        tokio::select! {
            _ = session.disconnect() => (),
            _ = &mut events => (),
        }
    };
    // The server forgets a session that was not closed within seconds.
    drop(tokio::time::timeout(GOODBYE, goodbye).await);
    space
}

async fn walk(session: &Session, reach: Reach) -> Result<Space, OpcFault> {
    let array = (
        NodeId::from(VariableId::Server_NamespaceArray),
        AttributeId::Value,
    );
    let asked = Asked::new(session, reach.nodes);
    let read = asked.attributes(&[array]).await?;
    let namespaces = Namespaces::of(read.first().and_then(|read| read.value.as_ref()));
    let mut walk = Walk::new(namespaces, reach);
    while !walk.frontier.is_empty() && !walk.space.cut.too_many {
        let places = std::mem::take(&mut walk.frontier);
        for places in places.chunks(NODES_AT_ONCE) {
            if !walk.space.cut.too_many {
                walk.look_below(&asked, places).await?;
            }
        }
    }
    let Walk {
        mut space,
        ids,
        extras,
        machines,
        ..
    } = walk;
    content::fill(&asked, &mut space, &ids, reach.values).await?;
    content::measure(&asked, &mut space, &extras).await?;
    let types: Vec<NodeId> = machines.iter().map(|(_, id)| id.clone()).collect();
    let states = states::of_types(&asked, &types).await?;
    for ((place, _), states) in machines.into_iter().zip(states) {
        if let Some(node) = space.nodes.get_mut(place) {
            node.states = states;
        }
    }
    space.cut.too_many |= asked.is_spent();
    Ok(space)
}

/// A walk under way.
struct Walk {
    namespaces: Namespaces,
    reach: Reach,
    space: Space,
    ids: Vec<NodeId>,
    types: Vec<NodeId>,
    seen: BTreeSet<String>,
    frontier: Vec<(usize, NodeId)>,
    extras: Vec<(usize, Extra, NodeId)>,
    machines: Vec<(usize, NodeId)>,
}

impl Walk {
    fn new(namespaces: Namespaces, reach: Reach) -> Self {
        let objects = NodeId::from(ObjectId::ObjectsFolder);
        let root = Seen {
            parent: None,
            depth: 0,
            namespace: OPC_UA_NAMESPACE.to_owned(),
            name: crate::config::model::NodeName::Number(85),
            browse: space::Qualified {
                namespace: OPC_UA_NAMESPACE.to_owned(),
                name: "Objects".to_owned(),
            },
            display: "Objects".to_owned(),
            content: None,
            states: Vec::new(),
        };
        Self {
            namespaces,
            reach,
            space: Space {
                nodes: vec![root],
                ..Space::default()
            },
            seen: BTreeSet::from([objects.to_string()]),
            ids: vec![objects.clone()],
            types: vec![NodeId::null()],
            frontier: vec![(0, objects)],
            extras: Vec::new(),
            machines: Vec::new(),
        }
    }

    /// Asks what lies below some nodes.
    async fn look_below(
        &mut self,
        asked: &Asked<'_>,
        places: &[(usize, NodeId)],
    ) -> Result<(), OpcFault> {
        let ids: Vec<NodeId> = places.iter().map(|(_, id)| id.clone()).collect();
        let which = Which {
            kind: ReferenceTypeId::HierarchicalReferences,
            direction: BrowseDirection::Forward,
            classes: THINGS,
        };
        let found = asked.references(&ids, which, self.reach.nodes).await?;
        for ((place, _), listed) in places.iter().zip(found) {
            self.take(*place, listed.references);
            match listed.end {
                End::Whole => {}
                End::Cut => self.space.cut.too_many = true,
                End::Refused => self.space.cut.refused += 1,
            }
        }
        Ok(())
    }

    /// Takes what lies below a node.
    fn take(&mut self, place: usize, found: Vec<ReferenceDescription>) {
        let Some(parent) = self.space.nodes.get(place) else {
            return;
        };
        let (depth, is_variable) = (parent.depth + 1, parent.content.is_some());
        let (mut is_too_deep, mut told) = (false, Vec::new());
        for reference in found {
            let Some(id) = self.namespaces.local(reference.node_id.clone()) else {
                continue;
            };
            if let (true, Some(extra)) = (is_variable, extra(&reference)) {
                // One of each: a server may list any number.
                if let Some(extra) = extra.filter(|extra| !told.contains(extra)) {
                    told.push(extra);
                    self.extras.push((place, extra, id));
                }
                continue;
            }
            is_too_deep |= depth > self.reach.depth;
            if !is_too_deep {
                self.add(place, depth, &reference, id);
            }
        }
        self.space.cut.too_deep += usize::from(is_too_deep);
    }

    fn add(&mut self, parent: usize, depth: u32, reference: &ReferenceDescription, id: NodeId) {
        let Some((namespace, name)) = self.namespaces.name(&id) else {
            return;
        };
        if self.seen.contains(&id.to_string()) {
            self.space.cut.again += 1;
            return;
        }
        if self.space.nodes.len() >= self.reach.nodes {
            self.space.cut.too_many = true;
            return;
        }
        self.seen.insert(id.to_string());
        let place = self.space.nodes.len();
        let is_variable = reference.node_class == NodeClass::Variable;
        let mut browse = self.namespaces.qualified(&reference.browse_name);
        browse.name = plain(&browse.name);
        if browse.name == "CurrentState" && browse.namespace == OPC_UA_NAMESPACE {
            if let Some(machine) = self.types.get(parent).filter(|id| !id.is_null()) {
                self.machines.push((parent, machine.clone()));
            }
        }
        if id != ObjectId::Server {
            self.frontier.push((place, id.clone()));
        }
        self.space.nodes.push(Seen {
            parent: Some(parent),
            depth,
            namespace,
            name,
            browse,
            display: plain(reference.display_name.text.as_ref()),
            content: is_variable.then(Content::default),
            states: Vec::new(),
        });
        self.ids.push(id);
        let type_id = self.namespaces.local(reference.type_definition.clone());
        self.types.push(type_id.unwrap_or_else(NodeId::null));
    }
}

/// Whether a variable's property is told on its own line: with what it says, or as nothing at all.
fn extra(reference: &ReferenceDescription) -> Option<Option<Extra>> {
    if reference.browse_name.namespace_index != 0 {
        return None;
    }
    match reference.browse_name.name.as_ref() {
        "EngineeringUnits" => Some(Some(Extra::Unit)),
        "EURange" => Some(Some(Extra::Range)),
        "InstrumentRange" => Some(Some(Extra::Limits)),
        "ValuePrecision" | "Definition" | "EnumStrings" | "EnumValues" | "ValueAsText"
        | "TrueState" | "FalseState" => Some(None),
        _ => None,
    }
}

/// A stranger's text without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars()
        .take(NAME_CHARS_MAX)
        .map(|char| if char.is_control() { '·' } else { char })
        .collect()
}
