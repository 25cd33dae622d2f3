//! A writer is killed two hundred times: nothing that it called durable or published is missing or different.

use anyhow::{Result, ensure};
use lineside_tests::foreign;
use lineside_tests::log::{self, Gateway, ORIGIN, Said};
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const KILLS: u32 = 200;
/// After how many microseconds a writer is killed at most: it needs some thousand to start.
const LIFE_US_MAX: u64 = 60_000;
/// Notes that the reference is given: the newest.
const NOTES_MAX: usize = 100;

#[test]
fn two_hundred_kills_lose_nothing() -> Result<()> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = tempfile::tempdir()?;
    let (dir, output) = (place.path().join("gateway"), place.path().join("said"));
    let gateway = Gateway::new(&dir);
    let mut said = Said::default();
    let mut judged = 0;
    for kill in 0..KILLS {
        let mut writer = Command::new(env!("CARGO_BIN_EXE_ledger-writer"))
            .arg("write")
            .arg(&dir)
            .arg(random.u64(..).to_string())
            .stdout(File::options().create(true).append(true).open(&output)?)
            .stderr(Stdio::inherit())
            .spawn()?;
        thread::park_timeout(Duration::from_micros(random.u64(0..LIFE_US_MAX)));
        let ended = writer.try_wait()?;
        ensure!(
            ended.is_none(),
            "kill {kill}, seed {seed}: it ended by itself: {ended:?}"
        );
        writer.kill()?;
        writer.wait()?;
        // What was torn is cut off, as the next writer goes on behind it.
        let text = fs::read_to_string(&output)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let text = text.get(..whole).unwrap_or_default();
        fs::write(&output, text)?;
        said = Said::parse(text)?;
        let ledger = gateway.open()?;
        ensure!(
            ledger.size() >= said.durable,
            "kill {kill}, seed {seed}: {} were durable, there are {}",
            said.durable,
            ledger.size()
        );
        for (index, bytes) in (judged..).zip(log::leaves(&ledger, judged)?) {
            ensure!(
                bytes == log::leaf(index, "")?,
                "kill {kill}, seed {seed}: leaf {index} is another one"
            );
        }
        judged = ledger.size();
        if let Some(size) = said.notes.keys().next_back() {
            ensure!(
                ledger.signed() >= *size,
                "kill {kill}, seed {seed}: {size} were signed"
            );
        }
    }
    let (leaves, pairs) = log::judge(&dir, &said)?;
    eprintln!("{leaves} leaves, {} heads, {pairs} pairs", said.notes.len());
    ensure!(
        said.notes.len() > 20 && leaves > 1100,
        "too little was written, seed {seed}"
    );
    // And by others, from the files alone.
    let ledger = gateway.open()?;
    ledger.sign()?;
    let notes = said.notes.into_values().rev().take(NOTES_MAX);
    let question = foreign::Question {
        dir: gateway.files(),
        origin: ORIGIN.to_owned(),
        keys: ledger.keys().iter().map(ToString::to_string).collect(),
        seen: notes.collect(),
        inclusion: Vec::new(),
        consistency: Vec::new(),
    };
    ensure!(foreign::reference(&question)?.size == leaves);
    Ok(())
}
