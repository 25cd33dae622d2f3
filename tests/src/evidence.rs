//! What an archive received of a ledger, and whether it holds.

use anyhow::{Context, Result, ensure};
use lineside_proto::ledger::note::VerifierKey;
use lineside_proto::ledger::{Checkpoint, Leaf, LeafBody, verify};
use lineside_proto::{LeafMessage, SessionDocument};
use std::collections::BTreeMap;

use crate::site::Site;
use crate::subscriber::Message;

/// The leaves, checkpoints and session documents that came in.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The leaves by index, as their exact bytes.
    pub leaves: BTreeMap<u64, String>,
    /// The signed notes, in the order in which they came.
    pub notes: Vec<String>,
    /// The session documents, in the order in which they came.
    pub sessions: Vec<SessionDocument>,
}

impl Evidence {
    /// Takes in what an archive received.
    ///
    /// # Errors
    ///
    /// A message can't be read, leaves came out of order, two leaves have one index, or a checkpoint came
    /// before its leaves.
    pub fn of(messages: &[&Message]) -> Result<Self> {
        let mut evidence = Self::default();
        for message in messages
            .iter()
            .filter(|message| !message.payload.is_empty())
        {
            evidence.take(message)?;
        }
        Ok(evidence)
    }

    fn take(&mut self, message: &Message) -> Result<()> {
        if message.topic == Site::topic("ledger/leaf") {
            let said: LeafMessage = serde_json::from_str(&message.payload)?;
            let next = self.leaves.len() as u64;
            ensure!(
                said.index <= next,
                "leaf {} came before leaf {next}",
                said.index
            );
            let known = self.leaves.entry(said.index).or_insert(said.leaf.clone());
            ensure!(
                *known == said.leaf,
                "leaf {} came twice, differently",
                said.index
            );
        } else if message.topic == Site::topic("ledger/checkpoint") {
            let size = message
                .payload
                .lines()
                .nth(1)
                .context("a checkpoint has a size")?;
            let size: u64 = size.parse()?;
            let known = self.leaves.len() as u64;
            ensure!(
                size <= known,
                "a checkpoint of {size} leaves after {known} of them"
            );
            let kind = message.content_type.as_deref();
            ensure!(kind == Some("text/plain"), "content type {kind:?}");
            self.notes.push(message.payload.clone());
        } else if message.topic.starts_with(&Site::topic("sessions/")) {
            let said: SessionDocument = serde_json::from_str(&message.payload)?;
            if self.sessions.iter().all(|known| known.index != said.index) {
                self.sessions.push(said);
            }
        }
        Ok(())
    }

    /// Checks every checkpoint against the leaves, by these keys.
    ///
    /// # Errors
    ///
    /// Anything does not hold.
    pub fn verify(&self, keys: &[VerifierKey], origin: &str) -> Result<Vec<Checkpoint>> {
        let mut seen: Vec<Checkpoint> = Vec::new();
        for note in &self.notes {
            let leaves = self.leaves.values().map(String::as_bytes);
            let head = verify::log(leaves, note, keys, origin, &seen)?;
            seen.push(head);
        }
        Ok(seen)
    }

    /// The leaves, read.
    ///
    /// # Errors
    ///
    /// One can't be.
    pub fn facts(&self) -> Result<Vec<Leaf>> {
        let leaf = |text: &String| Leaf::from_bytes(text.as_bytes()).with_context(|| text.clone());
        self.leaves.values().map(leaf).collect()
    }

    /// How many leaves are of a kind.
    ///
    /// # Errors
    ///
    /// A leaf can't be read.
    pub fn count(&self, is_one: impl Fn(&LeafBody) -> bool) -> Result<usize> {
        Ok(self
            .facts()?
            .iter()
            .filter(|leaf| is_one(&leaf.body))
            .count())
    }
}
