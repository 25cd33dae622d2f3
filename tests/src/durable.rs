//! What an archive told others that it has, and the judgement of what a power cut left of it.
//!
//! The archive is heard on its way to the broker: an acknowledged leaf and a published cosignature count from the moment
//! at which they leave its process.

use anyhow::{Context, Result, bail, ensure};
use lineside::archive::index::{Index, check};
use lineside::archive::inspection::inspect;
use lineside::archive::witness::Witness;
use lineside::archive::{Cards, Place, Shelf};
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tree::Range;
use lineside_proto::{LeafMessage, Topics};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{Files, folders};
use crate::log::head;
use crate::mqtt::{Cutter, Publish};
use crate::proxy::Direction;

/// The length and the checksum before each leaf that waits.
const FRAME_HEAD_BYTES: usize = 8;

/// A leaf that waits for a signed head: of which gateway, where, and which.
type Waiting = (String, u64, Hash);

/// Where what may lose power lies: the archive, and the witness's key with its memory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The one in a directory, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    /// The archive's directory.
    pub fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// The witness's key.
    pub fn key(&self) -> PathBuf {
        self.dir.join("witness/witness.key")
    }
}

/// Listens between an archive and its broker.
#[derive(Debug, Default)]
pub struct Listener {
    cutters: BTreeMap<(u64, Direction), Cutter>,
    /// Leaves that were handed to the archive, by their connection and packet.
    handed: BTreeMap<(u64, u16), String>,
}

impl Listener {
    /// Takes in what went over a connection, and gives what the archive has told by it, a line each: `A`, the gateway, the
    /// index and the hash of a leaf that it acknowledged; `C` and a head that it cosigned: its log, size and root.
    pub fn hear(&mut self, connection: u64, direction: Direction, bytes: &[u8]) -> Vec<String> {
        let cutter = self.cutters.entry((connection, direction)).or_default();
        let mut told = Vec::new();
        for packet in cutter.take(bytes) {
            match direction {
                Direction::ToClient => {
                    let leaf = packet.publish();
                    if let Some((id, line)) = leaf.and_then(|leaf| Some((leaf.id, acked(&leaf)?))) {
                        self.handed.insert((connection, id), line);
                    }
                }
                Direction::ToServer => {
                    let taken = packet.puback().filter(|(_, reason)| *reason < 0x80);
                    told.extend(taken.and_then(|(id, _)| self.handed.remove(&(connection, id))));
                    told.extend(packet.publish().and_then(|one| cosigned(&one)));
                }
            }
        }
        told
    }
}

/// The gateway of a topic that ends in `what`: `site/gateway`.
fn gateway<'a>(topic: &'a str, what: &str) -> Option<&'a str> {
    let rest = topic.strip_prefix(Topics::PREFIX)?.strip_prefix('/')?;
    rest.strip_suffix(what)?.strip_suffix('/')
}

fn acked(publish: &Publish) -> Option<String> {
    let gateway = gateway(&publish.topic, "ledger/leaf")?;
    let LeafMessage { index, leaf } = serde_json::from_slice(&publish.payload).ok()?;
    Some(format!(
        "A {gateway} {index} {}",
        Hash::of_leaf(leaf.as_bytes())
    ))
}

fn cosigned(publish: &Publish) -> Option<String> {
    let gateway = gateway(&publish.topic, "ledger/cosignature")?;
    let head = head(std::str::from_utf8(&publish.payload).ok()?).ok()?;
    Some(format!("C {gateway} {} {}", head.size, head.root))
}

/// What was told of one gateway's log.
#[derive(Clone, Default, Debug)]
struct Told {
    /// The hashes of leaves that were acknowledged.
    leaves: BTreeMap<u64, Hash>,
    /// The roots of heads that were cosigned, by their size.
    heads: BTreeMap<u64, Hash>,
}

/// What writers printed.
#[derive(Clone, Default, Debug)]
pub struct Said {
    logs: BTreeMap<String, Told>,
}

impl Said {
    /// Reads what writers printed; the last line may be torn.
    ///
    /// # Errors
    ///
    /// When a line is none of a writer's, one that says why the archive ended (`E`), or two contradict each other.
    pub fn parse(text: &str) -> Result<Self> {
        let mut said = Self::default();
        let lines = text.split_inclusive('\n');
        for line in lines.filter(|line| line.ends_with('\n')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [kind, gateway, number, hash] = words.as_slice() else {
                bail!("{line}");
            };
            let told = said.logs.entry((*gateway).to_owned()).or_default();
            let all = match *kind {
                "A" => &mut told.leaves,
                "C" => &mut told.heads,
                _ => bail!("{line}"),
            };
            let hash = Hash::from_base64(hash).context("a hash")?;
            let other = all.insert(number.parse()?, hash);
            ensure!(other.is_none_or(|other| other == hash), "another: {line}");
        }
        Ok(said)
    }
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Found {
    /// Logs that are sound.
    pub logs: u64,
    /// Leaves that were acknowledged and are there.
    pub leaves: u64,
    /// Of these, those that no signed head covers yet.
    pub waiting: u64,
    /// Heads that were cosigned, whose leaves are there.
    pub heads: u64,
}

/// Judges what a power cut left by what the archive had told before: each log is sound and was never found otherwise, each
/// cosigned head is a head of it, the witness remembers it, and each acknowledged leaf is in a tile or waits.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn judge(store: &Store, cards: &Path, said: &Said) -> Result<Found> {
    let shelf = Shelf::of(&store.archive());
    let mut found = Found::default();
    let key = store.key();
    let witness = key.exists().then(|| Witness::open(&key)).transpose();
    let witness = witness.context("the witness's key")?;
    let Some(witness) = witness else {
        // The archive is made after the key.
        ensure!(said.logs.is_empty(), "the witness's key is lost");
        return Ok(found);
    };
    let (cards, _) = Cards::load(cards)?;
    let keys = [witness.key().clone()];
    for place in shelf.recorded()? {
        inspect(&shelf, &place, Some(&cards), &keys).with_context(|| place.to_string())?;
        found.logs += 1;
    }
    let alarms = folders(&shelf.alarms_dir())?;
    ensure!(alarms.is_empty(), "alarms: {alarms:?}");
    let waiting = waiting(&store.archive().join("pending"))?;
    for (gateway, told) in &said.logs {
        judge_log((&shelf, &witness), gateway, told, &waiting, &mut found)
            .with_context(|| gateway.clone())?;
    }
    if Index::is_in(&store.archive()) {
        let checked = check(&shelf, &Index::embedded(&store.archive())?)?;
        ensure!(checked.count == 0, "the index differs: {:?}", checked.first);
    }
    Ok(found)
}

fn judge_log(
    (shelf, witness): (&Shelf, &Witness),
    gateway: &str,
    told: &Told,
    waiting: &BTreeSet<Waiting>,
    found: &mut Found,
) -> Result<()> {
    let (site, name) = gateway.split_once('/').context("a gateway")?;
    let place = Place {
        site: site.parse()?,
        gateway: name.parse()?,
        epoch: 1,
    };
    let files = Files::of(&shelf.log_dir(&place));
    let size = files.size()?;
    let leaves = files.leaves(size)?;
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| Hash::of_leaf(leaf)).collect();
    let mut roots = BTreeMap::new();
    let mut tree = Range::default();
    for leaf in &hashes {
        tree.push(*leaf, |_, _, _| {});
        roots.insert(tree.size(), tree.root());
    }
    for (cosigned, root) in &told.heads {
        ensure!(
            *cosigned <= size,
            "{cosigned} leaves were cosigned, there are {size}"
        );
        let is_it = roots.get(cosigned) == Some(root);
        ensure!(is_it, "another head of {cosigned} leaves was cosigned");
        found.heads += 1;
    }
    let last = witness.last(&format!("lineside/{gateway}"))?;
    if let Some(last) = &last {
        let root = roots.get(&last.size).map(Hash::to_string);
        ensure!(
            root.as_ref() == Some(&last.root) && last.refused.is_none(),
            "the witness remembers what is not there, of {size} leaves: {last:?}"
        );
    }
    let remembered = last.map_or(0, |last| last.size);
    let newest = told.heads.keys().next_back().copied().unwrap_or(0);
    ensure!(
        remembered >= newest,
        "{newest} leaves were cosigned, the witness remembers {remembered}"
    );
    for (index, leaf) in &told.leaves {
        found.leaves += 1;
        match hashes.get(usize::try_from(*index)?) {
            Some(there) => ensure!(there == leaf, "leaf {index} is another one"),
            None => {
                let waits = waiting.contains(&(gateway.to_owned(), *index, *leaf));
                ensure!(waits, "leaf {index} was acknowledged, and is lost");
                found.waiting += 1;
            }
        }
    }
    Ok(())
}

/// The leaves that wait, of all processes.
fn waiting(pending: &Path) -> Result<BTreeSet<Waiting>> {
    let mut all = BTreeSet::new();
    for member in folders(pending)? {
        for entry in fs::read_dir(member)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "leaves") {
                let bytes = fs::read(&path)?;
                let mut rest = bytes.as_slice();
                while let Some((leaf, after)) = frame(rest) {
                    all.insert(leaf);
                    rest = after;
                }
            }
        }
    }
    Ok(all)
}

/// The leaf that a file begins with, and what follows; none where it is torn, as whoever reads it later would see it.
fn frame(bytes: &[u8]) -> Option<(Waiting, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let (line, leaf) = body.split_at(end);
    let (log, index) = std::str::from_utf8(line).ok()?.rsplit_once('/')?;
    let (gateway, _epoch) = log.rsplit_once('/')?;
    let hash = Hash::of_leaf(leaf.get(1..)?);
    let leaf = (gateway.to_owned(), index.parse().ok()?, hash);
    Some((leaf, bytes.get(FRAME_HEAD_BYTES + length..)?))
}

#[cfg(test)]
mod tests {
    use super::{Said, frame};
    use lineside_proto::ledger::Hash;

    #[test]
    fn a_torn_leaf_ends_what_waits() {
        let body = b"site/gw/1/7\n{}";
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(body).to_le_bytes());
        bytes.extend(body);
        let (leaf, rest) = frame(&bytes).unwrap();
        assert_eq!(leaf, ("site/gw".to_owned(), 7, Hash::of_leaf(b"{}")));
        assert!(rest.is_empty());
        for length in 0..bytes.len() {
            assert!(frame(&bytes[..length]).is_none(), "{length}");
        }
        bytes[9] ^= 1;
        assert!(frame(&bytes).is_none());
    }

    #[test]
    fn what_was_told_is_read_up_to_the_last_whole_line() {
        let (one, other) = (Hash::of_leaf(b"1"), Hash::of_leaf(b"2"));
        let text = format!("A site/gw 7 {one}\nC site/gw 8 {other}\nC site/gw 8");
        let said = Said::parse(&text).unwrap();
        let told = said.logs.get("site/gw").unwrap();
        assert_eq!(told.leaves.get(&7), Some(&one));
        assert_eq!(told.heads.get(&8), Some(&other));
        for wrong in ["E the disk\n", "A site/gw 7\n"] {
            assert!(Said::parse(wrong).is_err(), "{wrong}");
        }
        let two = format!("C site/gw 8 {one}\nC site/gw 8 {other}\n");
        assert!(Said::parse(&two).is_err());
    }
}
