//! `lineside-verify`: verifies evidence bundles without an agent and without a network.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let mut out = BufWriter::new(io::stdout().lock());
    let arguments = std::env::args_os().skip(1);
    let code = lineside_proto::evidence::command(
        arguments,
        locale.as_deref(),
        &mut out,
        &mut io::stderr().lock(),
    );
    match out.flush() {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(code.max(1)),
    }
}
