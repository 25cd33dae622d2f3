use super::{Rules, Thresholds};
use crate::Class;
use crate::report::Formula;

const EXAMPLE: &str = include_str!("../../../../config/scoring/example-university.toml");

#[test]
fn the_rules_that_come_with_the_program_are_sound() {
    let national = Rules::national().unwrap();
    assert_eq!(national.name, "national");
    assert_eq!(national.file, None);
    assert_eq!(national.quotas["general"], 1400);
    assert_eq!(national.quotas["class-04"], 800);
    assert!(!national.effective.contains(&Class::Mnt));
    assert_eq!(national.minimum_coverage_pm, 800);
    assert_eq!(national.thresholds, Thresholds::default());
    assert!(national.parts.is_empty());
    let example = Rules::read(EXAMPLE.as_bytes(), "example.toml").unwrap();
    assert_eq!(example.outside_factor_hundredths, 150);
    let parts: Vec<_> = example
        .parts
        .iter()
        .map(|part| (part.figure, part.target_hundredths, part.cap_hundredths))
        .collect();
    assert_eq!(
        parts,
        [
            (Formula::Sharing, 1000, 1000),
            (Formula::Income, 2000, 1500)
        ]
    );
    assert_eq!(example.sha256.len(), 64);
}

#[test]
fn a_fault_says_where_it_is_and_what_to_do() {
    let check = |from: &str, to: &str, expected: &str| {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from}");
        let faults = Rules::read(text.as_bytes(), "r.toml").unwrap_err();
        let said = faults.to_string();
        assert!(said.contains(expected), "{to}: {said}");
        assert!(!faults.said(|said| &said.zh).is_empty());
    };
    check(
        "version = \"1\"",
        "version = \"\"",
        "r.toml:5:11: version: ",
    );
    check(
        "default = \"general\"",
        "default = \"x\"",
        "r.toml:9:11: quota.default: no such category",
    );
    check(
        "general = 1400",
        "general = 9000",
        "quota.hours.general: 1 to 8784",
    );
    check(
        "external = [\"EXT\"]",
        "external = [\"MNT\"]",
        "external: MNT is not among",
    );
    check(
        "external = [\"EXT\"]",
        "external = [\"XXX\"]",
        "unknown variant `XXX`",
    );
    check(
        "minimum-percent = 90",
        "minimum-percent = 101",
        "minimum-percent: a number from 0.00 to 100.00",
    );
    check("target = 10", "target = 0", "target: a number from 0.01");
    check("target = 10", "target = 0.125", "at most two decimals");
    check("cap = 10", "cap = -1", "cap: ");
    check("cap = 10", "cap = nan", "cap: ");
    check("\"sharing\"", "\"idle-energy\"", "more of it is not better");
    check("\"sharing\"", "\"beauty\"", "unknown variant `beauty`");
    check(
        "[income]",
        "[anomalies]\nshort-mins = 3\n[income]",
        "no such threshold",
    );
    check(
        "[income]",
        "[anomalies]\nhole-minutes = 0\n[income]",
        "anomalies.hole-minutes: 1 to",
    );
    check("[income]", "[incomes]", "unknown field `incomes`");
    check("[coverage]", "[coverage", "r.toml:");
    check("points = 10\n", "", "missing field `points`");
}

#[test]
fn every_fault_is_told_at_once_and_not_utf_8_is_said() {
    let text = EXAMPLE
        .replace("general = 1400", "general = 0")
        .replace("cap = 15", "cap = 0")
        .replace("minimum-percent = 90", "minimum-percent = 900");
    let faults = Rules::read(text.as_bytes(), "r.toml").unwrap_err();
    let lines: Vec<u64> = faults.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.is_sorted());
    let gbk = b"name = \"\xce\xf7\"\n";
    let faults = Rules::read(gbk, "r.toml").unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("r.toml:1:9: the file is not UTF-8"),
        "{faults}"
    );
}
