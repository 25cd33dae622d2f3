//! `lineside session`: check-in and check-out at the machine, and what is open.

use lineside_proto::{CheckIn, Class, Time};
use serde::Serialize;
use std::io::{self, Write};

use super::columns::columns;
use super::probe::machine;
use super::status::{ask, live, other_answer};
use super::{Context, Failure, Outcome, write_json};
use crate::control::{Answer, Request};
use crate::live::LiveSession;
use crate::text;
use crate::text::{Language, Text};

/// Arguments of `lineside session`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(
    after_help = "Example: lineside session start extruder-01 --booking bk-77 --by \"Li Wei\""
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Somebody begins to use a machine: opens its session
    Start(Start),
    /// Somebody is done with a machine: closes its session
    Stop(Stop),
    /// The sessions that are open
    List(List),
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside session start extruder-01 --class TRN --by \"Li Wei\"")]
struct Start {
    /// The machine
    machine: String,
    /// The booking that it is for
    #[arg(long, value_name = "ID", conflicts_with = "class", value_parser = booking)]
    booking: Option<String>,
    /// Without a booking: OWN (own use), TRN (training) or MNT (maintenance)
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<Class>,
    /// Who uses it, kept as a pseudonym; else the user who runs this
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside session stop extruder-01")]
struct Stop {
    /// The machine
    machine: String,
    /// Who is done, kept as a pseudonym; else the user who runs this
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside session list --json | jq length")]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An open session of a machine, for programs.
#[derive(Serialize)]
struct Open {
    machine: lineside_proto::Identifier,
    #[serde(flatten)]
    session: LiveSession,
}

/// Runs the command.
///
/// # Errors
///
/// An unknown machine; no agent that answers; what the agent refuses.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Start(args) => start(args, context),
        Command::Stop(args) => stop(args, context),
        Command::List(args) => list(args, context),
    }
}

fn start(args: &Start, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let request = Request::CheckIn {
        machine: machine(&config, &args.machine)?.machine.clone(),
        booking: args.booking.clone(),
        class: args.class,
        by: args.by.clone(),
    };
    let Answer::Session(session) = ask(context, &config.gateway.state_dir, &request)? else {
        return Err(other_answer());
    };
    let done = text!(
        "{}: session {} is open, class {}, since {}",
        "{}：上机记录 {} 已开始，类别 {}，自 {}",
        args.machine,
        session.session,
        session.class,
        session.from
    );
    tell(&session, &done, args.json, context)
}

fn stop(args: &Stop, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let request = Request::CheckOut {
        machine: machine(&config, &args.machine)?.machine.clone(),
        by: args.by.clone(),
    };
    let Answer::Session(session) = ask(context, &config.gateway.state_dir, &request)? else {
        return Err(other_answer());
    };
    let done = text!(
        "{}: session {} is closed, class {}, begun {}",
        "{}：上机记录 {} 已结束，类别 {}，开始于 {}",
        args.machine,
        session.session,
        session.class,
        session.from
    );
    tell(&session, &done, args.json, context)
}

fn tell(
    session: &LiveSession,
    done: &Text,
    json: bool,
    context: &Context,
) -> Result<Outcome, Failure> {
    let mut out = io::stdout().lock();
    if json {
        write_json(&mut out, session)?;
    } else {
        writeln!(out, "{}", done.say(context.language))?;
    }
    Ok(Outcome::Done)
}

fn list(args: &List, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let live = live(context, &config.gateway.state_dir)?;
    let open: Vec<Open> = live
        .machines
        .into_iter()
        .filter_map(|live| {
            Some(Open {
                machine: live.machine,
                session: live.session?,
            })
        })
        .collect();
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &open)?;
        return Ok(Outcome::Done);
    }
    for line in lines(&open, context.language) {
        writeln!(out, "{line}")?;
    }
    Ok(Outcome::Done)
}

/// The sessions as a table, or a word where there are none.
fn lines(open: &[Open], language: Language) -> Vec<String> {
    if open.is_empty() {
        return vec![
            language
                .pick("no session is open", "没有进行中的上机记录")
                .to_owned(),
        ];
    }
    let head = language.pick(
        [
            "MACHINE", "SESSION", "CLASS", "CHECK-IN", "BOOKING", "SINCE", "UNTIL", "BY",
        ],
        [
            "设备",
            "上机记录",
            "类别",
            "签到",
            "预约",
            "开始",
            "预计结束",
            "签到人",
        ],
    );
    let time = |time: Option<Time>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let row = |open: &Open| {
        let session = &open.session;
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            open.machine.to_string(),
            session.session.clone(),
            language
                .pick(session.class.as_str(), session.class.zh_cn())
                .to_owned(),
            check_in(session.check_in, language).to_owned(),
            dash(&session.booking),
            time(Some(session.from)),
            time(session.expected_end),
            dash(&session.by),
        ]
    };
    let rows: Vec<_> = [head.map(str::to_owned)]
        .into_iter()
        .chain(open.iter().map(row))
        .collect();
    columns(&rows)
}

/// How it became known who uses a machine, in a word.
fn check_in(check_in: CheckIn, language: Language) -> &'static str {
    match check_in {
        CheckIn::Implied => language.pick("implied", "自动"),
        CheckIn::Portal => language.pick("portal", "门户"),
        CheckIn::Local => language.pick("local", "现场"),
        CheckIn::None => language.pick("none", "无"),
    }
}

fn class(text: &str) -> Result<Class, Text> {
    [Class::Own, Class::Trn, Class::Mnt]
        .into_iter()
        .find(|class| class.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| text!("OWN, TRN or MNT is wanted", "应为 OWN、TRN 或 MNT"))
}

fn booking(text: &str) -> Result<String, Text> {
    crate::entered::booking(text)
}

fn name(text: &str) -> Result<String, Text> {
    crate::entered::name(text)
}

#[cfg(test)]
mod tests {
    use super::{Open, class, lines};
    use crate::live::LiveSession;
    use crate::text::Language;
    use lineside_proto::{CheckIn, Class, Time};

    #[test]
    fn open_sessions_stand_in_a_table() {
        assert_eq!(lines(&[], Language::En), ["no session is open"]);
        let session = LiveSession {
            session: "01J".to_owned(),
            booking: None,
            class: Class::Trn,
            check_in: CheckIn::Local,
            by: Some("8fcb2e4a99d417b5".to_owned()),
            from: Time::from_millis(1_795_420_800_000),
            expected_end: None,
        };
        let open = [Open {
            machine: "extruder-01".parse().unwrap(),
            session,
        }];
        assert_eq!(
            lines(&open, Language::En),
            [
                "MACHINE      SESSION  CLASS  CHECK-IN  BOOKING  SINCE                     UNTIL  BY",
                "extruder-01  01J      TRN    local     -        2026-11-23T08:00:00.000Z  -      8fcb2e4a99d417b5",
            ]
        );
        let chinese = lines(&open, Language::ZhCn).join("\n");
        for word in ["培训", "现场", "预计结束"] {
            assert!(chinese.contains(word), "{chinese}");
        }
    }

    #[test]
    fn only_three_classes_are_entered_here() {
        for (text, expected) in [
            ("OWN", Some(Class::Own)),
            ("trn", Some(Class::Trn)),
            ("MNT", Some(Class::Mnt)),
            ("EXT", None),
            ("AFF", None),
            ("UNB", None),
            ("", None),
        ] {
            assert_eq!(class(text).ok(), expected, "{text}");
        }
    }
}
