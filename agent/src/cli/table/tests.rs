//! Golden tables: what people see, at several widths and in both languages.

use super::{Change, View, changes, draw, summary};
use crate::live::{LinkFigures, LinkPhase, Live, LiveMachine, LivePoint, UplinkFigures};
use crate::text::Language;
use jiff::tz::{TimeZone, offset};
use lineside_proto::{Clock, ClockStatus, LocalText, OutboxFigures, ReasonCode, State, Time};
use unicode_width::UnicodeWidthStr;

const NOW: i64 = 1_795_420_800_000;

fn ago(seconds: i64) -> Time {
    Time::from_millis(NOW - seconds * 1000)
}

fn point(name: &str, value: Option<&str>, bad: Option<&str>, unit: Option<&str>) -> LivePoint {
    LivePoint {
        point: name.parse().unwrap(),
        value: value.map(str::to_owned),
        bad: bad.map(str::to_owned),
        unit: unit.map(str::to_owned),
        at: Some(ago(1)),
    }
}

fn machine(name: &str, zh: &str, en: &str, state: State, seconds: i64) -> LiveMachine {
    LiveMachine {
        machine: name.parse().unwrap(),
        name: LocalText {
            zh_cn: Some(zh.to_owned()),
            en: Some(en.to_owned()),
        },
        state,
        since: ago(seconds),
        rule: (state != State::Unknown).then(|| format!("{state}@3")),
        reason: if state == State::Unknown {
            ReasonCode::Link
        } else {
            ReasonCode::Rule
        },
        reason_text: "a rule".to_owned(),
        available_now: state.available_now(),
        observed_at: Some(ago(1)),
        points: Vec::new(),
        links: vec![LinkFigures {
            phase: if state == State::Unknown {
                LinkPhase::Backoff
            } else {
                LinkPhase::Up
            },
            ..LinkFigures::default()
        }],
        session: None,
    }
}

fn live() -> Live {
    let mut extruder = machine(
        "extruder-01",
        "双螺杆挤出机",
        "Twin-screw extruder",
        State::Run,
        80,
    );
    extruder.points = vec![
        point("running", Some("true"), None, None),
        point("screw_speed", Some("182.45671"), None, Some("rpm")),
        point("melt_temp", Some("214.3"), None, Some("°C")),
    ];
    let mut furnace = machine(
        "furnace-01",
        "箱式热处理炉",
        "Chamber furnace",
        State::Unknown,
        7300,
    );
    furnace.points = vec![point(
        "chamber_temp",
        Some("850"),
        Some("timeout"),
        Some("°C"),
    )];
    let mut mixer = machine("mixer-01", "行星搅拌机", "Planetary mixer", State::Idle, 7);
    mixer.points = vec![point("note", Some("\x1b[2J"), None, None)];
    Live {
        site: "demo".parse().unwrap(),
        gateway: "gw-demo".parse().unwrap(),
        version: "0.1.0".to_owned(),
        started: ago(9000),
        at: ago(0),
        clock: Clock {
            status: ClockStatus::S,
            offset_ms: Some(1),
        },
        machines: vec![extruder, furnace, mixer],
        uplink: UplinkFigures {
            broker: "127.0.0.1:1883".to_owned(),
            connected: true,
            acknowledged: 812,
            in_flight: 2,
            ..UplinkFigures::default()
        },
        outbox: OutboxFigures {
            messages: 3,
            bytes: 12_288,
            oldest: Some(ago(2)),
            dropped: 0,
        },
        ledger: None,
    }
}

fn view(language: Language, width: usize) -> View {
    View {
        language,
        color: false,
        width,
        height: 24,
        zone: TimeZone::fixed(offset(8)),
        now: Time::from_millis(NOW),
    }
}

fn check(view: &View, golden: &str) {
    let change = Change {
        machine: "extruder-01".parse().unwrap(),
        name: live().machines[0].name.clone(),
        from: State::Idle,
        to: State::Run,
        rule: Some("RUN@3".to_owned()),
        reason: String::new(),
        since: ago(80),
    };
    let drawn = draw(&live(), [change].iter(), view);
    assert_eq!(drawn.trim_end(), golden.trim(), "\n{drawn}");
    for line in drawn.lines() {
        assert!(line.width() <= view.width, "{line}");
    }
}

#[test]
fn a_wide_terminal_shows_everything() {
    check(
        &view(Language::En, 110),
        "
Lineside 0.1.0 · demo/gw-demo · 16:00:00 · clock S
MACHINE              STATE    FOR     AVAILABLE  WHY     LINK     VALUES
Twin-screw extruder  RUN      1m 20s  no         RUN@3   up       screw_speed 182.46 rpm · melt_temp 214.3 °C
Chamber furnace      UNKNOWN  2h 01m  unknown    link    backoff  chamber_temp bad:timeout
Planetary mixer      IDLE     7s      yes        IDLE@3  up       note ·[2J
uplink  127.0.0.1:1883 connected · acknowledged 812 · in flight 2 · refused 0
outbox  waiting 3 · on disk 12.0 KiB · oldest 2s · dropped 0

15:58:40  Twin-screw extruder  IDLE → RUN (RUN@3)",
    );
}

#[test]
fn a_narrow_terminal_loses_the_least_important_first() {
    check(
        &view(Language::En, 60),
        "
Lineside 0.1.0 · demo/gw-demo · 16:00:00 · clock S
MACHINE              STATE    FOR     AVAILABLE  WHY
Twin-screw extruder  RUN      1m 20s  no         RUN@3
Chamber furnace      UNKNOWN  2h 01m  unknown    link
Planetary mixer      IDLE     7s      yes        IDLE@3
uplink  127.0.0.1:1883 connected · acknowledged 812 · in fl…
outbox  waiting 3 · on disk 12.0 KiB · oldest 2s · dropped 0

15:58:40  Twin-screw extruder  IDLE → RUN (RUN@3)",
    );
}

#[test]
fn chinese_stands_in_line() {
    check(
        &view(Language::ZhCn, 90),
        "
线边 Lineside 0.1.0 · demo/gw-demo · 16:00:00 · 时钟 S
设备          状态      已持续   当前可用  依据      链路      数值
双螺杆挤出机  运行      1分20秒  不可用    RUN@3     正常      screw_speed 182.46 rpm
箱式热处理炉  状态不明  2时01分  不明      链路中断  等待重试  chamber_temp 坏值:timeout
行星搅拌机    空闲      7秒      可用      IDLE@3    正常      note ·[2J
上行  127.0.0.1:1883 已连接 · 已确认 812 · 在途 2 · 被拒 0
缓存  待发 3 · 占用 12.0 KiB · 最早 2秒 · 丢弃 0

15:58:40  双螺杆挤出机  空闲 → 运行 (RUN@3)",
    );
}

#[test]
fn the_narrowest_terminal_still_shows_names_and_states() {
    let mut narrow = view(Language::En, 20);
    narrow.height = 6;
    check(
        &narrow,
        "
Lineside 0.1.0 · de…
MACHINE     STATE
Twin-scre…  RUN
Chamber f…  UNKNOWN
uplink  127.0.0.1:1…
outbox  waiting 3 ·…",
    );
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = view(Language::En, 110);
    let mut colored = plain.clone();
    colored.color = true;
    let text = draw(&live(), std::iter::empty(), &colored);
    assert!(text.contains("\x1b[1;32mRUN    \x1b[0m"), "{text:?}");
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&stripped(&text)),
        lines(&draw(&live(), std::iter::empty(), &plain))
    );
}

#[test]
fn changes_are_found_between_snapshots() {
    let old = live();
    assert!(changes(Some(&old), &old).is_empty());
    let first: Vec<_> = changes(None, &old)
        .into_iter()
        .map(|change| (change.from, change.to))
        .collect();
    assert_eq!(
        first,
        [(State::Unknown, State::Run), (State::Unknown, State::Idle)]
    );
    let mut new = old.clone();
    new.machines[1].state = State::Setup;
    new.machines[1].rule = Some("SETUP@5".to_owned());
    new.machines[2].since = ago(0);
    let view = view(Language::En, 110);
    let lines: Vec<_> = changes(Some(&old), &new)
        .iter()
        .map(|change| change.line(&view))
        .collect();
    assert_eq!(
        lines,
        [
            "2026-11-23T08:00:00.000Z furnace-01 UNKNOWN → SETUP (SETUP@5) since 2026-11-23T05:58:20.000Z",
            "2026-11-23T08:00:00.000Z mixer-01 IDLE → IDLE (IDLE@3) since 2026-11-23T08:00:00.000Z",
        ]
    );
    let mut lost = new.clone();
    lost.machines[0].state = State::Unknown;
    lost.machines[0].rule = None;
    lost.machines[0].reason_text = "screw_speed".to_owned();
    let line = changes(Some(&new), &lost)[0].line(&super::View {
        language: Language::ZhCn,
        ..view
    });
    assert_eq!(
        line,
        "2026-11-23T08:00:00.000Z extruder-01 运行 → 状态不明 (screw_speed) 自 2026-11-23T07:58:40.000Z"
    );
}

#[test]
fn the_summary_is_one_line() {
    assert_eq!(
        summary(&live(), &view(Language::En, 80)),
        "2026-11-23T08:00:00.000Z extruder-01 RUN, furnace-01 UNKNOWN, mixer-01 IDLE · \
         uplink connected, acknowledged 812, waiting 3"
    );
}

/// A text without its colours.
fn stripped(text: &str) -> String {
    let mut stripped = String::new();
    for part in text.split('\x1b') {
        let rest = part.strip_prefix('[').and_then(|part| part.split_once('m'));
        stripped += rest.map_or(part, |(_, rest)| rest);
    }
    stripped
}

#[test]
fn no_line_is_wider_or_more_than_the_terminal() {
    for width in 1..130 {
        for height in [5, 6, 8, 24] {
            for (language, color) in [(Language::En, true), (Language::ZhCn, false)] {
                let mut view = view(language, width);
                (view.height, view.color) = (height, color);
                let change = changes(None, &live());
                let drawn = stripped(&draw(&live(), change.iter(), &view));
                assert!(
                    drawn.lines().count() <= height,
                    "{width} × {height}\n{drawn}"
                );
                for line in drawn.lines() {
                    assert!(line.width() <= width, "{width}: {line:?}");
                }
            }
        }
    }
}
