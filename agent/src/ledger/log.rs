//! The log on disk: leaves into the journal, full bundles and tiles out of it, nodes and leaves back.
//!
//! Nothing is signed here; [`Ledger`](super::Ledger) does that. Order of an append: journal durable, then
//! memory, then, where a bundle is full, its tiles and itself durable, then the journal begins anew.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::tile::{HEIGHT, Kind, LEVELS_MAX, Tile, WIDTH, put_entry};
use lineside_proto::ledger::tree::{Hash, Range};

use super::LedgerError;
use super::disk;
use super::journal::{self, Journal};
use super::tiles::{self, Taken, Tiles, take_tail};

/// Leaves of a bundle, and of one write to the journal at most: so that a journal's length is bounded whatever
/// is appended at once.
const BUNDLE_LEAVES: usize = 256;

/// A log in a directory.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    range: Range,
    tiles: Tiles,
    journal: Journal,
    /// The leaves from the last full bundle on.
    tail: Vec<Vec<u8>>,
    /// A write failed: what is in memory may not be what is on disk.
    broken: bool,
    _lock: File,
}

impl Log {
    /// Opens the log of a directory, or begins one. Whatever was reported durable is there.
    pub(super) fn open(dir: &Path) -> Result<Self, LedgerError> {
        disk::make_dirs(dir).map_err(LedgerError::disk(dir))?;
        let lock = lock(dir)?;
        journal::tidy(dir);
        let (journal, first, leaves) = Journal::open(dir)?;
        if first % WIDTH != 0 {
            let path = dir.join("journal");
            return Err(LedgerError::damaged(
                path,
                "it does not begin at a full bundle",
            ));
        }
        settle(dir, first).map_err(LedgerError::disk(dir))?;
        let tiles = Tiles::open(dir, first)?;
        let range = Range::from_parts(first, tiles.peaks(first)?)
            .ok_or_else(|| LedgerError::damaged(dir, "its tiles are not those of its size"))?;
        let mut log = Self {
            dir: dir.to_owned(),
            range,
            tiles,
            journal,
            tail: Vec::new(),
            broken: false,
            _lock: lock,
        };
        log.take_in(leaves)?;
        Ok(log)
    }

    /// Whether its journal was ever damaged within, and durable leaves were lost.
    pub(super) fn has_lost(&self) -> bool {
        self.dir.join(journal::LOST).exists()
    }

    /// Leaves, all of them durable.
    pub(super) fn size(&self) -> u64 {
        self.range.size()
    }

    /// The root over them.
    pub(super) fn root(&self) -> Hash {
        self.range.root()
    }

    /// Appends leaves; durable on return. After an error nothing more is taken: whether it is on disk only
    /// opening the log anew can tell.
    pub(super) fn append(&mut self, leaves: Vec<Vec<u8>>) -> Result<(), LedgerError> {
        if self.broken {
            return Err(LedgerError::Broken);
        }
        self.broken = true;
        let mut leaves = leaves.into_iter();
        loop {
            let part: Vec<_> = leaves.by_ref().take(BUNDLE_LEAVES).collect();
            if part.is_empty() {
                break;
            }
            self.journal.append(self.range.size(), &part)?;
            self.take_in(part)?;
        }
        self.broken = false;
        Ok(())
    }

    /// Takes leaves of the journal into memory, and full bundles out of it.
    fn take_in(&mut self, leaves: Vec<Vec<u8>>) -> Result<(), LedgerError> {
        let mut is_rolled = false;
        for leaf in leaves {
            let hash = Hash::of_leaf(&leaf);
            self.range.push(hash, |_, _, _| {});
            self.tail.push(leaf);
            for (tile, bytes) in self.tiles.push(hash) {
                tiles::put(&self.dir, tile, &bytes)?;
            }
            if self.tail.len() as u64 == WIDTH {
                let tile = Tile {
                    kind: Kind::Entries,
                    index: self.range.size() / WIDTH - 1,
                    width: WIDTH,
                };
                tiles::put(&self.dir, tile, &self.bundle()?)?;
                self.tail.clear();
                is_rolled = true;
            }
        }
        if is_rolled {
            let first = self.range.size() / WIDTH * WIDTH;
            self.journal = Journal::create(&self.dir, first, &self.tail)?;
        }
        Ok(())
    }

    fn bundle(&self) -> Result<Vec<u8>, LedgerError> {
        let mut bundle = Vec::new();
        for leaf in &self.tail {
            put_entry(&mut bundle, leaf)
                .map_err(|error| LedgerError::damaged(&self.dir, error.to_string()))?;
        }
        Ok(bundle)
    }

    /// Writes what no full tile or bundle holds yet, as partial ones; durable on return.
    pub(super) fn put_partial(&self) -> Result<(), LedgerError> {
        // What is in memory may be further than what is on disk.
        if self.broken {
            return Err(LedgerError::Broken);
        }
        for (tile, bytes) in self.tiles.partial() {
            tiles::put(&self.dir, tile, &bytes)?;
        }
        if self.tail.is_empty() {
            return Ok(());
        }
        let tile = Tile {
            kind: Kind::Entries,
            index: self.range.size() / WIDTH,
            width: self.tail.len() as u64,
        };
        tiles::put(&self.dir, tile, &self.bundle()?)
    }

    /// Leaves that are in full bundles.
    pub(super) fn bundled(&self) -> u64 {
        self.range.size() / WIDTH * WIDTH
    }

    /// Takes leaves that are in no full bundle yet.
    pub(super) fn take_tail(&self, taken: &mut Taken) {
        take_tail(self.bundled(), &self.tail, taken);
    }

    /// The tree's nodes as they are now: of what comes later they know nothing.
    pub(super) fn tiles(&self) -> Tiles {
        self.tiles.clone()
    }

    /// The root over the first `size` leaves.
    pub(super) fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        self.tiles.root_at(size)
    }
}

/// Makes the folders durable that the next tiles go into: a process that was killed may have made one and not
/// come to that.
fn settle(dir: &Path, size: u64) -> io::Result<()> {
    let kinds = (0..LEVELS_MAX).map(Kind::Hashes).chain([Kind::Entries]);
    for kind in kinds {
        let level = match kind {
            Kind::Hashes(level) => HEIGHT * level,
            Kind::Entries => 0,
        };
        let index = (size >> level) / WIDTH;
        let width = WIDTH;
        let path = PathBuf::from(Tile { kind, index, width }.to_string());
        for folder in path.ancestors().skip(1) {
            let folder = dir.join(folder);
            if folder.is_dir() {
                disk::sync(&folder)?;
            }
        }
    }
    Ok(())
}

/// Takes the directory for this process alone, as long as the file is open.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let held = || LedgerError::Held {
        dir: dir.to_owned(),
    };
    disk::lock(&dir.join("lock"))
        .map_err(LedgerError::disk(dir))?
        .ok_or_else(held)
}
