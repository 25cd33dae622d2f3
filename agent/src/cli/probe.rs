//! `lineside probe`: reads a machine now. Through the running agent where there is one, since a
//! serial line has one master; else over a link of its own.

use lineside_proto::{Identifier, ReasonCode, State, Time};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use super::columns::columns;
use super::status::{live, other_answer, unanswered};
use super::table::cell::plain;
use super::{Context, Failure, Outcome, runtime, words, write_json};
use crate::clock::{Clock, SystemClock};
use crate::config::model::MachineMap;
use crate::config::{self, Config};
use crate::control::{self, Answer, AskError, Request};
use crate::field::opcua::Own;
use crate::field::{Field, NodeRaw};
use crate::machine::availability::rule_label;
use crate::machine::state::StateMachine;
use crate::run::{ProbeFailure, Probed, places, probed};
use crate::sample::{Observation, Slot};
use crate::text;
use crate::text::Text;

/// How long an own link may take until it answers: a serial line is listened to first.
const LINK_PATIENCE: Duration = Duration::from_secs(15);

/// Arguments of `lineside probe`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside probe extruder-01 screw_speed --watch")]
pub struct Args {
    /// The machine
    machine: String,
    /// The points; all if none is given
    points: Vec<String>,
    /// Read again each second until interrupted
    #[arg(long)]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a probe shows.
#[derive(serde::Serialize)]
struct Shown {
    machine: Identifier,
    state: State,
    rule: Option<String>,
    reason: String,
    points: Vec<Probed>,
}

/// Runs the command.
///
/// # Errors
///
/// An unknown machine or point; a machine that can't be reached.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let map = machine(&config, &args.machine)?;
    let wanted = places(&map, &args.points).map_err(|unknown| Failure::Usage(unknown.text()))?;
    let request = Request::Probe {
        machine: map.machine.clone(),
        points: args.points.clone(),
    };
    loop {
        let shown = match control::ask(&config.gateway.state_dir, &request) {
            Ok(Answer::Probe(points)) => by_agent(context, &config, &map, points)?,
            Ok(Answer::Refused { en, zh }) => {
                return Err(Failure::Unreachable(Text { en, zh }));
            }
            // Whom the agent's socket is closed to can't tell whether it runs, and must not become a
            // second master on its lines.
            Err(AskError::Absent { source, .. })
                if source.kind() != io::ErrorKind::PermissionDenied =>
            {
                runtime()?.block_on(by_own_link(&config, &map, &wanted))?
            }
            Err(error) => return Err(unanswered(error)),
            Ok(_) => return Err(other_answer()),
        };
        let mut out = io::stdout().lock();
        if args.json {
            write_json(&mut out, &shown)?;
        } else {
            show(&mut out, &shown, context)?;
        }
        if !args.watch {
            return Ok(Outcome::Done);
        }
        drop(out);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The map of the machine of this name, or a failure that names the nearest.
pub(super) fn machine(config: &Config, name: &str) -> Result<Arc<MachineMap>, Failure> {
    if let Some(map) = config
        .machines
        .iter()
        .find(|map| map.machine.as_str() == name)
    {
        return Ok(Arc::clone(map));
    }
    let known = config.machines.iter().map(|map| map.machine.as_str());
    let names: Vec<&str> = known.collect();
    let Text { en, zh } = config::nearest_or_all(name, &names);
    Err(Failure::Usage(text!(
        "no machine `{name}` is configured; {en}",
        "没有配置设备 `{name}`；{zh}"
    )))
}

fn by_agent(
    context: &Context,
    config: &Config,
    map: &MachineMap,
    points: Vec<Probed>,
) -> Result<Shown, Failure> {
    let live = live(context, &config.gateway.state_dir)?;
    let machine = live
        .machines
        .into_iter()
        .find(|machine| machine.machine == map.machine);
    let machine = machine.ok_or_else(other_answer)?;
    Ok(Shown {
        machine: machine.machine,
        state: machine.state,
        rule: machine.rule,
        reason: machine.reason_text,
        points,
    })
}

/// Reads the machine over links of our own, until its rules have seen every group once.
async fn by_own_link(
    config: &Config,
    map: &Arc<MachineMap>,
    wanted: &[u16],
) -> Result<Shown, Failure> {
    let failure = |failure: ProbeFailure| Failure::Unreachable(failure.text());
    let clock = SystemClock;
    let (observations, mut taken) = mpsc::channel(64);
    let own = Own::of(&config.gateway);
    let mut field = Field::new(Arc::new(clock), own, observations);
    let slot = Slot(0);
    field.apply(&[(slot, Arc::clone(map))]).await;
    let now = clock.now().millis();
    let mut states = StateMachine::new(Arc::clone(map), now, now);
    let until = Instant::now() + LINK_PATIENCE;
    let readings = loop {
        let tried = field.probe(slot, wanted.to_vec()).await;
        while let Ok(seen) = taken.try_recv() {
            feed(&mut states, &seen);
        }
        match tried {
            Ok(readings) => break readings,
            Err(error) if Instant::now() >= until => {
                field.stop().await;
                return Err(failure(error.into()));
            }
            Err(_) => {
                if let Ok(Some(seen)) =
                    tokio::time::timeout(Duration::from_millis(200), taken.recv()).await
                {
                    feed(&mut states, &seen);
                }
            }
        }
    };
    settle(map, &mut states, &mut taken).await;
    field.stop().await;
    let standing = states.standing();
    Ok(Shown {
        machine: map.machine.clone(),
        state: standing.state,
        rule: rule_label(map, standing.rule),
        reason: standing.reason_text.clone(),
        points: probed(map, readings),
    })
}

fn feed(states: &mut StateMachine, seen: &Observation) {
    match seen {
        Observation::Batch(batch) => {
            let at_ms = batch.at.millis();
            states.apply(at_ms, batch.group, &batch.samples, &mut Vec::new());
        }
        Observation::Standing(word) => {
            states.stand(word.at.millis(), word.group, &word.points, &mut Vec::new());
        }
        // Neither says anything of now.
        Observation::History(_) | Observation::Missed(_) => {}
    }
}

/// Lets the rules see what the links read, until they decide or have had their time.
async fn settle(
    map: &MachineMap,
    states: &mut StateMachine,
    taken: &mut mpsc::Receiver<Observation>,
) {
    let hold = map
        .rules
        .iter()
        .map(|rule| rule.enter)
        .max()
        .unwrap_or_default();
    let interval = map
        .groups
        .iter()
        .map(|group| group.interval)
        .max()
        .unwrap_or_default();
    let patience = (hold + interval * 2).min(LINK_PATIENCE);
    let until = tokio::time::Instant::now() + patience;
    while states.standing().reason != ReasonCode::Rule {
        match tokio::time::timeout_at(until, taken.recv()).await {
            Ok(Some(seen)) => feed(states, &seen),
            Ok(None) | Err(_) => return,
        }
    }
}

fn show(out: &mut impl Write, shown: &Shown, context: &Context) -> io::Result<()> {
    let state = words::state(shown.state, context.language);
    let rule = shown.rule.as_deref().unwrap_or("-");
    let reason = words::reason(&shown.reason, context.language);
    writeln!(out, "{}  {state}  {rule}  {reason}", shown.machine)?;
    let head = context.language.pick(
        ["POINT", "ADDRESS", "RAW", "VALUE", "ORDERS OR STATUS"],
        ["点位", "地址", "原始值", "数值", "各字节序或状态"],
    );
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(shown.points.iter().map(row));
    columns(&rows)
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))
}

fn row(point: &Probed) -> [String; 5] {
    let value = match (&point.value, &point.bad) {
        (Some(value), _) => format!("{value} {}", point.unit.as_deref().unwrap_or_default()),
        (None, bad) => format!("! {}", bad.as_deref().unwrap_or_default()),
    };
    let (raw, beside) = match &point.node {
        Some(node) => of_node(node),
        None => of_registers(point),
    };
    [
        point.point.to_string(),
        format!("{} {}", point.address, point.kind),
        plain(&raw),
        plain(value.trim_end()),
        plain(&beside),
    ]
}

/// The registers as they came, and the value under every order.
fn of_registers(point: &Probed) -> (String, String) {
    let raw: Vec<String> = point
        .words
        .iter()
        .map(|word| format!("{word:04X}"))
        .collect();
    let orders: Vec<String> = point
        .orders
        .iter()
        .map(|(order, value)| format!("{order} {value}"))
        .collect();
    (raw.join(" "), orders.join("  "))
}

/// The value as the server sent it, and what it says about it.
fn of_node(node: &NodeRaw) -> (String, String) {
    let time = |time: Option<Time>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let (source, server) = (time(node.source), time(node.server));
    let raw = format!("{} {}", node.kind, node.value);
    (raw, format!("{}  {source}  {server}", node.status))
}
