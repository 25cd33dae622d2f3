//! What the agent knows right now, drawn as a table for a terminal. Pure: a snapshot in, text out.

pub(super) mod cell;
mod change;
#[cfg(test)]
mod tests;

pub use change::{Change, changes};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lineside_proto::{AvailableNow, LocalText, ReasonCode, State, Time};

use super::words;
use crate::live::{LinkPhase, Live, LiveMachine, LivePoint};
use crate::text;
use crate::text::Language;
use cell::{fitted, padded, plain, width_of};

/// How to draw, and for whom.
#[derive(Clone, Debug)]
pub struct View {
    /// The reader's language.
    pub language: Language,
    /// With ANSI colours.
    pub color: bool,
    /// Columns of the terminal; no line is wider.
    pub width: usize,
    /// Lines of the terminal; the changes give way first, then machines.
    pub height: usize,
    /// The time zone of times of day.
    pub zone: TimeZone,
    /// Now.
    pub now: Time,
}

impl View {
    /// One of two words, by the reader's language.
    pub(super) fn say(&self, en: &'static str, zh: &'static str) -> &'static str {
        self.language.pick(en, zh)
    }

    /// What people call a machine; its identifier where it has no name.
    pub(super) fn name<'a>(&self, name: &'a LocalText, identifier: &'a str) -> &'a str {
        words::name(name, self.language).unwrap_or(identifier)
    }

    /// The word for a state.
    pub(super) fn state(&self, state: State) -> &'static str {
        words::state(state, self.language)
    }

    /// How long ago a moment was: two units at most. A moment to come is `0s`.
    fn ago(&self, moment: Time) -> String {
        let seconds = self
            .now
            .as_millis()
            .saturating_sub(moment.as_millis())
            .max(0)
            / 1000;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let text = match (days, hours, minutes) {
            (0, 0, 0) => text!("{seconds}s", "{seconds}秒"),
            (0, 0, _) => text!("{minutes}m {:02}s", "{minutes}分{:02}秒", seconds % 60),
            (0, _, _) => text!("{hours}h {:02}m", "{hours}时{:02}分", minutes % 60),
            _ => text!("{days}d {:02}h", "{days}天{:02}时", hours % 24),
        };
        text.say(self.language).to_owned()
    }

    /// The time of day.
    fn clock(&self, moment: Time) -> String {
        Timestamp::from_millisecond(moment.as_millis())
            .map(|moment| {
                moment
                    .to_zoned_datetime(self.zone.clone())
                    .strftime("%H:%M:%S")
                    .to_string()
            })
            .unwrap_or_default()
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color && !code.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The ANSI colour of a state.
fn color_of(state: State) -> &'static str {
    match state {
        State::Unknown => "33;7",
        State::Off => "90",
        State::Down => "1;31",
        State::Maint => "34",
        State::Idle => "36",
        State::Setup => "33",
        State::Run => "1;32",
        State::Hold => "35",
    }
}

/// Draws the snapshot and the last changes, newest first. Each line ends with a line break.
pub fn draw<'a>(live: &Live, recent: impl Iterator<Item = &'a Change>, view: &View) -> String {
    let mut lines = vec![title(live, view)];
    let foot = [uplink(live, view), outbox(live, view)];
    // The title, the heads of the columns and the foot stand whatever the height is.
    let room = view.height.saturating_sub(lines.len() + 1 + foot.len());
    lines.extend(machines(&live.machines, room, view));
    lines.extend(foot);
    let left = view.height.saturating_sub(lines.len() + 1);
    let mut recent = recent.take(left).peekable();
    if recent.peek().is_some() {
        lines.push(String::new());
    }
    lines.extend(recent.map(|change| {
        let clock = view.clock(change.since);
        let name = plain(view.name(&change.name, change.machine.as_str()));
        fitted(
            &format!("{clock}  {name}  {}", change.say(view)),
            view.width,
        )
    }));
    lines
        .iter()
        .fold(String::new(), |text, line| text + line + "\n")
}

fn title(live: &Live, view: &View) -> String {
    let clock = format!("{:?}", live.clock.status);
    let line = format!(
        "{} {} · {}/{} · {} · {} {clock}",
        view.say("Lineside", "线边 Lineside"),
        live.version,
        live.site,
        live.gateway,
        view.clock(view.now),
        view.say("clock", "时钟"),
    );
    view.paint(&fitted(&line, view.width), "1")
}

/// A column: its head, its cells, and the colours of the cells.
struct Column {
    head: &'static str,
    /// So wide at least, so that columns don't jump with what changes often.
    least: usize,
    cells: Vec<(String, &'static str)>,
}

impl Column {
    fn of(
        head: &'static str,
        machines: &[LiveMachine],
        cell: impl Fn(&LiveMachine) -> (String, &'static str),
    ) -> Self {
        Self {
            head,
            least: 0,
            cells: machines.iter().map(cell).collect(),
        }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|(text, _)| width_of(text));
        cells.fold(self.least, usize::max).max(width_of(self.head))
    }
}

/// Columns stand so far apart.
const SPACE: usize = 2;
/// A name is cut to this at most, so that it leaves room for the rest.
const NAME_WIDTH_MAX: usize = 28;
/// Values are not begun in less room than this.
const VALUES_WIDTH_MIN: usize = 16;

/// The machines, line by line, heads first. Columns that find no room are left out, the least
/// important first; the name and the state always stand.
fn machines(machines: &[LiveMachine], room: usize, view: &View) -> Vec<String> {
    let shown = machines.get(..room).unwrap_or(machines);
    let plainly = |text: String| (text, "");
    let name = Column::of(view.say("MACHINE", "设备"), shown, |machine| {
        let name = plain(view.name(&machine.name, machine.machine.as_str()));
        plainly(fitted(&name, NAME_WIDTH_MAX.min(view.width / 2)))
    });
    let mut state = Column::of(view.say("STATE", "状态"), shown, |machine| {
        (
            view.state(machine.state).to_owned(),
            color_of(machine.state),
        )
    });
    let states = State::ALL.iter().map(|state| width_of(view.state(*state)));
    state.least = states.fold(0, usize::max);
    let mut columns = vec![name, state];
    // In the order in which they are worth their room.
    let optional = [
        Column::of(view.say("FOR", "已持续"), shown, |machine| {
            plainly(view.ago(machine.since))
        }),
        Column::of(view.say("AVAILABLE", "当前可用"), shown, |machine| {
            available(machine.available_now, view)
        }),
        Column::of(view.say("WHY", "依据"), shown, |machine| {
            plainly(why(machine, view))
        }),
        Column::of(view.say("LINK", "链路"), shown, |machine| {
            link(machine, view)
        }),
    ];
    let mut used: usize = columns.iter().map(|column| column.width() + SPACE).sum();
    for column in optional {
        let width = column.width();
        if used + width > view.width {
            break;
        }
        used += width + SPACE;
        columns.push(column);
    }
    let left = view.width.saturating_sub(used);
    if left >= VALUES_WIDTH_MIN {
        columns.push(Column::of(view.say("VALUES", "数值"), shown, |machine| {
            plainly(values(&machine.points, left, view))
        }));
    }
    rows(&columns, shown.len(), view)
}

fn rows(columns: &[Column], count: usize, view: &View) -> Vec<String> {
    let width: usize = columns.iter().map(|column| column.width() + SPACE).sum();
    // A line that must be cut is not painted, so that no colour is cut in two.
    let fits = width.saturating_sub(SPACE) <= view.width;
    let row = |cell: &dyn Fn(&Column) -> (String, &'static str)| {
        let mut line = String::new();
        for column in columns {
            let (text, color) = cell(column);
            line += &view.paint(
                &padded(&text, column.width()),
                if fits { color } else { "" },
            );
            line += &" ".repeat(SPACE);
        }
        let line = line.trim_end();
        if fits {
            line.to_owned()
        } else {
            fitted(line, view.width)
        }
    };
    let mut lines = vec![row(&|column| (column.head.to_owned(), "2"))];
    lines.extend(
        (0..count).map(|place| row(&|column| column.cells.get(place).cloned().unwrap_or_default())),
    );
    lines
}

fn available(available: AvailableNow, view: &View) -> (String, &'static str) {
    let color = match available {
        AvailableNow::Yes => "32",
        AvailableNow::No => "",
        AvailableNow::Unknown => "33",
    };
    (words::available(available, view.language).to_owned(), color)
}

/// The rule, or for UNKNOWN the kind of reason.
fn why(machine: &LiveMachine, view: &View) -> String {
    if let Some(rule) = &machine.rule {
        return plain(rule);
    }
    match machine.reason {
        ReasonCode::Rule => view.say("rule", "规则"),
        ReasonCode::Starting => view.say("starting", "启动中"),
        ReasonCode::Stale => view.say("stale", "数据过期"),
        ReasonCode::Link => view.say("link", "链路中断"),
        ReasonCode::Undecided => view.say("undecided", "无法判定"),
    }
    .to_owned()
}

/// The phase of the link that is worst off, since one is enough to miss points.
fn link(machine: &LiveMachine, view: &View) -> (String, &'static str) {
    let worst = machine
        .links
        .iter()
        .map(|link| link.phase)
        .max_by_key(|phase| match phase {
            LinkPhase::Up => 0,
            LinkPhase::Connecting => 1,
            LinkPhase::Listening => 2,
            LinkPhase::Quiet => 3,
            LinkPhase::Backoff => 4,
            LinkPhase::Refused => 5,
        });
    let Some(worst) = worst else {
        return ("–".to_owned(), "");
    };
    let color = match worst {
        LinkPhase::Up => "",
        LinkPhase::Connecting | LinkPhase::Listening | LinkPhase::Quiet => "33",
        LinkPhase::Backoff | LinkPhase::Refused => "31",
    };
    (words::phase(worst, view.language).to_owned(), color)
}

/// As many values as fit: what is bad first, since it needs a look, then what has a unit, in the
/// order of the map.
fn values(points: &[LivePoint], room: usize, view: &View) -> String {
    let rank = |point: &&LivePoint| match (&point.bad, &point.unit) {
        (Some(_), _) => 0,
        (None, Some(_)) => 1,
        (None, None) => 2,
    };
    let mut sorted: Vec<&LivePoint> = points.iter().collect();
    sorted.sort_by_key(rank);
    let mut text = String::new();
    for point in sorted {
        let Some(value) = value(point, view) else {
            continue;
        };
        let separator = if text.is_empty() { "" } else { " · " };
        if text.is_empty() {
            text = fitted(&value, room);
        } else if width_of(&text) + width_of(separator) + width_of(&value) <= room {
            text += separator;
            text += &value;
        }
    }
    text
}

fn value(point: &LivePoint, view: &View) -> Option<String> {
    if let Some(bad) = &point.bad {
        let word = view.say("bad", "坏值");
        return Some(plain(&format!("{} {word}:{bad}", point.point)));
    }
    let value = point.value.as_ref()?;
    let unit = point
        .unit
        .as_deref()
        .map(|unit| format!(" {unit}"))
        .unwrap_or_default();
    Some(plain(&format!("{} {}{unit}", point.point, short(value))))
}

/// A number to four decimals at most; any other text as it is.
fn short(value: &str) -> String {
    match value.split_once('.') {
        Some((_, decimals)) if decimals.len() > 4 => match value.parse::<f64>() {
            Ok(number) => format!("{number:.2}"),
            Err(_) => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

fn uplink(live: &Live, view: &View) -> String {
    let uplink = &live.uplink;
    let connected = if uplink.connected {
        view.say("connected", "已连接")
    } else {
        view.say("not connected", "未连接")
    };
    let (broker, acknowledged) = (plain(&uplink.broker), uplink.acknowledged);
    let (in_flight, refused) = (uplink.in_flight, uplink.refused);
    let mut line = text!(
        "uplink  {broker} {connected} · acknowledged {acknowledged} · in flight {in_flight} · refused {refused}",
        "上行  {broker} {connected} · 已确认 {acknowledged} · 在途 {in_flight} · 被拒 {refused}"
    )
    .say(view.language)
    .to_owned();
    if let (false, Some(fault)) = (uplink.connected, &uplink.fault) {
        line = format!("{line} · {}", plain(fault));
    }
    let color = if uplink.connected { "" } else { "33" };
    view.paint(&fitted(&line, view.width), color)
}

fn outbox(live: &Live, view: &View) -> String {
    let outbox = &live.outbox;
    let (messages, dropped) = (outbox.messages, outbox.dropped);
    let bytes = bytesize::ByteSize(outbox.bytes).display().iec().to_string();
    let oldest = outbox
        .oldest
        .map_or_else(|| "–".to_owned(), |oldest| view.ago(oldest));
    let line = text!(
        "outbox  waiting {messages} · on disk {bytes} · oldest {oldest} · dropped {dropped}",
        "缓存  待发 {messages} · 占用 {bytes} · 最早 {oldest} · 丢弃 {dropped}"
    );
    let color = if dropped == 0 { "" } else { "31" };
    view.paint(&fitted(line.say(view.language), view.width), color)
}

/// One line for a log: what there is to say every few seconds where no table can be drawn.
pub fn summary(live: &Live, view: &View) -> String {
    let states: Vec<String> = live
        .machines
        .iter()
        .map(|machine| format!("{} {}", machine.machine, view.state(machine.state)))
        .collect();
    let uplink = &live.uplink;
    let (now, states) = (view.now, states.join(", "));
    let (acknowledged, waiting) = (uplink.acknowledged, live.outbox.messages);
    let connected = if uplink.connected {
        view.say("connected", "已连接")
    } else {
        view.say("not connected", "未连接")
    };
    text!(
        "{now} {states} · uplink {connected}, acknowledged {acknowledged}, waiting {waiting}",
        "{now} {states} · 上行{connected}，已确认 {acknowledged}，待发 {waiting}"
    )
    .say(view.language)
    .to_owned()
}
