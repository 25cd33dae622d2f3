//! The core: what a machine is really doing, worked out from samples. Synchronous, without I/O and
//! without a clock: time enters only inside an input.

pub mod account;
pub mod availability;
pub mod booking;
mod counter;
pub mod frames;
pub mod letters;
pub mod memory;
mod points;
pub mod recorder;
pub mod rule;
pub mod session;
mod silence;
pub mod state;
mod summary;
pub mod usage;
pub mod wall;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod year;
