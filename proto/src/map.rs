//! The map document: what a machine is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Identifier, LocalText, PointName, State};

/// Retained on `map/{machine}`: names, points and rules, without addresses or credentials.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapDocument {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The machine.
    pub machine: Identifier,
    /// What people call it.
    pub name: LocalText,
    /// `sha256:` and the hash of the resolved machine map.
    pub config: String,
    /// The poll groups.
    pub groups: BTreeMap<Identifier, MapGroup>,
    /// The points.
    pub points: BTreeMap<PointName, MapPoint>,
    /// The state rules, in order.
    pub rules: Vec<MapRule>,
}

/// A poll group.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapGroup {
    /// How often it is read.
    pub interval_ms: u64,
}

/// A point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapPoint {
    /// Its type: `bool`, `number`, `u16` … `f64`, `string`, `bcd16`, `bcd32`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The poll group that reads it.
    pub group: Identifier,
    /// Its unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The texts of an enumeration, by its integer, as far as the source has told them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub texts: BTreeMap<i64, String>,
}

/// A state rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapRule {
    /// The state it gives.
    pub state: State,
    /// The condition.
    pub when: String,
}
