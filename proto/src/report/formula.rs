//! The formulae in words, with their sources.

use super::Formula;

/// Name, text and source, each in English and Chinese.
type Words = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const FORM: (&str, &str) = (
    "annual benefit form for valuable instruments of universities",
    "高等学校贵重仪器设备年度效益评价表",
);
const REVIEW: (&str, &str) = (
    "national review of open sharing by research facilities",
    "全国科研设施与仪器开放共享评价考核",
);
const OURS: (&str, &str) = (
    "this program; no rule in force asks for it",
    "本程序自定，现行规定无此要求",
);
const SAMPLE: (&str, &str) = ("sample scoring of one university", "某高校的评分样例");

impl Formula {
    pub(super) const fn words(self) -> Words {
        let ((name, zh), (text, text_zh), (source, source_zh)) = match self {
            Self::EffectiveHours => (
                ("effective hours H_e", "有效机时 H_e"),
                (
                    "activity (SETUP + RUN + HOLD up to its cap) in sessions of the classes that the rules count",
                    "规则所计类别的上机记录内的活动时长（准备＋运行＋上限以内的暂停）",
                ),
                FORM,
            ),
            Self::ExternalHours => (
                ("external hours H_x", "对外共享机时 H_x"),
                (
                    "of H_e, in sessions of the classes that the rules call external",
                    "H_e 中规则列为对外的类别",
                ),
                REVIEW,
            ),
            Self::Utilisation => (
                ("utilisation", "利用率"),
                (
                    "H_e / Q; Q is the quota a year, pro rata of the days reported and not before the start date",
                    "H_e ÷ Q；Q 为年定额机时，按报告天数折算，启用日期之前不计",
                ),
                FORM,
            ),
            Self::Sharing => (
                ("sharing rate", "共享率"),
                ("H_x / H_e", "H_x ÷ H_e"),
                REVIEW,
            ),
            Self::Fulfilment => (
                ("fulfilment", "履约率"),
                (
                    "bookings kept (fulfilled, overrun, early-leave) / (bookings − indeterminate − platform fault − cancelled)",
                    "履约（含超时、提前离开）÷（预约 − 不可判定 − 平台原因 − 已取消）",
                ),
                OURS,
            ),
            Self::VerifiedShare => (
                ("verified share", "核验占比"),
                ("H_e of grades A and B / H_e", "A、B 级 H_e ÷ H_e"),
                OURS,
            ),
            Self::EnergyPerHour => (
                ("energy per hour", "单位机时能耗"),
                (
                    "energy in sessions / activity in sessions",
                    "上机记录内的电量 ÷ 上机记录内的活动时长",
                ),
                OURS,
            ),
            Self::IdleEnergy => (
                ("idle energy", "闲置能耗占比"),
                (
                    "energy outside sessions / all energy",
                    "上机记录以外的电量 ÷ 全部电量",
                ),
                OURS,
            ),
            Self::HourCounter => (
                ("hour counter", "设备计时器"),
                (
                    "what the machine's own hour counter counted / RUN over the same spans",
                    "设备自带计时器的增量 ÷ 同期运行时长",
                ),
                (
                    "OPC 40001-1, 14.2 (OperationDuration)",
                    "OPC 40001-1 第 14.2 节（OperationDuration）",
                ),
            ),
            Self::Income => (
                ("income rate", "收入占原值比"),
                (
                    "(income inside + factor × income outside) / original value, by the asset list",
                    "（校内收入 ＋ 系数 × 校外收入）÷ 原值，依资产清单",
                ),
                SAMPLE,
            ),
            Self::MeanEffective => (
                ("mean effective hours", "台均有效机时"),
                ("ΣH_e / N machines", "ΣH_e ÷ N 台"),
                REVIEW,
            ),
            Self::MeanExternal => (
                ("mean external hours", "台均对外机时"),
                ("ΣH_x / N machines", "ΣH_x ÷ N 台"),
                REVIEW,
            ),
            Self::LineHours => (
                ("line-hours", "线时"),
                (
                    "union of the intervals of the line's sessions of counting classes; never added to machine-hours",
                    "该线各设备计入类别的上机记录区间的并集；不与机时相加",
                ),
                OURS,
            ),
        };
        (name, zh, text, text_zh, source, source_zh)
    }
}
