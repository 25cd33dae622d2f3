//! Help and usage errors in Chinese.
//!
//! The English texts stand beside the arguments that they describe; here stand the Chinese ones, by
//! command and argument, and those that clap itself would say in English. The parsing is not touched:
//! what is accepted does not depend on the language.

mod archive;
mod sim;
mod usage;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use std::error::Error as _;

use crate::text::Text;

/// Stands for the program itself, where a command is named.
const PROGRAM: &str = "lineside";
/// Stands for the command itself, where an argument is named.
const ITSELF: &str = "";

/// Command (below another: both, `session start`), argument and text.
const TEXTS: [(&str, &str, &str); 119] = [
    (
        PROGRAM,
        ITSELF,
        "线边：读取共享设备，判定其真实状态，断网时妥善保存，并发布到城市平台。",
    ),
    (PROGRAM, "config", "网关配置文件"),
    (
        PROGRAM,
        "lang",
        "使用的语言：en 或 zh-CN（未指定时依配置，再依系统区域）",
    ),
    (
        "demo",
        ITSELF,
        "虚拟中试线、消息服务器和程序同在一个进程：无需任何准备即可看到效果",
    ),
    ("demo", "duration", "运行多久后结束；未指定时按 Ctrl-C 结束"),
    (
        "demo",
        "port",
        "消息服务器在 127.0.0.1 上的端口；0 为任一空闲端口",
    ),
    (
        "demo",
        "console_port",
        "控制台在 127.0.0.1 上的端口；0 为任一空闲端口",
    ),
    ("demo", "seed", "相同的种子重现相同的过程"),
    ("demo", "speed", "每一秒相当于虚拟线上的多少秒"),
    (
        "run",
        ITSELF,
        "守护程序：持续读取已配置的设备，直到被要求停止",
    ),
    ("check", ITSELF, "一次列出所有配置文件中的所有错误"),
    ("check", "plan", "显示每个采集组每个周期发出的请求"),
    ("check", "json", "以 JSON 数组输出错误"),
    (
        "apply",
        ITSELF,
        "使运行中的程序采用改动后的设备点表；先显示差异",
    ),
    ("apply", "dry_run", "只显示将有哪些改动"),
    ("apply", "json", "输出 JSON"),
    (
        "probe",
        ITSELF,
        "立即读取一台设备：原始字、各种字节序下的数值、状态及其依据",
    ),
    ("probe", "machine", "设备"),
    ("probe", "points", "点位；不指定时为全部"),
    ("probe", "watch", "每秒重读一次，直到中断"),
    ("probe", "json", "输出 JSON"),
    ("status", ITSELF, "运行中的程序的状况"),
    ("status", "json", "输出 JSON"),
    ("session", ITSELF, "在设备旁签到和签退"),
    (
        "session start",
        ITSELF,
        "有人开始使用设备：开始一次上机记录",
    ),
    ("session start", "machine", "设备"),
    ("session start", "booking", "所属预约"),
    (
        "session start",
        "class",
        "没有预约时：OWN（自用）、TRN（培训）或 MNT（维护）",
    ),
    (
        "session start",
        "by",
        "使用者，以化名保存；未指定时为运行本命令的用户",
    ),
    ("session start", "json", "输出 JSON"),
    ("session stop", ITSELF, "使用完毕：结束设备的上机记录"),
    ("session stop", "machine", "设备"),
    (
        "session stop",
        "by",
        "结束者，以化名保存；未指定时为运行本命令的用户",
    ),
    ("session stop", "json", "输出 JSON"),
    ("session list", ITSELF, "进行中的上机记录"),
    ("session list", "json", "输出 JSON"),
    (
        "correct",
        ITSELF,
        "声明台账中的一条记录有误；已写入的内容保持不变",
    ),
    ("correct", "index", "有误的记录的序号"),
    ("correct", "reason", "正确的情况及原因"),
    ("correct", "by", "声明人；姓名将写入台账"),
    ("correct", "json", "输出 JSON"),
    ("keys", ITSELF, "台账的签名密钥，以及供城市平台登记的卡"),
    (
        "keys init",
        ITSELF,
        "在没有密钥时生成台账的签名密钥（权限 0600）",
    ),
    (
        "keys show",
        ITSELF,
        "显示公钥：C2SP 验证公钥、JWK，以及城市平台登记卡及其二维码",
    ),
    ("keys show", "json", "输出 JSON"),
    (
        "keys show",
        "trust",
        "输出本网关在评审方 trust.toml 中的部分",
    ),
    (
        "keys rotate",
        ITSELF,
        "生成接替的新密钥；更换结束前两把密钥同时签名",
    ),
    ("keys rotate", "finish", "结束更换：此后仅由新密钥签名"),
    ("keys rotate", "json", "输出 JSON"),
    ("ledger", ITSELF, "校验磁盘上的台账；无法延续时建立新台账"),
    (
        "ledger check",
        ITSELF,
        "校验磁盘上的整个台账：记录、分块、存证点；程序运行时也可执行",
    ),
    ("ledger check", "json", "输出 JSON"),
    (
        "ledger new-epoch",
        ITSELF,
        "放弃台账并建立引用它的新台账；须先停止程序",
    ),
    (
        "ledger new-epoch",
        "reason",
        "台账为何无法延续；将写入新台账",
    ),
    (
        "ledger new-epoch",
        "prior",
        "存证库给出的最后一个签名存证点；本机无从得知，或仅一个见证方有更多时使用",
    ),
    (
        "ledger new-epoch",
        "unheard",
        "未得知城市平台所持，引用本网关所记的存证点；若已会签更多，新一期会被停止",
    ),
    ("ledger new-epoch", "yes", "不询问，直接执行"),
    ("watch", ITSELF, "以门户的视角实时查看整个平台的可用状态"),
    ("watch", "broker", "消息服务器，写作 mqtt://HOST:PORT"),
    ("watch", "site", "只看这一个平台"),
    ("watch", "user", "在消息服务器上的用户名"),
    ("watch", "password_file", "存放密码的文件"),
    ("watch", "prefix", "主题前缀"),
    ("watch", "json", "每次变化输出一行 JSON"),
    ("watch", "once", "显示服务器上保留的内容后结束"),
    (
        "schema",
        ITSELF,
        "线边所发全部内容的 JSON Schema、AsyncAPI 与 OpenAPI 文档",
    ),
    ("schema", "name", "要输出的一个；不指定时列出名称"),
    ("schema", "json", "以 JSON 列出名称"),
    ("sim", ITSELF, "单独的虚拟中试线，可按需制造故障"),
    (
        "sim",
        "dir",
        "写入一套可用配置的目录；未指定时用临时目录，结束时删除",
    ),
    ("sim", "broker_port", "配置中写入的消息服务器端口"),
    ("sim", "seed", "相同的种子重现相同的过程"),
    ("sim", "speed", "每一秒相当于虚拟线上的多少秒"),
    ("sim", "faults", "一开始就有的故障；可多次给出"),
    (
        "trust",
        ITSELF,
        "显示 OPC UA 服务器的证书，并在设备点表中写明信任它",
    ),
    ("trust", "machine", "设备"),
    ("trust", "connection", "连接（设备有多个连接时）"),
    ("trust", "yes", "不询问，直接写入"),
    (
        "trust",
        "renew",
        "改为更新程序自己的证书，密钥不变；各服务器须重新信任它",
    ),
    ("trust", "json", "输出 JSON；不询问"),
    (
        "browse",
        ITSELF,
        "以树形显示 OPC UA 服务器的地址空间，或据此生成设备点表",
    ),
    ("browse", "url", "服务器，opc.tcp://主机[:端口][/路径]"),
    (
        "browse",
        "machine",
        "改用此已配置设备的服务器及其安全设置和用户",
    ),
    ("browse", "connection", "连接（设备有多个连接时）"),
    ("browse", "depth", "Objects 以下的层数"),
    ("browse", "limit", "节点总数上限"),
    ("browse", "values", "同时读取当前值"),
    ("browse", "map", "改为输出该名称设备的点表"),
    (
        "browse",
        "security",
        "None、Basic256Sha256、Aes128-Sha256-RsaOaep 或 Aes256-Sha256-RsaPss",
    ),
    ("browse", "mode", "Sign 或 SignAndEncrypt"),
    ("browse", "user", "用户；不指定时为匿名"),
    ("browse", "password_file", "存放该用户密码的文件"),
    ("browse", "trust", "服务器证书的指纹，sha256:…"),
    ("browse", "json", "输出 JSON"),
    (
        "booking",
        ITSELF,
        "预约用的密钥与令牌，供开发或试用门户者使用",
    ),
    (
        "booking key",
        ITSELF,
        "生成试用的签发密钥（权限 0600），并显示其公钥 JWK",
    ),
    ("booking key", "out", "私钥写入的文件；不会覆盖已有文件"),
    ("booking key", "kid", "密钥标识；未指定时为其指纹"),
    (
        "booking sign",
        ITSELF,
        "签发预约令牌；用 --set 签发预约消息，用 --checkin 签发签到令牌",
    ),
    ("booking sign", "key", "签发者的私钥（JWK 文件）"),
    ("booking sign", "machines", "预约的设备；可多次给出"),
    ("booking sign", "site", "平台；未指定时依配置"),
    ("booking sign", "gateway", "网关；未指定时依配置"),
    (
        "booking sign",
        "start",
        "开始时间，例如 2026-11-23T16:00:00+08:00",
    ),
    ("booking sign", "end", "结束时间"),
    ("booking sign", "class", "类别：EXT、OWN、AFF、TRN 或 MNT"),
    ("booking sign", "org", "单位（化名）；EXT 必填"),
    ("booking sign", "org_kind", "单位类型，依门户用词"),
    ("booking sign", "org_region", "单位所在地区，依门户用词"),
    ("booking sign", "user", "使用者（化名）"),
    ("booking sign", "id", "预约编号；未指定时自动生成"),
    (
        "booking sign",
        "data",
        "允许发布的过程数据：none、all 或以逗号分隔的点位",
    ),
    (
        "booking sign",
        "exp",
        "令牌的有效截止时间；未指定时为预约结束后一天，签到为一小时后",
    ),
    ("booking sign", "iss", "签发者名称"),
    (
        "booking sign",
        "set",
        "将令牌合成发往 bookings/{machine} 的签名消息",
    ),
    ("booking sign", "revision", "消息的修订号；须大于上一次"),
    ("booking sign", "tokens", "令牌；未给出时从标准输入逐行读取"),
    ("booking sign", "checkin", "为此预约签发签到令牌"),
    ("booking sign", "now", "签发时间；未指定时为现在"),
];

/// What clap says around our texts.
const FRAME: [(&str, &str); 13] = [
    ("Usage:", "用法："),
    ("Commands:", "命令："),
    ("Arguments:", "参数："),
    ("Options:", "选项："),
    ("Example:", "示例："),
    ("[OPTIONS]", "[选项]"),
    ("[COMMAND]", "[命令]"),
    ("<COMMAND>", "<命令>"),
    ("[env: ", "[环境变量："),
    ("[default: ", "[默认："),
    (
        "Print this message or the help of the given subcommand(s)",
        "显示本帮助或某个命令的帮助",
    ),
    ("Print help", "显示帮助"),
    ("Print version", "显示版本"),
];

/// What was wrong with the arguments.
const COMPLAINTS: [(ErrorKind, &str); 8] = [
    (ErrorKind::MissingSubcommand, "请给出一个命令：{commands}"),
    (ErrorKind::UnknownArgument, "没有参数“{argument}”"),
    (ErrorKind::InvalidSubcommand, "没有命令“{command}”"),
    (ErrorKind::InvalidValue, "“{argument}”的值“{value}”无效"),
    (
        ErrorKind::ValueValidation,
        "“{argument}”的值“{value}”无效：{cause}",
    ),
    (
        ErrorKind::MissingRequiredArgument,
        "缺少必需的参数：{argument}",
    ),
    (
        ErrorKind::ArgumentConflict,
        "“{argument}”不能与“{prior}”同时使用",
    ),
    (
        ErrorKind::TooManyValues,
        "“{argument}”的值“{value}”是多余的",
    ),
];

/// All texts.
fn texts() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let others = usage::TEXTS.iter().chain(&sim::TEXTS);
    TEXTS.iter().chain(others).chain(archive::TEXTS)
}

/// The Chinese text of an argument of a command, or of the command itself.
fn chinese(command: &str, argument: &str) -> Option<&'static str> {
    texts()
        .find(|(of, name, _)| (*of, *name) == (command, argument))
        .map(|(_, _, text)| *text)
}

/// The command and all below it, described in Chinese. What has no Chinese text keeps its own.
pub(super) fn in_chinese(command: Command) -> Command {
    described_below("", command)
}

/// The name of a command in the table, below that of the command above it.
fn place(above: &str, command: &Command) -> String {
    match (above, command.get_name()) {
        ("" | PROGRAM, name) => name.to_owned(),
        (above, name) => format!("{above} {name}"),
    }
}

fn described_below(above: &str, command: Command) -> Command {
    let name = place(above, &command);
    let command = command
        .mut_args(
            |argument| match chinese(&name, argument.get_id().as_str()) {
                Some(text) => argument.help(text),
                None => argument,
            },
        )
        .mut_subcommands(|below| described_below(&name, below));
    match chinese(&name, ITSELF) {
        Some(text) => command.about(text).long_about(None),
        None => command,
    }
}

/// What clap wrote, with its own words in Chinese.
pub(super) fn framed(text: &str) -> String {
    FRAME
        .iter()
        .fold(text.to_owned(), |text, (english, chinese)| {
            text.replace(english, chinese)
        })
}

/// Wrong usage, told in Chinese: what is wrong, what is near, how it is used.
pub(super) fn complaint(error: &Error) -> String {
    let sentence = COMPLAINTS.iter().find(|(kind, _)| *kind == error.kind());
    let Some((_, sentence)) = sentence else {
        return framed(&error.to_string());
    };
    let named = |kind| error.get(kind).map(ContextValue::to_string);
    let cause = error
        .source()
        .map(|cause| match cause.downcast_ref::<Text>() {
            Some(text) => text.zh.clone(),
            None => cause.to_string(),
        });
    let mut text = format!("错误：{sentence}\n");
    for (place, said) in [
        ("{argument}", named(ContextKind::InvalidArg)),
        ("{command}", named(ContextKind::InvalidSubcommand)),
        ("{commands}", named(ContextKind::ValidSubcommand)),
        ("{prior}", named(ContextKind::PriorArg)),
        ("{cause}", cause),
        // Last, since it may hold anything.
        ("{value}", named(ContextKind::InvalidValue)),
    ] {
        text = text.replace(place, &said.unwrap_or_default());
    }
    let near = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    for near in near.into_iter().filter_map(named) {
        text += &format!("\n  提示：相近的有 {near}\n");
    }
    if let Some(usage) = named(ContextKind::Usage) {
        text += &format!("\n{}\n", framed(&usage));
    }
    text + "\n详情请用“--help”。\n"
}

#[cfg(test)]
mod tests;
