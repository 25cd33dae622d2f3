//! The files of other people's logs and witnesses.

use std::fs;
use std::path::PathBuf;

use lineside_proto::ledger::note::{KeyKind, SignerKey};

use crate::archive::witness::{ForeignLogs, ListError, Target};

fn key(name: &str, kind: KeyKind) -> String {
    let key = SignerKey::new(name, kind, &[9; 32]).unwrap();
    key.public().to_string()
}

/// Writes a file, reads it, and gives the fault, with the file's name.
fn fault<T>(text: &str, load: impl Fn(&PathBuf) -> Result<T, ListError>) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    fs::write(&path, text).unwrap();
    let error = load(&path).err()?.to_string();
    Some(
        error
            .strip_prefix(dir.path().to_str().unwrap())
            .unwrap()
            .to_owned(),
    )
}

#[test]
fn logs_are_named_by_their_key_or_by_a_word_after_it() {
    let (one, other) = (
        key("a.example/log", KeyKind::Ed25519),
        key("b.example", KeyKind::Ed25519),
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs");
    let text = format!(
        "# Ours\n\n{one}\n{other} a.example/log # the next one\n{other} c.example/x\n{one}\n"
    );
    fs::write(&path, text).unwrap();
    let logs = ForeignLogs::load(&path).unwrap();
    assert_eq!(
        logs.origins().collect::<Vec<_>>(),
        ["a.example/log", "c.example/x"]
    );
    let names = |origin| {
        logs.keys(origin)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("a.example/log"), [one, other.clone()]);
    assert_eq!(names("c.example/x"), [other]);
    assert!(names("b.example").is_empty());
}

#[test]
fn what_is_wrong_in_a_list_is_told_by_its_line() {
    let log = key("a.example/log", KeyKind::Ed25519);
    let witness = key("w.example", KeyKind::Cosignature);
    let check = |text: &str, expected: &str| {
        let told = fault(text, |path| ForeignLogs::load(path));
        assert_eq!(told.as_deref(), Some(expected), "{text}");
    };
    check(
        &format!("{log}\nx\n"),
        "/list:2: no verifier key: it is written name+hash+key",
    );
    check(
        &format!("# a\n\n{witness}"),
        "/list:3: this is a witness's key: write the key of a log",
    );
    check(&format!("{log} a b"), "/list:1: `b` is a word too many");
    let check = |text: &str, expected: &str| {
        let told = fault(text, |path| Target::load(path));
        assert_eq!(told.as_deref(), Some(expected), "{text}");
    };
    check(
        "http://w.example",
        "/list:1: the witness's verifier key is missing: it stands after the address",
    );
    check(
        &format!("http://w.example {log}"),
        "/list:1: this is the key of a log: write the key of the witness",
    );
    let told = fault(&format!("\nhttps://w.example {witness}"), |path| {
        Target::load(path)
    });
    assert!(told.unwrap().starts_with("/list:2: TLS is not spoken here"));
    assert!(matches!(
        ForeignLogs::load(&PathBuf::from("/nowhere/logs")),
        Err(ListError::File { .. })
    ));
}

#[test]
fn a_witness_has_an_address_and_perhaps_a_prefix() {
    let witness = key("w.example", KeyKind::Cosignature);
    let check = |url: &str, expected: Option<(&str, u16, &str)>| {
        let target = Target::parse(url, &witness).ok();
        let target = target.map(|target| (target.host, target.port, target.path));
        let expected = expected.map(|(host, port, path)| (host.to_owned(), port, path.to_owned()));
        assert_eq!(target, expected, "{url}");
    };
    check(
        "http://w.example",
        Some(("w.example", 80, "/add-checkpoint")),
    );
    check(
        "http://w.example:81/",
        Some(("w.example", 81, "/add-checkpoint")),
    );
    check(
        "http://[::1]:8/w/1/",
        Some(("[::1]", 8, "/w/1/add-checkpoint")),
    );
    for wrong in [
        "w.example",
        "http://",
        "http:///w",
        "http://a:0",
        "http://u@a",
        "http://a/x?y",
        "http://a/x#y",
        "http://a/ü",
        "ftp://a",
    ] {
        check(wrong, None);
    }
}
