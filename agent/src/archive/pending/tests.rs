//! What waits in files is read again, whatever lies beside them.

use super::{
    FILES_KEPT, FRAME_HEAD_BYTES, LEAF_BYTES_MAX, Pending, READ_BYTES_MAX, Reading, Waiting,
    numbers, path_of,
};
use std::collections::BTreeSet;
use std::fs;

fn waiting(index: u64) -> Waiting {
    Waiting {
        site: "zs".parse().unwrap(),
        gateway: "gw-1".parse().unwrap(),
        epoch: 2,
        index,
        leaf: format!("leaf {index}\n").into_bytes(),
    }
}

fn read(reading: &mut Reading, dir: &std::path::Path) -> Vec<u64> {
    let mut found = Vec::new();
    reading
        .next(dir, |one| {
            assert_eq!(one, waiting(one.index));
            found.push(one.index);
        })
        .unwrap();
    found
}

#[test]
fn what_was_settled_is_read_once_also_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut pending = Pending::open(dir.path()).unwrap();
    let mut reading = Reading::default();
    assert_eq!(read(&mut reading, dir.path()), [0_u64; 0]);
    for index in 0..3 {
        pending.add(&waiting(index));
    }
    assert_eq!(read(&mut reading, dir.path()), [0_u64; 0]);
    pending.settle().unwrap();
    assert_eq!(read(&mut reading, dir.path()), [0, 1, 2]);
    pending.roll([waiting(2)].into_iter()).unwrap();
    pending.add(&waiting(3));
    pending.settle().unwrap();
    assert_eq!(read(&mut reading, dir.path()), [2, 3]);
    // A start begins another file, and finds what was there.
    drop(pending);
    drop(Pending::open(dir.path()).unwrap());
    assert_eq!(read(&mut Reading::default(), dir.path()), [0, 1, 2, 2, 3]);
}

#[test]
fn starts_leave_no_trail_of_files() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        assert!(!Pending::open(dir.path()).unwrap().is_full());
    }
    assert_eq!(numbers(dir.path()).unwrap(), [1]);
    for start in 1..20 {
        let mut pending = Pending::open(dir.path()).unwrap();
        let all = read(&mut Reading::default(), dir.path());
        assert_eq!(all.last().copied(), (start > 1).then_some(start - 1));
        if pending.is_full() {
            let all = all.into_iter().collect::<BTreeSet<_>>();
            pending.roll(all.into_iter().map(waiting)).unwrap();
        }
        pending.add(&waiting(start));
        pending.settle().unwrap();
        let files = numbers(dir.path()).unwrap();
        assert!(files.len() as u64 <= FILES_KEPT + 1, "{files:?}");
    }
    let all = read(&mut Reading::default(), dir.path());
    let all = all.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(all, (1..20).collect());
}

#[test]
fn a_frame_without_an_epoch_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut pending = Pending::open(dir.path()).unwrap();
    let body = b"zs/gw-1/1\nleaf 1\n";
    let mut old = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    old.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    old.extend_from_slice(body);
    pending.buffer.extend_from_slice(&old);
    pending.add(&waiting(2));
    pending.settle().unwrap();
    assert_eq!(read(&mut Reading::default(), dir.path()), [2]);
}

#[test]
fn a_disk_that_refuses_leaves_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut pending = Pending::open(dir.path()).unwrap();
    pending.add(&waiting(1));
    pending.settle().unwrap();
    // Where the file should come there is something else: as refused as by a full disk.
    let draft = dir.path().join(super::DRAFT);
    fs::create_dir(&draft).unwrap();
    for _ in 0..3 {
        assert!(pending.roll([waiting(1)].into_iter()).is_err());
        assert_eq!(numbers(dir.path()).unwrap(), [1]);
    }
    pending.add(&waiting(2));
    pending.settle().unwrap();
    assert_eq!(read(&mut Reading::default(), dir.path()), [1, 2]);
    fs::remove_dir(&draft).unwrap();
    // A name that is taken is passed over.
    fs::write(path_of(dir.path(), 2), b"").unwrap();
    pending.roll([waiting(1), waiting(2)].into_iter()).unwrap();
    assert_eq!(numbers(dir.path()).unwrap(), [1, 2, 3]);
    assert!(!draft.exists());
    pending.add(&waiting(3));
    pending.settle().unwrap();
    let all = read(&mut Reading::default(), dir.path());
    assert_eq!(all, [1, 2, 1, 2, 3]);
}

#[test]
fn many_files_and_taken_names_prevent_no_start() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=1_100 {
        fs::write(path_of(dir.path(), number), b"x").unwrap();
    }
    // Neither empty nor a file.
    fs::create_dir(path_of(dir.path(), 1_101)).unwrap();
    for start in 0..4 {
        let mut pending = Pending::open(dir.path()).unwrap();
        assert_eq!(pending.number, 1_102 + start);
        pending.add(&waiting(start));
        pending.settle().unwrap();
    }
    let mut pending = Pending::open(dir.path()).unwrap();
    assert!(pending.is_full());
    fs::remove_dir(path_of(dir.path(), 1_101)).unwrap();
    for _ in 0..3 {
        pending.roll([waiting(7)].into_iter()).unwrap();
    }
    assert_eq!(numbers(dir.path()).unwrap(), [1_106, 1_107, 1_108, 1_109]);
}

#[test]
fn a_long_file_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut pending = Pending::open(dir.path()).unwrap();
    let one = Waiting {
        leaf: vec![b'x'; LEAF_BYTES_MAX],
        ..waiting(1)
    };
    let count = 2 * usize::try_from(READ_BYTES_MAX).unwrap() / LEAF_BYTES_MAX;
    (0..count).for_each(|_| pending.add(&one));
    pending.settle().unwrap();
    let (mut reading, mut found) = (Reading::default(), 0);
    while reading.next(dir.path(), |_| found += 1).unwrap() {}
    assert_eq!(found, count);
}

#[test]
fn old_files_go_and_a_torn_frame_ends_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut pending = Pending::open(dir.path()).unwrap();
    for _ in 0..10 {
        pending.roll([waiting(7)].into_iter()).unwrap();
    }
    assert_eq!(numbers(dir.path()).unwrap(), [8, 9, 10, 11]);
    let path = path_of(dir.path(), 11);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(read(&mut Reading::default(), dir.path()).len(), 3);
    }
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let found = read(&mut Reading::default(), dir.path());
        assert_eq!(found.len(), 3, "{place} of {FRAME_HEAD_BYTES}");
    }
}
