use super::{Inspected, LogFault, Trust, inspect};
use crate::archive::testing::{City, Gateway, at};
use crate::archive::{Cards, Record, Shelf};
use crate::ledger::notes::Notes;
use crate::logs::chain;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use std::fs;
use std::path::Path;

fn filled() -> (City, Gateway) {
    let city = City::new();
    let gateway = city.gateway("zs", "gw");
    gateway.grow(300, 0);
    city.keep(&gateway, Some(at(299)));
    gateway.grow(250, 300);
    city.keep(&gateway, Some(at(549)));
    city.card(&gateway);
    (city, gateway)
}

fn cards(city: &City) -> Cards {
    Cards::load(&city.dir().join("gateways")).unwrap().0
}

fn found(city: &City, of: &Gateway) -> Result<Inspected, LogFault> {
    let witnesses = [city.witness.public().clone()];
    inspect(&city.shelf(), &of.place, Some(&cards(city)), &witnesses)
}

#[test]
fn a_sound_log_is_found_sound_by_its_card_and_by_its_own_word() {
    let (city, gateway) = filled();
    let sound = found(&city, &gateway).unwrap();
    assert_eq!((sound.head.size, sound.trust), (551, Trust::Card));
    assert_eq!((sound.notes, sound.cosigned), (2, Some(551)));
    let alone = inspect(&city.shelf(), &gateway.place, None, &[]).unwrap();
    assert_eq!((alone.trust, alone.cosigned), (Trust::Itself, None));
    let second = gateway.next_epoch(600);
    second.grow(5, 601);
    city.keep(&second, None);
    let sound = found(&city, &second).unwrap();
    assert_eq!(sound.head.origin, "lineside/zs/gw/e2");
}

#[test]
fn a_key_counts_that_a_trusted_one_handed_over_to() {
    let (city, gateway) = filled();
    gateway.rotate(600);
    gateway.grow(3, 601);
    city.keep(&gateway, None);
    let sound = found(&city, &gateway).unwrap();
    assert_eq!((sound.head.size, sound.notes), (555, 4));
}

#[test]
fn a_cosignature_on_the_newest_head_counts_like_a_kept_one() {
    let (city, gateway) = filled();
    let notes = city.shelf().kept_dir(&gateway.place).join("notes");
    fs::remove_dir_all(notes).unwrap();
    let path = city.shelf().log_dir(&gateway.place).join("checkpoint");
    let mut note = Note::parse(&fs::read_to_string(&path).unwrap()).unwrap();
    let line = city.witness.sign(&note.text, at(550));
    note.signatures.retain(|known| known.hash != line.hash);
    fs::write(&path, note.to_string()).unwrap();
    assert_eq!(found(&city, &gateway).unwrap().cosigned, None);
    note.signatures.push(line);
    fs::write(&path, note.to_string()).unwrap();
    assert_eq!(found(&city, &gateway).unwrap().cosigned, Some(551));
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn check(words: &str, spoil: &dyn Fn(&City, &Gateway, &Path)) {
    let (city, gateway) = filled();
    let dir = city.shelf().log_dir(&gateway.place);
    spoil(&city, &gateway, &dir);
    let said = chain(&found(&city, &gateway).unwrap_err());
    assert!(said.contains(words), "{words}: {said}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    check("leaf", &|_, _, dir| flip(&dir.join("tile/entries/000")));
    check("tile/0/000", &|_, _, dir| flip(&dir.join("tile/0/000")));
    check("tile/0/001", &|_, _, dir| {
        fs::remove_file(dir.join("tile/0/001")).unwrap();
    });
    check("missing", &|_, _, dir| {
        fs::remove_file(dir.join("checkpoint")).unwrap()
    });
    check("cosignature of the head of 551 leaves", &|city, _, dir| {
        // A bit of its signature; its name and the key's hash are as they were.
        let path = dir.join("checkpoint");
        let note = fs::read_to_string(&path).unwrap();
        let note = Note::parse(&note).unwrap();
        let good = city.witness.sign(&note.text, at(550));
        let bad = city.witness.sign(&format!("{}x\n", note.text), at(550));
        assert_eq!((&good.name, good.hash), (&bad.name, bad.hash));
        let mut note = note;
        note.signatures.retain(|line| line.hash != bad.hash);
        note.signatures.push(bad);
        fs::write(path, note.to_string()).unwrap();
    });
    check("no card", &|city, _, _| {
        fs::remove_dir_all(city.dir().join("gateways")).unwrap();
    });
    check("can't be trusted", &|city, gateway, _| {
        let origin = &gateway.opened.origin;
        let other = SignerKey::new(origin, KeyKind::Ed25519, &[3; 32]).unwrap();
        let path = city.dir().join("gateways/zs-gw.json");
        let card = fs::read_to_string(&path).unwrap();
        let card = card.replace(&gateway.opened.key, &other.public().to_string());
        fs::write(path, card).unwrap();
    });
    check(
        "leaf 0 says that it is the log lineside/zs/other",
        &|city, gateway, dir| {
            let other = city.gateway("zs", "other");
            other.grow(600, 0);
            city.keep(&other, None);
            let from = city.shelf().log_dir(&other.place);
            fs::remove_dir_all(dir).unwrap();
            fs::rename(from, dir).unwrap();
            assert_eq!(gateway.place.epoch, 1);
        },
    );
}

#[test]
fn a_log_that_is_gone_is_missed_as_long_as_its_record_is_there() {
    let (city, gateway) = filled();
    let (shelf, place) = (city.shelf(), gateway.place.clone());
    assert_eq!(shelf.recorded().unwrap(), std::slice::from_ref(&place));
    fs::remove_dir_all(shelf.log_dir(&place)).unwrap();
    assert_eq!(shelf.logs().unwrap(), []);
    assert_eq!(shelf.recorded().unwrap(), [place]);
    let said = chain(&found(&city, &gateway).unwrap_err());
    assert!(said.contains("missing"), "{said}");
}

#[test]
fn a_log_that_is_being_fetched_is_no_fault() {
    let (city, gateway) = filled();
    let (shelf, place) = (city.shelf(), gateway.place.clone());
    let mut record = shelf.record(&place).unwrap().unwrap();
    // A part of a longer stretch is in tiles, and the head that it is under is not reached.
    record.size += 4_096;
    record.reaching = Some("a head further on".to_owned());
    city.record(&place, &record);
    assert_eq!(found(&city, &gateway).unwrap().head.size, 551);
    // Without one, the checkpoint is older than what was held.
    record.reaching = None;
    city.record(&place, &record);
    assert!(found(&city, &gateway).is_err());
    // The first stretch of all has no head yet.
    fs::remove_file(shelf.log_dir(&place).join("checkpoint")).unwrap();
    record.reaching = Some("a head further on".to_owned());
    record.cosigned = None;
    city.record(&place, &record);
    assert_eq!(shelf.recorded().unwrap(), []);
}

#[test]
fn heads_that_were_kept_of_it_must_be_its_own() {
    // An older directory than that of which a head was cosigned.
    check("551 were seen before", &|city, gateway, _| {
        let shelf = Shelf::of(&city.dir());
        let known = shelf.record(&gateway.place).unwrap().unwrap();
        fs::remove_dir_all(shelf.kept_dir(&gateway.place).join("notes")).unwrap();
        put_back(city, gateway, 301);
        city.record(&gateway.place, &known);
    });
    check("not signed by this log", &|city, gateway, _| {
        let kept = city.shelf().kept_dir(&gateway.place);
        let origin = &gateway.opened.origin;
        let other = SignerKey::new(origin, KeyKind::Ed25519, &[3; 32]).unwrap();
        let root = "A".repeat(43);
        let text = format!("{origin}\n7\n{root}=\n");
        let line = other.sign(&text, at(0));
        let mut notes = Notes::open(&kept, origin);
        notes.put(at(7), &format!("{text}\n{line}\n")).unwrap();
    });
    check("not the witness's", &|city, gateway, _| {
        let kept = city.shelf().kept_dir(&gateway.place);
        let view = city.shelf().view(&gateway.place).unwrap();
        let note = view.kept_note(551).unwrap().note;
        let mut notes = Notes::open(&kept, &gateway.opened.origin);
        let (text, _) = note.split_once("\n\n").unwrap();
        // Of another text, by the right key.
        let line = city.witness.sign(&format!("{text}x\n"), at(550));
        let signed = note.lines().rfind(|line| !line.contains("city.example"));
        let signed = signed.unwrap();
        notes
            .put(at(550), &format!("{text}\n\n{signed}\n{line}\n"))
            .unwrap();
    });
}

/// The log as it was at an older head, which is kept.
fn put_back(city: &City, gateway: &Gateway, size: u64) {
    let note = gateway.ledger.kept_note(size).unwrap().note;
    let path = city.shelf().log_dir(&gateway.place).join("checkpoint");
    fs::write(path, note).unwrap();
}

#[test]
fn texts_that_are_not_here_are_counted() {
    let (city, gateway) = filled();
    let hash = format!("sha256:{}", "0a".repeat(32));
    gateway.names(600, &hash);
    city.keep(&gateway, None);
    city.record(&gateway.place, &Record::default());
    let sound = found(&city, &gateway).unwrap();
    assert_eq!((sound.maps_missing, sound.tokens_missing), (1, 0));
    let none: &[VerifierKey] = &[];
    assert!(inspect(&city.shelf(), &gateway.place, None, none).is_ok());
}
