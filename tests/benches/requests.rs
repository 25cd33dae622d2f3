//! How fast a gateway answers whoever pulls its ledger, and whether the one that writes it notices.
//!
//! `cargo bench -p lineside-tests --bench requests` measures; with a number, over so many leaves.
#![expect(
    clippy::print_stdout,
    reason = "it is a program for people and scripts"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context as _, Result, anyhow, ensure};
use lineside::answers::{Answers, Gateway, Room, call, documents};
use lineside::clock::Stamp;
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::ledger::{LeafBody, UsageLeaf};
use lineside_proto::{ClockStatus, State, Time};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const LEAVES: u64 = 250_000;
/// A year of twenty machines.
const YEAR_LEAVES: f64 = 2_500_000.0;
const START_MS: i64 = 1_795_420_800_000;
const MB: f64 = 1e6;

fn main() -> Result<()> {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let count: u64 = count.unwrap_or(LEAVES);
    let place = tempfile::tempdir()?;
    let state = place.path().join("state");
    let key = place.path().join("keys/ledger.key");
    let (ledger, _) = Ledger::open(&state, &key, "lineside/bench/gw")?;
    let began = Instant::now();
    while ledger.size() < count {
        append(&ledger, 4096)?;
    }
    ledger.sign()?;
    println!(
        "{count} leaves written in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let known = Arc::new(Answers::new(
        Gateway {
            ledger: ledger.clone(),
            maps: Arc::new(|_| None),
            tokens: Arc::new(|_| None),
            status: Arc::new(|| Some(json!({"v": 1}))),
        },
        CancellationToken::new(),
    ));
    periods(&known, "a period, looked up for the first time")?;
    periods(&known, "and again")?;
    let alone = appending(&ledger, &AtomicBool::new(false), 60)?;
    println!("an append beside nobody: {alone}");
    for threads in [1, 2, 4] {
        pull(&ledger, &known, count, threads)?;
    }
    copied(&state, count)
}

/// Appends leaves as machines write most of them.
fn append(ledger: &Ledger, count: u64) -> Result<()> {
    let size = ledger.size();
    let entries: Result<Vec<_>> = (size..size + count).map(entry).collect();
    ledger.append("5d1c1a3e-7f6b-4f1c-9d5f-4f0e2a7b9c11", &entries?)?;
    Ok(())
}

fn entry(index: u64) -> Result<Entry> {
    let mono_ms = index * 12_600;
    let wall = Time::from_millis(START_MS + i64::try_from(mono_ms)?);
    let body = LeafBody::Usage(UsageLeaf {
        machine: format!("machine-{:02}", index % 20).parse()?,
        session: Some(format!("gw-01-machine-{:02}-{:08x}", index % 20, index / 7)),
        class: Some(lineside_proto::Class::Ext),
        from: wall,
        to: wall.plus_millis(12_600),
        span_boot: None,
        clock: Some(ClockStatus::S),
        mono_from_ms: mono_ms,
        mono_to_ms: mono_ms + 12_600,
        ms: BTreeMap::from([(State::Run, 12_600)]),
        hold_over_ms: 0,
        good: 126,
        bad: 0,
        energy: None,
        hours: None,
        config: format!("sha256:{:064x}", index % 20),
    });
    let at = Stamp {
        boot_ms: mono_ms,
        wall,
    };
    Ok(Entry { at, body })
}

fn periods(known: &Answers, what: &str) -> Result<()> {
    let began = Instant::now();
    let at = |hours: i64| Time::from_millis(START_MS + hours * 3_600_000);
    let said = known.ask("usage.bundle", json!({"from": at(24), "to": at(48)}));
    let said = said.map_err(|failure| anyhow!(failure.text))?;
    ensure!(said.len() == 1, "a period");
    println!("{what}: {:.3} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Pulls the whole ledger over so many threads while somebody appends, and tells both.
fn pull(ledger: &Ledger, known: &Arc<Answers>, count: u64, threads: u64) -> Result<()> {
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    let (bytes, beside) = thread::scope(|scope| {
        let writer = scope.spawn(|| appending(ledger, &ended, u32::MAX));
        let pullers: Vec<_> = (0..threads)
            .map(|turn| {
                let (from, to) = (count * turn / threads, count * (turn + 1) / threads);
                scope.spawn(move || entries(known, from, to))
            })
            .collect();
        let mut bytes = (0, 0);
        for puller in pullers {
            let (sent, leaves) = puller.join().map_err(|_| anyhow!("a puller ended"))??;
            bytes = (bytes.0 + sent, bytes.1 + leaves);
        }
        let seconds = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        let beside = writer.join().map_err(|_| anyhow!("the writer ended"))??;
        anyhow::Ok(((bytes, seconds), beside))
    })?;
    let ((sent, leaves), seconds) = bytes;
    let rate = leaves as f64 / MB / seconds.as_secs_f64();
    let year_s = seconds.as_secs_f64() / count as f64 * YEAR_LEAVES;
    println!(
        "{threads} at once: {:.1} MB of leaves ({:.1} MB of answers) in {:.2} s, {rate:.1} MB/s; a year of 2.5 million in {year_s:.0} s; an append beside it: {beside}",
        leaves as f64 / MB,
        sent as f64 / MB,
        seconds.as_secs_f64(),
    );
    Ok(())
}

/// Bytes of documents, and of leaves in them.
fn entries(known: &Answers, from: u64, to: u64) -> Result<(usize, usize)> {
    let (mut next, mut sent, mut leaves) = (from, 0, 0);
    while next < to {
        let asked = call("ledger.entries", json!({"from": next, "to": to}));
        let asked = asked.map_err(|failure| anyhow!(failure.text))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let parts = known.answer(&asked, Room::of("q", usize::MAX), deadline);
        let parts = parts.map_err(|failure| anyhow!(failure.text))?;
        for part in &parts {
            let texts = part.get("leaves").and_then(Value::as_array);
            let texts = texts.context("a part without leaves")?.iter();
            leaves += texts.filter_map(Value::as_str).map(str::len).sum::<usize>();
        }
        let last = parts.last().and_then(|part| part.get("next"));
        next = last
            .and_then(Value::as_u64)
            .context("an answer without next")?;
        sent += documents("q", Ok(parts))
            .iter()
            .map(Vec::len)
            .sum::<usize>();
    }
    Ok((sent, leaves))
}

/// Appends a leaf twenty times a second, and tells how long that took.
fn appending(ledger: &Ledger, ended: &AtomicBool, most: u32) -> Result<String> {
    let mut times = Vec::new();
    while !ended.load(Ordering::Relaxed) && (times.len() as u64) < u64::from(most) {
        let began = Instant::now();
        append(ledger, 1)?;
        times.push(began.elapsed());
        thread::park_timeout(Duration::from_millis(50));
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).or(times.last());
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    Ok(format!(
        "{:.1} ms at half, {:.1} ms at most",
        ms(at(50)),
        ms(times.last())
    ))
}

/// The same from the state directory, as from a copy.
fn copied(state: &std::path::Path, count: u64) -> Result<()> {
    let began = Instant::now();
    let known = Answers::of_copy(state)?;
    let opened = began.elapsed();
    let began = Instant::now();
    let (_, leaves) = entries(&known, 0, count)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "from a copy: opened in {:.0} ms, {:.1} MB/s",
        opened.as_secs_f64() * 1000.0,
        leaves as f64 / MB / seconds
    );
    Ok(())
}
