//! Writes a dense ledger, for measuring: `cargo run --release -p lineside-tests --example dense -- DIR [LEAVES] [MACHINES]`.
//! What it is, `lineside_tests::dense` says; `lineside usage pull --state DIR/state` makes bundles of it.
#![expect(clippy::print_stdout, reason = "it is a program for whoever measures")]

use anyhow::{Context, Result};
use lineside_tests::dense::{LEAVES, MACHINES, Names, write};
use std::path::Path;
use std::time::Instant;

/// Leaves of a machine's year, where it is not said how many machines there are.
const LEAVES_EACH: u64 = 100_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().context("DIR [LEAVES] [MACHINES]")?;
    let leaves = arguments.next().map_or(Ok(LEAVES), |text| text.parse())?;
    let usual = u32::try_from(leaves / LEAVES_EACH)?.clamp(1, MACHINES);
    let machines = arguments.next().map_or(Ok(usual), |text| text.parse())?;
    let names = Names {
        site: "dense".parse()?,
        gateway: "gw-dense".parse()?,
    };
    let begun = Instant::now();
    let size = write(Path::new(&dir), &names, leaves, machines)?;
    println!("{size} leaves in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
