//! What the checks found, on the way.

use crate::text::Language;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{Read, Seek};

use crate::Time;
use crate::evidence::{
    Bundle, Check, CheckResult, Entry, Findings, Manifest, Status, Totals, Verdict, Verification,
};
use crate::text;
use crate::text::Text;

/// An error with what it rests on, as one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The checks, as far as they have got.
pub(super) struct Checks {
    language: Language,
    found: BTreeMap<Check, Findings>,
    skipped: BTreeSet<Check>,
    /// Whether a trusted key signed the newest head.
    pub(super) is_trusted: bool,
    /// When a trusted witness cosigned the newest head.
    pub(super) cosigned: Option<Time>,
    /// Whether anything could be looked into.
    has_begun: bool,
}

impl Checks {
    pub(super) fn new(language: Language) -> Self {
        Self {
            language,
            found: BTreeMap::new(),
            skipped: BTreeSet::new(),
            is_trusted: false,
            cosigned: None,
            has_begun: false,
        }
    }

    fn at(&mut self, check: Check) -> &mut Findings {
        self.found.entry(check).or_default()
    }

    /// Something does not hold.
    pub(super) fn fail(&mut self, check: Check, text: impl FnOnce() -> Text) {
        self.at(check).fail(text);
    }

    /// Something holds, and is to be known.
    pub(super) fn note(&mut self, check: Check, text: impl FnOnce() -> Text) {
        self.at(check).note(text);
    }

    /// What was found elsewhere.
    pub(super) fn add(&mut self, check: Check, found: Findings) {
        self.at(check).join(found);
    }

    /// These could not be done.
    pub(super) fn skip(&mut self, checks: &[Check]) {
        self.skipped.extend(checks);
    }

    /// The bytes of an entry that must be there; what is wrong with it fails `bundle`.
    pub(super) fn entry<R: Read + Seek>(
        &mut self,
        bundle: &mut Bundle<R>,
        entry: &Entry,
    ) -> Option<Vec<u8>> {
        self.has_begun = true;
        match bundle.read(&entry.to_string()) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let why = chain(&error);
                self.fail(Check::Bundle, || text!("entry {why}", "条目 {why}"));
                None
            }
        }
    }

    /// The same of an entry that may be missing.
    pub(super) fn entry_if<R: Read + Seek>(
        &mut self,
        bundle: &mut Bundle<R>,
        entry: &Entry,
    ) -> Option<Vec<u8>> {
        let is_there = bundle.has(&entry.to_string());
        is_there.then(|| self.entry(bundle, entry)).flatten()
    }

    /// Reads an entry through of which nothing else is asked; what is wrong with it fails `bundle`.
    pub(super) fn digest<R: Read + Seek>(&mut self, bundle: &mut Bundle<R>, entry: &Entry) {
        let path = entry.to_string();
        let sealed = bundle.sealed(&path).map_err(|error| chain(&error));
        let opened = sealed.and_then(|sealed| {
            let opened = sealed.digest();
            opened.map_err(|fault| format!("{path}: {}", chain(&fault)))
        });
        if let Err(why) = opened {
            self.fail(Check::Bundle, || text!("entry {why}", "条目 {why}"));
        }
    }

    /// What there is to say in the end.
    pub(super) fn end(
        mut self,
        manifest: Option<Manifest>,
        totals: Option<Totals>,
    ) -> Verification {
        let results: Vec<CheckResult> = Check::ALL
            .into_iter()
            .map(|check| self.result(check))
            .collect();
        let failed = results.iter().any(|one| one.status == Status::Failed);
        Verification {
            v: 1,
            verdict: match (failed, self.is_trusted) {
                (true, _) => Verdict::Failed,
                (false, false) => Verdict::SelfConsistent,
                (false, true) => Verdict::Verified,
            },
            checks: results,
            manifest: manifest.map(|mut manifest| {
                manifest.files.clear();
                manifest
            }),
            cosigned: self.cosigned,
            totals,
        }
    }

    fn result(&mut self, check: Check) -> CheckResult {
        let mut found = self.found.remove(&check).unwrap_or_default();
        let is_run = check == Check::Bundle || self.has_begun;
        if !is_run || self.skipped.contains(&check) {
            found.fail(|| text!("not run", "未执行"));
        }
        found.result(check, self.language, || checked(check))
    }
}

/// What a check says where nothing was found.
fn checked(check: Check) -> Text {
    match check {
        Check::Bundle => text!(
            "a zip file within its bounds, and every entry is the one that the manifest names",
            "压缩包没有超出限制，每个条目都与清单一致"
        ),
        Check::Signature => text!(
            "every checkpoint is signed by a trusted key of this gateway",
            "每个签名存证点都由本网关的可信密钥签名"
        ),
        Check::Tree => text!(
            "the leaves are in the tree that was signed",
            "记录都在签过名的树里"
        ),
        Check::Consistency => text!(
            "older heads are the beginning of the newest one",
            "较早的树头都是最新树头的前身"
        ),
        Check::Tiles => text!("the tiles are those of the leaves", "树块与记录一致"),
        Check::Leaves => text!(
            "every leaf is well formed and at its place, and none is missing",
            "每条记录的格式和位置都正确，没有缺失"
        ),
        Check::Period => text!("the leaves cover the period", "记录覆盖整个时段"),
        Check::Time => text!(
            "every machine's time adds up, and no clock runs backwards",
            "每台设备的时间都对得上，时钟没有倒走"
        ),
        Check::Sessions => text!("sessions follow their rules", "上机记录符合规则"),
        Check::Tokens => text!(
            "every external session has a good token",
            "每个对外上机记录都有有效的预约令牌"
        ),
        Check::Maps => text!(
            "every map is there, and those of the period are approved",
            "设备点表齐全，时段内使用的都已批准"
        ),
        Check::Witness => text!(
            "a trusted witness has cosigned what lies in the period",
            "时段内的内容已由可信见证方会签"
        ),
        Check::Totals => text!(
            "the report's totals are those of the leaves",
            "报告里的汇总与记录算出的一致"
        ),
    }
}
