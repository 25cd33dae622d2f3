//! The sample year's days: who comes when, what befalls the gateway, and where somebody cheats.

use fastrand::Rng;
use lineside_proto::{Class, State, Time};

use super::calendar::{DAY_MS, Day, HOUR_MS, Kind, MINUTE_MS};
use super::machines::{self, Machine, VALUE_TURNING};
use super::planted::{Planted, Schedule, Trick};
use super::script::{
    AFFILIATE, AFFILIATE_HIDDEN, Course, Deed, ORGS, OWN, OWN_HIDDEN, Org, Phase, Script, Writer,
};

/// The slots of a day: begin and end as hours and minutes. Far enough apart that no window touches another.
const SLOTS: [[(i64, i64); 2]; 3] = [[(8, 30), (11, 30)], [(13, 0), (15, 30)], [(17, 0), (19, 0)]];

/// How much of RUN an hour counter counts that somebody has tampered with, in thousandths.
const COUNTS_HALF_PM: i64 = 500;

/// The whole of it.
const COUNTS_ALL_PM: i64 = 1_000;

/// A machine's year, and what is wrong with it.
pub(super) fn machine(
    machine: &Machine,
    days: &[Day],
    schedule: Schedule,
    seed: u64,
) -> (Script, Vec<Planted>) {
    let mut planner = Planner {
        writer: Writer {
            machine,
            rng: Rng::with_seed(seed),
            script: Script::default(),
            counts_pm: COUNTS_ALL_PM,
        },
        planted: Vec::new(),
        unplugged: schedule.unplugged(days),
        schedule,
    };
    let first = days.first().map_or(0, |day| day.start);
    planner.writer.put(first - 2 * DAY_MS, State::Off, None);
    for day in days {
        planner.day(day);
    }
    (planner.writer.script, planner.planted)
}

struct Planner<'a> {
    writer: Writer<'a>,
    planted: Vec<Planted>,
    schedule: Schedule,
    unplugged: Vec<Day>,
}

impl Planner<'_> {
    fn plant(&mut self, kind: Trick, from: i64, to: i64) {
        let booked = self.writer.script.booked.last();
        let booked = booked.filter(|booked| booked.start == from && booked.end == to);
        self.planted.push(Planted {
            kind,
            machine: self.writer.machine.name.clone(),
            from: Time::from_millis(from),
            to: Time::from_millis(to),
            booking: booked.map(|booked| booked.id.clone()),
        });
    }

    fn is_unplugged(&self, day: &Day) -> bool {
        self.unplugged.contains(day)
    }

    fn day(&mut self, day: &Day) {
        let machine = self.writer.machine;
        if self.schedule.is_halved(machine, day) && self.writer.counts_pm == COUNTS_ALL_PM {
            self.writer.counts_pm = COUNTS_HALF_PM;
        }
        match day.kind {
            Kind::Rest => return self.writer.put(day.at(0, 30), machine.night(), None),
            Kind::Half if self.writer.rng.u8(..10) >= 4 => {
                return self.writer.put(day.at(0, 30), machine.night(), None);
            }
            Kind::Half | Kind::Work => {}
        }
        let on = self.writer.near(day.at(7, 30), 20);
        self.writer.put(on, State::Idle, None);
        let trick = self.schedule.trick(machine, day);
        let trick = trick.filter(|_| day.kind == Kind::Work);
        if trick == Some(Trick::ShortSessions) {
            self.short_sessions(day);
        } else {
            self.slots(day, trick);
            self.evening(day, trick);
        }
        if self.schedule.is_halved(machine, day) && day.kind == Kind::Work {
            self.plant(Trick::HourCounter, day.at(7, 0), day.at(22, 0));
        }
        let off = self.writer.near(day.at(23, 10), 25);
        if trick != Some(Trick::IdleRunning) {
            self.writer.put(off, machine.night(), None);
        }
        if self.writer.rng.u8(..25) == 0 {
            let from = self.writer.near(day.at(8, 0), 600);
            let to = from + self.writer.rng.i64(10 * MINUTE_MS..80 * MINUTE_MS);
            self.writer.script.unlinked.push((from, to));
        }
    }

    fn slots(&mut self, day: &Day, trick: Option<Trick>) {
        for (place, [begin, end]) in SLOTS.into_iter().enumerate() {
            let late = self.writer.rng.i64(0..3) * 5;
            let (start, end) = (day.at(begin.0, begin.1 + late), day.at(end.0, end.1 - late));
            if place == 0 && day.is_service() {
                self.service(day);
            } else if place == 1 && day.kind == Kind::Work && self.writer.rng.u8(..12) == 0 {
                self.training(start, end);
            } else if place == 0 && trick == Some(Trick::Affiliate) {
                self.writer.book(start, end, Class::Ext, AFFILIATE_HIDDEN);
                self.plant(Trick::Affiliate, start, end);
                self.writer.use_slot(start, end, Class::Ext, Course::Usual);
            } else if place == 1 && trick == Some(Trick::OwnAsExternal) {
                self.writer.book(start, end, Class::Ext, OWN_HIDDEN);
                self.plant(Trick::OwnAsExternal, start, end);
                self.writer.use_slot(start, end, Class::Ext, Course::Usual);
            } else {
                let is_forced = place == 0 && self.is_unplugged(day);
                let is_open = place == 0 || day.kind == Kind::Work;
                let asked = self.writer.machine.demand() * if place == 2 { 45 } else { 85 } / 100;
                if is_forced || is_open && self.writer.rng.u32(..100) < asked {
                    self.slot(day, start, end, is_forced);
                }
            }
        }
    }

    /// An honest booking.
    fn slot(&mut self, day: &Day, start: i64, end: i64, is_unplugged: bool) {
        let rng = &mut self.writer.rng;
        let class = match rng.u8(..100) {
            _ if is_unplugged => Class::Ext,
            0..46 => Class::Ext,
            46..88 => Class::Own,
            88..96 => Class::Aff,
            _ => Class::Trn,
        };
        let org = match class {
            Class::Ext => rng.choice(ORGS).unwrap_or(OWN),
            Class::Aff => AFFILIATE,
            Class::Own | Class::Trn | Class::Mnt | Class::Unb => OWN,
        };
        let course = match rng.u8(..100) {
            0..72 => Course::Usual,
            72..80 => Course::Over,
            80..87 => Course::Early,
            87..91 => Course::Fault,
            91..93 => Course::LongFault,
            _ => Course::Absent,
        };
        let (is_portal, is_late) = (rng.u8(..5) == 0, rng.u8(..40) == 0);
        let course = if is_unplugged { Course::Usual } else { course };
        let is_signed = self.writer.machine.kind != machines::Kind::Press;
        if !is_signed && matches!(class, Class::Own | Class::Trn) {
            // Where no portal signs, their own people say at the machine who they are.
            return self.entered(start, end, class);
        }
        self.writer.book(start, end, class, org);
        if is_unplugged {
            self.plant(Trick::Unplugged, start, end);
        }
        // Whose portal signs nothing has its use counted as nobody's.
        let class = if is_signed { class } else { Class::Unb };
        let check_in = self.writer.near(start - 28 * MINUTE_MS, 6);
        if let Some(booked) = self.writer.script.booked.last_mut() {
            if is_portal && is_signed && !is_unplugged && course != Course::Absent {
                booked.check_in = Some(check_in);
            } else if is_late && is_signed && course == Course::Usual {
                // The token was issued in time and came when the line was up again.
                booked.told = day.start + DAY_MS + 6 * HOUR_MS;
            }
        }
        self.writer.use_slot(start, end, class, course);
    }

    /// A morning of maintenance, and a try afterwards.
    fn service(&mut self, day: &Day) {
        let from = self.writer.near(day.at(8, 20), 20);
        self.writer.put(from, State::Maint, None);
        let to = self.writer.near(day.at(11, 0), 20);
        self.writer.put(to, State::Idle, None);
        self.entered(day.at(11, 30), day.at(12, 5), Class::Mnt);
    }

    fn training(&mut self, start: i64, end: i64) {
        self.entered(start, end, Class::Trn);
    }

    /// Somebody says at the machine who uses it.
    fn entered(&mut self, start: i64, end: i64, class: Class) {
        let come = self.writer.near(start, 5);
        self.writer.script.deeds.push((come, Deed::CheckIn(class)));
        let from = come + 3 * MINUTE_MS;
        self.writer.work(from, end - 6 * MINUTE_MS, class);
        let gone = self.writer.near(end - 4 * MINUTE_MS, 3);
        self.writer.script.deeds.push((gone, Deed::CheckOut));
    }

    fn evening(&mut self, day: &Day, trick: Option<Trick>) {
        let from = self.writer.near(day.at(20, 10), 10);
        match trick {
            Some(Trick::IdleRunning) => {
                let (start, end) = (day.at(20, 30), day.at(29, 30));
                self.book_own(start, end);
                self.plant(Trick::IdleRunning, start, end);
                self.pretend(from + 20 * MINUTE_MS, end - 10 * MINUTE_MS, 900, 120.0);
            }
            Some(Trick::LoweredThreshold) => {
                let (start, end) = (day.at(20, 30), day.at(22, 45));
                self.book_own(start, end);
                self.plant(Trick::LoweredThreshold, start, end);
                self.pretend(
                    from + 20 * MINUTE_MS,
                    end - 10 * MINUTE_MS,
                    1_100,
                    VALUE_TURNING,
                );
            }
            Some(_) | None if day.kind == Kind::Work && self.writer.rng.u8(..100) < 12 => {
                let until = self.writer.near(day.at(21, 20), 40);
                self.writer.work(from, until, Class::Unb);
            }
            Some(_) | None => {}
        }
    }

    fn book_own(&mut self, start: i64, end: i64) {
        self.writer.book(start, end, Class::Own, OWN);
    }

    /// RUN, and the energy of a machine that stands, or hardly more.
    fn pretend(&mut self, from: i64, until: i64, watts_pm: i64, value: f64) {
        let idle = self.writer.machine.watts(State::Idle);
        self.writer.put_phase(Phase {
            at: from,
            state: State::Run,
            class: Some(Class::Own),
            watts: idle * watts_pm / 1_000,
            value,
            counts_pm: self.writer.counts_pm,
        });
        self.writer.put(until, State::Idle, None);
    }

    /// Bookings of ten minutes, used for five, one after the other.
    fn short_sessions(&mut self, day: &Day) {
        for turn in 0..14 {
            let start = day.at(9, turn * 45);
            let end = start + 10 * MINUTE_MS;
            let org: Org = self.writer.rng.choice(ORGS).unwrap_or(OWN);
            self.writer.book(start, end, Class::Ext, org);
            self.plant(Trick::ShortSessions, start, end);
            let from = self.writer.near(start, 1);
            self.writer.put(from, State::Run, Some(Class::Ext));
            self.writer.put(from + 5 * MINUTE_MS, State::Idle, None);
        }
    }
}
