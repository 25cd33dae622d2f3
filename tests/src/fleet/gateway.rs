//! One simulated gateway: its ledger in memory, what it signs, and what it answers, as a real one would.

use anyhow::{Context, Result};
use lineside::answers::{self, Answers, Code, Failure, Room, Source, documents};
use lineside_proto::ledger::note::{KeyKind, Note, SignerKey};
use lineside_proto::ledger::tile::{HEIGHT, Kind, Tile, WIDTH, put_entry};
use lineside_proto::ledger::tree::{self, Range as Tree};
use lineside_proto::ledger::{Checkpoint, Hash, LeafBody, PriorHead};
use lineside_proto::{GatewayStatus, Identifier, KeptCheckpoint, LeafMessage, Link, Time, Topics};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::life::{Life, Named};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A simulated gateway.
pub struct Gateway {
    life: Life,
    seed: [u8; 32],
    signer: SignerKey,
    topics: Topics,
    leaves: Vec<Arc<str>>,
    tree: Tree,
    /// The complete nodes of the tree, by their level.
    levels: Vec<Vec<Hash>>,
    notes: BTreeMap<u64, Arc<str>>,
    /// The newest note.
    newest: Option<Arc<str>>,
}

impl Gateway {
    /// A gateway whose ledger is empty. Its key comes from `seed`; its origin is `lineside/{site}/{gateway}`.
    ///
    /// # Errors
    ///
    /// When its name can't name a key.
    pub fn new(
        site: &Identifier,
        gateway: &Identifier,
        machines: u32,
        seed: [u8; 32],
        begin: Time,
    ) -> Result<Self> {
        let origin = format!("lineside/{site}/{gateway}");
        let signer = SignerKey::new(&origin, KeyKind::Ed25519, &seed)?;
        let names = (site.clone(), gateway.clone());
        let key = signer.public().to_string();
        Ok(Self {
            life: Life::new(names, (origin, key), machines, begin.as_millis())?,
            seed,
            signer,
            topics: Topics::new(Topics::PREFIX, site, gateway),
            leaves: Vec::new(),
            tree: Tree::default(),
            levels: Vec::new(),
            notes: BTreeMap::new(),
            newest: None,
        })
    }

    /// The same gateway as it was when its ledger had so many leaves: a backup of that day, or the other of two copies.
    ///
    /// # Errors
    ///
    /// When it never had so many.
    pub fn as_of(&self, size: u64) -> Result<Self> {
        let mut other = Self {
            life: self.life.clone(),
            seed: self.seed,
            signer: SignerKey::new(&self.life.origin, KeyKind::Ed25519, &self.seed)?,
            topics: self.topics.clone(),
            leaves: Vec::new(),
            tree: Tree::default(),
            levels: Vec::new(),
            notes: BTreeMap::new(),
            newest: None,
        };
        for leaf in self.leaves.iter().take(usize::try_from(size)?) {
            other.push(Arc::clone(leaf));
        }
        let notes = self.notes.range(..=size);
        other.notes = notes
            .map(|(size, note)| (*size, Arc::clone(note)))
            .collect();
        other.newest = other.notes.values().next_back().cloned();
        Ok(other)
    }

    /// The same gateway with another history from a leaf on.
    ///
    /// # Errors
    ///
    /// When there is no such leaf.
    pub fn forked(&self, from: u64) -> Result<Self> {
        let mut other = self.as_of(from)?;
        other.life.shift(from, 7);
        other.grow(self.size().saturating_sub(from))?;
        Ok(other)
    }

    /// From the next leaf on its history is another one.
    pub fn change_course(&mut self) {
        let from = self.size();
        self.life.shift(from, 7);
    }

    /// The same gateway with one leaf that says something else.
    ///
    /// # Errors
    ///
    /// When there is no such leaf.
    pub fn edited(&self, index: u64) -> Result<Self> {
        let mut other = self.as_of(index)?;
        other.life.shift(index, 7);
        other.life.shift(index + 1, 0);
        other.grow(self.size().saturating_sub(index))?;
        Ok(other)
    }

    /// A new epoch, whose first leaf cites the newest head of this one.
    ///
    /// # Errors
    ///
    /// When nothing was signed yet.
    pub fn new_epoch(&self) -> Result<Self> {
        let note = Note::parse(self.newest.as_deref().context("nothing was signed")?)?;
        let head = Checkpoint::parse(&note.text)?;
        let mut other = self.as_of(0)?;
        let base = self.life.origin.clone();
        let base = match self.life.epoch {
            1 => base.as_str(),
            _ => base.rsplit_once('/').context("an origin")?.0,
        };
        other.life.epoch += 1;
        other.life.origin = format!("{base}/e{}", other.life.epoch);
        other.signer = SignerKey::new(&other.life.origin, KeyKind::Ed25519, &self.seed)?;
        other.life.key = other.signer.public().to_string();
        other.life.prior = Some(PriorHead {
            origin: head.origin,
            size: head.size,
            root: head.root.to_string(),
            reason: "the disk was replaced".to_owned(),
        });
        (other.notes, other.newest) = (BTreeMap::new(), None);
        Ok(other)
    }

    /// The document by which it says that it is there, for as long as a test may take.
    pub fn status(&self) -> GatewayStatus {
        GatewayStatus {
            link: Link::Online,
            max_age_s: Some(86_400),
            at: Some(Time::from_millis(self.life.at_ms(self.size()))),
            ..GatewayStatus::offline(self.life.site.clone(), self.life.gateway.clone())
        }
    }

    /// Its site and its name.
    pub fn names(&self) -> (&Identifier, &Identifier) {
        (&self.life.site, &self.life.gateway)
    }

    /// The folder of its log in an archive: `site/gateway/e1`.
    pub fn log(&self) -> String {
        let Life {
            site,
            gateway,
            epoch,
            ..
        } = &self.life;
        format!("{site}/{gateway}/e{epoch}")
    }

    /// Its topics.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The origin of its ledger.
    pub fn origin(&self) -> &str {
        &self.life.origin
    }

    /// The key that it signs with.
    pub fn signer(&self) -> &SignerKey {
        &self.signer
    }

    /// The card that the city gets of it (`lineside keys show --json`, field `card`).
    pub fn card(&self) -> Value {
        json!({
            "v": 1,
            "site": self.life.site,
            "gateway": self.life.gateway,
            "origin": self.life.origin,
            "vkey": self.signer.public().to_string(),
        })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// A leaf's exact bytes, as text.
    pub fn leaf(&self, index: u64) -> Option<&str> {
        let leaf = self.leaves.get(usize::try_from(index).ok()?);
        leaf.map(AsRef::as_ref)
    }

    /// The root over the first `size` leaves; none where there are fewer.
    pub fn root(&self, size: u64) -> Option<Hash> {
        let root = || tree::root(size, |level, index| self.node(level, index).ok_or(()));
        (size <= self.size()).then(root)?.ok()
    }

    /// Appends so many leaves.
    ///
    /// # Errors
    ///
    /// Never: every such leaf is one.
    pub fn grow(&mut self, count: u64) -> Result<Range<u64>> {
        let from = self.size();
        for index in from..from + count {
            let leaf = self.life.leaf(index)?;
            self.push(leaf.into());
        }
        Ok(from..from + count)
    }

    /// Appends a leaf that says just this.
    ///
    /// # Errors
    ///
    /// When it is too large for a leaf.
    pub fn write(&mut self, body: LeafBody) -> Result<u64> {
        let index = self.size();
        let leaf = self.life.saying(index, body)?;
        self.push(leaf.into());
        Ok(index)
    }

    /// Signs with another key from now on.
    pub fn sign_with(&mut self, signer: SignerKey) {
        self.signer = signer;
    }

    /// The message by which it tells a leaf.
    ///
    /// # Errors
    ///
    /// When there is no such leaf.
    pub fn message(&self, index: u64) -> Result<Vec<u8>> {
        let leaf = self.leaf(index).context("no such leaf")?.to_owned();
        Ok(serde_json::to_vec(&LeafMessage { index, leaf })?)
    }

    /// Signs what there is.
    pub fn sign(&mut self) -> Arc<str> {
        let note: Arc<str> = self.signed(self.size(), self.tree.root()).into();
        self.notes.insert(self.size(), Arc::clone(&note));
        self.newest = Some(Arc::clone(&note));
        note
    }

    /// A head signed with its key, whatever it says.
    pub fn signed(&self, size: u64, root: Hash) -> String {
        let head = Checkpoint {
            origin: self.life.origin.clone(),
            size,
            root,
        };
        let text = head.to_string();
        let signatures = vec![self.signer.sign(&text, Time::default())];
        Note { text, signatures }.to_string()
    }

    /// Leaves that the newest note speaks for.
    pub fn signed_size(&self) -> u64 {
        let note = self
            .newest
            .as_deref()
            .and_then(|note| Note::parse(note).ok());
        let head = note.and_then(|note| Checkpoint::parse(&note.text).ok());
        head.map_or(0, |head| head.size)
    }

    /// The newest note.
    pub fn note(&self) -> Option<&Arc<str>> {
        self.newest.as_ref()
    }

    /// Writes the static files of what it has signed last.
    ///
    /// # Errors
    ///
    /// When nothing was signed, or the disk refuses.
    pub fn write_files(&self, dir: &Path) -> Result<()> {
        for tile in Tile::of_log(self.signed_size()) {
            let bytes = match tile.kind {
                Kind::Hashes(_) => self.tile(tile).context("a tile")?,
                Kind::Entries => self.bundle(tile)?,
            };
            let path = dir.join(tile.to_string());
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, bytes)?;
        }
        let note = self.newest.as_deref().context("nothing was signed")?;
        Ok(fs::write(dir.join("checkpoint"), note)?)
    }

    fn bundle(&self, tile: Tile) -> Result<Vec<u8>> {
        let first = usize::try_from(tile.index * WIDTH)?;
        let mut bundle = Vec::new();
        let leaves = self.leaves.iter().skip(first);
        for leaf in leaves.take(usize::try_from(tile.width)?) {
            put_entry(&mut bundle, leaf.as_bytes())?;
        }
        Ok(bundle)
    }

    /// The bytes of a hash tile; none where there are not so many hashes.
    fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        let Kind::Hashes(level) = tile.kind else {
            return None;
        };
        let first = tile.index.saturating_mul(WIDTH);
        let hashes: Option<Vec<Hash>> = (first..first.saturating_add(tile.width))
            .map(|index| self.node(HEIGHT * level, index))
            .collect();
        Some(hashes?.iter().flat_map(|hash| hash.0).collect())
    }

    fn push(&mut self, leaf: Arc<str>) {
        let levels = &mut self.levels;
        self.tree
            .push(Hash::of_leaf(leaf.as_bytes()), |level, _, hash| {
                let level = usize::from(level);
                if levels.len() <= level {
                    levels.resize(level + 1, Vec::new());
                }
                if let Some(level) = levels.get_mut(level) {
                    level.push(hash);
                }
            });
        self.leaves.push(leaf);
    }

    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let level = self.levels.get(usize::from(level))?;
        level.get(usize::try_from(index).ok()?).copied()
    }

    fn read(&self, from: u64, bytes_max: usize) -> Vec<(u64, Vec<u8>)> {
        let mut read = Vec::new();
        let mut bytes = 0;
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, leaf) in (from..).zip(self.leaves.iter().skip(skipped)) {
            bytes += leaf.len();
            read.push((index, leaf.as_bytes().to_vec()));
            if bytes >= bytes_max {
                break;
            }
        }
        read
    }

    fn kept(&self, size: u64) -> Option<KeptCheckpoint> {
        let checkpoint = self.notes.get(&size)?.to_string();
        let at = Time::from_millis(self.life.at_ms(size.saturating_sub(1)));
        Some(KeptCheckpoint {
            at,
            size,
            checkpoint,
        })
    }
}

/// A gateway that others may look at meanwhile, and the answers that it gives.
pub(super) struct Stood {
    gateway: Arc<Mutex<Gateway>>,
    answers: Answers,
}

impl Stood {
    pub(super) fn new(gateway: Gateway) -> Self {
        let gateway = Arc::new(Mutex::new(gateway));
        let source = Shared(Arc::clone(&gateway));
        let answers = Answers::new(source, CancellationToken::new());
        Self { gateway, answers }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Gateway> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The documents that answer a request.
    pub(super) fn answer(&self, request: &[u8]) -> Vec<Vec<u8>> {
        match answers::read(request) {
            Ok(question) => {
                let room = Room::of(&question.id, usize::MAX);
                let end = Instant::now() + ANSWER_MAX;
                let result = self.answers.answer(&question.call, room, end);
                documents(&question.id, result)
            }
            Err((id, failure)) => documents(&id, Err(failure)),
        }
    }
}

struct Shared(Arc<Mutex<Gateway>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Gateway> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, wanted: impl Fn(&Life) -> &[Named], hash: &str) -> Option<String> {
        let gateway = self.lock();
        let mut all = wanted(&gateway.life).iter();
        all.find(|named| named.hash == hash)
            .map(|named| named.text.clone())
    }
}

impl Source for Shared {
    fn size(&self) -> u64 {
        self.lock().size()
    }

    fn checkpoint(&self) -> Option<Arc<str>> {
        self.lock().newest.clone()
    }

    fn keys(&self) -> Vec<String> {
        vec![self.lock().life.key.clone()]
    }

    fn leaves(&self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        Ok(self.lock().read(from, bytes_max))
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Failure> {
        let gateway = self.lock();
        let node = |level, index| gateway.node(level, index).ok_or_else(missing);
        tree::consistency(old, new, node)
    }

    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Failure> {
        let gateway = self.lock();
        let node = |level, index| gateway.node(level, index).ok_or_else(missing);
        tree::inclusion(index, size, node)
    }

    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.lock().tile(tile))
    }

    fn kept(&self, sizes: Range<u64>) -> Vec<u64> {
        let gateway = self.lock();
        gateway.notes.range(sizes).map(|(size, _)| *size).collect()
    }

    fn kept_note(&self, size: u64) -> Option<KeptCheckpoint> {
        self.lock().kept(size)
    }

    fn map(&self, hash: &str) -> Option<String> {
        self.text(|life| &life.maps, hash)
    }

    fn token(&self, hash: &str) -> Option<String> {
        self.text(|life| &life.tokens, hash)
    }

    fn status(&self) -> Result<Value, Failure> {
        Ok(serde_json::to_value(self.lock().status()).unwrap_or_default())
    }
}

fn missing() -> Failure {
    Failure::new(Code::NotFound, "there are not so many leaves")
}
