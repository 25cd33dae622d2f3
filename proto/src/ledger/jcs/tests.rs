use proptest::prelude::*;
use serde_json::Value;

use super::canonical::is_canonical;
use super::{canonical, check_by_writing};

/// Values as leaves have them, and some that they have not.
fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        "\\PC{0,4}",
        "[\\x00-\\x7f]{0,4}",
        "[\u{e000}-\u{10ffff}é]{0,2}"
    ];
    let number = prop_oneof![
        -20_i64..20,
        Just(9_007_199_254_740_991),
        Just(9_007_199_254_740_992),
        Just(-9_007_199_254_740_991),
        any::<i64>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        number.prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn what_is_deeper_is_left_to_the_other_way() {
    let deep = format!("{}{}", "[".repeat(20), "]".repeat(20));
    assert!(!is_canonical(deep.as_bytes()));
    assert!(super::check(deep.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn both_ways_say_the_same_of_values(value in values()) {
        if let Ok(bytes) = canonical(&value) {
            prop_assert!(check_by_writing(&bytes).is_ok());
            prop_assert!(is_canonical(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn both_ways_say_the_same_of_what_was_changed(
        value in values(),
        place in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:\-0e.utbn "#.to_vec())],
        kind in 0..3,
    ) {
        let mut bytes = canonical(&value).unwrap_or_else(|_| value.to_string().into_bytes());
        let place = place.index(bytes.len());
        match kind {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => drop(bytes.remove(place)),
        }
        let other = check_by_writing(&bytes).is_ok();
        prop_assert_eq!(is_canonical(&bytes), other, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn both_ways_say_the_same_of_bytes(bytes in "[{}\\[\\]\":,0-9a\\\\unt -]{0,12}") {
        let bytes = bytes.as_bytes();
        prop_assert_eq!(is_canonical(bytes), check_by_writing(bytes).is_ok());
    }
}
