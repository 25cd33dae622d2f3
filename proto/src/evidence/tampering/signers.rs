//! Whose signatures are believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::Outcome;
use crate::evidence::sample::ORIGIN;
use crate::ledger::note::change_text;
use crate::ledger::{KeyLeaf, Leaf, LeafBody};

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

/// A bundle whose ledger's key changed: what each key signed, and what the leaf of the change says.
struct Rotated {
    old: (Manifest, Files),
    new: (Manifest, Files),
    /// The leaf of the change.
    index: u64,
    trust: Trust,
}

impl Rotated {
    /// With the leaf of the change in the bundle, or without.
    fn new(has_leaf: bool) -> Self {
        let honest = Honest::new();
        let mut sample = copy();
        let old = Keys::new().gateway;
        let new = SignerKey::new(ORIGIN, KeyKind::Ed25519, &[67; 32]).unwrap();
        let bounds = honest.plan.first + 1..honest.plan.end;
        let is_free = |leaf: &&mut Leaf| {
            let is_bare = matches!(leaf.body, LeafBody::Audit(_) | LeafBody::Summary(_));
            is_bare && bounds.contains(&leaf.head.index)
        };
        let leaf = sample.leaves.iter_mut().find(is_free).unwrap();
        let index = leaf.head.index;
        if has_leaf {
            let text = change_text(ORIGIN, old.public(), new.public());
            let signed = |key: &SignerKey| STANDARD.encode(key.sign_bytes(text.as_bytes()));
            leaf.body = LeafBody::Key(KeyLeaf {
                old: old.public().to_string(),
                new: new.public().to_string(),
                old_signature: signed(&old),
                new_signature: signed(&new),
            });
        }
        let before = sample.seal(&sample.middle()).unwrap();
        sample.keys.gateway = new;
        let after = sample.seal(&sample.middle()).unwrap();
        let mut trust = honest.trust;
        trust.gateways[0].key = sample.keys.gateway.public().clone();
        Self {
            old: before,
            new: after,
            index,
            trust,
        }
    }

    /// The bundle, in which the old key signed these notes.
    fn seen(&self, is_old: impl Fn(&str) -> bool, trust: Option<&Trust>) -> Verification {
        let (manifest, mut files) = self.new.clone();
        for (path, bytes) in self.old.1.iter().filter(|(path, _)| is_old(path)) {
            files.insert(path.clone(), bytes.clone());
        }
        verify_bytes(&zip(&manifest, &files).unwrap(), trust)
    }

    /// Whether the old key signed this note in its time.
    fn is_before(&self, path: &str) -> bool {
        let size = path.strip_prefix("checkpoint/cosigned/");
        let size = size.and_then(|size| size.parse::<u64>().ok());
        path == "checkpoint/start" || size.is_some_and(|size| size <= self.index)
    }
}

fn status(verification: &Verification) -> (Verdict, Status) {
    let mut results = verification.checks.iter();
    let signature = results.find(|one| one.check == Check::Signature);
    (verification.verdict, signature.unwrap().status)
}

#[test]
fn a_changed_key_hands_on_what_is_believed_and_back() {
    let rotated = Rotated::new(true);
    let before = |path: &str| rotated.is_before(path);
    let seen = rotated.seen(before, Some(&rotated.trust));
    let all_well = (Verdict::Verified, Status::Ok);
    assert_eq!(status(&seen), all_well, "{:#?}", failed(&seen));
    let mut only_old = rotated.trust.clone();
    only_old.gateways[0].key = Keys::new().gateway.public().clone();
    assert_eq!(status(&rotated.seen(before, Some(&only_old))), all_well);
    let alone = rotated.seen(before, None);
    assert_eq!(status(&alone), (Verdict::SelfConsistent, Status::Note));
    // The old key's word ends with the change: neither the newest head nor one after the change is its own.
    let seen = rotated.seen(|path| path == "checkpoint/end", Some(&rotated.trust));
    refused(
        "an old key's end",
        &seen,
        Check::Signature,
        "checkpoint/end",
    );
    let all = |path: &str| path.starts_with("checkpoint/cosigned/");
    let seen = rotated.seen(all, Some(&rotated.trust));
    assert_eq!(status(&seen), (Verdict::Verified, Status::Note));
    // A manifest that names the old key changes nothing about whom one trusts.
    let mut named = Rotated::new(true);
    named.new.0.key = Keys::new().gateway.public().to_string();
    let seen = named.seen(|path| path == "checkpoint/end", Some(&named.trust));
    assert_eq!(status(&seen), (Verdict::SelfConsistent, Status::Note));
}

#[test]
fn an_older_head_by_a_key_that_nobody_names_is_noted() {
    let rotated = Rotated::new(false);
    let before = |path: &str| rotated.is_before(path);
    for trust in [Some(&rotated.trust), None] {
        let seen = rotated.seen(before, trust);
        let words = "an older head, signed by a key that is not named";
        noted("an old key's start", &seen, Check::Signature, words);
        let verdict = match trust {
            Some(_) => Verdict::Verified,
            None => Verdict::SelfConsistent,
        };
        assert_eq!(seen.verdict, verdict);
        let seen = rotated.seen(|path| path == "checkpoint/end", trust);
        refused("an old key's end", &seen, Check::Signature, "has signed it");
    }
}
