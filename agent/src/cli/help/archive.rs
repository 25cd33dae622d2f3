//! Chinese help of `lineside archive`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 12] = [
    (
        "archive",
        ITSELF,
        "城市的台账存档：保存并核验每个网关的台账",
    ),
    (
        "archive witness-key",
        ITSELF,
        "生成或查看见证方密钥，以及信任它所需的配置",
    ),
    ("archive witness-key", "key", "密钥文件"),
    (
        "archive witness-key",
        "name",
        "为此名称的见证方生成密钥：主机名，可带路径；名称永久属于密钥",
    ),
    ("archive witness-key", "json", "以 JSON 输出"),
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
