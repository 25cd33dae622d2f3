//! What the integers of enumerations, and of variables of a few states, are called: learned from the server
//! in each session, and again when nodes appear.
//!
//! Only Read and TranslateBrowsePaths. Bounded in types, in variables and in texts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use opcua::types::{
    AttributeId, BrowsePath, BrowsePathResult, EnumValueType, LocalizedText, NodeId, QualifiedName,
    ReadValueId, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
    TimestampsToReturn, Variant,
};

use super::item::{Item, Spot};
use super::pieces::Pieces;
use super::value::said;
use super::wanted::is_silence;
use super::work::Bench;
use crate::config::model::{NodeKind, Point};
use crate::field::Texts;
use crate::sample::Slot;

/// Enumerations of one server that are learned; a machine has a few.
const TYPES_MAX: usize = 256;

/// Variables of a server that are asked for texts of their own: of thousands of integers most are counters.
const VARIABLES_MAX: usize = 2_000;

/// Texts of one enumeration that are kept.
const TEXTS_MAX: usize = 256;

/// Characters of a text that are kept.
const CHARS_MAX: usize = 100;

/// Nodes in one request.
const NODES_A_REQUEST: usize = 250;

/// The highest number of a type that is built in and no enumeration.
const BUILT_IN_MAX: u32 = 28;

/// The built-in types that hold integers: SByte to UInt64, and the abstract ones above them.
const INTEGERS: [std::ops::RangeInclusive<u32>; 2] = [2..=9, 26..=28];

/// The properties of a type, or of a variable, that may tell texts.
const PROPERTIES: [&str; 2] = ["EnumStrings", "EnumValues"];

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// The texts of points.
    pub texts: BTreeMap<(Slot, u16), Texts>,
    /// Points of which the server said nothing: what was known of them before still holds.
    pub unknown: BTreeSet<(Slot, u16)>,
    /// Whether the server was silent: there may be more.
    pub is_cut: bool,
}

/// Whose properties tell what a point's integers are called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Teller {
    /// Its type.
    Type(NodeId),
    /// The variable itself, as those of a few states do.
    Variable(NodeId),
}

impl Teller {
    fn node(&self) -> &NodeId {
        let (Self::Type(node) | Self::Variable(node)) = self;
        node
    }
}

/// Learns what the integers of these items' points are called. What can't be learned is left out.
pub(super) async fn texts(bench: Bench, items: Vec<Item>) -> Learned {
    let mut learned = Learned::default();
    let tellers = tellers(&bench, &items, &mut learned).await;
    let mut told: HashMap<NodeId, Option<Texts>> = HashMap::new();
    let distinct = distinct(&tellers);
    let mut pieces = Pieces::of(&distinct, NODES_A_REQUEST / PROPERTIES.len());
    while let Some(piece) = pieces.next() {
        match learn(&bench, piece).await {
            Ok(found) => told.extend(found.into_iter().map(|(node, texts)| (node, Some(texts)))),
            Err(status) if pieces.halve(status) => {}
            Err(status) if is_silence(status) => {
                learned.is_cut = true;
                told.extend(piece.iter().map(|node| (node.clone(), None)));
            }
            // A server that can't tell has no texts.
            Err(_) => {}
        }
    }
    for (spot, teller) in tellers {
        let place = (spot.slot, spot.point);
        match told.get(teller.node()) {
            Some(Some(texts)) => drop(learned.texts.insert(place, texts.clone())),
            Some(None) => drop(learned.unknown.insert(place)),
            None => {}
        }
    }
    learned
}

/// The nodes to be asked, each once; no more than the bounds allow.
fn distinct(tellers: &[(Spot, Teller)]) -> Vec<NodeId> {
    let (mut types, mut variables) = (0, 0);
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    for (_, teller) in tellers {
        let (count, max) = match teller {
            Teller::Type(_) => (&mut types, TYPES_MAX),
            Teller::Variable(_) => (&mut variables, VARIABLES_MAX),
        };
        if *count < max && seen.insert(teller) {
            *count += 1;
            nodes.push(teller.node().clone());
        }
    }
    nodes
}

/// What may name the integers of those points that hold some.
async fn tellers(bench: &Bench, items: &[Item], learned: &mut Learned) -> Vec<(Spot, Teller)> {
    let mut asked = Vec::new();
    for item in items {
        let point = item.point().filter(|point| point.scaling.is_none());
        let node = point.and_then(Point::node);
        if node.is_none_or(|node| node.kind != NodeKind::Number) {
            continue;
        }
        match item.node(&bench.namespaces) {
            Ok(node) => asked.push((
                item.spot,
                ReadValueId {
                    attribute_id: AttributeId::DataType as u32,
                    ..node
                },
            )),
            Err(_) => drop(learned.unknown.insert((item.spot.slot, item.spot.point))),
        }
    }
    let mut tellers = Vec::new();
    let mut pieces = Pieces::of(&asked, NODES_A_REQUEST);
    while let Some(piece) = pieces.next() {
        let nodes: Vec<ReadValueId> = piece.iter().map(|(_, node)| node.clone()).collect();
        let values = match read(bench, &nodes).await {
            Ok(values) => values,
            Err(status) if pieces.halve(status) => continue,
            Err(status) => {
                learned.is_cut |= is_silence(status);
                Vec::new()
            }
        };
        let values = values.into_iter().chain(std::iter::repeat(None));
        for ((spot, node), value) in piece.iter().zip(values) {
            if let Some(Variant::NodeId(data_type)) = value {
                let teller = teller(&node.node_id, *data_type);
                tellers.extend(teller.map(|teller| (*spot, teller)));
            } else {
                learned.unknown.insert((spot.slot, spot.point));
            }
        }
    }
    tellers
}

/// What may name the integers of a variable of this type; none where it holds none.
fn teller(variable: &NodeId, data_type: NodeId) -> Option<Teller> {
    let number = data_type.as_u32().filter(|_| data_type.namespace == 0);
    match number.filter(|number| *number <= BUILT_IN_MAX) {
        None => Some(Teller::Type(data_type)),
        Some(number) => {
            let is_integer = INTEGERS.iter().any(|range| range.contains(&number));
            is_integer.then(|| Teller::Variable(variable.clone()))
        }
    }
}

/// The texts that some nodes tell.
async fn learn(bench: &Bench, nodes: &[NodeId]) -> Result<Vec<(NodeId, Texts)>, StatusCode> {
    let of_node = |node: &NodeId| PROPERTIES.map(|name| path(node, name));
    let paths: Vec<BrowsePath> = nodes.iter().flat_map(of_node).collect();
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

fn path(owner: &NodeId, property: &str) -> BrowsePath {
    BrowsePath {
        starting_node: owner.clone(),
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
    fn a_type_names_integers_or_the_variable_does() {
        let variable = NodeId::new(2, "v");
        let own = Some(Teller::Variable(variable.clone()));
        for (data_type, expected) in [
            // Boolean, Byte, Double, String, Number, UInteger.
            (NodeId::new(0, 1_u32), None),
            (NodeId::new(0, 3_u32), own.clone()),
            (NodeId::new(0, 11_u32), None),
            (NodeId::new(0, 12_u32), None),
            (NodeId::new(0, 26_u32), own.clone()),
            (NodeId::new(0, 28_u32), own),
            // ServerState, and types of others.
            (
                NodeId::new(0, 852_u32),
                Some(Teller::Type(NodeId::new(0, 852_u32))),
            ),
            (
                NodeId::new(2, 3_u32),
                Some(Teller::Type(NodeId::new(2, 3_u32))),
            ),
            (NodeId::new(2, "e"), Some(Teller::Type(NodeId::new(2, "e")))),
        ] {
            assert_eq!(
                teller(&variable, data_type.clone()),
                expected,
                "{data_type}"
            );
        }
    }

    #[test]
    fn each_node_is_asked_once_and_not_without_end() {
        let spot = |point| Spot {
            slot: Slot(0),
            point,
        };
        let many = (0..5_000_u16).flat_map(|point| {
            let of_type = Teller::Type(NodeId::new(2, u32::from(point % 300)));
            let own = Teller::Variable(NodeId::new(3, u32::from(point)));
            [(spot(point), of_type), (spot(point), own)]
        });
        let asked = distinct(&many.collect::<Vec<_>>());
        let of_types = asked.iter().filter(|node| node.namespace == 2).count();
        assert_eq!(
            (of_types, asked.len()),
            (TYPES_MAX, TYPES_MAX + VARIABLES_MAX)
        );
    }

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
