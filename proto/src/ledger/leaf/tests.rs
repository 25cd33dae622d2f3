use std::collections::BTreeMap;

use super::{Leaf, LeafBody, LeafError, LeafHead, StateLeaf, UsageLeaf};
use crate::{Class, State, Time};

fn head(index: u64) -> LeafHead {
    LeafHead {
        v: 1,
        index,
        at: Time::from_millis(1_795_420_800_004),
        boot: "b".to_owned(),
        mono_ms: 5_004,
    }
}

#[test]
fn a_leaf_is_its_canonical_bytes() {
    let check = |body: LeafBody, text: &str| {
        let leaf = Leaf {
            head: head(7),
            body,
        };
        let bytes = leaf.to_bytes().unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        assert_eq!(Leaf::from_bytes(&bytes).unwrap(), leaf);
    };
    check(
        LeafBody::State(StateLeaf {
            machine: "m".parse().unwrap(),
            from: State::Unknown,
            to: State::Run,
            since: Time::from_millis(1_795_420_800_000),
            since_ms: 5_000,
            rule: Some("RUN@2".to_owned()),
            config: "sha256:00".to_owned(),
        }),
        r#"{"at":"2026-11-23T08:00:00.004Z","boot":"b","config":"sha256:00","from":"UNKNOWN","index":7,"machine":"m","mono_ms":5004,"rule":"RUN@2","since":"2026-11-23T08:00:00.000Z","since_ms":5000,"to":"RUN","type":"state","v":1}"#,
    );
    check(
        LeafBody::Usage(UsageLeaf {
            machine: "m".parse().unwrap(),
            session: Some("s".to_owned()),
            class: Some(Class::Ext),
            from: Time::from_millis(1_795_420_796_000),
            to: Time::from_millis(1_795_420_800_000),
            span_boot: None,
            clock: None,
            mono_from_ms: 1_000,
            mono_to_ms: 5_000,
            ms: BTreeMap::from([(State::Run, 3_000), (State::Idle, 1_000)]),
            hold_over_ms: 0,
            good: 4,
            bad: 0,
            energy: None,
            hours: None,
            config: "sha256:00".to_owned(),
        }),
        r#"{"at":"2026-11-23T08:00:00.004Z","bad":0,"boot":"b","class":"EXT","config":"sha256:00","energy":null,"from":"2026-11-23T07:59:56.000Z","good":4,"hours":null,"index":7,"machine":"m","mono_from_ms":1000,"mono_ms":5004,"mono_to_ms":5000,"ms":{"IDLE":1000,"RUN":3000},"session":"s","to":"2026-11-23T08:00:00.000Z","type":"usage","v":1}"#,
    );
}

#[test]
fn what_is_no_leaf_is_refused() {
    let good = r#"{"at":"2026-11-23T08:00:00.004Z","boot":"b","by":"p","index":7,"mono_ms":5004,"reason":"r","refers":3,"type":"correction","v":1}"#;
    assert!(Leaf::from_bytes(good.as_bytes()).is_ok());
    let check = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        Leaf::from_bytes(text.as_bytes()).unwrap_err()
    };
    assert!(matches!(check("\"v\":1", "\"v\":2"), LeafError::Version(2)));
    assert!(matches!(check(":3", ": 3"), LeafError::Form(_)));
    assert!(matches!(check(":3", ":3.5"), LeafError::Form(_)));
    assert!(matches!(check(":3", ":true"), LeafError::Form(_)));
    assert!(matches!(
        check("correction", "opinion"),
        LeafError::Shape(_)
    ));
    assert!(matches!(
        check("{\"at\"", "{\"v\":1,\"at\""),
        LeafError::Form(_)
    ));
    let long = good.replace("\"r\"", &format!("\"{}\"", "r".repeat(5000)));
    assert!(matches!(
        Leaf::from_bytes(long.as_bytes()).unwrap_err(),
        LeafError::TooLong(_)
    ));
}

mod both_ways {
    use proptest::prelude::*;

    use super::super::{Leaf, read};
    use crate::evidence::sample::Sample;
    use crate::ledger::jcs;

    fn other(bytes: &[u8]) -> Option<Leaf> {
        jcs::check(bytes).ok()?;
        serde_json::from_slice(bytes).ok()
    }

    #[test]
    fn every_leaf_of_a_ledger_is_read_fast_and_the_same() {
        for leaf in Sample::new().leaves {
            let bytes = leaf.to_bytes().unwrap();
            assert_eq!(read::fast(&bytes).as_ref(), Some(&leaf));
            assert_eq!(other(&bytes).as_ref(), Some(&leaf));
        }
    }

    fn changed() -> impl Strategy<Value = Vec<u8>> {
        let leaves: Vec<Vec<u8>> = {
            let leaves = Sample::new().leaves;
            leaves.iter().map(|leaf| leaf.to_bytes().unwrap()).collect()
        };
        let word = prop::sample::select(vec![
            "null",
            "0",
            "-1",
            "9007199254740991",
            "9007199254740992",
            "\"\"",
            "\"x\"",
            "[]",
            "{}",
            "{\"RUN\":1}",
            "\"RUN\"",
            "{\"RUN\":null}",
            "[\"1\",\"2\",\"1\",0]",
            "256",
            "\"EXT\"",
            "\"2026-03-02T00:00:00Z\"",
        ]);
        let place = any::<prop::sample::Index>();
        (any::<prop::sample::Index>(), place, word, 0..3).prop_map(
            move |(leaf, place, word, kind)| {
                let text = String::from_utf8(leaves[leaf.index(leaves.len())].clone()).unwrap();
                let mut value: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&text).unwrap();
                let keys: Vec<String> = value.keys().cloned().collect();
                let key = &keys[place.index(keys.len())];
                let word = serde_json::from_str(word).unwrap();
                match kind {
                    0 => drop(value.insert(key.clone(), word)),
                    1 => drop(value.remove(key)),
                    _ => drop(value.insert(format!("{key}x"), word)),
                }
                let value = serde_json::Value::Object(value);
                jcs::canonical(&value).unwrap_or_else(|_| value.to_string().into_bytes())
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_changed_is_read_alike_or_not_at_all(bytes in changed()) {
            let (fast, other) = (read::fast(&bytes), other(&bytes));
            if fast.is_some() {
                prop_assert_eq!(fast, other);
            } else if let Some(leaf) = other {
                // Only a type that is told by its number is left to the other way.
                prop_assert!(!String::from_utf8_lossy(&bytes).contains("\"type\":\""), "{:?}", leaf);
            }
        }
    }
}

#[test]
fn a_leaf_is_written_in_one_way_only() {
    let good = r#"{"at":"2026-11-29T08:00:00.000Z","boot":"b","index":7,"mono_ms":1,"reason":"r","refers":3,"type":"correction","v":1,"by":"x"}"#;
    let canonical = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        crate::ledger::jcs::canonical(&value).unwrap()
    };
    assert!(Leaf::from_bytes(&canonical(good)).is_ok());
    for (from, to) in [
        ("08:00:00.000Z", "08:00:00Z"),
        ("08:00:00.000Z", "08:00:00.000+00:00"),
        ("08:00:00.000Z", "16:00:00.000+08:00"),
        ("T08:00:00.000Z", "t08:00:00.000z"),
        (r#""correction""#, "13"),
        (r#""r""#, "\"\\u0001\""),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let is_fine = to.contains("0001");
        assert_eq!(
            Leaf::from_bytes(&canonical(&changed)).is_ok(),
            is_fine,
            "{to}"
        );
    }
    // What has an escape is read another way: by the same rules.
    let escaped = good.replacen(r#""r""#, "\"\\u0001\"", 1);
    for (from, to) in [("00.000Z", "00Z"), (r#""correction""#, "13")] {
        let changed = escaped.replacen(from, to, 1);
        assert!(Leaf::from_bytes(&canonical(&changed)).is_err(), "{to}");
    }
}
