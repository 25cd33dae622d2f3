//! The city's copy: every gateway's ledger, verified leaf by leaf, kept as static files, and cosigned.
//!
//! In the directory of an archive (`--dir`): `logs/{site}/{gateway}/e{epoch}/`, each a C2SP tiled log that any web
//! server may serve and any tool may read, and nothing else; `kept/…` beside it, what only the archive reads: texts of
//! maps and tokens, kept notes, and what it knows of each log ([`Record`]); `alarms/`, the proof of what was refused.

pub mod alarm;
pub mod cards;
pub mod index;
mod mirror;
mod pending;
pub mod place;
pub mod record;
pub mod shelf;
mod writes;

pub use cards::Cards;
pub use place::Place;
pub use record::{Cosigned, Record, Stopped};
pub use shelf::Shelf;
