//! What a gateway answers to those who want to check it: leaves, proofs, checkpoints, tiles, maps, tokens, its status.
//!
//! The same answers come over MQTT, over the local API, and from a copied state directory: they read from a
//! [`Source`], and know nothing of how they travel. What may be asked is a closed set (`question`), and changes
//! nothing. Blocks on the disk.
//!
//! Bounds: a part as large as the way allows, at most 120 KiB; 16 parts an answer; a deadline.

mod answer;
mod copied;
mod gateway;
mod part;
mod periods;
mod question;
mod source;

#[cfg(test)]
mod tests;

pub use answer::Answers;
pub use copied::{Before, Copied};
pub use gateway::{Gateway, Texts};
pub use part::{Room, documents};
pub use question::{Call, Code, Failure, METHODS, Question, call, read};
pub use source::Source;
