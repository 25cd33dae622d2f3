//! The durable queue alone: what it costs, and a writer and a reader for power cuts (`power_cut.py`).
//!
//! `cargo bench -p lineside-tests --bench outbox` measures; with `write DIR` it appends until it is killed and
//! prints what is durable and what is acknowledged; with `verify DIR LOG` it checks what is left by that log.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]

use anyhow::{Context as _, Result, ensure};
use lineside::config::model;
use lineside::outbox::{Outbox, Record, RecordKind};
use lineside_proto::{Gap, Identifier, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

const MACHINES: u64 = 10;
const POINTS: u64 = 1000;
const SECONDS: u64 = 180;
const START_MS: i64 = 1_795_420_800_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["write", dir] => write(Path::new(dir)),
        ["verify", dir, log] => verify(Path::new(dir), &fs::read_to_string(log)?),
        _ => measure(),
    }
}

fn settings(size_bytes_max: Option<u64>) -> model::Outbox {
    model::Outbox {
        size_bytes_max,
        age_max: Duration::from_secs(30 * 24 * 3600),
        commit: Duration::from_secs(1),
    }
}

fn machine(number: u64) -> Result<Identifier> {
    Ok(format!("machine-{number}").parse()?)
}

/// A telemetry document of scattered floats; the same for the same machine and seq.
fn telemetry(stream: &str, number: u64, seq: u64, points: u64) -> Result<Record> {
    let mut random = fastrand::Rng::with_seed(number << 40 | seq);
    let at = START_MS + i64::try_from(seq)? * 1000;
    let mut text = String::new();
    let machine = machine(number)?;
    write!(
        text,
        r#"{{"v":1,"machine":"{machine}","stream":"{stream}","seq":{seq},"frames":[{{"t_ms":{at},"group":"fast","values":{{"#
    )?;
    for point in 0..points {
        let comma = if point == 0 { "" } else { "," };
        let value = random.f32() * 1000.0;
        write!(text, r#"{comma}"point_{point}":{value}"#)?;
    }
    text.push_str("}}]}");
    Ok(Record {
        machine,
        kind: RecordKind::Telemetry {
            seq,
            samples: u32::try_from(points)?,
        },
        from: Time::from_millis(at),
        to: Time::from_millis(at),
        payload: text.into_bytes(),
    })
}

fn cpu() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        spent.tv_sec.unsigned_abs(),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
    .as_secs_f64()
}

fn resident_kb() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("no VmRSS")?.parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = place.path().join("outbox");
    let now = |second: u64| Time::from_millis(START_MS + i64::try_from(second).unwrap_or(0) * 1000);
    let before_kb = resident_kb()?;
    let (outbox, recovered) = Outbox::open(&dir, &settings(None), now(0))?;
    let (mut spent, mut slowest, mut bytes) = (0.0, Duration::ZERO, 0_usize);
    for second in 0..SECONDS {
        let mut records = Vec::new();
        for number in 0..MACHINES {
            records.push(telemetry(&recovered.stream, number, second, POINTS)?);
        }
        bytes += records
            .iter()
            .map(|record| record.payload.len())
            .sum::<usize>();
        let (begun, wall) = (cpu(), Instant::now());
        outbox.append(records)?;
        outbox.commit(now(second))?;
        spent += cpu() - begun;
        slowest = slowest.max(wall.elapsed());
    }
    let points = (SECONDS * MACHINES * POINTS) as f64;
    let figures = outbox.figures();
    let written_kb = resident_kb()?;
    println!(
        "payload: {:.1} MB, {:.1} bytes a point",
        bytes as f64 / 1e6,
        bytes as f64 / points
    );
    println!(
        "disk: {:.3} bytes per byte of payload",
        figures.bytes as f64 / bytes as f64
    );
    println!(
        "write: {:.3} µs CPU a point, slowest commit {slowest:?}",
        spent * 1e6 / points
    );
    println!(
        "resident: {} KB more than before, while writing",
        written_kb - before_kb
    );
    let (begun, wall) = (cpu(), Instant::now());
    let (mut position, mut read) = (0, 0_usize);
    loop {
        let records = outbox.read(position, 256 << 10)?;
        let Some((last, _)) = records.last() else {
            break;
        };
        position = last + 1;
        read += records
            .iter()
            .map(|(_, record)| record.payload.len())
            .sum::<usize>();
        outbox.acknowledge(position);
        outbox.commit(now(SECONDS))?;
    }
    ensure!(read == bytes, "{read} of {bytes} bytes came back");
    println!(
        "read: {:.3} µs CPU a point, {:.0} MB/s, all acknowledged",
        (cpu() - begun) * 1e6 / points,
        read as f64 / 1e6 / wall.elapsed().as_secs_f64()
    );
    println!(
        "resident: {} KB more than before, while reading too",
        resident_kb()? - before_kb
    );
    println!("left on disk: {} bytes", outbox.figures().bytes);
    Ok(())
}

/// Small segments, so that many begin and go.
const SMALL: Option<u64> = Some(24 << 20);

/// Appends, commits, reads and acknowledges for ever. Prints, after each commit, `D` and the next seq of each
/// machine, and, before each acknowledgement, `A` and the next seq of each machine that is not acknowledged.
fn write(dir: &Path) -> Result<()> {
    let mut random = fastrand::Rng::new();
    let begun = Time::from_millis(START_MS);
    let (outbox, recovered) = Outbox::open(dir, &settings(SMALL), begun)?;
    ensure!(recovered.alarms.is_empty(), "{:?}", recovered.alarms);
    let next = |number: u64| -> Result<u64> {
        Ok(recovered
            .next_seq
            .get(&machine(number)?)
            .copied()
            .unwrap_or(0))
    };
    let mut next: Vec<u64> = (0..MACHINES).map(next).collect::<Result<_>>()?;
    let mut acknowledged: BTreeMap<Identifier, u64> = BTreeMap::new();
    let mut position = outbox.delivered();
    let mut output = std::io::stdout().lock();
    // Now and then the backlog grows until the oldest goes.
    let patience = if random.bool() {
        random.u64(1..200)
    } else {
        u64::MAX
    };
    loop {
        for _ in 0..random.u64(1..30) {
            let number = random.u64(0..MACHINES);
            let index = usize::try_from(number)?;
            let seq = next.get_mut(index).context("machine")?;
            let points = if random.u8(..) < 16 {
                4000
            } else {
                random.u64(1..600)
            };
            outbox.append(vec![telemetry(&recovered.stream, number, *seq, points)?])?;
            *seq += 1;
        }
        let end = outbox.commit(begun)?;
        writeln!(output, "D {}", list(next.iter().copied()))?;
        if end.saturating_sub(position) > patience {
            for (at, record) in outbox.read(position, random.usize(1..2_000_000))? {
                position = at + 1;
                let to = match record.kind {
                    RecordKind::Telemetry { seq, .. } => Some(seq),
                    RecordKind::Gap => serde_json::from_slice::<Gap>(&record.payload)?.seq_to,
                };
                let next = acknowledged.entry(record.machine).or_default();
                *next = (*next).max(to.map_or(0, |to| to + 1));
            }
            let mut all = Vec::new();
            for number in 0..MACHINES {
                all.push(acknowledged.get(&machine(number)?).copied().unwrap_or(0));
            }
            writeln!(output, "A {}", list(all.into_iter()))?;
            outbox.acknowledge(position);
        }
        output.flush()?;
    }
}

fn list(numbers: impl Iterator<Item = u64>) -> String {
    let words: Vec<String> = numbers.map(|number| number.to_string()).collect();
    words.join(" ")
}

/// What is left in a store.
#[derive(Default)]
struct Left {
    seen: BTreeMap<Identifier, BTreeSet<u64>>,
    messages: u64,
    named: u64,
}

impl Left {
    fn take(&mut self, stream: &str, record: &Record) -> Result<()> {
        let seqs = self.seen.entry(record.machine.clone()).or_default();
        match record.kind {
            RecordKind::Telemetry { seq, samples } => {
                let number = record
                    .machine
                    .as_str()
                    .trim_start_matches("machine-")
                    .parse()?;
                let made = telemetry(stream, number, seq, samples.into())?;
                ensure!(
                    made == *record,
                    "{} {seq} is not as it was sent",
                    record.machine
                );
                let newest = seqs.last().is_none_or(|last| *last < seq);
                ensure!(newest, "{} {seq} is out of order", record.machine);
                seqs.insert(seq);
                self.messages += 1;
            }
            RecordKind::Gap => {
                let gap: Gap = serde_json::from_slice(&record.payload)?;
                ensure!(gap.reason.starts_with("the outbox was full"), "{gap:?}");
                let (from, to) = gap.seq_from.zip(gap.seq_to).context("no seqs")?;
                self.named += to - from + 1;
                seqs.extend(from..=to);
            }
        }
        Ok(())
    }
}

/// The furthest marks of each machine: each writer begins anew.
fn furthest(log: &str, mark: &str) -> BTreeMap<u64, u64> {
    let mut marks = BTreeMap::new();
    for line in log.lines().filter_map(|line| line.strip_prefix(mark)) {
        let words = line
            .split_whitespace()
            .filter_map(|word| word.parse::<u64>().ok());
        for (number, word) in (0..).zip(words) {
            let furthest = marks.entry(number).or_default();
            *furthest = word.max(*furthest);
        }
    }
    marks
}

/// Whether everything that the log calls durable, and not acknowledged, is there or named.
fn verify(dir: &Path, log: &str) -> Result<()> {
    let (outbox, recovered) = Outbox::open(dir, &settings(SMALL), Time::from_millis(START_MS))?;
    ensure!(recovered.alarms.is_empty(), "{:?}", recovered.alarms);
    // What the index owes is said with the first commit.
    outbox.commit(Time::from_millis(START_MS))?;
    let mut left = Left::default();
    let mut position = outbox.delivered();
    loop {
        let records = outbox.read(position, 1 << 20)?;
        let Some((last, _)) = records.last() else {
            break;
        };
        position = last + 1;
        for (_, record) in &records {
            left.take(&recovered.stream, record)?;
        }
    }
    let (durable, acknowledged) = (furthest(log, "D "), furthest(log, "A "));
    for (number, next) in durable {
        let machine = machine(number)?;
        let given = recovered.next_seq.get(&machine).copied().unwrap_or(0);
        ensure!(
            given >= next,
            "{machine}: {next} would be given again, as {given}"
        );
        let from = acknowledged.get(&number).copied().unwrap_or(0);
        let seqs = left.seen.get(&machine);
        for seq in from..given {
            let there = seqs.is_some_and(|seqs| seqs.contains(&seq));
            ensure!(
                there,
                "{machine} {seq} is lost ({from}..{given}, durable {next})"
            );
        }
    }
    println!("{} messages, {} named", left.messages, left.named);
    Ok(())
}
