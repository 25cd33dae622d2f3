//! A verification in words, for a terminal.

use crate::text::Language;
use std::fmt::{self, Write};

use super::{
    Check, CheckResult, Grade, MachineTotals, SessionTotals, Status, Totals, Verdict, Verification,
    Why,
};
use crate::report::shanghai::moment;
use crate::text;
use crate::text::{Text, plain};

/// Says what came of a bundle: the verdict, a line a check with what was found, grades with their reasons, and
/// totals with the coverage beside them. What a terminal would obey is left out.
pub fn tell(name: &str, verification: &Verification, language: Language) -> String {
    let mut out = Out {
        text: String::new(),
        language,
    };
    // Writing to a text can't fail.
    out.all(name, verification).unwrap_or_default();
    let harmless = |letter: char| match letter {
        '\n' => letter,
        _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
        _ => letter,
    };
    out.text.chars().map(harmless).collect()
}

struct Out {
    text: String,
    language: Language,
}

impl Out {
    fn line(&mut self, said: Text) -> fmt::Result {
        let line = said.say(self.language).to_owned();
        writeln!(self.text, "{line}")
    }

    fn all(&mut self, name: &str, verification: &Verification) -> fmt::Result {
        let verdict = verdict(verification.verdict).say(self.language).to_owned();
        writeln!(self.text, "{}: {verdict}", plain(name))?;
        if let Some(manifest) = &verification.manifest {
            let (site, gateway) = (&manifest.site, &manifest.gateway);
            let origin = plain(&manifest.origin);
            let [from, to] = [manifest.from, manifest.to].map(moment);
            let (first, end, size) = (manifest.first, manifest.end, manifest.size);
            self.line(text!(
                "  gateway {gateway} at {site}, ledger {origin}",
                "  站点 {site} 的网关 {gateway}，机时台账 {origin}"
            ))?;
            self.line(text!(
                "  period {from} to {to} (Asia/Shanghai); leaves {first} up to {end} of {size}",
                "  时段 {from} 至 {to}（北京时间）；记录 {first} 起、{end} 止，共 {size} 条"
            ))?;
        }
        if let Some(at) = verification.cosigned.map(moment) {
            self.line(text!(
                "  last cosigned by a trusted witness: {at}",
                "  可信见证方最近一次会签：{at}"
            ))?;
        }
        for result in &verification.checks {
            self.check(result)?;
        }
        let Some(totals) = &verification.totals else {
            return Ok(());
        };
        if verification.verdict == Verdict::Failed {
            self.line(text!(
                "  The totals below are what the leaves say. They are worth nothing, since the bundle failed.",
                "  以下汇总只是记录上所写；核验没有通过，不可采信。"
            ))?;
        }
        self.totals(totals)
    }

    fn check(&mut self, result: &CheckResult) -> fmt::Result {
        let status = status(result.status).say(self.language).to_owned();
        let check = check(result.check).say(self.language).to_owned();
        for (place, said) in result.said.iter().enumerate() {
            if place == 0 {
                writeln!(self.text, "  [{status}] {check}: {said}")?;
            } else {
                writeln!(self.text, "      {said}")?;
            }
        }
        let more = result.found.saturating_sub(result.said.len() as u64);
        if more > 0 {
            self.line(text!("      and {more} more", "      另有 {more} 条"))?;
        }
        Ok(())
    }

    fn totals(&mut self, totals: &Totals) -> fmt::Result {
        for machine in &totals.machines {
            self.machine(machine)?;
            for session in &machine.sessions {
                self.session(session)?;
            }
        }
        Ok(())
    }

    fn machine(&mut self, machine: &MachineTotals) -> fmt::Result {
        let name = &machine.machine;
        let coverage = share(machine.coverage_pm);
        let (active, outside) = (span(machine.active_ms), span(machine.outside_ms));
        self.line(text!(
            "{name}: coverage {coverage}; in use {active} h, of it outside sessions {outside} h",
            "{name}：覆盖率 {coverage}；活动 {active} 小时，其中上机记录之外 {outside} 小时"
        ))?;
        for (class, grades) in &machine.hours {
            for (grade, ms) in grades {
                let (hours, zh) = (span(*ms), class.zh_cn());
                self.line(text!(
                    "  {class} grade {grade}: {hours} h (coverage {coverage})",
                    "  {zh} {class} 等级 {grade}：{hours} 小时（覆盖率 {coverage}）"
                ))?;
            }
        }
        Ok(())
    }

    fn session(&mut self, session: &SessionTotals) -> fmt::Result {
        let (class, grade) = (session.class, session.grade);
        let id = plain(&session.session);
        let hours = span(session.active_ms);
        let reasons = session
            .why
            .iter()
            .map(|one| why(*one).say(self.language).to_owned());
        let reasons: Vec<String> = reasons.collect();
        let mut line = text!(
            "  session {id}: {class}, {hours} h, grade {grade}",
            "  上机记录 {id}：{class}，{hours} 小时，等级 {grade}"
        )
        .say(self.language)
        .to_owned();
        if !reasons.is_empty() && grade != Grade::A {
            let comma = match self.language {
                Language::En => "; ",
                Language::ZhCn => ";",
            };
            write!(line, " — {}", reasons.join(comma))?;
        }
        writeln!(self.text, "{line}")
    }
}

/// Hours, minutes and seconds; what is left is cut off.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}", seconds % 60)
}

fn share(pm: u32) -> String {
    format!("{}.{} %", pm / 10, pm % 10)
}

/// A verdict in words.
fn verdict(verdict: Verdict) -> Text {
    match verdict {
        Verdict::Verified => text!("verified", "核验通过"),
        Verdict::SelfConsistent => {
            text!(
                "self-consistent, signer unknown",
                "内容自洽，签名者身份不明"
            )
        }
        Verdict::Failed => text!("FAILED", "核验未通过"),
    }
}

/// A status in words.
fn status(status: Status) -> Text {
    match status {
        Status::Ok => text!("ok", "通过"),
        Status::Note => text!("note", "注意"),
        Status::Failed => text!("FAILED", "未通过"),
    }
}

/// A check in words.
fn check(check: Check) -> Text {
    match check {
        Check::Bundle => text!("bundle", "文件"),
        Check::Signature => text!("signature", "签名"),
        Check::Tree => text!("tree", "哈希树"),
        Check::Consistency => text!("consistency", "一致性"),
        Check::Tiles => text!("tiles", "树块"),
        Check::Leaves => text!("leaves", "记录"),
        Check::Period => text!("period", "时段"),
        Check::Time => text!("time", "时间"),
        Check::Sessions => text!("sessions", "上机记录"),
        Check::Tokens => text!("tokens", "预约令牌"),
        Check::Maps => text!("maps", "设备点表"),
        Check::Witness => text!("witness", "见证"),
        Check::Totals => text!("totals", "汇总"),
    }
}

/// The reason for a grade in words.
fn why(why: Why) -> Text {
    match why {
        Why::Entered => text!("no token stands behind its class", "没有预约令牌证实其类别"),
        Why::Corrected => text!("it was corrected afterwards", "事后被更正"),
        Why::Token => text!(
            "its token is missing, wrong, or could not be checked",
            "预约令牌缺失、有误或无法核验"
        ),
        Why::Clock => text!("the clock was not synchronised", "时钟未同步"),
        Why::Late => text!(
            "no trusted witness saw it within a day",
            "24 小时内没有可信见证方会签"
        ),
        Why::Map => text!("its machine map is not approved", "设备点表未经批准"),
        Why::Meter => text!("the meter does not agree", "电表读数不符"),
        Why::NoMeter => text!("there is no meter", "没有电表"),
    }
}
