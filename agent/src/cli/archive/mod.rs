//! `lineside archive`: the city's copy of every ledger.

mod index;
mod keep;
mod witness_key;

use super::{Context, Failure, Outcome};

/// Arguments of `lineside archive`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Example: lineside archive --broker mqtt://mqtt.example --dir /var/lib/lineside-archive --gateways /etc/lineside/gateways --witness-key /etc/lineside/keys/witness.key"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    keep: keep::Args,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// The index for queries: compared with the tiles, or made anew from them
    Index(index::Args),
    /// Makes or shows the key of a witness, and what others write to trust it
    WitnessKey(witness_key::Args),
}

/// Runs the command.
///
/// # Errors
///
/// Those of its parts.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        None => keep::run(&args.keep, context),
        Some(Command::Index(args)) => index::run(args, context),
        Some(Command::WitnessKey(args)) => witness_key::run(args, context),
    }
}
