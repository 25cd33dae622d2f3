//! The durable queue of telemetry and gaps.

pub use crate::record::{Record, RecordKind};
