//! What a point would take a data type for.

use std::collections::BTreeMap;

use opcua::types::{
    AttributeId, BrowseDirection, DataTypeId, NodeId, ReferenceTypeId, Variant, VariantScalarTypeId,
};

use super::asking::{Asked, DATA_TYPES, Which};
use super::plain;
use crate::config::model::NodeKind;
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::value::said;

/// Steps from a vendor's type to one of the standard's own.
const STEPS_MAX: usize = 8;

/// Data types by their ids: what a point takes them for, and their names.
#[derive(Default)]
pub(super) struct Kinds {
    known: BTreeMap<String, (Taken, String)>,
}

/// What a data type means for a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It is one of these.
    For(NodeKind),
    /// Only the value tells.
    ByValue,
    /// No point can hold it.
    Not,
}

impl Kinds {
    /// Learns the types that are not known yet.
    pub(super) async fn learn(
        &mut self,
        asked: &Asked<'_>,
        types: &[NodeId],
    ) -> Result<(), OpcFault> {
        let mut unknown: Vec<NodeId> = Vec::new();
        for id in types {
            if let Some(id) = standard(id) {
                let name = format!("{id:?}");
                self.known
                    .insert(NodeId::from(id).to_string(), (of_standard(id), name));
            } else if !unknown.contains(id) && !id.is_null() {
                unknown.push(id.clone());
            }
        }
        let wanted: Vec<_> = unknown
            .iter()
            .map(|id| (id.clone(), AttributeId::BrowseName))
            .collect();
        let names = asked.attributes(&wanted).await?;
        let taken = climb(asked, &unknown).await?;
        for ((id, name), taken) in unknown.iter().zip(names).zip(taken) {
            let name = match name.value {
                Some(Variant::QualifiedName(name)) => plain(said(&name.name)),
                _ => id.to_string(),
            };
            self.known.insert(id.to_string(), (taken, name));
        }
        Ok(())
    }

    /// What is known of a type.
    pub(super) fn get(&self, id: &NodeId) -> (Taken, String) {
        let known = self.known.get(&id.to_string()).cloned();
        known.unwrap_or((Taken::Not, id.to_string()))
    }
}

/// What vendors' types mean, by the types above them.
async fn climb(asked: &Asked<'_>, types: &[NodeId]) -> Result<Vec<Taken>, OpcFault> {
    let mut taken = vec![Taken::Not; types.len()];
    let mut open: Vec<(usize, NodeId)> = types.iter().cloned().enumerate().collect();
    let above = Which {
        kind: ReferenceTypeId::HasSubtype,
        direction: BrowseDirection::Inverse,
        classes: DATA_TYPES,
    };
    for _ in 0..STEPS_MAX {
        if open.is_empty() {
            break;
        }
        let nodes: Vec<NodeId> = open.iter().map(|(_, id)| id.clone()).collect();
        let found = asked.references(&nodes, above, 1).await?;
        let mut next = Vec::new();
        for ((place, _), found) in open.into_iter().zip(found) {
            let parent = found.references.into_iter().next();
            let Some(parent) = parent.map(|parent| parent.node_id.node_id) else {
                continue;
            };
            match (standard(&parent), taken.get_mut(place)) {
                (Some(id), Some(taken)) => *taken = of_standard(id),
                _ => next.push((place, parent)),
            }
        }
        open = next;
    }
    Ok(taken)
}

/// A type of the standard whose meaning is known without asking.
fn standard(id: &NodeId) -> Option<DataTypeId> {
    if id.namespace != 0 {
        return None;
    }
    let id = id.as_data_type_id().ok()?;
    (of_standard(id) != Taken::Not || id == DataTypeId::Structure).then_some(id)
}

fn of_standard(id: DataTypeId) -> Taken {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "hundreds of types, of which these few are scalars"
    )]
    match id {
        DataTypeId::Boolean => Taken::For(NodeKind::Bool),
        DataTypeId::SByte
        | DataTypeId::Byte
        | DataTypeId::Int16
        | DataTypeId::UInt16
        | DataTypeId::Int32
        | DataTypeId::UInt32
        | DataTypeId::Int64
        | DataTypeId::UInt64
        | DataTypeId::Float
        | DataTypeId::Double
        | DataTypeId::Number
        | DataTypeId::Integer
        | DataTypeId::UInteger
        | DataTypeId::Enumeration
        | DataTypeId::StatusCode => Taken::For(NodeKind::Number),
        DataTypeId::String
        | DataTypeId::DateTime
        | DataTypeId::Guid
        | DataTypeId::ByteString
        | DataTypeId::XmlElement
        | DataTypeId::NodeId
        | DataTypeId::ExpandedNodeId
        | DataTypeId::QualifiedName
        | DataTypeId::LocalizedText => Taken::For(NodeKind::Text),
        DataTypeId::BaseDataType => Taken::ByValue,
        _ => Taken::Not,
    }
}

/// What a value is taken for whose type says nothing; none if it has none yet or no point can hold it.
pub(super) fn of_value(value: &Variant) -> Option<(NodeKind, String)> {
    let id = value.scalar_type_id()?;
    let kind = match id {
        VariantScalarTypeId::Boolean => NodeKind::Bool,
        VariantScalarTypeId::SByte
        | VariantScalarTypeId::Byte
        | VariantScalarTypeId::Int16
        | VariantScalarTypeId::UInt16
        | VariantScalarTypeId::Int32
        | VariantScalarTypeId::UInt32
        | VariantScalarTypeId::Int64
        | VariantScalarTypeId::UInt64
        | VariantScalarTypeId::Float
        | VariantScalarTypeId::Double
        | VariantScalarTypeId::StatusCode => NodeKind::Number,
        VariantScalarTypeId::String
        | VariantScalarTypeId::DateTime
        | VariantScalarTypeId::Guid
        | VariantScalarTypeId::ByteString
        | VariantScalarTypeId::XmlElement
        | VariantScalarTypeId::NodeId
        | VariantScalarTypeId::ExpandedNodeId
        | VariantScalarTypeId::QualifiedName
        | VariantScalarTypeId::LocalizedText => NodeKind::Text,
        VariantScalarTypeId::ExtensionObject
        | VariantScalarTypeId::DataValue
        | VariantScalarTypeId::Variant
        | VariantScalarTypeId::DiagnosticInfo => return None,
    };
    Some((kind, format!("{id:?}")))
}
