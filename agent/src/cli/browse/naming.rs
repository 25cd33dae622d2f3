//! Names of points from the names that a server gives.

use std::collections::{BTreeMap, BTreeSet};

use lineside_proto::PointName;

/// Characters of a point's name at most; room is kept for what tells two of them apart.
const NAME_CHARS_MAX: usize = 56;

/// Names that are given once each.
#[derive(Default)]
pub(super) struct Names {
    given: BTreeSet<String>,
    /// The number that the next of each stem gets: a server may call thousands of nodes alike.
    numbers: BTreeMap<String, u32>,
}

impl Names {
    /// A valid name that nobody else has: the last of the path, else with the names above it, else
    /// with a number.
    pub(super) fn give(&mut self, path: &[&str]) -> String {
        let (above, leaf) = match path.split_last() {
            Some((leaf, above)) => (above, *leaf),
            None => (path, ""),
        };
        let mut words = vec![word(leaf)];
        if words.iter().all(String::is_empty) {
            words = vec!["point".to_owned()];
        }
        let stem = valid(&words.join("_"));
        let mut name = stem.clone();
        for part in above.iter().rev() {
            if !self.given.contains(&name) {
                break;
            }
            words.insert(0, word(part));
            words.retain(|word| !word.is_empty());
            name = valid(&words.join("_"));
        }
        while !self.given.insert(name.clone()) {
            let number = self.numbers.entry(stem.clone()).or_insert(2);
            name = format!("{stem}_{number}");
            *number += 1;
        }
        name
    }
}

/// `ScrewSpeed`, `screw speed` and `Screw-Speed` as `screw_speed`.
fn word(text: &str) -> String {
    let mut word = String::new();
    let mut was_lower = false;
    for char in text.chars() {
        if char.is_ascii_alphanumeric() {
            if char.is_ascii_uppercase() && was_lower {
                word.push('_');
            }
            word.push(char.to_ascii_lowercase());
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
        was_lower = char.is_ascii_lowercase() || char.is_ascii_digit();
    }
    word.trim_end_matches('_').to_owned()
}

fn valid(name: &str) -> String {
    let mut name: String = name.chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() {
        "point".clone_into(&mut name);
    }
    if name.starts_with(|char: char| char.is_ascii_digit()) {
        name.insert_str(0, "n_");
    }
    if name.parse::<PointName>().is_err() {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_server_in_our_alphabet() {
        let mut names = Names::default();
        for (path, expected) in [
            (["Press", "ScrewSpeed"], "screw_speed"),
            (["Press", "Screw Speed"], "press_screw_speed"),
            (["Press", "screw-speed"], "screw_speed_2"),
            (["Press", "OEE"], "oee"),
            (["Press", "2ndZone"], "n_2nd_zone"),
            (["Press", "温度"], "point"),
            (["Press", "压力"], "press_point"),
            (["温", "压力"], "point_2"),
            (["Press", "in"], "in_"),
        ] {
            assert_eq!(names.give(&path), expected);
        }
    }

    #[test]
    fn thousands_of_nodes_of_one_name_are_told_apart_in_no_time() {
        let mut names = Names::default();
        let given: BTreeSet<String> = (0..50_000).map(|_| names.give(&["W", "w"])).collect();
        assert_eq!(given.len(), 50_000);
        assert!(given.contains("w") && given.contains("w_w") && given.contains("w_49999"));
    }

    proptest! {
        #[test]
        fn any_name_becomes_a_valid_one_and_none_twice(paths in prop::collection::vec(prop::collection::vec(".{0,80}", 0..4), 0..20)) {
            let mut names = Names::default();
            let mut given = BTreeSet::new();
            for path in &paths {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let name = names.give(&path);
                prop_assert!(name.parse::<PointName>().is_ok(), "{}", name);
                prop_assert!(given.insert(name));
            }
        }
    }
}
