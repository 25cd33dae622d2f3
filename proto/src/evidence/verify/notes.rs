//! The checkpoints of a bundle: who signed them, and what they commit to.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::checks::{Checks, chain};
use super::period::Period;
use super::reading::Reading;
use super::signers::Signers;
use crate::evidence::{Bundle, Check, Entry, Manifest, Trust, Witnessed};
use crate::ledger::Checkpoint;
use crate::ledger::note::Note;
use crate::text;

/// A checkpoint that could be read.
pub(super) struct Head {
    pub(super) entry: Entry,
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
}

/// A bundle's checkpoints.
pub(super) struct Notes {
    end: Option<Head>,
    start: Option<Head>,
    cosigned: BTreeMap<u64, Head>,
    witnessed: Vec<Witnessed>,
    has_witness: bool,
}

impl Notes {
    /// Reads them.
    pub(super) fn read<R: Read + Seek>(
        bundle: &mut Bundle<R>,
        manifest: &Manifest,
        checks: &mut Checks,
    ) -> Self {
        let end = head(bundle, Entry::End, checks);
        let start = (manifest.start_size > 0).then(|| head(bundle, Entry::Start, checks));
        let entries = bundle.paths().filter_map(Entry::from_path);
        let sizes: Vec<u64> = entries
            .filter_map(|entry| {
                if let Entry::Cosigned(size) = entry {
                    Some(size)
                } else {
                    None
                }
            })
            .collect();
        let mut cosigned = BTreeMap::new();
        for size in sizes {
            if let Some(head) = head(bundle, Entry::Cosigned(size), checks) {
                cosigned.insert(size, head);
            }
        }
        Self {
            end: sized(end, manifest.size, Check::Tree, checks),
            start: sized(
                start.flatten(),
                manifest.start_size,
                Check::Consistency,
                checks,
            ),
            cosigned,
            witnessed: Vec::new(),
            has_witness: false,
        }
    }

    /// What the newest note commits to.
    pub(super) fn end(&self) -> Option<&Checkpoint> {
        self.end.as_ref().map(|head| &head.checkpoint)
    }

    /// What the older one commits to.
    pub(super) fn start(&self) -> Option<&Checkpoint> {
        self.start.as_ref().map(|head| &head.checkpoint)
    }

    /// What the notes that a witness has cosigned commit to, by the size in their names.
    pub(super) fn cosigned(&self) -> impl Iterator<Item = (u64, &Checkpoint)> {
        let heads = self.cosigned.iter();
        heads.map(|(size, head)| (*size, &head.checkpoint))
    }

    /// Who signed: check `signature`, and what witnesses saw.
    pub(super) fn sign(
        &mut self,
        manifest: &Manifest,
        trust: &Trust,
        reading: &Reading<'_>,
        checks: &mut Checks,
    ) {
        let mut signers = Signers::of(manifest, trust, reading.keys());
        self.has_witness = !trust.witnesses.is_empty();
        let heads = [&self.end, &self.start].into_iter().flatten();
        for head in heads.chain(self.cosigned.values()) {
            let at = reading.period.time_of(head.checkpoint.size, manifest);
            signers.check(head, at, checks);
        }
        checks.is_trusted = self.end.is_some() && signers.finish(checks);
        self.witnessed = signers.into_witnessed();
        if self.end.is_none() {
            checks.fail(Check::Signature, || {
                text!(
                    "there is no checkpoint that could be read",
                    "没有可读的签名存证点"
                )
            });
        }
    }

    /// Check `witness`; what trusted witnesses saw.
    pub(super) fn witnessed(&self, period: &Period, checks: &mut Checks) -> Vec<Witnessed> {
        let newest = self.witnessed.iter().max_by_key(|seen| seen.size);
        let size = newest.map_or(0, |seen| seen.size);
        let of_newest = self.witnessed.iter().filter(|seen| seen.size == size);
        checks.cosigned = of_newest.map(|seen| seen.at).min();
        match (newest, period.last_inside()) {
            (None, _) if self.has_witness => checks.note(Check::Witness, || {
                text!(
                    "no trusted witness has cosigned any checkpoint of the bundle",
                    "证据包里的签名存证点都没有可信见证方的会签"
                )
            }),
            (None, _) => checks.note(Check::Witness, || {
                text!(
                    "no witness is trusted: nobody but the gateway says when the leaves were there",
                    "没有可信的见证方：记录何时写下，只有网关自己说了算"
                )
            }),
            (Some(seen), Some(last)) if seen.size <= last => {
                let (size, at) = (seen.size, seen.at);
                checks.note(
                    Check::Witness,
                    || text!("the last cosigned checkpoint is of {size} leaves, of {at}: the period ends with leaf {last}", "最后一次会签的签名存证点有 {size} 条记录（{at}），而时段的最后一条是第 {last} 条"),
                );
            }
            (Some(_), _) => {}
        }
        self.witnessed.clone()
    }
}

fn head<R: Read + Seek>(bundle: &mut Bundle<R>, entry: Entry, checks: &mut Checks) -> Option<Head> {
    let bytes = checks.entry(bundle, &entry)?;
    let text = String::from_utf8_lossy(&bytes);
    let parsed = Note::parse(&text).map_err(|error| chain(&error));
    let parsed = parsed.and_then(|note| {
        let checkpoint = Checkpoint::parse(&note.text).map_err(|error| chain(&error))?;
        Ok((note, checkpoint))
    });
    match parsed {
        Ok((note, checkpoint)) => Some(Head {
            entry,
            note,
            checkpoint,
        }),
        Err(why) => {
            checks.fail(Check::Signature, || {
                text!("{entry}: {why}", "{entry}:{why}")
            });
            None
        }
    }
}

/// A head, if it is of the size that the manifest says.
fn sized(head: Option<Head>, size: u64, check: Check, checks: &mut Checks) -> Option<Head> {
    let head = head?;
    let found = head.checkpoint.size;
    if found == size {
        return Some(head);
    }
    let entry = &head.entry;
    checks.fail(check, || {
        text!(
            "{entry} is of {found} leaves, and the manifest says {size}",
            "{entry} 有 {found} 条记录，清单却说 {size} 条"
        )
    });
    None
}
