//! A gateway in memory, which answers from a made-up pilot line's leaves; and what may come between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lineside_proto::evidence::sample::{ORIGIN, Sample};
use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::{Note, SignerKey};
use lineside_proto::ledger::tile::HEIGHT;
use lineside_proto::ledger::tree::{Hash, consistency, inclusion, root};
use lineside_proto::{
    AnswerError, BundleResult, CheckpointsResult, CheckpointsWanted, EntriesResult, KeptCheckpoint,
    LeafPlace, LeafRange, Period, TileWanted, Time,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::evidence::{Informant, Trouble};

/// Leaves of a part of an answer, and parts of an answer: few, so that there is something to go on with.
const LEAVES_MAX: usize = 120;
const PARTS_MAX: usize = 2;

/// What is told.
pub(super) struct Told {
    pub(super) sample: Sample,
    pub(super) bytes: Vec<Vec<u8>>,
    hashes: Vec<Hash>,
    /// Sizes of the notes that are kept.
    pub(super) kept: BTreeSet<u64>,
    /// Leaves of the newest note.
    pub(super) signed: u64,
    /// A key that signs notes of so many leaves and more, instead of the first one.
    pub(super) later: Option<(u64, SignerKey)>,
}

impl Told {
    pub(super) fn new() -> Self {
        let sample = Sample::new();
        let bytes: Vec<Vec<u8>> = sample
            .leaves
            .iter()
            .map(|leaf| leaf.to_bytes().unwrap())
            .collect();
        let hashes = bytes.iter().map(|leaf| Hash::of_leaf(leaf)).collect();
        let mut kept: BTreeSet<u64> = sample.cosigned.iter().map(|(size, _)| *size).collect();
        let signed = bytes.len() as u64;
        kept.insert(signed - 7);
        Self {
            sample,
            bytes,
            hashes,
            kept,
            signed,
            later: None,
        }
    }

    fn node(&self, level: u8, index: u64) -> Hash {
        let from = usize::try_from(index << level).unwrap();
        let leaves = &self.hashes[from..from + (1 << level)];
        lineside_proto::ledger::edge::root_of(leaves)
    }

    pub(super) fn note(&self, size: u64) -> String {
        let read = |level, index| Ok::<_, Infallible>(self.node(level, index));
        let Ok(root) = root(size, read);
        let origin = ORIGIN.to_owned();
        let text = Checkpoint { origin, size, root }.to_string();
        let keys = &self.sample.keys;
        let later = self.later.as_ref().filter(|(from, _)| size >= *from);
        let key = later.map_or(&keys.gateway, |(_, key)| key);
        let mut signatures = vec![key.sign(&text, Time::from_millis(0))];
        let seen = self.sample.cosigned.iter().find(|(seen, _)| *seen == size);
        signatures.extend(seen.map(|(_, at)| keys.witness.sign(&text, *at)));
        Note { text, signatures }.to_string()
    }

    pub(super) fn answer(&self, method: &str, params: Value) -> Result<Vec<Value>, Trouble> {
        let proof = |hashes: Vec<Hash>| {
            let hashes: Vec<String> = hashes.iter().map(Hash::to_string).collect();
            vec![json!({"hashes": hashes})]
        };
        let size = self.bytes.len() as u64;
        let beyond = ["to", "size"]
            .iter()
            .any(|name| params[name].as_u64() > Some(size));
        if beyond && method != "ledger.checkpoints" {
            return Err(no("not-found", "the ledger has fewer leaves"));
        }
        let read = |level, index| Ok::<_, Infallible>(self.node(level, index));
        Ok(match method {
            "ledger.checkpoint" => {
                let keys = self.later.iter().map(|(_, key)| key.public().to_string());
                let keys: Vec<String> = keys.collect();
                vec![json!({"checkpoint": self.note(self.signed), "keys": keys})]
            }
            "ledger.checkpoints" => vec![self.checkpoints(typed(params))],
            "ledger.entries" => self.entries(typed(params)),
            "ledger.inclusion" => {
                let LeafPlace { index, size } = typed(params);
                let Ok(hashes) = inclusion(index, size, read);
                proof(hashes)
            }
            "ledger.consistency" => {
                let LeafRange { from, to } = typed(params);
                let Ok(hashes) = consistency(from, to, read);
                proof(hashes)
            }
            "ledger.tile" => {
                let TileWanted {
                    level,
                    index,
                    width,
                } = typed(params);
                let nodes = index * 256..index * 256 + u64::from(width);
                let bytes: Vec<u8> = nodes
                    .flat_map(|node| self.node(level * HEIGHT, node).0)
                    .collect();
                vec![json!({"bytes": STANDARD.encode(bytes)})]
            }
            "config.get" => self.text(&self.sample.maps, &params)?,
            "token.get" => self.text(&self.sample.tokens, &params)?,
            "usage.bundle" => vec![self.bundle(typed(params))?],
            other => return Err(no("unknown-method", other)),
        })
    }

    fn checkpoints(&self, wanted: CheckpointsWanted) -> Value {
        let mut sizes: Vec<u64> = self.kept.range(wanted.from..wanted.to).copied().collect();
        let limit = wanted.limit.map_or(3, |limit| limit as usize);
        let next = sizes.get(limit).copied().unwrap_or(wanted.to);
        if wanted.newest {
            sizes = sizes.split_off(sizes.len().saturating_sub(limit));
        } else {
            sizes.truncate(limit);
        }
        let kept = |size: &u64| KeptCheckpoint {
            at: Time::from_millis(0),
            size: *size,
            checkpoint: self.note(*size),
        };
        let checkpoints = sizes.iter().map(kept).collect();
        serde_json::to_value(CheckpointsResult { checkpoints, next }).unwrap()
    }

    fn entries(&self, range: LeafRange) -> Vec<Value> {
        let (from, to) = (
            usize::try_from(range.from).unwrap(),
            usize::try_from(range.to).unwrap(),
        );
        let parts = self.bytes[from..to].chunks(LEAVES_MAX).take(PARTS_MAX);
        let mut first = range.from;
        let part = |leaves: &[Vec<u8>]| {
            let next = first + leaves.len() as u64;
            let leaves = leaves
                .iter()
                .map(|leaf| String::from_utf8(leaf.clone()).unwrap())
                .collect();
            let result = EntriesResult {
                first,
                next,
                leaves,
            };
            first = next;
            serde_json::to_value(result).unwrap()
        };
        parts.map(part).collect()
    }

    fn text(
        &self,
        texts: &std::collections::BTreeMap<String, String>,
        params: &Value,
    ) -> Result<Vec<Value>, Trouble> {
        let hash = params["hash"].as_str().unwrap();
        let text = texts.get(hash).ok_or_else(|| no("not-found", hash))?;
        let (one, other) = text.split_at(text.len() / 2);
        Ok([one, other]
            .map(|text| json!({"hash": hash, "text": text}))
            .to_vec())
    }

    fn bundle(&self, period: Period) -> Result<Value, Trouble> {
        let inside = |at: Time| period.from <= at && at < period.to;
        let leaves = self
            .sample
            .leaves
            .iter()
            .filter(|leaf| inside(leaf.head.at));
        let indexes: Vec<u64> = leaves.map(|leaf| leaf.head.index).collect();
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else {
            return Err(no("not-found", "no leaf"));
        };
        let result = BundleResult {
            first: *first,
            last: *last,
            size: self.signed,
            checkpoint: self.note(self.signed),
        };
        Ok(serde_json::to_value(result).unwrap())
    }
}

fn typed<T: DeserializeOwned>(params: Value) -> T {
    serde_json::from_value(params).unwrap()
}

pub(super) fn no(code: &str, text: &str) -> Trouble {
    Trouble::No(AnswerError {
        code: code.to_owned(),
        text: text.to_owned(),
    })
}

/// What comes between: the number of the request, its method, and the true answer.
type Between =
    dyn Fn(u64, &str, Result<Vec<Value>, Trouble>) -> Result<Vec<Value>, Trouble> + Send + Sync;

/// Who answers. May be cloned.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) told: Arc<Told>,
    between: Arc<Between>,
    pub(super) asked: Arc<AtomicU64>,
}

impl Teller {
    pub(super) fn new(
        told: &Arc<Told>,
        between: impl Fn(u64, &str, Result<Vec<Value>, Trouble>) -> Result<Vec<Value>, Trouble>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            told: Arc::clone(told),
            between: Arc::new(between),
            asked: Arc::default(),
        }
    }

    pub(super) fn honest(told: &Arc<Told>) -> Self {
        Self::new(told, |_, _, answer| answer)
    }

    /// Says nothing more when all leaves are told.
    pub(super) fn cut_behind_leaves(told: &Arc<Told>) -> Self {
        Self::new(told, |_, method, answer| match method {
            "ledger.tile" => Err(Trouble::Refused("cut".to_owned())),
            _ => answer,
        })
    }

    /// Says nothing more after so many answers.
    pub(super) fn cut(told: &Arc<Told>, after: u64) -> Self {
        Self::new(told, move |number, _, answer| {
            if number < after {
                answer
            } else {
                Err(Trouble::Refused("cut".to_owned()))
            }
        })
    }
}

impl Informant for Teller {
    async fn ask(&self, method: &'static str, params: Value) -> Result<Vec<Value>, Trouble> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.told.answer(method, params);
        (self.between)(number, method, answer)
    }
}
