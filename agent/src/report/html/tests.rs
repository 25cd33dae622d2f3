//! The page of a report, in both languages.

use lineside_proto::report::{Anomaly, AnomalyKind, BegunAnew, Report};
use proptest::prelude::*;

use super::page;
use crate::text::{Language, Text};

/// A report of one machine, as its makers test it.
fn report() -> Report {
    let text = include_str!("../../../../proto/testdata/report/report.json");
    serde_json::from_str(text).unwrap()
}

/// The same with a changed map.
fn with_map_change() -> Report {
    let mut report = report();
    let machine = report.machines[0].clone();
    report.anomalies.push(Anomaly {
        kind: AnomalyKind::MapChange,
        site: machine.site,
        gateway: Some(machine.gateway),
        machine: Some(machine.machine),
        from: Some(report.from),
        to: Some(report.from),
        leaves: (1..9).collect(),
        sessions: Vec::new(),
        text: Text::new("the map changed", "点表已更改"),
        diff: vec![
            "-  \"when\": \"speed > 5\"".to_owned(),
            "+  \"when\": \"speed > 1\"".to_owned(),
        ],
        ..report.anomalies[0].clone()
    });
    report
}

#[test]
fn what_stands_on_the_page_in_either_language() {
    let report = with_map_change();
    let check = |language, words: &[&str]| {
        let page = page(&report, language);
        let mut rest = page.as_str();
        for word in words {
            let found = rest.split_once(word);
            rest = found
                .unwrap_or_else(|| panic!("{word} is not there, or not in its place"))
                .1;
        }
    };
    check(
        Language::En,
        &[
            "<html lang=\"en\">",
            "utilisation",
            "coverage ",
            "sharing rate",
            "coverage ",
            "verified share",
            "coverage ",
            "2026-03.zip",
            "Look at these first (2)",
            "leaves 1, 2, 3, 4, 5, 6, …",
            "Machine-hours",
            "Line-hours",
            "never added",
            "<section class=\"fresh\" id=\"m0\">",
            "Timeline",
            "Shares of the states",
            "Own against external hours",
            "Bookings",
            "Energy",
            "Where the calendar",
            "-  &quot;when&quot;: &quot;speed &gt; 5&quot;",
            "Formulae and where they come from",
            "lineside-verify --trust",
        ],
    );
    check(
        Language::ZhCn,
        &[
            "<html lang=\"zh-CN\">",
            "利用率",
            "覆盖率 ",
            "共享率",
            "覆盖率 ",
            "核验占比",
            "覆盖率 ",
            "首先请看：异常 (2)",
            "线时",
            "时间线",
            "状态占比",
            "自用与对外机时",
            "日历时间的去向",
            "点表已更改",
            "公式及来源",
            "lineside usage report --trust",
        ],
    );
}

#[test]
fn it_needs_nothing_else_and_runs_nothing() {
    for language in [Language::En, Language::ZhCn] {
        let page = page(&with_map_change(), language);
        for word in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "@import",
            "src=",
            "http://",
            "https://",
            "javascript:",
            " style=",
            " onload=",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        // What is referred to is on the page itself.
        for target in page.split("href=\"").skip(1) {
            let id = target
                .strip_prefix('#')
                .and_then(|rest| rest.split('"').next());
            let id = id.unwrap_or_else(|| panic!("{target:.40}"));
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}

#[test]
fn a_report_that_nobody_verified_is_marked_on_every_page() {
    let mut report = report();
    assert!(!page(&report, Language::En).contains("class=\"across\""));
    report.is_verified = false;
    for (language, mark) in [
        (Language::En, "NOT VERIFIED"),
        (Language::ZhCn, "未通过核验"),
    ] {
        let page = page(&report, language);
        assert!(page.contains(&format!(
            "<div class=\"across\" aria-hidden=\"true\"><span>{mark}"
        )));
    }
    // Printed on each sheet of paper: a fixed element is.
    let style = include_str!("../sheet.css");
    assert!(style.contains(".across{display:flex;position:fixed;"));
}

/// The report with one text in every place that takes any text.
fn said_by(name: &str) -> Report {
    let mut report = with_map_change();
    let name = || name.to_owned();
    report.rules.title = Text::new(name(), name());
    report.rules.name = name();
    report.rules.file = Some(name());
    report.by = name();
    for list in &mut report.lists {
        list.file = name();
    }
    for source in &mut report.sources {
        source.file = name();
        source.origin = name();
        source.root = name();
        source.said = vec![name()];
        source.begun = Some(BegunAnew {
            at: source.from,
            reason: name(),
            prior: "example.org/zs/gw".to_owned(),
            size: 9,
        });
    }
    for anomaly in &mut report.anomalies {
        anomaly.text = Text::new(name(), name());
        anomaly.diff = vec![name()];
        anomaly.sessions = vec![name()];
    }
    for line in &mut report.lines {
        line.line = name();
        line.members = vec![name()];
    }
    for machine in &mut report.machines {
        machine.maps = vec![name()];
        let asset = machine.asset.get_or_insert_default();
        asset.name = Some(name());
        asset.number = Some(name());
        asset.unit = Some(name());
        asset.tags = vec![name()];
        for session in &mut machine.sessions {
            session.totals.session = name();
        }
    }
    report
}

/// A page's elements and attributes, without what stands between and within them.
fn shape(page: &str) -> [usize; 3] {
    ['<', '>', '"'].map(|letter| page.matches(letter).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_name_becomes_an_element(name in "\\PC{0,9}[<>\"'&;/]{1,3}(script|svg onload=|--|]]>|</title>|</pre>)?\\PC{0,9}") {
        let plain = page(&said_by("x"), Language::En);
        let page = page(&said_by(&name), Language::En);
        prop_assert_eq!(shape(&page), shape(&plain));
    }
}
