//! The states of one machine over time.

use lineside_proto::{ReasonCode, State};
use std::sync::Arc;

use crate::config::model::MachineMap;
use crate::sample::{Bad, Sample, Value};

/// The present state.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// The rule that holds.
    pub rule: Option<u16>,
    /// Onset.
    pub since_ms: i64,
    /// Decision.
    pub decided_ms: i64,
    /// Newest good evidence.
    pub observed_ms: Option<i64>,
    /// Kind of reason.
    pub reason: ReasonCode,
    /// Reason in words.
    pub reason_text: String,
}

/// A change.
#[derive(Clone, PartialEq, Debug)]
pub struct Transition {
    /// From.
    pub from: State,
    /// To.
    pub to: State,
    /// By which rule.
    pub rule: Option<u16>,
    /// Onset.
    pub since_ms: i64,
    /// Decision.
    pub decided_ms: i64,
}

/// skeleton
#[derive(Debug)]
pub struct StateMachine(Standing);

/// skeleton
#[derive(Debug)]
pub struct PointStanding<'a> {
    /// Last good value and when.
    pub good: Option<(&'a Value, i64)>,
    /// Newest bad reading, if newer.
    pub bad: Option<Bad>,
}

impl StateMachine {
    /// skeleton
    pub fn new(_map: Arc<MachineMap>, now_ms: i64, unknown_since_ms: i64) -> Self {
        Self(Standing {
            state: State::Unknown,
            rule: None,
            since_ms: unknown_since_ms,
            decided_ms: now_ms,
            observed_ms: None,
            reason: ReasonCode::Starting,
            reason_text: String::new(),
        })
    }
    /// skeleton
    pub fn advance(&mut self, _now_ms: i64, _out: &mut Vec<Transition>) {}
    /// skeleton
    pub fn apply(
        &mut self,
        _at_ms: i64,
        _group: u16,
        _samples: &[Sample],
        _out: &mut Vec<Transition>,
    ) {
    }
    /// skeleton
    pub fn standing(&self) -> &Standing {
        &self.0
    }
    /// skeleton
    pub fn point(&self, _point: u16) -> PointStanding<'_> {
        PointStanding {
            good: None,
            bad: None,
        }
    }
}
