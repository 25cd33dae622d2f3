//! The core: what a machine is really doing, worked out from samples. Synchronous, without I/O and
//! without a clock: time enters only inside an input.

mod points;
pub mod rule;
pub mod state;
