//! Whose hours a session's hours are, and what became of a booking.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The class of a session. Only a token signed by the portal gives [`Class::Ext`].
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Another organisation, by a signed booking.
    Ext,
    /// The platform's own organisation.
    Own,
    /// An affiliate of it.
    Aff,
    /// Training.
    Trn,
    /// Maintenance.
    Mnt,
    /// Nobody booked it.
    Unb,
}

impl Class {
    /// All classes, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::Ext,
        Self::Own,
        Self::Aff,
        Self::Trn,
        Self::Mnt,
        Self::Unb,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ext => "EXT",
            Self::Own => "OWN",
            Self::Aff => "AFF",
            Self::Trn => "TRN",
            Self::Mnt => "MNT",
            Self::Unb => "UNB",
        }
    }

    /// The word for a Chinese reader.
    pub const fn zh_cn(self) -> &'static str {
        match self {
            Self::Ext => "对外",
            Self::Own => "自用",
            Self::Aff => "关联",
            Self::Trn => "培训",
            Self::Mnt => "维护",
            Self::Unb => "无预约",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of a booking on one machine.
///
/// Activity is SETUP, RUN, or HOLD up to its cap. A booking is kept if its activity between half an
/// hour before its start and five minutes after its end makes up a tenth of the slot, and five minutes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Kept.
    Fulfilled,
    /// Kept, and used beyond its end and the grace after it.
    Overrun,
    /// Left more than a quarter of an hour before its end, or hardly used.
    EarlyLeave,
    /// Nobody came, and the machine was watched and ready.
    NoShow,
    /// Too little is known to say.
    Indeterminate,
    /// The machine was down, in maintenance or unknown for more than half of the slot.
    PlatformFault,
    /// Called off before it began.
    Cancelled,
}

impl Outcome {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fulfilled => "fulfilled",
            Self::Overrun => "overrun",
            Self::EarlyLeave => "early-leave",
            Self::NoShow => "no-show",
            Self::Indeterminate => "indeterminate",
            Self::PlatformFault => "platform-fault",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How it became known who uses a machine.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CheckIn {
    /// By activity inside exactly one booking's window.
    Implied,
    /// By a token of the portal.
    Portal,
    /// By somebody at the machine: a fact that a person entered.
    Local,
    /// Not at all.
    None,
}
