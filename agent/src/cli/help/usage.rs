//! Chinese help of `lineside usage`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 21] = [
    (
        "usage",
        ITSELF,
        "评估所需的步骤：取得一个时段的证据、核验、统计机时",
    ),
    (
        "usage pull",
        ITSELF,
        "从网关取得一个时段的证据：每个网关一个文件，每一部分到达时即检查",
    ),
    (
        "usage pull",
        "from",
        "时段的开始：2026、2026-Q3、2026-09、2026-09-01 或整点时刻；未注明时区者为 Asia/Shanghai",
    ),
    (
        "usage pull",
        "to",
        "时段的结束，其本身不含在内；不指定时，时段即 --from 所指的整段",
    ),
    (
        "usage pull",
        "output",
        "文件，或文件夹；在文件夹中按网关和时段命名。中断后再次运行同一命令即可继续",
    ),
    (
        "usage pull",
        "broker",
        "经城市的消息服务器，mqtt://主机:端口",
    ),
    ("usage pull", "api", "从网关自身的接口，http://主机:端口"),
    ("usage pull", "state", "从网关状态目录的副本"),
    ("usage pull", "site", "该平台的网关"),
    ("usage pull", "gateway", "该网关"),
    ("usage pull", "all", "消息服务器所知的全部网关"),
    ("usage pull", "user", "消息服务器的用户名"),
    (
        "usage pull",
        "password_file",
        "密码文件，用于消息服务器的用户或网关接口",
    ),
    ("usage pull", "prefix", "主题前缀"),
    ("usage pull", "window", "同时进行的请求数；越少越温和"),
    ("usage pull", "fresh", "重新开始，不使用此前已取得的部分"),
    ("usage pull", "json", "每个网关输出一行 JSON"),
    (
        "usage verify",
        ITSELF,
        "离线核验证据：签名、完整性、时间、上机记录、令牌，并由记录重新累计",
    ),
    ("usage verify", "files", "证据文件"),
    (
        "usage verify",
        "trust",
        "信任文件：网关、见证人和签发者的公钥，以及认可的点表；没有它时，签名者未知",
    ),
    ("usage verify", "json", "每个文件输出一行 JSON"),
];
