//! A writer of a ledger to be killed, starved of room or cut off from power, and the judge of what it left.
//!
//! `write DIR SEED [LEAVES]` appends and signs, and prints what is durable and published; it ends with 4 on a full
//! disk. `verify DIR LOG` judges what is left by what was printed.
#![expect(clippy::print_stdout, reason = "it is a program for tests and scripts")]

use anyhow::{Result, bail};
use lineside_tests::log::{self, End, Said};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["write", dir] => write(dir, fastrand::u64(..), u64::MAX),
        ["write", dir, seed] => write(dir, seed.parse()?, u64::MAX),
        ["write", dir, seed, count] => write(dir, seed.parse()?, count.parse()?),
        ["verify", dir, said] => {
            let said = Said::parse(&fs::read_to_string(said)?)?;
            let (leaves, pairs) = log::judge(Path::new(dir), &said)?;
            println!("{leaves} leaves, {} heads, {pairs} pairs", said.notes.len());
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("write DIR [SEED [LEAVES]], or verify DIR LOG"),
    }
}

fn write(dir: &str, seed: u64, count: u64) -> Result<ExitCode> {
    Ok(
        match log::write(Path::new(dir), seed, count, &mut io::stdout().lock())? {
            End::Done => ExitCode::SUCCESS,
            End::Full => ExitCode::from(4),
        },
    )
}
