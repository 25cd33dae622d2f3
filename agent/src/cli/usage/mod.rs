//! `lineside usage`: an evaluator's steps: fetch a period's evidence, verify it, count the hours.

mod archived;
mod brought;
mod explain;
mod off;
mod pull;
mod receipt;
mod report;
mod several;
mod shown;
pub(super) mod sources;
mod summary;
mod verify;

use super::{Context, Failure, Outcome};

/// Arguments of `lineside usage`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:
  lineside usage pull --broker mqtt://mqtt.example:1883 --site zs-polymer --from 2026-Q1 -o evidence/
  lineside usage verify evidence/*.zip --trust trust.toml
  lineside usage report evidence/*.zip --trust trust.toml --assets assets.csv --format html -o report.html")]
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
    /// Hours by machine and class from verified bundles, with coverage: a table, CSV, JSON or a page
    Report(report::Args),
    /// Where a machine's hours went: from the calendar to what counts, with the loss at each step
    Explain(explain::Args),
    /// One session on one page, with its proof, for the renter and the invoice
    Receipt(receipt::Args),
}

/// Runs the command.
///
/// # Errors
///
/// As its parts say.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Receipt(args) => receipt::run(args, context),
        Command::Pull(args) => pull::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Explain(args) => explain::run(args, context),
    }
}
