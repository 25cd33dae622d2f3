//! The city's copy: every gateway's ledger, verified leaf by leaf, kept as static files, and cosigned.
//!
//! In the directory of an archive (`--dir`): `logs/{site}/{gateway}/e{epoch}/`, each a C2SP tiled log that any web
//! server may serve and any tool may read, and nothing else; `kept/…` beside it, what only the archive reads: texts of
//! maps and tokens, kept notes, and what it knows of each log ([`Record`]); `alarms/`, the proof of what was refused.

pub mod alarm;
mod answering;
pub(super) mod asker;
pub mod cards;
pub mod desk;
mod ear;
pub mod events;
mod exchange;
pub mod export;
pub mod index;
pub mod inspection;
pub mod library;
pub mod live;
pub mod members;
mod mirror;
mod mouth;
mod pending;
pub mod place;
mod readers;
pub mod record;
pub mod refused;
pub mod roll;
pub mod run;
pub mod seat;
mod shelf;
mod sorted;
pub mod standing;
pub mod strangers;
mod submitting;
mod succession;
#[cfg(test)]
pub(crate) mod testing;
pub mod web;
pub mod witness;
mod writes;

pub use cards::Cards;
pub use library::Library;
pub use live::Live;
pub use place::Place;
pub use record::{Cosigned, Record, Stopped};
pub use refused::Refused;
pub use roll::Roll;
pub use shelf::Shelf;
pub use standing::{Held, Standing};
pub use strangers::Stranger;
