//! `lineside watch`: the live availability of a site as a portal sees it, by the consumer's rule.

mod site;
mod table;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use lineside_proto::{Identifier, Topics};
use tokio::{runtime, signal, time};

use self::site::{Delivery, Row, Site};
use super::{Context, Failure, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::text;
use crate::text::Language;
use crate::uplink::mqtt::Peer;
use crate::uplink::mqtt::subscriber::{News, Subscription};

/// Arguments of `lineside watch`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  lineside watch --broker mqtt://mqtt.example:1883 --site zs-polymer"
)]
pub struct Args {
    /// The broker, as mqtt://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub broker: String,
    /// Only this site.
    #[arg(long)]
    pub site: Option<Identifier>,
    /// User name at the broker.
    #[arg(long)]
    pub user: Option<String>,
    /// File with the password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Topic prefix.
    #[arg(long, default_value = Topics::PREFIX)]
    pub prefix: String,
    /// One JSON object a line for each change.
    #[arg(long)]
    pub json: bool,
    /// Show what the broker keeps, and end.
    #[arg(long)]
    pub once: bool,
}

/// How often to ping, and so after what time at most a dead connection is noticed: about twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// MQTT's port.
const PORT: u16 = 1883;
/// The broker sends what it keeps without a pause: after so long a silence it was all.
const KEPT_SILENCE: Duration = Duration::from_millis(500);
/// How long to wait for a first document at all.
const KEPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often ages are drawn anew.
const REDRAW: Duration = Duration::from_secs(1);
/// Columns where the terminal does not say.
const WIDTH: usize = 120;

/// Runs until it is interrupted, or, with `once`, until all that the broker keeps was shown.
///
/// # Errors
///
/// [`Failure::Usage`] for a wrong address or an unreadable password file, [`Failure::Unreachable`] if the
/// first attempt at the broker fails.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let peer = peer(args)?;
    let filters = filters(args)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.into()))?;
    let stdout = io::stdout();
    let screen = stdout.is_terminal() && !args.json && !args.once;
    let mut watch = Watch {
        site: Site::new(&args.prefix),
        shown: Vec::new(),
        start: Instant::now(),
        json: args.json,
        screen,
        language: context.language,
        zone: TimeZone::system(),
        lost: None,
        out: stdout,
    };
    let shown = runtime.block_on(async {
        let subscription = Subscription::start(peer, filters);
        if args.once {
            watch.once(subscription).await
        } else {
            watch.live(subscription).await
        }
    });
    match shown {
        Ok(()) => Ok(Outcome::Done),
        // Whoever read our lines has seen enough.
        Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Outcome::Done)
        }
        Err(Stopped::Output(error)) => Err(Failure::Other(error.into())),
        Err(Stopped::Unreachable(fault)) => {
            let broker = &args.broker;
            Err(Failure::Unreachable(text!(
                "can't reach {broker}: {fault}; check the address, and that the broker runs",
                "无法连接 {broker}:{fault};请检查地址以及服务是否在运行"
            )))
        }
    }
}

fn peer(args: &Args) -> Result<Peer, Failure> {
    let wrong = || {
        let broker = &args.broker;
        Failure::Usage(text!(
            "`{broker}` is no broker address: write mqtt://HOST or mqtt://HOST:PORT",
            "`{broker}` 不是有效的服务地址:请写作 mqtt://主机 或 mqtt://主机:端口"
        ))
    };
    let (host, port) = address(&args.broker).ok_or_else(wrong)?;
    let credentials = match (&args.user, &args.password_file) {
        (None, _) => None,
        (Some(user), None) => Some((user.clone(), String::new())),
        (Some(user), Some(file)) => {
            let password = fs::read_to_string(file).map_err(|error| {
                let file = file.display();
                Failure::Usage(text!(
                    "can't read the password file {file}: {error}",
                    "无法读取密码文件 {file}:{error}"
                ))
            })?;
            Some((
                user.clone(),
                password.trim_end_matches(['\r', '\n']).to_owned(),
            ))
        }
    };
    Ok(Peer {
        host,
        port,
        client_id: format!("lineside-watch-{:016x}", fastrand::u64(..)),
        credentials,
        keep_alive: KEEP_ALIVE,
    })
}

/// Host and port of `mqtt://HOST[:PORT]`.
fn address(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("mqtt://")?.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        // The last colon of an IPv6 address belongs to it.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, PORT),
    };
    let plain = !host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']);
    let bracketed = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    (plain && bracketed && port > 0).then(|| (host.to_owned(), port))
}

fn filters(args: &Args) -> Result<Vec<String>, Failure> {
    let prefix = &args.prefix;
    if prefix.is_empty() || prefix.contains(['+', '#', '\0']) {
        return Err(Failure::Usage(text!(
            "`{prefix}` is no topic prefix: it may not be empty or contain + or #",
            "`{prefix}` 不是有效的主题前缀:不能为空,也不能含有 + 或 #"
        )));
    }
    let site = args.site.as_ref().map_or("+", Identifier::as_str);
    Ok(vec![
        format!("{prefix}/{site}/+/status"),
        format!("{prefix}/{site}/+/availability/+"),
    ])
}

/// Why watching ended.
enum Stopped {
    Unreachable(String),
    Output(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

struct Watch<W> {
    site: Site,
    /// What was shown last.
    shown: Vec<Row>,
    start: Instant,
    json: bool,
    screen: bool,
    language: Language,
    zone: TimeZone,
    /// Why there is no connection now.
    lost: Option<String>,
    out: W,
}

impl<W: Write> Watch<W> {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for the first connection.
    async fn connected(&mut self, subscription: &mut Subscription) -> Result<(), Stopped> {
        match subscription.next().await {
            Some(News::Connected(_)) => Ok(()),
            Some(News::Message(_) | News::Refused(_)) | None => {
                Err(Stopped::Unreachable(String::new()))
            }
            Some(News::Lost(fault)) => Err(Stopped::Unreachable(fault.to_string())),
        }
    }

    async fn once(&mut self, mut subscription: Subscription) -> Result<(), Stopped> {
        self.connected(&mut subscription).await?;
        let mut patience = KEPT_TIMEOUT;
        while let Ok(Some(news)) = time::timeout(patience, subscription.next()).await {
            if let News::Message(_) = &news {
                patience = KEPT_SILENCE;
            }
            self.take(news);
        }
        let rows = self.site.rows(self.now_ms());
        if self.json {
            rows.iter().try_for_each(|row| self.write_row(row))?;
        } else {
            for line in table::table(&rows, self.language, &self.zone, usize::MAX) {
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(self.out.flush()?)
    }

    async fn live(&mut self, mut subscription: Subscription) -> Result<(), Stopped> {
        self.connected(&mut subscription).await?;
        let interrupted = signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            // All that has come already is shown together.
            while let Some(news) = subscription.ready() {
                self.take(news);
            }
            self.show()?;
            let now_ms = self.now_ms();
            let mut pause = self.site.next_end(now_ms).map_or(Duration::MAX, |end| {
                // A millisecond more: times are counted in whole ones.
                Duration::from_millis(end.saturating_sub(now_ms) + 1)
            });
            if self.screen {
                pause = pause.min(REDRAW);
            }
            tokio::select! {
                interrupted = &mut interrupted => return Ok(interrupted?),
                news = subscription.next() => match news {
                    Some(news) => self.take(news),
                    None => return Ok(()),
                },
                () = time::sleep(pause) => {}
            }
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Connected(_) => self.lost = None,
            News::Refused(_) => {}
            News::Lost(fault) => {
                let fault = fault.to_string();
                if !self.screen && self.lost.as_ref() != Some(&fault) {
                    tracing::warn!("the connection to the broker is lost: {fault}");
                }
                self.lost = Some(fault);
            }
            News::Message(message) => {
                let received = message.received.saturating_duration_since(self.start);
                self.site.take(&Delivery {
                    topic: &message.topic,
                    payload: &message.payload,
                    received_ms: u64::try_from(received.as_millis()).unwrap_or(u64::MAX),
                    retained: message.retained,
                    expiry_s: message.expiry_s,
                });
            }
        }
    }

    fn show(&mut self) -> io::Result<()> {
        let rows = self.site.rows(self.now_ms());
        if self.screen {
            self.draw(&rows)?;
        } else {
            for row in changed(&self.shown, &rows) {
                self.write_row(&row)?;
            }
        }
        self.shown = rows;
        self.out.flush()
    }

    fn write_row(&mut self, row: &Row) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, row)?;
            return writeln!(self.out);
        }
        let now = SystemClock.now().wall;
        let line = table::line(row, self.language, &self.zone, now);
        writeln!(self.out, "{line}")
    }

    /// Draws over what was drawn before.
    fn draw(&mut self, rows: &[Row]) -> io::Result<()> {
        let (width, height) = terminal_size::terminal_size()
            .map_or((WIDTH, usize::MAX), |(width, height)| {
                (usize::from(width.0), usize::from(height.0))
            });
        let mut lines = table::table(rows, self.language, &self.zone, width);
        // The last line stays free, so that nothing scrolls.
        lines.truncate(height.saturating_sub(2));
        let note = self.note().say(self.language).to_owned();
        let mut text = String::from("\u{1b}[H");
        for line in lines.iter().chain([&note]) {
            text.push_str(line);
            text.push_str("\u{1b}[K\r\n");
        }
        text.push_str("\u{1b}[J");
        self.out.write_all(text.as_bytes())
    }

    fn note(&self) -> text::Text {
        match &self.lost {
            Some(fault) => text!("not connected: {fault}", "未连接:{fault}"),
            None if self.site.is_overfull() => {
                text!(
                    "too many machines: some are left out",
                    "设备过多:部分未显示"
                )
            }
            None => text!("Ctrl-C ends", "按 Ctrl-C 退出"),
        }
    }
}

/// The rows that a reader of lines has to hear of. A machine that is gone says a last time that nothing
/// is known of it.
fn changed(before: &[Row], now: &[Row]) -> Vec<Row> {
    let find = |rows: &[Row], row: &Row| {
        let place = rows.binary_search_by(|other| other.key().cmp(&row.key()));
        place.ok().and_then(|place| rows.get(place)).cloned()
    };
    let news = now
        .iter()
        .filter(|row| find(before, row).is_none_or(|old| row.differs(&old)));
    let gone = before.iter().filter(|row| find(now, row).is_none());
    news.cloned().chain(gone.map(Row::gone)).collect()
}

#[cfg(test)]
mod tests;
