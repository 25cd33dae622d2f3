//! Whatever happens to the files: every message arrives or is named, and no seq is given twice.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{City, Limits, Line, machine, nothing_is_missing, small};

const MESSAGES: usize = 100;
const BYTES: usize = 20_000;

/// What is expected after the damage.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    /// Everything arrives.
    Whole,
    /// What does not arrive is named.
    Named,
    /// A new stream; what can be read of the old one arrives, and so many messages at least.
    NewStream(usize),
}

/// Fills some segments, delivers a part, damages, and lets the city have the rest.
fn check(name: &str, fate: Fate, damage: impl FnOnce(&Path)) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("outbox");
    let mut line = Line::start(&dir, small());
    let mut city = City::default();
    line.fill(&mut city, MESSAGES, BYTES);
    let records = line.outbox().read(0, 30 * BYTES).unwrap();
    city.position = records.last().unwrap().0 / 2;
    line.outbox().acknowledge(city.position);
    let gap = line.field_gap(0);
    line.outbox().append(vec![gap]).unwrap();
    line.fill(&mut city, 4, BYTES);
    let before = line.recovered.stream.clone();
    let next = line.next_seq.clone();
    let acknowledged = line.outbox().delivered();
    assert!(line.segments().len() >= 4, "{name}: {:?}", line.segments());
    line.close();
    damage(&dir);
    line.open();
    match fate {
        Fate::Whole | Fate::Named => {
            assert_eq!(line.recovered.stream, before, "{name}");
            assert_eq!(line.next_seq, next, "{name}: no seq is given twice");
        }
        Fate::NewStream(_) => {
            assert_ne!(line.recovered.stream, before, "{name}");
            assert_eq!(line.next_seq, [0; 3], "{name}");
        }
    }
    line.fill(&mut city, 6, 100);
    city.drain(line.outbox(), line.now);
    for number in 0..2 {
        let machine = machine(number);
        let stream = &line.recovered.stream;
        let mut missing = city.missing(stream, &machine, line.next_seq[number]);
        // Acknowledged in this test without being read.
        if *stream == before {
            missing.retain(|seq| *seq >= acknowledged.div_ceil(2));
        }
        assert_eq!(missing, Vec::<u64>::new(), "{name}: {machine}");
    }
    let arrived: usize = (0..2)
        .map(|number| city.arrived(&before, &machine(number)))
        .sum();
    match fate {
        Fate::Whole => {
            let undelivered = MESSAGES - usize::try_from(acknowledged).unwrap();
            assert!(arrived >= undelivered + 10, "{name}: {arrived}");
            assert_eq!(line.recovered.alarms, Vec::<String>::new(), "{name}");
            assert_eq!(city.gaps.len(), 1, "{name}: {:?}", city.gaps);
        }
        Fate::Named => {
            let stale = city
                .gaps
                .iter()
                .filter(|gap| gap.reason.starts_with("silence"));
            let told = city
                .gaps
                .iter()
                .filter(|gap| gap.reason.contains("gap documents"));
            assert!(stale.chain(told).count() >= 1, "{name}: {:?}", city.gaps);
        }
        Fate::NewStream(least) => {
            assert!(arrived >= least, "{name}: {arrived}");
        }
    }
    // Nothing of it comes back.
    let end = line.commit();
    line.reopen();
    assert_eq!(line.outbox().delivered(), end, "{name}");
    assert_eq!(line.recovered.alarms, Vec::<String>::new(), "{name}");
    assert_eq!(line.outbox().figures().messages, 0, "{name}");
}

fn nth_segment(dir: &Path, nth: isize) -> std::path::PathBuf {
    let mut dirs: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("seg-")
        })
        .collect();
    dirs.sort();
    let count = isize::try_from(dirs.len()).unwrap();
    dirs[usize::try_from(nth.rem_euclid(count)).unwrap()].clone()
}

fn flip(path: &Path, share: f64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let length = file.metadata().unwrap().len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small file"
    )]
    let place = (length as f64 * share) as u64;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], place).unwrap();
}

fn truncate(path: &Path, share: f64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small file"
    )]
    file.set_len((length as f64 * share) as u64).unwrap();
}

#[test]
fn nothing_happens() {
    check("nothing", Fate::Whole, |_| {});
}

#[test]
fn a_flipped_byte() {
    let mut random = fastrand::Rng::new();
    let rounds = std::env::var("LINESIDE_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        for nth in [0, 2, -1] {
            let share = random.f64() * 0.999;
            let name = format!("flip {round} in {nth} at {share}");
            check(&name, Fate::Named, |dir| {
                flip(&nth_segment(dir, nth).join("db"), share)
            });
        }
    }
}

#[test]
fn a_file_cut_short() {
    for (nth, share) in [(0, 0.5), (2, 0.0), (-1, 0.3), (-1, 0.0), (1, 0.99)] {
        let name = format!("{nth} cut to {share}");
        check(&name, Fate::Named, |dir| {
            truncate(&nth_segment(dir, nth).join("db"), share)
        });
    }
}

#[test]
fn segments_gone() {
    for nth in [0, 1, -1] {
        let name = format!("{nth} gone");
        check(&name, Fate::Named, |dir| {
            fs::remove_dir_all(nth_segment(dir, nth)).unwrap()
        });
    }
    check("all gone", Fate::Named, |dir| {
        for _ in 0..4 {
            fs::remove_dir_all(nth_segment(dir, 0)).unwrap();
        }
    });
    check("only the index left", Fate::Named, |dir| {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let index = entry.file_name().to_string_lossy().starts_with("index");
            if entry.file_type().unwrap().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            } else if !index {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    });
}

#[test]
fn what_is_set_aside_is_bounded_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(place.path(), small());
    let mut city = City::default();
    line.fill(&mut city, 2 * MESSAGES, BYTES);
    line.close();
    let segments = line.segments();
    assert!(segments.len() > 5, "{segments:?}");
    for segment in &segments {
        fs::remove_file(segment.join("db")).unwrap();
    }
    line.open();
    city.drain(line.outbox(), line.now);
    let entries = fs::read_dir(place.path()).unwrap().flatten();
    let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("bad-seg-"));
    assert_eq!(aside.count(), 3);
    assert_eq!(line.outbox().figures().dropped, 2 * MESSAGES as u64);
    let named: u64 = city
        .gaps
        .iter()
        .filter_map(|gap| Some(gap.seq_to? - gap.seq_from? + 1))
        .sum();
    assert_eq!(named, 2 * MESSAGES as u64);
    // For each machine: what was found at the start, and what was found when it was read.
    assert_eq!(city.gaps.len(), 4, "{:?}", city.gaps);
}

#[test]
fn what_sled_leaves_behind() {
    for nth in [0, 1, -1] {
        check("empty snapshot", Fate::Whole, |dir| {
            fs::write(nth_segment(dir, nth).join("snap.00000000FFFFFFFF"), b"").unwrap();
        });
        check("bad snapshot", Fate::Whole, |dir| {
            let path = nth_segment(dir, nth).join("snap.00000000FFFFFFFF");
            fs::write(path, b"a snapshot that is none at all").unwrap();
        });
    }
}

#[test]
fn the_index() {
    // One slot: the other says how it was one commit before, and the segments say what came since.
    for slot in ["index.0", "index.1"] {
        check(slot, Fate::Whole, |dir| flip(&dir.join(slot), 0.001));
        check(slot, Fate::Whole, |dir| {
            fs::remove_file(dir.join(slot)).unwrap()
        });
    }
    check("no index", Fate::NewStream(MESSAGES / 2), |dir| {
        fs::remove_file(dir.join("index.0")).unwrap();
        fs::remove_file(dir.join("index.1")).unwrap();
    });
    check("two bad slots", Fate::NewStream(MESSAGES / 2), |dir| {
        fs::write(dir.join("index.0"), b"not an index").unwrap();
        truncate(&dir.join("index.1"), 0.01);
    });
    check("nothing at all", Fate::NewStream(0), |dir| {
        fs::remove_dir_all(dir).unwrap()
    });
}

/// The tail is longer than sled's cache, so that its beginning is read from the disk, and that is overwritten.
#[test]
fn a_tail_that_goes_bad_while_it_is_written_is_never_taken_for_an_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits {
        segment_bytes: 1 << 30,
        ..small()
    };
    let mut line = Line::start(place.path(), limits);
    let mut city = City::default();
    line.fill(&mut city, 8 * MESSAGES, BYTES);
    let tail = nth_segment(place.path(), -1).join("db");
    let file = OpenOptions::new().write(true).open(&tail).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length > 12 << 20, "{length}");
    for at in (4096..length / 2).step_by(509) {
        file.write_all_at(&[0xA5; 32], at).unwrap();
    }
    let read = line.outbox().read(0, 1);
    assert!(
        !read.is_ok_and(|records| records.is_empty()),
        "nothing there, it says"
    );
    line.fill(&mut city, 6, 100);
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
    assert!(!city.gaps.is_empty());
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let place = tempfile::tempdir().unwrap();
    let line = Line::start(place.path(), small());
    let second = super::Outbox::open_with(place.path(), small(), line.now);
    let text = second.unwrap_err().to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(&place.path().display().to_string()), "{text}");
}
