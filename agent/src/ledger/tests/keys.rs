//! The gateway's key: whose it is, how it changes, and that another one continues nothing.

use super::{ORIGIN, Place, grow, note};
use crate::clock::Stamp;
use crate::ledger::{KeyError, Keys, change_text};
use crate::record::Entry;
use lineside_proto::Time;
use lineside_proto::ledger::{LeafBody, verify};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn keys_are_ours_alone_and_change_with_both_signing() {
    let place = Place::new();
    let ledger = place.open();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.key()), 0o600);
    assert_eq!(mode(place.key().parent().unwrap()), 0o700);
    assert!(matches!(Keys::init(&place.key()), Err(KeyError::Exists(_))));
    grow(&ledger, 1);
    ledger.sign().unwrap();
    let old = ledger.keys();
    let leaf = ledger.rotate_key().unwrap();
    assert!(matches!(ledger.rotate_key(), Err(KeyError::Exists(_))));
    let both = ledger.keys();
    let text = change_text(ORIGIN, &both[1], &both[0]);
    for (key, signature) in [
        (&both[1], &leaf.old_signature),
        (&both[0], &leaf.new_signature),
    ] {
        use base64::Engine;
        let signature = base64::engine::general_purpose::STANDARD
            .decode(signature)
            .unwrap();
        assert!(key.verify_bytes(text.as_bytes(), &signature.try_into().unwrap()));
    }
    let at = Stamp {
        boot_ms: 1,
        wall: Time::default(),
    };
    ledger
        .append(
            "boot",
            &[Entry {
                at,
                body: LeafBody::Key(leaf),
            }],
        )
        .unwrap();
    ledger.sign().unwrap();
    assert!(verify::checkpoint(&note(&ledger), &old, ORIGIN).is_ok());
    assert!(verify::checkpoint(&note(&ledger), &both[..1], ORIGIN).is_ok());
    drop(ledger);
    let ledger = place.open();
    assert_eq!(ledger.keys(), both);
    ledger.finish_rotation().unwrap();
    grow(&ledger, 1);
    ledger.sign().unwrap();
    assert!(verify::checkpoint(&note(&ledger), &old, ORIGIN).is_err());
    drop(ledger);
    assert!(!format!("{:?}", Keys::load(&place.key(), ORIGIN).unwrap()).contains("secret"));

    let keys = place.key();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        Keys::load(&keys, ORIGIN),
        Err(KeyError::Open { .. })
    ));
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(keys.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        Keys::load(&keys, ORIGIN),
        Err(KeyError::OpenDirectory { .. })
    ));
    fs::set_permissions(keys.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    let text = fs::read_to_string(&keys).unwrap();
    fs::write(&keys, text.replace("\"x\":\"", "\"x\":\"A")).unwrap();
    assert!(matches!(Keys::load(&keys, ORIGIN), Err(KeyError::Form(_))));
    fs::write(&keys, "no key").unwrap();
    assert!(matches!(Keys::load(&keys, ORIGIN), Err(KeyError::Form(_))));
}

#[test]
fn another_key_does_not_continue_a_ledger() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 2);
    ledger.sign().unwrap();
    drop(ledger);
    fs::remove_dir_all(place.key().parent().unwrap()).unwrap();
    let ledger = place.open();
    assert!(ledger.suspended().unwrap().contains("another key"));
}

#[test]
fn another_key_beside_the_old_record_does_not_continue_a_ledger_either() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 2);
    ledger.sign().unwrap();
    drop(ledger);
    // As where systemd hands over another one.
    fs::remove_file(place.key()).unwrap();
    Keys::init(&place.key()).unwrap();
    let ledger = place.open();
    assert!(ledger.suspended().unwrap().contains("another key"));
}
