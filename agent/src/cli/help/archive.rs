//! Chinese help of `lineside archive`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 5] = [
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
];
