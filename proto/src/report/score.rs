//! Scores, where the rules ask for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Coverage, Figure, Said};

/// The points that a rule file gives. Never without the coverage: it stands here and in each part's figure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// The coverage that it rests on.
    pub coverage: Coverage,
    /// All points, in hundredths; null where they are withheld.
    pub hundredths: Option<u64>,
    /// The points that could be had, in hundredths.
    pub most_hundredths: u64,
    /// Why there are none; null where there are.
    pub withheld: Option<Withheld>,
    /// Its parts, in the order of the rules.
    pub parts: Vec<ScorePart>,
}

/// A part of a score: points = figure / target × points, at most the cap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ScorePart {
    /// What people call it.
    pub name: Said,
    /// The figure that it is made of.
    pub figure: Figure,
    /// The figure that gives `points_hundredths`, in hundredths of its unit.
    pub target_hundredths: u64,
    /// The points of the target, in hundredths.
    pub points_hundredths: u64,
    /// More than these are not given, in hundredths.
    pub cap_hundredths: u64,
    /// The points, in hundredths; null where the figure has no value, or the score is withheld.
    pub hundredths: Option<u64>,
}

/// Why there is no score.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// Less was watched than the rules ask for.
    Coverage,
    /// A figure has no value.
    NoFigure,
}
