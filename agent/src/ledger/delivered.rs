//! The delivered mark: how much of the ledger the city has, and what that was.
//!
//! The record (two-slot): the mark as eight bytes, little-endian, and the root over the leaves below it; the root is
//! what shows, at any later start, that these leaves are still those that were sent.

use std::io;
use std::path::{Path, PathBuf};

use lineside_proto::ledger::Hash;

use super::LedgerError;
use crate::slots::Slots;

/// The mark, in memory and on disk.
#[derive(Debug)]
pub(super) struct Delivered {
    path: PathBuf,
    slots: Slots,
    mark: u64,
    noted: u64,
    root: Option<Hash>,
}

impl Delivered {
    /// Opens the mark of a ledger's directory.
    pub(super) fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("delivered");
        let slots = Slots::open(&path).map_err(LedgerError::disk(&path))?;
        let record = slots.read().unwrap_or_default();
        let (mark, root) = record.split_first_chunk::<8>().unzip();
        let mark = mark.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Self {
            path,
            slots,
            mark,
            noted: mark,
            root: root.and_then(|root| root.try_into().ok().map(Hash)),
        })
    }

    /// Every leaf below it has reached the city.
    pub(super) fn mark(&self) -> u64 {
        self.mark
    }

    /// What the record said when it was opened: the mark and the root over the leaves below it.
    pub(super) fn recorded(&self) -> (u64, Option<Hash>) {
        (self.noted, self.root)
    }

    /// Moves the mark forward, in memory.
    pub(super) fn advance(&mut self, mark: u64) {
        self.mark = self.mark.max(mark);
    }

    /// The mark, if it is further than its record.
    pub(super) fn unnoted(&self) -> Option<u64> {
        (self.mark > self.noted).then_some(self.mark)
    }

    /// Makes a mark durable, with the root over the leaves below it.
    pub(super) fn note(&mut self, mark: u64, root: Hash) -> Result<(), LedgerError> {
        if mark <= self.noted {
            return Ok(());
        }
        let record = [&mark.to_le_bytes()[..], &root.0].concat();
        let written: io::Result<()> = self.slots.write(&record);
        written.map_err(LedgerError::disk(&self.path))?;
        (self.noted, self.root) = (mark, Some(root));
        Ok(())
    }
}
