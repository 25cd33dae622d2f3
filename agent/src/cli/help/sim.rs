//! Chinese help of `lineside sim year`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 6] = [
    (
        "sim year",
        ITSELF,
        "样例年度数据：程序在三台设备旁运行数月后的状态目录，用于试用取数、核验和报告",
    ),
    ("sim year", "dir", "写入的目录；须为空或尚不存在"),
    ("sim year", "from", "起始日期（Asia/Shanghai）"),
    ("sim year", "months", "月数"),
    (
        "sim year",
        "machines",
        "设备台数：挤出机、烧结炉、成型机，依次循环",
    ),
    ("sim year", "seed", "相同的种子生成相同的数据"),
];
