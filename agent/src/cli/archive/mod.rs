//! `lineside archive`: the city's copy of all ledgers.

mod index;

use super::{Context, Failure, Outcome};

/// Arguments of `lineside archive`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example: lineside archive index --check --dir /var/lib/lineside-archive")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// The index for queries: compared with the tiles, or made anew from them
    Index(index::Args),
}

/// Runs the command.
///
/// # Errors
///
/// The subcommand's.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Index(args) => index::run(args, context),
    }
}
