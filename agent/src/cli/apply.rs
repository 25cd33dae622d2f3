//! `lineside apply`: makes the running agent take up changed machine maps.

use lineside_proto::Identifier;
use std::io::{self, Write};

use super::check::report;
use super::status::{ask, other_answer};
use super::{Context, Failure, Outcome, write_json};
use crate::config::{Faults, Loaded};
use crate::control::{Answer, Request};
use crate::run::Difference;
use crate::text;

/// Arguments of `lineside apply`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside apply --dry-run")]
pub struct Args {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Faults in the files (the old configuration keeps running); no agent that answers.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let Loaded {
        config, warnings, ..
    } = context.load()?;
    if !warnings.is_empty() {
        io::stderr().write_all(report(&Faults::new(warnings), context).as_bytes())?;
    }
    let mut out = io::stdout().lock();
    let difference = difference(context, &config.gateway.state_dir, false)?;
    if args.json {
        write_json(&mut out, &difference)?;
    } else {
        show(&mut out, &difference, context)?;
    }
    if !args.dry_run {
        self::difference(context, &config.gateway.state_dir, true)?;
        if !args.json {
            let done = text!("applied", "已生效");
            writeln!(out, "{}", done.say(context.language))?;
        }
    }
    Ok(Outcome::Done)
}

fn difference(
    context: &Context,
    state_dir: &std::path::Path,
    apply: bool,
) -> Result<Difference, Failure> {
    let Answer::Reload(difference) = ask(context, state_dir, &Request::Reload { apply })? else {
        return Err(other_answer());
    };
    Ok(difference)
}

fn show(out: &mut impl Write, difference: &Difference, context: &Context) -> io::Result<()> {
    let Difference {
        added,
        removed,
        changed,
        unchanged,
        restart,
    } = difference;
    let lists = [
        ("+", text!("new", "新增"), added),
        ("-", text!("removed", "移除"), removed),
        ("~", text!("changed", "变更"), changed),
        (" ", text!("not touched", "不受影响"), unchanged),
    ];
    for (mark, word, machines) in lists {
        if !machines.is_empty() {
            let names: Vec<&str> = machines.iter().map(Identifier::as_str).collect();
            writeln!(
                out,
                "{mark} {}: {}",
                word.say(context.language),
                names.join(", ")
            )?;
        }
    }
    if *restart {
        let word = text!(
            "gateway.toml changed: its settings take effect at the next start",
            "gateway.toml 有改动：其设置在下次启动时生效"
        );
        writeln!(out, "! {}", word.say(context.language))?;
    }
    Ok(())
}
