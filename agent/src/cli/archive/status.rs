//! `lineside archive status`: how every log stands, read from the archive's directory.

use lineside_proto::Time;
use lineside_proto::text::plain;
use std::io::{self, Write};
use std::path::PathBuf;

use super::none_there;
use super::standings::Found;
use crate::archive::{Refused, Shelf, Standing, Stranger};
use crate::cli::against::kind;
use crate::cli::columns::columns;
use crate::cli::{Context, Failure, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::text;
use crate::text::{Language, Text};

/// A log that was not heard of for so long is told of.
const SILENT_MS: i64 = 24 * 3_600_000;
/// Clocks are so far off at most that nobody is told.
const AHEAD_MS: i64 = 120_000;
/// Alarms that are listed.
const ALARMS_MAX: usize = 5;

/// Arguments of `lineside archive status`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside archive status --dir /var/lib/lineside-archive --json")]
pub(super) struct Args {
    /// The archive's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The folder of enrolment cards, else `gateways` in the directory: who has a card and no log is listed, too
    #[arg(long, value_name = "DIR")]
    gateways: Option<PathBuf>,
    /// Print one JSON object a line for each log, then for each `waiting` gateway without one, each log that is
    /// `unreadable`, each `card` that does not count, each `uncarded` gateway, and each `stranger`
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is no archive, or it can't be read.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let shelf = Shelf::of(&args.dir);
    if !shelf.logs_dir().is_dir() {
        return Err(none_there(&args.dir));
    }
    let found = Found::of(&shelf, args.gateways.as_deref())?;
    let mut out = io::stdout().lock();
    if args.json {
        found.write(&mut out)?;
        return Ok(found.outcome());
    }
    let refused = Refused::list(&shelf.alarms_dir(), None, None, ALARMS_MAX)?;
    let now = SystemClock.now().wall;
    let logs: Vec<&Standing> = found.logs.iter().collect();
    for line in table(&logs, now, context.language) {
        writeln!(out, "{line}")?;
    }
    let told = [found.told(), told(&refused), apart(&found.strangers)];
    for lines in told.into_iter().flatten() {
        writeln!(out, "{}", lines.say(context.language))?;
    }
    Ok(found.outcome())
}

fn table(logs: &[&Standing], now: Time, language: Language) -> Vec<String> {
    if logs.is_empty() {
        let none = text!("no log has a signed head yet", "尚无带签名存证点的日志");
        return vec![none.say(language).to_owned()];
    }
    let head = [
        text!("site", "平台"),
        text!("gateway", "网关"),
        text!("epoch", "期"),
        text!("leaves", "记录"),
        text!("head", "存证点"),
        text!("cosigned", "已会签"),
        text!("alarms", "告警"),
        text!("what is missing", "缺少"),
    ];
    let mut rows = vec![head.map(|text| text.say(language).to_owned())];
    rows.extend(logs.iter().map(|log| {
        let cosigned = match &log.cosigned {
            None => "-".to_owned(),
            Some(cosigned) => cosigned.size.to_string(),
        };
        let missing = missing(log, now).into_iter();
        let missing: Vec<String> = missing.map(|text| text.say(language).to_owned()).collect();
        [
            log.site.to_string(),
            log.gateway.to_string(),
            log.epoch.to_string(),
            log.size.to_string(),
            log.newest.map_or_else(
                || "-".to_owned(),
                |newest| age(newest, now).say(language).to_owned(),
            ),
            cosigned,
            log.alarms.to_string(),
            missing.join(language.pick("; ", "；")),
        ]
    }));
    columns(&rows)
}

/// What a log lacks.
fn missing(log: &Standing, now: Time) -> Vec<Text> {
    let mut all = Vec::new();
    if let Some(stopped) = &log.stopped {
        let (kind, text, proof) = (kind(&stopped.kind), plain(&stopped.text), &stopped.proof);
        let (en, zh) = (kind.en, kind.zh);
        all.push(text!(
            "STOPPED ({en}): {text}; proof: alarms/{proof}",
            "已停止，{zh}：{text}；凭证：alarms/{proof}"
        ));
    }
    match log.heard {
        None => all.push(text!("its record can't be read", "其记录无法读取")),
        Some(heard) if now.as_millis().saturating_sub(heard.as_millis()) > SILENT_MS => {
            let Text { en, zh } = age(heard, now);
            all.push(Text::new(
                format!("no head for {en}"),
                format!("{zh} 未收到存证点"),
            ));
        }
        Some(_) => {}
    }
    if let Some(unproved) = &log.unproved {
        let (size, held, since) = (unproved.size, log.size, unproved.since);
        all.push(text!(
            "a head of {size} leaves is not proved to continue the {held} that are held, since {since}",
            "有 {size} 条记录的存证点自 {since} 起未能证明延续所存的 {held} 条记录"
        ));
    }
    if let Some(uncosigned) = &log.uncosigned {
        let (why, since) = (plain(&uncosigned.why), uncosigned.since);
        all.push(text!(
            "not cosigned since {since}, because {why}",
            "自 {since} 起未会签，原因：{why}"
        ));
    }
    if let Some(cosigned) = &log.cosigned {
        let behind = log.size.saturating_sub(cosigned.size);
        if behind > 0 {
            all.push(text!(
                "{behind} leaves not cosigned",
                "{behind} 条记录尚未会签"
            ));
        }
    }
    all
}

/// How long ago something was, in one unit; by a clock that is ahead of this one's, how far.
fn age(at: Time, now: Time) -> Text {
    let ahead = at.as_millis().saturating_sub(now.as_millis());
    if ahead > AHEAD_MS {
        let Text { en, zh } = age(now, at);
        return Text::new(format!("{en} ahead"), format!("超前 {zh}"));
    }
    let seconds = now.as_millis().saturating_sub(at.as_millis()).max(0) / 1000;
    let (count, en, zh) = match seconds {
        0..=119 => (seconds, "s", "秒"),
        120..=7_199 => (seconds / 60, "min", "分钟"),
        7_200..=172_799 => (seconds / 3_600, "h", "小时"),
        _ => (seconds / 86_400, "d", "天"),
    };
    text!("{count} {en}", "{count} {zh}")
}

/// The newest alarms.
fn told(refused: &[Refused]) -> Option<Text> {
    if refused.is_empty() {
        return None;
    }
    let mut said = text!("\nnewest alarms:", "\n最新告警：");
    for Refused { proof, alarm } in refused {
        let kind = kind(&alarm.kind);
        for (said, kind) in [(&mut said.en, kind.en), (&mut said.zh, kind.zh)] {
            *said += &format!(
                "\n{}  {}/{}/e{}  {kind}  {}\n    alarms/{proof}",
                alarm.at,
                alarm.site,
                alarm.gateway,
                alarm.epoch,
                plain(&alarm.text)
            );
        }
    }
    Some(said)
}

/// Gateways whose key nobody has enrolled.
fn apart(strangers: &[Stranger]) -> Option<Text> {
    if strangers.is_empty() {
        return None;
    }
    let mut said = text!(
        "\nkept apart, until a card of the gateway names the key (strangers/):",
        "\n另行存放，待该网关的登记卡载明其密钥（strangers/）："
    );
    for Stranger {
        at,
        site,
        gateway,
        reason,
        ..
    } in strangers
    {
        let line = format!("\n{at}  {site}/{gateway}  {}", plain(reason));
        said.en += &line;
        said.zh += &line;
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::{age, apart, kind, table, told};
    use crate::archive::Refused;
    use crate::archive::alarm::{AlarmDocument, Kind};
    use crate::archive::record::{Uncosigned, Unproved};
    use crate::archive::{Cosigned, Standing, Stopped, Stranger};
    use crate::text::Language;
    use lineside_proto::Time;

    fn log(heard: Option<i64>) -> Standing {
        Standing {
            site: "zs".parse().unwrap(),
            gateway: "gw-1".parse().unwrap(),
            epoch: 2,
            origin: "o".to_owned(),
            size: 500,
            root: String::new(),
            first: None,
            newest: Some(Time::from_millis(0)),
            heard: heard.map(Time::from_millis),
            cosigned: None,
            stopped: None,
            alarms: 3,
            unproved: None,
            uncosigned: None,
        }
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        for (ms, expected) in [
            (-5, "0 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (3 * 86_400_000, "3 d"),
        ] {
            let said = age(Time::from_millis(0), Time::from_millis(ms));
            assert_eq!(said.en, expected, "{ms}");
        }
    }

    #[test]
    fn a_log_says_what_it_lacks() {
        let now = Time::from_millis(3 * 86_400_000);
        let fine = log(Some(3 * 86_400_000));
        let silent = log(Some(0));
        let unread = log(None);
        let mut stopped = log(Some(3 * 86_400_000));
        stopped.stopped = Some(Stopped {
            kind: "fork".to_owned(),
            text: "two trees".to_owned(),
            proof: "2026-fork".to_owned(),
            at: now,
        });
        stopped.cosigned = Some(Cosigned {
            size: 480,
            root: String::new(),
            at: now,
        });
        let mut unsure = log(Some(3 * 86_400_000));
        unsure.uncosigned = Some(Uncosigned {
            why: "its memory is full".to_owned(),
            beyond: None,
            since: Time::from_millis(0),
        });
        unsure.unproved = Some(Unproved {
            size: 700,
            heads: 1,
            since: Time::from_millis(0),
        });
        let logs = [&fine, &silent, &unread, &stopped, &unsure];
        let lines = table(&logs, now, Language::En);
        for (line, words) in lines.iter().zip([
            &["site", "cosigned", "what is missing"][..],
            &["zs", "gw-1", "500", "3 d"],
            &["no head for 3 d"],
            &["its record can't be read"],
            &[
                "STOPPED (fork): two trees",
                "alarms/2026-fork",
                "20 leaves not cosigned",
            ],
            &[
                "a head of 700 leaves is not proved to continue the 500",
                "not cosigned since 1970-01-01T00:00:00.000Z, because its memory is full",
            ],
        ]) {
            for word in words {
                assert!(line.contains(word), "{word}: {line}");
            }
        }
        let chinese = table(&logs, now, Language::ZhCn).join("\n");
        assert!(
            chinese.contains("已停止，分叉 (fork)：two trees")
                && chinese.contains("3 天 未收到存证点"),
            "{chinese}"
        );
        assert_eq!(table(&[], now, Language::En).len(), 1);
    }

    #[test]
    fn alarms_have_a_name_in_each_language() {
        let at = Time::from_millis(0);
        for known in Kind::ALL {
            let name = kind(known.word());
            assert_eq!(name.en, known.word());
            assert_eq!(name.zh, format!("{} ({})", known.chinese(), known.word()));
            let alarm = AlarmDocument {
                v: 1,
                at,
                site: "zs".to_owned(),
                gateway: "gw".to_owned(),
                epoch: 1,
                kind: known.to_string(),
                text: "the detail".to_owned(),
                stopped: known.stops(),
                known: None,
                shown: None,
                check: String::new(),
            };
            let proof = "proof".to_owned();
            let said = told(&[Refused { proof, alarm }]).unwrap();
            for (text, name) in [(said.en, name.en), (said.zh, name.zh)] {
                let line = format!("zs/gw/e1  {name}  the detail");
                assert!(text.contains(&line), "{text}");
            }
        }
        assert_eq!(kind("of-tomorrow").zh, "of-tomorrow");
    }

    #[test]
    fn strangers_are_told_with_what_to_do() {
        assert!(apart(&[]).is_none());
        let stranger = Stranger {
            v: 1,
            at: Time::from_millis(1_795_420_800_000),
            site: "zs".parse().unwrap(),
            gateway: "gw-9".parse().unwrap(),
            reason: "it has no enrolment card".to_owned(),
            note: String::new(),
        };
        let said = apart(&[stranger]).unwrap();
        for text in [&said.en, &said.zh] {
            assert!(text.contains("zs/gw-9  it has no enrolment card"), "{text}");
        }
        assert!(said.en.contains("card of the gateway"));
    }
}
