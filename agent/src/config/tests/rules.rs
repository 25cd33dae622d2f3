//! The faults that state rules can have, with their exact places.

use super::{GATEWAY, HEAD, check_map, check_points, load_files};

/// A map with these rules over points of several types.
fn with_rules(rules: &str) -> String {
    let head = HEAD.replacen(
        "[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n",
        rules,
        1,
    );
    let points = "speed = { holding = 1, type = \"f32\" }\nestop = { coil = 1 }\n\
        word = { holding = 3, type = \"i16\" }\nrate = { holding = 4, type = \"u16\", scale = 0.1 }\n\
        serial = { holding = 5, type = \"string\", length = 4 }\n";
    format!("{head}{points}")
}

fn rule(when: &str) -> String {
    format!("[[state.rules]]\nstate = \"RUN\"\nwhen = {when}\n")
}

#[test]
fn rules() {
    for (when, code) in [
        ("\"«spede» > 5.0\"", "rule"),
        ("'«speed»'", "rule"),
        ("'''\n«speed»'''", "rule"),
        ("«\"\\u0073peed\"»", "rule"),
        ("\"estop && «speed»\"", "rule"),
        ("«\"previous == 'RUN'\"»", "warning rule-without-point"),
        ("«\"false\"»", "warning never-true"),
        ("«\"estop && 1 > 2\"»", "warning never-true"),
        ("\"bit(«speed», 3)\"", "rule"),
        ("\"bit(«rate», 3)\"", "rule"),
        ("\"bit(word, «16»)\"", "rule"),
        ("\"speed / «0» > 1\"", "rule"),
    ] {
        let idle = "[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n";
        check_map(&with_rules(&format!("{}{idle}", rule(when))), &[code]);
    }
}

#[test]
fn rules_that_are_never_reached() {
    let twice = format!("{}{}", rule("\"estop\""), rule("«\" estop \"»"));
    check_map(&with_rules(&twice), &["unreachable-rule"]);
    let spaced = format!(
        "{}{}",
        rule("'serial == \"A B\"'"),
        rule("'serial == \"AB\"'")
    );
    check_map(&with_rules(&spaced), &[]);
    let bracketed = format!("{}{}", rule("\"speed > 5\""), rule("«\"(speed) > 5.0\"»"));
    check_map(&with_rules(&bracketed), &["unreachable-rule"]);
    let after = format!("{}{}", rule("«\"true\"»"), rule("«\"estop\"»"));
    check_map(
        &with_rules(&after),
        &["warning rule-without-point", "unreachable-rule"],
    );
}

#[test]
fn other_keys_of_rules() {
    check_map(&with_rules(""), &["machines/m.toml: warning no-rules"]);
    check_map(
        &with_rules(&rule("\"estop\"").replace("\"RUN\"", "«\"UNKNOWN\"»")),
        &["bad-value"],
    );
    check_map(
        &with_rules(&rule("\"estop\"").replace("\"RUN\"", "«\"RNU\"»")),
        &["bad-value"],
    );
    check_map(
        &with_rules(&format!("{}enter = «\"-\"»\n", rule("\"estop\""))),
        &["bad-duration"],
    );
    check_map(&with_rules("[state]\nrules = «3»\n"), &["wrong-type"]);
    check_map(
        &with_rules(&rule("\"estop\"").replacen(
            "[[state.rules]]\nstate = \"RUN\"",
            "«[[state.rules]]»",
            1,
        )),
        &["missing-key"],
    );
    // A rule about a point with a fault waits for that to be mended.
    check_points(
        "estop = { coil = 1, «grp» = \"fast\" }\nx = { holding = 1, type = «\"u17\"» }\n",
        &["unknown-key", "bad-value"],
    );
    let rules = rule("\"broken > 1\"");
    check_map(
        &format!("{}broken = {{ coil = «-1» }}\n", with_rules(&rules)),
        &["address-range"],
    );
}

#[test]
fn rules_that_do_not_parse() {
    for when in [
        "speed >",
        "(estop",
        "speed > 5 &&& estop",
        "",
        "estop ? 1 : 2",
        "[1].all(x, x > 0)",
    ] {
        let head = HEAD.replacen("\"true\"", &format!("'{when}'"), 1);
        let map =
            format!("{head}speed = {{ holding = 1, type = \"f32\" }}\nestop = {{ coil = 1 }}\n");
        let faults =
            load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", &map)]).unwrap_err();
        let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        assert!(
            !codes.is_empty() && codes.iter().all(|code| *code == "rule"),
            "{when}: {codes:?}"
        );
        assert!(
            faults
                .iter()
                .all(|fault| fault.position().unwrap().line == 9),
            "{when}"
        );
    }
}
