//! Who is polled when, and what stands in the way of nobody else.

use super::*;

#[tokio::test]
async fn a_refused_point_is_isolated_and_the_others_flow_in_merged_requests() {
    let device = Device::start(Carrier::Tcp, |asked| {
        let covers = (asked.start..asked.start + asked.count).contains(&5);
        vec![Act::Send(if covers {
            asked.exception(2)
        } else {
            asked.good()
        })]
    })
    .await;
    let mut bench = Bench::start(vec![machine(
        "press",
        &device.endpoint,
        &[0, 1, 2, 5, 6, 7],
    )])
    .await;
    let mut expected = BTreeMap::from([
        (0, uint(0)),
        (1, uint(1)),
        (2, uint(2)),
        (3, Err(Bad::Exception(2))),
        (4, uint(6)),
        (5, uint(7)),
    ]);
    assert_eq!(bench.readings().await, expected);
    let learned = device.asked().len();
    for _ in 0..3 {
        assert_eq!(bench.readings().await, expected);
    }
    bench.field.stop().await;
    let asked: Vec<_> = device
        .asked()
        .iter()
        .map(|asked| (asked.start, asked.count))
        .collect();
    assert_eq!(asked[..5], [(0, 8), (0, 3), (5, 3), (5, 1), (6, 2)]);
    assert_eq!(
        asked[learned..learned + 4],
        [(0, 3), (6, 2), (0, 3), (6, 2)]
    );
    assert_eq!(device.connections(), 1, "an exception keeps the connection");
    // Other exceptions are the whole request's, and are asked again at the next cycle.
    let device = Device::start(Carrier::RtuOverTcp, |asked| {
        let first = asked.number == 1;
        vec![Act::Send(if first {
            asked.exception(6)
        } else {
            asked.good()
        })]
    })
    .await;
    let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[5, 6])]).await;
    expected = BTreeMap::from([0, 1].map(|point| (point, Err(Bad::Exception(6)))));
    assert_eq!(bench.readings().await, expected);
    assert_eq!(
        bench.readings().await,
        BTreeMap::from([(0, uint(5)), (1, uint(6))])
    );
}

#[tokio::test]
async fn a_dead_unit_of_three_costs_the_others_little() {
    for silent in [true, false] {
        let device = Device::start(Carrier::Rtu, move |asked| match (asked.unit, silent) {
            (2, true) => vec![],
            (2, false) => vec![Act::Later(ms(4), asked.exception(0x0B))],
            _ => vec![Act::Send(asked.good())],
        })
        .await;
        let machines: Vec<MachineMap> = (1..=3)
            .map(|unit| {
                let mut map = machine(&format!("m{unit}"), &device.endpoint, &[0]);
                sample_map::address(&mut map, 0).unit_id = unit;
                map.groups[0].interval = ms(20);
                let settings = sample_map::settings(&mut map);
                (settings.timeout, settings.quiet) = (ms(8), ms(8));
                map
            })
            .collect();
        let mut bench = Bench::start(machines).await;
        let (mut good, mut bad) = ([0; 3], 0);
        while good[0] < 40 {
            let batch = bench.batch().await;
            let slot = usize::try_from(batch.slot.0).unwrap();
            match batch.samples[0].reading {
                Ok(_) => good[slot] += 1,
                Err(Bad::Timeout) if slot == 1 => bad += 1,
                // A loaded computer may be late once.
                Err(_) => {}
            }
        }
        // 40 cycles of 20 ms are 800 ms; asked at most every 30 x 16 ms after the first two.
        let in_vain = device
            .asked()
            .iter()
            .filter(|asked| asked.unit == 2)
            .count();
        assert!((2..=5).contains(&in_vain), "asked {in_vain} times");
        assert!(bad >= 30, "a dead unit is reported each cycle: {bad}");
        assert!(good[2] >= 30, "{good:?}");
    }
}

#[tokio::test]
async fn a_unit_that_comes_back_is_read_again_soon() {
    let device = Device::start(Carrier::Tcp, |asked| match asked.number {
        ..=4 => vec![],
        _ => vec![Act::Send(asked.good())],
    })
    .await;
    let mut map = machine("press", &device.endpoint, &[1, 50]);
    sample_map::settings(&mut map).timeout = ms(10);
    let mut bench = Bench::start(vec![map]).await;
    let timeouts = BTreeMap::from([0, 1].map(|point| (point, Err(Bad::Timeout))));
    assert_eq!(bench.readings().await, timeouts);
    bench
        .until(|batch| batch.samples.len() == 2 && all_good(batch))
        .await;
    assert_eq!(bench.figures().timeouts, 4);
}

#[tokio::test]
async fn a_slow_group_does_not_starve_a_fast_one() {
    let device = Device::start(Carrier::Tcp, |asked| vec![Act::Later(ms(2), asked.good())]).await;
    let starts: Vec<u16> = (0..60).map(|place| place * 20).collect();
    let mut map = machine("press", &device.endpoint, &starts);
    let mut slow = map.groups[0].clone();
    slow.interval = Duration::from_secs(60);
    map.groups.push(slow);
    for point in &mut map.points[1..] {
        point.group = 1;
    }
    let mut bench = Bench::start(vec![map]).await;
    let mut fast = 0;
    while bench.until(|_| true).await.group == 0 {
        fast += 1;
    }
    assert!(
        fast >= 4,
        "{fast} polls of the fast group during one of the slow"
    );
}

#[tokio::test]
async fn what_was_read_is_not_held_back_by_a_slow_rest() {
    let device = Device::start(Carrier::Tcp, |asked| match asked.start {
        0 => vec![Act::Send(asked.good())],
        _ => vec![Act::Later(ms(400), asked.good())],
    })
    .await;
    let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[0, 100])]).await;
    let first = bench.batch().await;
    let rest = bench.batch().await;
    let points = |batch: &Batch| batch.samples.iter().map(|s| s.point).collect::<Vec<_>>();
    assert_eq!((points(&first), points(&rest)), (vec![0], vec![1]));
    assert!(
        rest.at.boot_ms >= first.at.boot_ms + 300,
        "{first:?} {rest:?}"
    );
    bench.batch().await;
    assert!(bench.figures().skipped > 10, "{:?}", bench.figures());
}

#[tokio::test]
async fn a_changed_machine_leaves_the_others_alone() {
    let (first, second) = (
        Device::good(Carrier::Tcp).await,
        Device::good(Carrier::Tcp).await,
    );
    let shared = || machine("shared", &first.endpoint, &[40]);
    let mut bench = Bench::start(vec![
        machine("stays", &first.endpoint, &[1]),
        machine("changes", &second.endpoint, &[2]),
        shared(),
    ])
    .await;
    for slot in 0..3 {
        bench
            .until(|batch| batch.slot == Slot(slot) && all_good(batch))
            .await;
    }
    bench
        .apply(vec![
            machine("stays", &first.endpoint, &[1]),
            machine("changes", &first.endpoint, &[3]),
            shared(),
        ])
        .await;
    let batch = bench.until(|batch| batch.slot == Slot(1) && batch.samples[0].reading == uint(3));
    assert!(all_good(&batch.await));
    bench.until(|batch| batch.slot == Slot(0)).await;
    assert_eq!((first.connections(), second.connections()), (1, 1));
    // The link that nobody needs is gone.
    let asked = second.asked().len();
    bench
        .apply(vec![machine("stays", &first.endpoint, &[1])])
        .await;
    for _ in 0..3 {
        bench
            .until(|batch| batch.slot == Slot(0) && all_good(batch))
            .await;
    }
    assert_eq!((first.connections(), second.asked().len()), (1, asked));
    assert_eq!(bench.field.figures(Slot(1)), []);
    bench.field.stop().await;
}

#[tokio::test]
async fn a_link_that_a_fault_ended_comes_back() {
    let device = Device::good(Carrier::Tcp).await;
    let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[7])]).await;
    bench.until(all_good).await;
    let link = bench.field.links.values_mut().next().unwrap();
    link.task.abort();
    let ended = async {
        while !link.task.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    link.started -= REVIVE_AFTER;
    while bench.observations.try_recv().is_ok() {}
    bench.field.revive().await;
    bench.until(all_good).await;
    assert_eq!(device.connections(), 2);
    bench.field.stop().await;
}

#[tokio::test]
async fn a_full_channel_holds_a_link_back_and_breaks_nothing() {
    let device = Device::good(Carrier::Tcp).await;
    let (sender, mut observations) = mpsc::channel(1);
    let mut field = Field::new(Arc::new(SystemClock), own(), sender);
    let map = machine("press", &device.endpoint, &[7]);
    field.apply(&[(Slot(0), Arc::new(map))]).await;
    let full = async {
        while observations.is_empty() {
            tokio::time::sleep(ms(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.unwrap();
    tokio::time::sleep(ms(60)).await;
    let asked = device.asked().len();
    assert!(asked <= 3, "{asked}");
    for _ in 0..5 {
        assert!(all_good(&batch_of(observations.recv().await.unwrap())));
    }
    assert_eq!(device.connections(), 1);
    field.stop().await;
}

#[tokio::test]
async fn a_probe_reads_raw_words_between_the_polls() {
    let device = Device::start(Carrier::Tcp, |asked| {
        vec![Act::Send(if asked.start == 9 {
            asked.exception(2)
        } else {
            asked.good()
        })]
    })
    .await;
    let mut map = machine("press", &device.endpoint, &[258, 9]);
    sample_map::add(&mut map, 1, Table::Coil, 3, Kind::Bool(None));
    let mut bench = Bench::start(vec![map]).await;
    bench.batch().await;
    let readings = bench.field.probe(Slot(0), vec![2, 0, 1]).await.unwrap();
    let found: Vec<_> = readings
        .iter()
        .map(|r| (r.point, r.raw.clone(), r.reading.clone()))
        .collect();
    use crate::field::modbus::decode::Raw;
    let expected = [
        (2, Some(Raw::Bits(vec![true])), Ok(Value::Bool(true))),
        (0, Some(Raw::Words(vec![258])), uint(258)),
        (1, None, Err(Bad::Exception(2))),
    ];
    assert_eq!(found, expected);
    let unknown = bench.field.probe(Slot(0), vec![3]).await;
    assert!(matches!(unknown, Err(ProbeError::UnknownPoint(3))));
    let unknown = bench.field.probe(Slot(9), vec![0]).await;
    assert!(matches!(unknown, Err(ProbeError::UnknownMachine)));
    let many = bench.field.probe(Slot(0), vec![0; 257]).await;
    assert!(matches!(many, Err(ProbeError::TooMany)));
}
