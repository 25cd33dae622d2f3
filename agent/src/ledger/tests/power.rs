//! Power cuts, as far as files can show them: what was not synced is there in part, in pieces or not at all.

use super::{ORIGIN, Place, copy_tree, grow, leaves, note};
use crate::ledger::{Ledger, journal, verify_files};
use lineside_proto::ledger::tile::{Kind, Tile, WIDTH};
use proptest::prelude::*;
use proptest::sample::Index;
use std::fs;
use std::path::{Path, PathBuf};

/// What the power cut interrupts.
#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Sign,
}

/// What of it reached the disk.
#[derive(Clone, Debug)]
struct Cut {
    /// How far the order of writing was carried out.
    at: Index,
    /// How much of the write that was under way is there.
    part: Index,
    /// A piece of that which is there in length and not in content.
    hole: (Index, Index),
    /// Whether a file that has its name already may still lack what its deletion of others did.
    is_late: bool,
}

fn cuts() -> impl Strategy<Value = Cut> {
    let holes = (any::<Index>(), any::<Index>());
    let parts = (any::<Index>(), any::<Index>(), holes, any::<bool>());
    parts.prop_map(|(at, part, hole, is_late)| Cut {
        at,
        part,
        hole,
        is_late,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![3 => (1_u64..=256).prop_map(Step::Append), 1 => Just(Step::Sign)]
}

fn torn(bytes: &[u8], cut: &Cut) -> Vec<u8> {
    let mut left = bytes[..cut.part.index(bytes.len() + 1)].to_vec();
    if !left.is_empty() {
        let (one, other) = (cut.hole.0.index(left.len()), cut.hole.1.index(left.len()));
        left[one.min(other)..one.max(other)].fill(0);
    }
    left
}

fn draft(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(format!("{path}.new"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn take(from: &Path, to: &Path, path: &str) {
    let target = to.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(from.join(path), target).unwrap();
}

/// The files that are put one after the other, each durable before the next, and how many of them the cut let
/// through; of the next one there is a draft, in part.
fn put_some(from: &Path, to: &Path, files: &[String], cut: &Cut) -> bool {
    let done = cut.at.index(files.len() + 1);
    for path in &files[..done] {
        take(from, to, path);
        if !cut.is_late {
            let partial = to.join(format!("{path}.p"));
            // There is none, usually.
            drop(fs::remove_dir_all(partial));
        }
    }
    if let Some(path) = files.get(done) {
        draft(to, path, &torn(&fs::read(from.join(path)).unwrap(), cut));
    }
    done == files.len()
}

struct Line {
    /// Before the step that is cut.
    before: Place,
    /// After it, had it come to its end.
    after: Place,
}

impl Line {
    fn dir(place: &Place) -> PathBuf {
        place.state().join("ledger")
    }

    /// Leaves the disk of `before` as the cut would, and says how many leaves are durable at least.
    fn cut(&self, step: &Step, durable: u64, cut: &Cut) -> u64 {
        let (before, after) = (Self::dir(&self.before), Self::dir(&self.after));
        match step {
            Step::Append(count) => self.cut_append(durable, *count, cut),
            Step::Sign if durable == 0 => 0,
            Step::Sign => {
                let kinds = |tile: &Tile| !tile.is_full();
                let files: Vec<String> = Tile::of_log(durable)
                    .filter(kinds)
                    .map(|tile| tile.to_string())
                    .collect();
                if put_some(&after, &before, &files, cut) {
                    let keys = self.before.key().parent().unwrap().to_owned();
                    copy_tree(self.after.key().parent().unwrap(), &keys);
                    put_some(&after, &before, &["checkpoint".to_owned()], cut);
                }
                durable
            }
        }
    }

    fn cut_append(&self, durable: u64, count: u64, cut: &Cut) -> u64 {
        let (before, after) = (Self::dir(&self.before), Self::dir(&self.after));
        let ledger = self.after.open();
        let new: Vec<Vec<u8>> = ledger
            .read(durable, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|(_, leaf)| leaf)
            .collect();
        drop(ledger);
        let frames = journal::framed(durable, &new).unwrap();
        let old = fs::read(before.join("journal")).unwrap();
        // The frames come first; nothing else is written before they are durable.
        let reaches = cut.at.index(3);
        if reaches == 0 {
            let left = [old, torn(&frames, cut)].concat();
            fs::write(before.join("journal"), left).unwrap();
            return durable;
        }
        fs::write(before.join("journal"), [old, frames].concat()).unwrap();
        let size = durable + count;
        if size / WIDTH > durable / WIDTH {
            let index = durable / WIDTH;
            let width = WIDTH;
            let full = [Kind::Hashes(0), Kind::Entries].map(|kind| Tile { kind, index, width });
            let files = full.map(|tile| tile.to_string());
            if put_some(&after, &before, &files, cut) {
                put_some(&after, &before, &["journal".to_owned()], cut);
            }
        }
        size
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the cut leaves: what was reported durable is there, what was signed is continued, and the
    /// ledger goes on.
    #[test]
    fn a_power_cut_loses_nothing_that_was_reported_durable(
        history in prop::collection::vec(steps(), 1..6),
        step in steps(),
        cut in cuts(),
    ) {
        let before = Place::new();
        let mut seen = Vec::new();
        let ledger = before.open();
        for step in history {
            match step {
                Step::Append(count) => grow(&ledger, count),
                Step::Sign => seen.extend(ledger.sign().unwrap()),
            }
        }
        let durable = ledger.size();
        drop(ledger);
        let after = Place::new();
        copy_tree(before.dir.path(), after.dir.path());
        let keys = after.key().parent().unwrap().to_owned();
        fs::set_permissions(keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let ledger = after.open();
        match step {
            Step::Append(count) => grow(&ledger, count),
            Step::Sign => drop(ledger.sign().unwrap()),
        }
        let intended = leaves(&ledger);
        drop(ledger);
        let line = Line { before, after };
        let at_least = line.cut(&step, durable, &cut);

        let place = &line.before;
        let (ledger, _) = Ledger::open(&place.state(), &place.key(), ORIGIN).unwrap();
        prop_assert!(ledger.suspended().is_none(), "{:?}", ledger.suspended());
        let left = leaves(&ledger);
        prop_assert!(left.len() as u64 >= at_least, "{} of {at_least}", left.len());
        prop_assert_eq!(&left[..], &intended[..left.len()]);
        for head in &seen {
            prop_assert_eq!(ledger.root_at(head.size).unwrap(), head.root);
        }
        if ledger.signed() > 0 {
            let head = verify_files(ledger.dir(), &ledger.keys(), ORIGIN, &seen).unwrap();
            prop_assert_eq!(head.size, ledger.signed());
            prop_assert!(note(&ledger).starts_with(&head.to_string()));
        }
        // It goes on.
        grow(&ledger, 300);
        seen.extend(ledger.sign().unwrap());
        let head = verify_files(ledger.dir(), &ledger.keys(), ORIGIN, &seen).unwrap();
        prop_assert_eq!((head.size, head.root), ledger.head());
    }
}
