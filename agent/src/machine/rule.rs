//! State rules: CEL expressions over points, compiled once, evaluated in three values.

use crate::text::Text;
use std::ops::Range;

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Rule;

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
    /// Any number.
    Number,
    /// A text.
    Text,
}

/// A fault in a rule's text.
#[derive(Clone, PartialEq, Debug)]
pub struct RuleFault {
    /// Where in the text, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: Text,
    /// What would be right.
    pub hint: Option<Text>,
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    ///
    /// Every fault of the text: syntax, unknown names, types, operators that rules don't have.
    pub fn compile(_text: &str, _points: &[RulePoint<'_>]) -> Result<Self, Vec<RuleFault>> {
        Ok(Self)
    }
}
