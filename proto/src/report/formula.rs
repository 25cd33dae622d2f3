//! The formulae in words, with their sources.

use super::{Formula, FormulaSaid};
use crate::text::Text;

/// English and Chinese.
type Words = (&'static str, &'static str);

const FORM: Words = (
    "annual benefit form for valuable instruments of universities",
    "高等学校贵重仪器设备年度效益评价表",
);
const REVIEW: Words = (
    "national review of open sharing by research facilities",
    "全国科研设施与仪器开放共享评价考核",
);
const OURS: Words = (
    "this program; no rule in force asks for it",
    "本程序自定，现行规定无此要求",
);
const SAMPLE: Words = ("sample scoring of one university", "某高校的评分样例");
const OPC: Words = (
    "OPC 40001-1, 14.2 (OperationDuration)",
    "OPC 40001-1 第 14.2 节（OperationDuration）",
);

impl Formula {
    /// The formula in words, and where it comes from.
    pub fn said(self) -> FormulaSaid {
        let both = |(en, zh): Words| Text::new(en, zh);
        FormulaSaid {
            formula: self,
            unit: self.unit(),
            name: both(self.name()),
            text: both(self.text()),
            source: both(self.source()),
        }
    }

    const fn name(self) -> Words {
        match self {
            Self::EffectiveHours => ("effective hours H_e", "有效机时 H_e"),
            Self::ExternalHours => ("external hours H_x", "对外共享机时 H_x"),
            Self::Utilisation => ("utilisation", "利用率"),
            Self::Sharing => ("sharing rate", "共享率"),
            Self::Fulfilment => ("fulfilment", "履约率"),
            Self::VerifiedShare => ("verified share", "核验占比"),
            Self::EnergyPerHour => ("energy per hour", "单位机时能耗"),
            Self::IdleEnergy => ("idle energy", "闲置能耗占比"),
            Self::HourCounter => ("hour counter", "设备计时器"),
            Self::Income => ("income rate", "收入占原值比"),
            Self::MeanEffective => ("mean effective hours", "台均有效机时"),
            Self::MeanExternal => ("mean external hours", "台均对外机时"),
            Self::LineHours => ("line-hours", "线时"),
        }
    }

    const fn text(self) -> Words {
        match self {
            Self::EffectiveHours => (
                "activity (SETUP + RUN + HOLD up to its cap) in sessions of the classes that the rules count",
                "规则所计类别的上机记录内的活动时长（准备＋运行＋上限以内的暂停）",
            ),
            Self::ExternalHours => (
                "of H_e, in sessions of the classes that the rules call external",
                "H_e 中规则列为对外的类别",
            ),
            Self::Utilisation => (
                "H_e / Q; Q is the quota a year, pro rata of the days reported and not before the start date",
                "H_e ÷ Q；Q 为年定额机时，按报告天数折算，启用日期之前不计",
            ),
            Self::Sharing => ("H_x / H_e", "H_x ÷ H_e"),
            Self::Fulfilment => (
                "bookings kept (fulfilled, overrun, early-leave) / (bookings − indeterminate − platform fault − cancelled)",
                "履约（含超时、提前离开）÷（预约 − 不可判定 − 平台原因 − 已取消）",
            ),
            Self::VerifiedShare => ("H_e of grades A and B / H_e", "A、B 级 H_e ÷ H_e"),
            Self::EnergyPerHour => (
                "energy of counting sessions that have a meter / activity in them",
                "计入类别中有电表读数的上机记录的电量 ÷ 其活动时长",
            ),
            Self::IdleEnergy => (
                "energy outside sessions / all energy",
                "上机记录以外的电量 ÷ 全部电量",
            ),
            Self::HourCounter => (
                "what the machine's own hour counter counted / RUN over the same spans",
                "设备自带计时器的增量 ÷ 同期运行时长",
            ),
            Self::Income => (
                "(income inside + factor × income outside) / original value, by the asset list",
                "（对内收入 ＋ 系数 × 对外收入）÷ 原值，依资产清单",
            ),
            Self::MeanEffective => ("ΣH_e / N machines", "ΣH_e ÷ N 台"),
            Self::MeanExternal => ("ΣH_x / N machines", "ΣH_x ÷ N 台"),
            Self::LineHours => (
                "union of the intervals of the line's sessions of counting classes; never added to machine-hours",
                "该线各设备计入类别的上机记录区间的并集；不与机时相加",
            ),
        }
    }

    const fn source(self) -> Words {
        match self {
            Self::EffectiveHours | Self::Utilisation => FORM,
            Self::ExternalHours | Self::Sharing | Self::MeanEffective | Self::MeanExternal => {
                REVIEW
            }
            Self::Fulfilment
            | Self::VerifiedShare
            | Self::EnergyPerHour
            | Self::IdleEnergy
            | Self::LineHours => OURS,
            Self::HourCounter => OPC,
            Self::Income => SAMPLE,
        }
    }
}
