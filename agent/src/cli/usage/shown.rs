//! What a pull shows: how far it has got, and at the end what was got.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use jiff::tz::{Offset, TimeZone};
use lineside_proto::{Identifier, Time};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use crate::archive::Standing;
use crate::cli::against::Against;
use crate::cli::{Failure, write_json};
use crate::evidence::fetch::Progress;
use crate::evidence::pull::Pulled;
use crate::text;
use crate::text::{Language, Text};

/// How often the bar is drawn.
const DRAW: Duration = Duration::from_millis(200);
/// How often a line says how far it is, where there is no terminal.
const SAY: Duration = Duration::from_secs(10);
/// Asia/Shanghai, which periods are of.
const ZONE: &str = "Asia/Shanghai";

/// Shows how far it has got, on standard error, until it is dropped. Must be called in a runtime.
pub(super) fn watch(name: String, progress: Arc<Progress>, language: Language) -> Watch {
    let bar = io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::no_length();
        let style = "{prefix}  {bar:30} {human_pos}/{human_len}  {per_sec}  {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(name.clone());
        bar
    });
    let shown = bar.clone();
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut tick = time::interval(if shown.is_some() { DRAW } else { SAY });
        // The first comes at once.
        tick.tick().await;
        loop {
            tick.tick().await;
            let (leaves, all) = progress.leaves();
            if all == 0 {
                continue;
            }
            match &shown {
                Some(bar) => {
                    bar.set_length(all);
                    bar.set_position(leaves);
                }
                None => {
                    let (leaves, all) = (HumanCount(leaves), HumanCount(all));
                    let line = text!(
                        "{name}: {leaves} of {all} leaves",
                        "{name}：已取得 {leaves} / {all} 条记录"
                    );
                    drop(writeln!(io::stderr(), "{}", line.say(language)));
                }
            }
        }
    }));
    Watch { bar, _task: task }
}

/// A bar on the terminal.
pub(super) struct Watch {
    bar: Option<ProgressBar>,
    _task: AbortOnDropHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What was got, for programs.
#[derive(Serialize)]
struct Said<'a> {
    file: &'a Path,
    site: &'a Identifier,
    gateway: &'a Identifier,
    origin: &'a str,
    from: Time,
    to: Time,
    first: u64,
    end: u64,
    size: u64,
    root: &'a str,
    first_at: Option<Time>,
    last_at: Option<Time>,
    /// The newest head in the bundle that somebody has cosigned, in leaves.
    cosigned: Option<u64>,
    maps_missing: &'a [String],
    tokens_missing: &'a [String],
    /// What the check of the whole found, beside that nobody vouches for the signer.
    found: &'a [String],
    /// What the archive that it is from holds against the log.
    #[serde(flatten)]
    against: Option<Against<'a>>,
}

/// What could not be got, for programs.
#[derive(Serialize)]
struct NotGot<'a> {
    site: &'a Identifier,
    gateway: &'a Identifier,
    /// The epoch, where others of the gateway may have been got.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    error: &'a str,
}

/// Says what was got, as JSON or in words; and on standard error what the archive that it is from holds against its log.
pub(super) fn got(
    (out, err): (&mut impl Write, &mut impl Write),
    (file, pulled): (&Path, &Pulled),
    log: Option<&Standing>,
    json: bool,
    language: Language,
) -> Result<(), Failure> {
    let against = log.map(Against::of);
    if let (Some(against), Some(log)) = (against, log) {
        against.say(err, &log.place(), language)?;
    }
    if json {
        let plan = &pulled.plan;
        let said = Said {
            file,
            site: &plan.site,
            gateway: &plan.gateway,
            origin: &plan.origin,
            from: plan.period.from,
            to: plan.period.to,
            first: plan.first,
            end: plan.end,
            size: plan.size,
            root: &plan.root,
            first_at: pulled.span.map(|(first, _)| first),
            last_at: pulled.span.map(|(_, last)| last),
            cosigned: cosigned(pulled),
            maps_missing: &pulled.maps_missing,
            tokens_missing: &pulled.tokens_missing,
            found: &pulled.found,
            against,
        };
        return write_json(out, &said);
    }
    writeln!(out, "{}", words(file, pulled).say(language))?;
    Ok(())
}

/// Says that a gateway's evidence could not be got, where others' may.
pub(super) fn not_got(
    (site, gateway): &(Identifier, Identifier),
    failure: &Failure,
    json: bool,
    language: Language,
) -> Result<(), Failure> {
    let why = reason(failure);
    if json {
        let error = why.say(language);
        let said = NotGot {
            site,
            gateway,
            epoch: None,
            error,
        };
        return write_json(&mut io::stdout().lock(), &said);
    }
    writeln!(io::stderr(), "{site}/{gateway}: {}", why.say(language))?;
    Ok(())
}

/// A failure's words.
pub(super) fn reason(failure: &Failure) -> Text {
    match failure {
        Failure::Usage(text)
        | Failure::Correct(text)
        | Failure::Store(text)
        | Failure::Unreachable(text)
        | Failure::Negative(text) => text.clone(),
        Failure::Configuration(text) => text!("{text}", "{text}"),
        Failure::Other(error) => text!("{error:#}", "{error:#}"),
    }
}

/// Why one epoch of a gateway was not got, or not all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    /// It can't be read where it is kept.
    Unreadable,
    /// It is nowhere where it was asked for.
    Nowhere,
    /// It does not say which one it continues, which may be of the period.
    Untold,
    /// It has leaves of the period, and none was given.
    Withheld,
    /// More leaves of it are known than were given, and those may be of the period.
    Short {
        /// Leaves of the tree that was given.
        given: u64,
        /// Leaves that there are.
        known: u64,
    },
    /// Something was wrong with it, in words.
    Failed(Text),
}

/// Says that one epoch of a gateway was not got, and why.
pub(super) fn lacks(
    (site, gateway): &(Identifier, Identifier),
    (epoch, lack): (u32, Lack),
    json: bool,
    language: Language,
) -> Result<(), Failure> {
    let why = match lack {
        Lack::Unreadable => text!(
            "not got: epoch {epoch} of {site}/{gateway} can't be read in the archive, and may be of this period; `lineside archive status` tells why, and the archive fetches anew what it can",
            "未取得：存证库中 {site}/{gateway} 第 {epoch} 期无法读取，其中可能有此时段的记录；原因见 `lineside archive status`，存证库会重新获取可获取的部分"
        ),
        Lack::Untold => text!(
            "not known: whether an epoch before epoch {epoch} of {site}/{gateway} is of this period: its first leaf, which would say so, can't be had now; the same command asks again",
            "无法得知：{site}/{gateway} 第 {epoch} 期之前是否有属于此时段的一期：其第一条记录本应说明，但现在无法取得；再次运行同一命令会重新询问"
        ),
        Lack::Withheld => text!(
            "not got: epoch {epoch} of {site}/{gateway}, which has leaves of this period: whoever answered gave none; the same command asks again, or ask the archive itself, by --archive DIR or URL",
            "未取得：{site}/{gateway} 的第 {epoch} 期，其中有此时段的记录，但应答者未给出：再次运行同一命令会重新询问，也可用 --archive 目录或网址 直接向存证库索取"
        ),
        Lack::Short { given, known } => text!(
            "not all: of epoch {epoch} of {site}/{gateway} {known} leaves are known, and {given} were given; the others may be of this period. The same command asks again; else ask another archive, or the gateway",
            "不完整：{site}/{gateway} 的第 {epoch} 期已知有 {known} 条记录，只给出 {given} 条，其余可能属于此时段；再次运行同一命令会重新询问，也可向另一存证库或网关索取"
        ),
        Lack::Failed(Text { en, zh }) => text!(
            "not got: epoch {epoch} of {site}/{gateway}: {en}",
            "未取得：{site}/{gateway} 的第 {epoch} 期：{zh}"
        ),
        Lack::Nowhere => text!(
            "not got: epoch {epoch} of {site}/{gateway}, which may be of this period, and perhaps others before it; its ledger was begun anew, and it can't be had from whoever was asked: ask the city's archive, or another one, by --archive DIR or URL",
            "未取得：{site}/{gateway} 的第 {epoch} 期，其中可能有此时段的记录，更早的期或许也有；台账已重新建立，而所询问的各方无法提供这一期：请用 --archive 目录或网址 向城市存证库或另一存证库索取"
        ),
    };
    say_lack((site, gateway), Some(epoch), &why, json, language)
}

/// Says that an archive can't tell which epochs of a gateway it has, whatever others have.
pub(super) fn unlisted(
    (site, gateway): &(Identifier, Identifier),
    json: bool,
    language: Language,
) -> Result<(), Failure> {
    let why = text!(
        "not known: an archive can't say which epochs of {site}/{gateway} it holds, and may have others of this period; its log tells why, and the same command asks again",
        "无法得知：有存证库无法说明其存有 {site}/{gateway} 的哪些期，其中可能还有此时段的记录；原因见其日志，再次运行同一命令会重新询问"
    );
    say_lack((site, gateway), None, &why, json, language)
}

fn say_lack(
    (site, gateway): (&Identifier, &Identifier),
    epoch: Option<u32>,
    why: &Text,
    json: bool,
    language: Language,
) -> Result<(), Failure> {
    let error = why.say(language);
    if json {
        let said = NotGot {
            site,
            gateway,
            epoch,
            error,
        };
        return write_json(&mut io::stdout().lock(), &said);
    }
    writeln!(io::stderr(), "{error}")?;
    Ok(())
}

/// The newest head that somebody has cosigned.
fn cosigned(pulled: &Pulled) -> Option<u64> {
    pulled.plan.cosigned_to()
}

fn words(file: &Path, pulled: &Pulled) -> Text {
    let plan = &pulled.plan;
    let (site, gateway, origin, root) = (&plan.site, &plan.gateway, &plan.origin, &plan.root);
    let (from, to) = (here(plan.period.from), here(plan.period.to));
    let (first_at, last_at) = pulled
        .span
        .map_or_else(Default::default, |(first, last)| (here(first), here(last)));
    let (count, size) = (HumanCount(plan.end - plan.first), HumanCount(plan.size));
    let (first, last) = (
        HumanCount(plan.first),
        HumanCount(plan.end.saturating_sub(1)),
    );
    let witness = match cosigned(pulled) {
        Some(size) => {
            let size = HumanCount(size);
            text!("cosigned up to {size} leaves", "已会签至第 {size} 条记录")
        }
        None => text!("nobody has cosigned it", "尚无见证方会签"),
    };
    let file = file.display();
    let (en, zh) = (&witness.en, &witness.zh);
    let mut said = Text {
        en: format!(
            "{file}\n\
             gateway  {site}/{gateway}\n\
             ledger   {origin}\n\
             period   {from} to {to} ({ZONE})\n\
             leaves   {count}: {first} to {last} of {size}; {first_at} to {last_at}\n\
             root     {root}\n\
             witness  {en}"
        ),
        zh: format!(
            "{file}\n\
             网关    {site}/{gateway}\n\
             台账    {origin}\n\
             时段    {from} 至 {to}（{ZONE}）\n\
             记录    {count} 条：第 {first} 至 {last} 条，共 {size} 条；{first_at} 至 {last_at}\n\
             根哈希  {root}\n\
             会签    {zh}"
        ),
    };
    for more in warnings(pulled) {
        said.en += &format!("\nnote     {}", more.en);
        said.zh += &format!("\n注意    {}", more.zh);
    }
    said.en += &format!(
        "\nnext:    lineside usage verify {file} --trust trust.toml\n         lineside usage report {file} --trust trust.toml"
    );
    said.zh += &format!(
        "\n下一步  lineside usage verify {file} --trust trust.toml\n        lineside usage report {file} --trust trust.toml"
    );
    said
}

fn warnings(pulled: &Pulled) -> Vec<Text> {
    let mut all = Vec::new();
    let (maps, tokens) = (pulled.maps_missing.len(), pulled.tokens_missing.len());
    if maps > 0 {
        all.push(text!(
            "{maps} of the machine maps that leaves name are not there: verification will fail; an archive that has just caught up fetches them still",
            "记录所引用的设备点表中有 {maps} 个缺失：核验将不通过；刚追上进度的存证库可能仍在收集"
        ));
    }
    if tokens > 0 {
        all.push(text!(
            "{tokens} of the booking tokens that leaves name are not there: their sessions are not proven to be external; an archive that has just caught up fetches them still",
            "记录所引用的预约令牌中有 {tokens} 个缺失：相应的上机记录无法证明为对外服务；刚追上进度的存证库可能仍在收集"
        ));
    }
    all.extend(pulled.found.iter().map(|found| text!("{found}", "{found}")));
    all
}

/// A moment as people in the city read it.
fn here(time: Time) -> String {
    let zone = TimeZone::fixed(Offset::constant(8));
    jiff::Timestamp::from_millisecond(time.as_millis())
        .map(|stamp| {
            zone.to_datetime(stamp)
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        })
        .unwrap_or_default()
}
