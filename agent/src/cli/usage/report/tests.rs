use clap::Parser;
use lineside_proto::evidence::sample::{Sample, zip};
use lineside_proto::report::{BegunAnew, Report};
use std::fs;
use std::path::Path;

use super::{Args, Format, run, written};
use crate::cli::{Context, Failure};
use crate::text::Language;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn context() -> Context {
    Context {
        config: "none".into(),
        language: Language::En,
    }
}

/// A folder with a bundle, its trust file and whatever else is asked for.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new();
    let (manifest, files) = sample.seal(&sample.whole()).unwrap();
    fs::write(folder.path().join("b.zip"), zip(&manifest, &files).unwrap()).unwrap();
    fs::write(folder.path().join("trust.toml"), sample.trust()).unwrap();
    folder
}

fn call(folder: &Path, arguments: &[&str]) -> Result<Report, Failure> {
    let output = folder.join("out.json");
    let in_folder = |word: &&str| {
        let is_file = word.contains('.');
        if is_file {
            folder.join(word).display().to_string()
        } else {
            (*word).to_owned()
        }
    };
    let mut words = vec!["report".to_owned()];
    words.extend(arguments.iter().map(in_folder));
    words.extend(["--format", "json", "-o"].map(str::to_owned));
    words.push(output.display().to_string());
    run(&Line::parse_from(words).args, &context())?;
    Ok(serde_json::from_slice(&fs::read(output).unwrap()).unwrap())
}

#[test]
fn a_bundle_becomes_a_report_with_all_that_was_brought() {
    let folder = folder();
    fs::write(
        folder.path().join("a.csv"),
        "machine,number,line\nextruder-01,A-1,L\npress-01,A-2,L\n",
    )
    .unwrap();
    let trusted = ["b.zip", "--trust", "trust.toml", "--assets", "a.csv"];
    let report = call(folder.path(), &trusted).unwrap();
    assert!(report.is_verified);
    assert_eq!(report.lists.len(), 2);
    assert_eq!(report.lines[0].members.len(), 2);
    assert_eq!(report.rules.name, "national");
    for machine in &report.machines {
        let told = &machine.explanation;
        assert!(told.observed.adds_up() && told.active.adds_up() && told.counted.adds_up());
        assert_eq!(
            told.observed.gained_ms + told.active.gained_ms + told.counted.gained_ms,
            0,
            "{told:?}"
        );
        let effective = machine.figures.effective.basis().above.unwrap();
        assert_eq!(effective, told.counted.after_ms);
    }
    assert!(!folder.path().join("out.json.part").exists());
}

#[test]
fn what_does_not_verify_is_refused_by_name() {
    let folder = folder();
    let check = |arguments: &[&str], expected: &str| match call(folder.path(), arguments) {
        Err(Failure::Negative(text)) => assert!(text.en.contains(expected), "{text}"),
        other => panic!("{other:?}"),
    };
    check(&["b.zip"], "nobody trusted signed");
    let mut bytes = fs::read(folder.path().join("b.zip")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("bad.zip"), bytes).unwrap();
    check(
        &["bad.zip", "--trust", "trust.toml"],
        "bad.zip does not verify",
    );
    check(
        &["b.zip", "b.zip", "--trust", "trust.toml"],
        "both tell a part of one time",
    );
    let report = call(folder.path(), &["b.zip", "--unverified"]).unwrap();
    assert!(!report.is_verified);
}

#[test]
fn faults_of_every_file_are_told() {
    let folder = folder();
    for (name, text) in [
        ("bad.toml", "name = 3\n"),
        ("bad-trust.toml", "[[gateway]]\n"),
        ("bad-a.csv", "machine\nM!\n"),
        ("bad-b.csv", "machine\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let check = |arguments: &[&str], expected: &str| match call(
        folder.path(),
        &[&["b.zip"], arguments].concat(),
    ) {
        Err(Failure::Configuration(said)) => assert!(said.contains(expected), "{said}"),
        other => panic!("{other:?}"),
    };
    check(&["--rules", "bad.toml"], "bad.toml:1:8: ");
    check(&["--trust", "bad-trust.toml"], "bad-trust.toml: ");
    check(&["--assets", "bad-a.csv"], "bad-a.csv:2:1: machine: ");
    check(
        &["--bookings", "bad-b.csv"],
        "bad-b.csv:1:1: booking / 预约号: this column is missing",
    );
    for arguments in [&["none.zip"][..], &["b.zip", "--assets", "none.csv"]] {
        assert!(
            matches!(call(folder.path(), arguments), Err(Failure::Usage(_))),
            "{arguments:?}"
        );
    }
}

#[test]
fn every_form_is_written_in_both_languages() {
    let golden = include_str!("../../../../../proto/testdata/report/report.json");
    let report: Report = serde_json::from_str(golden).unwrap();
    let check = |format, language, expected: &[&str]| {
        let text = written(&report, format, language).unwrap();
        for words in expected {
            assert!(text.contains(words), "{words}: {text}");
        }
    };
    check(
        Format::Table,
        Language::En,
        &[
            "sharing rate",
            "coverage 90.0 %",
            "score: 13.00 / 25.00",
            "rest on the bookings file alone",
            "line-hours",
        ],
    );
    check(
        Format::Table,
        Language::ZhCn,
        &["共享率", "覆盖率 90.0 %", "得分", "预约文件", "线时"],
    );
    check(Format::Csv, Language::En, &["统一社会信用代码"]);
    check(
        Format::Json,
        Language::En,
        &["\"kind\": \"lineside-usage-report\""],
    );
    check(Format::Html, Language::En, &["<html", "zs-polymer"]);
    check(Format::Html, Language::ZhCn, &["共享率"]);
    let mut unverified = report.clone();
    unverified.is_verified = false;
    for format in [Format::Table, Format::Csv] {
        let text = written(&unverified, format, Language::ZhCn).unwrap();
        assert!(text.contains("未通过核验"));
    }
}

#[test]
fn a_ledger_that_was_begun_anew_is_told_of_with_its_reason() {
    let golden = include_str!("../../../../../proto/testdata/report/report.json");
    let report: Report = serde_json::from_str(golden).unwrap();
    for (format, language, words) in [
        (Format::Table, Language::En, "the ledger was begun anew on"),
        (Format::Html, Language::ZhCn, "重新建立"),
        (Format::Json, Language::En, "\"begun\""),
    ] {
        let text = written(&report, format, language).unwrap();
        assert!(!text.contains(words), "{text}");
        let mut report = report.clone();
        report.sources[0].begun = Some(BegunAnew {
            at: report.from,
            reason: "the disk was replaced".to_owned(),
            prior: "example.org/zs/gw".to_owned(),
            size: 9,
        });
        let text = written(&report, format, language).unwrap();
        assert!(text.contains(words), "{text}");
        assert!(text.contains("the disk was replaced"), "{text}");
    }
}
