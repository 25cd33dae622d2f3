//! What a report is made from.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::{Assets, Bookings, ListKind, ListUsed, Observed, Rules};
use crate::Time;
use crate::evidence::{Verdict, Verification};

/// A bundle, as far as a report needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Its file.
    pub file: String,
    /// What its verifier said.
    pub verification: Verification,
    /// What its leaves say beyond the totals.
    pub observed: Observed,
    /// Texts of maps that changed in the period, by `sha256:` and their hash.
    pub maps: BTreeMap<String, String>,
}

/// What somebody brings to the bundles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brought {
    /// The rules.
    pub rules: Rules,
    /// The asset list.
    pub assets: Option<Assets>,
    /// Bookings that nobody signed.
    pub bookings: Option<Bookings>,
    /// The platforms' own organisations, by the trust file.
    pub own: BTreeSet<String>,
    /// Their affiliates, likewise.
    pub affiliates: BTreeSet<String>,
    /// The files that these came from.
    pub lists: Vec<ListFile>,
    /// Whether bundles that did not verify are let in. The report says so.
    pub takes_unverified: bool,
    /// The program.
    pub by: String,
    /// Now.
    pub made: Time,
}

/// A file that was brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFile {
    /// What it brought.
    pub kind: ListKind,
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// Why there is no report.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReportError {
    /// No bundle.
    #[error("{}", self.said().en)]
    NoBundle,
    /// A bundle that did not verify.
    #[error("{}", self.said().en)]
    Unverified {
        /// Its file.
        file: String,
        /// The verdict.
        verdict: Verdict,
        /// What is wrong, in the verifier's words; the first.
        said: Option<String>,
    },
    /// A bundle whose leaves could not be added up.
    #[error("{}", self.said().en)]
    Unread {
        /// Its file.
        file: String,
    },
    /// Two bundles tell the same time of one gateway.
    #[error("{}", self.said().en)]
    Overlap {
        /// The one.
        file: String,
        /// The other.
        other: String,
        /// `site/gateway`.
        gateway: String,
    },
    /// A row of the asset list that fits several machines.
    #[error("{}", self.said().en)]
    Ambiguous {
        /// Its line.
        line: u64,
        /// The machine's name.
        machine: String,
    },
}

impl ReportError {
    /// In words, and what to do.
    pub fn said(&self) -> Text {
        match self {
            Self::NoBundle => Text::new("name at least one bundle", "请指定至少一个证据包"),
            Self::Unverified {
                file,
                verdict,
                said,
            } => {
                let why = said.as_deref().unwrap_or("-");
                match verdict {
                    Verdict::Failed => Text::new(
                        format!(
                            "{file} does not verify: {why}; `lineside usage verify {file}` says all; --unverified takes it in, and marks the report"
                        ),
                        format!(
                            "{file} 未通过核验：{why}；详情见 `lineside usage verify {file}`；--unverified 可强行采用，报告将作标注"
                        ),
                    ),
                    Verdict::SelfConsistent | Verdict::Verified => Text::new(
                        format!(
                            "nobody trusted signed {file}: name its keys by --trust FILE; --unverified takes it in, and marks the report"
                        ),
                        format!(
                            "{file} 的签名者不受信任：请用 --trust 文件 指明密钥；--unverified 可强行采用，报告将作标注"
                        ),
                    ),
                }
            }
            Self::Unread { file } => Text::new(
                format!("the leaves of {file} can't be added up: pull it again"),
                format!("无法合计 {file} 中的记录：请重新提取"),
            ),
            Self::Overlap {
                file,
                other,
                gateway,
            } => Text::new(
                format!(
                    "{file} and {other} both tell a part of one time of {gateway}: leave one out, or pull periods that adjoin"
                ),
                format!(
                    "{file} 与 {other} 包含 {gateway} 的同一时段：请去掉其一，或提取首尾相接的时段"
                ),
            ),
            Self::Ambiguous { line, machine } => Text::new(
                format!(
                    "line {line} of the asset list fits several machines {machine}: add the columns site and gateway"
                ),
                format!("资产清单第 {line} 行对应多台名为 {machine} 的设备：请加上站点和网关两列"),
            ),
        }
    }
}

impl Brought {
    /// What the report says of the files, with the lines that fit no machine.
    pub(super) fn lists(&self, unused: &dyn Fn(ListKind) -> Vec<u64>) -> Vec<ListUsed> {
        let wide = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        let rows = |kind| match kind {
            ListKind::Trust => 0,
            ListKind::Assets => self
                .assets
                .as_ref()
                .map_or(0, |list| wide(list.rows().len())),
            ListKind::Bookings => self
                .bookings
                .as_ref()
                .map_or(0, |list| wide(list.rows().len())),
        };
        let used = self.lists.iter().map(|list| ListUsed {
            kind: list.kind,
            file: list.file.clone(),
            sha256: list.sha256.clone(),
            rows: rows(list.kind),
            unused_lines: unused(list.kind),
        });
        used.collect()
    }
}
