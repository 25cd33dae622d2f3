//! Evaluates a compiled rule in three values: none stands for undecided.
//!
//! `&&`, `||` and `? :` are decided as soon as what is known decides them, whichever side it stands
//! on; all else needs every operand. A result that is no finite number is undecided, too.

use super::PointView;
use super::program::{Bool, Choice, Comparison, Number, Operation, Text};
use crate::sample::Value;
use lineside_proto::State;

/// What the expression says; `previous` is none where the state now held is not known either.
pub(super) fn decide(
    expression: &Bool,
    view: &impl PointView,
    previous: Option<State>,
) -> Option<bool> {
    match expression {
        Bool::Constant(value) => Some(*value),
        Bool::Point(point) => match view.value(*point)? {
            Value::Bool(value) => Some(*value),
            Value::Int(_)
            | Value::Uint(_)
            | Value::Float32(_)
            | Value::Float(_)
            | Value::Text(_) => None,
        },
        Bool::Not(operand) => decide(operand, view, previous).map(|value| !value),
        Bool::And(sides) => absorb(sides, false, view, previous),
        Bool::Or(sides) => absorb(sides, true, view, previous),
        Bool::Choose(choice) => choose(choice, view, previous, decide),
        Bool::Same(sides) => {
            let [left, right] = sides.as_ref();
            Some(decide(left, view, previous)? == decide(right, view, previous)?)
        }
        Bool::Compare(comparison, sides) => {
            let [left, right] = sides.as_ref();
            let left = number(left, view, previous)?;
            Some(compare(*comparison, left, number(right, view, previous)?))
        }
        Bool::AnyNumber(operand, values) => {
            let operand = number(operand, view, previous)?;
            Some(values.iter().any(|value| is_equal(*value, operand)))
        }
        Bool::SameText(sides) => {
            let [left, right] = sides.as_ref();
            Some(text(left, view)? == text(right, view)?)
        }
        Bool::AnyText(operand, values) => {
            let operand = text(operand, view)?;
            Some(values.iter().any(|value| value.as_ref() == operand))
        }
        Bool::Previous(states) => Some(states.contains(&previous?)),
        Bool::Bit(point, bit) => Some((word(view.value(*point)?)? >> bit) & 1 == 1),
        Bool::Changed(window) => view.changed(*window),
    }
}

/// `&&` absorbs with false, `||` with true: one side of that value decides, whatever the other is.
fn absorb(
    sides: &[Bool; 2],
    absorbing: bool,
    view: &impl PointView,
    previous: Option<State>,
) -> Option<bool> {
    let [left, right] = sides;
    let left = decide(left, view, previous);
    if left == Some(absorbing) {
        return left;
    }
    let right = decide(right, view, previous);
    if right == Some(absorbing) {
        return right;
    }
    left.and(right)
}

/// An undecided condition leaves the choice decided only where both branches agree.
fn choose<T, R: PartialEq, V: PointView>(
    choice: &Choice<T>,
    view: &V,
    previous: Option<State>,
    evaluate: impl Fn(&T, &V, Option<State>) -> Option<R>,
) -> Option<R> {
    match decide(&choice.condition, view, previous) {
        Some(true) => evaluate(&choice.yes, view, previous),
        Some(false) => evaluate(&choice.no, view, previous),
        None => {
            let yes = evaluate(&choice.yes, view, previous)?;
            let no = evaluate(&choice.no, view, previous)?;
            (yes == no).then_some(yes)
        }
    }
}

fn number(expression: &Number, view: &impl PointView, previous: Option<State>) -> Option<f64> {
    match expression {
        Number::Constant(value) => Some(*value),
        Number::Point(point) => view.value(*point)?.as_number(),
        Number::Negate(operand) => number(operand, view, previous).map(|value| -value),
        Number::Calculate(operation, sides) => {
            let [left, right] = sides.as_ref();
            let left = number(left, view, previous)?;
            let right = number(right, view, previous)?;
            let result = match operation {
                Operation::Add => left + right,
                Operation::Subtract => left - right,
                Operation::Multiply => left * right,
                Operation::Divide => left / right,
                Operation::Remainder => left % right,
            };
            result.is_finite().then_some(result)
        }
        Number::Choose(choice) => choose(choice, view, previous, number),
        Number::Bits(point, from, mask) => {
            let bits = (word(view.value(*point)?)? >> from) & mask;
            Value::Uint(bits).as_number()
        }
    }
}

fn text<'a>(expression: &'a Text, view: &'a impl PointView) -> Option<&'a str> {
    match expression {
        Text::Constant(text) => Some(text),
        Text::Point(point) => match view.value(*point)? {
            Value::Text(text) => Some(text),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Float32(_)
            | Value::Float(_) => None,
        },
    }
}

fn compare(comparison: Comparison, left: f64, right: f64) -> bool {
    match comparison {
        Comparison::Equal => is_equal(left, right),
        Comparison::NotEqual => !is_equal(left, right),
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

#[expect(
    clippy::float_cmp,
    reason = "a rule's `==` means the very number, as in `mode == 3`"
)]
fn is_equal(left: f64, right: f64) -> bool {
    left == right
}

/// The value's bits; of a negative number its two's complement, of which a rule can take no more than
/// the register has.
fn word(value: &Value) -> Option<u64> {
    match value {
        Value::Uint(value) => Some(*value),
        Value::Int(value) => Some(u64::from_ne_bytes(value.to_ne_bytes())),
        Value::Bool(_) | Value::Float32(_) | Value::Float(_) | Value::Text(_) => None,
    }
}

/// Adds the points that keep the expression undecided; nothing if it is decided.
pub(super) fn blame(
    expression: &Bool,
    view: &impl PointView,
    previous: Option<State>,
    blamed: &mut Vec<u16>,
) {
    if decide(expression, view, previous).is_some() {
        return;
    }
    match expression {
        Bool::Constant(_) | Bool::Previous(_) => {}
        Bool::Point(point) | Bool::Bit(point, _) => blame_point(*point, view, blamed),
        Bool::Not(operand) => blame(operand, view, previous, blamed),
        Bool::And(sides) | Bool::Or(sides) | Bool::Same(sides) => {
            for side in sides.iter() {
                blame(side, view, previous, blamed);
            }
        }
        Bool::Choose(choice) => blame_choice(choice, view, previous, blamed, blame),
        Bool::Compare(_, sides) => {
            for side in sides.iter() {
                blame_number(side, view, previous, blamed);
            }
        }
        Bool::AnyNumber(operand, _) => blame_number(operand, view, previous, blamed),
        Bool::SameText(sides) => {
            for side in sides.iter() {
                blame_text(side, view, blamed);
            }
        }
        Bool::AnyText(operand, _) => blame_text(operand, view, blamed),
        Bool::Changed(window) => blamed.push(window.point),
    }
}

fn blame_choice<T, V: PointView>(
    choice: &Choice<T>,
    view: &V,
    previous: Option<State>,
    blamed: &mut Vec<u16>,
    blame_branch: impl Fn(&T, &V, Option<State>, &mut Vec<u16>),
) {
    let condition = decide(&choice.condition, view, previous);
    blame(&choice.condition, view, previous, blamed);
    if condition != Some(false) {
        blame_branch(&choice.yes, view, previous, blamed);
    }
    if condition != Some(true) {
        blame_branch(&choice.no, view, previous, blamed);
    }
}

fn blame_number(
    expression: &Number,
    view: &impl PointView,
    previous: Option<State>,
    blamed: &mut Vec<u16>,
) {
    match expression {
        Number::Constant(_) => {}
        Number::Point(point) | Number::Bits(point, ..) => blame_point(*point, view, blamed),
        Number::Negate(operand) => blame_number(operand, view, previous, blamed),
        Number::Calculate(_, sides) => {
            for side in sides.iter() {
                blame_number(side, view, previous, blamed);
            }
        }
        Number::Choose(choice) => blame_choice(choice, view, previous, blamed, blame_number),
    }
}

fn blame_text(expression: &Text, view: &impl PointView, blamed: &mut Vec<u16>) {
    match expression {
        Text::Constant(_) => {}
        Text::Point(point) => blame_point(*point, view, blamed),
    }
}

fn blame_point(point: u16, view: &impl PointView, blamed: &mut Vec<u16>) {
    if view.value(point).is_none() {
        blamed.push(point);
    }
}
