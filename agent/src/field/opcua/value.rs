//! What a server's value means by the map: a variant becomes a value, or the reason why it can't.
//!
//! Pure. Texts are bounded; structures and whole arrays are not taken at all.

use lineside_proto::Time;
use opcua::types::{ByteString, DataValue, DateTime, StatusCode, UAString, Variant};

use super::status::judge;
use crate::config::model::{NodeAddress, NodeKind, Point};
use crate::field::scaling::{finite, meant};
use crate::sample::{Bad, Value};

/// Bytes of a text: a program's name fits, a document does not, and a batch stays small.
pub(super) const TEXT_BYTES_MAX: usize = 4_096;

/// Variants inside variants: the standard knows none in a scalar, and some servers send one.
const NESTING_MAX: usize = 2;

/// Why a good value can't be taken for what the map says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Misfit {
    /// The server sent no value.
    Null,
    /// A NaN or an infinity.
    Number,
    /// Something that such a point can't hold: its type, in the standard's words.
    Kind(&'static str),
    /// An array, and the map names no element of it.
    WholeArray,
    /// The map names an element, and there is none: no array, or a shorter one.
    NoElement,
    /// A text beyond [`TEXT_BYTES_MAX`].
    LongText,
}

impl Misfit {
    /// Whether the map or the server must change before this point can ever be read, in words.
    pub(super) fn lasting(self) -> Option<Word> {
        let (en, zh) = match self {
            Self::Null | Self::Number | Self::NoElement => return None,
            Self::Kind(word) => (word, word),
            Self::WholeArray => ("array", "数组"),
            Self::LongText => ("long text", "超长文本"),
        };
        Some(Word { en, zh })
    }
}

/// A word for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    /// In English.
    pub en: &'static str,
    /// In Chinese.
    pub zh: &'static str,
}

/// What a data value gives for a point: its value by the map.
///
/// # Errors
///
/// What the server says is wrong with it; [`Bad::Decode`] or [`Bad::Range`] where the value is none
/// by the map.
pub(super) fn reading(point: &Point, data: &DataValue) -> Result<Value, Bad> {
    judge(data.status.unwrap_or(StatusCode::Good))?;
    let address = point.node().ok_or(Bad::Decode)?;
    let value = taken(address, data.value.as_ref()).map_err(|_| Bad::Decode)?;
    meant(value, point.scaling, point.expect)
}

/// Why the value, good by its status, does not fit the point for as long as both stay as they are;
/// none where it fits or may fit the next time.
pub(super) fn unsupported(point: &Point, data: &DataValue) -> Option<Word> {
    judge(data.status.unwrap_or(StatusCode::Good)).ok()?;
    let misfit = taken(point.node()?, data.value.as_ref()).err()?;
    misfit.lasting()
}

/// The value that a variant holds, before scale and offset.
///
/// # Errors
///
/// Why it can't be taken for what the address says.
pub(super) fn taken(address: &NodeAddress, value: Option<&Variant>) -> Result<Value, Misfit> {
    let mut value = value.ok_or(Misfit::Null)?;
    for _ in 0..NESTING_MAX {
        if let Variant::Variant(inner) = value {
            value = inner;
        }
    }
    let value = match (value, address.index) {
        (Variant::Array(array), Some(index)) => {
            let place = usize::try_from(index).map_err(|_| Misfit::NoElement)?;
            array.values.get(place).ok_or(Misfit::NoElement)?
        }
        (Variant::Array(_), None) => return Err(Misfit::WholeArray),
        (Variant::Empty, _) => return Err(Misfit::Null),
        (_, Some(_)) => return Err(Misfit::NoElement),
        (scalar, None) => scalar,
    };
    match address.kind {
        NodeKind::Bool => bool_of(value),
        NodeKind::Number => number_of(value),
        NodeKind::Text => text_of(value),
    }
}

fn bool_of(value: &Variant) -> Result<Value, Misfit> {
    if let Variant::Boolean(value) = value {
        Ok(Value::Bool(*value))
    } else {
        Err(misfit(value))
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the library's many variants only these are meant"
)]
fn number_of(value: &Variant) -> Result<Value, Misfit> {
    Ok(match value {
        Variant::SByte(value) => Value::Int((*value).into()),
        Variant::Byte(value) => Value::Uint((*value).into()),
        Variant::Int16(value) => Value::Int((*value).into()),
        Variant::UInt16(value) => Value::Uint((*value).into()),
        Variant::Int32(value) => Value::Int((*value).into()),
        Variant::UInt32(value) => Value::Uint((*value).into()),
        Variant::Int64(value) => Value::Int(*value),
        Variant::UInt64(value) => Value::Uint(*value),
        Variant::Float(value) if value.is_finite() => Value::Float32(*value),
        Variant::Float(_) => return Err(Misfit::Number),
        Variant::Double(value) => finite(*value).map_err(|_| Misfit::Number)?,
        Variant::StatusCode(value) => Value::Uint(value.bits().into()),
        other => return Err(misfit(other)),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the library's many variants only these are meant"
)]
fn text_of(value: &Variant) -> Result<Value, Misfit> {
    let owned;
    let text: &str = match value {
        Variant::String(text) => said(text),
        Variant::XmlElement(element) => {
            owned = element.to_string();
            &owned
        }
        Variant::LocalizedText(text) => said(&text.text),
        Variant::QualifiedName(name) => said(&name.name),
        Variant::ByteString(bytes) => {
            owned = hex(bytes)?;
            &owned
        }
        Variant::DateTime(time) => {
            owned = moment(time)
                .map(|time| time.to_string())
                .unwrap_or_default();
            &owned
        }
        Variant::Guid(guid) => {
            owned = guid.to_string();
            &owned
        }
        Variant::NodeId(node) => {
            owned = node.to_string();
            &owned
        }
        Variant::ExpandedNodeId(node) => {
            owned = node.to_string();
            &owned
        }
        Variant::StatusCode(code) => {
            owned = super::status::plain(*code).to_string();
            &owned
        }
        other => return Err(misfit(other)),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(Misfit::LongText);
    }
    Ok(Value::Text(text.into()))
}

/// The text of a string; a null one is empty.
pub(super) fn said(text: &UAString) -> &str {
    text.value().as_deref().unwrap_or_default()
}

fn hex(bytes: &ByteString) -> Result<String, Misfit> {
    use std::fmt::Write as _;
    let bytes = bytes.value.as_deref().unwrap_or_default();
    if bytes.len() > TEXT_BYTES_MAX / 2 {
        return Err(Misfit::LongText);
    }
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A String takes whatever is written to it.
        write!(text, "{byte:02x}").map_err(|_| Misfit::LongText)?;
    }
    Ok(text)
}

/// A server's time in whole milliseconds; none for the null time.
pub(super) fn moment(time: &DateTime) -> Option<Time> {
    (!time.is_null()).then(|| Time::from_millis(time.as_chrono().timestamp_millis()))
}

fn misfit(value: &Variant) -> Misfit {
    if value.is_empty() {
        Misfit::Null
    } else {
        Misfit::Kind(word(value))
    }
}

/// The type of a variant, in the standard's words.
pub(super) fn word(value: &Variant) -> &'static str {
    match value {
        Variant::Empty => "Null",
        Variant::Boolean(_) => "Boolean",
        Variant::SByte(_) => "SByte",
        Variant::Byte(_) => "Byte",
        Variant::Int16(_) => "Int16",
        Variant::UInt16(_) => "UInt16",
        Variant::Int32(_) => "Int32",
        Variant::UInt32(_) => "UInt32",
        Variant::Int64(_) => "Int64",
        Variant::UInt64(_) => "UInt64",
        Variant::Float(_) => "Float",
        Variant::Double(_) => "Double",
        Variant::String(_) => "String",
        Variant::DateTime(_) => "DateTime",
        Variant::Guid(_) => "Guid",
        Variant::StatusCode(_) => "StatusCode",
        Variant::ByteString(_) => "ByteString",
        Variant::XmlElement(_) => "XmlElement",
        Variant::QualifiedName(_) => "QualifiedName",
        Variant::LocalizedText(_) => "LocalizedText",
        Variant::NodeId(_) => "NodeId",
        Variant::ExpandedNodeId(_) => "ExpandedNodeId",
        Variant::ExtensionObject(_) => "structure",
        Variant::Variant(_) => "Variant",
        Variant::DataValue(_) => "DataValue",
        Variant::DiagnosticInfo(_) => "DiagnosticInfo",
        Variant::Array(_) => "array",
    }
}

#[cfg(test)]
mod tests;
