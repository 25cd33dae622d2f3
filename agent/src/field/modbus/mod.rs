//! Modbus over TCP, over serial lines and over gateways that carry RTU frames in TCP.
//!
//! Only the four reading functions exist here; there is no code path to any other.

pub mod decode;
pub mod plan;

#[cfg(test)]
mod sample_map;
