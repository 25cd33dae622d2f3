//! What an archive holds against a log: said to whoever takes that log from it, since its leaves alone don't tell.

use lineside_proto::text::plain;
use serde::Serialize;
use std::io::{self, Write};

use crate::archive::alarm::Kind;
use crate::archive::{Place, Record, Standing, Stopped};
use crate::text;
use crate::text::{Language, Text};

/// That the log is stopped, and what was refused of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Against<'a> {
    /// Why nothing of it is taken any more; null while all is well.
    stopped: Option<&'a Stopped>,
    /// What was refused of it in all.
    alarms: u64,
}

impl<'a> Against<'a> {
    /// Of a log, as its archive says it.
    pub(super) fn of(log: &'a Standing) -> Self {
        Self {
            stopped: log.stopped.as_ref(),
            alarms: log.alarms,
        }
    }

    /// Of a log, by its record in the archive's directory.
    pub(super) fn recorded(record: &'a Record) -> Self {
        Self {
            stopped: record.stopped.as_ref(),
            alarms: record.alarms,
        }
    }

    /// Says it for people; nothing where there is nothing.
    pub(super) fn say(
        self,
        err: &mut impl Write,
        log: &Place,
        language: Language,
    ) -> io::Result<()> {
        match self.words(log) {
            Some(words) => writeln!(err, "{}", words.say(language)),
            None => Ok(()),
        }
    }

    /// What an archive says comes from elsewhere: it stays on its line.
    fn words(self, log: &Place) -> Option<Text> {
        let Place {
            site,
            gateway,
            epoch,
        } = log;
        let Some(stopped) = self.stopped else {
            let alarms = self.alarms;
            return (alarms > 0).then(|| {
                text!(
                    "{site}/{gateway} e{epoch}: the archive has raised {alarms} alarms about this log; see `lineside archive status` and alarms/",
                    "{site}/{gateway} e{epoch}：存证库对此日志有 {alarms} 条告警；见 `lineside archive status` 和 alarms/"
                )
            });
        };
        let (at, kind) = (stopped.at, kind(&stopped.kind));
        let (why, proof) = (plain(&stopped.text), plain(&stopped.proof));
        let (en, zh) = (kind.en, kind.zh);
        Some(text!(
            "{site}/{gateway} e{epoch}: the archive stopped this log at {at} ({en}): {why}; see `lineside archive status` and alarms/{proof}",
            "{site}/{gateway} e{epoch}：存证库已于 {at} 停止收录此日志（{zh}）：{why}；见 `lineside archive status` 和 alarms/{proof}"
        ))
    }
}

/// What is wrong: the word of the files, with a name before it in Chinese.
pub(super) fn kind(word: &str) -> Text {
    let word = plain(word);
    match Kind::of(&word) {
        Some(kind) => Text::new(word.to_string(), format!("{} ({word})", kind.chinese())),
        // Of a later version.
        None => Text::new(word.to_string(), word.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::Against;
    use crate::archive::{Place, Record, Stopped};
    use crate::text::Language;
    use lineside_proto::Time;

    fn said(record: &Record, language: Language) -> String {
        let place = Place {
            site: "zs".parse().unwrap(),
            gateway: "gw".parse().unwrap(),
            epoch: 1,
        };
        let mut err = Vec::new();
        let against = Against::recorded(record);
        against.say(&mut err, &place, language).unwrap();
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn a_log_that_is_stopped_is_told_of_on_one_line() {
        let mut record = Record::default();
        assert_eq!(said(&record, Language::En), "");
        record.alarms = 2;
        let line = said(&record, Language::En);
        assert!(line.starts_with("zs/gw e1: the archive has raised 2 alarms"));
        assert!(said(&record, Language::ZhCn).contains("2 条告警"));
        // Whoever answers in an archive's place chooses its words.
        record.stopped = Some(Stopped {
            kind: "fork\n".to_owned(),
            text: "\u{1b}[2Jall is well\nverified: yes\u{202e}".to_owned(),
            proof: "a\rb".to_owned(),
            at: Time::from_millis(0),
        });
        let line = said(&record, Language::En);
        assert_eq!(line.lines().count(), 1);
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        assert!(!line.contains('\u{202e}'));
        assert!(line.contains("stopped this log at 1970-01-01"), "{line}");
        let line = said(&record, Language::ZhCn);
        assert!(line.contains("停止收录此日志"), "{line}");
        record.stopped = record.stopped.map(|stopped| Stopped {
            kind: "fork".to_owned(),
            ..stopped
        });
        assert!(said(&record, Language::ZhCn).contains("分叉 (fork)"));
    }
}
