//! What holds for whatever totals.

use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

use super::build::{bundle, machine, made, national};
use crate::evidence::{Grade, MachineTotals};
use crate::report::{Coverage, Figure, Formula, Report};
use crate::{Class, State};

fn any_machine() -> impl Strategy<Value = MachineTotals> {
    let ms = 0_u64..1 << 40;
    let session = (0_usize..6, 0_usize..4, 0_u64..1 << 40);
    (
        prop::collection::vec(ms.clone(), 8),
        ms.clone(),
        ms.clone(),
        ms,
        prop::collection::vec(session, 4),
    )
        .prop_map(|(states, known, active, outside, sessions)| {
            let mut told = machine("m");
            told.ms = State::ALL.into_iter().zip(states).collect();
            (told.known_ms, told.active_ms, told.outside_ms) = (known, active, outside);
            for (session, (class, grade, ms)) in told.sessions.iter_mut().zip(sessions) {
                session.class = Class::ALL[class];
                session.grade = Grade::ALL[grade];
                session.active_ms = ms;
            }
            told.days = BTreeMap::new();
            told
        })
}

/// Every object that has a formula's value has the coverage beside it.
fn covered(value: &Value, path: &str) -> usize {
    match value {
        Value::Object(fields) => {
            let is_figure = fields.contains_key("basis");
            let points = fields.contains_key("hundredths");
            assert!(!is_figure || fields.contains_key("coverage"), "{path}");
            let is_beside = fields.contains_key("coverage") || fields.contains_key("figure");
            assert!(!points || is_beside, "{path}");
            let inner = fields
                .iter()
                .map(|(name, value)| covered(value, &format!("{path}.{name}")));
            usize::from(is_figure) + inner.sum::<usize>()
        }
        Value::Array(items) => items.iter().map(|item| covered(item, path)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

proptest! {
    #[test]
    fn explanations_add_up(told in any_machine()) {
        let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
        let told = &report.machines[0].explanation;
        prop_assert!(told.observed.adds_up() && told.active.adds_up() && told.counted.adds_up());
        prop_assert_eq!(told.observed.before_ms, told.calendar_ms);
        prop_assert_eq!(told.observed.after_ms, told.active.before_ms);
        prop_assert_eq!(told.active.after_ms, told.counted.before_ms);
        let effective = report.machines[0].figures.effective.basis().above;
        prop_assert_eq!(effective, Some(told.counted.after_ms));
    }

    #[test]
    fn a_report_is_read_back(told in any_machine()) {
        let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
        let text = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn no_figure_panics(above: u64, below: u64, known: u64, period: u64) {
        for formula in Formula::ALL {
            let coverage = Coverage::new(known, period);
            let figure = Figure::new(formula, Some(above), Some(below), coverage);
            prop_assert_eq!(figure.hundredths().is_none(), below == 0);
            prop_assert!(coverage.thousandths() <= 1000);
        }
    }
}

#[test]
fn no_figure_is_written_or_read_without_coverage() {
    let report = made(vec![bundle("b", 0, 100, vec![machine("m")])], &national());
    let value = serde_json::to_value(&report).unwrap();
    // Ten a machine, twelve each of a site and the whole.
    assert_eq!(covered(&value, ""), 34);
    let figure = serde_json::to_value(&report.machines[0].figures.sharing).unwrap();
    for missing in ["coverage", "basis", "unit"] {
        let mut fields = figure.as_object().unwrap().clone();
        fields.remove(missing);
        assert!(
            serde_json::from_value::<Figure>(Value::Object(fields)).is_err(),
            "{missing}"
        );
    }
}
