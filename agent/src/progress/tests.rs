use super::*;
use crate::clock::Stamp;
use crate::machine::memory::Done;
use crate::machine::session::Past;
use crate::machine::wall::Wall;
use lineside_proto::{ClockStatus, State};

fn machine() -> Identifier {
    "m".parse().unwrap()
}

fn memory() -> Memory {
    let wall = Wall::of(Stamp {
        boot_ms: 1_000,
        wall: Time::from_millis(1_795_420_800_000),
    });
    let mut running = Running::begin("boot", ClockStatus::S, "sha256:0", 1_000, &wall);
    running.usage.add(State::Idle, false, 5_000, false, &wall);
    Memory {
        running: Some(running),
        lasting: Arc::default(),
    }
}

fn extent(leaves: u64) -> Extent<'static> {
    Extent {
        origin: "lineside/s/g",
        leaves,
    }
}

#[test]
fn of_another_epoch_only_the_bookings_that_are_done_with_count() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine();
    let mut progress = Progress::open(dir.path(), "boot").unwrap();
    let mut memory = memory();
    let lasting = Arc::make_mut(&mut memory.lasting);
    let time = Time::default();
    lasting.done.insert(
        "bk".to_owned(),
        Done {
            end: time,
            is_decided: true,
            is_spent: true,
        },
    );
    lasting.past.push_back(Past {
        id: "past".to_owned(),
        from: time,
        to: time,
    });
    let memories = std::iter::once((&machine, memory.clone()));
    progress
        .write(std::iter::empty(), memories, extent(9))
        .unwrap();
    let progress = Progress::open(dir.path(), "boot").unwrap();
    for (origin, leaves) in [("lineside/s/g/e2", 1_000), ("lineside/s/g", 8)] {
        let recalled = &progress.recalled(Extent { origin, leaves })[&machine];
        assert_eq!(recalled.memory.running, None, "{origin}");
        assert_eq!((recalled.running_leaves, recalled.lasting_leaves), (0, 0));
        assert!(recalled.memory.lasting.is_done("bk"));
        assert!(recalled.memory.lasting.past.is_empty());
    }
    assert_eq!(progress.recalled(extent(9))[&machine].memory, memory);
}

#[test]
fn what_was_written_is_recalled_unless_the_ledger_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine();
    let mut progress = Progress::open(dir.path(), "boot").unwrap();
    let none = || std::iter::once((&machine, None));
    let mut memory = memory();
    progress
        .write(
            none(),
            std::iter::once((&machine, memory.clone())),
            extent(7),
        )
        .unwrap();
    // Only the running part changes: the other file knows fewer leaves, of which none concerns it.
    memory.running = memory.running.map(|running| Running {
        state: State::Run,
        ..running
    });
    progress
        .write(
            none(),
            std::iter::once((&machine, memory.clone())),
            extent(9),
        )
        .unwrap();
    drop(progress);
    let progress = Progress::open(dir.path(), "boot").unwrap();
    let recalled = progress.recalled(extent(9));
    assert_eq!(recalled[&machine].memory, memory);
    assert_eq!(recalled[&machine].running_leaves, 9);
    assert!(
        progress
            .recalled(extent(8))
            .get(&machine)
            .is_none_or(|recalled| recalled.memory.running.is_none())
    );
}

#[test]
fn a_record_of_an_earlier_version_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let old =
        r#"{"m":{"evidence":{"boot":"boot","boot_ms":77,"wall":"2026-11-29T08:00:00.000Z"}}}"#;
    Slots::open(&dir.path().join("progress"))
        .unwrap()
        .write(old.as_bytes())
        .unwrap();
    let progress = Progress::open(dir.path(), "boot").unwrap();
    let now = Stamp {
        boot_ms: 100,
        wall: Time::default(),
    };
    assert_eq!(progress.evidence(&machine(), now).unwrap().boot_ms, 77);
    assert!(progress.recalled(extent(0)).is_empty());
}
