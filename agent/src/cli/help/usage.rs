//! Chinese help of `lineside usage`.

use super::ITSELF;

/// Command, argument and text.
pub(super) const TEXTS: [(&str, &str, &str); 48] = [
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
        "时段的开始：2026、2026-Q3、2026-09、2026-09-01 或整点（北京时间）",
    ),
    (
        "usage pull",
        "to",
        "时段的结束，其本身不含在内；不指定时，时段即 --from 所指的整段",
    ),
    (
        "usage pull",
        "output",
        "文件或文件夹（其中按网关和时段命名）；中断后重新运行即可继续",
    ),
    (
        "usage pull",
        "broker",
        "经城市的消息服务器，mqtt://主机:端口",
    ),
    ("usage pull", "api", "从网关自身的接口，http://主机:端口"),
    ("usage pull", "state", "从网关状态目录的副本"),
    (
        "usage pull",
        "archive",
        "从城市存证库（网关离线时亦可）：其目录，或 http://主机:端口",
    ),
    ("usage pull", "site", "该平台的网关"),
    ("usage pull", "gateway", "该网关"),
    ("usage pull", "all", "消息服务器或存证库所知的全部网关"),
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
        "信任文件：网关、见证方、签发者的公钥及认可的点表",
    ),
    ("usage verify", "json", "每个文件输出一行 JSON"),
    (
        "usage verify",
        "page",
        "写出核验网页，用浏览器从本地打开即可离线核验",
    ),
    (
        "usage receipt",
        ITSELF,
        "一次上机记录的单页凭证及其证明，供用户和开票使用",
    ),
    ("usage receipt", "session", "上机记录，或足以区分的名称开头"),
    ("usage receipt", "bundle", "所在的存证包"),
    ("usage receipt", "trust", "受信的公钥、见证方和点表"),
    ("usage receipt", "output", "写入的文件；`-` 为标准输出"),
    (
        "usage receipt",
        "format",
        "html：凭证页；tlog-proof：供其他核验程序读取的证明",
    ),
    ("usage receipt", "json", "输出 JSON"),
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
    (
        "usage report",
        "format",
        "输出形式：表格、带中文列名的 CSV、JSON 或单页 HTML",
    ),
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
