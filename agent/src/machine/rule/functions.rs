//! The functions of rules: what they are called with.

use super::parse::{Form, Literal, Node};
use super::program::{Bool, Number};
use super::types::{Inference, Type, Typed};
use super::{PointKind, Window};
use crate::text;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How far back `changed` may look: below a second it would mean less than a poll, and beyond a day
/// a restart would leave it undecided for longer than anybody waits.
const WINDOW_MIN: Duration = Duration::from_secs(1);
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bits of a point: no register type is wider.
const BITS_MAX: u8 = 64;

/// Bits in one number: a double holds so many exactly.
const BITS_COUNT_MAX: u8 = 53;

/// The functions, and how each is called.
pub(super) const FUNCTIONS: [(&str, &str); 3] = [
    ("bit", "bit(point, n)"),
    ("bits", "bits(point, from, count)"),
    ("changed", "changed(point, \"60s\")"),
];

impl Inference<'_> {
    pub(super) fn call(
        &mut self,
        node: &Node<'_>,
        name: &str,
        arguments: &[Node<'_>],
    ) -> Option<Typed> {
        match (name, arguments) {
            ("bit", [point, bit]) => {
                let found = self.bits_point(point);
                let bits = found.map_or(BITS_MAX, |(_, bits)| bits);
                let bit = self.constant_in(bit, 0..=bits - 1);
                Some(Typed::Bool(Bool::Bit(found?.0, bit?)))
            }
            ("bits", [point, from, count]) => {
                let found = self.bits_point(point);
                let bits = found.map_or(BITS_MAX, |(_, bits)| bits);
                let from = self.constant_in(from, 0..=bits - 1);
                let count_max = (bits - from.unwrap_or(0)).min(BITS_COUNT_MAX);
                let count = self.constant_in(count, 1..=count_max)?;
                let mask = (1_u64 << count) - 1;
                Some(Typed::Number(Number::Bits(found?.0, from?, mask)))
            }
            ("changed", [point, length]) => {
                let place = self.argument_point(point).map(|(place, _)| place);
                let length_ms = self.window_length(length)?;
                let window = Window {
                    point: place?,
                    length_ms,
                };
                self.windows.insert(window);
                Some(Typed::Bool(Bool::Changed(window)))
            }
            _ => {
                let known = FUNCTIONS.iter().find(|(known, _)| *known == name);
                let call = known.map_or("", |(_, call)| call);
                let count = arguments.len();
                let message = text!(
                    "`{name}` can't take {count} arguments",
                    "`{name}` 不能有 {count} 个参数"
                );
                let hint = text!("it is called `{call}`", "用法是 `{call}`");
                self.fault_with_hint(&node.span, message, hint)
            }
        }
    }

    fn argument_point(&mut self, node: &Node<'_>) -> Option<(u16, PointKind)> {
        if let Form::Name(name) = node.form {
            return self.point(node, name);
        }
        let message = text!("a point's name must stand here", "此处必须是点位名");
        self.fault(&node.span, message)
    }

    /// A point that has bits, and how many.
    fn bits_point(&mut self, node: &Node<'_>) -> Option<(u16, u8)> {
        let kind = match self.argument_point(node)? {
            (point, PointKind::Bits(bits)) => return Some((point, bits)),
            (_, PointKind::Number) => {
                let message = text!(
                    "this point has no bits: it is scaled, or no whole number in the device",
                    "此点位没有位：它经过换算，或在设备中不是整数"
                );
                let hint = text!(
                    "read the register as a point without `scale` and `offset`",
                    "把该寄存器读作不带 `scale` 和 `offset` 的点位"
                );
                return self.fault_with_hint(&node.span, message, hint);
            }
            (_, PointKind::Bool) => Type::Bool,
            (_, PointKind::Text) => Type::Text,
        };
        let (en, zh) = (kind.en(), kind.zh());
        let message = text!(
            "this is {en}, only whole numbers have bits",
            "这里是{zh}，只有整数才有位"
        );
        self.fault(&node.span, message)
    }

    fn constant_in(&mut self, node: &Node<'_>, range: RangeInclusive<u8>) -> Option<u8> {
        if let Form::Number(literal) = node.form {
            let whole = match literal {
                Literal::Int(value) => u8::try_from(value).ok(),
                Literal::Uint(value) => u8::try_from(value).ok(),
                Literal::Double(_) => None,
            };
            if let Some(value) = whole.filter(|value| range.contains(value)) {
                return Some(value);
            }
        }
        let (from, to) = range.into_inner();
        let message = text!(
            "a whole number from {from} to {to} must stand here",
            "此处必须是 {from} 到 {to} 的整数"
        );
        self.fault(&node.span, message)
    }

    fn window_length(&mut self, node: &Node<'_>) -> Option<i64> {
        if let Form::Quoted(text) = node.form {
            let length = humantime::parse_duration(text).ok();
            let within = length.filter(|length| (WINDOW_MIN..=WINDOW_MAX).contains(length));
            if let Some(length) = within {
                return i64::try_from(length.as_millis()).ok();
            }
        }
        let message = text!(
            "a duration from 1s to 24h must stand here, in quotes",
            "此处必须是 1s 到 24h 的时长，用引号括起"
        );
        let hint = text!("as in `\"60s\"` or `\"5m\"`", "例如 `\"60s\"` 或 `\"5m\"`");
        self.fault_with_hint(&node.span, message, hint)
    }
}
