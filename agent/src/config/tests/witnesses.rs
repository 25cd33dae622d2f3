//! The city's witnesses in the gateway file.

use super::{GATEWAY, HEAD, POINT, check, load_files};
use crate::config::model::Witnesses;
use lineside_proto::ledger::note::{KeyKind, SignerKey};

fn key(name: &str, kind: KeyKind, seed: u8) -> String {
    let key = SignerKey::new(name, kind, &[seed; 32]).unwrap();
    key.public().to_string()
}

fn witness(seed: u8) -> String {
    key(&format!("w{seed}.example"), KeyKind::Cosignature, seed)
}

fn read(section: &str) -> Witnesses {
    let gateway = format!("{GATEWAY}[ledger]\n{section}\n");
    let map = format!("{HEAD}{POINT}");
    let loaded = load_files(&[("gateway.toml", &gateway), ("machines/m.toml", &map)]);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
    loaded.config.gateway.ledger.witnesses
}

#[test]
fn witnesses_are_read_in_their_order() {
    let (one, two) = (witness(1), witness(2));
    for (section, keys, quorum) in [
        (String::new(), vec![], 1),
        ("witnesses = []".to_owned(), vec![], 1),
        (format!("witnesses = [\"{one}\"]"), vec![&one], 1),
        (
            format!("witnesses = [\"{two}\", \"{one}\"]\nquorum = 2"),
            vec![&two, &one],
            2,
        ),
    ] {
        let found = read(&section);
        let named: Vec<String> = found.keys.iter().map(ToString::to_string).collect();
        assert!(named.iter().eq(keys), "{section}: {named:?}");
        assert_eq!(found.quorum, quorum, "{section}");
    }
}

#[test]
fn what_is_no_witness_is_named() {
    let one = witness(1);
    let log = key("lineside/s/g", KeyKind::Ed25519, 1);
    let renamed = key("other.example", KeyKind::Cosignature, 1);
    let wrong_hash = one.replacen("w1.", "w2.", 1);
    let many: Vec<String> = (1..=16)
        .map(|seed| format!("\"{}\"", witness(seed)))
        .collect();
    let (many, next) = (many.join(", "), witness(17));
    let bad = "bad-witness";
    for (section, codes) in [
        ("witnesses = [«\"w1\"»]".to_owned(), vec![bad]),
        ("witnesses = [«\"\"»]".to_owned(), vec![bad]),
        ("witnesses = [«\"w1+00000000+AAAA\"»]".to_owned(), vec![bad]),
        (format!("witnesses = [«\"{wrong_hash}\"»]"), vec![bad]),
        (format!("witnesses = [«\"{log}\"»]"), vec![bad]),
        (format!("witnesses = [\"{one}\", «\"{one}\"»]"), vec![bad]),
        (
            format!("witnesses = [\"{one}\", «\"{renamed}\"»]"),
            vec![bad],
        ),
        (format!("witnesses = [{many}]"), vec![]),
        (
            format!("witnesses = [{many}, «\"{next}\"»]"),
            vec!["too-many"],
        ),
        (format!("witnesses = «\"{one}\"»"), vec!["wrong-type"]),
        ("quorum = «1»".to_owned(), vec!["out-of-range"]),
        (
            format!("witnesses = [\"{one}\"]\nquorum = «0»"),
            vec!["out-of-range"],
        ),
        (
            format!("witnesses = [\"{one}\"]\nquorum = «2»"),
            vec!["out-of-range"],
        ),
        (
            format!("witnesses = [\"{one}\"]\nquorum = «\"1\"»"),
            vec!["wrong-type"],
        ),
    ] {
        let gateway = format!("{GATEWAY}[ledger]\n{section}\n");
        let map = format!("{HEAD}{POINT}");
        check(
            &[("gateway.toml", &gateway), ("machines/m.toml", &map)],
            &codes,
        );
    }
}
