//! Whoever answers wrongly is found out, and leaves no file.

use serde_json::{Value, json};
use std::sync::Arc;

use super::super::{PullError, Trouble};
use super::teller::{Teller, Told};
use super::{days, pulled};

/// Changes the answers to a method.
type Lie = fn(&mut Vec<Value>);

async fn told(told: &Arc<Told>, method: &'static str, nth: u64, lie: Lie) -> Result<(), PullError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    let seen = std::sync::atomic::AtomicU64::new(0);
    let liar = Teller::new(told, move |_, asked, answer| {
        let mut results = answer?;
        if asked == method {
            let count = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if count >= nth {
                lie(&mut results);
            }
        }
        Ok(results)
    });
    let made = pulled(&liar, &days(4, 6), &path, false).await;
    assert_eq!(made.is_ok(), path.exists());
    made.map(drop)
}

fn leaf(results: &mut [Value]) -> &mut Value {
    &mut results[0]["leaves"][3]
}

fn replace(text: &mut Value, from: &str, to: &str) {
    let changed = text.as_str().unwrap().replacen(from, to, 1);
    assert_ne!(Some(changed.as_str()), text.as_str(), "{from}");
    *text = json!(changed);
}

/// The first two proofs, of one leaf or more, are about the beginning of the ledger: the first questions for
/// leaves are those of the plan.
#[tokio::test]
async fn lies_are_found_out() {
    let truth = Arc::new(Told::new());
    let lies: [(&str, u64, Lie); 21] = [
        ("ledger.entries", 3, |results| {
            results[0]["leaves"].as_array_mut().unwrap().remove(3);
        }),
        ("ledger.entries", 3, |results| {
            results[0]["leaves"] = json!([])
        }),
        ("ledger.entries", 3, |results| {
            results[0]["first"] = json!(0)
        }),
        ("ledger.entries", 3, |results| {
            results[0]["next"] = json!(99_999)
        }),
        ("ledger.entries", 3, |results| {
            results[0]["leaves"].as_array_mut().unwrap().swap(3, 4);
        }),
        ("ledger.entries", 3, |results| {
            replace(leaf(results), "{", "{ ")
        }),
        ("ledger.entries", 3, |results| {
            replace(leaf(results), "\"boot\":\"", "\"boot\":\"x")
        }),
        ("ledger.entries", 3, |results| *leaf(results) = json!("{}")),
        ("ledger.entries", 3, |results| *leaf(results) = json!(7)),
        ("ledger.entries", 3, |results| results.swap(0, 1)),
        ("ledger.entries", 0, |results| {
            replace(&mut results[0]["leaves"][0], "site-01", "site-02")
        }),
        ("ledger.checkpoint", 0, |results| {
            replace(&mut results[0]["checkpoint"], "gateway-01", "gateway-02")
        }),
        ("ledger.checkpoint", 0, |results| {
            replace(&mut results[0]["checkpoint"], "\n1", "\n2")
        }),
        ("ledger.checkpoint", 0, |results| {
            results[0]["checkpoint"] = json!("")
        }),
        ("ledger.inclusion", 0, |results| {
            results[0]["hashes"][0] = results[0]["hashes"][1].clone()
        }),
        ("ledger.inclusion", 1, |results| {
            results[0]["hashes"].as_array_mut().unwrap().pop();
        }),
        ("ledger.inclusion", 1, |results| {
            let hashes = results[0]["hashes"].as_array_mut().unwrap();
            let first = hashes[0].clone();
            hashes[0] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
            assert_ne!(hashes[0], first);
        }),
        ("ledger.consistency", 0, |results| {
            results[0]["hashes"] = json!([])
        }),
        ("ledger.consistency", 2, |results| {
            results[0]["hashes"][0] = json!("AAAA")
        }),
        ("ledger.tile", 0, |results| {
            results[0]["bytes"] = json!("AAAA")
        }),
        ("config.get", 0, |results| {
            replace(&mut results[0]["text"], "{", "[")
        }),
    ];
    for (place, (method, nth, lie)) in lies.into_iter().enumerate() {
        let made = told(&truth, method, nth, lie).await;
        let refused = matches!(made, Err(PullError::Lies(_) | PullError::Refused { .. }));
        assert!(refused, "{place} {method}: {made:?}");
    }
    // The same without a lie holds.
    told(&truth, "ledger.entries", 0, |_| {}).await.unwrap();
}

#[tokio::test]
async fn no_is_passed_on_in_the_gateways_words() {
    let truth = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    let refuses = Teller::new(&truth, |_, method, answer| match method {
        "ledger.entries" => Err(super::teller::no("too-much", "ask for less")),
        _ => answer,
    });
    let made = pulled(&refuses, &days(4, 6), &path, false).await;
    assert!(
        matches!(&made, Err(PullError::Refused { method: "ledger.entries", text, .. }) if text == "ask for less"),
        "{made:?}"
    );
    let breaks = Teller::new(&truth, |_, _, _| Err(Trouble::Nonsense("x".to_owned())));
    let made = pulled(&breaks, &days(4, 6), &path, false).await;
    assert!(matches!(made, Err(PullError::Lies(_))), "{made:?}");
    assert!(!path.exists());
}
