//! Hours: usage by period, the spans that it is made of, and gaps.

use std::collections::BTreeMap;

use lineside_proto::{Identifier, Period, State};

use super::super::model::{ClassUsage, GapRow, Page, Select, SpanRow, UsageRow};
use super::super::sql::{Sql, Value};
use super::super::{Index, IndexError};
use super::{Question, names, nothing};
use crate::text;

/// A number that comes before all others.
const BEFORE: Value = Value::Int(i64::MIN);

/// The class that a usage leaf's session has now; null outside sessions.
const CLASS: &str = "CASE WHEN u.session IS NULL THEN NULL ELSE COALESCE(s.class, 'UNB') END";

/// Usage leaves with their sessions and logs.
const USAGE: &str = "usage u JOIN logs l ON l.log = u.log LEFT JOIN sessions s \
                     ON s.log = u.log AND s.machine = u.machine AND s.session = u.session";

/// What gaps and a machine's period have in common, by the wall clock.
const GAPS: &str = "SELECT CAST(COALESCE(SUM(\
    CASE WHEN g.to_ms < $5 THEN g.to_ms ELSE $5 END - CASE WHEN g.from_ms > $4 THEN g.from_ms ELSE $4 END\
    ), 0) AS BIGINT) FROM gaps g JOIN logs l ON l.log = g.log \
    WHERE l.site = $1 AND l.gateway = $2 AND g.machine = $3 AND g.to_ms > $4 AND g.from_ms < $5 \
    AND g.to_ms > g.from_ms";

/// What a machine's counted usage leaves have in common with those that begin before them, by the wall clock.
const REPEATED: &str = "SELECT CAST(COALESCE(SUM(\
    CASE WHEN r.reached < r.to_ms THEN r.reached ELSE r.to_ms END - r.from_ms\
    ), 0) AS BIGINT) FROM (SELECT u.from_ms, CASE WHEN u.to_ms < $5 THEN u.to_ms ELSE $5 END AS to_ms, \
    MAX(u.to_ms) OVER (ORDER BY u.from_ms, u.log, u.leaf ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached \
    FROM usage u JOIN logs l ON l.log = u.log \
    WHERE l.site = $1 AND l.gateway = $2 AND u.machine = $3 AND u.from_ms >= $4 AND u.from_ms < $5 \
    AND u.uncounted = 0) r WHERE r.reached > r.from_ms AND r.to_ms > r.from_ms";

impl Index {
    /// What each machine did in a period of 400 days at most: the usage leaves that begin in it, as `usage report`
    /// counts them, by the class that their sessions have now. Machines of which nothing is known before the period's
    /// end are left out. Narrowed by `site`, `gateway` and `machine`.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn usage(&self, select: &Select) -> Result<Page<UsageRow>, IndexError> {
        let period = select.period_said()?;
        self.look(|sql| {
            let mut asked = names::machines("l.first_ms");
            asked.of_place(select);
            asked.only_if("l.machine = $", select.machine.as_ref());
            asked.only("l.first_ms < $", period.to);
            asked.ask(sql, select, |sql, row| {
                let key = (row.name()?, row.name()?, row.name()?);
                usage(sql, key, period)
            })
        })
    }

    /// The usage leaves of a gateway that begin in the period, by log, machine and begin. Narrowed by `machine`; `site`
    /// and `gateway` are needed.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn spans(&self, select: &Select) -> Result<Page<SpanRow>, IndexError> {
        let what = format!(
            "l.epoch, u.session, {CLASS}, u.to_ms, u.unknown_ms, u.off_ms, u.down_ms, u.maint_ms, u.idle_ms, \
             u.setup_ms, u.run_ms, u.hold_ms, u.hold_over_ms, u.active_ms, u.good, u.bad, u.clock, u.energy_mwh, u.map, \
             u.uncounted"
        );
        let order = ["u.log", "u.machine", "u.from_ms", "u.leaf"];
        of_gateway(select)?;
        self.look(|sql| {
            let mut asked = Question::new(&what, USAGE, &order, first());
            asked.of_place(select);
            asked.only_if("u.machine = $", select.machine.as_ref());
            asked.only_if("u.from_ms >= $", select.from);
            asked.only_if("u.from_ms < $", select.to);
            asked.ask(sql, select, |_, row| {
                let (_log, machine) = (row.int()?, row.name()?);
                let (from, leaf) = (row.time()?, row.count()?);
                Ok(SpanRow {
                    machine,
                    from,
                    leaf,
                    epoch: row.small()?,
                    session: row.text_if()?,
                    class: row.word_if()?,
                    to: row.time()?,
                    ms: row.states()?,
                    hold_over_ms: row.count()?,
                    active_ms: row.count()?,
                    good: row.count()?,
                    bad: row.count()?,
                    clock: row.word()?,
                    energy_mwh: row.count_if()?,
                    map: row.text()?,
                    overlaps: row.count()? > 0,
                })
            })
        })
    }

    /// The gaps of a gateway's machines that have a moment in common with the period, by log, machine and begin.
    /// Narrowed by `machine`; `site` and `gateway` are needed.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn gaps(&self, select: &Select) -> Result<Page<GapRow>, IndexError> {
        let what = "l.epoch, g.to_ms, g.length_ms, g.clock, g.reason";
        let of = "gaps g JOIN logs l ON l.log = g.log";
        let order = ["g.log", "g.machine", "g.from_ms", "g.leaf"];
        of_gateway(select)?;
        self.look(|sql| {
            let mut asked = Question::new(what, of, &order, first());
            asked.of_place(select);
            asked.only_if("g.machine = $", select.machine.as_ref());
            asked.only_if("g.to_ms > $", select.from);
            asked.only_if("g.from_ms < $", select.to);
            asked.ask(sql, select, |_, row| {
                let (_log, machine) = (row.int()?, row.name()?);
                let (from, leaf) = (row.time()?, row.count()?);
                Ok(GapRow {
                    machine,
                    from,
                    leaf,
                    epoch: row.small()?,
                    to: row.time()?,
                    length_ms: row.count_if()?,
                    clock: row.word()?,
                    reason: row.word()?,
                })
            })
        })
    }
}

fn first() -> Vec<Value> {
    vec![BEFORE, nothing(), BEFORE, BEFORE]
}

fn of_gateway(select: &Select) -> Result<(), IndexError> {
    select.period()?;
    if select.site.is_none() || select.gateway.is_none() {
        return Err(IndexError::Asked(text!(
            "`site` and `gateway` are needed",
            "必须给出 `site` 和 `gateway`"
        )));
    }
    Ok(())
}

type Machine = (Identifier, Identifier, Identifier);

/// What is added up of usage leaves, after the states.
const SUMS: [&str; 12] = [
    "unknown_ms",
    "off_ms",
    "down_ms",
    "maint_ms",
    "idle_ms",
    "setup_ms",
    "run_ms",
    "hold_ms",
    "hold_over_ms",
    "active_ms",
    "good",
    "bad",
];

fn usage(
    sql: &mut dyn Sql,
    (site, gateway, machine): Machine,
    period: Period,
) -> Result<UsageRow, IndexError> {
    let sums = SUMS.map(|column| format!("CAST(SUM(u.{column} * (1 - u.uncounted)) AS BIGINT)"));
    let text = format!(
        "SELECT {CLASS}, COUNT(DISTINCT CASE WHEN u.uncounted = 0 THEN u.session END), {}, \
         CAST(SUM(u.uncounted) AS BIGINT), COUNT(*) FROM {USAGE} \
         WHERE l.site = $1 AND l.gateway = $2 AND u.machine = $3 AND u.from_ms >= $4 AND u.from_ms < $5 GROUP BY 1",
        sums.join(", ")
    );
    let values = [
        (&site).into(),
        (&gateway).into(),
        (&machine).into(),
        period.from.into(),
        period.to.into(),
    ];
    let (mut good, mut bad, mut overlaps) = (0_u64, 0_u64, 0_u64);
    let mut classes = Vec::new();
    for mut row in sql.ask(&text, &values)? {
        let class = ClassUsage {
            class: row.word_if()?,
            sessions: row.count()?,
            ms: row.states()?,
            hold_over_ms: row.count()?,
            active_ms: row.count()?,
        };
        good = good.saturating_add(row.count()?);
        bad = bad.saturating_add(row.count()?);
        let (repeated, leaves) = (row.count()?, row.count()?);
        overlaps = overlaps.saturating_add(repeated);
        if repeated < leaves {
            classes.push(class);
        }
    }
    // By the order of reports, and what is outside sessions last.
    classes.sort_by_key(|usage| (usage.class.is_none(), usage.class));
    let ms = by_state(&classes);
    let period_ms = period
        .to
        .as_millis()
        .saturating_sub(period.from.as_millis());
    let period_ms = u64::try_from(period_ms).unwrap_or(0);
    let known = ms.iter().filter(|(state, _)| **state != State::Unknown);
    let known = known.fold(0_u64, |sum, (_, ms)| sum.saturating_add(*ms));
    let known_ms = known.min(period_ms);
    let thousandths = u128::from(known_ms) * 1000 / u128::from(period_ms.max(1));
    let outside = classes.iter().filter(|usage| usage.class.is_none());
    Ok(UsageRow {
        gap_ms: sum(sql, GAPS, &values)?,
        repeated_ms: sum(sql, REPEATED, &values)?,
        site,
        gateway,
        machine,
        period_ms,
        known_ms,
        coverage_pm: u32::try_from(thousandths).unwrap_or(1000),
        active_ms: active_ms(classes.iter()),
        outside_ms: active_ms(outside),
        good,
        bad,
        overlaps,
        ms,
        classes,
    })
}

fn by_state(classes: &[ClassUsage]) -> BTreeMap<State, u64> {
    let mut ms: BTreeMap<State, u64> = BTreeMap::new();
    for (state, more) in classes.iter().flat_map(|usage| &usage.ms) {
        let sum = ms.entry(*state).or_default();
        *sum = sum.saturating_add(*more);
    }
    ms
}

fn active_ms<'a>(classes: impl Iterator<Item = &'a ClassUsage>) -> u64 {
    classes.fold(0, |sum, usage| sum.saturating_add(usage.active_ms))
}

fn sum(sql: &mut dyn Sql, text: &str, values: &[Value]) -> Result<u64, IndexError> {
    let mut found = sql.ask(text, values)?.into_iter();
    let mut row = found.next().ok_or(IndexError::Odd("no sum"))?;
    row.count()
}
