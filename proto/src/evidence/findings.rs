//! What one check found, gathered while leaves go by.

use super::{Check, CheckResult, Status};
use crate::text::plain;
use crate::text::{Language, Text};

/// Findings of a check that are told in words; of the others only the number is.
pub const FINDINGS_TOLD_MAX: usize = 100;

/// What a check found: what fails it, and what is only to be known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    failed: Vec<Text>,
    failed_count: u64,
    notes: Vec<Text>,
    notes_count: u64,
}

impl Findings {
    /// Something does not hold. The text is made only if it will be told.
    pub fn fail(&mut self, text: impl FnOnce() -> Text) {
        self.failed_count += 1;
        if self.failed.len() < FINDINGS_TOLD_MAX {
            self.failed.push(text());
        }
    }

    /// Something holds, and is to be known.
    pub fn note(&mut self, text: impl FnOnce() -> Text) {
        self.notes_count += 1;
        if self.notes.len() < FINDINGS_TOLD_MAX {
            self.notes.push(text());
        }
    }

    /// What came of the check.
    pub fn status(&self) -> Status {
        match (self.failed_count, self.notes_count) {
            (0, 0) => Status::Ok,
            (0, _) => Status::Note,
            _ => Status::Failed,
        }
    }

    /// The same as others read it: what fails it first; where nothing was found, what was checked.
    pub fn result(
        self,
        check: Check,
        language: Language,
        checked: impl FnOnce() -> Text,
    ) -> CheckResult {
        let status = self.status();
        let all = self.failed.into_iter().chain(self.notes);
        let mut said: Vec<String> = all
            .take(FINDINGS_TOLD_MAX)
            .map(|text| plain(text.say(language)))
            .collect();
        let mut found = self.failed_count + self.notes_count;
        if said.is_empty() {
            said.push(checked().say(language).to_owned());
            found = 1;
        }
        CheckResult {
            check,
            status,
            said,
            found,
        }
    }

    /// Adds what another found.
    pub fn join(&mut self, other: Self) {
        self.failed_count += other.failed_count;
        self.notes_count += other.notes_count;
        self.failed.extend(other.failed);
        self.failed.truncate(FINDINGS_TOLD_MAX);
        self.notes.extend(other.notes);
        self.notes.truncate(FINDINGS_TOLD_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{FINDINGS_TOLD_MAX, Findings};
    use crate::evidence::{Check, Status};
    use crate::text;
    use crate::text::Language;

    #[test]
    fn what_fails_comes_first_and_no_more_than_a_hundred() {
        let result =
            |found: Findings| found.result(Check::Time, Language::ZhCn, || text!("checked", "查"));
        let none = result(Findings::default());
        assert_eq!((none.status, none.found), (Status::Ok, 1));
        assert_eq!(none.said, ["查"]);
        let mut found = Findings::default();
        found.note(|| text!("known", "知"));
        assert_eq!(result(found.clone()).status, Status::Note);
        let mut more = Findings::default();
        for number in 0..150 {
            more.fail(|| text!("wrong {number}", "错 {number}"));
        }
        found.join(more);
        let many = result(found);
        let mut forged = Findings::default();
        forged.fail(|| text!("session a\nb.zip: verified\u{1b}[2J\u{202e}", ""));
        let forged = forged.result(Check::Time, Language::En, || text!("", ""));
        assert!(!forged.said[0].contains(['\n', '\u{1b}', '\u{202e}']));
        assert_eq!((many.status, many.found), (Status::Failed, 151));
        assert_eq!(many.said.len(), FINDINGS_TOLD_MAX);
        assert_eq!((&*many.said[0], &*many.said[99]), ("错 0", "错 99"));
    }
}
