//! Snapshots of what the recorder knows, for people and for the `map` document.

use lineside_proto::{MapDocument, MapGroup, MapPoint, MapRule};

use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::live::{LiveMachine, LivePoint};
use crate::machine::availability::rule_label;
use crate::machine::recorder::Recorder;
use crate::machine::state::StateMachine;
use crate::sample::Slot;

/// Every machine as it stands, without its links.
pub(super) fn machines(recorder: &Recorder, now: Stamp) -> Vec<(Slot, LiveMachine)> {
    let mut machines: Vec<_> = recorder
        .slots()
        .filter_map(|slot| {
            let (map, states, decided) = recorder.machine(slot)?;
            let standing = states.standing();
            let machine = LiveMachine {
                machine: map.machine.clone(),
                name: map.name.clone(),
                state: standing.state,
                since: decided.since,
                rule: rule_label(map, standing.rule),
                reason: standing.reason,
                reason_text: standing.reason_text.clone(),
                available_now: standing.state.available_now(),
                observed_at: standing.observed_ms.map(|observed| now.wall_at(observed)),
                points: points(map, states, now),
                links: Vec::new(),
            };
            Some((slot, machine))
        })
        .collect();
    machines.sort_by(|(_, one), (_, other)| one.machine.cmp(&other.machine));
    machines
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

/// What a machine is, for the city.
pub(super) fn map_document(map: &MachineMap) -> MapDocument {
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
        points: map
            .points
            .iter()
            .filter_map(|point| {
                let described = MapPoint {
                    kind: point.address.kind.as_str().to_owned(),
                    group: group_of(point.group)?.name.clone(),
                    unit: point.unit.clone(),
                    description: point.description.clone(),
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
