//! `lineside check`: every fault of every file at once, and what the agent would read.

use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::columns::columns;
use super::{Context, Failure, Outcome, words};
use crate::config::model::{Endpoint, MachineMap, Table};
use crate::config::{self, Config, Fault, Faults, Severity};
use crate::field::modbus::plan::{Request, requests};
use crate::text;
use crate::text::Language;

/// Columns of a report where there is no terminal to ask.
const WIDTH_DEFAULT: usize = 100;

/// Point names shown of one request.
const NAMES_MAX: usize = 8;

/// Arguments of `lineside check`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside check -c config/gateway.toml --plan")]
pub struct Args {
    /// Show the requests that each cycle of each poll group makes
    #[arg(long)]
    plan: bool,
    /// Print the faults as a JSON array
    #[arg(long, conflicts_with = "plan")]
    json: bool,
}

/// Runs the command: exit code 0 if there are no errors, 1 if there are.
///
/// # Errors
///
/// Fails only if the answer can't be written.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let answer = answer(args, context);
    let errors = io::stderr().write_all(answer.report.as_bytes());
    match errors.and_then(|()| io::stdout().write_all(answer.text.as_bytes())) {
        // The exit code speaks even if nobody reads to the end.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(answer.outcome),
    }
}

/// What the command says.
struct Answer {
    outcome: Outcome,
    /// The faults, for people.
    report: String,
    /// What was asked for.
    text: String,
}

fn answer(args: &Args, context: &Context) -> Answer {
    let (faults, config) = match config::load(&context.config) {
        Ok(loaded) => (Faults::new(loaded.warnings), Some(loaded.config)),
        Err(faults) => (faults, None),
    };
    let outcome = if config.is_some() {
        Outcome::Done
    } else {
        Outcome::Negative
    };
    if args.json {
        let text = json(&faults, context.language);
        return Answer {
            outcome,
            report: String::new(),
            text,
        };
    }
    let report = if faults.is_empty() {
        String::new()
    } else {
        report(&faults, context)
    };
    let text = config.map_or_else(String::new, |config| {
        let plan = if args.plan {
            plan(&config, context.language)
        } else {
            String::new()
        };
        plan + &summary(&config, context.language)
    });
    Answer {
        outcome,
        report,
        text,
    }
}

/// The faults as standard error shows them.
pub(super) fn report(faults: &Faults, context: &Context) -> String {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = terminal_size::terminal_size_of(io::stderr())
        .map_or(WIDTH_DEFAULT, |(width, _)| usize::from(width.0));
    faults.render(context.language, color, width)
}

/// A fault as a program reads it.
#[derive(Serialize)]
struct FaultLine<'a> {
    file: &'a Path,
    line: Option<usize>,
    column: Option<usize>,
    severity: Severity,
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

fn json(faults: &Faults, language: Language) -> String {
    let line = |fault: &Fault| {
        let position = fault.position();
        let line = FaultLine {
            file: fault.file.path(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            severity: fault.severity,
            code: fault.code,
            message: fault.message.say(language),
            hint: fault.hint.as_ref().map(|hint| hint.say(language)),
        };
        // Only a path that is no text fails, and no configuration can be read there.
        serde_json::to_string(&line).unwrap_or_default()
    };
    let lines: Vec<String> = faults.iter().map(line).collect();
    if lines.is_empty() {
        "[]\n".to_owned()
    } else {
        format!("[\n{}\n]\n", lines.join(",\n"))
    }
}

fn summary(config: &Config, language: Language) -> String {
    let machines = config.machines.len();
    let points: usize = config.machines.iter().map(|map| map.points.len()).sum();
    let all = config.machines.iter().flat_map(|map| &map.connections);
    let endpoints: Vec<&Endpoint> = all.map(|connection| &connection.endpoint).collect();
    let links = endpoints
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let (site, gateway) = (&config.gateway.site, &config.gateway.id);
    let head = text!(
        "{site}/{gateway}: {machines} machines, {points} points, {links} links",
        "{site}/{gateway}：{machines} 台设备，{points} 个点位，{links} 条链路"
    );
    let mut lines = format!("{}\n", head.say(language));
    for map in &config.machines {
        lines.push_str(&machine(map, language));
    }
    lines
}

fn machine(map: &MachineMap, language: Language) -> String {
    let name = words::name(&map.name, language).unwrap_or_default();
    let (id, points, rules) = (&map.machine, map.points.len(), map.rules.len());
    let head = text!(
        "  {id} ({name}): {points} points, {rules} rules",
        "  {id}（{name}）：{points} 个点位，{rules} 条规则"
    );
    let mut lines = format!("{}\n", head.say(language));
    for (place, group) in (0..).zip(&map.groups) {
        let points = map
            .points
            .iter()
            .filter(|point| point.group == place)
            .count();
        let requests = requests(map, place).len();
        let name = &group.name;
        let interval = humantime::format_duration(group.interval);
        let stale = humantime::format_duration(group.stale_after);
        let line = text!(
            "    {name}: {points} points in {requests} requests every {interval}, stale after {stale}",
            "    {name}：{points} 个点位，每 {interval} 以 {requests} 个请求读取，{stale} 后视为过期"
        );
        lines.push_str(line.say(language));
        lines.push('\n');
    }
    lines
}

/// The requests of each poll group, as a table.
fn plan(config: &Config, language: Language) -> String {
    let mut text = String::new();
    for map in &config.machines {
        for (place, group) in (0..).zip(&map.groups) {
            let (machine, name) = (&map.machine, &group.name);
            let interval = humantime::format_duration(group.interval);
            let head = text!(
                "{machine}, {name}, every {interval}",
                "{machine}，{name}，每 {interval}"
            );
            text.push_str(head.say(language));
            text.push('\n');
            let heads = language.pick(
                ["connection", "unit", "function", "start", "count", "points"],
                ["连接", "站号", "功能码", "起始地址", "数量", "点位"],
            );
            let mut rows = vec![heads.map(str::to_owned)];
            rows.extend(requests(map, place).iter().map(|request| row(map, request)));
            for line in columns(&rows) {
                text.push_str(&format!("  {line}\n"));
            }
            text.push('\n');
        }
    }
    text
}

fn row(map: &MachineMap, request: &Request) -> [String; 6] {
    let connection = map.connections.get(usize::from(request.connection));
    let function = match request.table {
        Table::Coil => "1 coil",
        Table::Discrete => "2 discrete",
        Table::Holding => "3 holding",
        Table::Input => "4 input",
    };
    let names = request
        .points
        .iter()
        .filter_map(|place| map.points.get(usize::from(*place)));
    let names: Vec<&str> = names.map(|point| point.name.as_str()).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut shown = names
        .into_iter()
        .take(NAMES_MAX)
        .collect::<Vec<_>>()
        .join(" ");
    if more > 0 {
        shown.push_str(&format!(" +{more}"));
    }
    [
        connection.map_or_else(String::new, |connection| connection.name.to_string()),
        request.unit_id.to_string(),
        function.to_owned(),
        request.start.to_string(),
        request.count.to_string(),
        shown,
    ]
}

#[cfg(test)]
mod tests;
