//! The bundle reader and every decoder of `proto` under fire: the corpus that is kept, and for a bounded time what is
//! made of it. `coverage.sh` looks further, by hand. `LINESIDE_FUZZ_SECONDS` and `LINESIDE_FUZZ_SEED` choose another
//! run; what breaks a target is written below the temporary folder and named.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "what panics here is what is looked for"
)]

mod mutate;
mod targets;

use fastrand::Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::{BYTES_MAX, mutate};
use targets::{TARGETS, Target};

/// Seconds of the run that makes inputs, in all.
const SECONDS: u64 = 25;

/// Bytes of the whole corpus at most, so that the tree stays small.
const CORPUS_BYTES_MAX: usize = 4 << 20;

/// One input may take so long, on a slow machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Memory at most, whatever comes: kilobytes.
const MEMORY_KB_MAX: u64 = 400 << 10;

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target.name);
    let files = fs::read_dir(&dir).expect("a corpus of the target's name");
    let mut files: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
}

/// Runs an input, and says where it is if it breaks the target.
fn run(target: &Target, bytes: &[u8], of: &str) {
    let begun = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let took = begun.elapsed();
    let holds = ended.is_ok() && took <= PATIENCE;
    let path = std::env::temp_dir().join(format!("lineside-fuzz-{}-{of}", target.name));
    if !holds {
        fs::write(&path, bytes).unwrap();
    }
    assert!(
        holds,
        "{} after {took:?}: the input is {}",
        target.name,
        path.display()
    );
}

/// The most memory that this process ever had, in kilobytes.
fn memory_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_kept_breaks_nothing() {
    let mut bytes_all = 0;
    for target in TARGETS {
        for (path, bytes) in corpus(target) {
            assert!(bytes.len() <= BYTES_MAX, "{} is too long", path.display());
            bytes_all += bytes.len();
            run(target, &bytes, "kept");
        }
    }
    assert!(bytes_all <= CORPUS_BYTES_MAX, "{bytes_all}");
    assert!(memory_kb() <= MEMORY_KB_MAX, "{} KB", memory_kb());
}

#[test]
fn whatever_comes_breaks_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("LINESIDE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let seconds = number("LINESIDE_FUZZ_SECONDS").unwrap_or(SECONDS);
    println!("LINESIDE_FUZZ_SEED={seed}");
    let each = Duration::from_secs(seconds) / u32::try_from(TARGETS.len()).unwrap();
    for target in TARGETS {
        let corpus = corpus(target);
        let mut rng = Rng::with_seed(seed);
        let begun = Instant::now();
        let mut count = 0;
        while begun.elapsed() < each {
            let (_, one) = &corpus[rng.usize(..corpus.len())];
            let (_, other) = &corpus[rng.usize(..corpus.len())];
            run(target, &mutate(one, other, &mut rng), &seed.to_string());
            count += 1;
        }
        println!("{}: {count} inputs", target.name);
        assert!(count > 0, "{}", target.name);
    }
    assert!(memory_kb() <= MEMORY_KB_MAX, "{} KB", memory_kb());
}
