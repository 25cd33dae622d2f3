//! `lineside archive`: the city's copy of every ledger.

mod export;
mod status;
mod verify;

use super::{Context, Failure, Outcome};

/// Arguments of `lineside archive`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example: lineside archive status --dir /var/lib/lineside-archive")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// How every log stands: leaves, how old its head is, what is cosigned, what was refused
    Status(status::Args),
    /// Verifies every log anew from its files
    Verify(verify::Args),
    /// Takes one log out, as a folder that an auditor can take away
    Export(export::Args),
}

/// Runs the command.
///
/// # Errors
///
/// Those of its parts.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Status(args) => status::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Export(args) => export::run(args, context),
    }
}

/// A directory that holds no archive.
fn none_there(dir: &std::path::Path) -> Failure {
    let dir = dir.display();
    Failure::Negative(crate::text!(
        "{dir} holds no archive: say the folder that holds `logs`",
        "{dir} 中没有存档：请指定包含 `logs` 的文件夹"
    ))
}
