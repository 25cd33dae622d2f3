//! What rules mean.

mod any_text;
mod faults;

use super::*;
use std::collections::BTreeMap;

const POINTS: [RulePoint<'static>; 6] = [
    RulePoint {
        name: "running",
        kind: PointKind::Bool,
    },
    RulePoint {
        name: "door_open",
        kind: PointKind::Bool,
    },
    RulePoint {
        name: "screw_speed",
        kind: PointKind::Number,
    },
    RulePoint {
        name: "fault_word",
        kind: PointKind::Bits(64),
    },
    RulePoint {
        name: "recipe",
        kind: PointKind::Text,
    },
    RulePoint {
        name: "status_word",
        kind: PointKind::Bits(16),
    },
];

/// Known values; what is not listed is not fresh and good.
#[derive(Default)]
struct Known {
    values: BTreeMap<u16, Value>,
    changed: Option<bool>,
}

impl PointView for Known {
    fn value(&self, point: u16) -> Option<&Value> {
        self.values.get(&point)
    }

    fn changed(&self, _: Window) -> Option<bool> {
        self.changed
    }
}

fn place(name: &str) -> u16 {
    let place = POINTS.iter().position(|point| point.name == name);
    u16::try_from(place.unwrap()).unwrap()
}

fn known(values: &[(&str, Value)]) -> Known {
    let values = values
        .iter()
        .map(|(name, value)| (place(name), value.clone()));
    Known {
        values: values.collect(),
        changed: None,
    }
}

/// The rule's verdict and the names of the points blamed for it.
fn evaluate(text: &str, view: &Known) -> (Verdict, Vec<&'static str>) {
    let rule = Rule::compile(text, &POINTS).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let mut blamed = Vec::new();
    rule.blame(view, State::Run, &mut blamed);
    let names = blamed
        .into_iter()
        .map(|point| POINTS[usize::from(point)].name);
    (rule.evaluate(view, State::Run), names.collect())
}

#[test]
fn values_decide_as_the_language_says() {
    let view = known(&[
        ("running", Value::Bool(true)),
        ("door_open", Value::Bool(false)),
        ("screw_speed", Value::Float32(7.5)),
        ("fault_word", Value::Uint(0b1010)),
        ("recipe", Value::Text("PP-中试".into())),
    ]);
    for (text, expected) in [
        ("running && screw_speed > 5.0", Verdict::True),
        ("running && screw_speed > 5", Verdict::True),
        ("!running || door_open", Verdict::False),
        ("running == door_open", Verdict::False),
        ("running != door_open", Verdict::True),
        (
            "fault_word == 10 && fault_word == 10u && fault_word == 0xA",
            Verdict::True,
        ),
        ("fault_word != 0", Verdict::True),
        (
            "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 - 2 - 1 == 4",
            Verdict::True,
        ),
        ("-screw_speed < -7 && screw_speed - -1 > 8", Verdict::True),
        ("7 / 2 == 3.5 && 7 % 4 == 3", Verdict::True),
        ("true || false && false", Verdict::True),
        ("door_open ? screw_speed > 100 : running", Verdict::True),
        ("(door_open ? 1 : 2) == 2", Verdict::True),
        ("bit(fault_word, 1) && bit(fault_word, 3)", Verdict::True),
        ("bit(fault_word, 0) || bit(fault_word, 63)", Verdict::False),
        (
            "bits(fault_word, 1, 3) == 5 && bits(fault_word, 63, 1) == 0",
            Verdict::True,
        ),
        ("recipe == \"PP-中试\" && recipe != 'PP'", Verdict::True),
        ("recipe in [\"PA\", \"PP-中试\"]", Verdict::True),
        ("fault_word in [1, 2, -3, 10.0]", Verdict::True),
        ("fault_word in [1, 2]", Verdict::False),
        ("fault_word in []", Verdict::False),
        ("previous == \"RUN\"", Verdict::True),
        ("\"RUN\" != previous", Verdict::False),
        ("previous in [\"IDLE\", \"RUN\"]", Verdict::True),
        ("running // while it turns\n && !door_open", Verdict::True),
    ] {
        assert_eq!(evaluate(text, &view), (expected, vec![]), "{text}");
    }
}

#[test]
fn what_is_not_known_leaves_undecided_only_what_needs_it() {
    // Known: running true, fault_word 1. Not known: door_open, screw_speed, recipe.
    let view = known(&[
        ("running", Value::Bool(true)),
        ("fault_word", Value::Int(1)),
    ]);
    let undecided = |blamed: &[&'static str]| (Verdict::Undecided, blamed.to_vec());
    for (text, expected) in [
        ("door_open", undecided(&["door_open"])),
        ("!door_open", undecided(&["door_open"])),
        ("running || door_open", (Verdict::True, vec![])),
        ("door_open || running", (Verdict::True, vec![])),
        ("!running && door_open", (Verdict::False, vec![])),
        ("door_open && !running", (Verdict::False, vec![])),
        ("running && door_open", undecided(&["door_open"])),
        ("!running || door_open", undecided(&["door_open"])),
        (
            "door_open && screw_speed > 5",
            undecided(&["door_open", "screw_speed"]),
        ),
        (
            "(door_open || running) && screw_speed > 5",
            undecided(&["screw_speed"]),
        ),
        ("door_open == door_open", undecided(&["door_open"])),
        ("screw_speed + fault_word > 0", undecided(&["screw_speed"])),
        ("screw_speed * 0 == 0", undecided(&["screw_speed"])),
        ("recipe == \"PP\"", undecided(&["recipe"])),
        ("recipe in [\"PP\"]", undecided(&["recipe"])),
        ("bit(status_word, 1)", undecided(&["status_word"])),
        ("bits(status_word, 1, 2) == 0", undecided(&["status_word"])),
        ("changed(recipe, \"60s\")", undecided(&["recipe"])),
        (
            "changed(recipe, \"60s\") || running",
            (Verdict::True, vec![]),
        ),
        ("door_open ? running : running", (Verdict::True, vec![])),
        ("(door_open ? 1 : fault_word) == 1", (Verdict::True, vec![])),
        ("door_open ? running : !running", undecided(&["door_open"])),
        (
            "running ? screw_speed > 1 : recipe == \"A\"",
            undecided(&["screw_speed"]),
        ),
        (
            "!running ? screw_speed > 1 : recipe == \"A\"",
            undecided(&["recipe"]),
        ),
        // The values themselves decide nothing: nobody is to blame.
        ("1 / (fault_word - 1) > 0", undecided(&[])),
        ("0 / (fault_word - 1) > 0", undecided(&[])),
        ("1 % (fault_word - 1) == 0", undecided(&[])),
        ("1e308 * 10 * fault_word > 0", undecided(&[])),
    ] {
        assert_eq!(evaluate(text, &view), expected, "{text}");
    }
}

#[test]
fn bits_are_those_of_whole_numbers() {
    for (value, expected) in [
        (Value::Uint(1 << 63 | 1), Verdict::True),
        (Value::Uint(1), Verdict::False),
        (Value::Int(-1), Verdict::True),
        (Value::Int(-2), Verdict::False),
        (Value::Int(1), Verdict::False),
        // A value of another type than the map says decides nothing, either.
        (Value::Float(3.0), Verdict::Undecided),
        (Value::Float32(3.0), Verdict::Undecided),
        (Value::Bool(true), Verdict::Undecided),
        (Value::Text("1".into()), Verdict::Undecided),
    ] {
        let view = known(&[("fault_word", value.clone())]);
        let verdict = evaluate("bit(fault_word, 63) && bit(fault_word, 0)", &view).0;
        assert_eq!(verdict, expected, "{value:?}");
    }
}

#[test]
fn the_highest_bit_of_a_signed_register_is_a_bit() {
    let view = known(&[("status_word", Value::Int(i64::from(i16::MIN)))]);
    for (text, expected) in [
        ("bit(status_word, 15)", Verdict::True),
        ("bit(status_word, 14)", Verdict::False),
        ("bits(status_word, 12, 4) == 8", Verdict::True),
        ("bits(status_word, 0, 16) == 0x8000", Verdict::True),
    ] {
        assert_eq!(evaluate(text, &view).0, expected, "{text}");
    }
}

#[test]
fn the_same_condition_is_known_whatever_spaces_and_brackets_it_has() {
    let compile = |text| Rule::compile(text, &POINTS).unwrap();
    for (one, other, expected) in [
        ("running&&door_open", "(running) && door_open // so", true),
        ("fault_word == 16", "fault_word == 0x10", true),
        ("recipe == \"A B\"", "recipe == \"AB\"", false),
        ("running && door_open", "door_open && running", false),
    ] {
        let same = compile(one).is_same(&compile(other));
        assert_eq!(same, expected, "{one} | {other}");
    }
}

#[test]
fn changed_says_what_the_view_says() {
    for (changed, expected) in [
        (Some(true), Verdict::True),
        (Some(false), Verdict::False),
        (None, Verdict::Undecided),
    ] {
        let view = Known {
            changed,
            ..Known::default()
        };
        assert_eq!(evaluate("changed(running, \"1m 30s\")", &view).0, expected);
    }
    let text =
        "changed(running, \"90s\") && changed(running, \"1m 30s\") && !changed(recipe, \"1s\")";
    let windows = [(0, 90_000), (4, 1_000)].map(|(point, length_ms)| Window { point, length_ms });
    assert_eq!(Rule::compile(text, &POINTS).unwrap().windows(), windows);
}

#[test]
fn a_rule_knows_its_points_and_whether_it_depends_on_any() {
    for (text, points, constant) in [
        ("true", &[][..], Some(true)),
        ("!(1 < 2)", &[], Some(false)),
        ("true || running", &[0], Some(true)),
        ("recipe == \"A\" && false", &[4], Some(false)),
        ("running", &[0], None),
        (
            "fault_word != 0 || fault_word == 1 || running",
            &[0, 3],
            None,
        ),
        ("previous == \"RUN\"", &[], None),
        ("1 / (1 - 1) > 1", &[], None),
    ] {
        let rule = Rule::compile(text, &POINTS).unwrap();
        assert_eq!(
            (rule.points(), rule.constant()),
            (points, constant),
            "{text}"
        );
    }
}
