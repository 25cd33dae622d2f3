//! The core: what a machine is really doing, worked out from samples. Synchronous, without I/O and
//! without a clock: time enters only inside an input.

pub mod availability;
pub mod frames;
mod points;
pub mod recorder;
pub mod rule;
mod silence;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
