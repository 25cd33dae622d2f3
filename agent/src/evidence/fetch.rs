//! What is fetched once the plan stands: parts of the leaves, tiles, maps and tokens, each checked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lineside_proto::evidence::tiles;
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tile::{Kind as TileKind, Tile, hashes};
use lineside_proto::{EntriesResult, LeafRange, MapResult, MapWanted};
use lineside_proto::{TileResult, TileWanted, TokenResult, TokenWanted};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::task;
use tokio_util::task::AbortOnDropHandle;

use super::informant::Informant;
use super::inquiry::{Inquiry, PullError};
use super::node::digest;
use super::part::Part;
use super::plan::{Plan, consistency, parsed};
use super::work::{Kind, Work};
use crate::text;
use crate::text::Text;

/// Bytes of a map at most, and of all maps together.
const MAP_BYTES_MAX: u64 = 64 << 20;
const MAPS_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a token at most.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// How far it has got, for who waits.
#[derive(Debug, Default)]
pub struct Progress {
    leaves: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    /// Leaves that are here, and how many there will be; 0 as long as that is not known.
    pub fn leaves(&self) -> (u64, u64) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (read(&self.leaves), read(&self.all))
    }

    pub(super) fn expect(&self, all: u64) {
        self.all.store(all, Ordering::Relaxed);
    }

    fn add(&self, leaves: u64) {
        self.leaves.fetch_add(leaves, Ordering::Relaxed);
    }
}

/// A whole part, and the proof that leads from its end to the plan's tree.
#[derive(Debug)]
pub struct Proven {
    pub(super) part: Part,
    pub(super) proof: Vec<Hash>,
}

/// Fetches all leaves, several parts at once, and hands them on in order.
///
/// # Errors
///
/// Whatever comes of a part.
pub(super) async fn leaves<I: Informant>(
    inquiry: &Arc<Inquiry<I>>,
    work: &Arc<Work>,
    plan: &Plan,
    progress: &Arc<Progress>,
    to: mpsc::Sender<Proven>,
) -> Result<(), PullError> {
    progress.expect(plan.end - plan.first);
    let mut ranges = Part::ranges(plan.first, plan.end);
    let mut coming = VecDeque::new();
    loop {
        while coming.len() < inquiry.window() {
            let Some(range) = ranges.next() else { break };
            let errand = Errand {
                inquiry: Arc::clone(inquiry),
                work: Arc::clone(work),
                progress: Arc::clone(progress),
                size: plan.size,
            };
            coming.push_back(AbortOnDropHandle::new(tokio::spawn(errand.part(range))));
        }
        let Some(next) = coming.pop_front() else {
            return Ok(());
        };
        let proven = next.await.map_err(broken)??;
        if to.send(proven).await.is_err() {
            // Whoever takes them has something to say that matters more.
            return Ok(());
        }
    }
}

/// A task of ours panicked.
pub(super) fn broken(error: task::JoinError) -> PullError {
    PullError::File {
        path: "lineside".into(),
        source: std::io::Error::other(error),
    }
}

struct Errand<I> {
    inquiry: Arc<Inquiry<I>>,
    work: Arc<Work>,
    progress: Arc<Progress>,
    size: u64,
}

impl<I: Informant> Errand<I> {
    /// Fetches a part, as far as it is not here yet.
    async fn part(self, range: std::ops::Range<u64>) -> Result<Proven, PullError> {
        let path = self.work.part(range.start);
        let end = range.end;
        let opened = path.clone();
        let open = task::spawn_blocking(move || Part::open(&opened, range));
        let mut part = open.await.map_err(broken)??;
        self.progress.add(part.count());
        while !part.is_whole() {
            let from = part.next();
            let wanted = LeafRange { from, to: end };
            let answer: Vec<EntriesResult> = self.inquiry.ask("ledger.entries", wanted).await?;
            let path = path.clone();
            let take = task::spawn_blocking(move || {
                let taken = part.take(&path, answer);
                taken.map(|()| part)
            });
            part = take.await.map_err(broken)??;
            self.progress.add(part.next() - from);
        }
        let proof = parsed(&consistency(&self.inquiry, end, self.size).await?)?;
        Ok(Proven { part, proof })
    }
}

/// Fetches the hash tiles of a bundle.
///
/// # Errors
///
/// What is no tile, and whatever comes of asking.
pub(super) async fn hash_tiles<I: Informant>(
    inquiry: &Inquiry<I>,
    plan: &Plan,
) -> Result<Vec<(Tile, Vec<Hash>)>, PullError> {
    let mut all = Vec::new();
    for tile in tiles(plan.first, plan.end, plan.size) {
        let TileKind::Hashes(level) = tile.kind else {
            continue;
        };
        let wanted = TileWanted {
            level,
            index: tile.index,
            width: u16::try_from(tile.width).unwrap_or(u16::MAX),
        };
        let answer: TileResult = inquiry.ask_one("ledger.tile", wanted).await?;
        let bytes = STANDARD.decode(answer.bytes).ok();
        let read = bytes.and_then(|bytes| hashes(&bytes, tile.width).ok());
        let read = read.ok_or_else(|| {
            PullError::Lies(text!("{tile} is no tile", "{tile} 不是有效的哈希块"))
        })?;
        all.push((tile, read));
    }
    Ok(all)
}

/// Fetches maps or tokens by their hashes (64 digits each). Gives those that are there, and the hashes of those that the
/// gateway does not have.
///
/// # Errors
///
/// A text of another hash, too many bytes, and whatever comes of asking.
pub(super) async fn texts<I: Informant>(
    inquiry: &Inquiry<I>,
    work: &Work,
    kind: Kind,
    wanted: impl IntoIterator<Item = String>,
) -> Result<(Vec<String>, Vec<String>), PullError> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let mut total = 0_u64;
    let most = match kind {
        Kind::Map => MAP_BYTES_MAX,
        Kind::Token => TOKEN_BYTES_MAX,
    };
    for name in wanted {
        let bytes = match work.text(kind, &name, most) {
            Some(bytes) => Some(bytes),
            None => ask_text(inquiry, kind, &name).await?,
        };
        let Some(bytes) = bytes else {
            missing.push(name);
            continue;
        };
        let what = kind.words();
        if digest(&bytes) != name {
            return Err(PullError::Lies(Text {
                en: format!("what it gives as {} {name} has another hash", what.en),
                zh: format!("所给的{} {name} 哈希不符", what.zh),
            }));
        }
        let length = bytes.len() as u64;
        total = total.saturating_add(length);
        if length > most || (kind == Kind::Map && total > MAPS_BYTES_MAX) {
            return Err(PullError::Lies(Text {
                en: format!("{} {name} is larger than any may be", what.en),
                zh: format!("{} {name} 超出允许的大小", what.zh),
            }));
        }
        work.keep_text(kind, &name, &bytes)?;
        found.push(name);
    }
    Ok((found, missing))
}

async fn ask_text<I: Informant>(
    inquiry: &Inquiry<I>,
    kind: Kind,
    name: &str,
) -> Result<Option<Vec<u8>>, PullError> {
    let hash = format!("sha256:{name}");
    let pieces: Result<Vec<String>, PullError> = match kind {
        Kind::Map => {
            let answer: Result<Vec<MapResult>, _> =
                inquiry.ask("config.get", MapWanted { hash }).await;
            answer.map(|parts| parts.into_iter().map(|part| part.text).collect())
        }
        Kind::Token => {
            let answer: Result<Vec<TokenResult>, _> =
                inquiry.ask("token.get", TokenWanted { hash }).await;
            answer.map(|parts| parts.into_iter().map(|part| part.text).collect())
        }
    };
    match pieces {
        Ok(pieces) => Ok(Some(pieces.concat().into_bytes())),
        Err(PullError::Refused { code, .. }) if code == "not-found" || code == "unknown-method" => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Puts a found text's bytes back into memory, one at a time.
pub(super) fn text_bytes(work: &Work, kind: Kind, name: &str) -> Result<Vec<u8>, PullError> {
    work.text(kind, name, MAP_BYTES_MAX).ok_or_else(|| {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        PullError::file(work.bundle())(gone)
    })
}
