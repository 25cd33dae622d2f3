//! What the integers of enumerations are called, learned from the server once a session.
//!
//! Only Read and TranslateBrowsePaths. Bounded in types and in texts.

use std::collections::{BTreeMap, HashMap};

use opcua::types::{
    AttributeId, BrowsePath, BrowsePathResult, EnumValueType, LocalizedText, NodeId, QualifiedName,
    ReadValueId, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
    TimestampsToReturn, Variant,
};

use super::item::{Item, Spot};
use super::pieces::Pieces;
use super::value::said;
use super::work::Bench;
use crate::config::model::NodeKind;
use crate::field::Texts;
use crate::sample::Slot;

/// Enumerations of one server that are learned; a machine has a few.
const TYPES_MAX: usize = 256;

/// Texts of one enumeration that are kept.
const TEXTS_MAX: usize = 256;

/// Characters of a text that are kept.
const CHARS_MAX: usize = 100;

/// Nodes in one request.
const NODES_A_REQUEST: usize = 250;

/// The highest number of a type that is built in and no enumeration.
const BUILT_IN_MAX: u32 = 28;

/// The properties of a type that may tell its texts.
const PROPERTIES: [&str; 2] = ["EnumStrings", "EnumValues"];

/// Learns what the integers of these items' points are called. What can't be learned is left out.
pub(super) async fn texts(bench: Bench, items: Vec<Item>) -> BTreeMap<(Slot, u16), Texts> {
    let types = types(&bench, &items).await;
    let mut learned: HashMap<NodeId, Texts> = HashMap::new();
    let mut distinct: Vec<NodeId> = Vec::new();
    for (_, data_type) in &types {
        if !distinct.contains(data_type) && distinct.len() < TYPES_MAX {
            distinct.push(data_type.clone());
        }
    }
    let mut pieces = Pieces::of(&distinct, NODES_A_REQUEST / PROPERTIES.len());
    while let Some(piece) = pieces.next() {
        match learn(&bench, piece).await {
            Ok(found) => learned.extend(found),
            // A server that can't tell has no texts.
            Err(status) => _ = pieces.halve(status),
        }
    }
    let named = types.into_iter().filter_map(|(spot, data_type)| {
        let texts = learned.get(&data_type)?;
        Some(((spot.slot, spot.point), texts.clone()))
    });
    named.collect()
}

/// The types of those points that may be enumerations.
async fn types(bench: &Bench, items: &[Item]) -> Vec<(Spot, NodeId)> {
    let mut asked = Vec::new();
    for item in items {
        let point = item.point().filter(|point| point.scaling.is_none());
        let is_number = |point: &crate::config::model::Point| {
            point
                .node()
                .is_some_and(|node| node.kind == NodeKind::Number)
        };
        if let (true, Ok(node)) = (point.is_some_and(is_number), item.node(&bench.namespaces)) {
            asked.push((
                item.spot,
                ReadValueId {
                    attribute_id: AttributeId::DataType as u32,
                    ..node
                },
            ));
        }
    }
    let mut types = Vec::new();
    let mut pieces = Pieces::of(&asked, NODES_A_REQUEST);
    while let Some(piece) = pieces.next() {
        let nodes: Vec<ReadValueId> = piece.iter().map(|(_, node)| node.clone()).collect();
        let values = match read(bench, &nodes).await {
            Ok(values) => values,
            Err(status) => {
                pieces.halve(status);
                continue;
            }
        };
        for ((spot, _), value) in piece.iter().zip(values) {
            if let Some(Variant::NodeId(data_type)) = value {
                if !is_built_in(&data_type) {
                    types.push((*spot, *data_type));
                }
            }
        }
    }
    types
}

fn is_built_in(data_type: &NodeId) -> bool {
    data_type.namespace == 0
        && data_type
            .as_u32()
            .is_some_and(|number| number <= BUILT_IN_MAX)
}

/// The texts of some types.
async fn learn(bench: &Bench, types: &[NodeId]) -> Result<Vec<(NodeId, Texts)>, StatusCode> {
    let of_type = |data_type: &NodeId| PROPERTIES.map(|name| path(data_type, name));
    let paths: Vec<BrowsePath> = types.iter().flat_map(of_type).collect();
    let session = &bench.session;
    let translating = session.translate_browse_paths_to_node_ids(&paths);
    let results = bench.ask(translating).await?;
    let (mut owners, mut nodes) = (Vec::new(), Vec::new());
    for (path, result) in paths.iter().zip(results) {
        if let Some(node) = target(result) {
            owners.push(path.starting_node.clone());
            nodes.push(ReadValueId::from(node));
        }
    }
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let values = read(bench, &nodes).await?;
    let told = owners.into_iter().zip(values);
    let told = told.map(|(owner, value)| (owner, value.as_ref().map(of_value).unwrap_or_default()));
    Ok(told.filter(|(_, texts)| !texts.is_empty()).collect())
}

fn path(data_type: &NodeId, property: &str) -> BrowsePath {
    BrowsePath {
        starting_node: data_type.clone(),
        relative_path: RelativePath {
            elements: Some(vec![RelativePathElement {
                reference_type_id: ReferenceTypeId::HasProperty.into(),
                is_inverse: false,
                include_subtypes: true,
                target_name: QualifiedName::new(0, property),
            }]),
        },
    }
}

fn target(result: BrowsePathResult) -> Option<NodeId> {
    let target = result.targets?.into_iter().next()?;
    result
        .status_code
        .is_good()
        .then_some(target.target_id.node_id)
}

async fn read(bench: &Bench, nodes: &[ReadValueId]) -> Result<Vec<Option<Variant>>, StatusCode> {
    let reading = bench.session.read(nodes, TimestampsToReturn::Neither, 0.0);
    let values = bench.ask(reading).await?;
    Ok(values.into_iter().map(|data| data.value).collect())
}

/// The texts that a property holds: by their place, or each beside its integer.
fn of_value(value: &Variant) -> Texts {
    let Variant::Array(array) = value else {
        return Texts::new();
    };
    let mut texts = Texts::new();
    for (place, value) in (0..).zip(array.values.iter().take(TEXTS_MAX)) {
        if let Variant::LocalizedText(text) = value {
            insert(&mut texts, place, text);
        } else if let Variant::ExtensionObject(object) = value {
            if let Some(named) = object.inner_as::<EnumValueType>() {
                insert(&mut texts, named.value, &named.display_name);
            }
        }
    }
    texts
}

/// A value without a name has no text.
fn insert(texts: &mut Texts, value: i64, name: &LocalizedText) {
    let name: String = said(&name.text).chars().take(CHARS_MAX).collect();
    if !name.is_empty() {
        texts.insert(value, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, ExtensionObject, VariantScalarTypeId};

    #[test]
    fn integers_are_named_by_place_or_by_value() {
        let text = |text: &str| LocalizedText::new("en", text);
        let long = "x".repeat(CHARS_MAX);
        let on = format!("{long}x");
        let by_place = [text("off"), text(&on), LocalizedText::null()].map(Variant::from);
        let by_value = [(3, "run"), (-1, "fault")].map(|(value, name)| {
            Variant::from(ExtensionObject::from_message(EnumValueType {
                value,
                display_name: text(name),
                description: LocalizedText::null(),
            }))
        });
        for (kind, values, expected) in [
            (
                VariantScalarTypeId::LocalizedText,
                by_place.to_vec(),
                [(0, "off"), (1, &long)],
            ),
            (
                VariantScalarTypeId::ExtensionObject,
                by_value.to_vec(),
                [(-1, "fault"), (3, "run")],
            ),
        ] {
            let array = Array::new(kind, values).unwrap();
            let texts = of_value(&Variant::Array(Box::new(array)));
            let expected = expected.map(|(value, text)| (value, text.to_owned()));
            assert_eq!(texts, Texts::from(expected));
        }
        assert!(of_value(&Variant::Int32(1)).is_empty());
    }
}
