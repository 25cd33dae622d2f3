//! Reports as people read them, compared with files to the byte.

use crate::config::load;
use crate::text::Language;
use std::path::Path;

/// The tests run in the package's folder, so that paths in reports are the same everywhere.
const FOLDER: &str = "src/config/testdata";

fn check(language: Language, color: bool, golden: &str) {
    let faults = load(&Path::new(FOLDER).join("faulty/gateway.toml")).unwrap_err();
    let report = faults.render(language, color, 100);
    let golden = Path::new(FOLDER).join(golden);
    if std::env::var_os("LINESIDE_BLESS").is_some() {
        std::fs::write(&golden, &report).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(report, expected, "LINESIDE_BLESS=1 writes the file anew");
}

#[test]
fn a_report_shows_place_text_fault_and_remedy_in_both_languages() {
    check(Language::En, false, "faulty.en.txt");
    check(Language::ZhCn, false, "faulty.zh-CN.txt");
    check(Language::En, true, "faulty.color.txt");
}

#[test]
fn what_stands_in_a_file_cannot_command_a_terminal() {
    let text = format!("{}\u{1b}[31m = 1\n\"\\u001b[2J\" = 2\n", super::GATEWAY);
    let faults = super::load_files(&[("gateway.toml", &text)]).unwrap_err();
    let report = faults.render_plain();
    assert!(!report.contains('\u{1b}'), "{report:?}");
}

#[test]
fn a_password_in_a_wrong_place_is_not_shown() {
    for line in [
        "password = \"sesame\"",
        "\"password\" = \"sesame\"",
        "password = sesame",
        "x = 1\n[console]\nlog = 1 # x\npassword=\"密sesame\"",
        "[telemetry]\nx = { password = \"sesame\", z = 1 }",
        "[sessions]\nx = \"mqtt://u:ses/ame@host\"",
    ] {
        let text = format!("{}{line}\n", super::GATEWAY);
        check_secret(&text);
    }
    check_secret(&super::GATEWAY.replace("mqtt://b", "mqtt://u:sesame@b"));
    check_secret(&super::GATEWAY.replace("mqtt://b", "mqtt://u:ses/ame@b"));
}

fn check_secret(text: &str) {
    let faults = super::load_files(&[("gateway.toml", text)]).unwrap_err();
    let report = faults.render_plain();
    assert!(report.contains("***"), "{report}");
    for secret in ["sesame", "ses/ame"] {
        assert!(!report.contains(secret), "{report}");
    }
}

#[test]
fn a_line_of_a_megabyte_is_cut() {
    let text = format!("x = \"{}\" y\n{}", "温".repeat(1 << 20), super::GATEWAY);
    let faults = super::load_files(&[("gateway.toml", &text)]).unwrap_err();
    let report = faults.render_plain();
    assert!(report.len() < 10_000, "{}", report.len());
}
