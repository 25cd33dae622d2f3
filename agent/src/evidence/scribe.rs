//! Who writes the bundle: takes the leaves in their order, and adds what proves them.

use lineside_proto::Time;
use lineside_proto::evidence::MANIFEST_KIND;
use lineside_proto::evidence::{
    Entry, Manifest, Scope, SessionPlace, SessionProof, Sight, Tally, Totals, TreeEnd, WriteError,
    Writer,
};
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::tile::{Tile, WIDTH};
use lineside_proto::ledger::tree::{Range, check_consistency, check_inclusion, inclusion};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::mpsc;

use super::fetch::{Proven, text_bytes};
use super::how;
use super::inquiry::PullError;
use super::node::Nodes;
use super::part::Named;
use super::plan::{Plan, parsed};
use super::work::{Kind, Work};
use crate::text;
use crate::text::Language;

/// Maps, and tokens, that leaves may name at most: what a bundle has room for.
const NAMED_MAX: usize = 90_000;
/// Bytes of a hash.
const HASH_BYTES: u64 = 32;

/// A bundle that grows.
pub(super) struct Scribe {
    work: Arc<Work>,
    plan: Arc<Plan>,
    root: Hash,
    writer: Writer<BufWriter<File>>,
    hashes: BufWriter<File>,
    range: Range,
    tally: Tally,
    named: Named,
    /// The times of the first and the last leaf.
    span: Option<(Time, Time)>,
}

/// What is added when all leaves are there.
pub(super) struct Rest {
    pub(super) tiles: Vec<(Tile, Vec<Hash>)>,
    pub(super) maps: Vec<String>,
    pub(super) tokens: Vec<String>,
    pub(super) made: Time,
    pub(super) by: String,
}

/// What became of it.
pub(super) struct Written {
    pub(super) totals: Totals,
    pub(super) span: Option<(Time, Time)>,
}

impl Scribe {
    /// Begins the bundle of a plan.
    pub(super) fn begin(work: Arc<Work>, plan: Arc<Plan>) -> Result<Self, PullError> {
        let create = |path: std::path::PathBuf| {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path);
            file.map(BufWriter::new).map_err(PullError::file(path))
        };
        let left = parsed(&plan.range.left)?;
        let range = Range::from_parts(plan.first, left).ok_or_else(|| {
            PullError::Lies(text!(
                "what it says of the leaves before the first does not fit their number",
                "它对首条之前各记录的说明与其数目不符"
            ))
        })?;
        let scope = Scope {
            site: plan.site.clone(),
            gateway: plan.gateway.clone(),
            origin: plan.origin.clone(),
            from: plan.period.from,
            to: plan.period.to,
            first: plan.first,
        };
        Ok(Self {
            root: plan.root()?,
            writer: Writer::new(create(work.bundle())?),
            hashes: create(work.hashes())?,
            range,
            tally: Tally::new(scope),
            named: Named::default(),
            span: None,
            work,
            plan,
        })
    }

    /// Takes all parts. Blocks.
    pub(super) fn take_all(mut self, mut parts: mpsc::Receiver<Proven>) -> Result<Self, PullError> {
        while let Some(proven) = parts.blocking_recv() {
            self.take(proven)?;
        }
        Ok(self)
    }

    fn take(&mut self, proven: Proven) -> Result<(), PullError> {
        let Proven { part, proof } = proven;
        let (from, to) = (part.range.start, part.range.end);
        for hash in &part.hashes {
            self.range.push(*hash, |_, _, _| {});
            self.hashes
                .write_all(&hash.0)
                .map_err(PullError::file(self.work.hashes()))?;
        }
        let (size, root) = (self.plan.size, self.root);
        check_consistency(to, size, &proof, self.range.root(), root).map_err(|fault| {
            PullError::Lies(text!(
                "leaves {from} to {to} are not those that its checkpoint of {size} leaves commits to: {fault}",
                "第 {from} 至 {to} 条记录与其 {size} 条记录的签名存证点不符：{fault}"
            ))
        })?;
        let work = Arc::clone(&self.work);
        let failed = |error| self::failed(&work, error);
        self.writer
            .begin(&Entry::Leaves(from).to_string())
            .map_err(failed)?;
        self.writer.put(&part.bytes).map_err(failed)?;
        for leaf in part.counting() {
            let leaf = leaf.map_err(|fault| {
                PullError::Lies(text!(
                    "leaves {from} to {to}: {fault}",
                    "第 {from} 至 {to} 条记录：{fault}"
                ))
            })?;
            self.tally.take(&leaf);
        }
        if let Some((begin, end)) = part.span {
            self.span = Some((self.span.map_or(begin, |(first, _)| first), end));
        }
        self.name(part.named)
    }

    /// Notes what leaves name.
    fn name(&mut self, new: Named) -> Result<(), PullError> {
        let Named { maps, tokens } = &mut self.named;
        for (named, new) in [(maps, new.maps), (tokens, new.tokens)] {
            named.extend(new);
            if named.len() > NAMED_MAX {
                return Err(PullError::Lies(text!(
                    "its leaves name more maps or tokens than a bundle has room for; ask for a shorter period",
                    "记录所引用的点表或令牌过多，数据包无法容纳；请缩短时段"
                )));
            }
        }
        Ok(())
    }

    /// The maps that leaves name, by their digits.
    pub(super) fn maps(&self) -> Vec<String> {
        self.named.maps.iter().cloned().collect()
    }

    /// The tokens that leaves name, likewise.
    pub(super) fn tokens(&self) -> Vec<String> {
        self.named.tokens.iter().cloned().collect()
    }

    /// Adds the rest, and finishes. Blocks.
    pub(super) fn finish(mut self, rest: Rest) -> Result<Written, PullError> {
        let plan = Arc::clone(&self.plan);
        self.notes()?;
        self.json(Entry::Range, &plan.range)?;
        if let Some(proof) = &plan.consistency {
            self.json(Entry::Consistency, proof)?;
        }
        for (kind, names) in [(Kind::Map, &rest.maps), (Kind::Token, &rest.tokens)] {
            for name in names {
                let bytes = text_bytes(&self.work, kind, name)?;
                let entry = match kind {
                    Kind::Map => Entry::Map(name.clone()),
                    Kind::Token => {
                        self.tally.take_token(&bytes);
                        Entry::Token(name.clone())
                    }
                };
                self.add(&entry, &bytes)?;
            }
        }
        for (tile, hashes) in &rest.tiles {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            self.add(&Entry::Tile(*tile), &bytes)?;
        }
        self.sessions(rest.tiles)?;
        let tree = TreeEnd {
            end: plan.end,
            size: plan.size,
            root: self.root,
        };
        let totals = self.tally.finish(&tree, &Sight::default()).totals;
        self.json(Entry::Report, &totals)?;
        for (entry, language) in [
            (Entry::HowTo, Language::En),
            (Entry::HowToZh, Language::ZhCn),
        ] {
            self.add(&entry, how::text(language, &plan).as_bytes())?;
        }
        let manifest = manifest(&plan, rest.made, rest.by);
        let work = Arc::clone(&self.work);
        let out = self
            .writer
            .finish(manifest)
            .map_err(|error| failed(&work, error))?;
        let synced = out.into_inner().map_err(io::IntoInnerError::into_error);
        synced
            .and_then(|file| file.sync_all())
            .map_err(PullError::file(work.bundle()))?;
        Ok(Written {
            totals,
            span: self.span,
        })
    }

    fn notes(&mut self) -> Result<(), PullError> {
        let plan = Arc::clone(&self.plan);
        self.add(&Entry::End, plan.end_note.as_bytes())?;
        if let Some((_, note)) = &plan.start {
            self.add(&Entry::Start, note.as_bytes())?;
        }
        for (size, note) in &plan.cosigned {
            self.add(&Entry::Cosigned(*size), note.as_bytes())?;
        }
        Ok(())
    }

    /// Adds the proofs of the sessions' leaves, made from what is here and checked against the signed root. One is in
    /// memory at a time.
    fn sessions(&mut self, tiles: Vec<(Tile, Vec<Hash>)>) -> Result<(), PullError> {
        let path = self.work.hashes();
        self.hashes.flush().map_err(PullError::file(&path))?;
        let (file, plan) = (self.hashes.get_ref(), &self.plan);
        let read = |place: u64| block(file, place, plan.first, plan.end);
        let mut nodes = Nodes::new(read);
        for (tile, hashes) in tiles {
            nodes.add(tile, hashes);
        }
        let (size, root) = (plan.size, self.root);
        let mut prove = |place: SessionPlace| {
            let index = place.index;
            let lacking = || {
                PullError::Lies(text!(
                    "its tiles do not prove leaf {index}, of session {}",
                    "其哈希块不能证明第 {index} 条记录（上机记录 {}）",
                    place.session
                ))
            };
            let mut node = |level, index| match nodes.node(level, index) {
                Ok(Some(hash)) => Ok(hash),
                Ok(None) => Err(lacking()),
                Err(error) => Err(PullError::file(&path)(error)),
            };
            let leaf = node(0, index)?;
            let proof = inclusion(index, size, &mut node)?;
            check_inclusion(leaf, index, size, &proof, root).map_err(|_| lacking())?;
            Ok(SessionProof {
                hashes: proof.iter().map(Hash::to_string).collect(),
                session: place.session,
                index,
            })
        };
        let mut out = Out::begin(&mut self.writer, &self.work, &Entry::Sessions)?;
        out.put(|out| write!(out, r#"{{"size":{size},"proofs":["#))?;
        let mut comma = "";
        for place in self.tally.sessions() {
            let proof = prove(place)?;
            out.put(|out| {
                out.write_all(comma.as_bytes())?;
                Ok(serde_json::to_writer(out, &proof)?)
            })?;
            comma = ",";
        }
        out.put(|out| out.write_all(b"]}"))?;
        out.put(Write::flush)
    }

    fn json(&mut self, entry: Entry, document: &impl Serialize) -> Result<(), PullError> {
        let mut out = Out::begin(&mut self.writer, &self.work, &entry)?;
        out.put(|out| Ok(serde_json::to_writer(out, document)?))?;
        out.put(Write::flush)
    }

    fn add(&mut self, entry: &Entry, bytes: &[u8]) -> Result<(), PullError> {
        let added = self.writer.add(&entry.to_string(), bytes);
        added.map_err(|error| failed(&self.work, error))
    }
}

/// An entry that is written as it is made.
struct Out<'a> {
    work: &'a Work,
    buffer: BufWriter<Entering<'a>>,
}

struct Entering<'a>(&'a mut Writer<BufWriter<File>>);

impl Write for Entering<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Out<'a> {
    fn begin(
        writer: &'a mut Writer<BufWriter<File>>,
        work: &'a Work,
        entry: &Entry,
    ) -> Result<Self, PullError> {
        let begun = writer.begin(&entry.to_string());
        begun.map_err(|error| failed(work, error))?;
        let buffer = BufWriter::new(Entering(writer));
        Ok(Self { work, buffer })
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut BufWriter<Entering<'a>>) -> io::Result<()>,
    ) -> Result<(), PullError> {
        write(&mut self.buffer).map_err(PullError::file(self.work.bundle()))
    }
}

fn failed(work: &Work, error: WriteError) -> PullError {
    PullError::file(work.bundle())(io::Error::other(error))
}

fn manifest(plan: &Plan, made: Time, by: String) -> Manifest {
    Manifest {
        v: 1,
        kind: MANIFEST_KIND.to_owned(),
        site: plan.site.clone(),
        gateway: plan.gateway.clone(),
        origin: plan.origin.clone(),
        key: plan.key.clone(),
        from: plan.period.from,
        to: plan.period.to,
        first: plan.first,
        end: plan.end,
        size: plan.size,
        start_size: plan.start.as_ref().map_or(0, |(size, _)| *size),
        made,
        by,
        files: Vec::new(),
    }
}

/// The hashes of a block of leaves, out of the file that begins with that of `first`; none if they are not there.
fn block(file: &File, place: u64, first: u64, end: u64) -> io::Result<Option<Vec<Hash>>> {
    let from = place.saturating_mul(WIDTH);
    let to = from.saturating_add(WIDTH).min(end);
    if from < first || from >= to {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    for index in from..to {
        let mut hash = Hash([0; 32]);
        file.read_exact_at(&mut hash.0, (index - first) * HASH_BYTES)?;
        hashes.push(hash);
    }
    Ok(Some(hashes))
}
