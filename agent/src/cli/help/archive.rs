//! The Chinese texts of `lineside archive`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: &[(&str, &str, &str)] = &[
    (
        "archive",
        ITSELF,
        "城市的存证库：核验每个网关的台账，存为静态文件并会签",
    ),
    ("archive", "broker", "城市的消息服务器，mqtt://主机:端口"),
    ("archive", "dir", "存证库的目录"),
    (
        "archive",
        "gateways",
        "登记卡文件夹（lineside keys show --json 的输出）",
    ),
    (
        "archive",
        "witness_key",
        "以 lineside archive witness-key 生成的密钥会签已核验的内容",
    ),
    ("archive", "share", "与指定相同名称的其他进程共用此目录"),
    ("archive", "user", "消息服务器的用户名"),
    ("archive", "password_file", "存放该用户密码的文件"),
    ("archive", "prefix", "主题前缀"),
    ("archive", "log", "日志的形式：human、json 或 journald"),
    (
        "archive status",
        ITSELF,
        "各日志的状况（退出码 1：最新日志停止、有日志不可读、登记卡缺失或无效）",
    ),
    ("archive status", "dir", "存证库的目录"),
    (
        "archive status",
        "gateways",
        "登记卡文件夹，默认 gateways；有卡而无日志的网关也会列出",
    ),
    (
        "archive status",
        "json",
        "每份日志一行 JSON，其后为无日志、不可读、登记卡有误及来源不明者",
    ),
    ("archive verify", ITSELF, "依文件重新核验每一份日志"),
    ("archive verify", "dir", "存证库的目录"),
    (
        "archive verify",
        "gateways",
        "登记卡文件夹，默认 gateways；没有时以各日志首条记录所称的密钥核验",
    ),
    (
        "archive verify",
        "witnesses",
        "见证方的验证公钥：同时核验其会签；可多次给出",
    ),
    ("archive verify", "site", "仅该平台"),
    ("archive verify", "gateway", "仅该网关"),
    ("archive verify", "json", "每份日志输出一行 JSON"),
    (
        "archive export",
        ITSELF,
        "将一份日志导出为文件夹，供审计人员带走",
    ),
    ("archive export", "dir", "存证库的目录"),
    ("archive export", "site", "平台"),
    ("archive export", "gateway", "网关"),
    (
        "archive export",
        "epoch",
        "台账的第几期；未指定时为最新一期",
    ),
    (
        "archive export",
        "output",
        "文件夹，须为空或不存在；布局同状态目录，`usage pull --state` 可直接读取",
    ),
    ("archive export", "json", "输出 JSON"),
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
    ("archive index", "dir", "存证库目录"),
    (
        "archive index",
        "postgres",
        "使用 PostgreSQL 中的索引，而不是目录自带的索引",
    ),
    ("archive index", "json", "输出 JSON"),
    (
        "archive",
        "listen",
        "接口监听的地址，如 127.0.0.1:8610；未指定时不监听",
    ),
    (
        "archive",
        "postgres",
        "将索引保存在 PostgreSQL 中，而不是目录自带的索引",
    ),
    (
        "archive",
        "witness_logs",
        "见证方也可会签的他人日志：每行一个验证公钥",
    ),
    (
        "archive",
        "submit",
        "请其会签本库日志的他人见证方：每行一个地址和验证公钥",
    ),
];
