//! What the variables that were found hold.

use opcua::types::{
    AttributeId, DataTypeId, DataValue, EUInformation, NodeId, Range, StatusCode, Variant,
};

use super::asking::Asked;
use super::kind::{Kinds, Taken, of_value};
use super::space::{Content, Space};
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::value::said;
use crate::field::opcua::words::in_words;

/// Values that are held at once.
const VALUES_AT_ONCE: usize = 100;

/// Characters of a unit.
const UNIT_CHARS_MAX: usize = 24;

/// A property that says more of a variable than it is worth itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extra {
    Unit,
    Range,
    Limits,
}

/// Reads types, and values where they are wanted or needed, into the variables of the space.
pub(super) async fn fill(
    asked: &Asked<'_>,
    space: &mut Space,
    ids: &[NodeId],
    with_values: bool,
) -> Result<(), OpcFault> {
    let variables: Vec<(usize, NodeId)> = space
        .nodes
        .iter()
        .zip(ids)
        .enumerate()
        .filter(|(_, (node, _))| node.content.is_some())
        .map(|(place, (_, id))| (place, id.clone()))
        .collect();
    let wanted: Vec<_> = variables
        .iter()
        .flat_map(|(_, id)| {
            [AttributeId::DataType, AttributeId::ValueRank].map(|a| (id.clone(), a))
        })
        .collect();
    let read = asked.attributes(&wanted).await?;
    let types: Vec<(NodeId, bool)> = read.chunks(2).map(type_of).collect();
    let mut kinds = Kinds::default();
    let ids: Vec<NodeId> = types.iter().map(|(id, _)| id.clone()).collect();
    kinds.learn(asked, &ids).await?;
    let mut to_read = Vec::new();
    for ((place, id), (data_type, is_array)) in variables.into_iter().zip(types) {
        let (taken, type_name) = kinds.get(&data_type);
        let node = space.nodes.get_mut(place);
        if let Some(content) = node.and_then(|node| node.content.as_mut()) {
            content.type_name = type_name;
            content.is_array = is_array;
            content.kind = match taken {
                Taken::For(kind) => Some(kind),
                Taken::ByValue | Taken::Not => None,
            };
        }
        if with_values || taken == Taken::ByValue {
            to_read.push((place, id, taken == Taken::ByValue));
        }
    }
    values(asked, space, &to_read, with_values).await
}

fn type_of(read: &[DataValue]) -> (NodeId, bool) {
    let value = |place: usize| read.get(place).and_then(|read| read.value.as_ref());
    let id = match value(0) {
        // Some servers name none where any may come.
        Some(Variant::NodeId(id)) if !id.is_null() => (**id).clone(),
        _ => NodeId::from(DataTypeId::BaseDataType),
    };
    // −1 and less: a scalar, or perhaps one.
    let is_array = matches!(value(1), Some(Variant::Int32(rank)) if *rank >= 0);
    (id, is_array)
}

async fn values(
    asked: &Asked<'_>,
    space: &mut Space,
    to_read: &[(usize, NodeId, bool)],
    shown: bool,
) -> Result<(), OpcFault> {
    // Values may be large, and what is shown of each is not.
    for part in to_read.chunks(VALUES_AT_ONCE) {
        let wanted: Vec<_> = part
            .iter()
            .map(|(_, id, _)| (id.clone(), AttributeId::Value))
            .collect();
        let read = asked.attributes(&wanted).await?;
        for ((place, _, tells_type), data) in part.iter().zip(read) {
            let node = space.nodes.get_mut(*place);
            if let Some(content) = node.and_then(|node| node.content.as_mut()) {
                take(content, &data, *tells_type, shown);
            }
        }
    }
    Ok(())
}

fn take(content: &mut Content, data: &DataValue, tells_type: bool, shown: bool) {
    if let (true, Some(value)) = (tells_type, &data.value) {
        content.is_array |= matches!(value, Variant::Array(_));
        if let Some((kind, name)) = of_value(value) {
            content.kind = Some(kind);
            content.type_name = name;
        }
    }
    if shown {
        let status = data.status.unwrap_or(StatusCode::Good);
        content.status = (!status.is_good()).then(|| status.to_string());
        let value = data.value.as_ref();
        let value = value.filter(|value| !matches!(value, Variant::Empty));
        content.value = value.map(in_words);
    }
}

/// Reads units and ranges into the variables that they belong to.
pub(super) async fn measure(
    asked: &Asked<'_>,
    space: &mut Space,
    extras: &[(usize, Extra, NodeId)],
) -> Result<(), OpcFault> {
    let wanted: Vec<_> = extras
        .iter()
        .map(|(_, _, id)| (id.clone(), AttributeId::Value))
        .collect();
    let read = asked.attributes(&wanted).await?;
    for ((place, extra, _), data) in extras.iter().zip(read) {
        let node = space.nodes.get_mut(*place);
        let content = node.and_then(|node| node.content.as_mut());
        if let (Some(content), Some(Variant::ExtensionObject(value))) = (content, data.value) {
            match extra {
                Extra::Unit => content.unit = value.inner_as::<EUInformation>().and_then(unit),
                Extra::Range => content.range = value.inner_as::<Range>().and_then(range),
                Extra::Limits => content.limits = value.inner_as::<Range>().and_then(range),
            }
        }
    }
    Ok(())
}

fn unit(information: &EUInformation) -> Option<String> {
    let unit = said(&information.display_name.text).trim();
    let fits = !unit.is_empty() && unit.chars().count() <= UNIT_CHARS_MAX;
    (fits && !unit.contains(char::is_control)).then(|| unit.to_owned())
}

fn range(range: &Range) -> Option<(f64, f64)> {
    let Range { low, high } = *range;
    (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::LocalizedText;

    #[test]
    fn a_type_that_is_not_named_is_any() {
        for (told, expected) in [
            (Some(NodeId::null()), DataTypeId::BaseDataType),
            (None, DataTypeId::BaseDataType),
            (Some(DataTypeId::Int32.into()), DataTypeId::Int32),
        ] {
            let told = told.map_or_else(DataValue::null, DataValue::value_only);
            assert_eq!(type_of(&[told]), (expected.into(), false));
        }
    }

    #[test]
    fn a_unit_is_what_people_call_it() {
        let long = "x".repeat(UNIT_CHARS_MAX + 1);
        for (name, expected) in [
            (LocalizedText::from(" °C "), Some("°C")),
            (LocalizedText::null(), None),
            (LocalizedText::from("\u{1b}[31m"), None),
            (LocalizedText::from(long.as_str()), None),
        ] {
            let information = EUInformation {
                display_name: name,
                ..EUInformation::default()
            };
            assert_eq!(unit(&information).as_deref(), expected);
        }
    }
}
