//! Bundles in which something was changed by chance: leaves before they were signed, entries before they were named
//! by the manifest, and the file itself.

#![expect(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "places are drawn from what is there"
)]

use anyhow::Result;
use lineside_proto::evidence::sample::{Files, Plan, Sample, zip};
use lineside_proto::ledger::Leaf;
use serde_json::Value;

/// What chance does to a bundle.
pub(crate) struct Mutant {
    /// What was done.
    pub(crate) name: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

/// Where a value stands in JSON.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                places(item, &format!("{path}/{place}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn change(value: &mut Value, chance: &mut fastrand::Rng) {
    let changed = match &*value {
        Value::Number(number) => {
            let step = *chance.choice(&[1, -1, 3_600_000]).unwrap_or(&1);
            number
                .as_i64()
                .map(|number| Value::from((number + step).max(0)))
        }
        Value::String(text) => Some(Value::String(match text.len() {
            0 => "x".to_owned(),
            // A digit or letter further on in its alphabet, somewhere.
            _ => {
                let at = chance.usize(0..text.len());
                let next = |letter: char| match letter {
                    '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from(letter as u8 + 1),
                    other => other,
                };
                text.char_indices()
                    .map(|(place, letter)| if place == at { next(letter) } else { letter })
                    .collect()
            }
        })),
        Value::Null => Some(Value::String("OWN".to_owned())),
        _ => None,
    };
    if let Some(changed) = changed {
        *value = changed;
    }
}

/// The same leaf with one of its values changed; none where that is no leaf.
fn other(leaf: &Leaf, chance: &mut fastrand::Rng) -> Option<(String, Leaf)> {
    let mut value = serde_json::to_value(leaf).ok()?;
    let mut all = Vec::new();
    places(&value, "", &mut all);
    let path = chance.choice(&all)?.clone();
    change(value.pointer_mut(&path)?, chance);
    let changed: Leaf = serde_json::from_value(value).ok()?;
    changed.to_bytes().ok()?;
    (changed != *leaf).then_some((path, changed))
}

fn leaf(plan: &Plan, chance: &mut fastrand::Rng) -> Result<Option<Mutant>> {
    let mut sample = Sample::new();
    // As many of the rare kinds as of the others.
    let kinds = [
        "session",
        "usage",
        "state",
        "gap",
        "booking",
        "bind",
        "clock",
        "boot",
        "config",
        "correction",
        "genesis",
    ];
    let kind = *chance.choice(&kinds).unwrap_or(&"usage");
    let is_of = |leaf: &Leaf| serde_json::to_value(leaf).is_ok_and(|value| value["type"] == kind);
    let places: Vec<usize> = (0..sample.leaves.len())
        .filter(|place| is_of(&sample.leaves[*place]))
        .collect();
    let Some(place) = chance.choice(&places).copied() else {
        return Ok(None);
    };
    let name = match chance.u8(0..10) {
        0 => {
            let copied = sample.leaves[place].clone();
            let next = (place + 1).min(sample.leaves.len() - 1);
            sample.leaves[next].body = copied.body;
            format!("the body of leaf {place}, a {kind}, twice")
        }
        1 => {
            let next = (place + chance.usize(1..20)).min(sample.leaves.len() - 1);
            let (one, two) = (sample.leaves[place].clone(), sample.leaves[next].clone());
            sample.leaves[place].body = two.body;
            sample.leaves[next].body = one.body;
            format!("the bodies of leaves {place}, a {kind}, and {next}, swapped")
        }
        _ => {
            let Some((path, changed)) = other(&sample.leaves[place], chance) else {
                return Ok(None);
            };
            sample.leaves[place] = changed;
            format!("{path} of leaf {place}, a {kind}")
        }
    };
    let (manifest, files) = sample.seal(plan)?;
    // What no writer would write is no bundle.
    Ok(zip(&manifest, &files)
        .ok()
        .map(|bytes| Mutant { name, bytes }))
}

fn entry(
    manifest: &lineside_proto::evidence::Manifest,
    files: &Files,
    chance: &mut fastrand::Rng,
) -> Result<Option<Mutant>> {
    let mut files = files.clone();
    let mut manifest = manifest.clone();
    let paths: Vec<String> = files.keys().cloned().collect();
    // Maps and tokens are many; the others are to have their turn, too.
    let few: Vec<&String> = paths
        .iter()
        .filter(|path| !path.starts_with("tokens/") || chance.u8(0..8) == 0)
        .collect();
    let Some(path) = chance.choice(&few).map(|path| (*path).clone()) else {
        return Ok(None);
    };
    let name = match chance.u8(0..8) {
        0 => {
            files.remove(&path);
            format!("{path} left out")
        }
        1 => {
            let other = chance.choice(&paths).cloned().unwrap_or_default();
            let [one, two] =
                [&path, &other].map(|path| files.get(path).cloned().unwrap_or_default());
            files.insert(path.clone(), two);
            files.insert(other.clone(), one);
            format!("{path} and {other} swapped")
        }
        2 => {
            let mut value = serde_json::to_value(&manifest)?;
            let mut all = Vec::new();
            places(&value, "", &mut all);
            let place = chance.choice(&all).cloned().unwrap_or_default();
            if let Some(at) = value.pointer_mut(&place) {
                change(at, chance);
            }
            let Ok(changed) = serde_json::from_value(value) else {
                return Ok(None);
            };
            manifest = changed;
            format!("{place} of the manifest")
        }
        kind => {
            let bytes = files.entry(path.clone()).or_default();
            let mut value: Option<Value> = serde_json::from_slice(bytes).ok().filter(|_| kind < 6);
            if let Some(value) = &mut value {
                let mut all = Vec::new();
                places(value, "", &mut all);
                let place = chance.choice(&all).cloned().unwrap_or_default();
                if let Some(at) = value.pointer_mut(&place) {
                    change(at, chance);
                }
                *bytes = serde_json::to_vec(value)?;
                format!("{path}{place}")
            } else {
                let at = chance.usize(0..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.u8(0..7);
                }
                format!("byte {at} of {path}")
            }
        }
    };
    // What no writer would write is no bundle.
    Ok(zip(&manifest, &files)
        .ok()
        .map(|bytes| Mutant { name, bytes }))
}

fn file(bytes: &[u8], chance: &mut fastrand::Rng) -> Mutant {
    let mut bytes = bytes.to_vec();
    let at = chance.usize(0..bytes.len());
    let name = if chance.u8(0..6) == 0 {
        bytes.truncate(at);
        format!("cut off at byte {at}")
    } else {
        // The directory takes a tenth of the file, and decides what the rest is.
        let at = if chance.bool() {
            at
        } else {
            bytes.len() - 1 - at / 10
        };
        bytes[at] ^= 1 << chance.u8(0..8);
        format!("byte {at} of the file")
    };
    Mutant { name, bytes }
}

/// So many mutants of the made-up pilot line's bundles: always the same for a seed.
pub(crate) fn mutants(seed: u64, count: usize) -> Result<Vec<Mutant>> {
    let sample = Sample::new();
    let plans = [sample.whole(), sample.middle()];
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut found = Vec::new();
    while found.len() < count {
        let plan = &plans[chance.usize(0..2)];
        let mutant = match chance.u8(0..4) {
            0 | 1 => leaf(plan, &mut chance)?,
            2 => {
                let (manifest, files) = sample.seal(plan)?;
                entry(&manifest, &files, &mut chance)?
            }
            _ => {
                let (manifest, files) = sample.seal(plan)?;
                Some(file(&zip(&manifest, &files)?, &mut chance))
            }
        };
        found.extend(mutant);
    }
    Ok(found)
}
