//! The ledger's log alone: what a leaf costs beside a bare file, and how long a log of a million leaves takes to open
//! and to prove a leaf.
//!
//! `cargo bench -p lineside-tests --bench ledger` measures; with a number, over so many leaves.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context as _, Result, ensure};
use lineside::clock::Stamp;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::ledger::tree::check_inclusion;
use lineside_proto::ledger::{Hash, LeafBody, StateLeaf};
use lineside_proto::{State, Time};
use lineside_tests::log::Gateway;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

const LEAVES: u64 = 1_000_000;
/// Leaves of each measured way of writing.
const SAMPLE: u64 = 4_000;
/// Proofs that are made and checked.
const PROOFS: u64 = 500;
const BOOT: &str = "5d1c1a3e-7f6b-4f1c-9d5f-4f0e2a7b9c11";
const START_MS: i64 = 1_795_420_800_000;
const DAY_S: f64 = 86_400.0;
/// Checkpoints a day at most when no session closes: one in five minutes.
const SIGNATURES_A_DAY: f64 = 288.0;

fn main() -> Result<()> {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let place = tempfile::tempdir()?;
    let cost = writing(place.path())?;
    let bytes = reading(place.path(), count.unwrap_or(LEAVES))?;
    project(&cost, bytes);
    Ok(())
}

/// A state leaf, as machines write most of them.
fn entry(index: u64) -> Result<Entry> {
    let wall = Time::from_millis(START_MS + i64::try_from(index)? * 500);
    let (from, to) = if index % 2 == 0 {
        (State::Idle, State::Run)
    } else {
        (State::Run, State::Idle)
    };
    let body = LeafBody::State(StateLeaf {
        machine: format!("machine-{:02}", index % 20).parse()?,
        from,
        to,
        since: wall,
        since_ms: i64::try_from(index)? * 500,
        rule: Some("RUN@2".to_owned()),
        config: format!("sha256:{:064x}", index % 20),
    });
    let at = Stamp {
        boot_ms: index * 500,
        wall,
    };
    Ok(Entry { at, body })
}

fn entries(from: u64, count: u64) -> Result<Vec<Entry>> {
    (from..from + count).map(entry).collect()
}

fn cpu() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        spent.tv_sec.unsigned_abs(),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
    .as_secs_f64()
}

/// Bytes that a folder takes on disk, by its blocks.
fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = fs::metadata(dir)?.blocks() * 512;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(bytes)
}

struct Cost {
    /// CPU seconds a leaf, one by one.
    single: f64,
    /// The same in batches of 20.
    batched: f64,
    /// CPU seconds a signature.
    signature: f64,
}

/// Runs `work` over the sample: CPU seconds and wall seconds a leaf.
fn timed(mut work: impl FnMut() -> Result<()>) -> Result<(f64, f64)> {
    let (begun, wall) = (cpu(), Instant::now());
    work()?;
    let leaves = SAMPLE as f64;
    Ok((
        (cpu() - begun) / leaves,
        wall.elapsed().as_secs_f64() / leaves,
    ))
}

fn bare(file: &mut File, parts: &[Vec<u8>], batch: usize) -> Result<(f64, f64)> {
    timed(|| {
        for part in parts.chunks(batch) {
            file.write_all(&part.concat())?;
            file.sync_data()?;
        }
        Ok(())
    })
}

fn append(ledger: &Ledger, batch: u64) -> Result<(f64, f64)> {
    let mut all = entries(ledger.size(), SAMPLE)?;
    timed(|| {
        while !all.is_empty() {
            let rest = all.split_off(all.len().min(usize::try_from(batch)?));
            ledger.append(BOOT, &all)?;
            all = rest;
        }
        Ok(())
    })
}

fn writing(dir: &Path) -> Result<Cost> {
    let gateway = Gateway::new(&dir.join("writing"));
    let ledger = gateway.open()?;
    let single = append(&ledger, 1)?;
    let batched = append(&ledger, 20)?;
    let parts: Vec<Vec<u8>> = ledger
        .read(0, usize::MAX)?
        .into_iter()
        .take(usize::try_from(SAMPLE)?)
        .map(|(_, leaf)| leaf)
        .collect();
    let length = parts.iter().map(Vec::len).sum::<usize>() as f64 / SAMPLE as f64;
    let mut file = File::create(dir.join("bare"))?;
    let one = bare(&mut file, &parts, 1)?;
    let twenty = bare(&mut file, &parts, 20)?;
    println!("a leaf has {length:.0} bytes; CPU and wall time a leaf, every write durable:");
    let said = |name: &str, ours: (f64, f64), bare: (f64, f64)| {
        println!(
            "  {name}: {:.1} µs CPU, {:.0} µs; a bare file with fdatasync {:.1} µs CPU, {:.0} µs",
            ours.0 * 1e6,
            ours.1 * 1e6,
            bare.0 * 1e6,
            bare.1 * 1e6
        );
    };
    said("one by one", single, one);
    said("in batches of 20", batched, twenty);
    let (mut spent, rounds) = (0.0, 100);
    for _ in 0..rounds {
        ledger.append(BOOT, &entries(ledger.size(), 7)?)?;
        let begun = cpu();
        ledger.sign()?.context("nothing was signed")?;
        spent += cpu() - begun;
    }
    let signature = spent / f64::from(rounds);
    println!(
        "  a signature with its partial tiles: {:.0} µs CPU",
        signature * 1e6
    );
    Ok(Cost {
        single: single.0,
        batched: batched.0,
        signature,
    })
}

/// `bytes` are those on disk a leaf; partial tiles, which go when the full one is there, are not what adds up.
fn project(cost: &Cost, bytes: f64) {
    let signing = SIGNATURES_A_DAY * cost.signature;
    let day = |leaves: f64, a_leaf: f64| (leaves * a_leaf + signing) / DAY_S * 100.0;
    let busy = 20.0 * DAY_S / 10.0;
    let usual = 20.0 * 350.0;
    println!(
        "20 machines, a state change every 10 s each: {:.3} % of a core one by one, {:.3} % in batches, {:.1} MB a day",
        day(busy, cost.single),
        day(busy, cost.batched),
        busy * bytes / 1e6
    );
    println!(
        "20 machines, 350 leaves a day each: {:.4} % of a core, {:.1} MB a day",
        day(usual, cost.single),
        usual * bytes / 1e6
    );
}

/// Gives the bytes on disk a leaf.
fn reading(dir: &Path, count: u64) -> Result<f64> {
    let gateway = Gateway::new(&dir.join("reading"));
    let ledger = gateway.open()?;
    let begun = Instant::now();
    while ledger.size() < count {
        let more = (count - ledger.size()).min(2048);
        ledger.append(BOOT, &entries(ledger.size(), more)?)?;
    }
    ledger.sign()?.context("nothing was signed")?;
    println!("{count} leaves written in {:.0?}", begun.elapsed());
    let (head, files) = (ledger.head(), ledger.dir().to_owned());
    drop(ledger);
    let bytes = disk_bytes(&files)? as f64 / count as f64;
    println!("on disk: {bytes:.1} bytes a leaf");
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        let ledger = gateway.open()?;
        slowest = slowest.max(begun.elapsed());
        ensure!(ledger.head() == head, "another head");
    }
    println!("open, the slowest of 5: {slowest:.1?}");
    let ledger = gateway.open()?;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut all, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..PROOFS {
        let index = random.u64(0..count);
        let begun = Instant::now();
        let proof = ledger.inclusion(index, count)?;
        let took = begun.elapsed();
        (all, slowest) = (all + took, slowest.max(took));
        let (_, leaf) = ledger.read(index, 1)?.swap_remove(0);
        check_inclusion(Hash::of_leaf(&leaf), index, count, &proof, head.1)?;
    }
    println!(
        "an inclusion proof: {:.2?} on average, {slowest:.2?} the slowest of {PROOFS}",
        all / u32::try_from(PROOFS)?
    );
    let (mut all, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..PROOFS {
        let old = random.u64(1..count);
        let begun = Instant::now();
        ledger.consistency(old, count)?;
        let took = begun.elapsed();
        (all, slowest) = (all + took, slowest.max(took));
    }
    println!(
        "a consistency proof: {:.2?} on average, {slowest:.2?} the slowest of {PROOFS}",
        all / u32::try_from(PROOFS)?
    );
    Ok(bytes)
}
