//! `lineside sim`: the virtual line alone, with faults on request.

use super::interrupt::Interrupt;
use super::{Context, Failure, Outcome};
use crate::sim::device::{Fault, FaultKind};
use crate::sim::line::{FaultRefused, Line, LineSettings, SPEED_MAX, SPEED_MIN, UnknownMachine};
use crate::text;
use crate::text::{Language, Text};
use std::io::{self, BufRead, ErrorKind, Write};
use std::path::PathBuf;
use std::thread;
use tokio::sync::mpsc;

pub mod year;

/// Lines typed ahead; nobody types faster than they are done.
const LINES_MAX: usize = 16;

/// Arguments of `lineside sim`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside sim --dir line --speed 5 --fault furnace-01=late=400ms@1/10",
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// Something else than the line alone
    #[command(subcommand)]
    pub other: Option<Other>,
    /// Where to write a ready configuration; a directory under the temporary one, removed at the
    /// end, unless given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The port of the broker that the configuration names
    #[arg(long, value_name = "PORT", default_value_t = 1883)]
    pub broker_port: u16,
    /// The same seed gives the same life
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Seconds of the line's life in a second
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Something wrong from the beginning; may be repeated
    #[arg(long = "fault", value_name = "MACHINE=FAULT", value_parser = faulty)]
    pub faults: Vec<(String, Fault)>,
}

/// What there is besides the line.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Other {
    /// A sample year: what an agent leaves behind after months beside three machines, to try pull, verify and report
    Year(year::Args),
}

/// A speed within what a line can live.
pub(super) fn speed(text: &str) -> Result<f64, Text> {
    match text.parse() {
        Ok(speed) if (SPEED_MIN..=SPEED_MAX).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err(text!(
            "a number from {SPEED_MIN} to {SPEED_MAX} is wanted",
            "应为 {SPEED_MIN} 到 {SPEED_MAX} 之间的数"
        )),
    }
}

fn faulty(text: &str) -> Result<(String, Fault), Text> {
    let kinds = kinds();
    let wanted = || {
        text!(
            "MACHINE=FAULT is wanted; faults: {kinds}",
            "应为 MACHINE=FAULT；故障有：{kinds}"
        )
    };
    let (machine, fault) = text.split_once('=').ok_or_else(wanted)?;
    Ok((machine.to_owned(), fault.parse().map_err(|_| wanted())?))
}

fn kinds() -> String {
    FaultKind::ALL.map(|kind| kind.to_string()).join(", ")
}

/// Runs the command.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    if let Some(Other::Year(args)) = &args.other {
        return year::run(args, context);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.into()))?;
    match runtime.block_on(serve(args, context.language)) {
        // Whoever read our output is gone, and so is the reason to go on.
        Err(Failure::Other(error)) if is_broken_pipe(&error) => Ok(Outcome::Done),
        ended => ended.map(|()| Outcome::Done),
    }
}

/// Whether the reader of our output has gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

async fn serve(args: &Args, language: Language) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen().map_err(|error| Failure::Other(error.into()))?;
    let settings = LineSettings {
        seed: args.seed,
        speed: args.speed,
    };
    let line = Line::start(settings).await.map_err(Failure::Other)?;
    for (machine, fault) in &args.faults {
        line.fault(machine, *fault)
            .map_err(|refused| Failure::Usage(no_fault(&refused, &line)))?;
    }
    let ended = converse(args, language, &line, &mut interrupt).await;
    line.stop().await;
    ended.map_err(Failure::Other)
}

async fn converse(
    args: &Args,
    language: Language,
    line: &Line,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("lineside-sim-").tempdir()?;
    let dir = args.dir.as_deref().unwrap_or(temporary.path());
    let path = line.write_config(dir, args.broker_port)?;
    say(&greeting(line, args.broker_port), language)?;
    let path = path.display();
    say(
        &text!(
            "configuration  {path}\nTry:  lineside run -c {path}\nType `help` for faults; Ctrl-C ends.",
            "配置文件  {path}\n试试：lineside run -c {path}\n输入 `help` 查看可用故障；Ctrl-C 结束。"
        ),
        language,
    )?;
    let mut lines = typed();
    loop {
        let typed = tokio::select! {
            () = interrupt.come() => return Ok(()),
            typed = lines.recv() => typed,
        };
        let Some(typed) = typed else {
            // Nobody types any more, as under a supervisor; the line lives on.
            interrupt.come().await;
            return Ok(());
        };
        match Order::read(&typed) {
            Ok(Order::Quit) => return Ok(()),
            Ok(order) => say(&order.carry_out(line), language)?,
            Err(refusal) => say(&refusal, language)?,
        }
    }
}

/// What is where.
pub(super) fn greeting(line: &Line, broker_port: u16) -> Text {
    let endpoints: Vec<String> = line
        .machines()
        .filter_map(|machine| {
            let endpoint = line.endpoint(machine).ok()?;
            Some(format!("  {machine:<12}  {endpoint}"))
        })
        .collect();
    let endpoints = endpoints.join("\n");
    text!(
        "The virtual pilot line:\n{endpoints}\nbroker         mqtt://127.0.0.1:{broker_port}",
        "虚拟中试线：\n{endpoints}\n消息服务器  mqtt://127.0.0.1:{broker_port}"
    )
}

fn say(text: &Text, language: Language) -> io::Result<()> {
    let said = text.say(language);
    if said.is_empty() {
        return Ok(());
    }
    writeln!(io::stdout().lock(), "{said}")
}

/// The lines that somebody types; reading them can't be interrupted, so it has a thread of its own.
fn typed() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What somebody typed.
#[derive(Clone, PartialEq, Debug)]
enum Order {
    Nothing,
    Fault(String, Fault),
    Clear(String),
    List,
    Help,
    Quit,
}

impl Order {
    fn read(line: &str) -> Result<Self, Text> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => Ok(Self::Nothing),
            ["fault", machine, fault] => match fault.parse() {
                Ok(fault) => Ok(Self::Fault((*machine).to_owned(), fault)),
                Err(_) => {
                    let kinds = kinds();
                    Err(text!(
                        "No fault `{fault}`. There are: {kinds}",
                        "没有故障 `{fault}`。可用：{kinds}"
                    ))
                }
            },
            ["clear", machine] => Ok(Self::Clear((*machine).to_owned())),
            ["list"] => Ok(Self::List),
            ["help"] => Ok(Self::Help),
            ["quit" | "exit"] => Ok(Self::Quit),
            _ => Err(text!(
                "Not understood: `{line}`. Type `help`.",
                "无法理解：`{line}`。请输入 `help`。"
            )),
        }
    }

    fn carry_out(self, line: &Line) -> Text {
        let done = match self {
            Self::Nothing | Self::Quit => Ok(Text::default()),
            Self::Fault(machine, fault) => {
                return match line.fault(&machine, fault) {
                    Ok(()) => text!("{machine}: {fault}", "{machine}：{fault}"),
                    Err(refused) => no_fault(&refused, line),
                };
            }
            Self::Clear(machine) => line
                .clear(&machine)
                .map(|()| text!("{machine}: no fault", "{machine}：无故障")),
            Self::List => Ok(list(line)),
            Self::Help => Ok(help()),
        };
        done.unwrap_or_else(|unknown| no_machine(&unknown, line))
    }
}

fn no_fault(refused: &FaultRefused, line: &Line) -> Text {
    match refused {
        FaultRefused::Nowhere(unknown) => no_machine(unknown, line),
        FaultRefused::NotHere { machine, kinds } => {
            let kinds: Vec<_> = kinds.iter().map(FaultKind::to_string).collect();
            let kinds = kinds.join(", ");
            text!(
                "{machine} can't have this fault. It can have: {kinds}",
                "{machine} 没有这种故障。可用：{kinds}"
            )
        }
    }
}

fn no_machine(unknown: &UnknownMachine, line: &Line) -> Text {
    let name = &unknown.0;
    let names: Vec<_> = line.machines().collect();
    let names = names.join(", ");
    text!(
        "No machine `{name}`. There are: {names}",
        "没有设备 `{name}`。可用：{names}"
    )
}

/// Each machine with its true state and what is wrong with it.
fn list(line: &Line) -> Text {
    let mut list = Text::default();
    for machine in line.machines() {
        let state = line
            .truth(machine)
            .unwrap_or_default()
            .last()
            .map(|turn| turn.state);
        let faults: Vec<String> = line
            .faults(machine)
            .unwrap_or_default()
            .iter()
            .map(Fault::to_string)
            .collect();
        let faults = faults.join(" ");
        let state = state.unwrap_or(lineside_proto::State::Unknown);
        let separator = if list.en.is_empty() { "" } else { "\n" };
        let (en, zh) = (state.as_str(), state.zh_cn());
        list.en += format!("{separator}{machine:<12}  {en:<8} {faults}").trim_end_matches(' ');
        list.zh += format!("{separator}{machine:<12}  {zh} {faults}").trim_end_matches(' ');
    }
    list
}

fn help() -> Text {
    let kinds = kinds();
    text!(
        "fault MACHINE FAULT[@WHEN]   make something wrong\n\
         clear MACHINE                nothing is wrong any more\n\
         list                         machines, their true states, what is wrong\n\
         quit                         end\n\
         faults: {kinds}\n\
         when: @1/10 every tenth answer, @5% by chance",
        "fault 设备 故障[@时机]   制造故障\n\
         clear 设备               清除故障\n\
         list                     设备、真实状态与故障\n\
         quit                     结束\n\
         故障：{kinds}\n\
         时机：@1/10 每十个应答一次，@5% 按概率"
    )
}

#[cfg(test)]
mod tests {
    use super::{Order, faulty, speed};
    use crate::sim::line::{Line, LineSettings};

    #[test]
    fn what_is_typed_is_read() {
        let fault = "late=250ms@1/10".parse().unwrap();
        for (line, order) in [
            ("", Some(Order::Nothing)),
            (
                "  fault  furnace-01 late=250ms@1/10 ",
                Some(Order::Fault("furnace-01".to_owned(), fault)),
            ),
            (
                "clear furnace-01",
                Some(Order::Clear("furnace-01".to_owned())),
            ),
            ("list", Some(Order::List)),
            ("quit", Some(Order::Quit)),
            ("fault furnace-01", None),
            ("fault furnace-01 tired", None),
            ("list all", None),
        ] {
            assert_eq!(Order::read(line).ok(), order, "{line}");
        }
        assert_eq!(faulty("a=late=250ms@1/10"), Ok(("a".to_owned(), fault)));
        assert!(faulty("a").is_err());
        assert!(faulty("a=b").is_err());
        assert_eq!(speed("2.5"), Ok(2.5));
        assert!(speed("0").is_err());
        assert!(speed("NaN").is_err());
    }

    #[tokio::test]
    async fn orders_change_the_line_and_say_so() {
        let line = Line::start(LineSettings::default()).await.unwrap();
        let carry_out = |typed: &str| Order::read(typed).unwrap().carry_out(&line).en;
        assert_eq!(carry_out("fault furnace-01 silent"), "furnace-01: silent");
        let list = carry_out("list");
        let furnace = list
            .lines()
            .find(|line| line.starts_with("furnace-01"))
            .unwrap();
        assert_eq!(
            furnace.split_whitespace().collect::<Vec<_>>(),
            ["furnace-01", "OFF", "silent"]
        );
        assert_eq!(carry_out("clear furnace-01"), "furnace-01: no fault");
        assert!(!carry_out("list").contains("silent"));
        assert!(carry_out("clear lathe-01").contains("mixer-01"));
        assert!(carry_out("fault press-01 short").contains("node-gone"));
        assert_eq!(
            carry_out("fault press-01 bad-status"),
            "press-01: bad-status"
        );
        assert!(carry_out("help").contains("exception=6"));
        assert_eq!(carry_out(""), "");
    }
}
