//! Sessions, outcomes of bookings, corrections.

use lineside_proto::Class;

use super::super::model::{CorrectionRow, OutcomeRow, Page, Select, SessionRow};
use super::super::sql::{Row, Value, word};
use super::super::{Index, IndexError};
use super::{Question, nothing};

/// A number that comes before all others.
const BEFORE: Value = Value::Int(i64::MIN);

impl Index {
    /// Sessions that have a moment in common with the period, in the order of their ends; those that run come last.
    /// Narrowed by `site`, `gateway`, `machine`, `class`, `booking` and the period.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn sessions(&self, select: &Select) -> Result<Page<SessionRow>, IndexError> {
        let what = "l.site, l.gateway, l.epoch, s.booking, s.token, s.class, s.class_before, s.check_in, \
                    s.person, s.from_ms, s.to_ms, s.reason, s.outcome, s.uncounted, s.unknown_ms, s.off_ms, s.down_ms, \
                    s.maint_ms, s.idle_ms, s.setup_ms, s.run_ms, s.hold_ms, s.active_ms, s.energy_mwh, \
                    s.open_leaf, s.close_leaf, s.bind_leaf, (SELECT COUNT(*) FROM corrections c \
                    WHERE c.log = s.log AND c.machine = s.machine AND c.session = s.session)";
        let of = "sessions s JOIN logs l ON l.log = s.log";
        let order = ["s.end_ms", "s.log", "s.machine", "s.session"];
        let first = vec![BEFORE, BEFORE, nothing(), nothing()];
        select.period()?;
        self.look(|sql| {
            let mut asked = Question::new(what, of, &order, first.clone());
            asked.of_place(select);
            asked.only_if("s.machine = $", select.machine.as_ref());
            asked.only_if("COALESCE(s.class, 'UNB') = $", select.class.map(word));
            asked.only_if("s.booking = $", select.booking.as_deref());
            asked.only_if("s.end_ms > $", select.from);
            asked.only_if("COALESCE(s.from_ms, s.end_ms) < $", select.to);
            asked.ask(sql, select, |_, row| session(row))
        })
    }

    /// What became of bookings that began in the period, in that order. Narrowed by `site`, `gateway`, `machine`,
    /// `class`, `booking` and the period.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn outcomes(&self, select: &Select) -> Result<Page<OutcomeRow>, IndexError> {
        let what = "l.site, l.gateway, l.epoch, o.at_ms, o.machine, o.booking, o.token, o.class, o.outcome, \
                    o.check_in, o.session, o.end_ms, o.slot_ms, o.active_ms, o.unknown_ms, o.down_ms, o.coverage_pm";
        let of = "outcomes o JOIN logs l ON l.log = o.log";
        let order = ["o.start_ms", "o.log", "o.leaf"];
        select.period()?;
        self.look(|sql| {
            let mut asked = Question::new(what, of, &order, vec![BEFORE, BEFORE, BEFORE]);
            asked.of_place(select);
            asked.only_if("o.machine = $", select.machine.as_ref());
            asked.only_if("o.class = $", select.class.map(word));
            asked.only_if("o.booking = $", select.booking.as_deref());
            asked.only_if("o.start_ms >= $", select.from);
            asked.only_if("o.start_ms < $", select.to);
            asked.ask(sql, select, |_, row| outcome(row))
        })
    }

    /// What somebody said in the period was wrong. Narrowed by `site`, `gateway`, `machine` and the period.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn corrections(&self, select: &Select) -> Result<Page<CorrectionRow>, IndexError> {
        let what = "l.site, l.gateway, l.epoch, c.refers, c.machine, c.session, c.reason, c.person";
        let of = "corrections c JOIN logs l ON l.log = c.log";
        let order = ["c.at_ms", "c.log", "c.leaf"];
        select.period()?;
        self.look(|sql| {
            let mut asked = Question::new(what, of, &order, vec![BEFORE, BEFORE, BEFORE]);
            asked.of_place(select);
            asked.only_if("c.machine = $", select.machine.as_ref());
            asked.only_if("c.at_ms >= $", select.from);
            asked.only_if("c.at_ms < $", select.to);
            asked.ask(sql, select, |_, row| {
                let (at, _, leaf) = (row.time()?, row.int()?, row.count()?);
                Ok(CorrectionRow {
                    at,
                    leaf,
                    site: row.name()?,
                    gateway: row.name()?,
                    epoch: row.small()?,
                    refers: row.count()?,
                    machine: row.name_if()?,
                    session: row.text_if()?,
                    reason: row.text()?,
                    by: row.text()?,
                })
            })
        })
    }
}

fn session(row: &mut Row) -> Result<SessionRow, IndexError> {
    let (_end, _log) = (row.int()?, row.int()?);
    let (machine, session) = (row.name()?, row.text()?);
    Ok(SessionRow {
        machine,
        session,
        site: row.name()?,
        gateway: row.name()?,
        epoch: row.small()?,
        booking: row.text_if()?,
        token: row.text_if()?,
        class: row.word_if()?.unwrap_or(Class::Unb),
        class_before: row.word_if()?,
        check_in: row.word_if()?,
        by: row.text_if()?,
        from: row.time_if()?,
        to: row.time_if()?,
        reason: row.word_if()?,
        outcome: row.word_if()?,
        overlaps: row.count()?,
        ms: row.states()?,
        active_ms: row.count()?,
        energy_mwh: row.count_if()?,
        open: row.count_if()?,
        close: row.count_if()?,
        bind: row.count_if()?,
        is_corrected: row.count()? > 0,
    })
}

fn outcome(row: &mut Row) -> Result<OutcomeRow, IndexError> {
    let (start, _log, leaf) = (row.time()?, row.int()?, row.count()?);
    Ok(OutcomeRow {
        start,
        leaf,
        site: row.name()?,
        gateway: row.name()?,
        epoch: row.small()?,
        at: row.time()?,
        machine: row.name()?,
        booking: row.text()?,
        token: row.text_if()?,
        class: row.word()?,
        outcome: row.word()?,
        check_in: row.word()?,
        session: row.text_if()?,
        end: row.time()?,
        slot_ms: row.count()?,
        active_ms: row.count()?,
        unknown_ms: row.count()?,
        down_ms: row.count()?,
        coverage_pm: row.small()?,
    })
}
