//! `lineside demo`: a virtual line, a broker and the real agent in one process.

use super::interrupt::Interrupt;
use super::run::{start_failure, stop_failure};
use super::sim::{greeting, is_broken_pipe, speed};
use super::table::{Change, View, changes, draw, summary};
use super::{Context, Failure, Outcome, runtime};
use crate::clock::{Clock, SystemClock};
use crate::console::{self, Desk};
use crate::control;
use crate::live::Live;
use crate::run::Agent;
use crate::sim::broker::Broker;
use crate::sim::line::{Line, LineSettings};
use crate::text;
use crate::text::{Language, Text};
use jiff::tz::TimeZone;
use lineside_proto::{Identifier, State};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often the table is drawn anew.
const DRAW_INTERVAL: Duration = Duration::from_millis(500);
/// How often a summary is written where no table can be drawn.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);
/// Changes kept to be shown below the table.
const RECENT_MAX: usize = 8;
/// Columns and lines of a terminal that does not say.
const SIZE: (usize, usize) = (80, 24);

/// Arguments of `lineside demo`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside demo --for 60s")]
pub struct Args {
    /// End after so long; else Ctrl-C ends
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// The broker's port on 127.0.0.1; 0: a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The console's port on 127.0.0.1; 0: a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub console_port: u16,
    /// The same seed gives the same life
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Seconds of the line's life in a second
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
}

/// Where and how to show what happens.
struct Screen<W> {
    out: W,
    language: Language,
    /// A table can be drawn; else plain lines.
    terminal: bool,
    color: bool,
    zone: TimeZone,
    /// Lines of the table that stands on the terminal.
    drawn: usize,
    recent: VecDeque<Change>,
    seen: BTreeMap<Identifier, Vec<State>>,
}

impl<W: Write> Screen<W> {
    fn new(out: W, language: Language, terminal: bool) -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out,
            language,
            terminal,
            color: terminal && !quiet,
            zone: TimeZone::system(),
            drawn: 0,
            recent: VecDeque::new(),
            seen: BTreeMap::new(),
        }
    }

    fn view(&self) -> View {
        let (width, height) = terminal_size::terminal_size().map_or(SIZE, |(width, height)| {
            (usize::from(width.0), usize::from(height.0))
        });
        View {
            language: self.language,
            color: self.color,
            width,
            // The cursor needs a line of its own.
            height: height.saturating_sub(1),
            zone: self.zone.clone(),
            now: SystemClock.now().wall,
        }
    }

    fn say(&mut self, text: &Text) -> io::Result<()> {
        writeln!(self.out, "{}", text.say(self.language))
    }

    /// Takes note of what changed; as plain lines, says it.
    fn note(&mut self, old: Option<&Live>, new: &Live) -> io::Result<()> {
        for change in changes(old, new) {
            if !self.terminal {
                writeln!(self.out, "{}", change.line(&self.view()))?;
            }
            let seen = self.seen.entry(change.machine.clone()).or_default();
            if !seen.contains(&change.to) {
                seen.push(change.to);
            }
            self.recent.push_front(change);
            self.recent.truncate(RECENT_MAX);
        }
        Ok(())
    }

    /// Draws the table over the one that stands.
    fn draw(&mut self, live: &Live) -> io::Result<()> {
        let table = draw(live, self.recent.iter(), &self.view());
        let mut text = String::new();
        if self.drawn > 0 {
            text += &format!("\x1b[{}A", self.drawn);
        }
        for line in table.lines() {
            text += line;
            text += "\x1b[K\n";
        }
        text += "\x1b[J";
        self.drawn = table.lines().count();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Shows what the agent knows until the end comes or the agent is gone.
    async fn follow(
        &mut self,
        mut live: watch::Receiver<Arc<Live>>,
        end: impl Future<Output = ()>,
    ) -> io::Result<Arc<Live>> {
        let mut draws = interval(DRAW_INTERVAL);
        draws.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut summarised = Instant::now();
        let mut known = live.borrow_and_update().clone();
        self.note(None, &known)?;
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(known),
                changed = live.changed() => {
                    if changed.is_err() {
                        return Ok(known);
                    }
                    let new = live.borrow_and_update().clone();
                    self.note(Some(&known), &new)?;
                    known = new;
                }
                _ = draws.tick() => {
                    if self.terminal {
                        self.draw(&known)?;
                    } else if summarised.elapsed() >= SUMMARY_INTERVAL {
                        summarised = Instant::now();
                        writeln!(self.out, "{}", summary(&known, &self.view()))?;
                        self.out.flush()?;
                    }
                }
            }
        }
    }

    /// What there was, in a few lines.
    fn conclude(&mut self, live: &Live) -> io::Result<()> {
        if self.terminal {
            // What the terminal echoed of Ctrl-C.
            write!(self.out, "\r\x1b[K")?;
        }
        let links = || live.machines.iter().flat_map(|machine| &machine.links);
        let requests: u64 = links().map(|link| link.requests).sum();
        let missed: u64 = links().map(|link| link.timeouts + link.rejected).sum();
        let (acknowledged, waiting) = (live.uplink.acknowledged, live.outbox.messages);
        self.say(&text!(
            "Read {requests} times, {missed} without an answer. \
             Published and acknowledged {acknowledged} messages, {waiting} waiting.",
            "读取 {requests} 次，其中 {missed} 次无应答。已发布并确认 {acknowledged} 条消息，待发 {waiting} 条。"
        ))?;
        for (machine, states) in &self.seen {
            let words = |word: fn(State) -> &'static str| {
                states
                    .iter()
                    .map(|state| word(*state))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let (en, zh) = (words(State::as_str), words(State::zh_cn));
            let text = Text {
                en: format!("{machine}: {en}"),
                zh: format!("{machine}：{zh}"),
            };
            writeln!(self.out, "{}", text.say(self.language))?;
        }
        self.out.flush()
    }
}

/// Runs the command.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let broker = Broker::start_on(args.port).map_err(|error| {
        Failure::Unreachable(text!(
            "the demo's broker does not start: {error:#}",
            "演示用消息服务器无法启动：{error:#}"
        ))
    })?;
    let dir = tempfile::Builder::new()
        .prefix("lineside-demo-")
        .tempdir()?;
    let result = runtime()?.block_on(show(args, context, broker.port(), dir.path()));
    dir.close()?;
    match result {
        // Whoever read our output is gone, and so is the reason to go on.
        Err(Failure::Other(error)) if is_broken_pipe(&error) => Ok(Outcome::Done),
        ended => ended.map(|()| Outcome::Done),
    }
}

async fn show(args: &Args, context: &Context, port: u16, dir: &Path) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let settings = LineSettings {
        seed: args.seed,
        speed: args.speed,
    };
    let line = Line::start(settings).await?;
    let config = line.write_config(dir, port)?;
    let context = Context {
        config: config.clone(),
        ..context.clone()
    };
    let mut loaded = context.load()?.config;
    loaded.gateway.console.listen = (Ipv4Addr::LOCALHOST, args.console_port).into();
    let gateway = loaded.gateway.clone();
    let agent = Agent::start(loaded, config.clone())
        .await
        .map_err(start_failure)?;
    // So that `status`, `session` and the others work here, too.
    control::serve(&gateway.state_dir, agent.asks())?;
    let desk = Desk::new(&gateway, context.language, agent.asks(), agent.known());
    let console = console::serve(desk).await.map_err(|error| {
        let port = args.console_port;
        Failure::Unreachable(text!(
            "the console can't listen on port {port} of 127.0.0.1: {error}; `--console-port 0` takes a free one",
            "控制台无法使用 127.0.0.1 的端口 {port}：{error}；`--console-port 0` 使用空闲端口"
        ))
    })?;
    let mut screen = Screen::new(io::stdout(), context.language, io::stdout().is_terminal());
    let end = async {
        match args.duration {
            Some(duration) => drop(timeout(duration, interrupt.come()).await),
            None => interrupt.come().await,
        }
    };
    let shown = async {
        screen.say(&greeting(&line, port))?;
        screen.say(&directions(port, console, &config))?;
        let live = screen.follow(agent.live(), end).await?;
        io::Result::Ok(live)
    }
    .await;
    // Whatever became of the screen, the agent stops as it should.
    let stopped = agent.stop().await.map_err(stop_failure);
    line.stop().await;
    screen.conclude(shown?.as_ref())?;
    stopped
}

/// Where to look.
fn directions(port: u16, console: SocketAddr, config: &Path) -> Text {
    let config = config.display();
    text!(
        "console        http://{console}/\n\
         configuration  {config}\n\
         its health, its ledger:  lineside status -c {config}\n\
         as a portal sees it:  lineside watch --broker mqtt://127.0.0.1:{port}\n\
         every message:        mosquitto_sub -V 5 -h 127.0.0.1 -p {port} -v -t 'lineside/v1/#'\n\
         Ctrl-C ends.\n",
        "控制台    http://{console}/\n\
         配置文件  {config}\n\
         状况与台账：  lineside status -c {config}\n\
         平台所见：  lineside watch --broker mqtt://127.0.0.1:{port}\n\
         全部消息：  mosquitto_sub -V 5 -h 127.0.0.1 -p {port} -v -t 'lineside/v1/#'\n\
         Ctrl-C 结束。\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{Screen, directions};
    use crate::live::{Live, LiveMachine, UplinkFigures};
    use crate::text::Language;
    use lineside_proto::{Clock, ClockStatus, LocalText, OutboxFigures, ReasonCode, State, Time};
    use std::io::{self, Write};
    use std::net::Ipv4Addr;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::sync::{oneshot, watch};
    use tokio::time::{sleep, timeout};

    fn live(state: State) -> Arc<Live> {
        let machine = LiveMachine {
            machine: "extruder-01".parse().unwrap(),
            name: LocalText::default(),
            state,
            since: Time::from_millis(0),
            rule: None,
            reason: ReasonCode::Starting,
            reason_text: String::new(),
            available_now: state.available_now(),
            observed_at: None,
            points: Vec::new(),
            links: Vec::new(),
            session: None,
        };
        Arc::new(Live {
            site: "demo".parse().unwrap(),
            gateway: "gw-demo".parse().unwrap(),
            version: "0".to_owned(),
            started: Time::from_millis(0),
            at: Time::from_millis(0),
            clock: Clock {
                status: ClockStatus::U,
                offset_ms: None,
            },
            machines: vec![machine],
            uplink: UplinkFigures::default(),
            outbox: OutboxFigures::default(),
            ledger: None,
        })
    }

    /// What a screen has written so far.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        async fn until(&self, written: &str) {
            let wait = async {
                while !self.text().contains(written) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let waited = timeout(Duration::from_secs(10), wait).await;
            assert!(waited.is_ok(), "{written} is not in {}", self.text());
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lets a screen see these states, each as soon as it has written something about the one before.
    async fn shown(terminal: bool, states: &[(State, &str)]) -> String {
        let paper = Paper::default();
        let mut screen = Screen::new(paper.clone(), Language::En, terminal);
        screen.color = false;
        let (sender, receiver) = watch::channel(live(State::Unknown));
        let (end, ended) = oneshot::channel::<()>();
        let play = async {
            for (state, written) in states {
                sender.send_replace(live(*state));
                paper.until(written).await;
            }
            drop(end);
        };
        let (last, ()) = tokio::join!(screen.follow(receiver, async { drop(ended.await) }), play);
        screen.conclude(&last.unwrap()).unwrap();
        paper.text()
    }

    #[tokio::test]
    async fn without_a_terminal_each_change_is_a_line() {
        let states = [
            (
                State::Idle,
                " extruder-01 UNKNOWN → IDLE since 1970-01-01T00:00:00.000Z\n",
            ),
            (
                State::Run,
                " extruder-01 IDLE → RUN since 1970-01-01T00:00:00.000Z\n",
            ),
            (
                State::Idle,
                " extruder-01 RUN → IDLE since 1970-01-01T00:00:00.000Z\n",
            ),
        ];
        let text = shown(false, &states).await;
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.ends_with("extruder-01: IDLE, RUN\n"), "{text}");
    }

    #[tokio::test]
    async fn on_a_terminal_a_table_is_drawn_over_the_one_before() {
        let states = [
            (State::Idle, "extruder-01  IDLE"),
            (State::Run, "extruder-01  RUN"),
        ];
        let text = shown(true, &states).await;
        // Title, heads, machine, uplink, outbox; then a line between and the change.
        assert!(text.contains("\x1b[7A"), "{text:?}");
    }

    #[tokio::test]
    async fn the_end_of_the_agent_ends_the_screen() {
        let (sender, receiver) = watch::channel(live(State::Idle));
        drop(sender);
        let mut screen = Screen::new(Vec::new(), Language::ZhCn, false);
        let last = screen
            .follow(receiver, std::future::pending())
            .await
            .unwrap();
        assert_eq!(last.machines[0].state, State::Idle);
    }

    #[test]
    fn directions_name_the_broker_and_the_configuration() {
        let console = (Ipv4Addr::LOCALHOST, 8601).into();
        let text = directions(1884, console, Path::new("/tmp/x/gateway.toml"));
        for text in [text.en, text.zh] {
            assert!(
                [
                    "-p 1884",
                    "http://127.0.0.1:8601/",
                    "-c /tmp/x/gateway.toml"
                ]
                .iter()
                .all(|part| text.contains(part)),
                "{text}"
            );
        }
    }
}
