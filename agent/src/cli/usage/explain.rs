//! `lineside usage explain`: where a machine's hours went, so that a complaint can be answered.

use lineside_proto::Identifier;
use lineside_proto::report::{
    Explanation, LossReason, MachineReport, Report, Span, Step, shanghai,
};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

use super::{brought, summary};
use crate::cli::columns::columns;
use crate::cli::{Context, Failure, Outcome, write_json};
use crate::text;
use crate::text::Language;

/// Arguments of `lineside usage explain`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside usage explain extruder-01 january.zip --trust trust.toml"
)]
pub(super) struct Args {
    /// The machine: MACHINE, GATEWAY/MACHINE or SITE/GATEWAY/MACHINE
    machine: String,
    /// Bundles
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    brought: brought::Lists,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is said to programs.
#[derive(Serialize)]
struct Said<'a> {
    v: u8,
    site: &'a Identifier,
    gateway: &'a Identifier,
    machine: &'a Identifier,
    spans: &'a [Span],
    is_verified: bool,
    explanation: &'a Explanation,
}

/// Runs the command.
///
/// # Errors
///
/// As those of `report`; a machine that no bundle names, or several have the name of.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let report = brought::report(&args.files, &args.brought, context)?;
    let machine = find(&report, &args.machine)?;
    let mut out = io::stdout().lock();
    if args.json {
        let said = Said {
            v: 1,
            site: &machine.site,
            gateway: &machine.gateway,
            machine: &machine.machine,
            spans: &machine.spans,
            is_verified: report.is_verified,
            explanation: &machine.explanation,
        };
        write_json(&mut out, &said)?;
    } else {
        for line in lines(&report, machine, context.language) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(Outcome::Done)
}

fn path(machine: &MachineReport) -> String {
    format!("{}/{}/{}", machine.site, machine.gateway, machine.machine)
}

fn find<'a>(report: &'a Report, name: &str) -> Result<&'a MachineReport, Failure> {
    let ending = format!("/{name}");
    let is_it = |machine: &&MachineReport| format!("/{}", path(machine)).ends_with(&ending);
    let found: Vec<_> = report.machines.iter().filter(is_it).collect();
    match found.as_slice() {
        [machine] => Ok(machine),
        [] => {
            let names: Vec<_> = report.machines.iter().take(20).map(path).collect();
            let names = names.join(", ");
            Err(Failure::Usage(text!(
                "no bundle names a machine {name}; there are: {names}",
                "证据包中没有设备 {name}；有：{names}"
            )))
        }
        several => {
            let names: Vec<_> = several
                .iter()
                .take(20)
                .map(|machine| path(machine))
                .collect();
            let names = names.join(", ");
            Err(Failure::Usage(text!(
                "several machines have the name {name}: say which of {names}",
                "有多台设备名为 {name}：请指明 {names} 之一"
            )))
        }
    }
}

fn lines(report: &Report, machine: &MachineReport, language: Language) -> Vec<String> {
    let told = &machine.explanation;
    let spans = machine.spans.iter().map(|span| {
        format!(
            "{} – {}",
            shanghai::moment(span.from),
            shanghai::moment(span.to)
        )
    });
    let spans: Vec<_> = spans.collect();
    let mut lines = vec![format!("{}  {}", path(machine), spans.join(", "))];
    lines.extend(summary::mark(report, language));
    let mut rows = vec![row(
        language.pick("calendar", "日历时间"),
        "",
        told.calendar_ms,
        told.calendar_ms,
    )];
    let steps = [
        (&told.observed, "= observed", "＝ 有数据"),
        (&told.active, "= active", "＝ 活动"),
        (&told.counted, "= counted (H_e)", "＝ 计入（有效机时 H_e）"),
    ];
    for (step, en, zh) in steps {
        rows.extend(losses(step, told.calendar_ms, language));
        rows.push(row(
            language.pick(en, zh),
            "",
            step.after_ms,
            told.calendar_ms,
        ));
    }
    lines.extend(columns(&rows));
    lines
}

fn losses(step: &Step, calendar_ms: u64, language: Language) -> Vec<[String; 3]> {
    let gained = (step.gained_ms > 0).then(|| {
        let name = language.pick(
            "recorded beyond the calendar: a clock was set back",
            "时钟回拨，记录多于日历时间",
        );
        row("  +", name, step.gained_ms, calendar_ms)
    });
    let name = |reason: LossReason| {
        let name = reason.name();
        language.pick(name.en, name.zh)
    };
    let lost = step
        .losses
        .iter()
        .map(|loss| row("  −", &name(loss.reason), loss.ms, calendar_ms));
    gained.into_iter().chain(lost).collect()
}

/// A line: milliseconds stay, so that the column adds up to the last digit.
fn row(mark: &str, name: &str, ms: u64, calendar_ms: u64) -> [String; 3] {
    let share = (u128::from(ms) * 10_000).checked_div(u128::from(calendar_ms));
    let share = share.map(|share| format!("{:>3}.{:02} %", share / 100, share % 100));
    let (hours, rest) = (ms / 3_600_000, ms % 3_600_000);
    let (minutes, seconds) = (rest / 60_000, rest % 60_000);
    let time = format!(
        "{hours:>6} h {minutes:02} min {:02}.{:03} s",
        seconds / 1000,
        seconds % 1000
    );
    [format!("{mark} {name}"), time, share.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use lineside_proto::report::Report;

    use super::{find, lines};
    use crate::cli::Failure;
    use crate::text::Language;

    fn report() -> Report {
        let golden = include_str!("../../../../proto/testdata/report/report.json");
        serde_json::from_str(golden).unwrap()
    }

    #[test]
    fn each_step_says_what_it_lost_and_why() {
        let report = report();
        let check = |language, expected: &[&str]| {
            let text = lines(&report, &report.machines[0], language).join("\n");
            for words in expected {
                assert!(text.contains(words), "{words}: {text}");
            }
        };
        check(
            Language::En,
            &[
                "zs-polymer/gw/m  2026-03-02 00:00:00 – 2026-03-06 04:00:00",
                "100 h 00 min 00.000 s  100.00 %",
                "nothing recorded",
                "= observed ",
                "     90 h 00 min 00.000 s   90.00 %",
                "paused for longer than counts",
                "= counted (H_e) ",
                "     40 h 00 min 00.000 s   40.00 %",
            ],
        );
        check(
            Language::ZhCn,
            &["日历时间", "＝ 计入（有效机时 H_e）", "维护上机，规则不计"],
        );
    }

    #[test]
    fn a_machine_is_found_by_as_much_of_its_name_as_is_needed() {
        let mut report = report();
        for name in ["m", "gw/m", "zs-polymer/gw/m"] {
            assert!(find(&report, name).is_ok(), "{name}");
        }
        let mut other = report.machines[0].clone();
        other.gateway = "gx".parse().unwrap();
        report.machines.push(other);
        let said = |name: &str| match find(&report, name) {
            Err(Failure::Usage(text)) => text.en,
            other => panic!("{other:?}"),
        };
        assert!(said("m").contains("zs-polymer/gw/m, zs-polymer/gx/m"));
        assert!(said("w/m").contains("no bundle names a machine w/m"));
        assert_eq!(find(&report, "gx/m").unwrap().gateway.as_str(), "gx");
    }
}
