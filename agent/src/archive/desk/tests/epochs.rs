//! One epoch after another, through crashes, restored directories, and what is lied about them.

use super::changes::cosigned;
use super::faults::witnessed;
use super::kept::give_map;
use super::{City, Input, Plant, copy, id};
use crate::archive::alarm::Kind;
use crate::archive::inspection::inspect;
use crate::archive::record::Record;
use crate::archive::{Cards, Place};
use crate::hashed;
use crate::maps::Maps;
use crate::slots::{self, Slots};
use std::fs;
use std::path::Path;

/// A copy of an archive's directory, as a backup has it.
pub(super) struct Backup(tempfile::TempDir);

impl Backup {
    pub(super) fn of(city: &City) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&city.archive(), dir.path());
        Self(dir)
    }

    /// The directory is that of then; the witness's key and memory are not in it.
    pub(super) fn put_back(&self, city: &mut City) {
        city.desk = None;
        fs::remove_dir_all(city.archive()).unwrap();
        fs::create_dir(city.archive()).unwrap();
        copy(self.0.path(), &city.archive());
        city.start();
        city.pass(vec![Input::Connected], None);
    }
}

fn write_record(city: &City, place: &Place, change: impl FnOnce(&mut Record)) {
    let path = city.shelf().kept_dir(place).join("record");
    let held = slots::look(&path).unwrap().unwrap();
    let mut record = serde_json::from_slice(&held).unwrap();
    change(&mut record);
    let mut slots = Slots::open(&path).unwrap();
    slots.write(&serde_json::to_vec(&record).unwrap()).unwrap();
}

pub(super) fn wait(city: &mut City, plant: &Plant, minutes: u64) {
    for _ in 0..minutes {
        city.fetch(plant);
        city.later(50);
    }
}

/// A gateway whose next epoch cites fewer leaves than were cosigned.
fn gives_up(city: &mut City, plant: &mut Plant) -> Plant {
    let backup = plant.clone_disk();
    plant.write("b", 10);
    let inputs = plant.grown();
    city.pass(inputs, Some(plant));
    city.later(61);
    assert_eq!(cosigned(city).last(), Some(&(1, 110)));
    let mut back = backup;
    back.next_epoch();
    back.write("new", 5);
    back
}

#[test]
fn what_an_epoch_cites_is_compared_after_a_crash_too() {
    for lost in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        let mut back = gives_up(&mut city, &mut plant);
        let inputs = back.grown();
        city.pass(inputs, Some(&back));
        assert_eq!(city.kinds(), [Kind::Prior]);
        // As if it had ended before that was found: the checkpoint is there, and the record of it, or not even that.
        city.desk = None;
        city.alarms.clear();
        let place = back.place(2);
        if lost {
            fs::remove_dir_all(city.shelf().kept_dir(&place)).unwrap();
        } else {
            write_record(&city, &place, |record| record.stopped = None);
        }
        city.start();
        city.pass(vec![Input::Connected], None);
        wait(&mut city, &back, 3);
        assert_eq!(city.kinds(), [Kind::Prior], "lost: {lost}");
        assert_eq!(cosigned(&city).last(), Some(&(1, 110)), "lost: {lost}");
    }
}

#[test]
fn a_restored_directory_lets_no_epoch_give_up_what_was_cosigned() {
    // What the new epoch cites, and whether that is of the history that was cosigned.
    for (cited, is_other) in [(110, false), (150, true), (120, true), (130, false)] {
        let (mut city, mut plant, _other) = witnessed();
        let backup = Backup::of(&city);
        let mut cut = plant.clone_disk();
        plant.write("b", 10);
        copy(plant.dir.path(), cut.dir.path());
        if !is_other {
            cut = plant.clone_disk();
        }
        plant.write("c", 10);
        if cited == 130 {
            cut = plant.clone_disk();
        }
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        city.later(61);
        assert_eq!(cosigned(&city).last(), Some(&(1, 120)));
        let missing = cited - cut.ledger.size();
        cut.write("d", usize::try_from(missing).unwrap());
        let last = cut.sign();
        cut.next_epoch();
        cut.write("new", 5);
        backup.put_back(&mut city);
        city.pass(vec![cut.head(&last)], None);
        let inputs = cut.grown();
        city.pass(inputs, Some(&cut));
        wait(&mut city, &cut, 5);
        let is_cosigned = cosigned(&city).iter().any(|(epoch, _)| *epoch == 2);
        assert_eq!(is_cosigned, cited == 130, "{cited} {:?}", city.kinds());
        let of_one = city.cosigned.iter().filter(|(place, _)| place.epoch == 1);
        let sizes: Vec<u64> = of_one.map(|(_, head)| head.size).collect();
        assert!(sizes.is_sorted(), "{sizes:?}");
        match cited {
            110 | 120 => assert!(city.kinds().contains(&Kind::Prior), "{:?}", city.kinds()),
            // Nobody can prove it.
            150 => assert_eq!(city.record(&cut, 2).stopped, None),
            _ => assert_eq!(city.kinds(), []),
        }
    }
}

#[test]
fn what_the_witness_refuses_of_the_epoch_before_is_told() {
    let (mut city, mut plant, _other) = witnessed();
    let backup = Backup::of(&city);
    let mut other = plant.clone_disk();
    plant.write("own", 20);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.later(61);
    assert_eq!(cosigned(&city).last(), Some(&(1, 120)));
    backup.put_back(&mut city);
    other.write("of the other", 50);
    let last = other.sign();
    other.next_epoch();
    other.write("new", 5);
    let inputs = other.grown();
    city.pass(inputs, None);
    city.start();
    city.pass(vec![Input::Connected, other.head(&last)], Some(&other));
    wait(&mut city, &other, 5);
    let forks: Vec<_> = city
        .alarms
        .iter()
        .map(|(place, kind)| (place.epoch, *kind))
        .collect();
    assert_eq!(forks, [(1, Kind::Fork)]);
    assert!(city.size(&plant, 1) <= 120);
    assert_eq!(cosigned(&city).last(), Some(&(1, 120)));
}

/// A gateway of whose first epoch 300 leaves were cosigned and 330 are held; its next one cites 320.
pub(super) fn cut_within() -> (City, Plant) {
    let mut city = City::new(true);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 299);
    let inputs = plant.grown();
    city.pass(inputs, None);
    city.pass(vec![Input::Connected], None);
    city.later(4);
    assert_eq!(cosigned(&city), [(1, 300)]);
    // It cites fewer than are held and more than were cosigned, so that the tree of those is looked at.
    plant.write("b", 20);
    plant.sign();
    let mut cut = plant.clone_disk();
    plant.write("c", 10);
    let inputs = plant.grown();
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 330);
    cut.next_epoch();
    cut.write("new", 5);
    (city, cut)
}

#[test]
fn an_epoch_is_not_accused_of_what_can_t_be_read_here() {
    let (mut city, mut cut) = cut_within();
    let log = city.shelf().log_dir(&cut.place(1));
    let head = log.join("checkpoint");
    let away = city.dir.path().join("away");
    fs::rename(&head, &away).unwrap();
    fs::create_dir(&head).unwrap();
    let inputs = cut.grown();
    city.pass(inputs, Some(&cut));
    city.later(11);
    let record = city.record(&cut, 2);
    assert_eq!((city.kinds(), record.compared), (vec![], false));
    fs::remove_dir(&head).unwrap();
    fs::rename(&away, &head).unwrap();
    city.later(11);
    let record = city.record(&cut, 2);
    assert_eq!((city.kinds(), record.compared), (vec![], true));
    wait(&mut city, &cut, 3);
    // What it gives up is not cosigned any more.
    assert_eq!(cosigned(&city), [(1, 300), (2, 6)]);
}

#[test]
fn the_end_of_an_epoch_is_asked_for_until_it_is_here() {
    for restarts in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        let of_another = plant.note();
        plant.write("unseen", 50);
        plant.sign();
        let before = plant.clone_disk();
        plant.next_epoch();
        plant.write("new", 5);
        let aside = plant.state().join("ledger.e1");
        let away = plant.dir.path().join("away");
        fs::rename(&aside, &away).unwrap();
        let inputs = plant.grown();
        city.pass(inputs, Some(&before));
        // It is proved; then nobody has more of it than is here, and then nobody says anything.
        city.pass(vec![plant.head(&of_another)], None);
        wait(&mut city, &plant, 3);
        if restarts {
            city.start();
            city.pass(vec![Input::Connected], None);
            wait(&mut city, &plant, 3);
        }
        fs::rename(&away, &aside).unwrap();
        city.seconds += 300;
        wait(&mut city, &plant, 6);
        assert_eq!(city.size(&plant, 1), 150, "{restarts}");
        assert_eq!(city.kinds(), []);
        // Whoever asks the broker finds the present epoch's last.
        wait(&mut city, &plant, 2);
        let cosigned = cosigned(&city);
        assert!(cosigned.contains(&(1, 150)), "{cosigned:?}");
        assert_eq!(cosigned.last(), Some(&(2, 6)), "{cosigned:?}");
    }
}

#[test]
fn an_epoch_that_nobody_proves_gets_its_leaves_after_another_followed() {
    let (mut city, mut plant, _other) = witnessed();
    plant.write("unseen", 50);
    plant.sign();
    plant.next_epoch();
    fs::remove_dir_all(plant.state().join("ledger.e1")).unwrap();
    plant.write("second", 5);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    plant.write("last of it", 20);
    let last = plant.sign();
    plant.next_epoch();
    plant.write("third", 5);
    city.seconds += 3_601;
    city.pass(vec![plant.head(&last)], None);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    wait(&mut city, &plant, 8);
    assert_eq!((city.size(&plant, 2), city.size(&plant, 3)), (26, 6));
    assert_eq!((city.kinds(), cosigned(&city)), (vec![], vec![(1, 100)]));
    // Whoever has it may be away for a while. Then the city is told, and what follows is cosigned.
    wait(&mut city, &plant, 70);
    assert_eq!(
        (city.kinds(), cosigned(&city).last()),
        (vec![Kind::Prior], Some(&(3, 6)))
    );
    assert!(!cosigned(&city).iter().any(|(epoch, _)| *epoch == 2));
}

#[test]
fn the_proof_against_an_epoch_before_is_written_when_the_disk_lets_it() {
    for restarts in [false, true] {
        let (mut city, mut plant, _other) = witnessed();
        let twin = plant.clone_disk();
        plant.write("own", 50);
        let last = plant.sign();
        plant.next_epoch();
        let inputs = plant.grown();
        city.pass(inputs, Some(&plant));
        let alarms = city.shelf().alarms_dir();
        drop(fs::remove_dir_all(&alarms));
        fs::write(&alarms, "no folder").unwrap();
        twin.write("other", 30);
        city.pass(
            vec![twin.head(&twin.sign()), plant.head(&last)],
            Some(&plant),
        );
        wait(&mut city, &plant, 3);
        assert!(city.record(&plant, 1).stopped.is_some());
        fs::remove_file(&alarms).unwrap();
        if restarts {
            city.start();
            city.pass(vec![Input::Connected, plant.head(&plant.note())], None);
        }
        (0..20).for_each(|_| city.later(7));
        let proofs = city.proofs();
        assert_eq!((proofs.len(), proofs[0].epoch), (1, 1), "{restarts}");
        let proof = city.record(&plant, 1).stopped.unwrap().proof;
        assert!(alarms.join(proof).join("shown.note").exists());
    }
}

#[test]
fn a_text_that_can_t_be_had_holds_up_no_other() {
    let mut city = City::new(false);
    let plant = Plant::new("gw-1");
    city.enrol(&plant);
    city.pass(vec![Input::Connected], None);
    // The first is another than its hash says, where the gateway keeps it.
    let texts = ["{\"points\":[1]}", "{\"points\":[2]}", "{\"points\":[3]}"];
    let hashes = texts.map(|text| give_map(&plant, text));
    let first = hashes.iter().min().unwrap();
    spoil(&plant.state().join("maps"), hashed::digits(first).unwrap());
    let mut plant = plant;
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    for _ in 0..5 {
        city.fetch(&plant);
    }
    let kept = Maps::of(&city.shelf().gateway_dir(&id("zs"), &plant.name));
    for hash in &hashes {
        assert_eq!(kept.has(hash), hash != first, "{hash}");
    }
}

fn spoil(dir: &Path, digits: &str) {
    let mut spoilt = 0;
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(digits) {
            fs::write(entry.path(), "{\"points\":[9]}").unwrap();
            spoilt += 1;
        }
    }
    assert_eq!(spoilt, 1);
}

/// The key changes in one epoch; the next is signed by the new one alone.
fn rotated() -> (City, Plant) {
    let (mut city, mut plant, _other) = witnessed();
    plant.rotate();
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    plant.ledger.finish_rotation().unwrap();
    plant.next_epoch();
    plant.write("new", 5);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    city.later(61);
    city.later(61);
    assert_eq!(cosigned(&city).last(), Some(&(2, 6)));
    assert_eq!(city.kinds(), []);
    (city, plant)
}

#[test]
fn a_key_that_was_followed_in_the_epoch_before_is_known_by_the_leaves_alone() {
    let (mut city, plant) = rotated();
    let cards = Cards::load(&city.dir.path().join("cards")).unwrap().0;
    for epoch in [1, 2] {
        let sound = inspect(&city.shelf(), &plant.place(epoch), Some(&cards), &[]);
        assert!(sound.is_ok(), "{epoch}: {sound:?}");
    }
    // Its records are lost.
    city.desk = None;
    for epoch in [1, 2] {
        let kept = city.shelf().kept_dir(&plant.place(epoch));
        fs::remove_file(kept.join("record.0")).unwrap();
        fs::remove_file(kept.join("record.1")).unwrap();
    }
    city.start();
    city.pass(
        vec![Input::Connected, plant.head(&plant.note())],
        Some(&plant),
    );
    plant.write("more", 4);
    let mut plant = plant;
    plant.sent = 6;
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    wait(&mut city, &plant, 3);
    assert_eq!((city.size(&plant, 2), city.kinds()), (10, vec![]));
    let (signers, _) = {
        let desk = city.desk.as_mut().unwrap();
        let known = desk
            .gateways
            .get_mut(&(id("zs"), plant.name.clone()))
            .unwrap();
        let (signers, followed) = known.mirror().unwrap().signers();
        (signers, followed.len())
    };
    assert_eq!(signers.len(), 1, "the one before signs no more");
}

#[test]
fn a_checkpoint_that_became_durable_before_the_record_of_its_key_is_sound() {
    let (mut city, mut plant, _other) = witnessed();
    plant.rotate();
    plant.ledger.finish_rotation().unwrap();
    plant.write("b", 3);
    let before = city.shelf().record(&plant.place(1)).unwrap().unwrap();
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    assert_eq!(city.size(&plant, 1), 104);
    city.desk = None;
    write_record(&city, &plant.place(1), |record| *record = before);
    city.start();
    city.pass(vec![Input::Connected], None);
    plant.write("c", 3);
    let inputs = plant.grown();
    city.pass(inputs, Some(&plant));
    assert_eq!((city.size(&plant, 1), city.kinds()), (107, vec![]));
    assert!(!city.archive().join("damaged").exists());
}

#[test]
fn made_up_changes_of_the_key_keep_no_real_one_out() {
    let (mut city, plant, _other) = witnessed();
    // Eight that no key of the gateway has signed, far ahead.
    let mut made_up = Vec::new();
    for number in 0..8 {
        let other = Plant::new("gw-1");
        other.write("x", 199 + number);
        other.rotate();
        made_up.push(other.leaf(other.ledger.size() - 1));
    }
    city.pass(made_up, None);
    plant.write("b", 5);
    plant.rotate();
    plant.ledger.finish_rotation().unwrap();
    plant.write("c", 5);
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    for _ in 0..5 {
        city.fetch(&plant);
    }
    assert_eq!((city.size(&plant, 1), city.kinds()), (111, vec![]));
}

#[test]
fn a_key_that_changed_many_times_while_nobody_heard_is_followed() {
    let (mut city, plant, _other) = witnessed();
    for _ in 0..40 {
        plant.rotate();
        plant.ledger.finish_rotation().unwrap();
        plant.write("b", 2);
    }
    let note = plant.sign();
    city.pass(vec![plant.head(&note)], Some(&plant));
    for _ in 0..5 {
        city.fetch(&plant);
    }
    assert_eq!((city.size(&plant, 1), city.kinds()), (220, vec![]));
}
