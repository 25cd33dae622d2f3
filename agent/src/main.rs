//! The `lineside` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lineside::cli::main(std::env::args_os())
}
