//! Chinese help of `lineside archive`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 8] = [
    ("archive", ITSELF, "城市平台的副本：所有网关的台账"),
    (
        "archive index",
        ITSELF,
        "供查询的索引：与日志逐行核对，或由日志重建",
    ),
    ("archive index", "rebuild", "删除所有行，并由日志重建"),
    ("archive index", "check", "将每一行与日志核对"),
    ("archive index", "schema", "输出各表及每一列的含义"),
    ("archive index", "dir", "归档目录"),
    (
        "archive index",
        "postgres",
        "使用 PostgreSQL 中的索引，而不是目录自带的索引",
    ),
    ("archive index", "json", "输出 JSON"),
];
