//! The agent from end to end: the real binary between peers that are not ours, through faults.

mod stale;
