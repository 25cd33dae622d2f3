//! The asset list: numbers, names, values and quotas of machines, as a unit's own books have them.

use crate::text::Text;
use std::collections::BTreeMap;

use super::rules::decimal;
use super::shanghai;
use super::sheet::{Bounds, Column, Row, Sheet};
use super::{Asset, InputFaults, Rules};
use crate::{Identifier, Time};

/// Rows of an asset list at most: more machines than a city's pilot platforms have.
const ROWS_MAX: usize = 20_000;

/// Its bounds.
const BOUNDS: Bounds = Bounds {
    bytes: 16 << 20,
    rows: ROWS_MAX,
    cell_chars: 200,
};

/// Tags of a machine at most.
const TAGS_MAX: usize = 20;

const fn column(is_needed: bool, names: &'static [&'static str]) -> Column {
    Column { names, is_needed }
}

const COLUMNS: [Column; 15] = [
    column(false, &["site", "站点"]),
    column(false, &["gateway", "网关"]),
    column(true, &["machine", "设备"]),
    column(false, &["number", "设备编号"]),
    column(false, &["name", "名称", "设备名称"]),
    column(false, &["unit", "单位"]),
    column(false, &["credit-code", "credit_code", "统一社会信用代码"]),
    column(false, &["original-value", "original_value", "原值"]),
    column(false, &["category", "类别"]),
    column(false, &["quota", "quota-h", "定额机时"]),
    column(false, &["start-date", "start_date", "启用日期"]),
    column(false, &["tags", "标签"]),
    column(false, &["line", "产线"]),
    column(false, &["income-inside", "income_inside", "对内收入"]),
    column(false, &["income-outside", "income_outside", "对外收入"]),
];

const SITE: usize = 0;
const GATEWAY: usize = 1;
const MACHINE: usize = 2;
const NUMBER: usize = 3;
const NAME: usize = 4;
const UNIT: usize = 5;
const CREDIT_CODE: usize = 6;
const ORIGINAL_VALUE: usize = 7;
const CATEGORY: usize = 8;
const QUOTA: usize = 9;
const START_DATE: usize = 10;
const TAGS: usize = 11;
const LINE: usize = 12;
const INCOME_INSIDE: usize = 13;
const INCOME_OUTSIDE: usize = 14;

/// An asset list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assets {
    rows: Vec<AssetRow>,
}

/// A row of an asset list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssetRow {
    /// Its line in the file.
    pub line: u64,
    /// The site; none: any.
    pub site: Option<Identifier>,
    /// The gateway; none: any.
    pub gateway: Option<Identifier>,
    /// The machine.
    pub machine: Identifier,
    /// What it says of the machine.
    pub asset: Asset,
    /// When its start date begins.
    pub start: Option<Time>,
}

impl Assets {
    /// Reads an asset list: CSV in UTF-8 with a first line of column names.
    ///
    /// # Errors
    ///
    /// Every fault with its line and column.
    pub fn read(bytes: &[u8], file: &str, rules: &Rules) -> Result<Self, InputFaults> {
        let (mut sheet, rows) = Sheet::read(bytes, file, &COLUMNS, &BOUNDS)?;
        let mut read: Vec<AssetRow> = Vec::new();
        let mut machines = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        for row in &rows {
            let Some(asset) = one(&mut sheet, row, rules) else {
                continue;
            };
            let key = (
                asset.site.clone(),
                asset.gateway.clone(),
                asset.machine.clone(),
            );
            once(&mut sheet, row, MACHINE, machines.insert(key, row.line));
            if let Some(number) = &asset.asset.number {
                let key = (asset.asset.credit_code.clone(), number.clone());
                once(&mut sheet, row, NUMBER, numbers.insert(key, row.line));
            }
            read.push(asset);
        }
        sheet.done()?;
        Ok(Self { rows: read })
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> &[AssetRow] {
        &self.rows
    }

    /// The row of a machine: one that names its gateway before one that names its site, before one that names neither.
    pub fn find(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        machine: &Identifier,
    ) -> Option<&AssetRow> {
        let fits = |row: &&AssetRow| {
            row.machine == *machine
                && row.site.as_ref().is_none_or(|named| named == site)
                && row.gateway.as_ref().is_none_or(|named| named == gateway)
        };
        let fitting = self.rows.iter().filter(fits);
        fitting.max_by_key(|row| (row.gateway.is_some(), row.site.is_some()))
    }
}

/// Tells that a key stood in an earlier row already.
fn once(sheet: &mut Sheet, row: &Row, column: usize, before: Option<u64>) {
    if let Some(line) = before {
        sheet.tell(
            row.line,
            column,
            Text::new(
                format!("stands in line {line} already: leave one of them out"),
                format!("第 {line} 行已有：请删去其一"),
            ),
        );
    }
}

const NAME_WANTED: (&str, &str) = (
    "a name of a-z, 0-9, _ and - that begins with a letter or digit",
    "由 a-z、0-9、_、- 组成、以字母或数字开头的名称",
);
const MONEY_WANTED: (&str, &str) = (
    "an amount in yuan with at most two decimals",
    "以元为单位、最多两位小数的金额",
);

fn one(sheet: &mut Sheet, row: &Row, rules: &Rules) -> Option<AssetRow> {
    let identifier = |text: &str| text.parse::<Identifier>().ok();
    let site = sheet.parse(row, SITE, NAME_WANTED, identifier);
    let gateway = sheet.parse(row, GATEWAY, NAME_WANTED, identifier);
    let machine = sheet.need(row, MACHINE, NAME_WANTED, identifier);
    let date_wanted = ("a date such as 2026-11-29", "形如 2026-11-29 的日期");
    let date = sheet.parse(row, START_DATE, date_wanted, shanghai::date);
    let text = |sheet: &Sheet, column| sheet.cell(row, column).map(str::to_owned);
    let asset = Asset {
        number: text(sheet, NUMBER),
        name: text(sheet, NAME),
        unit: text(sheet, UNIT),
        credit_code: sheet.parse(
            row,
            CREDIT_CODE,
            (
                "a unified social credit code of 18 characters with a right check digit (GB 32100)",
                " 18 位、校验位正确的统一社会信用代码（GB 32100）",
            ),
            credit_code,
        ),
        original_value_fen: sheet.parse(row, ORIGINAL_VALUE, MONEY_WANTED, money),
        category: category(sheet, row, rules),
        quota_h: sheet.parse(
            row,
            QUOTA,
            ("1 to 8784 whole hours a year", "每年 1 至 8784 的整小时数"),
            |text| text.parse().ok().filter(|hours| (1..=8784).contains(hours)),
        ),
        start_date: date.map(|date| date.to_string()),
        tags: sheet
            .parse(
                row,
                TAGS,
                (
                    "at most 20 words with ; between them",
                    "最多 20 个、以分号隔开的词",
                ),
                tags,
            )
            .unwrap_or_default(),
        line: text(sheet, LINE),
        income_inside_fen: sheet.parse(row, INCOME_INSIDE, MONEY_WANTED, money),
        income_outside_fen: sheet.parse(row, INCOME_OUTSIDE, MONEY_WANTED, money),
    };
    Some(AssetRow {
        line: row.line,
        site,
        gateway,
        machine: machine?,
        asset,
        start: date.and_then(shanghai::begin),
    })
}

fn category(sheet: &mut Sheet, row: &Row, rules: &Rules) -> Option<String> {
    let known: Vec<&str> = rules.quotas.keys().map(String::as_str).collect();
    let known = known.join(", ");
    let wanted = (
        format!("a category of the rules ({known})"),
        format!("规则中的类别（{known}）"),
    );
    sheet.parse(row, CATEGORY, (&wanted.0, &wanted.1), |text| {
        rules.quotas.contains_key(text).then(|| text.to_owned())
    })
}

/// Yuan with at most two decimals; commas between thousands are let pass.
fn money(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?.len();
    let mut rest = groups.peekable();
    let is_grouped = rest.peek().is_none() || (1..=3).contains(&first);
    if !is_grouped || rest.any(|group| group.len() != 3) {
        return None;
    }
    decimal(&format!("{}.{part}", whole.replace(',', "")))
}

fn tags(text: &str) -> Option<Vec<String>> {
    let tags = text.split([';', '；']).map(str::trim);
    let tags: Vec<String> = tags
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect();
    (tags.len() <= TAGS_MAX).then_some(tags)
}

/// A unified social credit code whose check digit is right (GB 32100).
fn credit_code(text: &str) -> Option<String> {
    const DIGITS: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let values = text.chars().map(|digit| DIGITS.find(digit));
    let values: Vec<usize> = values.collect::<Option<_>>()?;
    let (check, values) = values.split_last()?;
    if values.len() != 17 {
        return None;
    }
    let mut weight = 1;
    let mut sum = 0;
    for value in values {
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    ((31 - sum % 31) % 31 == *check).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
