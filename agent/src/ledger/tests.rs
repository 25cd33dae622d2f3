mod anew;
mod hostile;
mod keys;
mod lost;
mod power;
mod rogue;
mod witnessed;

use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use lineside_proto::ledger::tile::{Kind, Tile, entries};
use lineside_proto::ledger::{Correction, Hash, Leaf, LeafBody, verify};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use super::{Ledger, LedgerError, Seen, Testimony, new_epoch};
use crate::clock::Stamp;
use crate::record::Entry;

const ORIGIN: &str = "lineside/site/gw";

/// A gateway's two directories.
pub(super) struct Place {
    pub(super) dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("keys/ledger.key")
    }

    pub(super) fn open(&self) -> Ledger {
        Ledger::open(&self.state(), &self.key(), ORIGIN).unwrap().0
    }
}

pub(super) fn facts(from: u64, count: u64) -> Vec<Entry> {
    (from..from + count)
        .map(|refers| Entry {
            at: Stamp {
                boot_ms: refers,
                wall: Time::from_millis(1_795_420_800_000),
            },
            body: LeafBody::Correction(Correction {
                refers,
                reason: "r".repeat(usize::try_from(refers % 50).unwrap()),
                by: "p".to_owned(),
            }),
        })
        .collect()
}

pub(super) fn grow(ledger: &Ledger, count: u64) {
    let size = ledger.size();
    let range = ledger.append("boot", &facts(size, count)).unwrap();
    assert_eq!(range, size..size + count);
}

fn leaves(ledger: &Ledger) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    while (all.len() as u64) < ledger.size() {
        let part = ledger.read(all.len() as u64, 10_000).unwrap();
        assert!(!part.is_empty());
        for (index, leaf) in part {
            assert_eq!(index, all.len() as u64);
            all.push(leaf);
        }
    }
    all
}

/// A witness's key.
fn witness(seed: u8) -> SignerKey {
    let name = format!("w{seed}.example");
    SignerKey::new(&name, KeyKind::Cosignature, &[seed; 32]).unwrap()
}

fn note(ledger: &Ledger) -> String {
    let note = ledger.checkpoint().borrow().clone();
    note.map(|note| note.to_string()).unwrap()
}

/// A reader that has nothing but the static files and the newest checkpoint.
fn leaves_of_files(dir: &Path, size: u64) -> Vec<Vec<u8>> {
    let tiles = Tile::of_log(size).filter(|tile| tile.kind == Kind::Entries);
    let bundle = |tile: Tile| {
        let bytes = fs::read(dir.join(tile.to_string())).unwrap();
        let leaves = entries(&bytes, tile.width).unwrap();
        leaves.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    tiles.flat_map(bundle).collect()
}

#[test]
fn what_was_appended_is_there_after_any_restart_and_verifies_from_the_files_alone() {
    let place = Place::new();
    let mut seen = Vec::new();
    for count in [1, 254, 1, 1, 300, 0, 512, 7] {
        let ledger = place.open();
        grow(&ledger, count);
        ledger.sign().unwrap();
        let note = note(&ledger);
        let size = ledger.size();
        let files = leaves_of_files(ledger.dir(), size);
        assert_eq!(files, leaves(&ledger));
        let head = verify::log(&files, &note, &ledger.keys(), ORIGIN, &seen).unwrap();
        assert_eq!((head.size, head.root), ledger.head());
        for tile in Tile::of_log(size) {
            assert!(ledger.dir().join(tile.to_string()).exists(), "{tile}");
        }
        seen.push(head);
    }
    let ledger = place.open();
    for old in &seen {
        for new in seen.iter().filter(|new| new.size >= old.size) {
            let proof = ledger.consistency(old.size, new.size).unwrap();
            let checked = lineside_proto::ledger::tree::check_consistency(
                old.size, new.size, &proof, old.root, new.root,
            );
            checked.unwrap();
        }
    }
    let (size, root) = ledger.head();
    for (index, leaf) in (0..).zip(leaves(&ledger)) {
        let proof = ledger.inclusion(index, size).unwrap();
        let hash = Hash::of_leaf(&leaf);
        lineside_proto::ledger::tree::check_inclusion(hash, index, size, &proof, root).unwrap();
        assert_eq!(Leaf::from_bytes(&leaf).unwrap().head.index, index);
    }
    assert!(matches!(
        ledger.inclusion(size, size),
        Err(LedgerError::Beyond { .. })
    ));
    assert!(matches!(
        ledger.consistency(0, size + 1),
        Err(LedgerError::Beyond { .. })
    ));
}

#[test]
fn both_clocks_of_its_leaves_only_advance() {
    let place = Place::new();
    let ledger = place.open();
    let begin_ms = 1_795_420_800_000;
    let stamped = |boot_ms: u64| {
        let mut facts = facts(0, 1);
        facts[0].at = Stamp {
            boot_ms,
            wall: Time::from_millis(begin_ms + boot_ms as i64),
        };
        facts.remove(0)
    };
    ledger
        .append("boot", &[stamped(100), stamped(90), stamped(110)])
        .unwrap();
    ledger.append("boot", &[stamped(105)]).unwrap();
    ledger.append("next", &[stamped(7)]).unwrap();
    let heads = leaves(&ledger)
        .iter()
        .map(|bytes| Leaf::from_bytes(bytes).unwrap().head)
        .map(|head| (head.mono_ms, head.at.as_millis() - begin_ms))
        .collect::<Vec<_>>();
    assert_eq!(
        heads,
        [(100, 100), (100, 100), (110, 110), (110, 110), (7, 7)]
    );
}

#[test]
fn a_head_is_signed_once() {
    let place = Place::new();
    let ledger = place.open();
    assert!(ledger.sign().unwrap().is_none(), "nothing to sign");
    grow(&ledger, 3);
    assert_eq!(ledger.sign().unwrap().unwrap().size, 3);
    assert!(ledger.sign().unwrap().is_none());
    let first = note(&ledger);
    // A crash between the record and the note: the same head, the same note.
    fs::remove_file(ledger.dir().join("checkpoint")).unwrap();
    drop(ledger);
    let ledger = place.open();
    assert_eq!(note(&ledger), first);
    assert!(ledger.suspended().is_none());
}

#[test]
fn an_old_copy_is_never_signed() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 300);
    ledger.sign().unwrap();
    drop(ledger);
    let copy = place.dir.path().join("copy");
    copy_tree(&place.state(), &copy);
    let ledger = place.open();
    grow(&ledger, 10);
    ledger.sign().unwrap();
    let newest = note(&ledger);
    drop(ledger);

    // Restored, and shorter than what was signed.
    fs::remove_dir_all(place.state()).unwrap();
    copy_tree(&copy, &place.state());
    let ledger = place.open();
    assert!(ledger.suspended().unwrap().contains("310"));
    assert_eq!(*ledger.durable().borrow(), 0);
    // Continued differently beyond that.
    let mut other = facts(0, 20);
    other.reverse();
    ledger.append("boot", &other).unwrap();
    assert!(ledger.sign().unwrap().is_none());
    drop(ledger);
    let ledger = place.open();
    assert!(
        ledger
            .suspended()
            .unwrap()
            .contains("not those that were signed")
    );
    drop(ledger);

    // The way out, and only by a command.
    let aside = new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "the disk died",
        &Testimony::default(),
    )
    .unwrap();
    assert!(aside.join("journal").exists());
    let (ledger, opened) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    assert_eq!((opened.epoch, opened.size), (2, 0));
    assert_eq!(opened.origin, "lineside/site/gw/e2");
    let prior = opened.prior.unwrap();
    assert_eq!((prior.size, prior.reason.as_str()), (310, "the disk died"));
    grow(&ledger, 1);
    assert_eq!(ledger.sign().unwrap().unwrap().origin, opened.origin);
    assert_eq!(
        ledger.compare(&newest).unwrap(),
        Seen::Foreign,
        "of the epoch before"
    );
}

#[test]
fn a_checkpoint_kept_elsewhere_stops_a_ledger_that_does_not_continue_it() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 3);
    ledger.sign().unwrap();
    let three = note(&ledger);
    grow(&ledger, 3);
    ledger.sign().unwrap();
    assert_eq!(ledger.compare(&three).unwrap(), Seen::Ours);
    assert_eq!(ledger.compare(&note(&ledger)).unwrap(), Seen::Ours);
    assert_eq!(ledger.compare("junk").unwrap(), Seen::Foreign);
    assert_eq!(
        ledger.compare(&three.replace("\n3\n", "\n4\n")).unwrap(),
        Seen::Foreign
    );
    // The same key, another history: its whole directory was copied to another gateway.
    let twin = Place::new();
    copy_tree(place.key().parent().unwrap(), twin.key().parent().unwrap());
    fs::set_permissions(
        twin.key().parent().unwrap(),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    for turn in 0..2 {
        fs::remove_file(twin.dir.path().join(format!("keys/ledger.key.head.{turn}"))).unwrap();
    }
    let other = twin.open();
    grow(&other, 9);
    other.sign().unwrap();
    assert_eq!(ledger.compare(&note(&other)).unwrap(), Seen::Conflict);
    assert!(ledger.suspended().is_some());
    grow(&ledger, 1);
    assert!(ledger.sign().unwrap().is_none());
}

#[test]
fn the_delivered_mark_outlives_the_process_once_noted() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 9);
    ledger.acknowledge(5);
    ledger.acknowledge(3);
    ledger.note_delivered().unwrap();
    ledger.acknowledge(20);
    assert_eq!(ledger.delivered(), 9, "not beyond what there is");
    drop(ledger);
    assert_eq!(place.open().delivered(), 5);
}

#[test]
fn damage_is_named_and_nothing_is_changed() {
    let place = Place::new();
    let ledger = place.open();
    grow(&ledger, 600);
    ledger.sign().unwrap();
    drop(ledger);
    let path = place.state().join("ledger/tile/0/000");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(&path, &bad).unwrap();
    let (ledger, _) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
    assert!(
        ledger
            .suspended()
            .unwrap()
            .contains("not those that were signed")
    );
    drop(ledger);
    fs::write(&path, &good[..100]).unwrap();
    let error = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap_err();
    assert!(error.to_string().contains("tile/0/000"), "{error}");
    fs::write(&path, &good).unwrap();
    assert!(place.open().suspended().is_none());
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Sign,
    Reopen,
    /// A crash: the directory as it is, with this many bytes of junk after the journal's end.
    Crash(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..300).prop_map(Step::Append),
        2 => Just(Step::Sign),
        1 => Just(Step::Reopen),
        2 => (0_usize..60).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against a list: whatever is appended, signed, stopped or killed, the log holds exactly the list, and
    /// every head that was ever signed is one of it.
    #[test]
    fn the_log_is_the_list(steps in steps()) {
        let place = Place::new();
        let mut ledger = place.open();
        let mut list: Vec<Vec<u8>> = Vec::new();
        let mut heads = Vec::new();
        for step in steps {
            match step {
                Step::Append(count) => {
                    grow(&ledger, count);
                    let from = list.len() as u64;
                    let new = ledger.read(from, usize::MAX).unwrap();
                    list.extend(new.into_iter().map(|(_, leaf)| leaf));
                }
                Step::Sign => heads.extend(ledger.sign().unwrap()),
                Step::Reopen => {
                    drop(ledger);
                    ledger = place.open();
                }
                Step::Crash(junk) => {
                    drop(ledger);
                    let journal = place.state().join("ledger/journal");
                    let mut bytes = fs::read(&journal).unwrap();
                    bytes.extend((0..junk).map(|at| u8::try_from(at % 7).unwrap()));
                    fs::write(&journal, bytes).unwrap();
                    ledger = place.open();
                }
            }
            prop_assert_eq!(ledger.size(), list.len() as u64);
        }
        prop_assert!(ledger.suspended().is_none());
        prop_assert_eq!(leaves(&ledger), list);
        for head in heads {
            prop_assert_eq!(ledger.root_at(head.size).unwrap(), head.root);
        }
    }
}
