//! Any rule means what it says, and no text breaks the compiler.

use super::super::program::{Comparison, Operation};
use super::*;
use proptest::prelude::*;

/// An expression to be written down and, beside that, worked out.
#[derive(Clone, Debug)]
enum Sum {
    Constant(u8),
    Point,
    Negative(Box<Sum>),
    Calculation(Operation, Box<Sum>, Box<Sum>),
}

#[derive(Clone, Debug)]
enum Claim {
    Constant(bool),
    Point(bool),
    Not(Box<Claim>),
    And(Box<Claim>, Box<Claim>),
    Or(Box<Claim>, Box<Claim>),
    Compare(Comparison, Sum, Sum),
    Choose(Box<Claim>, Box<Claim>, Box<Claim>),
}

fn sums() -> impl Strategy<Value = Sum> {
    let leaf = prop_oneof![any::<u8>().prop_map(Sum::Constant), Just(Sum::Point)];
    leaf.prop_recursive(2, 8, 2, |inner| {
        let operation = prop::sample::select(vec![
            Operation::Add,
            Operation::Subtract,
            Operation::Multiply,
            Operation::Divide,
            Operation::Remainder,
        ]);
        prop_oneof![
            1 => inner.clone().prop_map(|sum| Sum::Negative(Box::new(sum))),
            4 => (operation, inner.clone(), inner).prop_map(|(operation, left, right)| {
                let right = if right.is_zero() { Sum::Constant(2) } else { right };
                Sum::Calculation(operation, Box::new(left), Box::new(right))
            }),
        ]
    })
}

fn claims() -> impl Strategy<Value = Claim> {
    let comparison = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Claim::Constant),
        any::<bool>().prop_map(Claim::Point),
        (comparison, sums(), sums())
            .prop_map(|(how, left, right)| Claim::Compare(how, left, right)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = || {
            (
                inner.clone().prop_map(Box::new),
                inner.clone().prop_map(Box::new),
            )
        };
        prop_oneof![
            1 => inner.clone().prop_map(|claim| Claim::Not(Box::new(claim))),
            2 => pair().prop_map(|(left, right)| Claim::And(left, right)),
            2 => pair().prop_map(|(left, right)| Claim::Or(left, right)),
            1 => (inner.clone().prop_map(Box::new), pair())
                .prop_map(|(if_, (yes, no))| Claim::Choose(if_, yes, no)),
        ]
    })
}

/// Writes an operand, in brackets only where it binds more loosely than its place asks for.
fn operand(text: String, binds: u8, place: u8) -> String {
    if binds < place {
        format!("({text})")
    } else {
        text
    }
}

impl Sum {
    /// Written as 0, by which no rule can divide.
    fn is_zero(&self) -> bool {
        match self {
            Self::Constant(value) => *value == 0,
            Self::Negative(sum) => matches!(**sum, Self::Constant(0)),
            Self::Point | Self::Calculation(..) => false,
        }
    }

    /// The text, and how tightly it binds.
    fn write(&self) -> (String, u8) {
        match self {
            Self::Constant(value) => (value.to_string(), 9),
            Self::Point => ("screw_speed".to_owned(), 9),
            Self::Negative(sum) => {
                let (text, binds) = sum.write();
                (format!("-{}", operand(text, binds, 9)), 8)
            }
            Self::Calculation(operation, left, right) => {
                let (sign, place) = match operation {
                    Operation::Add => ("+", 6),
                    Operation::Subtract => ("-", 6),
                    Operation::Multiply => ("*", 7),
                    Operation::Divide => ("/", 7),
                    Operation::Remainder => ("%", 7),
                };
                let ((left, left_binds), (right, right_binds)) = (left.write(), right.write());
                let left = operand(left, left_binds, place);
                (
                    format!("{left} {sign} {}", operand(right, right_binds, place + 1)),
                    place,
                )
            }
        }
    }

    fn value(&self, point: Option<f64>) -> Option<f64> {
        let value = match self {
            Self::Constant(value) => f64::from(*value),
            Self::Point => point?,
            Self::Negative(sum) => -sum.value(point)?,
            Self::Calculation(operation, left, right) => {
                let (left, right) = (left.value(point)?, right.value(point)?);
                match operation {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                    Operation::Divide => left / right,
                    Operation::Remainder => left % right,
                }
            }
        };
        value.is_finite().then_some(value)
    }
}

impl Claim {
    fn write(&self) -> (String, u8) {
        let join = |left: &Self, sign: &str, right: &Self, place: u8| {
            let ((left, left_binds), (right, right_binds)) = (left.write(), right.write());
            let left = operand(left, left_binds, place);
            (
                format!("{left} {sign} {}", operand(right, right_binds, place)),
                place,
            )
        };
        match self {
            Self::Constant(value) => (value.to_string(), 9),
            Self::Point(true) => ("running".to_owned(), 9),
            Self::Point(false) => ("door_open".to_owned(), 9),
            Self::Not(claim) => {
                let (text, binds) = claim.write();
                (format!("!{}", operand(text, binds, 9)), 8)
            }
            Self::And(left, right) => join(left, "&&", right, 3),
            Self::Or(left, right) => join(left, "||", right, 2),
            Self::Compare(how, left, right) => {
                let sign = match how {
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                (format!("{} {sign} {}", left.write().0, right.write().0), 5)
            }
            Self::Choose(condition, yes, no) => {
                let [condition, yes] = [condition, yes].map(|part| {
                    let (text, binds) = part.write();
                    operand(text, binds, 2)
                });
                (format!("{condition} ? {yes} : {}", no.write().0), 1)
            }
        }
    }

    /// By the book: every reading of what is not known is tried where that is only bools.
    fn value(&self, running: Option<bool>, door: Option<bool>, speed: Option<f64>) -> Option<bool> {
        let value = |claim: &Self| claim.value(running, door, speed);
        match self {
            Self::Constant(value) => Some(*value),
            Self::Point(true) => running,
            Self::Point(false) => door,
            Self::Not(claim) => value(claim).map(|value| !value),
            Self::And(left, right) => match (value(left), value(right)) {
                (Some(true), Some(true)) => Some(true),
                (Some(false), _) | (_, Some(false)) => Some(false),
                _ => None,
            },
            Self::Or(left, right) => match (value(left), value(right)) {
                (Some(false), Some(false)) => Some(false),
                (Some(true), _) | (_, Some(true)) => Some(true),
                _ => None,
            },
            Self::Compare(how, left, right) => {
                let order = left.value(speed)?.partial_cmp(&right.value(speed)?)?;
                Some(match how {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                })
            }
            Self::Choose(condition, yes, no) => match value(condition) {
                Some(true) => value(yes),
                Some(false) => value(no),
                None => value(yes).filter(|yes| value(no) == Some(*yes)),
            },
        }
    }
}

/// Pieces that pass the scanner, and then some that don't.
const PIECES: &str = "running screw_speed recipe previous true null in bit( bits( changed( ( ) ) ) \
    in [ ] , && || ! - + * / % == != < >= ? : 1 0x1F 2.5 7u 1e400 \"RUN\" '中' \"60s\" // [ . has( { } `a` \
    \" \\ r'a' & ９";

/// How many of [`PIECES`] pass the scanner, so that half of the texts reach the parser.
const PASSING: usize = 40;

/// Texts of what rules are made of, in any order.
fn soups() -> impl Strategy<Value = String> {
    let pieces: Vec<&str> = PIECES.split_whitespace().collect();
    let passing = pieces[..PASSING].to_vec();
    let texts = |pieces| prop::collection::vec(prop::sample::select(pieces), 0..16);
    prop_oneof![texts(passing), texts(pieces)].prop_map(|pieces| pieces.join(" "))
}

fn must_not_break(text: &str) -> Result<(), TestCaseError> {
    match Rule::compile(text, &POINTS) {
        Ok(rule) => {
            let view = Known::default();
            let verdict = rule.evaluate(&view, State::Idle);
            let mut blamed = Vec::new();
            rule.blame(&view, State::Idle, &mut blamed);
            prop_assert!(verdict == Verdict::Undecided || blamed.is_empty());
            prop_assert!(blamed.iter().all(|point| rule.points().contains(point)));
        }
        Err(faults) => {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(text.get(fault.span.clone()).is_some(), "{:?}", fault);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rule_means_what_it_says(
        claim in claims(),
        running in any::<Option<bool>>(),
        door in any::<Option<bool>>(),
        speed in prop::option::of(0..9_u8),
    ) {
        let speed = speed.map(f64::from);
        let values = [
            running.map(|running| (place("running"), Value::Bool(running))),
            door.map(|door| (place("door_open"), Value::Bool(door))),
            speed.map(|speed| (place("screw_speed"), Value::Float(speed))),
        ];
        let view = Known { values: values.into_iter().flatten().collect(), changed: None };
        let text = claim.write().0;
        let rule = Rule::compile(&text, &POINTS).map_err(|faults| {
            TestCaseError::fail(format!("{text}: {faults:?}"))
        })?;
        let expected = match claim.value(running, door, speed) {
            Some(true) => Verdict::True,
            Some(false) => Verdict::False,
            None => Verdict::Undecided,
        };
        prop_assert_eq!(rule.evaluate(&view, State::Run), expected, "{}", text);
    }

    #[test]
    fn no_soup_of_pieces_breaks_the_compiler(text in soups()) {
        must_not_break(&text)?;
    }

    #[test]
    fn no_text_breaks_the_compiler(text in "\\PC{0,60}") {
        must_not_break(&text)?;
    }
}
