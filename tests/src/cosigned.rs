//! What witnesses said over time, and the judgement of it: nothing was ever cosigned twice differently, each head
//! continues those before it, and what was cosigned is in the archive.

use anyhow::{Context, Result, ensure};
use lineside_proto::Time;
use lineside_proto::ledger::note::{KeyKind, Note, VerifierKey};
use lineside_proto::ledger::tree::{self, Range as Tree};
use lineside_proto::ledger::{Checkpoint, Hash};
use std::collections::{BTreeMap, HashMap};

use crate::archive::{Files, Place};
use crate::fleet::Fleet;
use crate::subscriber::Message;

/// A head that a witness cosigned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The head.
    pub head: Checkpoint,
    /// When the witness says that it saw it.
    pub at: Time,
    /// The log, as its folder is called: `site/gateway/e1`.
    pub log: String,
}

/// Everything that witnesses said, in the order in which it was heard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cosigned {
    /// All of it.
    pub seen: Vec<Seen>,
    /// Roots by origin and size.
    roots: BTreeMap<(String, u64), Hash>,
}

impl Cosigned {
    /// Reads what was heard on the topics of cosignatures.
    ///
    /// # Errors
    ///
    /// When a message is no note that the witness has signed, or two differ over one size.
    pub fn of(messages: &[&Message], witness: &VerifierKey) -> Result<Self> {
        ensure!(witness.kind() == KeyKind::Cosignature, "{witness}");
        let mut all = Self::default();
        for message in messages {
            let rest = message.topic.strip_prefix("lineside/v1/");
            let rest = rest.and_then(|rest| rest.split_once("/ledger/cosignature"));
            let (gateway, below) = rest.with_context(|| message.topic.clone())?;
            let [a, b, c, d] = witness.hash();
            let own = format!("/{a:02x}{b:02x}{c:02x}{d:02x}");
            ensure!(below.is_empty() || below == own, "{}", message.topic);
            all.take(gateway, &message.payload, witness)
                .with_context(|| format!("{}\n{}", message.topic, message.payload))?;
        }
        Ok(all)
    }

    fn take(&mut self, gateway: &str, payload: &str, witness: &VerifierKey) -> Result<()> {
        let note = Note::parse(payload)?;
        let keys = [witness.clone()];
        let verified = note.verify(&keys)?;
        let at = verified.iter().find_map(|verified| verified.cosigned);
        let at = at.context("not cosigned")?;
        ensure!(
            note.signatures.len() >= 2,
            "the log's own signature is gone"
        );
        let head = Checkpoint::parse(&note.text)?;
        let base = format!("lineside/{gateway}");
        let epoch = match head
            .origin
            .strip_prefix(&base)
            .context("another gateway's")?
        {
            "" => "e1",
            later => later.strip_prefix('/').context("no epoch")?,
        };
        let log = format!("{gateway}/{epoch}");
        let key = (head.origin.clone(), head.size);
        let before = self.roots.insert(key, head.root);
        ensure!(
            before.is_none_or(|before| before == head.root),
            "two different heads of one size were cosigned: {before:?}"
        );
        self.seen.push(Seen { head, at, log });
        Ok(())
    }

    /// Heads of how many different logs there are.
    pub fn logs(&self) -> usize {
        let mut logs: Vec<&str> = self.seen.iter().map(|seen| seen.log.as_str()).collect();
        logs.sort_unstable();
        logs.dedup();
        logs.len()
    }

    /// Different heads.
    pub fn heads(&self) -> usize {
        self.roots.len()
    }

    /// The largest size of a log that was cosigned.
    pub fn size(&self, log: &str) -> u64 {
        let of_log = self.seen.iter().filter(|seen| seen.log == log);
        of_log.map(|seen| seen.head.size).max().unwrap_or(0)
    }

    /// Judges it by the files of an archive: every cosigned head is one of its log's there, leaf by leaf, and each
    /// continues all that were cosigned before it. Gives how many pairs of heads were proved.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn judge(&self, place: &Place) -> Result<u64> {
        let mut by_log: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
        for seen in &self.seen {
            by_log.entry(&seen.log).or_default().push(seen);
        }
        let mut pairs = 0;
        for (log, seen) in by_log {
            pairs += judge(&place.log(log), &seen).with_context(|| log.to_owned())?;
        }
        Ok(pairs)
    }
}

/// Judges the heads of one log.
fn judge(files: &Files, seen: &[&Seen]) -> Result<u64> {
    let largest = seen.iter().map(|seen| seen.head.size).max().unwrap_or(0);
    let size = files.size()?;
    ensure!(
        size >= largest,
        "{largest} leaves were cosigned, {size} are in the archive"
    );
    let mut nodes = HashMap::new();
    let mut roots = vec![Hash::of_nothing()];
    let mut tree = Tree::default();
    for leaf in files.leaves(size)? {
        tree.push(Hash::of_leaf(&leaf), |level, index, hash| {
            nodes.insert((level, index), hash);
        });
        roots.push(tree.root());
    }
    let root = |size: u64| -> Result<Hash> {
        let root = roots.get(usize::try_from(size)?);
        root.copied().context("no such size")
    };
    let head = files.head()?.map(|(_, head)| head.root);
    ensure!(head == Some(root(size)?), "the archive's own head is wrong");
    let node = |level, index| nodes.get(&(level, index)).copied().context("a node");
    let mut pairs = 0;
    let mut before: Option<&Checkpoint> = None;
    for seen in seen {
        let new = &seen.head;
        ensure!(
            root(new.size)? == new.root,
            "the first {} leaves are not those that were cosigned",
            new.size
        );
        // A message may come twice, and the broker repeats what it keeps.
        if let Some(old) = before.filter(|old| old.size <= new.size) {
            let proof = tree::consistency(old.size, new.size, node)?;
            tree::check_consistency(old.size, new.size, &proof, old.root, new.root)?;
            pairs += 1;
        }
        if before.is_none_or(|old| old.size <= new.size) {
            before = Some(new);
        }
    }
    Ok(pairs)
}

/// Whether a log's files have exactly the leaves of its simulated gateway, so far as they go, and how many these are.
///
/// # Errors
///
/// The first leaf that is another one.
pub fn same(fleet: &Fleet, number: usize, files: &Files) -> Result<u64> {
    let size = files.size()?;
    let leaves = files.leaves(size)?;
    fleet.with(number, |gateway| {
        for (index, leaf) in (0..).zip(&leaves) {
            let known = gateway.leaf(index).map(str::as_bytes);
            ensure!(known == Some(leaf.as_slice()), "leaf {index} is another");
        }
        ensure!(
            files.head()?.map(|(_, head)| head.root) == gateway.root(size),
            "the root over {size} leaves is another"
        );
        Ok(size)
    })?
}
