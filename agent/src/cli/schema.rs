//! `lineside schema`: the published description of the documents, for tools.

use std::io::{self, Write};

use lineside_proto::schema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Context, Failure, Outcome};
use crate::archive::web;
use crate::console;
use crate::report::receipt::Receipt;
use crate::text;
use crate::text::Language;

/// Arguments of `lineside schema`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  lineside schema availability > availability.schema.json")]
pub struct Args {
    /// Which one to print; without it, the names are listed.
    pub name: Option<String>,
    /// List the names as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints one schema, or the names of all.
///
/// # Errors
///
/// [`Failure::Usage`] for a name that does not exist, [`Failure::Other`] where standard output can't be
/// written.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    print(args, context.language, &mut io::stdout().lock())
}

fn print(args: &Args, language: Language, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let written = match &args.name {
        Some(name) => {
            let Some(schema) = described(name) else {
                return Err(Failure::Usage(unknown(name)));
            };
            writeln!(out, "{schema:#}")
        }
        None if args.json => {
            let names: Vec<_> = names()
                .map(|(name, summary)| json!({"name": name, "summary": summary}))
                .collect();
            writeln!(out, "{:#}", json!(names))
        }
        None => names().try_for_each(|(name, summary)| {
            let summary = language.pick(summary, chinese(name).unwrap_or(summary));
            writeln!(out, "{name:<14} {summary}")
        }),
    };
    written.and_then(|()| out.flush())?;
    Ok(Outcome::Done)
}

/// The name under which the description of the local API is asked for.
const OPENAPI: &str = "openapi";

/// The name under which the description of the archive's API is asked for.
const ARCHIVE: &str = "archive-api";

/// The name under which the description of a receipt is asked for.
const RECEIPT: &str = "receipt";

/// All names, with what they stand for.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let openapi = (OPENAPI, "OpenAPI 3.1: the local API of the gateway");
    let receipt = (
        RECEIPT,
        "One session on one page: what it counts, and the proof of its leaf",
    );
    let archive = (ARCHIVE, "OpenAPI 3.1: the API of the city's archive");
    schema::names().chain([receipt, openapi, archive])
}

/// What a name stands for, in Chinese.
fn chinese(name: &str) -> Option<&'static str> {
    let mut all = CHINESE.iter();
    all.find(|(of, _)| *of == name).map(|(_, summary)| *summary)
}

const CHINESE: [(&str, &str); 22] = [
    (
        "status",
        "网关状态，也是遗嘱消息：网关不是 ONLINE 时，其一切内容都不可信",
    ),
    ("availability", "设备正在做什么，以及现在能否开始使用"),
    ("map", "设备是什么：名称、带单位和类型的点位、状态规则"),
    ("telemetry", "设备点位的读数，逐帧"),
    ("gap", "设备过程数据缺了什么，为什么"),
    (
        "session",
        "上机记录开始或结束、预约有了结果，或上机记录归属某个预约",
    ),
    (
        "bookings",
        "设备所有未开始或进行中的预约；消息及其中的令牌均以紧凑 JWS 签名",
    ),
    ("claims", "预约令牌的声明：紧凑 JWS 的载荷"),
    ("check-in", "门户的签到，发往预约的主题：紧凑 JWS 的载荷"),
    ("bookings-ack", "哪些预约有效，最新消息中哪些被拒、为什么"),
    ("leaf-message", "台账的一条记录，按序号依次发布"),
    (
        "leaf",
        "记录消息中文本的含义：规范 JSON（RFC 8785），按原样计算哈希",
    ),
    ("request", "对网关的查询，带本网关之下的应答主题和关联数据"),
    ("answer", "应答的一部分，带查询的关联数据"),
    ("manifest", "证据包的自述：时段、记录范围、每个文件及其哈希"),
    ("totals", "证据包中记录的合计：其中的 report.json"),
    (
        "verification",
        "核验程序对证据包的结论：逐项检查、结论、合计",
    ),
    (
        "report",
        "评价人员所读：按设备、站点和产线的机时、带覆盖率的指标、异常",
    ),
    ("asyncapi", "AsyncAPI 3.0：所有主题及其文档、保留与过期"),
    (RECEIPT, "一条上机记录一页：计入的机时及其记录的证明"),
    (OPENAPI, "OpenAPI 3.1：网关的本地接口"),
    (ARCHIVE, "OpenAPI 3.1：城市存证库的接口"),
];

fn described(name: &str) -> Option<Value> {
    if name == OPENAPI {
        return Some(console::openapi());
    }
    if name == ARCHIVE {
        return Some(web::openapi());
    }
    if name == RECEIPT {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let root = settings.into_generator().into_root_schema_for::<Receipt>();
        return Some(root.into());
    }
    schema::schema(name)
}

fn unknown(name: &str) -> text::Text {
    let names: Vec<_> = names().map(|(name, _)| name).collect();
    let names = names.join(", ");
    text!(
        "there is no schema `{name}`; there are: {names}",
        "没有名为 `{name}` 的 schema；可选：{names}"
    )
}

#[cfg(test)]
mod tests {
    use super::{Args, CHINESE, Failure, Language, chinese, names, print};

    #[test]
    fn every_name_has_one_chinese_summary() {
        assert!(names().all(|(name, _)| chinese(name).is_some()));
        assert_eq!(names().count(), CHINESE.len());
        let args = Args {
            name: None,
            json: false,
        };
        let mut out = Vec::new();
        print(&args, Language::ZhCn, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("哪些预约有效"));
    }

    fn printed(name: Option<&str>, json: bool) -> Result<String, Failure> {
        let args = Args {
            name: name.map(Into::into),
            json,
        };
        let mut out = Vec::new();
        print(&args, Language::En, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn lists_the_names_and_prints_each() {
        let list = printed(None, false).unwrap();
        let json: Vec<serde_json::Value> =
            serde_json::from_str(&printed(None, true).unwrap()).unwrap();
        assert_eq!(list.lines().count(), json.len());
        for (name, _) in names() {
            assert!(list.contains(name), "{name}");
            let text = printed(Some(name), false).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn an_unknown_name_is_wrong_usage_and_names_the_others() {
        let Err(Failure::Usage(text)) = printed(Some("availabilty"), false) else {
            panic!("accepted");
        };
        assert!(text.en.contains("availability"), "{text}");
        assert!(text.zh.contains("availability"), "{}", text.zh);
    }
}
