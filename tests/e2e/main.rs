//! The agent from end to end: the real binary between peers that are not ours, through faults.

mod availability;
mod bad_input;
mod broker;
mod dead_unit;
mod outage;
mod portal;
mod readonly;
mod reload;
mod stale;
mod types;
mod will;
