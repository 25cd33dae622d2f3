//! The table that an evaluator takes into a spreadsheet: one machine a row, Chinese columns, UTF-8 with its mark.

use lineside_proto::evidence::Grade;
use lineside_proto::report::{Coverage, Figure, HOUR_MS, MachineReport, Report, Source, shanghai};
use lineside_proto::{Class, Outcome, State};

/// The columns, in the order in which evaluators have them.
pub const COLUMNS: [&str; 33] = [
    "单位",
    "统一社会信用代码",
    "设备编号",
    "名称",
    "原值",
    "定额机时",
    "运行机时",
    "共享(对外)机时",
    "自用",
    "关联",
    "培训",
    "维护",
    "故障",
    "未知",
    "服务单位数",
    "预约",
    "履约",
    "爽约",
    "不可判定",
    "超时",
    "无预约使用",
    "利用率",
    "共享率",
    "覆盖率",
    "A机时",
    "B机时",
    "C机时",
    "D机时",
    "规则版本",
    "起始树大小",
    "终止树大小",
    "根哈希",
    "见证时间",
];

/// By this a spreadsheet knows that a file is UTF-8.
const MARK: &str = "\u{feff}";

/// The table.
///
/// # Errors
///
/// None that a vector could give.
pub fn table(report: &Report) -> Result<String, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(MARK.as_bytes().to_vec());
    writer.write_record(COLUMNS)?;
    for machine in &report.machines {
        let cells = row(machine, report);
        writer.write_record(cells.iter().map(|cell| harmless(cell)))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if is_formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

fn row(machine: &MachineReport, report: &Report) -> [String; 33] {
    let asset = machine.asset.clone().unwrap_or_default();
    let sums = &machine.sums;
    let figures = &machine.figures;
    let grades = |class: Class| sums.hours.get(&class).into_iter().flatten();
    let of_class = |class| grades(class).fold(0, |sum: u64, (_, ms)| sum.saturating_add(*ms));
    let of_grade = |grade: Grade| {
        let classes = report.rules.effective.iter().copied();
        let parts = classes.flat_map(grades).filter(|(is, _)| **is == grade);
        hours(parts.fold(0, |sum: u64, (_, ms)| sum.saturating_add(*ms)))
    };
    let outcome = |outcome| sums.bookings.get(&outcome).copied().unwrap_or(0);
    let kept = [Outcome::Fulfilled, Outcome::Overrun, Outcome::EarlyLeave].map(outcome);
    let kept = kept.into_iter().fold(0, u64::saturating_add);
    let all = sums
        .bookings
        .iter()
        .filter(|(outcome, _)| **outcome != Outcome::Cancelled);
    let all = all.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
    let [first, size, root, cosigned] = trees(machine, report);
    let number = format!("{}/{}/{}", machine.site, machine.gateway, machine.machine);
    let unbooked = of_class(Class::Unb).saturating_add(sums.outside_ms);
    [
        asset.unit.unwrap_or_default(),
        asset.credit_code.unwrap_or_default(),
        asset.number.unwrap_or(number),
        asset.name.unwrap_or_else(|| machine.machine.to_string()),
        asset.original_value_fen.map(hundredths).unwrap_or_default(),
        machine
            .quota
            .as_ref()
            .map(|quota| hours(quota.ms))
            .unwrap_or_default(),
        value(&figures.effective),
        value(&figures.external),
        hours(of_class(Class::Own)),
        hours(of_class(Class::Aff)),
        hours(of_class(Class::Trn)),
        hours(of_class(Class::Mnt)),
        hours(sums.ms.get(&State::Down).copied().unwrap_or(0)),
        hours(unknown(machine.coverage)),
        sums.organisations.to_string(),
        all.to_string(),
        kept.to_string(),
        outcome(Outcome::NoShow).to_string(),
        outcome(Outcome::Indeterminate).to_string(),
        outcome(Outcome::Overrun).to_string(),
        hours(unbooked),
        percent(&figures.utilisation),
        percent(&figures.sharing),
        coverage(machine.coverage),
        of_grade(Grade::A),
        of_grade(Grade::B),
        of_grade(Grade::C),
        of_grade(Grade::D),
        rules(report),
        first,
        size,
        root,
        cosigned,
    ]
}

/// The rules, and that something did not verify: in each row, since rows are cut out of tables.
fn rules(report: &Report) -> String {
    let digest: String = report.rules.sha256.chars().take(12).collect();
    let mark = if report.is_verified {
        ""
    } else {
        "（含未通过核验的数据）"
    };
    let (name, version) = (&report.rules.name, &report.rules.version);
    format!("{name} {version} {digest}{mark}")
}

/// The trees that a machine's rows rest on: the first's begin, and the last's end, root and witness.
fn trees(machine: &MachineReport, report: &Report) -> [String; 4] {
    let mine = |source: &&Source| source.site == machine.site && source.gateway == machine.gateway;
    let mut sources = report.sources.iter().filter(mine);
    let Some(first) = sources.next() else {
        return Default::default();
    };
    let last = sources.next_back().unwrap_or(first);
    [
        first.start_size.to_string(),
        last.size.to_string(),
        last.root.clone(),
        last.cosigned.map(shanghai::moment).unwrap_or_default(),
    ]
}

fn unknown(coverage: Coverage) -> u64 {
    coverage.period_ms().saturating_sub(coverage.known_ms())
}

/// Hours with two decimals, the rest cut off.
fn hours(ms: u64) -> String {
    hundredths(ms / (HOUR_MS / 100))
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn value(figure: &Figure) -> String {
    figure.hundredths().map(hundredths).unwrap_or_default()
}

fn percent(figure: &Figure) -> String {
    let value = figure.hundredths();
    value
        .map(|value| format!("{}%", hundredths(value)))
        .unwrap_or_default()
}

fn coverage(coverage: Coverage) -> String {
    let thousandths = coverage.thousandths();
    format!("{}.{}0%", thousandths / 10, thousandths % 10)
}

#[cfg(test)]
mod tests {
    use lineside_proto::report::Report;
    use proptest::prelude::*;

    use super::{COLUMNS, table};

    fn report() -> Report {
        let golden = include_str!("../../../proto/testdata/report/report.json");
        serde_json::from_str(golden).unwrap()
    }

    fn rows(text: &str) -> Vec<Vec<String>> {
        let text = text.strip_prefix('\u{feff}').unwrap();
        let reader = csv::Reader::from_reader(text.as_bytes());
        let rows = reader.into_records();
        rows.map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn the_table_is_what_it_was() {
        let golden = include_str!("../../../proto/testdata/report/report.csv");
        assert_eq!(table(&report()).unwrap(), golden);
        assert!(golden.starts_with("\u{feff}单位,统一社会信用代码,设备编号,"));
    }

    #[test]
    fn what_did_not_verify_is_marked_in_each_row() {
        let mut report = report();
        report.is_verified = false;
        let rows = rows(&table(&report).unwrap());
        assert!(
            rows.iter()
                .all(|row| row.iter().any(|cell| cell.contains("未通过核验")))
        );
    }

    #[test]
    fn a_machine_without_asset_has_its_own_name() {
        let mut report = report();
        report.machines[0].asset = None;
        report.machines[0].quota = None;
        let row = rows(&table(&report).unwrap()).remove(0);
        assert_eq!(
            row[2..6],
            ["zs-polymer/gw/m", "m", "", ""].map(str::to_owned)
        );
    }

    proptest! {
        #[test]
        fn it_is_read_back_and_no_cell_is_a_formula(name in "[=+@,\"'\\-a-z\r\n中]{0,12}") {
            let mut report = report();
            report.machines[0].asset.as_mut().unwrap().name = Some(name.clone());
            let rows = rows(&table(&report).unwrap());
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(rows[0].len(), COLUMNS.len());
            let cell = &rows[0][3];
            prop_assert!(!cell.starts_with(['=', '+', '-', '@']));
            prop_assert_eq!(cell.strip_prefix('\'').filter(|rest| *rest == name).unwrap_or(cell), &name);
        }
    }
}
