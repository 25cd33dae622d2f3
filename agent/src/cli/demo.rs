//! `lineside demo`.

use super::{Context, Failure, Outcome};

/// Arguments of `lineside demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(_args: &Args, _context: &Context) -> Result<Outcome, Failure> {
    Ok(Outcome::Done)
}
