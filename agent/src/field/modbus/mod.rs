//! Modbus over TCP, over serial lines and over gateways that carry RTU frames in TCP.
//!
//! Only the four reading functions exist here; there is no code path to any other.

mod backoff;
pub mod decode;
pub mod plan;
mod refusal;
mod schedule;
mod unit;

#[cfg(test)]
mod sample_map;
