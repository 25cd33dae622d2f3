//! A rule file as it is written.

use crate::text::Text;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use toml::Spanned;

use super::{Part, Rules, Thresholds};
use crate::Class;
use crate::report::Formula;
use crate::report::fault::{FAULTS_MAX, InputFault, InputFaults, place, text_of};

/// Bytes of a rule file at most: far more than anyone writes by hand.
const RULES_BYTES_MAX: usize = 1 << 20;

/// Characters of a name at most: it stands in a column of the table.
const NAME_CHARS_MAX: usize = 64;

/// Categories, and parts of a score, at most: what fits on a page.
const ENTRIES_MAX: usize = 64;

/// Hours of a year at most.
const YEAR_HOURS: u32 = 8784;

/// Hundredths of a target, of points or of a factor at most.
const HUNDREDTHS_MAX: u64 = 100_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    version: Spanned<String>,
    title: Title,
    quota: RawQuota,
    count: RawCount,
    coverage: RawCoverage,
    income: Option<RawIncome>,
    #[serde(default)]
    anomalies: BTreeMap<Spanned<String>, Spanned<u32>>,
    #[serde(default)]
    score: Vec<RawPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Title {
    en: String,
    #[serde(rename = "zh-CN")]
    zh_cn: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuota {
    default: Option<Spanned<String>>,
    hours: BTreeMap<Spanned<String>, Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCount {
    effective: Spanned<BTreeSet<Class>>,
    external: Spanned<BTreeSet<Class>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCoverage {
    minimum_percent: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawIncome {
    outside_factor: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    name: Title,
    figure: Spanned<Formula>,
    target: Spanned<f64>,
    points: Spanned<f64>,
    cap: Spanned<f64>,
}

impl From<Title> for Text {
    fn from(title: Title) -> Self {
        Self::new(title.en, title.zh_cn)
    }
}

pub(super) fn read(bytes: &[u8], file: &str) -> Result<Rules, InputFaults> {
    let alone = |fault| InputFaults {
        file: file.to_owned(),
        faults: vec![fault],
    };
    let text = text_of(bytes, RULES_BYTES_MAX).map_err(alone)?;
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        let message = error.message();
        alone(InputFault {
            line,
            column,
            field: String::new(),
            text: Text::new(
                format!("{message}; config/README.md lists the keys"),
                format!("格式有误：{message}；各键见 config/README.md"),
            ),
        })
    })?;
    let mut judge = Judge {
        text,
        faults: Vec::new(),
    };
    let rules = judge.rules(raw, bytes, file);
    let mut faults = judge.faults;
    if faults.is_empty() {
        return Ok(rules);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.truncate(FAULTS_MAX);
    Err(InputFaults {
        file: file.to_owned(),
        faults,
    })
}

/// Collects faults.
struct Judge<'a> {
    text: &'a str,
    faults: Vec<InputFault>,
}

impl Judge<'_> {
    fn tell<T>(&mut self, at: &Spanned<T>, field: &str, text: Text) {
        let (line, column) = place(self.text, at.span().start);
        self.faults.push(InputFault {
            line,
            column,
            field: field.to_owned(),
            text,
        });
    }

    fn rules(&mut self, raw: Raw, bytes: &[u8], file: &str) -> Rules {
        let digest = Sha256::digest(bytes);
        let minimum = self.hundredths(&raw.coverage.minimum_percent, "minimum-percent", 0..=10_000);
        let factor = raw.income.as_ref().map_or(100, |income| {
            self.hundredths(&income.outside_factor, "outside-factor", 0..=HUNDREDTHS_MAX)
        });
        self.classes(&raw.count);
        if raw.score.len() > ENTRIES_MAX {
            self.tell(
                &raw.name,
                "score",
                Text::new(
                    format!("a score has at most {ENTRIES_MAX} parts"),
                    format!("评分项最多 {ENTRIES_MAX} 个"),
                ),
            );
        }
        Rules {
            name: self.name(raw.name, "name"),
            version: self.name(raw.version, "version"),
            title: raw.title.into(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            file: Some(file.to_owned()),
            default_category: self.default_category(&raw.quota),
            quotas: self.quotas(raw.quota.hours),
            effective: raw.count.effective.into_inner(),
            external: raw.count.external.into_inner(),
            minimum_coverage_pm: u32::try_from(minimum / 10).unwrap_or(1000),
            outside_factor_hundredths: factor,
            thresholds: self.thresholds(&raw.anomalies),
            parts: raw.score.into_iter().map(|part| self.part(part)).collect(),
        }
    }

    fn name(&mut self, name: Spanned<String>, field: &str) -> String {
        let text = name.get_ref();
        let is_fit = !text.trim().is_empty()
            && text.chars().count() <= NAME_CHARS_MAX
            && !text.chars().any(char::is_control);
        if !is_fit {
            self.tell(
                &name,
                field,
                Text::new(
                    format!("a text of 1 to {NAME_CHARS_MAX} characters is wanted"),
                    format!("应为 1 至 {NAME_CHARS_MAX} 个字符"),
                ),
            );
        }
        name.into_inner()
    }

    fn classes(&mut self, count: &RawCount) {
        let (effective, external) = (count.effective.get_ref(), count.external.get_ref());
        if effective.is_empty() {
            self.tell(
                &count.effective,
                "effective",
                Text::new("name at least one class", "至少列出一个类别"),
            );
        }
        if let Some(class) = external.difference(effective).next() {
            self.tell(
                &count.external,
                "external",
                Text::new(
                    format!("{class} is not among the effective classes: add it there, or leave it out here"),
                    format!("{class} 不在 effective 之列：请在那里加上，或从这里去掉"),
                ),
            );
        }
    }

    fn default_category(&mut self, quota: &RawQuota) -> Option<String> {
        let name = quota.default.as_ref()?;
        let mut known = quota.hours.keys().map(Spanned::get_ref);
        if !known.any(|known| known == name.get_ref()) {
            self.tell(
                name,
                "quota.default",
                Text::new(
                    "no such category in [quota.hours]: add it there",
                    "[quota.hours] 中没有此类别：请在那里加上",
                ),
            );
        }
        Some(name.get_ref().clone())
    }

    fn quotas(&mut self, hours: BTreeMap<Spanned<String>, Spanned<u32>>) -> BTreeMap<String, u32> {
        let mut quotas = BTreeMap::new();
        for (name, value) in hours {
            let field = format!("quota.hours.{}", name.get_ref());
            if !(1..=YEAR_HOURS).contains(value.get_ref()) || quotas.len() >= ENTRIES_MAX {
                self.tell(
                    &value,
                    &field,
                    Text::new(
                        format!("1 to {YEAR_HOURS} hours a year are wanted, of at most {ENTRIES_MAX} categories"),
                        format!("应为每年 1 至 {YEAR_HOURS} 小时，类别最多 {ENTRIES_MAX} 个"),
                    ),
                );
            }
            quotas.insert(name.into_inner(), value.into_inner());
        }
        quotas
    }

    fn part(&mut self, part: RawPart) -> Part {
        let formula = *part.figure.get_ref();
        if !is_scorable(formula) {
            let names = "effective-hours, external-hours, utilisation, sharing, fulfilment, verified-share, income";
            self.tell(
                &part.figure,
                "figure",
                Text::new(
                    format!(
                        "gives no points, since more of it is not better; one of {names} is wanted"
                    ),
                    format!("该指标并非越高越好，不能评分；可选：{names}"),
                ),
            );
        }
        Part {
            name: part.name.into(),
            figure: formula,
            target_hundredths: self.hundredths(&part.target, "target", 1..=HUNDREDTHS_MAX),
            points_hundredths: self.hundredths(&part.points, "points", 1..=HUNDREDTHS_MAX),
            cap_hundredths: self.hundredths(&part.cap, "cap", 1..=HUNDREDTHS_MAX),
        }
    }

    /// A number with at most two decimals, in hundredths.
    fn hundredths(
        &mut self,
        value: &Spanned<f64>,
        field: &str,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        let hundredths = decimal(&value.get_ref().to_string());
        if let Some(hundredths) = hundredths.filter(|value| bounds.contains(value)) {
            return hundredths;
        }
        let shown = |hundredths: u64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
        let (least, most) = (shown(*bounds.start()), shown(*bounds.end()));
        self.tell(
            value,
            field,
            Text::new(
                format!("a number from {least} to {most} with at most two decimals is wanted"),
                format!("应为 {least} 至 {most} 之间、最多两位小数的数"),
            ),
        );
        *bounds.start()
    }

    fn thresholds(&mut self, said: &BTreeMap<Spanned<String>, Spanned<u32>>) -> Thresholds {
        let mut thresholds = Thresholds::default();
        for (name, value) in said {
            let Some((place, bounds)) = threshold(&mut thresholds, name.get_ref()) else {
                self.tell(
                    name,
                    &format!("anomalies.{}", name.get_ref()),
                    Text::new(
                        format!("no such threshold; there are {}", THRESHOLDS.join(", ")),
                        format!("没有此阈值；可选：{}", THRESHOLDS.join("、")),
                    ),
                );
                continue;
            };
            let (least, most) = (bounds.start(), bounds.end());
            if !bounds.contains(value.get_ref()) {
                self.tell(
                    value,
                    &format!("anomalies.{}", name.get_ref()),
                    Text::new(
                        format!("{least} to {most} is wanted"),
                        format!("应为 {least} 至 {most}"),
                    ),
                );
            }
            *place = *value.get_ref();
        }
        thresholds
    }
}

const THRESHOLDS: [&str; 11] = [
    "energy-percent",
    "energy-minutes",
    "counter-percent",
    "outside-percent",
    "short-minutes",
    "short-percent",
    "short-count",
    "nonstop-hours",
    "clock-step-seconds",
    "hole-minutes",
    "organisation-machines",
];

/// A threshold by its key, and what it may be.
fn threshold<'a>(of: &'a mut Thresholds, name: &str) -> Option<(&'a mut u32, RangeInclusive<u32>)> {
    Some(match name {
        "energy-percent" => (&mut of.energy_percent, 1..=1000),
        "energy-minutes" => (&mut of.energy_minutes, 1..=1440),
        "counter-percent" => (&mut of.counter_percent, 1..=100),
        "outside-percent" => (&mut of.outside_percent, 0..=100),
        "short-minutes" => (&mut of.short_minutes, 1..=1440),
        "short-percent" => (&mut of.short_percent, 0..=100),
        "short-count" => (&mut of.short_count, 1..=1_000_000),
        "nonstop-hours" => (&mut of.nonstop_hours, 1..=8784),
        "clock-step-seconds" => (&mut of.clock_step_seconds, 1..=86_400),
        "hole-minutes" => (&mut of.hole_minutes, 1..=10_080),
        "organisation-machines" => (&mut of.organisation_machines, 2..=1000),
        _ => return None,
    })
}

/// Whether more of it is better.
const fn is_scorable(formula: Formula) -> bool {
    match formula {
        Formula::EffectiveHours
        | Formula::ExternalHours
        | Formula::Utilisation
        | Formula::Sharing
        | Formula::Fulfilment
        | Formula::VerifiedShare
        | Formula::Income => true,
        Formula::EnergyPerHour
        | Formula::IdleEnergy
        | Formula::HourCounter
        | Formula::MeanEffective
        | Formula::MeanExternal
        | Formula::LineHours => false,
    }
}

/// A decimal of at most two places, in hundredths.
pub(in crate::report) fn decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !is_plain(whole) || !is_plain(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    whole.checked_mul(100)?.checked_add(part)
}
