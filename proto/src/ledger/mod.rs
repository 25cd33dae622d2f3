//! The ledger's formats and checks: leaves, the tree over them, checkpoints and proofs.
//!
//! Pure, and enough to verify a ledger without the agent.

pub mod jcs;
mod leaf;

pub use leaf::*;
