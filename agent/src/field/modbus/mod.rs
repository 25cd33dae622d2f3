//! Modbus over TCP, over serial lines and over gateways that carry RTU frames in TCP.
//!
//! Only the four reading functions exist here; there is no code path to any other.

pub mod decode;
mod exchange;
mod job;
pub(super) mod link;
pub mod plan;
mod probe;
mod refusal;
mod schedule;
mod strikes;
pub(super) mod transport;
mod unit;
mod wire;

#[cfg(test)]
pub(super) mod sample_map;
