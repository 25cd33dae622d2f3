//! `lineside status`: the health of the running agent.

mod witness;

use lineside_proto::ReasonCode;
use std::io::{self, Write};
use std::path::Path;

use self::witness::witnessed;
use super::{Context, Failure, Outcome, words, write_json};
use crate::control::{self, Answer, AskError, Request};
use crate::live::{LedgerFigures, LinkFigures, Live, LiveMachine, LiveSession};
use crate::text;
use crate::text::{Language, Text};

/// Arguments of `lineside status`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside status --json | jq .outbox")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// No agent that answers: exit code 5.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let config = context.load()?.config;
    let live = live(context, &config.gateway.state_dir)?;
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &live)?;
    } else {
        show(&mut out, &live, context.language)?;
    }
    Ok(Outcome::Done)
}

/// A snapshot of the running agent.
///
/// # Errors
///
/// No agent that answers.
pub fn live(context: &Context, state_dir: &Path) -> Result<Live, Failure> {
    let Answer::Live(live) = ask(context, state_dir, &Request::Live)? else {
        return Err(other_answer());
    };
    Ok(*live)
}

/// An answer to another question: a fault of the program, not of the user.
pub(super) fn other_answer() -> Failure {
    Failure::Other(anyhow::anyhow!(
        "the agent gave an answer to another question"
    ))
}

/// Asks the running agent; what it refuses is a failure.
///
/// # Errors
///
/// No agent that answers, or a refusal.
pub(super) fn ask(
    context: &Context,
    state_dir: &Path,
    request: &Request,
) -> Result<Answer, Failure> {
    match control::ask(state_dir, request) {
        Ok(Answer::Refused { en, zh }) => {
            let said = Text { en, zh };
            Err(Failure::Other(anyhow::anyhow!(
                "{}",
                said.say(context.language)
            )))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(unanswered(error)),
    }
}

/// Why there is no answer, for a person.
pub(super) fn unanswered(error: AskError) -> Failure {
    match error {
        AskError::Absent { path, source } => {
            let path = path.display();
            Failure::Unreachable(text!(
                "no agent answers at {path}: {source}; is `lineside run` started, and are you allowed to ask it?",
                "{path} 处没有程序应答：{source}；请确认 `lineside run` 已启动且您有权限访问"
            ))
        }
        AskError::Broken(source) => Failure::Unreachable(text!(
            "the agent gave no answer: {source}",
            "程序没有应答：{source}"
        )),
        AskError::Answer(_) => Failure::Other(error.into()),
    }
}

fn show(out: &mut impl Write, live: &Live, language: Language) -> io::Result<()> {
    let Live {
        site,
        gateway,
        version,
        started,
        at,
        clock,
        uplink,
        outbox,
        ledger,
        ..
    } = live;
    writeln!(out, "{site}/{gateway}  lineside {version}  {at}")?;
    let (since, clock_word) = language.pick(("started", "clock"), ("启动于", "时钟"));
    writeln!(out, "{since} {started}  {clock_word} {:?}", clock.status)?;
    let link = if uplink.connected {
        text!("connected", "已连接")
    } else {
        text!("not connected", "未连接")
    };
    let fault = uplink
        .fault
        .as_deref()
        .filter(|_| !uplink.connected)
        .unwrap_or_default();
    let line = text!(
        "broker {}: {}  acknowledged {}  refused {}  {fault}",
        "服务器 {}：{}  已确认 {}  被拒 {}  {fault}",
        uplink.broker,
        link.say(language),
        uplink.acknowledged,
        uplink.refused
    );
    writeln!(out, "{}", line.say(language).trim_end())?;
    let oldest = outbox.oldest.map_or_else(Text::default, |time| {
        text!(", the oldest of {time}", "，最早的为 {time}")
    });
    let line = text!(
        "outbox: {} messages waiting, {} bytes on disk, {} dropped",
        "断网续传缓存：待发 {} 条，占用 {} 字节，丢弃 {} 条",
        outbox.messages,
        outbox.bytes,
        outbox.dropped
    );
    writeln!(out, "{}{}", line.say(language), oldest.say(language))?;
    if let Some(ledger) = ledger {
        writeln!(out, "{}", in_figures(ledger).say(language))?;
        for witness in &ledger.witnesses {
            let said = witnessed(witness, ledger, uplink.connected, *at);
            writeln!(out, "  {}", said.say(language))?;
        }
        if let Some(reason) = &ledger.suspended {
            writeln!(out, "  {}", suspended(reason).say(language))?;
        }
    }
    for machine in &live.machines {
        show_machine(out, machine, language)?;
    }
    Ok(())
}

fn in_figures(ledger: &LedgerFigures) -> Text {
    let LedgerFigures {
        origin,
        size,
        signed,
        acknowledged,
        ..
    } = ledger;
    let mut said = text!(
        "ledger {origin}: {size} leaves, {signed} signed, {acknowledged} acknowledged",
        "台账 {origin}：记录 {size} 条，已签名 {signed} 条，已确认 {acknowledged} 条"
    );
    if let Some(cosigned) = ledger.cosigned {
        let (quorum, of) = (ledger.quorum, ledger.witnesses.len());
        said.en += &format!(", {cosigned} cosigned ({quorum} of {of} wanted)");
        said.zh += &format!("，已会签 {cosigned} 条（{of} 个见证方，至少 {quorum} 个）");
    }
    said
}

/// That a ledger is neither signed nor published, why, and what to do.
pub(super) fn suspended(reason: &str) -> Text {
    text!(
        "NOT SIGNED, NOT PUBLISHED: {reason}\n  \
         what happens is still written here. If the newest state directory can still be had, stop the agent and \
         put that back; if not, stop it and begin anew: `lineside ledger new-epoch --reason …`\n  \
         (`--prior FILE` cites a later head that the city's archive has)",
        "已停止签名和发布：磁盘上的台账不能延续已签名的内容（{reason}）\n  \
         发生的一切仍记录在本机。若能找回最新的状态目录，请停止程序并放回；否则请停止程序并建立新台账：\
         `lineside ledger new-epoch --reason …`\n  \
         （若城市存证库有更新的签名存证点，用 `--prior 文件` 引用）"
    )
}

fn show_machine(out: &mut impl Write, machine: &LiveMachine, language: Language) -> io::Result<()> {
    let LiveMachine {
        state,
        since,
        rule,
        reason_text,
        ..
    } = machine;
    let reason_text = words::reason(reason_text, language);
    let why = rule.as_deref().unwrap_or(reason_text);
    let name = words::name(&machine.name, language).unwrap_or_default();
    writeln!(out)?;
    let state = words::state(*state, language);
    writeln!(out, "{}  {name}", machine.machine)?;
    let line = text!(
        "  {state} since {since} ({why})",
        "  {state}，自 {since}（{why}）"
    );
    writeln!(out, "{}", line.say(language))?;
    if machine.reason != ReasonCode::Rule && rule.is_none() && why != reason_text {
        writeln!(out, "  {reason_text}")?;
    }
    if let Some(session) = &machine.session {
        writeln!(out, "  {}", in_short(session).say(language))?;
    }
    let bad = machine
        .points
        .iter()
        .filter(|point| point.bad.is_some())
        .count();
    if bad > 0 {
        let total = machine.points.len();
        let line = text!(
            "  {bad} of {total} points are bad",
            "  {total} 个点位中有 {bad} 个异常"
        );
        writeln!(out, "{}", line.say(language))?;
    }
    machine
        .links
        .iter()
        .try_for_each(|link| show_link(out, link, language))
}

/// An open session in one line.
fn in_short(session: &LiveSession) -> Text {
    let mut said = text!(
        "session {}, class {}, since {}",
        "上机记录 {}，类别 {}，自 {}",
        session.session,
        session.class,
        session.from
    );
    if let Some(booking) = &session.booking {
        said.en += &format!(", booking {booking}");
        said.zh += &format!("，预约 {booking}");
    }
    if let Some(end) = session.expected_end {
        said.en += &format!(" until {end}");
        said.zh += &format!("，至 {end}");
    }
    said
}

fn show_link(out: &mut impl Write, link: &LinkFigures, language: Language) -> io::Result<()> {
    let LinkFigures {
        connection,
        endpoint,
        requests,
        timeouts,
        exceptions,
        rejected,
        skipped,
        ..
    } = link;
    let phase = words::phase(link.phase, language);
    let polled = text!(
        "  {connection} {endpoint}: {phase}, requests {requests}, timeouts {timeouts}, exceptions {exceptions}, rejected {rejected}, skipped {skipped}",
        "  {connection} {endpoint}：{phase}，请求 {requests}，超时 {timeouts}，异常应答 {exceptions}，拒收 {rejected}，跳过 {skipped}"
    );
    let line = match &link.subscribed {
        None => polled,
        Some(of) => text!(
            "  {connection} {endpoint}: {phase}, {} of {} points subscribed, values {}, overflows {}, repeated {}, gaps {}",
            "  {connection} {endpoint}：{phase}，已订阅 {}/{} 个点位，数值 {}，队列溢出 {}，补发 {}，缺口 {}",
            of.items_made,
            of.items_wanted,
            of.notifications,
            of.overflows,
            of.republished,
            of.gaps
        ),
    };
    writeln!(out, "{}", line.say(language))?;
    let fault = language.pick(&link.fault, &link.fault_zh);
    match fault.as_ref().or(link.fault.as_ref()) {
        Some(fault) => writeln!(out, "    {fault}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{in_short, show};
    use crate::live::{LedgerFigures, Live, LiveSession, UplinkFigures};
    use crate::text::Language;
    use lineside_proto::{CheckIn, Class, Clock, ClockStatus, OutboxFigures, Time};

    #[test]
    fn a_ledger_that_is_not_signed_says_why_and_what_to_do() {
        let mut live = Live {
            site: "site".parse().unwrap(),
            gateway: "gw".parse().unwrap(),
            version: "0".to_owned(),
            started: Time::from_millis(0),
            at: Time::from_millis(0),
            clock: Clock {
                status: ClockStatus::U,
                offset_ms: None,
            },
            machines: Vec::new(),
            uplink: UplinkFigures::default(),
            outbox: OutboxFigures::default(),
            ledger: Some(LedgerFigures::default()),
        };
        let said = |live: &Live, language| {
            let mut out = Vec::new();
            show(&mut out, live, language).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(!said(&live, Language::En).contains("new-epoch"));
        let reason = Some("it was cut off".to_owned());
        live.ledger.as_mut().unwrap().suspended = reason;
        for (language, word) in [
            (Language::En, "NOT SIGNED, NOT PUBLISHED: it was cut off"),
            (Language::ZhCn, "已停止签名和发布"),
        ] {
            let said = said(&live, language);
            let all = [word, "it was cut off", "lineside ledger new-epoch"];
            assert!(all.iter().all(|word| said.contains(word)), "{said}");
        }
    }

    #[test]
    fn a_session_is_told_in_one_line() {
        let mut session = LiveSession {
            session: "01J".to_owned(),
            booking: None,
            class: Class::Own,
            check_in: CheckIn::Local,
            by: None,
            from: Time::from_millis(1_795_420_800_000),
            expected_end: None,
        };
        let said = in_short(&session);
        assert_eq!(
            said.en,
            "session 01J, class OWN, since 2026-11-23T08:00:00.000Z"
        );
        assert_eq!(
            said.zh,
            "上机记录 01J，类别 OWN，自 2026-11-23T08:00:00.000Z"
        );
        session.booking = Some("bk-77".to_owned());
        session.expected_end = Some(Time::from_millis(1_795_428_000_000));
        let said = in_short(&session);
        assert!(
            said.en
                .ends_with(", booking bk-77 until 2026-11-23T10:00:00.000Z"),
            "{said}"
        );
        assert!(
            said.zh
                .ends_with("，预约 bk-77，至 2026-11-23T10:00:00.000Z"),
            "{}",
            said.zh
        );
    }
}
