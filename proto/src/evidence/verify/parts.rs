//! Reads the leaves, part by part, on a few threads.

use std::io::{BufRead, BufReader, Read, Seek};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use super::checks::{Checks, chain};
use super::{LEAVES_BYTES_MAX, LEAVES_MAX};
use crate::evidence::read::Sealed;
use crate::evidence::{Bundle, Check, Entry, EntryFault, Manifest, PART_LEAVES};
use crate::ledger::edge::root_of;
use crate::ledger::tile::WIDTH;
use crate::ledger::{Hash, LEAF_BYTES_MAX, Leaf};
use crate::text;
use crate::text::Text;

/// Threads at most: more gain nothing, since one stage takes all leaves in order.
const THREADS_MAX: usize = 4;

/// What is read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A part that was read.
pub(super) struct Part {
    /// The index of its first leaf.
    pub(super) first: u64,
    /// The hash of each leaf.
    pub(super) hashes: Vec<Hash>,
    /// The roots over each full 256 of them.
    pub(super) blocks: Vec<Hash>,
    /// The leaves, up to the first that can't be read.
    pub(super) leaves: Vec<Leaf>,
    /// The first leaf that can't be read, or stands elsewhere than it says.
    pub(super) bad: Option<Text>,
    /// What is wrong with the entry.
    entry: Option<EntryFault>,
    /// Its leaves can't be told from one another, or are too few or too many.
    torn: Option<Text>,
}

/// A part that is to be read.
struct Job {
    sealed: Sealed,
    first: u64,
    end: u64,
}

/// Reads all parts in order; says whether all leaves are there.
pub(super) fn read<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    manifest: &Manifest,
    checks: &mut Checks,
    mut take: impl FnMut(Part, &mut Checks),
) -> bool {
    let Expected { parts, others } = match expected(bundle, manifest, checks) {
        Ok(expected) => expected,
        Err(others) => {
            through(bundle, others, checks);
            return false;
        }
    };
    let count = thread::available_parallelism().map_or(1, usize::from);
    let count = count.min(THREADS_MAX).min(parts.len().max(1));
    let (is_whole, rest) = thread::scope(|scope| {
        let workers: Vec<Worker> = (0..count)
            .map(|_| {
                let (jobs, todo) = sync_channel::<Job>(1);
                let (done, results) = sync_channel::<Part>(1);
                scope.spawn(move || work(&todo, &done));
                Worker { jobs, results }
            })
            .collect();
        let mut is_whole = true;
        let mut pending = parts.into_iter();
        let mut sent = 0_usize;
        let mut taken = 0_usize;
        let mut ready: Option<Part> = None;
        loop {
            // As many parts are under way as there are threads, while one is being taken in.
            while is_whole && sent < taken + count {
                let Some((first, end)) = pending.next() else {
                    break;
                };
                match bundle.sealed(&Entry::Leaves(first).to_string()) {
                    Ok(sealed) => {
                        let worker = workers.get(sent % count);
                        let job = Job { sealed, first, end };
                        is_whole &= worker.is_some_and(|worker| worker.jobs.send(job).is_ok());
                        sent += 1;
                    }
                    Err(error) => {
                        let why = chain(&error);
                        checks.fail(Check::Bundle, || text!("entry {why}", "条目 {why}"));
                        missing(first, end, checks);
                        is_whole = false;
                    }
                }
            }
            if let Some(part) = ready.take() {
                take(part, checks);
            }
            if taken == sent {
                return (is_whole, pending);
            }
            let part = workers
                .get(taken % count)
                .map(|worker| worker.results.recv());
            taken += 1;
            let Some(Ok(mut part)) = part else {
                return (false, pending);
            };
            // Leaves behind one that is missing have no place.
            let was_whole = is_whole;
            is_whole &= tell(&mut part, checks);
            ready = Some(part).filter(|part| was_whole && part.torn.is_none());
        }
    });
    let rest = rest.map(|(first, _)| first);
    through(bundle, others.into_iter().chain(rest), checks);
    is_whole
}

/// Compares parts whose leaves have no place with the manifest, and nothing else.
fn through<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    parts: impl IntoIterator<Item = u64>,
    checks: &mut Checks,
) {
    for first in parts {
        checks.digest(bundle, &Entry::Leaves(first));
    }
}

struct Worker {
    jobs: SyncSender<Job>,
    results: Receiver<Part>,
}

fn work(todo: &Receiver<Job>, done: &SyncSender<Part>) {
    for job in todo {
        if done.send(open(&job)).is_err() {
            break;
        }
    }
}

fn missing(first: u64, end: u64, checks: &mut Checks) {
    let last = end.saturating_sub(1);
    checks.fail(Check::Leaves, || {
        text!(
            "leaves {first} to {last} are missing",
            "缺少第 {first} 至 {last} 条记录"
        )
    });
}

/// What is wrong with a part as a whole; whether its leaves can be told from one another.
fn tell(part: &mut Part, checks: &mut Checks) -> bool {
    let path = Entry::Leaves(part.first);
    if let Some(fault) = part.entry.take() {
        let why = chain(&fault);
        checks.fail(Check::Bundle, || {
            text!("entry {path}: {why}", "条目 {path}：{why}")
        });
    }
    if let Some(torn) = &part.torn {
        checks.fail(Check::Leaves, || torn.clone());
    }
    part.torn.is_none()
}

/// The parts of a bundle.
struct Expected {
    /// Those that must be there, each from and to which leaf.
    parts: Vec<(u64, u64)>,
    /// Others that are there, by their first leaf.
    others: Vec<u64>,
}

/// The parts that must be there; all that are, where one is missing.
fn expected<R: Read + Seek>(
    bundle: &Bundle<R>,
    manifest: &Manifest,
    checks: &mut Checks,
) -> Result<Expected, Vec<u64>> {
    let mut parts = Vec::new();
    let mut first = manifest.first;
    while first < manifest.end {
        let next = (first / PART_LEAVES + 1) * PART_LEAVES;
        let end = next.min(manifest.end);
        parts.push((first, end));
        first = end;
    }
    let mut bytes: u64 = 0;
    let mut is_whole = true;
    let (mut all, mut others) = (Vec::new(), Vec::new());
    for path in bundle.paths() {
        let Some(Entry::Leaves(at)) = Entry::from_path(path) else {
            continue;
        };
        all.push(at);
        bytes = bytes.saturating_add(bundle.file(path).map_or(0, |file| file.bytes));
        if parts
            .binary_search_by_key(&at, |(first, _)| *first)
            .is_err()
        {
            others.push(at);
            checks.fail(Check::Leaves, || {
                text!(
                    "entry {path}: no part of these leaves begins there",
                    "条目 {path}：没有分段从这里开始"
                )
            });
        }
    }
    for (first, end) in &parts {
        if !bundle.has(&Entry::Leaves(*first).to_string()) {
            missing(*first, *end, checks);
            is_whole = false;
        }
    }
    if bytes > LEAVES_BYTES_MAX {
        checks.fail(Check::Bundle, || {
            text!(
                "the leaves have {bytes} bytes, of {LEAVES_BYTES_MAX} at most",
                "记录共 {bytes} 字节，上限 {LEAVES_BYTES_MAX}"
            )
        });
        // Nobody reads so much.
        return Err(Vec::new());
    }
    match is_whole {
        true => Ok(Expected { parts, others }),
        false => Err(all),
    }
}

/// Counts and hashes what is read through it.
struct Watched<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    is_bad: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer);
        self.is_bad |= read.is_err();
        let count = *read.as_ref().unwrap_or(&0);
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        read
    }
}

fn open(job: &Job) -> Part {
    let count = usize::try_from((job.end - job.first).min(LEAVES_MAX)).unwrap_or(0);
    let mut part = Part {
        first: job.first,
        hashes: Vec::with_capacity(count.min(1 << 14)),
        blocks: Vec::new(),
        leaves: Vec::with_capacity(count.min(1 << 14)),
        bad: None,
        entry: None,
        torn: None,
    };
    let watched = Watched {
        inner: job.sealed.reader(),
        hash: Sha256::new(),
        bytes: 0,
        is_bad: false,
    };
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, watched);
    let mut line = Vec::with_capacity(LEAF_BYTES_MAX + 1);
    for index in job.first..job.end {
        line.clear();
        let room = LEAF_BYTES_MAX as u64 + 1;
        let read = reader.by_ref().take(room).read_until(b'\n', &mut line);
        let Some(leaf) = line.strip_suffix(b"\n").filter(|_| read.is_ok()) else {
            part.torn = Some(match line.len() > LEAF_BYTES_MAX {
                true => text!(
                    "leaf {index} has more than {LEAF_BYTES_MAX} bytes",
                    "第 {index} 条记录超过 {LEAF_BYTES_MAX} 字节"
                ),
                false => text!(
                    "leaf {index} is missing: its part breaks off",
                    "缺少第 {index} 条记录：分段在这里中断"
                ),
            });
            break;
        };
        part.hashes.push(Hash::of_leaf(leaf));
        part.read(index, leaf);
    }
    part.end(reader, job);
    part
}

impl Part {
    fn read(&mut self, index: u64, bytes: &[u8]) {
        if self.bad.is_some() {
            return;
        }
        match Leaf::from_bytes(bytes) {
            Ok(leaf) if leaf.head.index == index => self.leaves.push(leaf),
            Ok(leaf) => {
                let says = leaf.head.index;
                self.bad = Some(text!(
                    "leaf {index} says that it is leaf {says}: a leaf is missing, or their order was changed",
                    "第 {index} 条记录自称是第 {says} 条：有记录缺失，或者顺序被改动"
                ));
            }
            Err(error) => {
                let why = chain(&error);
                self.bad = Some(text!("leaf {index}: {why}", "第 {index} 条记录：{why}"));
            }
        }
    }

    /// What follows the last leaf, and whether the entry is what the manifest says.
    fn end(&mut self, mut reader: BufReader<Watched<Box<dyn Read + '_>>>, job: &Job) {
        let (end, mut rest) = (job.end, [0; 1]);
        if self.torn.is_none() && reader.read(&mut rest).is_ok_and(|count| count > 0) {
            self.torn = Some(text!(
                "something follows leaf {}, the last of its part",
                "第 {} 条记录是分段的最后一条，后面却还有内容",
                end.saturating_sub(1)
            ));
        }
        let drained = std::io::copy(&mut reader, &mut std::io::sink());
        let watched = reader.into_inner();
        let is_bad = watched.is_bad || drained.is_err();
        self.entry = job
            .sealed
            .compare(is_bad, watched.bytes, &watched.hash.finalize());
        let width = usize::try_from(WIDTH).unwrap_or(256);
        self.blocks = self.hashes.chunks_exact(width).map(root_of).collect();
    }
}
