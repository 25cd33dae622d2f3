//! Scores, where the rules ask for them.

use crate::text::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Coverage, Figure, Figures, Part, Rules};

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
    pub name: Text,
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

impl Score {
    /// The points that the rules give for figures; none where they give none.
    pub(super) fn of(figures: &Figures, coverage: Coverage, rules: &Rules) -> Option<Self> {
        if rules.parts.is_empty() {
            return None;
        }
        let is_enough = coverage.thousandths() >= rules.minimum_coverage_pm;
        let parts: Vec<_> = rules
            .parts
            .iter()
            .filter_map(|part| ScorePart::of(part, figures, is_enough))
            .collect();
        let most = parts.iter().map(|part| part.cap_hundredths);
        let points: Option<Vec<u64>> = parts.iter().map(|part| part.hundredths).collect();
        let withheld = match (is_enough, &points) {
            (false, _) => Some(Withheld::Coverage),
            (true, None) => Some(Withheld::NoFigure),
            (true, Some(_)) => None,
        };
        Some(Self {
            coverage,
            hundredths: points.map(|points| sum(points.into_iter())),
            most_hundredths: sum(most),
            withheld,
            parts,
        })
    }
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}

impl ScorePart {
    fn of(part: &Part, figures: &Figures, is_enough: bool) -> Option<Self> {
        let figure = figures.of(part.figure)?.clone();
        let points = figure.hundredths().filter(|_| is_enough).and_then(|value| {
            let points = u128::from(value) * u128::from(part.points_hundredths);
            let points = points.checked_div(u128::from(part.target_hundredths))?;
            Some(u64::try_from(points).map_or(part.cap_hundredths, |points| {
                points.min(part.cap_hundredths)
            }))
        });
        Some(Self {
            name: part.name.clone(),
            figure,
            target_hundredths: part.target_hundredths,
            points_hundredths: part.points_hundredths,
            cap_hundredths: part.cap_hundredths,
            hundredths: points,
        })
    }
}
