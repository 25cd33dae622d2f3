//! Snapshots of what the recorder knows, for people and for the `map` document.

use lineside_proto::{MapDocument, MapGroup, MapPoint, MapRule};
use std::collections::BTreeMap;

use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::field::Texts;
use crate::live::{LiveMachine, LivePoint, LiveSession};
use crate::machine::availability::rule_label;
use crate::machine::recorder::Recorder;
use crate::machine::session::Session;
use crate::machine::state::StateMachine;
use crate::sample::Slot;

/// Every machine as it stands, without its links.
pub(super) fn machines(recorder: &Recorder, now: Stamp) -> Vec<(Slot, LiveMachine)> {
    let mut machines: Vec<_> = recorder
        .slots()
        .filter_map(|slot| {
            let (map, states, decided) = recorder.machine(slot)?;
            let standing = states.standing();
            let available_now = recorder.available_now(slot, now.wall)?;
            let machine = LiveMachine {
                machine: map.machine.clone(),
                name: map.name.clone(),
                state: standing.state,
                since: decided.since,
                rule: rule_label(map, standing.rule),
                reason: standing.reason,
                reason_text: standing.reason_text.clone(),
                available_now,
                observed_at: standing.observed_ms.map(|observed| now.wall_at(observed)),
                points: points(map, states, now),
                links: Vec::new(),
                session: recorder.session(&map.machine).map(session),
            };
            Some((slot, machine))
        })
        .collect();
    machines.sort_by(|(_, one), (_, other)| one.machine.cmp(&other.machine));
    machines
}

/// A session, for people.
pub(super) fn session(session: &Session) -> LiveSession {
    LiveSession {
        session: session.id.clone(),
        booking: session.booking.clone(),
        class: session.class,
        check_in: session.check_in,
        by: session.by.clone(),
        from: session.from,
        expected_end: session.end,
    }
}

fn points(map: &MachineMap, states: &StateMachine, now: Stamp) -> Vec<LivePoint> {
    let numbered = (0u16..).zip(&map.points);
    numbered
        .map(|(place, point)| {
            let standing = states.point(place);
            LivePoint {
                point: point.name.clone(),
                value: standing.value.map(ToString::to_string),
                bad: standing.bad.map(|bad| bad.to_string()),
                unit: point.unit.clone(),
                at: standing.good_ms.map(|at_ms| now.wall_at(at_ms)),
            }
        })
        .collect()
}

/// What a machine is, for the city; `texts` are those of its enumerations, by point.
pub(super) fn map_document(map: &MachineMap, texts: &[(u16, Texts)]) -> MapDocument {
    let texts: BTreeMap<u16, &Texts> = texts.iter().map(|(point, texts)| (*point, texts)).collect();
    let group_of = |place: u16| map.groups.get(usize::from(place));
    MapDocument {
        v: 1,
        machine: map.machine.clone(),
        name: map.name.clone(),
        config: map.hash.clone(),
        groups: map
            .groups
            .iter()
            .map(|group| {
                let interval_ms = u64::try_from(group.interval.as_millis()).unwrap_or(u64::MAX);
                (group.name.clone(), MapGroup { interval_ms })
            })
            .collect(),
        points: (0u16..)
            .zip(&map.points)
            .filter_map(|(place, point)| {
                let described = MapPoint {
                    kind: point.type_word().to_owned(),
                    group: group_of(point.group)?.name.clone(),
                    unit: point.unit.clone(),
                    description: point.description.clone(),
                    texts: texts
                        .get(&place)
                        .map_or_else(Texts::new, |texts| Texts::clone(texts)),
                };
                Some((point.name.clone(), described))
            })
            .collect(),
        rules: map
            .rules
            .iter()
            .map(|rule| MapRule {
                state: rule.state,
                when: rule.when.clone(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Texts, map_document};
    use crate::machine::testing::{machine, node};
    use serde_json::json;

    #[test]
    fn a_map_document_has_the_texts_of_enumerations() {
        let map = machine(vec![node("speed"), node("mode")], &[("RUN", "mode == 3")]);
        let texts = Texts::from([(0, "manual".to_owned()), (-1, "错误".to_owned())]);
        let document = serde_json::to_value(map_document(&map, &[(1, texts)])).unwrap();
        assert_eq!(
            document["points"],
            json!({
                "mode": {"type": "number", "group": "fast", "texts": {"-1": "错误", "0": "manual"}},
                "speed": {"type": "number", "group": "fast"},
            })
        );
        let again: lineside_proto::MapDocument = serde_json::from_value(document).unwrap();
        assert_eq!(again.points.len(), 2);
    }
}
