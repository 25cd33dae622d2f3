//! A compiled rule: a tree in which each expression has its type, so that nothing can be evaluated
//! as what it is not.

use super::Window;
use lineside_proto::State;
use std::collections::BTreeSet;

/// A compiled rule and what it looks at.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) condition: Bool,
    pub(super) points: BTreeSet<u16>,
    pub(super) windows: BTreeSet<Window>,
}

/// An expression that gives true or false.
#[derive(PartialEq, Debug)]
pub(super) enum Bool {
    Constant(bool),
    Point(u16),
    Not(Box<Bool>),
    /// Both.
    And(Box<[Bool; 2]>),
    /// Either.
    Or(Box<[Bool; 2]>),
    Choose(Box<Choice<Bool>>),
    Same(Box<[Bool; 2]>),
    Compare(Comparison, Box<[Number; 2]>),
    AnyNumber(Box<Number>, Box<[f64]>),
    SameText(Box<[Text; 2]>),
    AnyText(Text, Box<[Box<str>]>),
    /// The state now held is one of these.
    Previous(Box<[State]>),
    /// The bit of a point with this number, 0 the lowest.
    Bit(u16, u8),
    Changed(Window),
}

/// An expression that gives a number.
#[derive(PartialEq, Debug)]
pub(super) enum Number {
    Constant(f64),
    Point(u16),
    Negate(Box<Number>),
    Calculate(Operation, Box<[Number; 2]>),
    Choose(Box<Choice<Number>>),
    /// Bits of a point: the lowest one's number, and a mask over what is left above it.
    Bits(u16, u8, u64),
}

/// An expression that gives a text.
#[derive(PartialEq, Debug)]
pub(super) enum Text {
    Constant(Box<str>),
    Point(u16),
}

/// `condition ? yes : no`.
#[derive(PartialEq, Debug)]
pub(super) struct Choice<T> {
    pub(super) condition: Bool,
    pub(super) yes: T,
    pub(super) no: T,
}

/// How two numbers are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is done with two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
