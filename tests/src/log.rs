//! A ledger that the real code writes, whose every leaf is known beforehand by its index; a writer that may be killed
//! at any moment, and the judgement of what it left.

use anyhow::{Context, Result, ensure};
use lineside::clock::Stamp;
use lineside::ledger::{Ledger, LedgerError};
use lineside::record::Entry;
use lineside_proto::Time;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::{
    Checkpoint, Correction, Hash, Leaf, LeafBody, LeafHead, tree, verify,
};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait;

/// The ledger's origin.
pub const ORIGIN: &str = "lineside/site/gw";
/// The boot that every leaf names.
const BOOT: &str = "00000000-0000-4000-8000-000000000000";
const START_MS: i64 = 1_795_420_800_000;
/// How long somebody else may hold the ledger.
const HELD_MAX: Duration = Duration::from_secs(10);
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// A gateway's directories below one: `state/ledger` and `keys`.
#[derive(Clone, Debug)]
pub struct Gateway {
    dir: PathBuf,
}

impl Gateway {
    /// The gateway in a directory, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Its key.
    pub fn key(&self) -> PathBuf {
        self.dir.join("keys/ledger.key")
    }

    /// The ledger's static files.
    pub fn files(&self) -> PathBuf {
        self.state().join("ledger")
    }

    /// Opens the ledger, which must be fit to be signed. A process that another test is about to start keeps
    /// the locks of this one for a moment.
    ///
    /// # Errors
    ///
    /// When it can't be opened, or is suspended.
    pub fn open(&self) -> Result<Ledger> {
        let ledger = wait::until("the ledger's locks", HELD_MAX, || {
            match Ledger::open(&self.state(), &self.key(), ORIGIN) {
                Ok((ledger, _)) => Ok(Some(ledger)),
                Err(LedgerError::Held { .. } | LedgerError::KeyHeld { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        ensure!(
            ledger.suspended().is_none(),
            "suspended: {:?}",
            ledger.suspended()
        );
        Ok(ledger)
    }

    /// Gives another gateway the same key, but not the record of what it signed.
    ///
    /// # Errors
    ///
    /// When the files can't be copied.
    pub fn lend_key(&self, other: &Self) -> Result<()> {
        let key = other.key();
        let mut dir = fs::DirBuilder::new();
        dir.recursive(true).mode(0o700);
        dir.create(key.parent().context("a folder")?)?;
        fs::copy(self.key(), key)?;
        Ok(())
    }
}

/// The fact that becomes the leaf of an index; a leaf has about 350 bytes.
pub fn entry(index: u64, history: &str) -> Entry {
    let at = Stamp {
        boot_ms: index,
        wall: Time::from_millis(START_MS + i64::try_from(index).unwrap_or(0) * 10),
    };
    let word = format!("{history} {index} ");
    let length = 120 + usize::try_from(index % 97).unwrap_or(0);
    let body = LeafBody::Correction(Correction {
        refers: index,
        reason: word.repeat(length / word.len() + 1),
        by: "li".to_owned(),
    });
    Entry { at, body }
}

/// The bytes of the leaf of an index.
///
/// # Errors
///
/// Never: every such leaf is one.
pub fn leaf(index: u64, history: &str) -> Result<Vec<u8>> {
    let Entry { at, body } = entry(index, history);
    let head = LeafHead {
        v: 1,
        index,
        at: at.wall,
        boot: BOOT.to_owned(),
        mono_ms: at.boot_ms,
    };
    Ok(Leaf { head, body }.to_bytes()?)
}

/// Appends so many leaves, in batches.
///
/// # Errors
///
/// When the ledger refuses.
pub fn grow(ledger: &Ledger, count: u64, batch: u64, history: &str) -> Result<()> {
    let end = ledger.size() + count;
    while ledger.size() < end {
        let from = ledger.size();
        let to = end.min(from + batch);
        let entries: Vec<Entry> = (from..to).map(|index| entry(index, history)).collect();
        ensure!(ledger.append(BOOT, &entries)? == (from..to));
    }
    Ok(())
}

/// The newest note.
///
/// # Errors
///
/// When nothing was signed yet.
pub fn note(ledger: &Ledger) -> Result<String> {
    let note = ledger.checkpoint().borrow().clone();
    Ok(note.context("nothing was signed")?.to_string())
}

/// Every leaf of a ledger from an index on.
///
/// # Errors
///
/// When it can't be read.
pub fn leaves(ledger: &Ledger, from: u64) -> Result<Vec<Vec<u8>>> {
    let (mut all, mut next) = (Vec::new(), from);
    while next < ledger.size() {
        for (index, leaf) in ledger.read(next, READ_BYTES)? {
            ensure!(index == next, "leaf {index} came where {next} was wanted");
            all.push(leaf);
            next += 1;
        }
    }
    Ok(all)
}

/// How a writer ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It wrote as many leaves as it was told.
    Done,
    /// The disk is full.
    Full,
}

/// Appends batches, the first a small one, and signs now and then, until it is killed, the disk is full or it has written
/// `count` leaves.
/// Prints, after each append, `D` and how many leaves are durable; after each signature, `S` and the note as JSON.
///
/// # Errors
///
/// When the ledger refuses for another reason than a full disk.
pub fn write(dir: &Path, seed: u64, count: u64, output: &mut impl Write) -> Result<End> {
    let mut random = fastrand::Rng::with_seed(seed);
    let ended = |error: anyhow::Error| match error.downcast_ref() {
        Some(error) if LedgerError::is_full(error) => Ok(End::Full),
        Some(_) | None => Err(error),
    };
    let ledger = match Gateway::new(dir).open() {
        Ok(ledger) => ledger,
        Err(error) => return ended(error),
    };
    let begin = ledger.size();
    let end = begin.saturating_add(count);
    while ledger.size() < end {
        let is_large = random.u8(..) < 8 && ledger.size() > begin;
        let most = if is_large { 600 } else { 20 };
        let batch = random.u64(1..=most).min(end - ledger.size());
        if let Err(error) = grow(&ledger, batch, batch, "") {
            return ended(error);
        }
        writeln!(output, "D {}", ledger.size())?;
        if random.u8(..) < 90 || ledger.size() == end {
            match ledger.sign() {
                Ok(_) => writeln!(output, "S {}", serde_json::to_string(&note(&ledger)?)?)?,
                Err(error) => return ended(error.into()),
            }
        }
    }
    Ok(End::Done)
}

/// What writers said.
#[derive(Clone, Default, Debug)]
pub struct Said {
    /// Leaves that were durable.
    pub durable: u64,
    /// The notes that were published, by their size.
    pub notes: BTreeMap<u64, String>,
}

impl Said {
    /// Reads what writers printed; the last line of one that was killed may be torn.
    ///
    /// # Errors
    ///
    /// When a line is none of a writer's, or one size was signed with two roots.
    pub fn parse(text: &str) -> Result<Self> {
        let mut said = Self::default();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            match line.trim_end().split_once(' ') {
                Some(("D", size)) => said.durable = said.durable.max(size.parse()?),
                Some(("S", note)) => {
                    let note: String = serde_json::from_str(note)?;
                    let head = head(&note)?;
                    let other = said.notes.insert(head.size, note);
                    let same = other.map(|other| self::head(&other)).transpose()?;
                    ensure!(
                        same.is_none_or(|same| same == head),
                        "two heads of {} leaves were signed",
                        head.size
                    );
                }
                Some(_) | None => anyhow::bail!("no writer says {line:?}"),
            }
        }
        Ok(said)
    }
}

/// What a note says, whoever signed it.
///
/// # Errors
///
/// When it is no checkpoint.
pub fn head(note: &str) -> Result<Checkpoint> {
    Ok(Checkpoint::parse(&Note::parse(note)?.text)?)
}

/// Judges a ledger by what its writers said: everything durable is there as it was written, every published head
/// is one of it and signed by its key, and each pair of them is consistent. Gives leaves and pairs.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn judge(dir: &Path, said: &Said) -> Result<(u64, u64)> {
    let ledger = Gateway::new(dir).open()?;
    let all = leaves(&ledger, 0)?;
    let size = ledger.size();
    ensure!(
        size >= said.durable,
        "{} leaves were durable, there are {size}",
        said.durable
    );
    let mut nodes = HashMap::new();
    let mut range = tree::Range::default();
    for (index, bytes) in (0..).zip(&all) {
        ensure!(*bytes == leaf(index, "")?, "leaf {index} is another one");
        range.push(Hash::of_leaf(bytes), |level, index, hash| {
            nodes.insert((level, index), hash);
        });
    }
    ensure!((size, range.root()) == ledger.head(), "another root");
    let node = |level, index| nodes.get(&(level, index)).copied().context("a node");
    let mut heads = Vec::new();
    for note in said.notes.values() {
        let head = verify::checkpoint(note, &ledger.keys(), ORIGIN)?;
        ensure!(head.size <= size, "{} were signed of {size}", head.size);
        ensure!(
            ledger.root_at(head.size)? == head.root,
            "the first {} leaves are not those that were signed",
            head.size
        );
        heads.push(head);
    }
    let mut pairs = 0;
    for (place, new) in heads.iter().enumerate() {
        for old in heads.iter().take(place) {
            let proof = tree::consistency(old.size, new.size, node)?;
            tree::check_consistency(old.size, new.size, &proof, old.root, new.root)?;
            // Some from the disk too.
            if pairs % 97 == 0 {
                ensure!(proof == ledger.consistency(old.size, new.size)?);
            }
            pairs += 1;
        }
    }
    Ok((size, pairs))
}

/// Copies a folder.
///
/// # Errors
///
/// When a file can't be copied.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
