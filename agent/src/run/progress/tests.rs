use super::*;
use crate::clock::Stamp;
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

#[test]
fn what_was_written_is_recalled_unless_the_ledger_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine();
    let mut progress = Progress::open(dir.path(), "boot").unwrap();
    let none = || std::iter::once((&machine, None));
    let mut memory = memory();
    progress
        .write(none(), std::iter::once((&machine, memory.clone())), 7)
        .unwrap();
    // Only the running part changes: the other file knows fewer leaves, of which none concerns it.
    memory.running = memory.running.map(|running| Running {
        state: State::Run,
        ..running
    });
    progress
        .write(none(), std::iter::once((&machine, memory.clone())), 9)
        .unwrap();
    drop(progress);
    let progress = Progress::open(dir.path(), "boot").unwrap();
    let recalled = progress.recalled(9);
    assert_eq!(recalled[&machine].memory, memory);
    assert_eq!(recalled[&machine].running_leaves, 9);
    assert!(
        progress
            .recalled(8)
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
    assert!(progress.recalled(0).is_empty());
}
