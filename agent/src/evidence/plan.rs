//! What is fetched: which leaves, and the signed heads that speak for them. Decided once, and kept while
//! parts come, so that a ledger that grows meanwhile changes nothing.

use lineside_proto::evidence::{ConsistencyProof, RangeProof};
use lineside_proto::ledger::note::{KeyKind, Note, VerifierKey};
use lineside_proto::ledger::tile::WIDTH;
use lineside_proto::ledger::tree::{check_consistency, check_inclusion};
use lineside_proto::ledger::{Checkpoint, Genesis, Hash, Leaf, LeafBody, verify};
use lineside_proto::{
    BundleResult, CheckpointResult, EntriesResult, Identifier, LeafPlace, LeafRange, Period,
    ProofResult, Time,
};
use serde::{Deserialize, Serialize};

use super::informant::Informant;
use super::inquiry::{Inquiry, PullError};
use super::kept;
use super::period::wide;
use crate::text;

/// Times that the first or the last leaf is moved outwards at most, each time twice as far: 2²⁰ times 256 leaves
/// reach beyond any ledger.
const MOVES_MAX: u32 = 20;

/// Changes of the key that are looked for at most: one a day for years.
const KEYS_MAX: usize = 4_096;

/// What is wanted of a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The site and the gateway.
    pub gateway: (Identifier, Identifier),
    /// The period.
    pub period: Period,
}

/// What is fetched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The pilot platform, as the ledger's first leaf names it.
    pub site: Identifier,
    /// The gateway, likewise.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The verifier key that the ledger names as its own, and that signed the notes.
    pub key: String,
    /// The period.
    pub period: Period,
    /// The first leaf.
    pub first: u64,
    /// The leaf after the last.
    pub end: u64,
    /// Leaves of the tree.
    pub size: u64,
    /// Its root.
    pub root: String,
    /// The note that commits to it.
    pub end_note: String,
    /// The older tree's size, and its note; none where there is none.
    pub start: Option<(u64, String)>,
    /// Sizes and notes that somebody has cosigned.
    pub cosigned: Vec<(u64, String)>,
    /// The leaves' place in the tree.
    pub range: RangeProof,
    /// That the older tree is the newer one's beginning; none without an older one.
    pub consistency: Option<ConsistencyProof>,
}

impl Plan {
    /// Decides it.
    ///
    /// # Errors
    ///
    /// [`PullError::Nothing`] where the ledger says nothing of the period, and whatever comes of asking.
    pub async fn make<I: Informant>(
        inquiry: &Inquiry<I>,
        wanted: &Wanted,
    ) -> Result<Self, PullError> {
        let newest: CheckpointResult = inquiry.ask_one("ledger.checkpoint", ()).await?;
        let birth = Birth::ask(inquiry, &newest, wanted).await?;
        let newest = birth.newest(&newest.checkpoint)?;
        let (first, end) = span(inquiry, wanted.period, newest.size).await?;
        let known = kept::ask(inquiry, first, end, newest.size).await?;
        let end_note = known
            .end
            .and_then(|note| birth.newest(&note).ok().filter(|head| head.size >= end))
            .unwrap_or_else(|| newest.clone());
        let size = end_note.size;
        let start = known.start.and_then(|note| birth.older(&note).ok());
        let start = start.filter(|head| head.size > 0 && head.size <= first);
        let cosigned = known
            .cosigned
            .iter()
            .filter_map(|note| birth.older(note).ok());
        let cosigned = cosigned
            .filter(|head| head.size > first && head.size <= end)
            .map(|head| (head.size, head.note))
            .collect();
        let range = RangeProof {
            from: first,
            to: size,
            left: left(inquiry, first).await?,
            right: consistency(inquiry, end, size).await?,
        };
        let proof = match &start {
            Some(start) => Some(joined(inquiry, start, &end_note).await?),
            None => None,
        };
        Ok(Self {
            site: birth.site,
            gateway: birth.gateway,
            origin: birth.origin,
            key: birth.key.to_string(),
            period: wanted.period,
            first,
            end,
            size,
            root: end_note.root.to_string(),
            end_note: end_note.note,
            start: start.map(|start| (start.size, start.note)),
            cosigned,
            range,
            consistency: proof,
        })
    }

    /// The newest head in the bundle that somebody has cosigned, in leaves: one of those between, or the end's.
    pub fn cosigned_to(&self) -> Option<u64> {
        let end = kept::is_cosigned(&self.end_note).then_some(self.size);
        let between = self.cosigned.iter().map(|(size, _)| *size);
        between.chain(end).max()
    }

    /// Whether this is a plan for what is wanted.
    pub fn suits(&self, wanted: &Wanted) -> bool {
        let (site, gateway) = &wanted.gateway;
        self.period == wanted.period && *site == self.site && *gateway == self.gateway
    }

    /// The root that the note commits to.
    ///
    /// # Errors
    ///
    /// A plan that was changed on the disk.
    pub fn root(&self) -> Result<Hash, PullError> {
        Hash::from_base64(&self.root)
            .ok_or_else(|| PullError::Lies(text!("the root is no hash", "根哈希格式不正确")))
    }
}

/// A head, and the note that says it.
#[derive(Clone, Debug)]
struct Head {
    size: u64,
    root: Hash,
    note: String,
}

/// Whose ledger it is.
#[derive(Debug)]
struct Birth {
    site: Identifier,
    gateway: Identifier,
    origin: String,
    key: VerifierKey,
    /// Keys that may have signed older notes, that one among them.
    keys: Vec<VerifierKey>,
}

impl Birth {
    /// Reads the first leaf, and finds the key that signed the newest note among those that the source names.
    async fn ask<I: Informant>(
        inquiry: &Inquiry<I>,
        newest: &CheckpointResult,
        wanted: &Wanted,
    ) -> Result<Self, PullError> {
        let head = unverified(&newest.checkpoint)?;
        let leaf = leaf(inquiry, 0).await?;
        let proof = hashes(
            inquiry,
            "ledger.inclusion",
            LeafPlace {
                index: 0,
                size: head.size,
            },
        )
        .await?;
        let shown = check_inclusion(leaf.hash, 0, head.size, &proof, head.root);
        shown.map_err(|fault| {
            PullError::Lies(text!(
                "its first leaf is not in the signed tree: {fault}",
                "第一条记录不在已签名的树中：{fault}"
            ))
        })?;
        let genesis = genesis(leaf.leaf.body)?;
        let said = (genesis.site, genesis.gateway);
        if wanted.gateway != said {
            let ((site, gateway), (other_site, other)) = (&wanted.gateway, said);
            return Err(PullError::Lies(text!(
                "asked was {site}/{gateway}, the ledger is that of {other_site}/{other}",
                "请求的是 {site}/{gateway}，台账却属于 {other_site}/{other}"
            )));
        }
        if genesis.origin != head.origin {
            let (one, other) = (genesis.origin, head.origin);
            return Err(PullError::Lies(text!(
                "the first leaf names the ledger {one}, the checkpoint {other}",
                "第一条记录所称台账为 {one}，签名存证点所称为 {other}"
            )));
        }
        let mut named = vec![genesis.key];
        named.extend(newest.keys.iter().cloned());
        let key = match signer(&newest.checkpoint, named.clone()) {
            Some(key) => Some(key),
            // A key that came later, of a source that does not name it: the ledger does.
            None => {
                named.extend(later_keys(inquiry, head.size).await?);
                signer(&newest.checkpoint, named.clone())
            }
        };
        let key = key.ok_or_else(|| {
            PullError::Lies(text!(
                "its checkpoint is signed by no key that the ledger names",
                "其签名存证点并非由台账所记的密钥签名"
            ))
        })?;
        let (site, gateway) = said;
        Ok(Self {
            site,
            gateway,
            origin: head.origin,
            key,
            keys: log_keys(named).collect(),
        })
    }

    /// What a note says, if the key that the bundle names signed it for our log.
    fn newest(&self, note: &str) -> Result<Head, PullError> {
        self.signed(note, std::slice::from_ref(&self.key))
    }

    /// What an older note says: the key before a change of keys may have signed it.
    fn older(&self, note: &str) -> Result<Head, PullError> {
        self.signed(note, &self.keys)
    }

    fn signed(&self, note: &str, keys: &[VerifierKey]) -> Result<Head, PullError> {
        let head = verify::checkpoint(note, keys, &self.origin);
        let head = head.map_err(|fault| {
            PullError::Lies(text!("a checkpoint: {fault}", "签名存证点：{fault}"))
        })?;
        Ok(Head {
            size: head.size,
            root: head.root,
            note: note.to_owned(),
        })
    }
}

pub(super) fn unverified(note: &str) -> Result<Checkpoint, PullError> {
    let read = Note::parse(note)
        .ok()
        .and_then(|note| Checkpoint::parse(&note.text).ok());
    read.ok_or_else(|| {
        PullError::Lies(text!(
            "its checkpoint is no signed note",
            "其签名存证点不是签名文本"
        ))
    })
}

/// The key that signed a note, out of those that are named.
fn signer(note: &str, named: impl IntoIterator<Item = String>) -> Option<VerifierKey> {
    let note = Note::parse(note).ok()?;
    log_keys(named).find(|key| note.verify(std::slice::from_ref(key)).is_ok())
}

/// Those that are keys of a log.
fn log_keys(named: impl IntoIterator<Item = String>) -> impl Iterator<Item = VerifierKey> {
    let keys = named.into_iter().filter_map(|key| key.parse().ok());
    keys.filter(|key: &VerifierKey| key.kind() == KeyKind::Ed25519)
}

/// The keys that the ledger's leaves name. Reads all of them.
async fn later_keys<I: Informant>(
    inquiry: &Inquiry<I>,
    size: u64,
) -> Result<Vec<String>, PullError> {
    let (mut keys, mut from) = (Vec::new(), 0);
    while from < size {
        let range = LeafRange { from, to: size };
        let answer: Vec<EntriesResult> = inquiry.ask("ledger.entries", range).await?;
        for leaf in answer.iter().flat_map(|part| &part.leaves) {
            // Most are none, and need not be read.
            let leaf = leaf
                .contains("\"key\"")
                .then(|| Leaf::from_bytes(leaf.as_bytes()));
            if let Some(Ok(Leaf {
                body: LeafBody::Key(key),
                ..
            })) = leaf
            {
                keys.push(key.new);
            }
        }
        let next = answer.last().map_or(from, |part| part.next);
        if next <= from || keys.len() > KEYS_MAX {
            break;
        }
        from = next;
    }
    Ok(keys)
}

/// Whose ledger it is, by its own word.
///
/// # Errors
///
/// A first leaf that does not say it, and whatever comes of asking.
pub async fn whose<I: Informant>(
    inquiry: &Inquiry<I>,
) -> Result<(Identifier, Identifier), PullError> {
    let (genesis, _) = beginning(inquiry).await?;
    Ok((genesis.site, genesis.gateway))
}

/// What the first leaf says, and when it was established, by its own word.
///
/// # Errors
///
/// A first leaf that does not begin a ledger, and whatever comes of asking.
pub async fn beginning<I: Informant>(inquiry: &Inquiry<I>) -> Result<(Genesis, Time), PullError> {
    let first = leaf(inquiry, 0).await?.leaf;
    let at = first.head.at;
    Ok((genesis(first.body)?, at))
}

fn genesis(body: LeafBody) -> Result<Genesis, PullError> {
    if let LeafBody::Genesis(genesis) = body {
        return Ok(genesis);
    }
    Err(PullError::Lies(text!(
        "its first leaf does not say whose ledger it is",
        "第一条记录没有说明这是谁的台账"
    )))
}

/// A leaf, and the hash of its bytes.
pub(super) struct Asked {
    pub(super) leaf: Leaf,
    hash: Hash,
}

/// Asks for one leaf.
pub(super) async fn leaf<I: Informant>(
    inquiry: &Inquiry<I>,
    index: u64,
) -> Result<Asked, PullError> {
    let range = LeafRange {
        from: index,
        to: index.saturating_add(1),
    };
    let answer: Vec<EntriesResult> = inquiry.ask("ledger.entries", range).await?;
    let text = answer.into_iter().flat_map(|part| part.leaves).next();
    let read = text.and_then(|text| {
        let leaf = Leaf::from_bytes(text.as_bytes()).ok()?;
        (leaf.head.index == index).then(|| Asked {
            hash: Hash::of_leaf(text.as_bytes()),
            leaf,
        })
    });
    read.ok_or_else(|| {
        PullError::Lies(text!(
            "what it gives as leaf {index} is not that leaf",
            "所给的第 {index} 条记录不是该记录"
        ))
    })
}

/// What a log says that it has of a period, and of what belongs to that; none where it says that it has nothing.
pub(super) async fn told<I: Informant>(
    inquiry: &Inquiry<I>,
    period: Period,
) -> Result<Option<BundleResult>, PullError> {
    match inquiry.ask_one("usage.bundle", wide(period)).await {
        Err(PullError::Refused { code, .. }) if code == "not-found" => Ok(None),
        other => other.map(Some),
    }
}

/// Which leaves: those of the period and of a day before and after, as far as the ledger has them.
async fn span<I: Informant>(
    inquiry: &Inquiry<I>,
    period: Period,
    signed: u64,
) -> Result<(u64, u64), PullError> {
    let wide = wide(period);
    let found = told(inquiry, period).await?.ok_or(PullError::Nothing)?;
    if found.first > found.last || found.first >= signed {
        // What was not signed yet is not evidence.
        return Err(PullError::Nothing);
    }
    let at = async |index: u64| leaf(inquiry, index).await.map(|asked| asked.leaf.head.at);
    let mut first = found.first / WIDTH * WIDTH;
    for step in 0..MOVES_MAX {
        if first == 0 || at(first).await? <= wide.from {
            break;
        }
        first = first.saturating_sub(WIDTH << step);
    }
    let mut end = aligned(found.last.saturating_add(1)).min(signed);
    for step in 0..MOVES_MAX {
        if end >= signed || at(end.saturating_sub(1)).await? >= wide.to {
            break;
        }
        end = end.saturating_add(WIDTH << step).min(signed);
    }
    Ok((first, end))
}

/// The next multiple of a tile's width.
fn aligned(index: u64) -> u64 {
    index.div_ceil(WIDTH).saturating_mul(WIDTH)
}

/// The roots of the perfect subtrees of the leaves before: the proof of the next leaf in the tree that ends with it.
async fn left<I: Informant>(inquiry: &Inquiry<I>, first: u64) -> Result<Vec<String>, PullError> {
    if first == 0 {
        return Ok(Vec::new());
    }
    let place = LeafPlace {
        index: first,
        size: first.saturating_add(1),
    };
    let proof: ProofResult = inquiry.ask_one("ledger.inclusion", place).await?;
    let mut left = proof.hashes;
    left.reverse();
    Ok(left)
}

/// The proof that a tree of `from` leaves is the beginning of one of `to`.
pub(super) async fn consistency<I: Informant>(
    inquiry: &Inquiry<I>,
    from: u64,
    to: u64,
) -> Result<Vec<String>, PullError> {
    if from == 0 || from == to {
        return Ok(Vec::new());
    }
    let proof: ProofResult = inquiry
        .ask_one("ledger.consistency", LeafRange { from, to })
        .await?;
    Ok(proof.hashes)
}

/// The same for two heads, checked.
async fn joined<I: Informant>(
    inquiry: &Inquiry<I>,
    old: &Head,
    new: &Head,
) -> Result<ConsistencyProof, PullError> {
    let proof = consistency(inquiry, old.size, new.size).await?;
    let checked = check_consistency(old.size, new.size, &parsed(&proof)?, old.root, new.root);
    checked.map_err(|fault| {
        let (from, to) = (old.size, new.size);
        PullError::Lies(text!(
            "its checkpoints of {from} and {to} leaves are of two histories: {fault}",
            "其 {from} 条与 {to} 条记录的签名存证点来自不同的历史：{fault}"
        ))
    })?;
    Ok(ConsistencyProof {
        from: old.size,
        to: new.size,
        hashes: proof,
    })
}

async fn hashes<I: Informant>(
    inquiry: &Inquiry<I>,
    method: &'static str,
    params: impl Serialize,
) -> Result<Vec<Hash>, PullError> {
    let proof: ProofResult = inquiry.ask_one(method, params).await?;
    parsed(&proof.hashes)
}

/// Hashes out of their base64.
pub(super) fn parsed(hashes: &[String]) -> Result<Vec<Hash>, PullError> {
    let read = hashes.iter().map(|hash| Hash::from_base64(hash));
    read.collect::<Option<_>>().ok_or_else(|| {
        PullError::Lies(text!(
            "a proof holds what is no hash",
            "证明中含有非哈希内容"
        ))
    })
}
