//! The ledger's formats and checks: leaves, the tree over them, tiles, checkpoints, notes and proofs.
//!
//! Pure, and enough to verify a ledger without the agent.

mod change;
pub mod checkpoint;
pub mod conservation;
pub mod edge;
pub mod files;
pub mod jcs;
mod leaf;
pub mod note;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod tile;
pub mod tree;
pub mod verify;
mod word;

pub use checkpoint::Checkpoint;
pub use leaf::*;
pub use tree::Hash;
pub use word::{CloseReason, GapReason, SessionEvent, Shutdown};
