//! `lineside usage`: an evaluator's steps: fetch a period's evidence, verify it, count the hours.

mod pull;
mod shown;
mod sources;
mod verify;

use super::{Context, Failure, Outcome};

/// Arguments of `lineside usage`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:
  lineside usage pull --broker mqtt://mqtt.example:1883 --site zs-polymer --from 2026-Q1 -o evidence/
  lineside usage verify evidence/*.zip --trust trust.toml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Fetches a period's evidence from gateways: one file a gateway, every part checked as it comes
    Pull(pull::Args),
    /// Verifies evidence offline: signatures, completeness, time, sessions, tokens, and the totals anew
    Verify(verify::Args),
}

/// Runs the command.
///
/// # Errors
///
/// As its parts say.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Pull(args) => pull::run(args, context),
        Command::Verify(args) => verify::run(args, context),
    }
}
