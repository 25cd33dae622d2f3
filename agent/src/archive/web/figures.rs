//! What the ledgers say, by the archive's index: machines, sessions, outcomes of bookings, usage.

use axum::extract::State;
use axum::http::{Extensions, StatusCode, Uri};
use axum::response::Response;
use lineside_proto::{Identifier, Period, State as MachineState, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Desk, query};
use crate::archive::index::model::{ClassUsage, Page, Select, UsageRow};
use crate::archive::index::{Index, IndexError};
use crate::logs::chain;
use crate::serve::Sender;
use crate::serve::problem::{Problem, json};
use crate::text;

/// Machines that are added up at once.
const SUMMED_AT_ONCE: u32 = 250;
/// Pages of them at most: 64,000 machines.
const PAGES_MAX: usize = 256;
/// Days that are told one by one at most: two months.
const DAYS_MAX: usize = 62;

const DAY_MS: i64 = 86_400_000;
/// Asia/Shanghai, which days are of.
const ZONE_MS: i64 = 8 * 3_600_000;

type Shared = State<Arc<Desk>>;

/// What usage is added up by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// A row for each machine.
    #[default]
    Machine,
    /// For each gateway.
    Gateway,
    /// For each pilot platform.
    Site,
    /// For each day of Asia/Shanghai, 62 at most; also for those of which nothing is known.
    Day,
    /// One row.
    All,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ByWanted {
    by: Option<By>,
}

/// What machines did in a period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Usage {
    /// The period's begin.
    pub(super) from: Time,
    /// Its end, not in it.
    pub(super) to: Time,
    /// What is added up.
    pub(super) by: By,
    /// The rows, in order.
    pub(super) rows: Vec<UsageSum>,
    /// Where to go on, as `after`; null where there are no more. Only with `by=machine`.
    pub(super) next: Option<String>,
}

/// What some machines did together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct UsageSum {
    /// The pilot platform, where they are of one.
    pub(super) site: Option<Identifier>,
    /// The gateway, where they are of one.
    pub(super) gateway: Option<Identifier>,
    /// The machine, where it is one.
    pub(super) machine: Option<Identifier>,
    /// The begin of the day, where it is one.
    pub(super) day: Option<Time>,
    /// How many machines.
    pub(super) machines: u64,
    /// The lengths of their periods together; of a day before all machines, its own.
    pub(super) period_ms: u64,
    /// Watched milliseconds by state; states of no time are left out.
    pub(super) ms: BTreeMap<MachineState, u64>,
    /// Milliseconds of a state that is known.
    pub(super) known_ms: u64,
    /// The known part of the period, in thousandths: no number here is worth more than that.
    pub(super) coverage_pm: u64,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub(super) active_ms: u64,
    /// Of it, outside sessions.
    pub(super) outside_ms: u64,
    /// Of the period, told by gap leaves as not watched.
    pub(super) gap_ms: u64,
    /// Samples with a good value.
    pub(super) good: u64,
    /// Samples without.
    pub(super) bad: u64,
    /// Usage leaves that count nowhere: they overlap others on their boot's clock, or hold more time than they are long.
    pub(super) overlaps: u64,
    /// Of the watched time, told by more than one leaf, by the wall clock: of two boots or epochs. Where a clock was set,
    /// these are seconds; of hours only one can be true, and all are in the sums.
    pub(super) repeated_ms: u64,
    /// The same by class; zeros are left out.
    pub(super) classes: Vec<ClassUsage>,
}

impl UsageSum {
    fn of(row: UsageRow) -> Self {
        let coverage_pm = row.coverage_pm.into();
        Self {
            site: Some(row.site),
            gateway: Some(row.gateway),
            machine: Some(row.machine),
            day: None,
            machines: 1,
            period_ms: row.period_ms,
            ms: row.ms,
            known_ms: row.known_ms,
            coverage_pm,
            active_ms: row.active_ms,
            outside_ms: row.outside_ms,
            gap_ms: row.gap_ms,
            good: row.good,
            bad: row.bad,
            overlaps: row.overlaps,
            repeated_ms: row.repeated_ms,
            classes: row.classes,
        }
    }

    /// Of a time before all machines.
    fn none(from: Time, to: Time) -> Self {
        let period_ms = to.as_millis().saturating_sub(from.as_millis());
        Self {
            site: None,
            gateway: None,
            machine: None,
            day: None,
            machines: 0,
            period_ms: u64::try_from(period_ms).unwrap_or(0),
            ms: BTreeMap::new(),
            known_ms: 0,
            coverage_pm: 0,
            active_ms: 0,
            outside_ms: 0,
            gap_ms: 0,
            good: 0,
            bad: 0,
            overlaps: 0,
            repeated_ms: 0,
            classes: Vec::new(),
        }
    }

    fn add(&mut self, more: Self) {
        for (place, more) in [
            (&mut self.machines, more.machines),
            (&mut self.period_ms, more.period_ms),
            (&mut self.known_ms, more.known_ms),
            (&mut self.active_ms, more.active_ms),
            (&mut self.outside_ms, more.outside_ms),
            (&mut self.gap_ms, more.gap_ms),
            (&mut self.good, more.good),
            (&mut self.bad, more.bad),
            (&mut self.overlaps, more.overlaps),
            (&mut self.repeated_ms, more.repeated_ms),
        ] {
            *place = place.saturating_add(more);
        }
        let coverage = u128::from(self.known_ms) * 1000 / u128::from(self.period_ms.max(1));
        self.coverage_pm = u64::try_from(coverage).unwrap_or(1000);
        plus(&mut self.ms, &more.ms);
        for class in more.classes {
            let mut known = self.classes.iter_mut();
            match known.find(|known| known.class == class.class) {
                None => self.classes.push(class),
                Some(known) => {
                    known.sessions = known.sessions.saturating_add(class.sessions);
                    known.active_ms = known.active_ms.saturating_add(class.active_ms);
                    known.hold_over_ms = known.hold_over_ms.saturating_add(class.hold_over_ms);
                    plus(&mut known.ms, &class.ms);
                }
            }
        }
    }
}

fn plus(place: &mut BTreeMap<MachineState, u64>, more: &BTreeMap<MachineState, u64>) {
    for (state, ms) in more {
        let sum = place.entry(*state).or_default();
        *sum = sum.saturating_add(*ms);
    }
}

pub(super) async fn machines(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    page(desk, of, uri, Index::machines).await
}

pub(super) async fn sessions(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    page(desk, of, uri, Index::sessions).await
}

pub(super) async fn outcomes(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    page(desk, of, uri, Index::outcomes).await
}

pub(super) async fn spans(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    page(desk, of, uri, Index::spans).await
}

pub(super) async fn gaps(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    page(desk, of, uri, Index::gaps).await
}

pub(super) async fn corrections(
    desk: Shared,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    page(desk, of, uri, Index::corrections).await
}

pub(super) async fn usage(desk: Shared, of: Extensions, uri: Uri) -> Result<Response, Problem> {
    let select: Select = query::read(&uri)?;
    let ByWanted { by } = query::read(&uri)?;
    let by = by.unwrap_or_default();
    let usage = ask(desk, &of, move |index| {
        let period = select.period_said()?;
        let (rows, next) = match by {
            By::Machine => {
                let page = index.usage(&select)?;
                (page.rows.into_iter().map(UsageSum::of).collect(), page.next)
            }
            By::Day => (by_day(index, &select, period)?, None),
            By::Gateway | By::Site | By::All => (summed(index, &select, by)?, None),
        };
        let Period { from, to } = period;
        Ok(Usage {
            from,
            to,
            by,
            rows,
            next,
        })
    });
    Ok(json(&usage.await?))
}

/// The machines of all pages, added up by what they have in common. They come in the order of their names.
fn summed(index: &Index, select: &Select, by: By) -> Result<Vec<UsageSum>, IndexError> {
    let mut sums: Vec<UsageSum> = Vec::new();
    let mut select = Select {
        limit: Some(SUMMED_AT_ONCE),
        after: None,
        ..select.clone()
    };
    for _ in 0..PAGES_MAX {
        let page = index.usage(&select)?;
        for row in page.rows {
            let row = UsageSum::of(row);
            let row = UsageSum {
                site: row.site.filter(|_| by == By::Site || by == By::Gateway),
                gateway: row.gateway.filter(|_| by == By::Gateway),
                machine: None,
                ..row
            };
            let is_same =
                |last: &&mut UsageSum| (&last.site, &last.gateway) == (&row.site, &row.gateway);
            match sums.last_mut().filter(is_same) {
                Some(last) => last.add(row),
                None => sums.push(row),
            }
        }
        match page.next {
            Some(next) => select.after = Some(next),
            None => return Ok(sums),
        }
    }
    Err(IndexError::Slow)
}

fn by_day(index: &Index, select: &Select, period: Period) -> Result<Vec<UsageSum>, IndexError> {
    let days = days(period)?;
    let mut rows = Vec::new();
    for Period { from, to } in days {
        let select = Select {
            from: Some(from),
            to: Some(to),
            ..select.clone()
        };
        let sums = summed(index, &select, By::All)?;
        let day = Some(from);
        let sum = sums.into_iter().next();
        // A day of before all machines is told, too: there are no holes.
        let sum = sum.unwrap_or_else(|| UsageSum::none(from, to));
        rows.push(UsageSum { day, ..sum });
    }
    Ok(rows)
}

/// The days of a period; the first and the last may be cut.
fn days(period: Period) -> Result<Vec<Period>, IndexError> {
    let (mut from, to) = (period.from.as_millis(), period.to.as_millis());
    let mut days = Vec::new();
    while from < to {
        if days.len() >= DAYS_MAX {
            return Err(IndexError::Asked(text!(
                "`by=day`: 62 days at most",
                "`by=day`：至多 62 天"
            )));
        }
        let day = from.saturating_add(ZONE_MS).div_euclid(DAY_MS);
        let end = (day.saturating_add(1)).saturating_mul(DAY_MS) - ZONE_MS;
        let end = end.min(to);
        days.push(Period {
            from: Time::from_millis(from),
            to: Time::from_millis(end),
        });
        from = end;
    }
    Ok(days)
}

/// A page of rows.
async fn page<T: Serialize + Send + 'static>(
    desk: Shared,
    of: Extensions,
    uri: Uri,
    rows: fn(&Index, &Select) -> Result<Page<T>, IndexError>,
) -> Result<Response, Problem> {
    let select: Select = query::read(&uri)?;
    let page = ask(desk, &of, move |index| rows(index, &select));
    Ok(json(&page.await?))
}

/// Asks the index, for as long as somebody waits.
async fn ask<T: Send + 'static>(
    State(desk): Shared,
    of: &Extensions,
    ask: impl FnOnce(&Index) -> Result<T, IndexError> + Send + 'static,
) -> Result<T, Problem> {
    let index = desk.index.clone().ok_or_else(no_index)?;
    let reckoned = desk.reckon(of.get::<Sender>(), move |wanted| {
        ask(&index.wanted(wanted)).map_err(problem)
    });
    reckoned.await
}

fn no_index() -> Problem {
    let text = text!("this archive has no index", "此存证库没有索引");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-index", text)
}

fn problem(error: IndexError) -> Problem {
    match error {
        IndexError::Asked(why) => query::refused(&why),
        IndexError::Slow => {
            let text = text!(
                "the answer takes too long: ask for a shorter period, or for fewer machines",
                "应答耗时过长：请缩短时段或减少设备"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "slow", text)
        }
        IndexError::Away(_)
        | IndexError::Address(_)
        | IndexError::Moved
        | IndexError::Refused(_)
        | IndexError::Odd(_)
        | IndexError::Later(_)
        | IndexError::Foreign(_)
        | IndexError::Log { .. }
        | IndexError::Leaf { .. }
        | IndexError::Shelf(_) => {
            tracing::warn!(error = %chain(&error), "the index can't be asked");
            let text = text!(
                "the index can't be asked at the moment: the logs can",
                "暂时无法查询索引；日志仍可读取"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "index", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::days;
    use lineside_proto::Period;

    fn check(from: &str, to: &str, expected: &[&str]) {
        let period = Period {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        let days = days(period).unwrap();
        let begins: Vec<String> = days.iter().map(|day| day.from.to_string()).collect();
        assert_eq!(begins, expected);
        assert_eq!(days.last().unwrap().to, period.to);
    }

    #[test]
    fn days_begin_at_midnight_in_shanghai() {
        check(
            "2026-01-31T16:00:00.000Z",
            "2026-02-02T16:00:00.000Z",
            &["2026-01-31T16:00:00.000Z", "2026-02-01T16:00:00.000Z"],
        );
        check(
            "2026-02-01T00:00:00.000Z",
            "2026-02-01T17:00:00.000Z",
            &["2026-02-01T00:00:00.000Z", "2026-02-01T16:00:00.000Z"],
        );
    }
}
