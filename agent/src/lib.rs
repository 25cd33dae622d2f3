//! The Lineside agent: reads the machines beside it, works out what each is really doing, keeps
//! everything safe on disk and publishes it to the city.
//!
//! The modules stand in the order in which the data flows; `ARCHITECTURE.md` beside this crate draws it.

pub use lineside_proto::text;

pub mod answers;
pub mod archive;
pub mod bookings;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod entered;
pub mod evidence;
pub mod field;
pub mod hashed;
pub mod ledger;
pub mod live;
pub mod logs;
pub mod machine;
pub mod maps;
pub mod outbox;
mod progress;
pub mod pseudonym;
pub mod record;
pub mod report;
pub mod run;
pub mod sample;
pub mod serve;
pub mod sim;
pub mod slots;
pub mod tokens;
pub mod uplink;
