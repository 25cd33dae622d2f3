//! Availability says UNKNOWN when nobody knows, in time, and no portal is ever told otherwise.

use anyhow::{Context, Result, ensure};
use lineside_proto::{AvailableNow, ReasonCode, State};
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::wait;

use lineside_tests::stand::{QUICK, Stand};

const STALE_AFTER_MS: i64 = 1_500;
const INTERVAL_MS: i64 = 500;
/// From the decision to the portal: the contract's second.
const PUBLISH_MS: i64 = 1_000;

/// A machine that is IDLE while `mode` is 0 and RUN while it is 1.
pub(crate) fn map(connection: &str) -> String {
    format!(
        "{connection}[groups]\nfast = \"{INTERVAL_MS}ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         [state]\nstale-after = \"{STALE_AFTER_MS}ms\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"mode == 0\"\n"
    )
}

/// The most that may pass between a change of the machine and the document that says so.
pub(crate) const SAID_MS: i64 = STALE_AFTER_MS + INTERVAL_MS + PUBLISH_MS;

fn idle(document: &lineside_proto::Availability) -> bool {
    document.state == State::Idle && document.available_now == AvailableNow::Yes
}

fn a_silent_machine(transport: Transport) -> Result<()> {
    let mode = Cell::new("holding", 0, "u16", 0);
    let mut device = Device::start(transport, &[(1, vec![mode.clone()])])?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let keys = if transport == Transport::Rtu {
        "timeout = \"200ms\"\nlisten = \"1s\""
    } else {
        "timeout = \"200ms\""
    };
    stand.site.machine("mill", &map(&device.connection(keys)))?;
    stand.start()?;
    // Before any machine is read, UNKNOWN is said.
    let first = stand.availability("mill", 0, |document, _| Some(document.reason.code))?;
    ensure!(first == ReasonCode::Starting, "{first:?}");
    stand.availability("mill", 0, |document, _| idle(document).then_some(()))?;

    let mark = stand.archive.mark()?;
    let silent_ms = wait::boot_ms();
    device.silent(true)?;
    let (document, at_ms) = stand.availability("mill", mark, |document, message| {
        (document.state == State::Unknown).then(|| (document.clone(), message.at_ms))
    })?;
    ensure!(
        at_ms - silent_ms <= SAID_MS,
        "UNKNOWN {} ms after the silence",
        at_ms - silent_ms
    );
    ensure!(
        document.available_now == AvailableNow::Unknown,
        "{document:?}"
    );
    ensure!(
        matches!(document.reason.code, ReasonCode::Stale | ReasonCode::Link),
        "{document:?}"
    );

    device.silent(false)?;
    stand.availability("mill", mark, |document, _| idle(document).then_some(()))?;
    let mark = stand.archive.mark()?;
    device.set(
        1,
        &Cell {
            value: 1.into(),
            ..mode
        },
    )?;
    stand.availability("mill", mark, |document, _| {
        (document.state == State::Run && document.available_now == AvailableNow::No).then_some(())
    })?;
    stand.stop()?;
    device.was_only_read()
}

#[test]
fn a_machine_that_falls_silent_becomes_unknown_in_time_over_tcp() -> Result<()> {
    a_silent_machine(Transport::Tcp)
}

#[test]
fn a_machine_that_falls_silent_becomes_unknown_in_time_on_a_serial_line() -> Result<()> {
    a_silent_machine(Transport::Rtu)
}

#[test]
fn a_fault_word_that_cant_be_read_lets_no_later_rule_speak() -> Result<()> {
    let cells = vec![
        Cell::new("holding", 0, "u16", 0),
        Cell::new("coil", 3, "bool", true),
    ];
    let device = Device::start(Transport::Tcp, &[(1, cells)])?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let map = format!(
        "{}[groups]\nfast = \"200ms\"\n[points]\n\
         speed = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         ready = {{ coil = 3, group = \"fast\" }}\n\
         fault_word = {{ holding = 5000, type = \"u16\", group = \"fast\" }}\n\
         [[state.rules]]\nstate = \"DOWN\"\nwhen = \"fault_word != 0\"\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"speed > 5\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"ready\"\n",
        device.connection("")
    );
    stand.site.machine("mill", &map)?;
    stand.start()?;
    let undecided = stand.availability("mill", 0, |document, _| {
        (document.reason.code == ReasonCode::Undecided).then(|| document.clone())
    })?;
    ensure!(
        undecided.reason.text.contains("fault_word"),
        "{undecided:?}"
    );
    stand.flow(20)?;
    let streams = stand.streams()?;
    let read = streams
        .payloads("mill")
        .iter()
        .any(|payload| payload.contains("\"ready\":true"));
    ensure!(read, "the other points are read all the while");
    for message in stand.archive.messages()? {
        if message.topic.ends_with("/availability/mill") {
            let document: lineside_proto::Availability = serde_json::from_str(&message.payload)?;
            ensure!(document.state == State::Unknown, "{document:?}");
            ensure!(
                document.available_now == AvailableNow::Unknown,
                "{document:?}"
            );
        }
    }
    stand.stop().context("a clean stop")?;
    device.was_only_read()
}
