//! What is wrong with a configuration: where, what, and what would be right.
//!
//! A report holds at most [`FAULTS_MAX`] faults and counts the rest.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::source::{Place, Position, Source};
use crate::text::Text;

/// Faults kept: more than anybody mends in one go, and a bound on memory when a file is garbage.
pub const FAULTS_MAX: usize = 10_000;

/// How bad a fault is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, though perhaps not as meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// The file.
    pub file: Arc<Source>,
    /// Where in its text, in bytes; none: the file as a whole.
    pub span: Option<Range<usize>>,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault it is: a word that stays the same, for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: Text,
    /// What would be right.
    pub hint: Option<Text>,
}

impl Fault {
    pub(super) fn error(code: &'static str, at: &Place, message: Text) -> Self {
        let (file, span) = (Arc::clone(&at.file), at.span.clone());
        Self {
            file,
            span,
            severity: Severity::Error,
            code,
            message,
            hint: None,
        }
    }

    pub(super) fn warning(code: &'static str, at: &Place, message: Text) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, at, message)
        }
    }

    pub(super) fn hint(self, hint: Text) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// Line and column of the fault; none: it concerns the file as a whole.
    pub fn position(&self) -> Option<Position> {
        self.span
            .as_ref()
            .map(|span| self.file.position(span.start))
    }

    fn key(&self) -> (usize, usize, usize, Severity, &'static str) {
        let span = self.span.clone().unwrap_or_default();
        (
            self.file.order(),
            span.start,
            span.end,
            self.severity,
            self.code,
        )
    }
}

/// Every fault of a configuration, in the order of files and lines.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// The given faults, in their order.
    pub fn new(list: Vec<Fault>) -> Self {
        Self { list, more: 0 }
    }

    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults that were counted and not kept.
    pub fn more(&self) -> usize {
        self.more
    }

    /// How many faults kept are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.iter()
            .filter(|fault| fault.severity == severity)
            .count()
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.list
    }
}

/// Where the walks over the files put what they find.
#[derive(Default, Debug)]
pub(super) struct Report {
    list: RefCell<Vec<Fault>>,
    more: Cell<usize>,
    incomplete: RefCell<BTreeSet<usize>>,
}

/// Faults that a missing part may cause: not worth saying of a file that has faults of syntax, or
/// whose template or spreadsheet can't be read.
const FOLLOW_ON: [&str; 9] = [
    "rule",
    "missing-key",
    "no-points",
    "no-rules",
    "empty-group",
    "unknown-group",
    "unknown-point",
    "unknown-connection",
    "unused-connection",
];

impl Report {
    pub(super) fn add(&self, fault: Fault) {
        let mut list = self.list.borrow_mut();
        if list.len() < FAULTS_MAX {
            list.push(fault);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    pub(super) fn error(&self, code: &'static str, at: &Place, message: Text) {
        self.add(Fault::error(code, at, message));
    }

    /// Remembers that parts of what a file means are missing.
    pub(super) fn set_incomplete(&self, file: &Source) {
        self.incomplete.borrow_mut().insert(file.order());
    }

    /// Whether parts of what a file means are missing.
    pub(super) fn is_incomplete(&self, file: &Source) -> bool {
        self.incomplete.borrow().contains(&file.order())
    }

    /// The faults in order, each once (a template's faults are found by each of its maps), and
    /// without those that only follow from others.
    pub(super) fn into_faults(self) -> Faults {
        let mut list = self.list.into_inner();
        list.sort_by(|a, b| (a.key(), &a.message.en).cmp(&(b.key(), &b.message.en)));
        list.dedup_by(|a, b| a.key() == b.key() && a.message == b.message);
        let line = |fault: &Fault| {
            let line = fault.position().map_or(0, |position| position.line);
            (fault.file.order(), line)
        };
        let syntax = list.iter().filter(|fault| fault.code == "syntax");
        let broken: BTreeSet<(usize, usize)> = syntax.map(line).collect();
        let incomplete = self.incomplete.into_inner();
        list.retain(|fault| {
            fault.code == "syntax"
                || !incomplete.contains(&fault.file.order())
                || (!broken.contains(&line(fault)) && !FOLLOW_ON.contains(&fault.code))
        });
        Faults {
            list,
            more: self.more.get(),
        }
    }
}
