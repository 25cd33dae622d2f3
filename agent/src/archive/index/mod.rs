//! The index: what the verified leaves of all logs say, as tables to be asked.
//!
//! ```text
//! Shelf ─► Indexer: parts of a log ─► Fold: leaves → rows ─► Store: rows and cursor, one transaction
//!                                                              │ Embedded (SQLite) · Postgres
//! HTTP API ─► Index: Select → Page ────────────────────────────┘
//! ```
//!
//! Everything in it comes from the tiles and can be made anew from them; nothing rests on it. Each batch of leaves is
//! written together with how far the log has come (its size, and the root over so many leaves), so that a crash
//! anywhere leaves no leaf out and takes none twice. A log whose root is another one at that size is made anew.
//! `schema.sql` is the one text of the tables, for both stores; it tells what each column means. What is asked waits
//! for the disk or the server: tasks of a runtime ask on a thread that may.

mod check;
mod embedded;
mod fold;
mod indexer;
pub mod model;
mod page;
mod postgres;
mod query;
mod reach;
mod records;
mod schema;
mod sql;
mod tables;
#[cfg(test)]
mod tests;
mod wanted;
mod write;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::Place;
use crate::ledger::LedgerError;
use crate::text::Text;
use embedded::Embedded;
use postgres::Postgres;
use sql::Store;

pub use check::{Checked, Difference, check, rebuild};
pub use indexer::{Indexer, Round};
pub use schema::{SCHEMA, documentation};
pub use wanted::{Waits, Wanted};
pub use write::Cursor;

/// The file in an archive's directory that the process holds which writes the index.
pub const LOCK: &str = "index.lock";

/// The embedded index, below the archive's directory.
const FILE: &str = "index.sqlite";

/// The index of an archive.
pub struct Index {
    store: Arc<dyn Store>,
    /// The archive that it must be of; whoever's it is, as long as nobody said.
    owner: Arc<OnceLock<String>>,
    /// Who waits for what is read, where somebody said.
    wanted: Option<Wanted>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// The index in the archive's directory: `index.sqlite`. One that is damaged is put away and begun anew.
    ///
    /// # Errors
    ///
    /// The file can't be used.
    pub fn embedded(dir: &Path) -> Result<Self, IndexError> {
        let store = Embedded::open(&dir.join(FILE))?;
        Ok(Self::of(store))
    }

    /// Whether an archive's directory has an index.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// Gives the index in a directory to the directory's owner: whoever made it may be another, and that one must write it.
    ///
    /// # Errors
    ///
    /// That is not allowed.
    pub fn give(dir: &Path) -> io::Result<()> {
        let owner = fs::metadata(dir)?;
        for end in ["", "-wal", "-shm"] {
            let path = dir.join(format!("{FILE}{end}"));
            match fs::metadata(&path) {
                Ok(about) if (about.uid(), about.gid()) != (owner.uid(), owner.gid()) => {
                    chown(&path, Some(owner.uid()), Some(owner.gid()))?;
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The index in a PostgreSQL server: `postgres://user:password@host/database`, or `host=/run/postgresql dbname=city`.
    /// It is reached when it is needed, so that a server that is away delays nothing. There is no TLS: the way is a
    /// Unix socket or a network that nobody else is on.
    ///
    /// # Errors
    ///
    /// [`IndexError::Asked`]: no such address can be.
    pub fn postgres(url: &str) -> Result<Self, IndexError> {
        Ok(Self::of(Postgres::of(url)?))
    }

    /// An index of its own, which goes with it: on disk once it is large.
    fn temporary() -> Result<Self, IndexError> {
        Ok(Self::of(Embedded::temporary()?))
    }

    fn of(store: impl Store + 'static) -> Self {
        Self {
            store: Arc::new(store),
            owner: Arc::default(),
            wanted: None,
        }
    }

    /// The same, asked by somebody who waits so long: what is asked of this one is [`IndexError::Slow`] as soon as
    /// nobody waits for it any more, or its time is over.
    #[must_use]
    pub fn wanted(&self, wanted: &Wanted) -> Self {
        Self {
            store: Arc::clone(&self.store),
            owner: Arc::clone(&self.owner),
            wanted: Some(wanted.clone()),
        }
    }
}

/// Why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// What was asked can't be answered: ask otherwise.
    #[error("{0}")]
    Asked(Text),
    /// What is said to be the store's address is none: a person must correct it.
    #[error("{0}")]
    Address(Text),
    /// The store can't be reached now: try again later.
    #[error("the index is away: {0}")]
    Away(String),
    /// An answer would have taken too long: ask for less. Or nobody waits for it any more.
    #[error("the answer takes too long: ask for a shorter period, or for fewer machines")]
    Slow,
    /// Somebody else has written the log: read its cursor again.
    #[error("somebody else writes this log's index")]
    Moved,
    /// The store refuses: somebody must look at it. What it has stays as it is.
    #[error("the index refuses: {0}")]
    Refused(String),
    /// What the index holds is none of ours: make it anew.
    #[error("the index is damaged ({0}): `lineside archive index --rebuild` makes it anew")]
    Odd(&'static str),
    /// A later program made the index: use that one, or make the index anew.
    #[error("the index was made by a later version (tables {0})")]
    Later(String),
    /// Another archive writes it: give each its own.
    #[error(
        "the index is that of another archive ({0}): give each a database of its own; where that archive is no more, \
         remove its index first (`DROP SCHEMA lineside CASCADE`, or the files `index.sqlite*`)"
    )]
    Foreign(String),
    /// A log can't be read.
    #[error("log {place}")]
    Log {
        /// Which.
        place: Place,
        /// Why.
        source: LedgerError,
    },
    /// A leaf in a log's bundles is not the one in its tree.
    #[error("log {place}: leaf {leaf} is not the one in the tree")]
    Leaf {
        /// Which log.
        place: Place,
        /// Which leaf.
        leaf: u64,
    },
    /// The archive's directory can't be read.
    #[error("the archive's directory can't be read")]
    Shelf(#[from] io::Error),
}
