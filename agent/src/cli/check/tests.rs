use super::{Answer, Args, answer, json, plan, summary};
use crate::cli::{Context, Outcome};
use crate::config::load;
use crate::text::Language;
use std::path::Path;

const SHIPPED: &str = "../config/gateway.toml";
const FAULTY: &str = "src/config/testdata/faulty/gateway.toml";

#[test]
fn the_plan_lists_each_request_of_each_group() {
    let config = load(Path::new(SHIPPED)).unwrap().config;
    let plan = plan(&config, Language::En);
    let furnace = plan.split("furnace-01, fast, every 1s\n").nth(1).unwrap();
    let table: Vec<&str> = furnace
        .lines()
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(
        table,
        [
            "  connection  unit  function    start  count  points",
            "  main        1     2 discrete  0      1      estop",
            "  main        1     3 holding   10     3      segment alarm_word program paused",
            "  main        1     4 input     0      3      chamber_temp setpoint heater_power",
            "  main        7     3 holding   8448   5      fan_status fan_speed fan_current",
        ]
    );
    assert_eq!(plan.matches("every").count(), 6);
    let press = plan.split("press-01, slow, every 30s\n").nth(1).unwrap();
    let table: Vec<&str> = press.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        table,
        [
            "  connection  server                        sampling  items  points",
            "  main        opc.tcp://192.168.10.31:4840  30s       3      platen_top platen_bottom cycles",
        ]
    );
    let shared = "subscriptions, shared by the machines of a server\n";
    let table: Vec<&str> = plan.split(shared).nth(1).unwrap().lines().collect();
    assert_eq!(
        table[..4],
        [
            "  server                        publishing  items  subscriptions",
            "  opc.tcp://192.168.10.31:4840  1s          5      1",
            "  opc.tcp://192.168.10.31:4840  2s          1      1",
            // Elements of an array.
            "  opc.tcp://192.168.10.31:4840  2s          2      1",
        ]
    );
}

#[test]
fn the_summary_counts_machines_points_and_links() {
    let config = load(Path::new(SHIPPED)).unwrap().config;
    let text = summary(&config, Language::En);
    assert!(
        text.starts_with("zs-polymer/gw-01: 3 machines, 38 points, 3 links\n"),
        "{text}"
    );
    assert!(
        text.contains("    slow: 3 points in shared subscriptions every 30s, stale after 1m 30s\n"),
        "{text}"
    );
    let text = summary(&config, Language::ZhCn);
    assert!(
        text.contains("furnace-01（箱式热处理炉）：12 个点位，6 条规则"),
        "{text}"
    );
}

#[test]
fn faults_as_json_have_file_line_and_column() {
    let faults = load(Path::new(FAULTY)).unwrap_err();
    let list: serde_json::Value = serde_json::from_str(&json(&faults, Language::En)).unwrap();
    let first = &list[0];
    assert_eq!(first["file"], FAULTY);
    assert_eq!((&first["line"], &first["column"]), (&2.into(), &8.into()));
    assert_eq!(
        (&first["severity"], &first["code"]),
        (&"error".into(), &"bad-name".into())
    );
    assert!(first["message"].as_str().unwrap().contains("ZS Polymer"));
    assert_eq!(list.as_array().unwrap().len(), faults.iter().count());
    assert_eq!(
        json(&crate::config::Faults::default(), Language::En),
        "[]\n"
    );
}

#[test]
fn errors_decide_the_outcome_and_go_apart_from_the_answer() {
    let ask = |config: &str, plan, json| {
        let context = Context {
            config: config.into(),
            language: Language::En,
        };
        let Answer {
            outcome,
            report,
            text,
        } = answer(&Args { plan, json }, &context);
        (outcome, report, text)
    };
    let (outcome, report, text) = ask(SHIPPED, false, false);
    assert_eq!(outcome, Outcome::Done);
    // Whose certificate to trust, no example can know.
    assert!(report.contains("warning[untrusted-server]"), "{report}");
    assert!(report.contains("`lineside trust press-01`"), "{report}");
    assert!(report.ends_with("0 errors, 1 warning\n"), "{report}");
    assert!(text.starts_with("zs-polymer/gw-01"), "{text}");
    let (_, _, with_plan) = ask(SHIPPED, true, false);
    assert!(with_plan.ends_with(&text) && with_plan.len() > text.len());
    let (outcome, report, text) = ask(FAULTY, true, false);
    assert_eq!((outcome, text.as_str()), (Outcome::Negative, ""));
    assert!(report.contains("error[unknown-key]") && report.ends_with(" errors, 1 warning\n"));
    let (outcome, report, text) = ask(FAULTY, false, true);
    assert_eq!((outcome, report.as_str()), (Outcome::Negative, ""));
    assert!(text.starts_with("[\n{"));
    let (outcome, report, _) = ask("no/such/gateway.toml", false, false);
    assert_eq!(outcome, Outcome::Negative);
    assert!(
        report.contains("there is no file no/such/gateway.toml"),
        "{report}"
    );
}
