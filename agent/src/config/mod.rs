//! What a technician edits, read into [`Config`]: every fault in one report, or none and plain data.

pub mod model;

pub use model::Config;
