//! What crosses Lineside's boundary: documents, topics and the rule by which a consumer reads them.
//!
//! Pure: no I/O, no clock, no runtime. JSON Schemas are generated from these types, and nothing that
//! Lineside sends is shaped anywhere else.

mod availability;
pub mod booking;
mod class;
mod consumer;
pub mod evidence;
mod gap;
pub mod ledger;
mod map;
mod name;
pub mod report;
mod request;
pub mod schema;
mod session;
mod state;
mod status;
mod telemetry;
pub mod text;
mod time;
mod topic;

pub use availability::{Availability, AvailableNow, LedgerHead, NextBooking, Reason, ReasonCode};
pub use availability::{SessionSummary, Window};
pub use class::{CheckIn, Class, Outcome};
pub use consumer::{Belief, Doubt, Receipt, believed, ends_ms, is_online};
pub use gap::{Gap, GapKind};
pub use map::{MapDocument, MapGroup, MapPoint, MapRule};
pub use name::{Identifier, LocalText, NameError, PointName};
pub use request::{ANSWER_BYTES_MAX, Answer, AnswerError, LeafMessage, Request};
pub use request::{BundleResult, CheckpointResult, EntriesResult, MapResult, ProofResult};
pub use request::{CheckpointsResult, KeptCheckpoint, TileResult, TokenResult};
pub use request::{
    CheckpointsWanted, LeafPlace, LeafRange, MapWanted, Period, TileWanted, TokenWanted,
};
pub use session::{BookingsAck, RefusalCode, RefusedBooking, SessionDocument, SessionNews};
pub use state::{OpcItem, OpcMode, OpcState, State};
pub use status::{
    Clock, ClockStatus, GatewayStatus, LedgerFigures, Link, MachineCount, OutboxFigures,
};
pub use telemetry::{Frame, Telemetry};
pub use text::{Language, Text, UnknownLanguage};
pub use time::Time;
pub use topic::{Topics, content_type};
