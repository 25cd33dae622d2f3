//! The witness of the sample year: it cosigns the newest head once an hour, as long as the city can be reached,
//! and the gateway keeps these notes.

use lineside_proto::Time;
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey, VerifierKey};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::calendar::HOUR_MS;
use super::files::Keys;
use crate::ledger::Ledger;

/// The witness's name.
const NAME: &str = "witness.sample";

/// A head that is to be cosigned.
#[derive(Clone, Copy, Debug)]
struct Seen {
    size: u64,
    /// By the gateway's clock.
    wall: Time,
    /// By the witness's.
    at: i64,
}

/// The witness, and what it has seen.
pub(super) struct Witness {
    gateway: SignerKey,
    key: SignerKey,
    pub(super) is_there: bool,
    seen: Vec<Seen>,
    hour: i64,
}

impl Witness {
    pub(super) fn new(keys: &Keys, origin: &str) -> anyhow::Result<Self> {
        Ok(Self {
            gateway: SignerKey::new(origin, KeyKind::Ed25519, &keys.ledger)?,
            key: Self::key(keys)?,
            is_there: true,
            seen: Vec::new(),
            hour: i64::MIN,
        })
    }

    fn key(keys: &Keys) -> anyhow::Result<SignerKey> {
        Ok(SignerKey::new(NAME, KeyKind::Cosignature, &keys.witness)?)
    }

    /// The key by which its cosignatures are known.
    pub(super) fn public(keys: &Keys) -> anyhow::Result<VerifierKey> {
        Ok(Self::key(keys)?.public().clone())
    }

    /// So many leaves are there now: in a new hour the head is cosigned, a few seconds later.
    pub(super) fn see(&mut self, at: i64, size: u64, wall: Time) {
        let hour = at.div_euclid(HOUR_MS);
        let is_new = self.seen.last().is_none_or(|seen| seen.size < size);
        if self.is_there && hour > self.hour && is_new && size > 0 {
            self.hour = hour;
            self.seen.push(Seen {
                size,
                wall,
                at: at + 4_000,
            });
        }
    }

    /// Signs and cosigns all that was seen, and has the gateway keep it.
    pub(super) fn cosign(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let mut months: BTreeMap<String, String> = BTreeMap::new();
        for seen in &self.seen {
            let head = Checkpoint {
                origin: ledger.origin(),
                size: seen.size,
                root: ledger.root_at(seen.size)?,
            };
            let text = head.to_string();
            let at = Time::from_millis(seen.at);
            let signatures = vec![self.gateway.sign(&text, at), self.key.sign(&text, at)];
            let note = Note { text, signatures }.to_string();
            let json = json!({"at": seen.wall, "note": note}).to_string();
            let month = seen
                .wall
                .to_string()
                .get(..7)
                .unwrap_or_default()
                .to_owned();
            let mark = crc32fast::hash(json.as_bytes());
            *months.entry(month).or_default() += &format!("{mark:08x} {json}\n");
        }
        let dir = ledger.dir().join("notes");
        fs::create_dir_all(&dir)?;
        for (month, lines) in months {
            let path = dir.join(month);
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(lines.as_bytes())?;
        }
        Ok(())
    }
}
