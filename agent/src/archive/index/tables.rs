//! The tables as the program knows them; `schema.sql` says what each column means, and a test holds both together.

use super::sql::Table;

pub(super) const LOGS: Table = Table {
    name: "logs",
    columns: &[
        "log",
        "site",
        "gateway",
        "epoch",
        "origin",
        "size",
        "root",
        "first_ms",
        "newest_ms",
        "unknown",
        "odd",
    ],
    key: 1,
};

pub(super) const BOOTS: Table = Table {
    name: "boots",
    columns: &[
        "log", "boot", "leaf", "at_ms", "version", "previous", "clock",
    ],
    key: 2,
};

pub(super) const MACHINES: Table = Table {
    name: "machines",
    columns: &[
        "log",
        "machine",
        "name_zh",
        "name_en",
        "map",
        "first_ms",
        "newest_ms",
    ],
    key: 2,
};

pub(super) const STATES: Table = Table {
    name: "states",
    columns: &[
        "log",
        "machine",
        "leaf",
        "at_ms",
        "state",
        "state_before",
        "since_ms",
        "rule",
        "map",
    ],
    key: 2,
};

pub(super) const SESSIONS: Table = Table {
    name: "sessions",
    columns: &[
        "log",
        "machine",
        "session",
        "open_leaf",
        "close_leaf",
        "bind_leaf",
        "booking",
        "token",
        "class",
        "class_before",
        "check_in",
        "person",
        "from_ms",
        "to_ms",
        "end_ms",
        "reason",
        "outcome",
        "leaves",
        "uncounted",
        "unknown_ms",
        "off_ms",
        "down_ms",
        "maint_ms",
        "idle_ms",
        "setup_ms",
        "run_ms",
        "hold_ms",
        "active_ms",
        "energy_mwh",
    ],
    key: 3,
};

pub(super) const OUTCOMES: Table = Table {
    name: "outcomes",
    columns: &[
        "log",
        "leaf",
        "at_ms",
        "machine",
        "booking",
        "token",
        "class",
        "outcome",
        "check_in",
        "session",
        "start_ms",
        "end_ms",
        "slot_ms",
        "active_ms",
        "unknown_ms",
        "down_ms",
        "coverage_pm",
    ],
    key: 2,
};

pub(super) const USAGE: Table = Table {
    name: "usage",
    columns: &[
        "log",
        "leaf",
        "machine",
        "session",
        "class",
        "from_ms",
        "to_ms",
        "unknown_ms",
        "off_ms",
        "down_ms",
        "maint_ms",
        "idle_ms",
        "setup_ms",
        "run_ms",
        "hold_ms",
        "hold_over_ms",
        "active_ms",
        "good",
        "bad",
        "clock",
        "energy_mwh",
        "map",
        "uncounted",
    ],
    key: 2,
};

pub(super) const COUNTED: Table = Table {
    name: "counted",
    columns: &["log", "machine", "boot", "mono_to_ms"],
    key: 3,
};

pub(super) const GAPS: Table = Table {
    name: "gaps",
    columns: &[
        "log",
        "leaf",
        "machine",
        "from_ms",
        "to_ms",
        "boot",
        "mono_to_ms",
        "length_ms",
        "clock",
        "reason",
    ],
    key: 2,
};

pub(super) const CORRECTIONS: Table = Table {
    name: "corrections",
    columns: &[
        "log", "leaf", "at_ms", "refers", "machine", "session", "reason", "person",
    ],
    key: 2,
};

/// Those with rows of logs, but for `LOGS` itself.
pub(super) const OF_LOGS: [&Table; 9] = [
    &BOOTS,
    &MACHINES,
    &STATES,
    &SESSIONS,
    &OUTCOMES,
    &USAGE,
    &COUNTED,
    &GAPS,
    &CORRECTIONS,
];
