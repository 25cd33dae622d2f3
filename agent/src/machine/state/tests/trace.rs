//! A small machine, and traces of it as text.
//!
//! A trace is one input a line: `1000 running=1 speed=9.5 fault!timeout`, time first. A line without
//! readings only lets time pass; a line whose time ends in `s` belongs to the slow group. `1000 ~speed
//! ~fault` is a source's word that these points stand.

use super::super::*;
use crate::config::model::{Address, ByteOrder, Group, Kind, ModbusAddress, Order, Point, Table};
use crate::machine::rule::{PointKind, Rule, RulePoint};
use crate::machine::testing::{bare, point};
use crate::sample::Value;
use std::time::Duration;

/// Name, type, group.
pub(super) const POINTS: [(&str, PointKind, u16); 6] = [
    ("fault", PointKind::Bits(16), 0),
    ("estop", PointKind::Bool, 0),
    ("running", PointKind::Bool, 0),
    ("speed", PointKind::Number, 0),
    ("mode", PointKind::Text, 1),
    ("door", PointKind::Bool, 1),
];

pub(super) const FAST_STALE_MS: i64 = 10_000;
pub(super) const SLOW_STALE_MS: i64 = 90_000;

/// A map from rules, one a line: state, enter and leave in milliseconds, condition.
pub(super) fn map(rules: &str) -> Arc<MachineMap> {
    let known = POINTS.map(|(name, kind, _)| RulePoint { name, kind });
    let rules = rules.lines().map(|line| {
        let mut words = line.trim().splitn(4, ' ');
        let mut next = || words.next().unwrap();
        let state = next().parse().unwrap();
        let mut hold = || Duration::from_millis(next().parse().unwrap());
        let (enter, leave) = (hold(), hold());
        let when = next().to_owned();
        StateRule {
            state,
            rule: Rule::compile(&when, &known).unwrap(),
            when,
            enter,
            leave,
        }
    });
    let points = POINTS.map(|(name, kind, group)| Point {
        group,
        address: Address::Modbus(ModbusAddress {
            unit_id: 1,
            table: Table::Holding,
            start: 0,
            kind: match kind {
                PointKind::Bool => Kind::Bool(Some(0)),
                PointKind::Number => Kind::F32(Order::Abcd),
                PointKind::Bits(_) => Kind::U16(ByteOrder::High),
                PointKind::Text => Kind::String {
                    length: 16,
                    order: ByteOrder::High,
                },
            },
        }),
        ..point(name)
    });
    let group = |name: &str, stale_ms: i64| Group {
        name: name.parse().unwrap(),
        interval: Duration::from_secs(1),
        stale_after: Duration::from_millis(stale_ms.unsigned_abs()),
    };
    Arc::new(MachineMap {
        groups: vec![group("fast", FAST_STALE_MS), group("slow", SLOW_STALE_MS)],
        points: points.into(),
        rules: rules.collect(),
        ..bare()
    })
}

/// One line of a trace.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Input {
    pub(super) at_ms: i64,
    pub(super) group: u16,
    pub(super) samples: Vec<Sample>,
    /// Points that stand; then there are no samples.
    pub(super) standing: Vec<u16>,
}

impl Input {
    pub(super) fn give(&self, machine: &mut StateMachine, out: &mut Vec<Transition>) {
        if !self.standing.is_empty() {
            machine.stand(self.at_ms, self.group, &self.standing, out);
        } else if self.samples.is_empty() {
            machine.advance(self.at_ms, out);
        } else {
            machine.apply(self.at_ms, self.group, &self.samples, out);
        }
    }
}

fn place(name: &str) -> usize {
    let mut names = POINTS.iter();
    names.position(|(known, ..)| *known == name).unwrap()
}

fn sample(text: &str) -> Sample {
    let (name, word) = text.split_once(['=', '!']).unwrap();
    let point = place(name);
    let reading = if text.contains('!') {
        Err(match word {
            "timeout" => Bad::Timeout,
            "link" => Bad::Link,
            "range" => Bad::Range,
            "exception" => Bad::Exception(2),
            other => panic!("{other}"),
        })
    } else {
        Ok(match POINTS[point].1 {
            PointKind::Bool => Value::Bool(word == "1"),
            PointKind::Number => Value::Float(word.parse().unwrap()),
            PointKind::Bits(_) => Value::Uint(word.parse().unwrap()),
            PointKind::Text => Value::Text(word.into()),
        })
    };
    Sample {
        point: u16::try_from(point).unwrap(),
        reading,
    }
}

pub(super) fn trace(text: &str) -> Vec<Input> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let inputs = lines.map(|line| {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap();
        let (standing, readings): (Vec<&str>, Vec<&str>) =
            words.partition(|word| word.starts_with('~'));
        let standing = standing.iter().map(|word| place(&word[1..]));
        Input {
            at_ms: time.trim_end_matches('s').parse().unwrap(),
            group: u16::from(time.ends_with('s')),
            samples: readings.into_iter().map(sample).collect(),
            standing: standing
                .map(|place| u16::try_from(place).unwrap())
                .collect(),
        }
    });
    inputs.collect()
}

/// A transition as `RUN@2 1000/3000`: state and rule, since and decided.
pub(super) fn written(transition: &Transition) -> String {
    let rule = transition.rule.map(|rule| format!("@{}", rule + 1));
    format!(
        "{}{} {}/{}",
        transition.to,
        rule.unwrap_or_default(),
        transition.since_ms,
        transition.decided_ms
    )
}
