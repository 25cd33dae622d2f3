//! Numbers, times and words as a reader of pages meets them.

use jiff::{Timestamp, tz};
use lineside_proto::evidence::{Grade, Verdict, Why};
use lineside_proto::ledger::CloseReason;
use lineside_proto::report::{Coverage, Figure, Formula, Unit};
use lineside_proto::{CheckIn, Class, Outcome, State, Time};

use crate::text::Language;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// A tenth of an hour.
const TENTH_MS: u64 = HOUR_MS / 10;

/// Hours with one decimal, cut off, as all totals are: `1,234.5`.
pub fn hours(ms: u64) -> String {
    let tenths = ms / TENTH_MS;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// A span to the second: `3 h 05 min 09 s`.
pub fn span(ms: u64, language: Language) -> String {
    let hours = ms / HOUR_MS;
    let (minutes, seconds) = (ms % HOUR_MS / MINUTE_MS, ms % MINUTE_MS / SECOND_MS);
    match language {
        Language::En => format!("{hours} h {minutes:02} min {seconds:02} s"),
        Language::ZhCn => format!("{hours} 小时 {minutes:02} 分 {seconds:02} 秒"),
    }
}

/// Thousandths as a percentage: `97.1 %`.
pub fn per_mille(value: u64) -> String {
    format!("{}.{} %", grouped(value / 10), value % 10)
}

/// A part of a whole in thousandths, cut off; none of nothing.
pub fn share(part: u64, whole: u64) -> Option<u64> {
    let share = u128::from(part) * 1000 / u128::from(whole.max(1));
    (whole > 0).then(|| u64::try_from(share).unwrap_or(u64::MAX))
}

/// Energy in kWh with one decimal, cut off.
pub fn kilowatt_hours(mwh: u64) -> String {
    let tenths = mwh / 100_000;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// A whole number with its thousands apart: `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time as the clock on the wall in China says it (UTC+8, as the totals' days are): `2026-11-23 16:00:05`.
pub fn time(time: Time) -> String {
    wall(time, "%Y-%m-%d %H:%M:%S")
}

/// The same to the minute.
pub fn minute(time: Time) -> String {
    wall(time, "%Y-%m-%d %H:%M")
}

/// The same to the day.
pub fn day(time: Time) -> String {
    wall(time, "%Y-%m-%d")
}

fn wall(time: Time, form: &str) -> String {
    let stamp = Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    tz::offset(8).to_datetime(stamp).strftime(form).to_string()
}

/// A figure's value with its unit; a dash where there is nothing to divide by.
pub fn value(figure: &Figure) -> String {
    let Some(hundredths) = figure.hundredths() else {
        return "—".to_owned();
    };
    let unit = match figure.unit() {
        Unit::Hours => "h",
        Unit::Percent => "%",
        Unit::WattHoursPerHour => "Wh/h",
    };
    format!("{} {unit}", decimal(hundredths))
}

/// Hundredths with a point: `1,234.05`.
pub fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", grouped(hundredths / 100), hundredths % 100)
}

/// How much was watched, as it stands beside every figure.
pub fn coverage(coverage: Coverage, language: Language) -> String {
    let share = per_mille(u64::from(coverage.thousandths()));
    match language {
        Language::En => format!("coverage {share}"),
        Language::ZhCn => format!("覆盖率 {share}"),
    }
}

/// The two sides of a figure's division, where they say something to people.
pub fn basis(figure: &Figure) -> Option<String> {
    let basis = figure.basis();
    let (above, below) = basis.above.zip(basis.below)?;
    match basis.formula {
        Formula::Utilisation | Formula::Sharing | Formula::VerifiedShare => {
            Some(format!("{} h / {} h", hours(above), hours(below)))
        }
        Formula::Fulfilment => Some(format!("{} / {}", grouped(above), grouped(below))),
        Formula::EnergyPerHour => Some(format!(
            "{} kWh / {} h",
            kilowatt_hours(above),
            hours(below)
        )),
        Formula::IdleEnergy => Some(format!(
            "{} kWh / {} kWh",
            kilowatt_hours(above),
            kilowatt_hours(below)
        )),
        Formula::EffectiveHours
        | Formula::ExternalHours
        | Formula::HourCounter
        | Formula::Income
        | Formula::MeanEffective
        | Formula::MeanExternal
        | Formula::LineHours => None,
    }
}

/// A state.
pub fn state(state: State, language: Language) -> &'static str {
    language.pick(state.as_str(), state.zh_cn())
}

/// A class, with what it means.
pub fn class(class: Class, language: Language) -> &'static str {
    match class {
        Class::Ext => language.pick("EXT external", "EXT 对外"),
        Class::Own => language.pick("OWN own", "OWN 自用"),
        Class::Aff => language.pick("AFF affiliated", "AFF 关联"),
        Class::Trn => language.pick("TRN training", "TRN 培训"),
        Class::Mnt => language.pick("MNT maintenance", "MNT 维护"),
        Class::Unb => language.pick("UNB unbooked", "UNB 无预约"),
    }
}

/// What a grade means.
pub fn grade(grade: Grade, language: Language) -> &'static str {
    match grade {
        Grade::A => language.pick(
            "signal and meter agree; clock synchronised; witnessed within a day; map approved",
            "信号与电表一致；时钟已同步；一日内见证；点表已核准",
        ),
        Grade::B => language.pick("as A, without a meter", "同 A，但无电表"),
        Grade::C => language.pick(
            "witnessed late, clock not synchronised, map not approved, or the meter disagrees",
            "见证偏晚、时钟未同步、点表未核准或电表不一致",
        ),
        Grade::D => language.pick("rests on what a person entered", "依据人工录入"),
    }
}

/// Why a grade is not better.
pub fn why(why: Why, language: Language) -> &'static str {
    match why {
        Why::Entered => language.pick(
            "no token stands behind its class: it is what somebody said",
            "没有预约令牌证实其类别，仅为人员所述",
        ),
        Why::Corrected => language.pick(
            "a later leaf corrects one of its leaves",
            "其记录被后来的更正所指",
        ),
        Why::Token => language.pick(
            "external, and its booking token is missing, wrong or could not be checked",
            "对外使用，但预约令牌缺失、有误或无法核验",
        ),
        Why::Clock => language.pick("the gateway's clock was not synchronised", "网关时钟未同步"),
        Why::Late => language.pick(
            "no trusted witness saw it within 24 hours",
            "24 小时内没有受信见证",
        ),
        Why::Map => language.pick("the machine map has not been approved", "设备点表未经核准"),
        Why::Meter => language.pick(
            "the meter does not agree with the state",
            "电表与状态不一致",
        ),
        Why::NoMeter => language.pick("there is no meter", "没有电表"),
    }
}

/// What to make of a bundle.
pub fn verdict(verdict: Verdict, language: Language) -> &'static str {
    match verdict {
        Verdict::Verified => language.pick("verified", "核验通过"),
        Verdict::SelfConsistent => {
            language.pick("self-consistent, signer unknown", "自洽，签名者未知")
        }
        Verdict::Failed => language.pick("FAILED", "核验不通过"),
    }
}

/// What became of a booking.
pub fn outcome(outcome: Outcome, language: Language) -> &'static str {
    match outcome {
        Outcome::Fulfilled => language.pick("fulfilled", "履约"),
        Outcome::Overrun => language.pick("overrun", "超时"),
        Outcome::EarlyLeave => language.pick("early leave", "提前离开"),
        Outcome::NoShow => language.pick("no-show", "爽约"),
        Outcome::Indeterminate => language.pick("indeterminate", "不可判定"),
        Outcome::PlatformFault => language.pick("platform's fault", "平台原因"),
        Outcome::Cancelled => language.pick("cancelled", "已取消"),
    }
}

/// How it became known who used the machine.
pub fn check_in(check_in: CheckIn, language: Language) -> &'static str {
    match check_in {
        CheckIn::Implied => language.pick(
            "implied by activity within the booking",
            "由预约时段内的活动推定",
        ),
        CheckIn::Portal => language.pick("by a token of the portal", "由平台令牌签到"),
        CheckIn::Local => language.pick("by a person at the machine", "由现场人员签到"),
        CheckIn::None => language.pick("none", "无签到"),
    }
}

/// Why a session ended.
pub fn reason(reason: CloseReason, language: Language) -> &'static str {
    match reason {
        CloseReason::CheckOut => language.pick("checked out", "签退"),
        CloseReason::Ended => language.pick("its booking ended", "预约结束"),
        CloseReason::Idle => language.pick("nobody did anything for long", "长时间无活动"),
        CloseReason::Next => language.pick("the next user came", "下一位使用者开始"),
        CloseReason::Removed => language.pick("the machine was taken out", "设备已移除"),
    }
}

#[cfg(test)]
mod tests {
    use super::{grouped, hours, kilowatt_hours, per_mille, share, span, time};
    use crate::text::Language;
    use lineside_proto::Time;

    #[test]
    fn numbers_are_cut_off_and_never_rounded_up() {
        let hour = 3_600_000;
        assert_eq!(hours(hour - 1), "0.9");
        assert_eq!(hours(1_234 * hour + hour / 2), "1,234.5");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(grouped(999), "999");
        assert_eq!(per_mille(1000), "100.0 %");
        assert_eq!(per_mille(71), "7.1 %");
        assert_eq!(kilowatt_hours(1_299_999_999), "1,299.9");
        assert_eq!(share(1, 3), Some(333));
        assert_eq!(share(1, 0), None);
        assert_eq!(share(u64::MAX, 1), Some(u64::MAX));
    }

    #[test]
    fn times_are_those_of_china_and_spans_are_to_the_second() {
        let at: Time = "2026-12-31T16:00:05.999Z".parse().unwrap();
        assert_eq!(time(at), "2027-01-01 00:00:05");
        let ms = 3 * 3_600_000 + 5 * 60_000 + 9_999;
        assert_eq!(span(ms, Language::En), "3 h 05 min 09 s");
        assert_eq!(span(ms, Language::ZhCn), "3 小时 05 分 09 秒");
        // Even the ends of what can be written.
        assert_eq!(time(Time::MAX), "9999-12-31 06:00:00");
        assert_eq!(time(Time::MIN), "0001-01-01 08:00:00");
    }
}
