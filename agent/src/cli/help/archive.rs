//! Chinese help of `lineside archive`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 14] = [
    (
        "archive",
        ITSELF,
        "城市的存证库：核验每个网关的台账，存为静态文件并联署",
    ),
    ("archive", "broker", "城市的消息服务器，mqtt://主机:端口"),
    ("archive", "dir", "存证库的目录"),
    (
        "archive",
        "gateways",
        "存放各网关登记卡（lineside keys show --json 的输出）的文件夹；未指定时为目录中的 gateways",
    ),
    (
        "archive",
        "witness_key",
        "以 lineside archive witness-key 生成的密钥联署已核验的内容",
    ),
    ("archive", "share", "与指定相同名称的其他进程共用此目录"),
    ("archive", "user", "消息服务器的用户名"),
    ("archive", "password_file", "存放该用户密码的文件"),
    ("archive", "prefix", "主题前缀"),
    ("archive", "log", "日志的形式：写到标准错误或系统日志"),
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
