//! The Chinese texts of `lineside usage report` and `lineside usage explain`.

use super::ITSELF;

pub(super) const TEXTS: [(&str, &str, &str); 18] = [
    (
        "usage report",
        ITSELF,
        "由核验过的证据包统计各设备、各类别机时及覆盖率：表格、CSV、JSON 或网页",
    ),
    (
        "usage report",
        "files",
        "证据包，网关和时段不限；同一时段不得重复",
    ),
    (
        "usage report",
        "trust",
        "信任文件；未指定时任何证据包都不算通过核验",
    ),
    (
        "usage report",
        "unverified",
        "采用未通过核验的证据包，并全部标注",
    ),
    (
        "usage report",
        "rules",
        "规则文件；未指定时按国家定额，不评分",
    ),
    (
        "usage report",
        "assets",
        "资产清单 CSV：设备编号、名称、原值、定额",
    ),
    (
        "usage report",
        "bookings",
        "无签名的预约清单 CSV：据此计为对外，仅 D 级",
    ),
    ("usage report", "format", "输出形式"),
    ("usage report", "output", "写入的文件；未指定时为标准输出"),
    (
        "usage explain",
        ITSELF,
        "设备的时间去了哪里：从日历时间到计入机时，每一步的损失及原因",
    ),
    (
        "usage explain",
        "machine",
        "设备：设备、网关/设备 或 站点/网关/设备",
    ),
    ("usage explain", "files", "证据包"),
    (
        "usage explain",
        "trust",
        "信任文件；未指定时任何证据包都不算通过核验",
    ),
    (
        "usage explain",
        "unverified",
        "采用未通过核验的证据包，并标注",
    ),
    (
        "usage explain",
        "rules",
        "规则文件；未指定时按国家定额，不评分",
    ),
    (
        "usage explain",
        "assets",
        "资产清单 CSV：设备编号、名称、原值、定额",
    ),
    (
        "usage explain",
        "bookings",
        "无签名的预约清单 CSV：据此计为对外，仅 D 级",
    ),
    ("usage explain", "json", "输出 JSON"),
];
