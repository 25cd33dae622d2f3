//! A full disk: the ledger says so, keeps what it had called durable, and goes on when there is room.

use anyhow::{Context, Result, ensure};
use lineside_tests::log::{self, Said};
use rustix::process::geteuid;
use std::path::Path;
use std::process::{Command, Output};

/// Writes leaves with the shell's help, which sets a limit first. Gives what the writer printed.
fn write(limit: &str, dir: &Path, seed: u64, leaves: &str) -> Result<Output> {
    let script = format!("{limit} exec \"$0\" \"$@\"");
    let output = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_ledger-writer"), "write"])
        .arg(dir)
        .args([&seed.to_string(), leaves])
        .output()?;
    Ok(output)
}

/// Leaves that there is always room for, and for some more.
const FIRST: &str = "30";

/// The writer runs until the disk is full, twice; then there is room and it goes on.
fn fills_and_goes_on(
    dir: &Path,
    limit: &str,
    make_room: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let seed = fastrand::u64(..);
    let output = write("", dir, seed, FIRST)?;
    let mut all = String::from_utf8(output.stdout)?;
    for turn in 0..2 {
        let output = write(limit, dir, seed, "100000")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(4),
            "turn {turn}, seed {seed}: {:?} {errors}",
            output.status
        );
        all.push_str(std::str::from_utf8(&output.stdout)?);
    }
    let said = Said::parse(&all)?;
    ensure!(
        said.durable > FIRST.parse()?,
        "seed {seed}: only {} leaves",
        said.durable
    );
    make_room()?;
    log::judge(dir, &said).with_context(|| format!("seed {seed}"))?;
    let output = write("", dir, seed, "700")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "seed {seed}: {errors}");
    all.push_str(std::str::from_utf8(&output.stdout)?);
    let after = Said::parse(&all)?;
    ensure!(after.durable >= said.durable + 700, "seed {seed}");
    let (leaves, _) = log::judge(dir, &after).with_context(|| format!("seed {seed}"))?;
    ensure!(leaves == after.durable, "seed {seed}");
    Ok(())
}

#[test]
fn a_journal_that_may_not_grow_is_a_full_disk() -> Result<()> {
    let place = tempfile::tempdir()?;
    // The signal that comes with the refusal is ignored, so that only the refusal is left.
    let limit = "trap '' XFSZ; ulimit -f 24;";
    fills_and_goes_on(&place.path().join("gateway"), limit, || Ok(()))
}

#[test]
fn a_full_file_system_stops_the_ledger_until_there_is_room() -> Result<()> {
    let place = tempfile::tempdir()?;
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk)?;
    let mount = |arguments: &[&str]| -> Result<bool> {
        let mut command = Command::new("mount");
        let output = command.args(arguments).arg(&disk).output()?;
        Ok(output.status.success())
    };
    let is_mounted =
        geteuid().is_root() && mount(&["-t", "tmpfs", "-o", "size=600k", "lineside-full"])?;
    if !is_mounted {
        eprintln!("no file system can be mounted here: a limit on files stands for it");
        let limit = "trap '' XFSZ; ulimit -f 40;";
        return fills_and_goes_on(&disk.join("gateway"), limit, || Ok(()));
    }
    let result = fills_and_goes_on(&disk.join("gateway"), "", || {
        ensure!(mount(&["-o", "remount,size=16m"])?, "no room could be made");
        Ok(())
    });
    let unmounted = Command::new("umount").arg(&disk).status()?;
    result?;
    ensure!(unmounted.success(), "the file system is still in use");
    Ok(())
}
