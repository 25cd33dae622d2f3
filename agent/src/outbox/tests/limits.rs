//! Size, age and a full disk: what goes is named, what stays is right.

use lineside_proto::Gap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::{PAYLOAD_BYTES_MAX, PENDING_BYTES_MAX, StoreError, disk};
use super::{City, HOUR_MS, Limits, Line, machine, nothing_is_missing, small};

fn capped(mebibytes: u64) -> Limits {
    Limits {
        size_bytes_max: mebibytes << 20,
        ..small()
    }
}

#[test]
fn the_oldest_goes_when_the_cap_is_reached_and_is_named() {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(place.path(), capped(8));
    let mut city = City::default();
    let gap = line.field_gap(1);
    line.outbox().append(vec![gap.clone()]).unwrap();
    for _ in 0..12 {
        line.fill(&mut city, 40, 20_000);
        let used = disk::measure(place.path());
        assert!(used <= 8 << 20, "{used} bytes on disk");
    }
    let figures = line.outbox().figures();
    assert!(figures.dropped > 100, "{figures:?}");
    assert!(figures.bytes > 2 << 20, "{figures:?}");
    assert!(figures.messages < 480, "{figures:?}");
    line.reopen();
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
    let reasons: Vec<_> = city.gaps.iter().map(|gap| gap.reason.clone()).collect();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.starts_with("the outbox was full (cap 8.0 MiB)")),
        "{reasons:?}"
    );
    let field = city
        .gaps
        .iter()
        .filter(|gap| gap.reason.starts_with("silence"));
    assert_eq!(field.count(), 1, "the gap document outlives its segment");
    let named: u64 = city
        .gaps
        .iter()
        .filter_map(|gap| Some(gap.seq_to? - gap.seq_from? + 1))
        .sum();
    assert_eq!(named, figures.dropped, "exactly what went is named");
    let samples: u64 = city.gaps.iter().filter_map(|gap| gap.samples).sum();
    assert_eq!(samples, figures.dropped * 10);
}

/// Lets hours pass, with a commit now and then.
fn wait(line: &mut Line, hours: i64) {
    for _ in 0..2 * hours {
        line.now = line.now.plus_millis(HOUR_MS / 2);
        line.commit();
    }
}

#[test]
fn what_is_too_old_goes_and_is_named() {
    let place = tempfile::tempdir().unwrap();
    let age_max = Duration::from_secs(24 * 3600);
    let mut line = Line::start(place.path(), Limits { age_max, ..small() });
    let mut city = City::default();
    line.fill(&mut city, 20, 100);
    let gap = line.field_gap(0);
    line.outbox().append(vec![gap]).unwrap();
    for _ in 0..5 {
        wait(&mut line, 4);
        line.fill(&mut city, 2, 100);
    }
    assert_eq!(line.outbox().figures().dropped, 0);
    let oldest = line.outbox().figures().oldest.unwrap();
    wait(&mut line, 5);
    assert_eq!(line.outbox().figures().dropped, 20);
    let older = line.outbox().figures().oldest.unwrap();
    assert!(older <= oldest, "its gap document says so still");
    wait(&mut line, 40);
    assert_eq!(line.outbox().figures().dropped, 30);
    line.fill(&mut city, 2, 100);
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
    let gaps = &city.gaps;
    assert!(
        gaps.iter().any(|gap| gap.reason == "older than 1day"),
        "{gaps:?}"
    );
    assert!(gaps.iter().any(|gap| gap.reason.starts_with("silence")));
    assert_eq!(city.arrived(&line.recovered.stream, &machine(0)), 1);
}

#[test]
fn a_clock_that_is_set_makes_nothing_too_old() {
    let place = tempfile::tempdir().unwrap();
    let age_max = Duration::from_secs(24 * 3600);
    let mut line = Line::start(place.path(), Limits { age_max, ..small() });
    let mut city = City::default();
    line.now = lineside_proto::Time::from_millis(60_000);
    line.commit();
    line.fill(&mut city, 20, 100);
    for years in [50, -1, 20] {
        line.now = line.now.plus_millis(years * 365 * 24 * HOUR_MS);
        line.fill(&mut city, 2, 100);
        line.reopen();
    }
    wait(&mut line, 20);
    assert_eq!(line.outbox().figures().dropped, 0);
    wait(&mut line, 20);
    assert_eq!(line.outbox().figures().dropped, 26);
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
}

#[test]
fn what_is_delivered_leaves_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(place.path(), small());
    let mut city = City::default();
    line.fill(&mut city, 120, 20_000);
    let full = line.outbox().figures();
    city.drain(line.outbox(), line.now);
    let left = line.outbox().figures();
    assert_eq!((left.messages, left.oldest, left.dropped), (0, None, 0));
    assert!(left.bytes * 2 < full.bytes, "{left:?} of {full:?}");
    assert!(line.segments().len() <= 1, "the tail");
}

#[test]
fn what_can_never_be_stored_is_refused_whole() {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(place.path(), small());
    let mut good = line.telemetry(0, 10);
    let mut long = good.clone();
    long.payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let refused = line.outbox().append(vec![good.clone(), long]);
    assert!(
        matches!(refused, Err(StoreError::TooLarge { .. })),
        "{refused:?}"
    );
    let mut gap = line.field_gap(0);
    gap.payload = b"{}".to_vec();
    let refused = line.outbox().append(vec![good.clone(), gap]);
    assert!(
        matches!(refused, Err(StoreError::NotAGap { .. })),
        "{refused:?}"
    );
    assert_eq!(line.commit(), 0);
    good.payload = line.telemetry(0, PAYLOAD_BYTES_MAX - 100).payload;
    line.outbox().append(vec![good.clone()]).unwrap();
    assert_eq!(line.commit(), 1);
    assert_eq!(line.outbox().read(0, 1).unwrap(), [(0, good)]);
}

/// Bytes that others leave on the pretended disk.
static ROOM: AtomicU64 = AtomicU64::new(u64::MAX);

fn pretended_room(dir: &Path) -> std::io::Result<u64> {
    let room = ROOM.load(Ordering::Relaxed);
    Ok(room.saturating_sub(disk::measure(dir)))
}

/// Fills a small disk, then drains it. `relieve`: what people do when they hear of it.
fn fill_the_disk(dir: &Path, limits: Limits, relieve: impl FnOnce()) {
    let mut line = Line::start(dir, limits);
    let mut city = City::default();
    let gap = line.field_gap(1);
    line.outbox().append(vec![gap]).unwrap();
    for _ in 0..10 {
        line.fill(&mut city, 40, 20_000);
    }
    let figures = line.outbox().figures();
    assert!(figures.dropped > 0, "{figures:?}");
    relieve();
    line.reopen();
    line.fill(&mut city, 8, 20_000);
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
    // Where there was no room to read a segment before it went, its gap documents are named as lost.
    let kept = city
        .gaps
        .iter()
        .any(|gap| gap.reason.starts_with("silence"));
    let told = |gap: &Gap| gap.machine == machine(1) && gap.reason.contains("gap documents");
    assert!(kept || city.gaps.iter().any(told), "{:?}", city.gaps);
    assert!(
        city.gaps
            .iter()
            .any(|gap| gap.reason.contains("the disk was full"))
    );
    assert!(city.arrived(&line.recovered.stream, &machine(0)) > 20);
}

#[test]
fn a_full_disk_sheds_the_oldest_first() {
    let place = tempfile::tempdir().unwrap();
    ROOM.store(12 << 20, Ordering::Relaxed);
    let limits = Limits {
        reserve_bytes: 2 << 20,
        free: pretended_room,
        ..small()
    };
    fill_the_disk(place.path(), limits.clone(), || {});
    // Nothing left to give up: what is appended waits within its bound, then is named.
    let mut line = Line::start(&place.path().join("full"), limits);
    let mut city = City::default();
    line.fill(&mut city, 4, 1000);
    ROOM.store(0, Ordering::Relaxed);
    let mut appended = 0;
    while appended < 3 * PENDING_BYTES_MAX {
        let record = line.telemetry(0, 100_000);
        city.expect(&line.recovered.stream, &record);
        appended += record.payload.len();
        line.outbox().append(vec![record]).unwrap();
        let refused = line.outbox().commit(line.now);
        assert!(refused.is_err_and(|error| error.is_full()));
    }
    assert!(line.outbox().figures().dropped > 0);
    assert!(line.outbox().read(0, 1).is_ok(), "reading goes on");
    ROOM.store(u64::MAX, Ordering::Relaxed);
    line.fill(&mut city, 4, 1000);
    line.reopen();
    city.drain(line.outbox(), line.now);
    nothing_is_missing(&line, &city);
    assert!(
        city.gaps
            .iter()
            .any(|gap| gap.reason.contains("the disk took nothing"))
    );
}

/// Where this may mount, the disk is really full; elsewhere it is said to be.
#[test]
fn a_really_full_disk_sheds_the_oldest_first() {
    // With a look at the room before each commit, and without, so that sled itself meets the end.
    for blind in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let mount = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            let output = command.args(arguments).arg(place.path()).output();
            output.is_ok_and(|output| output.status.success())
        };
        let mounted = mount("mount", &["-t", "tmpfs", "-o", "size=14m", "tmpfs"]);
        let free = match (mounted, blind) {
            (true, true) => |_: &Path| Ok(u64::MAX),
            (true, false) => disk::free,
            (false, _) => pretended_room_of_its_own,
        };
        let limits = Limits {
            reserve_bytes: 4 << 20,
            free,
            ..small()
        };
        let dir = place.path().join("outbox");
        let relieve = || {
            let wider = mounted && blind && mount("mount", &["-o", "remount,size=64m"]);
            assert_eq!(wider, mounted && blind);
        };
        let result = catch_unwind(AssertUnwindSafe(|| fill_the_disk(&dir, limits, relieve)));
        assert!(!mounted || mount("umount", &["-l"]));
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }
}

fn pretended_room_of_its_own(dir: &Path) -> std::io::Result<u64> {
    Ok((14_u64 << 20).saturating_sub(disk::measure(dir)))
}
