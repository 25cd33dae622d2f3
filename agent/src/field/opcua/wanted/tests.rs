use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::config::model::{MachineMap, Server};
use crate::field::opcua::sample_map;
use crate::sample::Slot;

fn server() -> Arc<Server> {
    Arc::new(sample_map::server("opc.tcp://127.0.0.1:1"))
}

/// A machine with so many points.
fn machine(name: &str, points: usize) -> MachineMap {
    let mut map = sample_map::map(name, &server());
    let nodes: Vec<String> = (0..points).map(|point| format!("n{point}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    sample_map::add(&mut map, &nodes);
    map
}

fn spec(slot: u32, map: &MachineMap) -> JobSpec {
    JobSpec {
        slot: Slot(slot),
        map: Arc::new(map.clone()),
        connection: 0,
        group: 0,
        counters: Arc::default(),
    }
}

/// A server that makes what it is asked for, but for some points.
#[derive(Default)]
struct Sham {
    next: u32,
    refuses: BTreeSet<u16>,
    /// The items by subscription and number.
    has: BTreeMap<u32, BTreeMap<u32, Spot>>,
}

impl Sham {
    fn work(&mut self, wanted: &mut Wanted, now: Instant) -> Vec<Spot> {
        let mut refused = Vec::new();
        wanted.retry(now);
        loop {
            let works = wanted.plan();
            if works.is_empty() {
                return refused;
            }
            for work in works {
                let worked = self.done(work);
                let refusals = wanted.worked(&worked, now);
                refused.extend(refusals.iter().map(|(item, _)| item.spot));
            }
        }
    }

    fn done(&mut self, work: Work) -> Worked {
        if work.is_over {
            self.has.remove(&work.id.unwrap());
            return Worked {
                key: work.key,
                id: None,
                items: Vec::new(),
            };
        }
        let id = work.id.unwrap_or_else(|| {
            self.next += 1;
            self.has.insert(self.next, BTreeMap::new());
            self.next
        });
        let held = self.has.get_mut(&id).unwrap();
        for leaving in work.leaving {
            held.remove(&leaving).expect("an item that is there");
        }
        let mut items = Vec::new();
        for (handle, item) in work.coming {
            if self.refuses.contains(&item.spot.point) {
                items.push((handle, Err(StatusCode::BadNodeIdUnknown)));
                continue;
            }
            self.next += 1;
            held.insert(self.next, item.spot);
            let (id, sampling) = (self.next, Duration::ZERO);
            items.push((handle, Ok(Given { id, sampling })));
        }
        Worked {
            key: work.key,
            id: Some(id),
            items,
        }
    }

    fn spots(&self) -> BTreeSet<Spot> {
        let all: Vec<Spot> = self
            .has
            .values()
            .flat_map(|held| held.values().copied())
            .collect();
        let set: BTreeSet<Spot> = all.iter().copied().collect();
        assert_eq!(all.len(), set.len(), "no item twice");
        set
    }
}

fn spots(wanted: &Wanted) -> BTreeSet<Spot> {
    wanted.items().map(|item| item.spot).collect()
}

#[test]
fn items_are_cut_into_subscriptions_of_a_thousand() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    let mut slow = machine("slow", 10);
    slow.groups[0].interval = Duration::from_secs(1);
    wanted.take(&[
        spec(0, &machine("a", 1_500)),
        spec(1, &machine("b", 900)),
        spec(2, &slow),
    ]);
    assert!(sham.work(&mut wanted, now).is_empty());
    assert_eq!(sham.spots(), spots(&wanted));
    let mut sizes: Vec<usize> = sham.has.values().map(BTreeMap::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [10, 400, 1_000, 1_000]);
    assert!(wanted.plan().is_empty());
}

#[test]
fn a_machine_that_stays_is_not_touched() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    let stays = spec(0, &machine("stays", 700));
    wanted.take(&[stays.clone(), spec(1, &machine("changes", 200))]);
    sham.work(&mut wanted, now);
    let numbers = |sham: &Sham| -> BTreeMap<Spot, u32> {
        let items = sham.has.values().flatten();
        items
            .filter(|(_, spot)| spot.slot == Slot(0))
            .map(|(id, spot)| (*spot, *id))
            .collect()
    };
    let before = numbers(&sham);
    wanted.take(&[stays.clone(), spec(2, &machine("changed", 250))]);
    sham.work(&mut wanted, now);
    assert_eq!(sham.spots(), spots(&wanted));
    assert_eq!(numbers(&sham), before);
    assert_eq!(sham.has.len(), 1);
    wanted.take(&[]);
    sham.work(&mut wanted, now);
    assert_eq!(sham.has.len(), 0);
}

#[test]
fn what_is_refused_is_asked_for_again_and_costs_the_others_nothing() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    wanted.take(&[spec(0, &machine("a", 20))]);
    sham.refuses = (5..8).collect();
    let refused = sham.work(&mut wanted, now);
    assert_eq!(refused.len(), 3);
    assert_eq!(sham.spots().len(), 17);
    assert_eq!(wanted.refused().count(), 3);
    // Until then nothing is asked, and each time it takes longer.
    let mut now = now;
    let mut waits = Vec::new();
    for _ in 0..7 {
        let at = wanted.retry_at().unwrap();
        wanted.retry(at - Duration::from_millis(1));
        assert!(wanted.plan().is_empty());
        waits.push(at - now);
        now = at;
        assert_eq!(sham.work(&mut wanted, now).len(), 3);
    }
    assert!(waits[0] <= RETRY_FIRST && waits[6] <= RETRY_MAX && waits[6] >= RETRY_MAX / 2);
    sham.refuses.clear();
    let at = wanted.retry_at().unwrap();
    assert!(sham.work(&mut wanted, at).is_empty());
    assert_eq!(sham.spots(), spots(&wanted));
    assert_eq!(wanted.retry_at(), None);
}

#[test]
fn a_node_that_vanishes_is_made_anew_when_it_comes_back() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    wanted.take(&[spec(0, &machine("a", 3))]);
    sham.work(&mut wanted, now);
    let handle = wanted.handles[&Spot {
        slot: Slot(0),
        point: 1,
    }];
    wanted.vanish(handle, StatusCode::BadNodeIdUnknown, now);
    sham.work(&mut wanted, now);
    assert_eq!(sham.spots().len(), 2);
    let at = wanted.retry_at().unwrap();
    sham.work(&mut wanted, at);
    assert_eq!(sham.spots(), spots(&wanted));
}

#[test]
fn a_value_counts_only_by_the_subscription_that_its_item_is_in() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    wanted.take(&[spec(0, &machine("a", 2))]);
    let mut works = wanted.plan();
    let work = works.remove(0);
    let (key, first, second) = (work.key, work.coming[0].0, work.coming[1].0);
    // Before the answer that it is made.
    assert!(wanted.heard(first, key, None).is_some());
    assert!(wanted.heard(first, Key(99), None).is_none());
    let worked = sham.done(work);
    wanted.worked(&worked, now);
    assert_eq!(wanted.taken(key).count(), 1);
    assert!(!wanted.is_settled());
    assert!(wanted.heard(second, key, None).is_some());
    assert!(wanted.is_settled());
    assert!(wanted.heard(777, key, None).is_none());
    // Its subscription is lost: the next one speaks for it.
    assert_eq!(wanted.lose(key), worked.id);
    assert!(wanted.heard(first, key, None).is_none());
    let works = wanted.plan();
    assert_eq!(works.len(), 1);
    assert_ne!(works[0].key, key);
    assert_eq!(works[0].coming.len(), 2);
}

#[test]
fn an_item_that_leaves_while_it_is_made_is_deleted_afterwards() {
    let (mut wanted, mut sham, now) = (Wanted::default(), Sham::default(), Instant::now());
    wanted.take(&[spec(0, &machine("a", 5)), spec(1, &machine("b", 5))]);
    let work = wanted.plan().remove(0);
    wanted.take(&[spec(1, &machine("b", 5))]);
    assert!(wanted.plan().is_empty(), "one piece of work at a time");
    let worked = sham.done(work);
    wanted.worked(&worked, now);
    assert_eq!(sham.spots().len(), 10);
    sham.work(&mut wanted, now);
    assert_eq!(sham.spots(), spots(&wanted));
}

#[test]
fn what_a_server_gave_no_clear_answer_for_comes_in_a_subscription_of_its_own() {
    for status in [StatusCode::BadTimeout, StatusCode::BadUnexpectedError] {
        check_unclear(status);
    }
}

fn check_unclear(status: StatusCode) {
    let map = machine("press", 4);
    let mut wanted = Wanted::default();
    wanted.take(&[spec(0, &map)]);
    wanted.begin();
    let now = Instant::now();
    let works = wanted.plan();
    let items = &works[0].coming;
    // Two were made before the server gave no clear answer; the subscription is gone.
    let unclear = items.iter().skip(2).map(|(handle, _)| *handle);
    let worked = Worked {
        key: works[0].key,
        id: None,
        items: unclear.map(|handle| (handle, Err(status))).collect(),
    };
    assert_eq!(wanted.worked(&worked, now).len(), 2);
    let mut sham = Sham::default();
    assert_eq!(sham.work(&mut wanted, now), []);
    let shape = |sham: &Sham| -> Vec<usize> { sham.has.values().map(BTreeMap::len).collect() };
    assert_eq!(shape(&sham), [2]);
    let later = now + RETRY_MAX;
    assert_eq!(sham.work(&mut wanted, later), []);
    assert_eq!(shape(&sham), [2, 2]);
    assert!(wanted.items().all(|item| wanted.is_made(item.spot)));
}
