//! What is wrong in the sample year on purpose, so that whoever tries the report knows what it must find.

use lineside_proto::{Identifier, Time};
use serde::Serialize;

use super::calendar::{Day, Kind};
use super::machines::{self, Machine};
use crate::text;
use crate::text::Text;

/// A kind of dishonest behaviour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trick {
    /// An affiliate is booked as another company.
    Affiliate,
    /// The machine pretends to run at night: RUN, and energy as if it stood.
    IdleRunning,
    /// The bound above which RUN begins was lowered: a screw that hardly turns counts.
    LoweredThreshold,
    /// The agent was unplugged while bookings ran.
    Unplugged,
    /// Many sessions of five minutes.
    ShortSessions,
    /// The machine's own hour counter counts less than its RUN signal says.
    HourCounter,
    /// The platform's own use is booked as another company's.
    OwnAsExternal,
}

impl Trick {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Affiliate,
        Self::IdleRunning,
        Self::LoweredThreshold,
        Self::Unplugged,
        Self::ShortSessions,
        Self::HourCounter,
        Self::OwnAsExternal,
    ];

    /// What was done, and what shows it.
    pub fn text(self) -> Text {
        match self {
            Self::Affiliate => text!(
                "an affiliate (org-aff-2) is booked as external: trust.toml names it",
                "关联单位（org-aff-2）按对外预约：trust.toml 中列有该单位"
            ),
            Self::IdleRunning => text!(
                "the machine pretends to run at night: RUN, with the energy of standby",
                "夜间假运行：信号为运行，能耗却与待机相当"
            ),
            Self::LoweredThreshold => text!(
                "the bound of RUN was lowered in the machine map: a screw that hardly turns counts as RUN",
                "点表中的运行阈值被调低：螺杆几乎不转也计为运行"
            ),
            Self::Unplugged => text!(
                "the agent was unplugged while bookings ran",
                "预约进行期间程序被断开"
            ),
            Self::ShortSessions => text!("many sessions of five minutes", "大量五分钟的短时上机"),
            Self::HourCounter => text!(
                "the machine's own hour counter counts half of what its RUN signal says",
                "设备自带计时器只计到运行信号的一半"
            ),
            Self::OwnAsExternal => text!(
                "the platform's own use is booked as external (org-own-lab): trust.toml names it as the platform's own",
                "本单位自用按对外预约（org-own-lab）：trust.toml 中列为本单位"
            ),
        }
    }
}

/// Something that is wrong on purpose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Planted {
    /// What.
    pub kind: Trick,
    /// On which machine.
    pub machine: Identifier,
    /// From when.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// The booking by which it was done, where there is one.
    pub booking: Option<String>,
}

/// When the sample year's tricks are played: all by the place of a day in the period, so that a short one has
/// them all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    days: usize,
}

impl Schedule {
    pub(super) fn new(days: usize) -> Self {
        Self { days }
    }

    /// Whether a day lies within parts of the period, in thousandths; at least three days.
    fn is_within(self, day: &Day, from_pm: usize, to_pm: usize) -> bool {
        let first = self.days * from_pm / 1_000;
        let last = (self.days * to_pm / 1_000).max(first + 3);
        (first..last).contains(&day.number)
    }

    /// The first working day from a part of the period on, in thousandths.
    pub(super) fn workday(self, days: &[Day], pm: usize) -> Option<Day> {
        let first = self.days * pm / 1_000;
        let mut rest = days.iter().skip(first);
        rest.find(|day| day.kind == Kind::Work && !day.is_service())
            .copied()
    }

    /// The first day of rest from a part of the period on, in thousandths.
    pub(super) fn rest_day(self, days: &[Day], pm: usize) -> Option<Day> {
        let first = self.days * pm / 1_000;
        let mut rest = days.iter().skip(first);
        rest.find(|day| day.kind == Kind::Rest).copied()
    }

    /// The trick that is played on a machine on a working day.
    pub(super) fn trick(self, machine: &Machine, day: &Day) -> Option<Trick> {
        use machines::Kind::{Extruder, Furnace, Press};
        if !machine.is_first() {
            return None;
        }
        match machine.kind {
            Extruder if self.is_within(day, 600, 630) => Some(Trick::ShortSessions),
            Extruder if self.is_lowered(day) => Some(Trick::LoweredThreshold),
            Extruder if day.worked % 18 == 7 => Some(Trick::Affiliate),
            Furnace if self.is_within(day, 370, 400) => Some(Trick::IdleRunning),
            Furnace if day.worked % 17 == 9 => Some(Trick::OwnAsExternal),
            Extruder | Furnace | Press => None,
        }
    }

    /// Whether the bound of RUN has been lowered by then: from the beginning of November in a year from January.
    pub(super) fn is_lowered(self, day: &Day) -> bool {
        self.is_within(day, LOWERED_PM, 1_000)
    }

    /// Whether the press's hour counter counts half by then.
    pub(super) fn is_halved(self, machine: &Machine, day: &Day) -> bool {
        let is_press = machine.kind == machines::Kind::Press && machine.is_first();
        is_press && self.is_within(day, 500, 1_000)
    }

    /// Days on which the agent is unplugged in the morning, until noon.
    pub(super) fn unplugged(self, days: &[Day]) -> Vec<Day> {
        let parts = [150, 340, 560, 760];
        let mut found: Vec<Day> = Vec::new();
        for part in parts {
            let day = self.workday(days, part);
            found.extend(day.filter(|day| !found.contains(day)));
        }
        found
    }
}

/// When the bound of RUN is lowered, in thousandths of the period.
pub(super) const LOWERED_PM: usize = 834;
