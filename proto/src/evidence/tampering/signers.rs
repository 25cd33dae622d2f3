//! Whose signatures are believed.

use super::*;
use crate::Outcome;
use crate::ledger::LeafBody;

/// What a witness has seen can't be written otherwise afterwards, not even with the gateway's key; and whoever signs
/// with another key is not believed.
#[test]
fn keys_alone_do_not_help() {
    let honest = Honest::new();
    let changes: [fn(&mut LeafBody); 4] = [
        |body| {
            if let LeafBody::Usage(leaf) = body {
                leaf.good += 1;
            }
        },
        |body| {
            if let LeafBody::Session(leaf) = body {
                leaf.by = Some("somebody else".to_owned());
            }
        },
        |body| {
            if let LeafBody::Booking(leaf) = body {
                leaf.outcome = Outcome::Overrun;
            }
        },
        |body| {
            if let LeafBody::Clock(leaf) = body {
                leaf.error_ms = None;
            }
        },
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let what = &format!("change {place}");
        let mut changed = copy();
        for leaf in &mut changed.leaves {
            change(&mut leaf.body);
        }
        assert!(changed.leaves != honest.sample.leaves, "{what}");
        let words = "does not have the root that the leaves give at";
        refused(what, &honest.later(&changed), Check::Consistency, words);
        let stranger = honest.stranger(changed);
        assert_eq!(stranger.verdict, Verdict::SelfConsistent, "{what}");
        noted(
            what,
            &stranger,
            Check::Signature,
            "and by no key that is trusted for",
        );
    }
}

#[test]
fn a_bundle_of_another_gateway_is_not_this_ones() {
    let honest = Honest::new();
    let (_, manifest, files) = &*SEALED;
    let bytes = zip(manifest, files).unwrap();
    let mut trust = honest.trust.clone();
    trust.gateways[0].gateway = "gateway-02".parse().unwrap();
    let seen = verify_bytes(&bytes, Some(&trust));
    assert_eq!(seen.verdict, Verdict::SelfConsistent);
    noted(
        "another gateway's key",
        &seen,
        Check::Signature,
        "no key is trusted for",
    );
    let mut trust = honest.trust.clone();
    trust.gateways[0].valid.to = Some(manifest.from);
    let seen = verify_bytes(&bytes, Some(&trust));
    assert_eq!(seen.verdict, Verdict::SelfConsistent);
    noted(
        "expired key",
        &seen,
        Check::Signature,
        "by no key that is trusted for",
    );
    let mut trust = honest.trust.clone();
    trust.witnesses[0].key = SignerKey::new("archive.example", KeyKind::Cosignature, &[99; 32])
        .unwrap()
        .public()
        .clone();
    let seen = verify_bytes(&bytes, Some(&trust));
    assert_eq!(seen.cosigned, None);
    noted(
        "wrong witness",
        &seen,
        Check::Witness,
        "no trusted witness has cosigned",
    );
}
