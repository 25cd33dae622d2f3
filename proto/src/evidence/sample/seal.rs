//! Makes bundles of leaves.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Cursor;

use super::Sample;
use super::city::{MAP, ORIGIN, map_text, named};
use crate::evidence::{
    ConsistencyProof, MANIFEST_KIND, Manifest, PART_LEAVES, RangeProof, Scope, SessionProof,
    SessionProofs, Sight, Tally, Totals, TreeEnd, WriteError, Writer, tiles,
};
use crate::ledger::note::Note;
use crate::ledger::tile::{HEIGHT, Kind, WIDTH};
use crate::ledger::tree::{Hash, consistency, inclusion, peaks, root};
use crate::ledger::{Checkpoint, Leaf, LeafBody, LeafError, SessionEvent};
use crate::{Identifier, Time};

/// Which leaves a bundle holds, and of which period.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The period's begin.
    pub from: Time,
    /// The period's end.
    pub to: Time,
    /// The first leaf.
    pub first: u64,
    /// The leaf after the last.
    pub end: u64,
    /// The leaves of the tree.
    pub size: u64,
    /// The leaves of the older tree.
    pub start_size: u64,
    /// Who else cosigns, and when: sizes in (`first`, `end`].
    pub cosigned: Vec<(u64, Time)>,
}

/// An entry's name and bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

const DAY_MS: i64 = 86_400_000;

impl Sample {
    /// The whole ledger, from its first day on to its last but one.
    pub fn whole(&self) -> Plan {
        let size = self.leaves.len() as u64;
        let from = Time::from_millis(super::FIRST_DAY_MS);
        Plan {
            from,
            to: from.plus_millis(8 * DAY_MS),
            first: 0,
            end: size,
            size,
            start_size: 0,
            cosigned: self.cosigned.clone(),
        }
    }

    /// The fifth and sixth day, with a day before and one after.
    pub fn middle(&self) -> Plan {
        let at = |day: i64| Time::from_millis(super::FIRST_DAY_MS + day * DAY_MS);
        let (from, to) = (at(4), at(6));
        let since = |time: Time| {
            let mut leaves = self.leaves.iter();
            let place = leaves.position(|leaf| leaf.head.at >= time);
            place.unwrap_or(self.leaves.len()) as u64
        };
        let first = since(from.plus_millis(-DAY_MS)) / WIDTH * WIDTH;
        let end = since(to.plus_millis(DAY_MS)).next_multiple_of(WIDTH);
        let seen = self.cosigned.iter().rev().find(|(_, time)| *time <= from);
        Plan {
            from,
            to,
            first,
            end,
            size: self.leaves.len() as u64,
            start_size: seen.map_or(0, |(size, _)| *size),
            cosigned: self.cosigned.clone(),
        }
    }

    /// A trust file that trusts everybody here, and approves of the first maps.
    pub fn trust(&self) -> String {
        let keys = &self.keys;
        let (gateway, witness) = (keys.gateway.public(), keys.witness.public());
        let jwk = keys.issuer.public().to_jwk();
        let mut text = format!(
            "[[gateway]]\nsite = \"site-01\"\ngateway = \"gateway-01\"\norigin = \"{ORIGIN}\"\n\
             key = \"{gateway}\"\nfrom = 2026-01-01\nto = 2027-01-01\n\n\
             [[witness]]\nkey = \"{witness}\"\n\n[[issuer]]\njwk = '{jwk}'\nfrom = 2026-01-01\n\n"
        );
        for machine in ["extruder-01", "mixer-01", "press-01"] {
            let hash = named(&map_text(machine, MAP));
            text.push_str(&format!(
                "[[map]]\nmachine = \"{machine}\"\nhash = \"{hash}\"\n\n"
            ));
        }
        text.push_str("[organisations]\nown = [\"org-own\"]\naffiliates = [\"org-aff\"]\n");
        text
    }

    /// The entries of a bundle, and its manifest without them.
    ///
    /// # Errors
    ///
    /// A leaf that has no canonical bytes.
    pub fn seal(&self, plan: &Plan) -> Result<(Manifest, Files), LeafError> {
        let bytes: Vec<Vec<u8>> = self
            .leaves
            .iter()
            .map(Leaf::to_bytes)
            .collect::<Result<_, _>>()?;
        let tree = Tree(bytes.iter().map(|leaf| Hash::of_leaf(leaf)).collect());
        let mut files = Files::new();
        self.notes(plan, &tree, &mut files);
        self.proofs(plan, &tree, &mut files)?;
        self.texts(plan, &mut files);
        let mut index = plan.first;
        while index < plan.end {
            let next = (index / PART_LEAVES + 1) * PART_LEAVES;
            let part = &mut Vec::new();
            for leaf in
                (index..next.min(plan.end)).filter_map(|at| bytes.get(usize::try_from(at).ok()?))
            {
                part.extend_from_slice(leaf);
                part.push(b'\n');
            }
            files.insert(format!("leaves/{index:010}.jsonl"), std::mem::take(part));
            index = next;
        }
        for tile in tiles(plan.first, plan.end, plan.size) {
            let Kind::Hashes(level) = tile.kind else {
                continue;
            };
            let from = tile.index * WIDTH;
            let nodes = (from..from + tile.width).map(|at| tree.node(HEIGHT * level, at));
            files.insert(tile.to_string(), nodes.flat_map(|hash| hash.0).collect());
        }
        let report = self.report(plan, &tree, &files);
        files.insert("report.json".to_owned(), serde_json::to_vec(&report)?);
        Ok((self.manifest(plan), files))
    }

    fn manifest(&self, plan: &Plan) -> Manifest {
        let (site, gateway) = place();
        Manifest {
            v: 1,
            kind: MANIFEST_KIND.to_owned(),
            site,
            gateway,
            origin: ORIGIN.to_owned(),
            key: self.keys.gateway.public().to_string(),
            from: plan.from,
            to: plan.to,
            first: plan.first,
            end: plan.end,
            size: plan.size,
            start_size: plan.start_size,
            made: Time::from_millis(super::FIRST_DAY_MS + 20 * DAY_MS),
            by: "lineside 0.1.0".to_owned(),
            files: Vec::new(),
        }
    }

    fn notes(&self, plan: &Plan, tree: &Tree, files: &mut Files) {
        let mut note = |path: String, size: u64| {
            let root = tree.root(size);
            let origin = ORIGIN.to_owned();
            let text = Checkpoint { origin, size, root }.to_string();
            let mut signatures = vec![self.keys.gateway.sign(&text, Time::default())];
            let seen = plan.cosigned.iter().filter(|(seen, _)| *seen == size);
            signatures.extend(seen.map(|(_, at)| self.keys.witness.sign(&text, *at)));
            let note = Note { text, signatures };
            files.insert(path, note.to_string().into_bytes());
        };
        note("checkpoint/end".to_owned(), plan.size);
        if plan.start_size > 0 {
            note("checkpoint/start".to_owned(), plan.start_size);
        }
        for (size, _) in &plan.cosigned {
            if (plan.first + 1..=plan.end).contains(size) {
                note(format!("checkpoint/cosigned/{size}"), *size);
            }
        }
    }

    fn proofs(&self, plan: &Plan, tree: &Tree, files: &mut Files) -> Result<(), LeafError> {
        let texts = |hashes: Vec<Hash>| hashes.iter().map(ToString::to_string).collect();
        let (from, to) = (plan.start_size, plan.size);
        if from > 0 && from < to {
            let hashes = texts(tree.consistency(from, to));
            let proof = serde_json::to_vec(&ConsistencyProof { from, to, hashes })?;
            files.insert("proof/consistency.json".to_owned(), proof);
        }
        let range = RangeProof {
            from: plan.first,
            to,
            left: texts(
                peaks(plan.first)
                    .map(|(level, at)| tree.node(level, at))
                    .collect(),
            ),
            right: texts(tree.consistency(plan.end, to)),
        };
        files.insert("proof/range.json".to_owned(), serde_json::to_vec(&range)?);
        let mut sessions: BTreeMap<&str, u64> = BTreeMap::new();
        for leaf in &self.leaves {
            if !(plan.first..plan.end).contains(&leaf.head.index) {
                continue;
            }
            if let LeafBody::Session(session) = &leaf.body {
                debug_assert!(session.event == SessionEvent::Open || session.to.is_some());
                sessions.insert(&session.session, leaf.head.index);
            }
        }
        let mut proofs: Vec<SessionProof> = sessions
            .into_iter()
            .map(|(session, index)| SessionProof {
                session: session.to_owned(),
                index,
                hashes: texts(tree.inclusion(index, to)),
            })
            .collect();
        proofs.sort_by_key(|proof| proof.index);
        let proofs = SessionProofs { size: to, proofs };
        files.insert(
            "proof/sessions.json".to_owned(),
            serde_json::to_vec(&proofs)?,
        );
        Ok(())
    }

    /// Maps, tokens and words for people.
    fn texts(&self, plan: &Plan, files: &mut Files) {
        for leaf in &self.leaves {
            if !(plan.first..plan.end).contains(&leaf.head.index) {
                continue;
            }
            let map = leaf
                .body
                .map()
                .and_then(|hash| Some((hash, self.maps.get(hash)?)));
            if let Some((digest, text)) = map.and_then(digest) {
                files.insert(format!("maps/{digest}.json"), text.clone().into_bytes());
            }
            let token = leaf.body.token();
            let token = token.and_then(|hash| Some((hash, self.tokens.get(hash)?)));
            if let Some((digest, text)) = token.and_then(digest) {
                files.insert(format!("tokens/{digest}.jws"), text.clone().into_bytes());
            }
        }
        let how = "lineside-verify --trust trust.toml bundle.zip\n";
        files.insert("HOW-TO-VERIFY.txt".to_owned(), how.into());
        files.insert("HOW-TO-VERIFY.zh-CN.txt".to_owned(), how.into());
    }

    fn report(&self, plan: &Plan, tree: &Tree, files: &Files) -> Totals {
        let (site, gateway) = place();
        let mut tally = Tally::new(Scope {
            site,
            gateway,
            origin: ORIGIN.to_owned(),
            from: plan.from,
            to: plan.to,
            first: plan.first,
        });
        for (path, text) in files {
            if path.starts_with("tokens/") {
                tally.take_token(text);
            }
        }
        for leaf in &self.leaves {
            if (plan.first..plan.end).contains(&leaf.head.index) {
                tally.take(leaf);
            }
        }
        let end = TreeEnd {
            end: plan.end,
            size: plan.size,
            root: tree.root(plan.size),
        };
        tally.finish(&end, &Sight::default()).totals
    }
}

fn digest<'a>((hash, text): (&'a str, &'a String)) -> Option<(&'a str, &'a String)> {
    Some((hash.strip_prefix("sha256:")?, text))
}

#[expect(clippy::expect_used, reason = "made-up names are good ones")]
fn place() -> (Identifier, Identifier) {
    let name = |text: &str| text.parse().expect("a good name");
    (name("site-01"), name("gateway-01"))
}

/// The tree over leaves, by their hashes.
struct Tree(Vec<Hash>);

impl Tree {
    fn node(&self, level: u8, index: u64) -> Hash {
        let Some(below) = level.checked_sub(1) else {
            let hash = usize::try_from(index)
                .ok()
                .and_then(|index| self.0.get(index));
            return hash.copied().unwrap_or_else(Hash::of_nothing);
        };
        let (left, right) = (self.node(below, index * 2), self.node(below, index * 2 + 1));
        Hash::of_node(&left, &right)
    }

    fn read(&self) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
        |level, index| Ok(self.node(level, index))
    }

    fn root(&self, size: u64) -> Hash {
        let Ok(hash) = root(size, self.read());
        hash
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        let Ok(hashes) = consistency(old, new, self.read());
        hashes
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let Ok(hashes) = inclusion(index, size, self.read());
        hashes
    }
}

/// Writes entries as a bundle.
///
/// # Errors
///
/// [`WriteError`].
pub fn zip(manifest: &Manifest, files: &Files) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        writer.add(path, bytes)?;
    }
    Ok(writer.finish(manifest.clone())?.into_inner())
}
