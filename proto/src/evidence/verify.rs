//! Verifies a bundle: every check of `proto/EVIDENCE.md` section 2, in one pass over its leaves.
//!
//! Parts of leaves are inflated, checked and parsed by a few threads, each part whole; one stage takes them in their
//! order. In memory at a time: a part a thread, what the tally keeps, the tiles and the proofs.

mod checks;
mod clock;
mod growth;
mod maps;
mod notes;
mod parts;
mod period;
mod proofs;
mod reading;
mod signers;
#[cfg(test)]
mod tests;
mod tiles;

use crate::text::Language;
use std::io::{Cursor, Read, Seek};

use sha2::{Digest, Sha256};

use super::entry::hex;
use super::{
    Bundle, Check, Entry, Manifest, Sight, Tallied, Totals, TreeEnd, Trust, Verification,
    differences_in,
};
use crate::ledger::tree::Hash;
use crate::text;
use checks::Checks;
use notes::Notes;
use proofs::Proofs;
use reading::Reading;

/// Leaves of a bundle at most: thirty years of a large gateway.
const LEAVES_MAX: u64 = 1 << 26;

/// Bytes of all leaves of a bundle at most, inflated: eight years of a large gateway.
const LEAVES_BYTES_MAX: u64 = 8 << 30;

/// Verifies a bundle in memory; what is said is in English.
pub fn verify_bytes(bytes: &[u8], trust: Option<&Trust>) -> Verification {
    verify(Cursor::new(bytes), trust, Language::En)
}

/// Verifies a bundle. Nothing makes this fail but what the verification says: a file that can't be read fails the
/// check `bundle`.
pub fn verify<R: Read + Seek>(
    source: R,
    trust: Option<&Trust>,
    language: Language,
) -> Verification {
    let nobody = Trust::default();
    let mut checks = Checks::new(language);
    let mut bundle = match Bundle::open(source) {
        Ok(bundle) => bundle,
        Err(error) => {
            let why = checks::chain(&error);
            checks.fail(Check::Bundle, || {
                text!("the file is no bundle: {why}", "文件不是证据包：{why}")
            });
            return checks.end(None, None);
        }
    };
    for fault in bundle.names() {
        checks.fail(Check::Bundle, || fault);
    }
    let manifest = bundle.manifest().clone();
    let is_sound = numbers(&manifest, &mut checks);
    let mut totals = None;
    if is_sound {
        let trust = trust.unwrap_or(&nobody);
        totals = leaves(&mut bundle, &manifest, trust, &mut checks);
    }
    checks.end(Some(manifest), totals)
}

/// What the manifest's numbers must be.
fn numbers(manifest: &Manifest, checks: &mut Checks) -> bool {
    const HOUR_MS: i64 = 3_600_000;
    let Manifest {
        first,
        end,
        size,
        start_size,
        from,
        to,
        ..
    } = manifest;
    let mut is_sound = true;
    let mut demand = |holds: bool, said| {
        is_sound &= holds;
        if !holds {
            checks.fail(Check::Bundle, || said);
        }
    };
    demand(
        first <= end && end <= size && end - first <= LEAVES_MAX,
        text!(
            "manifest.json: leaves from {first} to {end} of {size} can't be, or are more than {LEAVES_MAX}",
            "manifest.json：记录从 {first} 到 {end}、共 {size} 条，数目不可能或超过 {LEAVES_MAX}"
        ),
    );
    demand(
        first % 256 == 0 && (end % 256 == 0 || end == size),
        text!(
            "manifest.json: leaves from {first} to {end} of {size} don't begin and end at multiples of 256",
            "manifest.json：第 {first} 至 {end} 条记录（共 {size} 条）没有在 256 的倍数处开始和结束"
        ),
    );
    demand(
        start_size <= size,
        text!(
            "manifest.json: the older tree has {start_size} leaves, the newer one {size}",
            "manifest.json：旧树有 {start_size} 条记录，新树只有 {size} 条"
        ),
    );
    let is_hour = |ms: i64| ms.rem_euclid(HOUR_MS) == 0;
    demand(
        from < to && is_hour(from.as_millis()) && is_hour(to.as_millis()),
        text!(
            "manifest.json: a period from {from} to {to} is none, or not of full hours",
            "manifest.json：{from} 到 {to} 不是整点开始和结束的时段"
        ),
    );
    is_sound
}

/// Everything that needs the leaves.
fn leaves<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    manifest: &Manifest,
    trust: &Trust,
    checks: &mut Checks,
) -> Option<Totals> {
    let mut notes = Notes::read(bundle, manifest, checks);
    let proofs = Proofs::read(bundle, manifest, checks);
    let tiles = tiles::read(bundle, manifest, checks);
    let maps = maps::read(bundle, checks);
    let report = checks.entry(bundle, &Entry::Report);
    for entry in [Entry::HowTo, Entry::HowToZh] {
        checks.entry_if(bundle, &entry);
    }
    let mut reading = Reading::new(manifest, &notes, proofs, tiles, checks);
    for (digest, path) in tokens(bundle) {
        let Some(text) = checks.entry(bundle, &path) else {
            continue;
        };
        let found = hex(&Sha256::digest(&text));
        if found == digest {
            reading.tally.take_token(&text);
        } else {
            checks.fail(Check::Tokens, || {
                text!(
                    "{path} has the SHA-256 {found}: it is another token than its name says",
                    "{path} 的 SHA-256 是 {found}，与名称不符"
                )
            });
        }
    }
    let is_whole = parts::read(bundle, manifest, checks, |part, checks| {
        reading.take(part, checks);
    });
    notes.sign(manifest, trust, &reading, checks);
    if !is_whole {
        checks.skip(&AFTER_LEAVES);
        return None;
    }
    let root = notes.end().map(|head| head.root);
    reading.finish_tree(&notes, checks);
    if reading.is_broken() {
        checks.skip(&AFTER_EACH_LEAF);
        return None;
    }
    reading.period.finish(manifest, checks);
    reading.finish_time(checks);
    maps.finish(&reading.named, manifest, trust, checks);
    let witnessed = notes.witnessed(&reading.period, checks);
    let tree = TreeEnd {
        end: manifest.end,
        size: manifest.size,
        root: root.unwrap_or_else(Hash::of_nothing),
    };
    // One after the other: a year's totals as two see them need not be in memory together.
    let nobodys = reading.tally.finish(&tree, &Sight::default());
    totals(report, root, &nobodys, checks);
    drop(nobodys);
    let trust = trust.clone();
    let mine = reading.tally.finish(&tree, &Sight { trust, witnessed });
    reading.finish_sessions(checks);
    checks.add(Check::Sessions, mine.sessions);
    checks.add(Check::Tokens, mine.tokens);
    Some(mine.totals)
}

/// What can't be said when leaves are missing.
const AFTER_LEAVES: [Check; 10] = [
    Check::Tree,
    Check::Consistency,
    Check::Tiles,
    Check::Period,
    Check::Time,
    Check::Sessions,
    Check::Tokens,
    Check::Maps,
    Check::Witness,
    Check::Totals,
];

/// What can't be said when a leaf can't be read.
const AFTER_EACH_LEAF: [Check; 7] = [
    Check::Period,
    Check::Time,
    Check::Sessions,
    Check::Tokens,
    Check::Maps,
    Check::Witness,
    Check::Totals,
];

/// The tokens' names, each with the digest in it.
fn tokens<R: Read + Seek>(bundle: &Bundle<R>) -> Vec<(String, Entry)> {
    let entries = bundle.paths().filter_map(Entry::from_path);
    let tokens = entries.filter_map(|entry| {
        let Entry::Token(digest) = &entry else {
            return None;
        };
        Some((digest.clone(), entry))
    });
    tokens.collect()
}

fn totals(report: Option<Vec<u8>>, root: Option<Hash>, made: &Tallied, checks: &mut Checks) {
    let Some(report) = report.filter(|_| root.is_some()) else {
        return checks.skip(&[Check::Totals]);
    };
    match differences_in(&report, &made.totals) {
        Ok(found) => checks.add(Check::Totals, found),
        Err(error) => checks.fail(Check::Totals, || {
            text!(
                "report.json: no totals: {error}",
                "report.json：不是汇总：{error}"
            )
        }),
    }
}
