//! The machine maps of a bundle: check `maps`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::checks::{Checks, chain};
use crate::Identifier;
use crate::evidence::entry::{MAPS_BYTES_MAX, hex};
use crate::evidence::{Bundle, BundleError, Check, Entry, Manifest, Trust};
use crate::ledger::{Leaf, LeafBody};
use crate::text;

/// Maps that leaves name at most, each for a machine: as many as a bundle has entries.
const NAMED_MAX: usize = 100_000;

/// The maps that are there, by their digests.
pub(super) struct Maps(BTreeSet<String>);

/// The maps of a machine whose config leaf was met.
struct Force {
    /// Of its newest config leaf.
    told: String,
    /// Of its newest state leaf since the first of these.
    entered: Option<String>,
}

/// The maps that leaves name.
#[derive(Default)]
pub(super) struct Named {
    /// Which maps are in force, by machine: no more than named maps.
    force: BTreeMap<Identifier, Force>,
    /// By machine: which maps, and whether a usage leaf of the period names them.
    all: BTreeMap<Identifier, BTreeMap<String, bool>>,
    count: usize,
    is_full: bool,
}

impl Named {
    pub(super) fn take(&mut self, leaf: &Leaf, manifest: &Manifest, checks: &mut Checks) {
        self.name(leaf, manifest);
        if let Some((machine, found, known)) = self.hold(&leaf.body) {
            let index = leaf.head.index;
            let [found, known] = [found, known].map(|map| map.chars().take(80).collect::<String>());
            checks.fail(Check::Maps, || {
                text!(
                    "leaf {index}, machine {machine}: it names the map {found}, and {known} was in force",
                    "第 {index} 条记录，设备 {machine}：写明设备点表 {found}，而当时生效的是 {known}"
                )
            });
        }
    }

    /// Holds the map that a leaf names against those in force: gives the machine, that map, and the one that it should
    /// be. A state leaf has that of the newest config leaf; a usage leaf, too, or, for time before that came into
    /// force, that of the newest state leaf, since a machine joins with one.
    fn hold<'a>(&'a mut self, body: &'a LeafBody) -> Option<(&'a Identifier, &'a str, &'a str)> {
        if let LeafBody::Config(leaf) = body {
            if let Some(force) = self.force.get_mut(&leaf.machine) {
                force.told.clone_from(&leaf.map);
            } else if self.all.contains_key(&leaf.machine) {
                let (told, entered) = (leaf.map.clone(), None);
                let force = Force { told, entered };
                self.force.insert(leaf.machine.clone(), force);
            }
            None
        } else if let LeafBody::State(leaf) = body {
            let force = self.force.get_mut(&leaf.machine)?;
            force.entered = Some(leaf.config.clone());
            let is_told = force.told == leaf.config;
            (!is_told).then_some((&leaf.machine, leaf.config.as_str(), force.told.as_str()))
        } else if let LeafBody::Usage(leaf) = body {
            let force = self.force.get(&leaf.machine)?;
            let entered = force.entered.as_ref()?;
            let is_known = [&force.told, entered].contains(&&leaf.config);
            (!is_known).then_some((&leaf.machine, leaf.config.as_str(), entered.as_str()))
        } else {
            None
        }
    }

    fn name(&mut self, leaf: &Leaf, manifest: &Manifest) {
        let (machine, map, is_inside) = if let LeafBody::Usage(usage) = &leaf.body {
            let is_inside = manifest.from <= usage.from && usage.from < manifest.to;
            (&usage.machine, &usage.config, is_inside)
        } else if let LeafBody::Config(config) = &leaf.body {
            (&config.machine, &config.map, false)
        } else {
            return;
        };
        let known = self.all.get_mut(machine).and_then(|maps| maps.get_mut(map));
        if let Some(known) = known {
            *known |= is_inside;
        } else if self.count < NAMED_MAX {
            self.count += 1;
            let maps = self.all.entry(machine.clone()).or_default();
            maps.insert(map.clone(), is_inside);
        } else {
            self.is_full = true;
        }
    }
}

/// Reads all maps through.
pub(super) fn read<R: Read + Seek>(bundle: &mut Bundle<R>, checks: &mut Checks) -> Maps {
    let entries = bundle.paths().filter_map(Entry::from_path);
    let names: Vec<String> = entries
        .filter_map(|entry| {
            if let Entry::Map(digest) = entry {
                Some(digest)
            } else {
                None
            }
        })
        .collect();
    let mut there = BTreeSet::new();
    let mut bytes: u64 = 0;
    for digest in names {
        let path = Entry::Map(digest.clone()).to_string();
        bytes = bytes.saturating_add(bundle.file(&path).map_or(0, |file| file.bytes));
        if bytes > MAPS_BYTES_MAX {
            checks.fail(Check::Bundle, || {
                text!(
                    "the maps have more than {MAPS_BYTES_MAX} bytes together",
                    "设备点表合计超过 {MAPS_BYTES_MAX} 字节"
                )
            });
            break;
        }
        let found = bundle.sealed(&path).and_then(|sealed| {
            sealed.digest().map_err(|fault| BundleError::Entry {
                path: path.clone(),
                fault,
            })
        });
        match found {
            Ok(found) if hex(&found) == digest => {
                there.insert(digest);
            }
            Ok(found) => {
                let found = hex(&found);
                checks.fail(Check::Maps, || {
                    text!(
                        "{path} has the SHA-256 {found}: it is another map than its name says",
                        "{path} 的 SHA-256 是 {found}，与名称不符"
                    )
                });
            }
            Err(error) => {
                let why = chain(&error);
                checks.fail(Check::Bundle, || text!("entry {why}", "条目 {why}"));
            }
        }
    }
    Maps(there)
}

impl Maps {
    pub(super) fn finish(
        &self,
        named: &Named,
        manifest: &Manifest,
        trust: &Trust,
        checks: &mut Checks,
    ) {
        let (site, gateway) = (&manifest.site, &manifest.gateway);
        let all = named.all.iter();
        let all =
            all.flat_map(|(machine, maps)| maps.iter().map(move |(map, is)| (machine, map, is)));
        for (machine, map, is_inside) in all {
            let digest = map.strip_prefix("sha256:");
            let shown: String = map.chars().take(80).collect();
            if !digest.is_some_and(|digest| self.0.contains(digest)) {
                checks.fail(Check::Maps, || {
                    text!(
                        "machine {machine}: its map {shown} is missing",
                        "设备 {machine}：缺少设备点表 {shown}"
                    )
                });
            }
            if *is_inside && !trust.approves(site, gateway, machine, map) {
                checks.note(Check::Maps, || {
                    text!(
                        "machine {machine}: its map {shown} is not approved by the trust file",
                        "设备 {machine}：信任文件没有批准设备点表 {shown}"
                    )
                });
            }
        }
        if named.is_full {
            checks.fail(Check::Maps, || {
                text!(
                    "leaves name more than {NAMED_MAX} maps",
                    "记录提到的设备点表超过 {NAMED_MAX} 个"
                )
            });
        }
    }
}
