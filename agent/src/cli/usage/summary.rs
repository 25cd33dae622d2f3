//! A report in a terminal: headlines with their coverage, anomalies, then machines and lines.

use lineside_proto::report::{
    Anomaly, Coverage, Figure, Figures, GroupReport, MachineReport, Report, Score, Withheld,
    shanghai,
};

use crate::cli::columns::columns;
use crate::cli::table::cell::{fitted, plain};
use crate::report::figure;
use crate::text::Language;

/// Anomalies that a terminal shows; JSON and the page have all.
const ANOMALIES_MAX: usize = 20;

/// The report as lines no wider than the terminal, as far as tables of figures can be cut.
pub(super) fn text(report: &Report, language: Language, width: usize) -> String {
    let mut lines = head(report, language);
    lines.push(String::new());
    lines.extend(headlines(&report.whole, language));
    lines.push(String::new());
    lines.extend(anomalies(&report.anomalies, language));
    lines.push(String::new());
    lines.extend(machines(report, language));
    lines.extend(line_hours(report, language));
    lines.push(String::new());
    lines.push(foot(report, language));
    let lines = lines.iter().map(|line| fitted(&plain(line), width.max(40)));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The line that stands over everything where something did not verify.
pub(super) fn mark(report: &Report, language: Language) -> Option<String> {
    let text = language.pick(
        "NOT VERIFIED: some of this is what somebody claims, and no more",
        "未通过核验：其中部分内容仅为声称，不足为证",
    );
    (!report.is_verified).then(|| text.to_owned())
}

fn head(report: &Report, language: Language) -> Vec<String> {
    let (from, to) = (shanghai::moment(report.from), shanghai::moment(report.to));
    let title = language.pick("Usage report", "机时报告");
    let zone = language.pick("Asia/Shanghai", "北京时间");
    let mut lines = vec![format!("{title}  {from} – {to} ({zone})")];
    lines.extend(mark(report, language));
    let rules = &report.rules;
    let digest: String = rules.sha256.chars().take(12).collect();
    lines.push(format!(
        "{}: {} {} ({digest})  {}: {}  {}: {}",
        language.pick("rules", "规则"),
        rules.name,
        rules.version,
        language.pick("bundles", "证据包"),
        report.sources.len(),
        language.pick("machines", "设备"),
        report.whole.machines,
    ));
    for source in &report.sources {
        let Some(begun) = &source.begun else { continue };
        let (site, gateway, said) = (&source.site, &source.gateway, begun.said());
        lines.push(format!("{site}/{gateway}: {}", said.say(language)));
        lines.push(format!("  {}", begun.reason));
    }
    let listed = report.whole.sums.listed_ms;
    if listed > 0 {
        let words = language.pick(
            "of the external hours rest on the bookings file alone: grade D",
            "对外机时仅依据预约文件，为 D 级",
        );
        lines.push(format!("{} h {words}", figure::hours(listed)));
    }
    lines
}

fn headlines(whole: &GroupReport, language: Language) -> Vec<String> {
    let figures = &whole.figures;
    let name = |figure: &Figure| {
        let said = figure.basis().formula.said().name;
        language.pick(said.en, said.zh)
    };
    let shown = [
        &figures.effective,
        &figures.external,
        &figures.utilisation,
        &figures.sharing,
        &figures.fulfilment,
        &figures.verified,
        &figures.energy_per_hour,
        &figures.idle_energy,
        &whole.mean_effective,
        &whole.mean_external,
    ];
    let rows = shown.map(|figure| {
        [
            name(figure),
            figure::value(figure),
            beside(figure.coverage(), language),
        ]
    });
    let mut lines = columns(&rows);
    lines.extend(whole.score.as_ref().map(|score| scored(score, language)));
    lines
}

fn beside(coverage: Coverage, language: Language) -> String {
    figure::coverage(coverage, language)
}

fn scored(score: &Score, language: Language) -> String {
    let name = language.pick("score", "得分");
    let most = figure::decimal(score.most_hundredths);
    let points = match (score.hundredths, score.withheld) {
        (Some(points), None) => format!("{} / {most}", figure::decimal(points)),
        (_, Some(Withheld::NoFigure)) => language
            .pick("withheld: a figure has no value", "暂不评分：有指标无数值")
            .to_owned(),
        (_, Some(Withheld::Coverage) | None) => language
            .pick("withheld: too little was watched", "暂不评分：覆盖率不足")
            .to_owned(),
    };
    format!("{name}: {points}  {}", beside(score.coverage, language))
}

fn anomalies(all: &[Anomaly], language: Language) -> Vec<String> {
    if all.is_empty() {
        return vec![language.pick("No anomalies", "没有异常").to_owned()];
    }
    let mut lines = vec![format!(
        "{}: {}",
        language.pick("Anomalies", "异常"),
        all.len()
    )];
    let rows: Vec<_> = all
        .iter()
        .take(ANOMALIES_MAX)
        .map(|anomaly| {
            let kind = anomaly.kind.name();
            let place = [&anomaly.gateway, &anomaly.machine]
                .map(|name| name.as_ref().map(ToString::to_string));
            let place: Vec<String> = place.into_iter().flatten().collect();
            let text = language.pick(&anomaly.text.en, &anomaly.text.zh);
            [
                format!("  {}", language.pick(kind.en, kind.zh)),
                place.join("/"),
                text.clone(),
            ]
        })
        .collect();
    lines.extend(columns(&rows));
    if all.len() > ANOMALIES_MAX {
        lines.push(
            language
                .pick("  … --format json has all", "  … 其余见 --format json")
                .to_owned(),
        );
    }
    lines
}

fn machines(report: &Report, language: Language) -> Vec<String> {
    let titles = [
        ("machine", "设备"),
        ("H_e h", "有效机时"),
        ("H_x h", "对外机时"),
        ("of quota", "利用率"),
        ("shared", "共享率"),
        ("kept", "履约率"),
        ("verified", "核验占比"),
        ("coverage", "覆盖率"),
        ("score", "得分"),
    ];
    let mut rows = vec![titles.map(|(en, zh)| language.pick(en, zh).to_owned())];
    rows.extend(report.machines.iter().map(|machine| {
        let name = format!("{}/{}", machine.gateway, label(machine));
        figures(
            name,
            &machine.figures,
            machine.coverage,
            machine.score.as_ref(),
        )
    }));
    for site in &report.sites {
        let group = &site.machines;
        let name = format!("= {}", site.site);
        rows.push(figures(
            name,
            &group.figures,
            group.coverage,
            group.score.as_ref(),
        ));
    }
    columns(&rows)
}

fn label(machine: &MachineReport) -> String {
    let name = machine
        .asset
        .as_ref()
        .and_then(|asset| asset.name.as_deref());
    name.map_or_else(
        || machine.machine.to_string(),
        |name| format!("{} {name}", machine.machine),
    )
}

fn figures(
    name: String,
    figures: &Figures,
    coverage: Coverage,
    score: Option<&Score>,
) -> [String; 9] {
    let value = |figure: &Figure| {
        figure
            .hundredths()
            .map_or_else(|| "–".to_owned(), figure::decimal)
    };
    let percent = |figure: &Figure| {
        figure.hundredths().map_or_else(
            || "–".to_owned(),
            |value| format!("{} %", figure::decimal(value)),
        )
    };
    let points = score.map(|score| {
        score
            .hundredths
            .map_or_else(|| "–".to_owned(), figure::decimal)
    });
    [
        name,
        value(&figures.effective),
        value(&figures.external),
        percent(&figures.utilisation),
        percent(&figures.sharing),
        percent(&figures.fulfilment),
        percent(&figures.verified),
        figure::per_mille(u64::from(coverage.thousandths())),
        points.unwrap_or_default(),
    ]
}

fn line_hours(report: &Report, language: Language) -> Vec<String> {
    if report.lines.is_empty() {
        return Vec::new();
    }
    let titles = [
        ("line", "产线"),
        ("line-hours", "线时"),
        ("external", "对外线时"),
        ("machines", "设备数"),
        ("coverage", "覆盖率"),
    ];
    let mut rows = vec![titles.map(|(en, zh)| language.pick(en, zh).to_owned())];
    rows.extend(report.lines.iter().map(|line| {
        [
            format!("{}/{}", line.site, line.line),
            figure::value(&line.line_hours),
            figure::value(&line.external_line_hours),
            line.machines.machines.to_string(),
            figure::per_mille(u64::from(line.line_hours.coverage().thousandths())),
        ]
    }));
    let mut lines = vec![String::new()];
    lines.extend(columns(&rows));
    lines.push(language.pick(
        "Line-hours are the time in which a line was in use; they are not added to machine-hours.",
        "线时为产线被使用的时间，不与机时相加。",
    ).to_owned());
    lines
}

fn foot(report: &Report, language: Language) -> String {
    let least = figure::per_mille(u64::from(report.rules.minimum_coverage_pm));
    match language {
        Language::En => format!(
            "Below a coverage of {least} figures are shown and not scored. Formulae and sources: --format json or html."
        ),
        Language::ZhCn => {
            format!("覆盖率低于 {least} 时仅展示、不评分。公式及出处见 --format json 或 html。")
        }
    }
}
