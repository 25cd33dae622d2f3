//! What rules refuse, and in which words.

use super::super::scan;
use super::{POINTS, Rule};
use crate::text::Language;

/// Compiles a faulty text: each fault as the text it stands on, what is wrong, and the hint.
fn faults(text: &str) -> Vec<(String, String, String)> {
    let faults = Rule::compile(text, &POINTS).expect_err(text);
    let shown = faults.into_iter().map(|fault| {
        let hint = fault.hint.map(|hint| hint.say(Language::En).to_owned());
        assert!(!fault.message.zh.is_empty());
        (
            text[fault.span].to_owned(),
            fault.message.en,
            hint.unwrap_or_default(),
        )
    });
    shown.collect()
}

/// Checks a text with one fault: where it stands, and words of its message and hint.
fn check_fault(text: &str, place: &str, words: &str, hint: &str) {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{text}: {faults:?}");
    let (found, message, found_hint) = &faults[0];
    assert_eq!(found, place, "{text}: {message}");
    assert!(message.contains(words), "{text}: {message}");
    assert!(found_hint.contains(hint), "{text}: {found_hint}");
}

/// Text, the place of its fault, words of the message, words of the hint.
const NAMES_AND_TYPES: &[(&str, &str, &str, &str)] = &[
    ("runing && true", "runing", "no point `runing`", "`running`"),
    ("screwspeed > 5", "screwspeed", "no point", "`screw_speed`"),
    ("zzz > 5", "zzz", "no point `zzz`", ""),
    (
        "running == RUN",
        "RUN",
        "no point `RUN`",
        "previous == \"RUN\"",
    ),
    (
        "screw_speed",
        "screw_speed",
        "a number, a condition needs a bool",
        "!= 0",
    ),
    ("recipe || running", "recipe", "a text, a condition", "=="),
    ("previous", "previous", "a state, a condition", "== \"RUN\""),
    ("!screw_speed", "screw_speed", "a number", "!= 0"),
    (
        "fault_word != \"0\"",
        "fault_word != \"0\"",
        "a number can't be compared with a text",
        "`0`",
    ),
    (
        "running == 1",
        "running == 1",
        "a bool can't be compared with a number",
        "`!x`",
    ),
    (
        "recipe == running",
        "recipe == running",
        "a text can't be compared with a bool",
        "",
    ),
    (
        "previous == recipe",
        "previous == recipe",
        "a state can't",
        "== \"RUN\"",
    ),
    (
        "previous == previous",
        "previous == previous",
        "a state can't",
        "in quotes",
    ),
    (
        "previous == \"RUNNING\"",
        "\"RUNNING\"",
        "no state `RUNNING`",
        "UNKNOWN, OFF",
    ),
    (
        "previous in [\"RUN\", \"X\"]",
        "\"X\"",
        "no state `X`",
        "HOLD",
    ),
    ("recipe < \"B\"", "recipe < \"B\"", "no order", ""),
    ("running < door_open", "running < door_open", "no order", ""),
    (
        "1 < screw_speed < 5",
        "1 < screw_speed < 5",
        "a bool can't be compared",
        "",
    ),
    (
        "running + 1 > 1",
        "running",
        "a bool, a number is needed",
        "",
    ),
    ("-recipe == 1", "recipe", "a text, a number is needed", ""),
    (
        "running ? 1 : recipe == \"A\"",
        "running ? 1 : recipe == \"A\"",
        "between a number and a bool",
        "",
    ),
    ("running in [true]", "running", "its own condition", ""),
    ("fault_word in [1, \"2\"]", "\"2\"", "constants", ""),
    (
        "fault_word in [screw_speed]",
        "screw_speed",
        "constants",
        "",
    ),
    (
        "bit(running, 1)",
        "running",
        "a bool, only whole numbers have bits",
        "",
    ),
    ("bit(fault_word, 64)", "64", "from 0 to 63", ""),
    ("bit(fault_word, -1)", "-1", "from 0 to 63", ""),
    ("bit(status_word, 16)", "16", "from 0 to 15", ""),
    ("bits(status_word, 8, 9) > 0", "9", "from 1 to 8", ""),
    ("bit(screw_speed, 3)", "screw_speed", "no bits", "`scale`"),
    ("fault_word / 0 > 1", "0", "divided by 0", ""),
    ("fault_word % 0.0 == 1", "0.0", "divided by 0", ""),
    (
        "bit(fault_word, screw_speed)",
        "screw_speed",
        "from 0 to 63",
        "",
    ),
    (
        "bit(fault_word + 1, 1)",
        "fault_word + 1",
        "a point's name",
        "",
    ),
    ("bit(previous, 1)", "previous", "no point `previous`", ""),
    (
        "bit(fault_word)",
        "bit(fault_word)",
        "can't take 1 argument",
        "bit(point, n)",
    ),
    ("bits(fault_word, 60, 5) > 0", "5", "from 1 to 4", ""),
    ("bits(fault_word, 0, 54) > 0", "54", "from 1 to 53", ""),
    ("bits(fault_word, 0, 0) > 0", "0", "from 1 to 53", ""),
    (
        "changed(running, 60)",
        "60",
        "a duration from 1s to 24h",
        "\"60s\"",
    ),
    ("changed(running, \"999ms\")", "\"999ms\"", "a duration", ""),
    ("changed(running, \"25h\")", "\"25h\"", "a duration", ""),
];

#[test]
fn a_fault_of_names_or_types_says_what_would_be_right() {
    for (text, place, words, hint) in NAMES_AND_TYPES {
        check_fault(text, place, words, hint);
    }
    let all = faults("runing && fault_word == \"1\" || bit(recipe, 99)");
    let places: Vec<&str> = all.iter().map(|(place, ..)| place.as_str()).collect();
    assert_eq!(places, ["runing", "fault_word == \"1\"", "recipe", "99"]);
}

#[test]
fn a_fault_of_syntax_stands_where_the_text_goes_wrong() {
    for (text, place, words, hint) in [
        ("", "", "empty", ""),
        (" // nothing", " // nothing", "empty", ""),
        ("running &&", "&&", "breaks off", ""),
        ("running and door_open", "and", "can't stand here", "`&&`"),
        ("not running", "not", "can't stand here", "`!`"),
        ("温度1 > 3", "温度1", "no part", ""),
        ("running ＆＆ door_open", "＆＆", "no part", "`&&`"),
        ("fault_word & 1 == 1", "&", "no part", "`bit(word, 3)`"),
        ("not (running)", "not", "no function `not`", "`!`"),
        ("running door_open", "door_open", "can't stand here", ""),
        ("running\n && * door_open", "*", "can't stand here", ""),
        ("\"中文\" == recipe ) ", ")", "closes nothing", ""),
        ("\"中文\" == == recipe", "==", "can't stand here", ""),
        ("(running", "(", "never closed", ""),
        ("bit(fault_word, 1]", "]", "closes nothing", ""),
        ("running = true", "=", "no part", "`==`"),
        ("running & door_open", "&", "no part", "`&&`"),
        ("running ＆ door_open", "＆", "no part", "`&&`"),
        ("（running)", "（", "no part", "`(`"),
        ("recipe.size > 1", ".", "no part", "no fields"),
        ("{1 > 0", "{", "no part", ""),
        ("[1] == 1", "[", "only after `in`", "mode in"),
        ("fault_word[1] == 1", "[", "only after `in`", ""),
        ("has(recipe)", "has", "no function `has`", "bit(point, n)"),
        ("!!running", "!", "takes back", "both"),
        ("screw_speed > - -1", "-", "takes back", "both"),
        ("screw_speed - - -1 > 0", "-", "takes back", "both"),
        (
            "screw_speed > 5rpm",
            "5rpm",
            "not a number",
            "without a unit",
        ),
        ("screw_speed > 1.", "1.", "not a number", ""),
        (
            "fault_word > 99999999999999999999",
            "99999999999999999999",
            "too large",
            "",
        ),
        ("recipe == \"A", "\"", "never closed", ""),
        ("recipe == r\"A\"", "r", "in quotes alone", ""),
        ("recipe == \"A\\n\"", "\\", "no escapes", ""),
        ("recipe == null", "null", "can't be written like this", ""),
    ] {
        check_fault(text, place, words, hint);
    }
}

#[test]
fn no_text_within_or_beyond_the_bounds_overflows_the_stack() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}true{}", open.repeat(count), close.repeat(count))
    };
    let half = scan::DEPTH_MAX / 2;
    let texts = [
        (nested("(", ")", scan::DEPTH_MAX), true),
        (nested("(", ")", scan::DEPTH_MAX + 1), false),
        (nested("(", ")", 2_000), false),
        ("(".repeat(4_096), false),
        (nested("!(", ")", half), true),
        (nested("!(", ")", 1_300), false),
        (nested("(true && ", ")", scan::DEPTH_MAX), true),
        (format!("{}true", "true ? false : ".repeat(half)), true),
        (format!("{}true", "true ? false : ".repeat(250)), false),
        (format!("{}1 > 0", "1 + ".repeat(scan::DEPTH_MAX - 1)), true),
        (format!("{}1 > 0", "1 + ".repeat(1_000)), false),
        (format!("{}true", "running || ".repeat(370)), true),
        (format!("1 in [{}1]", "1,".repeat(500)), true),
        ("-".repeat(4_096), false),
        (format!("{}true", "!".repeat(4_000)), false),
        ("x".repeat(4_097), false),
        ("x ".repeat(1_025), false),
    ];
    // The stack that a thread has unless it asks for more.
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let outcomes = thread.spawn(move || {
        texts.map(|(text, is_rule)| {
            let start: String = text.chars().take(30).collect();
            let compiled = Rule::compile(&text, &POINTS);
            (
                start,
                compiled.as_ref().map(Rule::constant).is_ok(),
                is_rule,
            )
        })
    });
    for (text, compiled, expected) in outcomes.unwrap().join().unwrap() {
        assert_eq!(compiled, expected, "{text}");
    }
}
