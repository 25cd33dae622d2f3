//! The syntax of rules: the `cel` crate's tree, put back on the text.
//!
//! cel's tree tells no positions, so it is walked beside the tokens: read from left to right, its
//! leaves and operators are the tokens but for grouping brackets. That also proves that the tree
//! says what the text says; where it does not, the rule is refused.

use cel::common::ast::{CallExpr, Expr, operators};
use cel::common::value::CelVal;
use cel::parser::{Expression, ParseError, Parser};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::RuleFault;
use super::program::{Comparison, Operation};
use super::scan::{Token, TokenKind, word_hint};
use crate::text;

/// An expression as it is written, its types not yet known.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Where it stands, in bytes, without brackets around it.
    pub(super) span: Range<usize>,
    pub(super) form: Form<'t>,
}

/// The forms of an expression.
#[derive(Debug)]
pub(super) enum Form<'t> {
    Name(&'t str),
    Bool(bool),
    Number(Literal),
    Quoted(&'t str),
    Not(Box<Node<'t>>),
    Negate(Box<Node<'t>>),
    Both(Box<[Node<'t>; 2]>),
    Either(Box<[Node<'t>; 2]>),
    Compare(Comparison, Box<[Node<'t>; 2]>),
    Calculate(Operation, Box<[Node<'t>; 2]>),
    Choose(Box<[Node<'t>; 3]>),
    In(Box<Node<'t>>, Vec<Node<'t>>),
    Call(&'t str, Vec<Node<'t>>),
}

/// A number as it is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Literal {
    Int(i64),
    Uint(u64),
    Double(f64),
}

/// The tree of a text whose tokens are within the bounds.
pub(super) fn parse<'t>(text: &'t str, tokens: &[Token]) -> Result<Node<'t>, Vec<RuleFault>> {
    // The parser is generated code over a runtime of its own that may panic on what it doesn't
    // expect; a configuration must never end the daemon.
    let parsed = catch_unwind(AssertUnwindSafe(|| Parser::new().parse(text)));
    let tree = match parsed {
        Ok(Ok(tree)) => tree,
        Ok(Err(errors)) => {
            let first = errors.errors.first();
            return Err(vec![syntax_fault(text, tokens, first)]);
        }
        Err(_) => return Err(vec![syntax_fault(text, tokens, None)]),
    };
    let mut walk = Walk {
        text,
        tokens: without_groups(text, tokens),
        next: 0,
    };
    let node = walk.node(&tree);
    match node {
        Some(node) if walk.next == walk.tokens.len() => Ok(node),
        Some(_) | None => Err(vec![walk.misread()]),
    }
}

/// The fault at the place where the parser stopped.
fn syntax_fault(text: &str, tokens: &[Token], error: Option<&ParseError>) -> RuleFault {
    let offset = error.map_or(0, |error| offset_of(text, error.pos));
    let place = tokens.iter().position(|token| token.span.end > offset);
    let Some(token) = place.and_then(|place| tokens.get(place)) else {
        let end = tokens.last().map_or(0..0, |token| token.span.clone());
        return RuleFault::new(
            end,
            text!(
                "the rule breaks off here, something must follow",
                "规则在此处中断，后面缺少内容"
            ),
        );
    };
    // The parser takes `not` for a name, and stops at what follows it.
    let before = place.and_then(|place| tokens.get(place.checked_sub(1)?));
    let token = before
        .filter(|before| {
            before.kind == TokenKind::Name && word_hint(before.written(text)).is_some()
        })
        .unwrap_or(token);
    let written = token.written(text);
    if token.kind == TokenKind::Number {
        return RuleFault::new(
            token.span.clone(),
            text!("`{written}` is too large", "`{written}` 数值过大"),
        );
    }
    let fault = RuleFault::new(
        token.span.clone(),
        text!("`{written}` can't stand here", "`{written}` 不能写在这里"),
    );
    match word_hint(written) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The byte at a position that counts lines and characters from one.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let place = |number: isize| usize::try_from(number - 1).unwrap_or(0);
    let mut start = 0;
    for _ in 0..place(line) {
        let rest = text.get(start..).unwrap_or_default();
        start += rest.find('\n').map_or(rest.len(), |at| at + 1);
    }
    let rest = text.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(place(column));
    start + within.map_or(rest.len(), |(at, _)| at)
}

/// The tokens without the brackets that only group: those not behind a function's name.
fn without_groups<'k>(text: &str, tokens: &'k [Token]) -> Vec<&'k Token> {
    let mut kept: Vec<&Token> = Vec::with_capacity(tokens.len());
    let mut groups = Vec::new();
    let mut before: Option<&Token> = None;
    for token in tokens {
        let keep = match token.written(text) {
            "(" => {
                let is_call = before.is_some_and(|before| {
                    before.kind == TokenKind::Name && before.written(text) != "in"
                });
                groups.push(!is_call);
                is_call
            }
            ")" => groups.pop() == Some(false),
            _ => true,
        };
        if keep {
            kept.push(token);
        }
        before = Some(token);
    }
    kept
}

/// A walk over the tree and the tokens at once. None: they differ.
struct Walk<'t, 'k> {
    text: &'t str,
    tokens: Vec<&'k Token>,
    next: usize,
}

impl<'t> Walk<'t, '_> {
    fn misread(&self) -> RuleFault {
        let place = self.next.min(self.tokens.len().saturating_sub(1));
        let span = self
            .tokens
            .get(place)
            .map_or(0..0, |token| token.span.clone());
        RuleFault::new(
            span,
            text!("a rule can't be written like this", "规则不能这样写"),
        )
    }

    fn peek(&self) -> Option<(TokenKind, &'t str)> {
        let token = self.tokens.get(self.next)?;
        Some((token.kind, token.written(self.text)))
    }

    fn take(&mut self, kind: TokenKind) -> Option<&'t str> {
        let (found, written) = self.peek()?;
        self.next += 1;
        (found == kind).then_some(written)
    }

    fn expect(&mut self, written: &str) -> Option<()> {
        let (_, found) = self.peek()?;
        self.next += 1;
        (found == written).then_some(())
    }

    fn node(&mut self, tree: &Expression) -> Option<Node<'t>> {
        let first = self.next;
        let form = match &tree.expr {
            Expr::Ident(name) => {
                let written = self.take(TokenKind::Name)?;
                (written == name).then_some(Form::Name(written))?
            }
            Expr::Literal(value) => self.literal(value)?,
            Expr::Call(call) if call.target.is_none() => self.call(call)?,
            Expr::Call(_)
            | Expr::Unspecified
            | Expr::Comprehension(_)
            | Expr::List(_)
            | Expr::Map(_)
            | Expr::Select(_)
            | Expr::Struct(_) => return None,
        };
        let start = self.tokens.get(first)?.span.start;
        let end = self.tokens.get(self.next.checked_sub(1)?)?.span.end;
        Some(Node {
            span: start..end,
            form,
        })
    }

    fn literal(&mut self, value: &CelVal) -> Option<Form<'t>> {
        let number = match value {
            CelVal::Boolean(value) => {
                self.expect(if *value { "true" } else { "false" })?;
                return Some(Form::Bool(*value));
            }
            CelVal::String(value) => {
                let written = self.take(TokenKind::Quoted)?;
                let inside = written.get(1..written.len().checked_sub(1)?)?;
                return (inside == value).then_some(Form::Quoted(inside));
            }
            CelVal::Int(value) => Literal::Int(*value),
            CelVal::UInt(value) => Literal::Uint(*value),
            CelVal::Double(value) => Literal::Double(*value),
            CelVal::Unspecified
            | CelVal::Error
            | CelVal::Dyn
            | CelVal::Any
            | CelVal::Bytes(_)
            | CelVal::Duration(_)
            | CelVal::List
            | CelVal::Map
            | CelVal::Null
            | CelVal::Timestamp(_)
            | CelVal::Type
            | CelVal::Unknown => return None,
        };
        // A sign right before a number is part of cel's literal.
        if self.peek()?.1 == "-" {
            self.next += 1;
        }
        self.take(TokenKind::Number)?;
        Some(Form::Number(number))
    }

    fn call(&mut self, call: &CallExpr) -> Option<Form<'t>> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_NOT, [operand]) => {
                self.expect("!")?;
                Some(Form::Not(Box::new(self.node(operand)?)))
            }
            (operators::NEGATE, [operand]) => {
                self.expect("-")?;
                Some(Form::Negate(Box::new(self.node(operand)?)))
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.node(condition)?;
                self.expect("?")?;
                let yes = self.node(yes)?;
                self.expect(":")?;
                let no = self.node(no)?;
                Some(Form::Choose(Box::new([condition, yes, no])))
            }
            (operators::IN, [operand, list]) => {
                let operand = Box::new(self.node(operand)?);
                self.expect("in")?;
                Some(Form::In(operand, self.list(list)?))
            }
            (_, [left, right]) if name.starts_with('_') => self.binary(name, left, right),
            _ => {
                let written = self.take(TokenKind::Name)?;
                self.expect("(")?;
                let arguments = self.series(&call.args)?;
                self.expect(")")?;
                (written == name).then_some(Form::Call(written, arguments))
            }
        }
    }

    fn binary(&mut self, name: &str, left: &Expression, right: &Expression) -> Option<Form<'t>> {
        let form: fn(Box<[Node<'t>; 2]>) -> Form<'t> = match name {
            operators::LOGICAL_AND => Form::Both,
            operators::LOGICAL_OR => Form::Either,
            operators::EQUALS => |sides| Form::Compare(Comparison::Equal, sides),
            operators::NOT_EQUALS => |sides| Form::Compare(Comparison::NotEqual, sides),
            operators::LESS => |sides| Form::Compare(Comparison::Less, sides),
            operators::LESS_EQUALS => |sides| Form::Compare(Comparison::LessOrEqual, sides),
            operators::GREATER => |sides| Form::Compare(Comparison::Greater, sides),
            operators::GREATER_EQUALS => |sides| Form::Compare(Comparison::GreaterOrEqual, sides),
            operators::ADD => |sides| Form::Calculate(Operation::Add, sides),
            operators::SUBSTRACT => |sides| Form::Calculate(Operation::Subtract, sides),
            operators::MULTIPLY => |sides| Form::Calculate(Operation::Multiply, sides),
            operators::DIVIDE => |sides| Form::Calculate(Operation::Divide, sides),
            operators::MODULO => |sides| Form::Calculate(Operation::Remainder, sides),
            _ => return None,
        };
        let left = self.node(left)?;
        // cel names a binary operator by itself between two underlines.
        self.expect(name.trim_matches('_'))?;
        let right = self.node(right)?;
        Some(form(Box::new([left, right])))
    }

    fn list(&mut self, list: &Expression) -> Option<Vec<Node<'t>>> {
        let Expr::List(list) = &list.expr else {
            return None;
        };
        self.expect("[")?;
        let elements = self.series(&list.elements)?;
        if self.peek()?.1 == "," {
            self.next += 1;
        }
        self.expect("]")?;
        Some(elements)
    }

    /// Expressions with commas between them.
    fn series(&mut self, trees: &[Expression]) -> Option<Vec<Node<'t>>> {
        let mut nodes = Vec::with_capacity(trees.len());
        for (place, tree) in trees.iter().enumerate() {
            if place > 0 {
                self.expect(",")?;
            }
            nodes.push(self.node(tree)?);
        }
        Some(nodes)
    }
}
