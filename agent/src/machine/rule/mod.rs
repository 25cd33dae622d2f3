//! State rules: CEL expressions over points, compiled once, evaluated in three values.
//!
//! The `cel` crate reads the text and gives a tree, and is named in `parse.rs` alone; what a rule may
//! say, what its types are and what it means are decided here. Nothing here knows time or holds a
//! sample: a [`PointView`] shows what is known of each point. Bounds: 4 KiB of text, 1,024 tokens,
//! 32 levels (`scan.rs`); an evaluation allocates nothing.

mod eval;
mod fault;
mod functions;
mod parse;
mod program;
mod scan;
mod types;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use fault::RuleFault;

use crate::sample::Value;
use lineside_proto::State;
use program::Bool;

/// A compiled rule. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rule {
    condition: Arc<Bool>,
    points: Arc<[u16]>,
    windows: Arc<[Window]>,
}

/// What a rule may know of a point.
#[derive(Clone, Debug)]
pub struct RulePoint<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, as far as rules see it.
    pub kind: PointKind,
}

/// A point's type, as far as rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointKind {
    /// A bit.
    Bool,
    /// A number.
    Number,
    /// A whole number as the device holds it, of so many bits.
    Bits(u8),
    /// A text.
    Text,
}

/// A use of `changed`: the point, and how far back it looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Window {
    /// The point, as its place in the list that the rule was compiled with.
    pub point: u16,
    /// Milliseconds, 1,000 to 86,400,000.
    pub length_ms: i64,
}

/// What a rule says at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It needs something that is not known.
    Undecided,
}

/// What is known of the points at a moment.
pub trait PointView {
    /// The point's value if it is fresh and good.
    fn value(&self, point: u16) -> Option<&Value>;

    /// Whether the point's good value changed within the window; none while that is not known.
    fn changed(&self, window: Window) -> Option<bool>;
}

/// The view of somebody who knows no point at all.
struct Nothing;

impl PointView for Nothing {
    fn value(&self, _: u16) -> Option<&Value> {
        None
    }

    fn changed(&self, _: Window) -> Option<bool> {
        None
    }
}

impl Rule {
    /// Compiles a rule. A point in the text becomes its place in `points`.
    ///
    /// # Errors
    ///
    /// The faults of the text: a text that can't be read gives those of its characters or its
    /// syntax, one that can gives every fault of names, types and functions at once.
    pub fn compile(text: &str, points: &[RulePoint<'_>]) -> Result<Self, Vec<RuleFault>> {
        let tokens = scan::scan(text)?;
        let tree = parse::parse(text, &tokens)?;
        let program = types::infer(&tree, points)?;
        Ok(Self {
            condition: Arc::new(program.condition),
            points: program.points.into_iter().collect(),
            windows: program.windows.into_iter().collect(),
        })
    }

    /// The points that the rule names, sorted, each once.
    pub fn points(&self) -> &[u16] {
        &self.points
    }

    /// Its uses of `changed`, sorted, each once.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Whether both say the same in every case, as far as their forms tell.
    pub fn is_same(&self, other: &Self) -> bool {
        self.condition == other.condition
    }

    /// What the rule says whatever the points and the state are, as in `true` or `false && x`; none
    /// if that depends on them.
    pub fn constant(&self) -> Option<bool> {
        eval::decide(&self.condition, &Nothing, None)
    }

    /// What the rule says of these points while the machine is held to be in `previous`.
    pub fn evaluate(&self, view: &impl PointView, previous: State) -> Verdict {
        match eval::decide(&self.condition, view, Some(previous)) {
            Some(true) => Verdict::True,
            Some(false) => Verdict::False,
            None => Verdict::Undecided,
        }
    }

    /// Adds to `blamed` the points for whose sake the rule is undecided: those that are not fresh and
    /// good, or not watched for long enough, where knowing them could decide it. None where the
    /// values themselves decide nothing, as in a division by zero.
    pub fn blame(&self, view: &impl PointView, previous: State, blamed: &mut Vec<u16>) {
        eval::blame(&self.condition, view, Some(previous), blamed);
        blamed.sort_unstable();
        blamed.dedup();
    }
}
