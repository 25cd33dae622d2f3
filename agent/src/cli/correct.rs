//! `lineside correct`: says that a leaf of the ledger is wrong. What was written stays.

use serde_json::json;
use std::io::{self, Write};

use super::status::{ask, other_answer};
use super::{Context, Failure, Outcome, write_json};
use crate::control::{Answer, Request};
use crate::entered;
use crate::text;
use crate::text::Text;

/// Arguments of `lineside correct`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside correct 402 --reason \"trial run, not a customer's\" --by \"Li Wei\""
)]
pub struct Args {
    /// The index of the leaf that is wrong
    index: u64,
    /// What is right, and why
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who says so; the name becomes part of the ledger
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// No agent that answers; an index that the ledger does not have.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let request = Request::Correct {
        refers: args.index,
        reason: args.reason.clone(),
        by: args.by.clone(),
    };
    let Answer::Written(index) = ask(context, &config.gateway.state_dir, &request)? else {
        return Err(other_answer());
    };
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &json!({"index": index, "refers": args.index}))?;
    } else {
        let done = text!(
            "written as leaf {index}; leaf {} stays as it is",
            "已写入为第 {index} 条记录；第 {} 条记录保持不变",
            args.index
        );
        writeln!(out, "{}", done.say(context.language))?;
    }
    Ok(Outcome::Done)
}

fn reason(text: &str) -> Result<String, Text> {
    entered::reason(text)
}

fn name(text: &str) -> Result<String, Text> {
    entered::name(text)
}
