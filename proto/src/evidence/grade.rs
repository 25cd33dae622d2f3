//! What a session's hours are worth as evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The grade of a session's evidence, the best first.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
pub enum Grade {
    /// Signal and meter agree, the clock was synchronised, a witness saw it within a day, the map is approved.
    A,
    /// The same without a meter.
    B,
    /// Cosigned late, a clock that was not synchronised, a map that nobody approved, or a meter that does not agree.
    C,
    /// It rests on what a person entered.
    D,
}

impl Grade {
    /// All grades, the best first.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The letter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a session's grade is not better.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its class is what somebody entered: no token stands behind it. What nobody booked is not meant.
    Entered,
    /// A correction refers to one of its leaves.
    Corrected,
    /// External, and its token is missing, wrong or could not be checked.
    Token,
    /// The clock was not synchronised.
    Clock,
    /// No trusted witness saw it within a day.
    Late,
    /// Nobody approved the machine map.
    Map,
    /// The meter does not agree with the state.
    Meter,
    /// There is no meter.
    NoMeter,
}

impl Why {
    /// The grade that this reason alone gives.
    pub const fn grade(self) -> Grade {
        match self {
            Self::Entered | Self::Corrected | Self::Token => Grade::D,
            Self::Clock | Self::Late | Self::Map | Self::Meter => Grade::C,
            Self::NoMeter => Grade::B,
        }
    }
}
