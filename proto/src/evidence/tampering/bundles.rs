//! Manifest, proofs, notes, totals, texts and the file itself.

use super::*;
use crate::{Identifier, Time};

/// A bundle on its way out: its manifest without entries, and those.
pub(super) struct Parcel {
    pub(super) honest: Honest,
    pub(super) manifest: Manifest,
    pub(super) files: Files,
}

impl Parcel {
    pub(super) fn new() -> Self {
        let honest = Honest::new();
        let (_, manifest, files) = &*SEALED;
        Self {
            honest,
            manifest: manifest.clone(),
            files: files.clone(),
        }
    }

    fn text(&mut self, path: &str, change: impl FnOnce(&str) -> String) {
        let bytes = self.files.get_mut(path).unwrap();
        let changed = change(std::str::from_utf8(bytes).unwrap()).into_bytes();
        assert_ne!(*bytes, changed, "{path}");
        *bytes = changed;
    }

    fn swap(&mut self, path: &str, from: &str, to: &str) {
        self.text(path, |text| text.replacen(from, to, 1));
    }

    /// The first hash of a list becomes another.
    fn hash(&mut self, path: &str, list: &str) {
        let begin = format!("\"{list}\":[\"");
        self.text(path, |text| {
            let at = text.find(&begin).unwrap() + begin.len();
            let other = if text[at..].starts_with('A') {
                "B"
            } else {
                "A"
            };
            format!("{}{other}{}", &text[..at], &text[at + 1..])
        });
    }

    pub(super) fn named(&self, prefix: &str) -> String {
        let mut paths = self.files.keys().filter(|path| path.starts_with(prefix));
        paths.next().unwrap().clone()
    }

    fn verified(&self) -> Verification {
        let bytes = zip(&self.manifest, &self.files).unwrap();
        verify_bytes(&bytes, Some(&self.honest.trust))
    }
}

pub(super) fn check(what: &str, change: impl FnOnce(&mut Parcel), check: Check, words: &str) {
    let mut parcel = Parcel::new();
    change(&mut parcel);
    refused(what, &parcel.verified(), check, words);
}

fn name(text: &str) -> Identifier {
    text.parse().unwrap()
}

const HOUR: i64 = 3_600_000;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_the_manifest_says() {
    check(
        "site",
        |p| p.manifest.site = name("site-02"),
        Check::Totals,
        "report.json/site: the report says",
    );
    check(
        "gateway",
        |p| p.manifest.gateway = name("gateway-02"),
        Check::Totals,
        "report.json/gateway: the report says",
    );
    check(
        "origin",
        |p| p.manifest.origin = "lineside.example/other".to_owned(),
        Check::Signature,
        "not of lineside.example/other",
    );
    check(
        "period shifted",
        |p| {
            p.manifest.from = p.manifest.from.plus_millis(-HOUR);
            p.manifest.to = p.manifest.to.plus_millis(-HOUR);
        },
        Check::Totals,
        "report.json/from: the report says",
    );
    check(
        "period of half hours",
        |p| p.manifest.from = p.manifest.from.plus_millis(HOUR / 2),
        Check::Bundle,
        "not of full hours",
    );
    check(
        "period turned round",
        |p| std::mem::swap(&mut p.manifest.from, &mut p.manifest.to),
        Check::Bundle,
        "is none, or not of full hours",
    );
    check(
        "period from before the leaves",
        |p| p.manifest.from = Time::from_millis(0),
        Check::Period,
        "what came before is missing",
    );
    check(
        "first",
        |p| p.manifest.first -= 256,
        Check::Tree,
        "proof/range.json",
    );
    check(
        "end",
        |p| p.manifest.end -= 256,
        Check::Leaves,
        "something follows leaf 767, the last of its part",
    );
    check(
        "size",
        |p| p.manifest.size += 1,
        Check::Tree,
        "checkpoint/end is of",
    );
    check(
        "start_size",
        |p| p.manifest.start_size -= 1,
        Check::Consistency,
        "checkpoint/start is of",
    );
    check(
        "sizes beyond each other",
        |p| p.manifest.start_size = p.manifest.size + 1,
        Check::Bundle,
        "the older tree has",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_proofs_and_notes_say() {
    check(
        "range left",
        |p| p.hash("proof/range.json", "left"),
        Check::Tree,
        "and checkpoint/end commits to",
    );
    check(
        "range right",
        |p| p.hash("proof/range.json", "right"),
        Check::Tree,
        "and checkpoint/end commits to",
    );
    check(
        "range numbers",
        |p| p.swap("proof/range.json", "\"from\":", "\"from\":1"),
        Check::Tree,
        "proof/range.json is of other leaves",
    );
    check(
        "consistency",
        |p| p.hash("proof/consistency.json", "hashes"),
        Check::Consistency,
        "is not the beginning of checkpoint/end",
    );
    check(
        "session",
        |p| p.hash("proof/sessions.json", "hashes"),
        Check::Sessions,
        "proof/sessions.json: session 01SAMPLE",
    );
    check(
        "a session's proof left out",
        |p| {
            p.text("proof/sessions.json", |text| {
                let mut proofs: crate::evidence::SessionProofs =
                    serde_json::from_str(text).unwrap();
                let place = proofs.proofs.len() / 2;
                proofs.proofs.remove(place);
                serde_json::to_string(&proofs).unwrap()
            });
        },
        Check::Sessions,
        "there is no proof of leaf",
    );
    check(
        "tile",
        |p| {
            let path = p.named("tile/1/");
            p.files.get_mut(&path).unwrap()[0] ^= 1;
        },
        Check::Tiles,
        "tile/1/000.p/4: hash 0 is not that of leaves 0 to 255",
    );
    check(
        "stale start",
        |p| {
            let path = p.named("checkpoint/cosigned/");
            p.files
                .insert("checkpoint/start".to_owned(), p.files[&path].clone());
        },
        Check::Consistency,
        "checkpoint/start is of",
    );
    check(
        "cosignature of another head",
        |p| {
            let path = p.named("checkpoint/cosigned/");
            let seen = String::from_utf8(p.files[&path].clone()).unwrap();
            let line = seen
                .lines()
                .find(|line| line.starts_with("\u{2014} archive.example"))
                .unwrap();
            p.text("checkpoint/end", |text| {
                let own = text
                    .lines()
                    .filter(|line| !line.starts_with("\u{2014} archive.example"));
                let own: String = own.map(|line| format!("{line}\n")).collect();
                format!("{own}{line}\n")
            });
        },
        Check::Signature,
        "the signature of archive.example does not fit",
    );
    check(
        "signature of another note",
        |p| {
            let start = String::from_utf8(p.files["checkpoint/start"].clone()).unwrap();
            let line = start
                .lines()
                .find(|line| line.starts_with("\u{2014} lineside"))
                .unwrap();
            p.text("checkpoint/end", |text| {
                let head = text.split("\n\n").next().unwrap();
                format!("{head}\n\n{line}\n")
            });
        },
        Check::Signature,
        "does not fit",
    );
    check(
        "a head named by another size",
        |p| {
            let paths: Vec<String> = p
                .files
                .keys()
                .filter(|path| path.starts_with("checkpoint/cosigned/"))
                .cloned()
                .collect();
            let text = p.files[&paths[0]].clone();
            p.files.insert(paths[1].clone(), text);
        },
        Check::Consistency,
        "does not have the root that the leaves give",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_totals_and_texts_say() {
    let report = |what: &str, from: &str, to: &str, words: &str| {
        check(
            what,
            |p| p.swap("report.json", from, to),
            Check::Totals,
            words,
        );
    };
    report(
        "hours",
        "\"active_ms\":",
        "\"active_ms\":9",
        "/active_ms: the report says 9",
    );
    report(
        "grade",
        "\"grade\":\"D\"",
        "\"grade\":\"A\"",
        "/grade: the report says \"A\"",
    );
    report(
        "class",
        "\"class\":\"UNB\"",
        "\"class\":\"EXT\"",
        "/class: the report says \"EXT\"",
    );
    report(
        "coverage",
        "\"coverage_pm\":",
        "\"coverage_pm\":1",
        "/coverage_pm: the report says 1",
    );
    report("outcomes", "\"no-show\":1", "\"fulfilled\":1", "/bookings/");
    report(
        "root",
        "\"root\":\"",
        "\"root\":\"A",
        "report.json/root: the report says",
    );
    report("no totals", "{", "[", "report.json: no totals");
    check(
        "swapped maps",
        |p| {
            let paths: Vec<String> = p
                .files
                .keys()
                .filter(|path| path.starts_with("maps/"))
                .cloned()
                .collect();
            let one = p.files[&paths[0]].clone();
            let other = p.files.insert(paths[1].clone(), one).unwrap();
            p.files.insert(paths[0].clone(), other);
        },
        Check::Maps,
        "it is another map than its name says",
    );
    check(
        "a map left out",
        |p| {
            let path = p.named("maps/");
            p.files.remove(&path);
        },
        Check::Maps,
        "is missing",
    );
    check(
        "a token left out",
        |p| {
            let paths: Vec<String> = p
                .files
                .keys()
                .filter(|path| path.starts_with("tokens/"))
                .cloned()
                .collect();
            paths.iter().for_each(|path| drop(p.files.remove(path)));
        },
        Check::Tokens,
        "which is not in the bundle",
    );
    check(
        "a token under another's name",
        |p| {
            let paths: Vec<String> = p
                .files
                .keys()
                .filter(|path| path.starts_with("tokens/"))
                .cloned()
                .collect();
            let last = p.files[paths.last().unwrap()].clone();
            for path in &paths {
                p.files.insert(path.clone(), last.clone());
            }
        },
        Check::Tokens,
        "which is not in the bundle",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn leaves_in_the_file() {
    let lines = |what: &str, change: fn(&mut Vec<String>), on: Check, words: &str| {
        check(
            what,
            |p| {
                let path = p.named("leaves/");
                p.text(&path, |text| {
                    let mut lines: Vec<String> =
                        text.lines().map(|line| format!("{line}\n")).collect();
                    change(&mut lines);
                    lines.concat()
                });
            },
            on,
            words,
        );
    };
    lines(
        "reordered",
        |lines| lines.swap(20, 21),
        Check::Leaves,
        "leaf 276 says that it is leaf 277",
    );
    lines(
        "one left out",
        |lines| drop(lines.remove(20)),
        Check::Leaves,
        "is missing: its part breaks off",
    );
    lines(
        "the end left out",
        |lines| lines.truncate(lines.len() - 9),
        Check::Leaves,
        "is missing: its part breaks off",
    );
    lines(
        "one twice",
        |lines| lines.insert(20, lines[20].clone()),
        Check::Leaves,
        "something follows leaf 1023, the last of its part",
    );
    lines(
        "not canonical",
        |lines| lines[20] = lines[20].replacen(':', ": ", 1),
        Check::Leaves,
        "not the canonical form of a leaf",
    );
    lines(
        "of a kind that is not known",
        |lines| lines[20] = lines[20].replacen("\"type\":\"", "\"type\":\"x", 1),
        Check::Leaves,
        "no leaf of a known kind",
    );
    lines(
        "of a later version",
        |lines| lines[20] = lines[20].replacen("\"v\":1", "\"v\":2", 1),
        Check::Leaves,
        "a leaf of version 2; this program knows version 1",
    );
    check(
        "a part left out",
        |p| {
            let path = p.named("leaves/");
            p.files.remove(&path);
        },
        Check::Leaves,
        "leaves 256 to 1023 are missing",
    );
    check(
        "another name",
        |p| {
            let path = p.named("leaves/");
            let part = p.files.remove(&path).unwrap();
            p.files.insert("leaves/0000000001.jsonl".to_owned(), part);
        },
        Check::Leaves,
        "no part of these leaves begins there",
    );
}

#[test]
fn the_file_itself() {
    let parcel = Parcel::new();
    let good = zip(&parcel.manifest, &parcel.files).unwrap();
    let verified = |bytes: &[u8]| verify_bytes(bytes, Some(&parcel.honest.trust));
    assert_eq!(verified(&good).verdict, Verdict::Verified);
    refused(
        "cut",
        &verified(&good[..good.len() - 1]),
        Check::Bundle,
        "no zip file, or a damaged one",
    );
    refused(
        "nothing",
        &verified(b""),
        Check::Bundle,
        "no zip file, or a damaged one",
    );
    // Somewhere in an entry's bytes: only its hash, or its inflation, tells.
    for part in 1..8 {
        let mut changed = good.clone();
        let at = changed.len() / 9 * part;
        changed[at] ^= 0x10;
        let failed = failed(&verified(&changed));
        assert!(
            failed.contains_key(&Check::Bundle),
            "byte {at}: {failed:#?}"
        );
    }
}
