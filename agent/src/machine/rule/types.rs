//! Names and types: from the tree as written to a program that can't go wrong.
//!
//! Every fault is collected; an expression with a fault inside has no type, and says nothing further.

use super::fault::RuleFault;
use super::parse::{Form, Literal, Node};
use super::program::{Bool, Choice, Comparison, Number, Operation, Program, Text};
use super::scan::word_hint;
use super::{PointKind, RulePoint, Window};
use crate::text;
use crate::text::Text as Message;
use lineside_proto::State;
use std::collections::BTreeSet;
use std::ops::Range;

/// How alike a name must be to be proposed for another, from 0 to 1.
const LIKENESS_MIN: f64 = 0.6;

/// The program of a tree over these points.
pub(super) fn infer(tree: &Node<'_>, points: &[RulePoint<'_>]) -> Result<Program, Vec<RuleFault>> {
    let mut inference = Inference {
        points,
        named: BTreeSet::new(),
        windows: BTreeSet::new(),
        faults: Vec::new(),
    };
    let condition = inference.bool(tree);
    let Inference {
        named,
        windows,
        faults,
        ..
    } = inference;
    match condition {
        Some(condition) if faults.is_empty() => Ok(Program {
            condition,
            points: named,
            windows,
        }),
        Some(_) | None => Err(faults),
    }
}

/// An expression that has its type.
#[derive(Debug)]
pub(super) enum Typed {
    Bool(Bool),
    Number(Number),
    Text(Text),
    /// `previous`.
    State,
}

/// A type, as people name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Bool,
    Number,
    Text,
    State,
}

impl Type {
    pub(super) fn en(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::State => "a state",
        }
    }

    pub(super) fn zh(self) -> &'static str {
        match self {
            Self::Bool => "布尔量",
            Self::Number => "数值",
            Self::Text => "文本",
            Self::State => "状态",
        }
    }
}

impl Typed {
    fn kind(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::State => Type::State,
        }
    }
}

pub(super) struct Inference<'a> {
    points: &'a [RulePoint<'a>],
    named: BTreeSet<u16>,
    pub(super) windows: BTreeSet<Window>,
    faults: Vec<RuleFault>,
}

impl Inference<'_> {
    /// Notes a fault; none, so that the expression has no type.
    pub(super) fn fault<T>(&mut self, span: &Range<usize>, message: Message) -> Option<T> {
        self.faults.push(RuleFault::new(span.clone(), message));
        None
    }

    pub(super) fn fault_with_hint<T>(
        &mut self,
        span: &Range<usize>,
        message: Message,
        hint: Message,
    ) -> Option<T> {
        let fault = RuleFault::new(span.clone(), message);
        self.faults.push(fault.hint(hint));
        None
    }

    fn typed(&mut self, node: &Node<'_>) -> Option<Typed> {
        Some(match &node.form {
            Form::Name(name) => return self.name(node, name),
            Form::Bool(value) => Typed::Bool(Bool::Constant(*value)),
            Form::Number(value) => Typed::Number(Number::Constant(double(*value))),
            Form::Quoted(text) => Typed::Text(Text::Constant((*text).into())),
            Form::Not(operand) => Typed::Bool(Bool::Not(Box::new(self.bool(operand)?))),
            Form::Negate(operand) => Typed::Number(Number::Negate(Box::new(self.number(operand)?))),
            Form::Both(sides) => Typed::Bool(Bool::And(self.bools(sides)?)),
            Form::Either(sides) => Typed::Bool(Bool::Or(self.bools(sides)?)),
            Form::Compare(comparison, sides) => {
                Typed::Bool(self.compare(node, *comparison, sides)?)
            }
            Form::Calculate(operation, sides) => Typed::Number(self.calculate(*operation, sides)?),
            Form::Choose(parts) => return self.choose(node, parts),
            Form::In(operand, list) => Typed::Bool(self.is_in(operand, list)?),
            Form::Call(name, arguments) => return self.call(node, name, arguments),
        })
    }

    fn bool(&mut self, node: &Node<'_>) -> Option<Bool> {
        let typed = self.typed(node)?;
        let kind = typed.kind();
        let example = match typed {
            Typed::Bool(condition) => return Some(condition),
            Typed::Number(_) => "!= 0",
            Typed::Text(_) => "== \"A\"",
            Typed::State => "== \"RUN\"",
        };
        let (en, zh) = (kind.en(), kind.zh());
        let message = text!(
            "this is {en}, a condition needs a bool",
            "这里是{zh}，条件需要布尔量"
        );
        let hint = text!(
            "compare it, as in `… {example}`",
            "请比较，例如 `… {example}`"
        );
        self.fault_with_hint(&node.span, message, hint)
    }

    fn bools(&mut self, sides: &[Node<'_>; 2]) -> Option<Box<[Bool; 2]>> {
        let [left, right] = sides;
        let (left, right) = (self.bool(left), self.bool(right));
        Some(Box::new([left?, right?]))
    }

    fn number(&mut self, node: &Node<'_>) -> Option<Number> {
        match self.typed(node)? {
            Typed::Number(number) => Some(number),
            other @ (Typed::Bool(_) | Typed::Text(_) | Typed::State) => {
                let (en, zh) = (other.kind().en(), other.kind().zh());
                let message = text!(
                    "this is {en}, a number is needed",
                    "这里是{zh}，需要的是数值"
                );
                self.fault(&node.span, message)
            }
        }
    }

    fn calculate(&mut self, operation: Operation, sides: &[Node<'_>; 2]) -> Option<Number> {
        let [left, right] = sides;
        let (left, typed) = (self.number(left), self.number(right));
        let divides = matches!(operation, Operation::Divide | Operation::Remainder);
        if divides && matches!(typed, Some(Number::Constant(0.0))) {
            let message = text!("nothing can be divided by 0", "不能除以 0");
            return self.fault(&right.span, message);
        }
        Some(Number::Calculate(operation, Box::new([left?, typed?])))
    }

    fn name(&mut self, node: &Node<'_>, name: &str) -> Option<Typed> {
        if name == "previous" {
            return Some(Typed::State);
        }
        let (point, kind) = self.point(node, name)?;
        Some(match kind {
            PointKind::Bool => Typed::Bool(Bool::Point(point)),
            PointKind::Number | PointKind::Bits(_) => Typed::Number(Number::Point(point)),
            PointKind::Text => Typed::Text(Text::Point(point)),
        })
    }

    pub(super) fn point(&mut self, node: &Node<'_>, name: &str) -> Option<(u16, PointKind)> {
        let place = self.points.iter().position(|point| point.name == name);
        let found = place.and_then(|place| {
            let kind = self.points.get(place)?.kind;
            Some((u16::try_from(place).ok()?, kind))
        });
        if let Some((point, _)) = found {
            self.named.insert(point);
            return found;
        }
        let message = text!("there is no point `{name}`", "没有点位 `{name}`");
        match self.name_hint(name) {
            Some(hint) => self.fault_with_hint(&node.span, message, hint),
            None => self.fault(&node.span, message),
        }
    }

    fn name_hint(&self, name: &str) -> Option<Message> {
        if name.parse::<State>().is_ok() {
            return Some(text!(
                "the state now held is `previous == \"{name}\"`",
                "当前所处状态写作 `previous == \"{name}\"`"
            ));
        }
        let nearest = self
            .points
            .iter()
            .map(|point| {
                (
                    strsim::normalized_damerau_levenshtein(point.name, name),
                    point.name,
                )
            })
            .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
            .max_by(|(left, _), (right, _)| left.total_cmp(right));
        match nearest {
            Some((_, near)) => Some(text!("did you mean `{near}`?", "是否想写 `{near}`？")),
            None => word_hint(name),
        }
    }

    fn compare(
        &mut self,
        node: &Node<'_>,
        comparison: Comparison,
        sides: &[Node<'_>; 2],
    ) -> Option<Bool> {
        let [left_node, right_node] = sides;
        let (left, right) = (self.typed(left_node), self.typed(right_node));
        let (left, right) = (left?, right?);
        let kinds = [left.kind(), right.kind()];
        let same = match (left, right) {
            (Typed::Number(left), Typed::Number(right)) => {
                return Some(Bool::Compare(comparison, Box::new([left, right])));
            }
            (Typed::Bool(left), Typed::Bool(right)) => Bool::Same(Box::new([left, right])),
            (Typed::Text(left), Typed::Text(right)) => Bool::SameText(Box::new([left, right])),
            (Typed::State, Typed::Text(Text::Constant(name))) => {
                Bool::Previous([self.state(right_node, &name)?].into())
            }
            (Typed::Text(Text::Constant(name)), Typed::State) => {
                Bool::Previous([self.state(left_node, &name)?].into())
            }
            _ => {
                let (left, right) = (kinds[0].en(), kinds[1].en());
                let (left_zh, right_zh) = (kinds[0].zh(), kinds[1].zh());
                let message = text!(
                    "{left} can't be compared with {right}",
                    "{left_zh}不能与{right_zh}比较"
                );
                return match mismatch_hint(sides, kinds) {
                    Some(hint) => self.fault_with_hint(&node.span, message, hint),
                    None => self.fault(&node.span, message),
                };
            }
        };
        match comparison {
            Comparison::Equal => Some(same),
            Comparison::NotEqual => Some(Bool::Not(Box::new(same))),
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual => {
                let (en, zh) = (kinds[0].en(), kinds[0].zh());
                let message = text!(
                    "{en} has no order, it is only compared by `==` and `!=`",
                    "{zh}没有大小，只能用 `==` 和 `!=` 比较"
                );
                self.fault(&node.span, message)
            }
        }
    }

    fn state(&mut self, node: &Node<'_>, name: &str) -> Option<State> {
        if let Ok(state) = name.parse() {
            return Some(state);
        }
        let states = State::ALL.map(State::as_str).join(", ");
        let message = text!("there is no state `{name}`", "没有状态 `{name}`");
        let hint = text!("the states are {states}", "状态有 {states}");
        self.fault_with_hint(&node.span, message, hint)
    }

    fn choose(&mut self, node: &Node<'_>, parts: &[Node<'_>; 3]) -> Option<Typed> {
        let [condition, yes, no] = parts;
        let condition = self.bool(condition);
        let (yes, no) = (self.typed(yes), self.typed(no));
        let (condition, yes, no) = (condition?, yes?, no?);
        let kinds = [yes.kind(), no.kind()];
        match (yes, no) {
            (Typed::Bool(yes), Typed::Bool(no)) => {
                let choice = Choice { condition, yes, no };
                Some(Typed::Bool(Bool::Choose(Box::new(choice))))
            }
            (Typed::Number(yes), Typed::Number(no)) => {
                let choice = Choice { condition, yes, no };
                Some(Typed::Number(Number::Choose(Box::new(choice))))
            }
            _ => {
                let (yes, no) = (kinds[0].en(), kinds[1].en());
                let (yes_zh, no_zh) = (kinds[0].zh(), kinds[1].zh());
                let message = text!(
                    "the choice is between {yes} and {no}; both must be bools or both numbers",
                    "两个分支是{yes_zh}和{no_zh}，必须同为布尔量或同为数值"
                );
                self.fault(&node.span, message)
            }
        }
    }

    fn is_in(&mut self, operand: &Node<'_>, list: &[Node<'_>]) -> Option<Bool> {
        match self.typed(operand)? {
            Typed::Number(number) => {
                let values = self.constant_numbers(list)?;
                Some(Bool::AnyNumber(Box::new(number), values))
            }
            Typed::Text(text) => {
                let values = self.constant_texts(list)?;
                Some(Bool::AnyText(
                    text,
                    values.into_iter().map(Box::from).collect(),
                ))
            }
            Typed::State => {
                let names = self.constant_texts(list)?;
                let states = list
                    .iter()
                    .zip(names)
                    .map(|(node, name)| self.state(node, name));
                Some(Bool::Previous(states.collect::<Option<_>>()?))
            }
            Typed::Bool(_) => {
                let message = text!(
                    "a bool is its own condition, `in` is for numbers and texts",
                    "布尔量本身就是条件，`in` 用于数值和文本"
                );
                self.fault(&operand.span, message)
            }
        }
    }

    fn constant_numbers(&mut self, list: &[Node<'_>]) -> Option<Box<[f64]>> {
        let mut values = Vec::with_capacity(list.len());
        for element in list {
            let Form::Number(value) = &element.form else {
                return self.not_constant(element);
            };
            values.push(double(*value));
        }
        Some(values.into())
    }

    fn constant_texts<'t>(&mut self, list: &[Node<'t>]) -> Option<Vec<&'t str>> {
        let mut values = Vec::with_capacity(list.len());
        for element in list {
            let Form::Quoted(text) = &element.form else {
                return self.not_constant(element);
            };
            values.push(*text);
        }
        Some(values)
    }

    fn not_constant<T>(&mut self, element: &Node<'_>) -> Option<T> {
        let message = text!(
            "the list must hold constants of the type before `in`",
            "列表必须是与 `in` 之前同类型的常量"
        );
        self.fault(&element.span, message)
    }
}

/// What was probably meant by a comparison of these types.
fn mismatch_hint(sides: &[Node<'_>; 2], kinds: [Type; 2]) -> Option<Message> {
    if kinds.contains(&Type::State) {
        return Some(text!(
            "`previous` is compared with a state in quotes, as in `previous == \"RUN\"`",
            "`previous` 与引号中的状态比较，例如 `previous == \"RUN\"`"
        ));
    }
    if !kinds.contains(&Type::Text) {
        return Some(text!(
            "a bool is its own condition: `x` for 1, `!x` for 0",
            "布尔量本身就是条件：1 写 `x`，0 写 `!x`"
        ));
    }
    sides.iter().find_map(|side| {
        let Form::Quoted(text) = &side.form else {
            return None;
        };
        text.trim().parse::<f64>().ok()?;
        Some(text!(
            "write the number without quotes: `{text}`",
            "数值不加引号：`{text}`"
        ))
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rules see every number as a double, as the contract says"
)]
fn double(literal: Literal) -> f64 {
    match literal {
        Literal::Int(value) => value as f64,
        Literal::Uint(value) => value as f64,
        Literal::Double(value) => value,
    }
}
