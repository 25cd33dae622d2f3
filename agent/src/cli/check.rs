//! `lineside check`: every fault of every file at once, and what the agent would read.

use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::columns::columns;
use super::{Context, Failure, Outcome, words};
use crate::config::model::{Connection, Group, MachineMap, Table};
use crate::config::{self, Config, Fault, Faults, Severity};
use crate::field::Route;
use crate::field::modbus::plan::{Request, requests};
use crate::field::opcua::plan::{Items, Shared, items, shared};
use crate::text;
use crate::text::{Language, Text};

/// Columns of a report where there is no terminal to ask.
const WIDTH_DEFAULT: usize = 100;

/// Point names shown of one request.
const NAMES_MAX: usize = 8;

/// Arguments of `lineside check`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside check -c config/gateway.toml --plan")]
pub struct Args {
    /// Show the requests that each cycle of each poll group makes, and the subscriptions to servers
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
    let links: BTreeSet<Route> = all.map(Route::of).collect();
    let links = links.len();
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
        let ways = ways(map, place);
        let (en, zh) = (&ways.en, &ways.zh);
        let name = &group.name;
        let interval = humantime::format_duration(group.interval);
        let stale = humantime::format_duration(group.stale_after);
        let line = text!(
            "    {name}: {points} points in {en} every {interval}, stale after {stale}",
            "    {name}：{points} 个点位，每 {interval} 以 {zh} 读取，{stale} 后视为过期"
        );
        lines.push_str(line.say(language));
        lines.push('\n');
    }
    lines
}

/// How many requests read a group, and whether it comes by subscription, which all machines of a server
/// share.
fn ways(map: &MachineMap, group: u16) -> Text {
    let requests = requests(map, group).len();
    match (requests, items(map, group).len()) {
        (requests, 0) => text!("{requests} requests", "{requests} 个请求"),
        (0, _) => text!("shared subscriptions", "共享订阅"),
        (requests, _) => text!(
            "{requests} requests and shared subscriptions",
            "{requests} 个请求和共享订阅"
        ),
    }
}

/// The requests and subscriptions of each poll group, as tables.
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
            let requests = requests(map, place);
            let rows = requests.iter().map(|request| row(map, request));
            text.push_str(&under(heads, rows.collect()));
            let heads = language.pick(
                ["connection", "server", "sampling", "items", "points"],
                ["连接", "服务器", "采样间隔", "项数", "点位"],
            );
            let items = items(map, place);
            let rows = items.iter().map(|items| items_row(map, group, items));
            text.push_str(&under(heads, rows.collect()));
            text.push('\n');
        }
    }
    text.push_str(&servers(config, language));
    text
}

/// The subscriptions of all servers, as a table; nothing where there are none.
fn servers(config: &Config, language: Language) -> String {
    let shared = shared(&config.machines);
    if shared.is_empty() {
        return String::new();
    }
    let head = text!(
        "subscriptions, shared by the machines of a server",
        "订阅（同一服务器的设备共用）"
    );
    let heads = language.pick(
        ["server", "publishing", "items", "subscriptions"],
        ["服务器", "发布间隔", "项数", "订阅数"],
    );
    let rows = shared.iter().map(shared_row).collect();
    format!("{}\n{}\n", head.say(language), under(heads, rows))
}

fn shared_row(shared: &Shared) -> [String; 4] {
    [
        shared.server.url.clone(),
        humantime::format_duration(shared.publish).to_string(),
        shared.items.to_string(),
        shared.subscriptions.to_string(),
    ]
}

fn row(map: &MachineMap, request: &Request) -> [String; 6] {
    let connection = map.connections.get(usize::from(request.connection));
    let function = match request.table {
        Table::Coil => "1 coil",
        Table::Discrete => "2 discrete",
        Table::Holding => "3 holding",
        Table::Input => "4 input",
    };
    [
        connection.map_or_else(String::new, |connection| connection.name.to_string()),
        request.unit_id.to_string(),
        function.to_owned(),
        request.start.to_string(),
        request.count.to_string(),
        names(map, &request.points),
    ]
}

fn items_row(map: &MachineMap, group: &Group, part: &Items) -> [String; 5] {
    let connection = map.connections.get(usize::from(part.connection));
    let server = connection.and_then(Connection::server);
    [
        connection.map_or_else(String::new, |connection| connection.name.to_string()),
        server.map_or_else(String::new, |server| server.url.clone()),
        humantime::format_duration(group.interval).to_string(),
        part.points.len().to_string(),
        names(map, &part.points),
    ]
}

/// The first names of some points, and how many more there are.
fn names(map: &MachineMap, points: &[u16]) -> String {
    let names = points
        .iter()
        .filter_map(|place| map.points.get(usize::from(*place)));
    let shown: Vec<&str> = names
        .take(NAMES_MAX)
        .map(|point| point.name.as_str())
        .collect();
    let mut shown = shown.join(" ");
    let more = points.len().saturating_sub(NAMES_MAX);
    if more > 0 {
        shown.push_str(&format!(" +{more}"));
    }
    shown
}

/// Rows below their heads; nothing where there are none.
fn under<const N: usize>(heads: [&str; N], mut rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    rows.insert(0, heads.map(str::to_owned));
    let lines = columns(&rows).into_iter();
    lines.map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests;
