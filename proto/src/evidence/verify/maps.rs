//! The machine maps of a bundle: check `maps`.

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use super::checks::{Checks, chain};
use crate::Identifier;
use crate::evidence::entry::{MAPS_BYTES_MAX, hex};
use crate::evidence::say::said;
use crate::evidence::{Bundle, BundleError, Check, Entry, Manifest, Trust};
use crate::ledger::{Leaf, LeafBody};

/// Maps that leaves name at most, each for a machine: as many as a bundle has entries.
const NAMED_MAX: usize = 100_000;

/// The maps that are there, by their digests.
pub(super) struct Maps(BTreeSet<String>);

/// The maps that leaves name.
#[derive(Default)]
pub(super) struct Named {
    /// For which machine, and whether in the period.
    all: BTreeSet<(Identifier, String, bool)>,
    is_full: bool,
}

impl Named {
    pub(super) fn take(&mut self, leaf: &Leaf, manifest: &Manifest) {
        let (machine, map, is_inside) = match &leaf.body {
            LeafBody::Usage(usage) => {
                let is_inside = manifest.from <= usage.from && usage.from < manifest.to;
                (&usage.machine, &usage.config, is_inside)
            }
            LeafBody::Config(config) => (&config.machine, &config.map, false),
            _ => return,
        };
        // Few, and asked for by every leaf: looked up without a copy.
        let known = |(one, hash, inside): &(Identifier, String, bool)| {
            one == machine && hash == map && *inside == is_inside
        };
        let same = self
            .all
            .range((machine.clone(), map.clone(), is_inside)..)
            .next();
        if same.is_some_and(known) {
            return;
        }
        if self.all.len() < NAMED_MAX {
            self.all.insert((machine.clone(), map.clone(), is_inside));
        } else {
            self.is_full = true;
        }
    }
}

/// Reads all maps through.
pub(super) fn read<R: Read + Seek>(bundle: &mut Bundle<R>, checks: &mut Checks) -> Maps {
    let entries = bundle.paths().filter_map(Entry::from_path);
    let names: Vec<String> = entries
        .filter_map(|entry| match entry {
            Entry::Map(digest) => Some(digest),
            _ => None,
        })
        .collect();
    let mut there = BTreeSet::new();
    let mut bytes: u64 = 0;
    for digest in names {
        let path = Entry::Map(digest.clone()).to_string();
        bytes = bytes.saturating_add(bundle.file(&path).map_or(0, |file| file.bytes));
        if bytes > MAPS_BYTES_MAX {
            checks.fail(Check::Bundle, || {
                said!(
                    "the maps have more than {MAPS_BYTES_MAX} bytes together",
                    "点表合计超过 {MAPS_BYTES_MAX} 字节"
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
                    said!(
                        "{path} has the SHA-256 {found}: it is another map than its name says",
                        "{path} 的 SHA-256 是 {found},与名称不符"
                    )
                });
            }
            Err(error) => {
                let why = chain(&error);
                checks.fail(Check::Bundle, || said!("entry {why}", "条目 {why}"));
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
        for (machine, map, is_inside) in &named.all {
            let digest = map.strip_prefix("sha256:");
            let shown: String = map.chars().take(80).collect();
            if !digest.is_some_and(|digest| self.0.contains(digest)) {
                checks.fail(Check::Maps, || {
                    said!(
                        "machine {machine}: its map {shown} is missing",
                        "设备 {machine}:缺少点表 {shown}"
                    )
                });
            }
            if *is_inside && !trust.approves(site, gateway, machine, map) {
                checks.note(Check::Maps, || {
                    said!(
                        "machine {machine}: its map {shown} is not approved by the trust file",
                        "设备 {machine}:信任文件没有批准点表 {shown}"
                    )
                });
            }
        }
        if named.is_full {
            checks.fail(Check::Maps, || {
                said!(
                    "leaves name more than {NAMED_MAX} maps",
                    "叶提到的点表超过 {NAMED_MAX} 个"
                )
            });
        }
    }
}
