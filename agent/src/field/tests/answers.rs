//! What is taken for an answer, and what is not.

use super::*;
use device::Asked;
use std::sync::Mutex;

#[tokio::test]
async fn every_table_is_read_over_every_carrier() {
    for carrier in CARRIERS {
        let device = Device::good(carrier).await;
        let mut map = machine("press", &device.endpoint, &[]);
        for (table, start) in [(Table::Coil, 3), (Table::Discrete, 4), (Table::Holding, 5)] {
            sample_map::add(
                &mut map,
                7,
                table,
                start,
                match table {
                    Table::Coil | Table::Discrete => Kind::Bool(None),
                    Table::Holding | Table::Input => U16,
                },
            );
        }
        sample_map::add(&mut map, 8, Table::Input, 6, Kind::Bool(Some(1)));
        let mut bench = Bench::start(vec![map]).await;
        let expected = [
            (0, Ok(Value::Bool(true))),
            (1, Ok(Value::Bool(false))),
            (2, uint(5)),
            (3, Ok(Value::Bool(true))),
        ];
        assert_eq!(
            bench.readings().await,
            BTreeMap::from(expected),
            "{carrier:?}"
        );
        let asked: Vec<_> = device
            .asked()
            .iter()
            .map(|a| (a.unit, a.function, a.start))
            .collect();
        assert_eq!(
            asked[..4],
            [(7, 1, 3), (7, 2, 4), (7, 3, 5), (8, 4, 6)],
            "{carrier:?}"
        );
        bench.field.stop().await;
    }
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_another() {
    let runs = CARRIERS.map(|carrier| tokio::spawn(late_answers(carrier)));
    for run in runs {
        run.await.unwrap();
    }
}

async fn late_answers(carrier: Carrier) {
    const REQUESTS: usize = 80;
    let late = Arc::<Mutex<Vec<u64>>>::default();
    let remembered = late.clone();
    let device = Device::start(carrier, move |asked| {
        let answer = asked.words(&[asked.start, asked.number]);
        if asked.number % 10 != 0 {
            return vec![Act::Send(answer)];
        }
        remembered.lock().unwrap().push(u64::from(asked.number));
        vec![Act::Later(ms(50), answer)]
    })
    .await;
    // Two requests of one length, so that one's answer would fit the other.
    let mut map = machine("press", &device.endpoint, &[0, 1, 100, 101]);
    let settings = sample_map::settings(&mut map);
    (settings.timeout, settings.quiet) = (ms(20), ms(60));
    map.groups[0].interval = ms(1);
    let mut bench = Bench::start(vec![map]).await;
    let (mut good, mut timeouts) = (0, 0);
    while device.asked().len() < REQUESTS {
        let readings = bench.readings().await;
        for (address, number) in [(0, 1), (2, 3)] {
            match (readings.get(&address), readings.get(&number)) {
                (Some(Ok(Value::Uint(start))), Some(Ok(Value::Uint(number)))) => {
                    assert_eq!(*start, u64::from(address) * 50, "{carrier:?}");
                    assert!(
                        !late.lock().unwrap().contains(number),
                        "{carrier:?} {number}"
                    );
                    good += 1;
                }
                (Some(Err(Bad::Timeout)), Some(Err(Bad::Timeout))) => timeouts += 1,
                other => panic!("{carrier:?}: {other:?}"),
            }
        }
    }
    assert!(
        good > REQUESTS / 2,
        "{carrier:?}: {good} good, {timeouts} late"
    );
    assert!(
        timeouts >= REQUESTS / 10 - 1,
        "{carrier:?}: {good} good, {timeouts} late"
    );
    assert_eq!(bench.figures().rejected, 0, "{carrier:?}");
}

/// A device whose first answer is broken in this way: the reading is bad, the next is good.
async fn check_broken(
    name: &str,
    carriers: &[Carrier],
    broken: impl Fn(&Asked) -> Vec<Act> + Send + Sync + Copy + 'static,
) {
    for carrier in carriers {
        let device = Device::start(*carrier, move |asked| {
            if asked.number == 1 {
                broken(asked)
            } else {
                vec![Act::Send(asked.good())]
            }
        })
        .await;
        let mut map = machine("press", &device.endpoint, &[20, 21, 22]);
        sample_map::settings(&mut map).timeout = ms(60);
        let mut bench = Bench::start(vec![map]).await;
        let first = bench.readings().await;
        let bad = BTreeMap::from([0, 1, 2].map(|point| (point, Err(Bad::Link))));
        assert_eq!(first, bad, "{name} {carrier:?}");
        let good = BTreeMap::from([(0, uint(20)), (1, uint(21)), (2, uint(22))]);
        // A loaded computer may be late once.
        let mut next = bench.readings().await;
        if next != good {
            next = bench.readings().await;
        }
        assert_eq!(next, good, "{name} {carrier:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_to_the_request_is_refused() {
    use Carrier::{RtuOverTcp, Tcp};
    let all = &CARRIERS;
    let tcp = &[Tcp][..];
    let send = |bytes: Vec<u8>| vec![Act::Send(bytes)];
    check_broken("other unit", all, move |a| send(a.foreign(1, 0, 0))).await;
    check_broken("other function", all, move |a| send(a.foreign(0, 0, 7))).await;
    check_broken("other transaction", tcp, move |a| send(a.foreign(0, 1, 0))).await;
    check_broken("too few words", all, move |a| send(a.words(&[20, 21]))).await;
    check_broken("too many words", all, move |a| {
        send(a.words(&[20, 21, 22, 23]))
    })
    .await;
    check_broken("half a word", all, move |a| {
        send(a.bytes(&[0, 20, 0, 21, 0]))
    })
    .await;
    check_broken("no word", all, move |a| send(a.bytes(&[]))).await;
    check_broken("twice", all, move |a| send([a.good(), a.good()].concat())).await;
    check_broken("a byte more", all, move |a| {
        send([a.good(), vec![0]].concat())
    })
    .await;
    check_broken("a byte before", all, move |a| {
        send([vec![0], a.good()].concat())
    })
    .await;
    check_broken("zeros", all, move |_| send(vec![0; 40])).await;
    check_broken("all bits", all, move |_| send(vec![0xFF; 300])).await;
    check_broken("text", all, move |_| {
        send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())
    })
    .await;
    check_broken("cut", all, move |a| send(a.good()[..8].to_vec())).await;
    let closing = &[Tcp, RtuOverTcp][..];
    check_broken("closed", closing, |_| vec![Act::Close]).await;
    let cut = |a: &Asked| vec![Act::Send(a.good()[..8].to_vec()), Act::Close];
    check_broken("cut and closed", closing, cut).await;
    let flipped = |a: &Asked| {
        let mut frame = a.good();
        frame[4] ^= 0x10;
        vec![Act::Send(frame)]
    };
    check_broken("a flipped bit", &[RtuOverTcp, Carrier::Rtu], flipped).await;
}

#[tokio::test]
async fn a_second_answer_to_one_request_is_refused() {
    for carrier in CARRIERS {
        let device = Device::start(carrier, |asked| {
            let answer = asked.words(&[asked.number, asked.number]);
            let twin = Act::Later(ms(2), answer.clone());
            vec![Act::Send(answer), twin]
        })
        .await;
        let mut map = machine("press", &device.endpoint, &[0, 1]);
        map.groups[0].interval = ms(100);
        let mut bench = Bench::start(vec![map]).await;
        let mut last = 0;
        for _ in 0..2 {
            let batch = bench.until(all_good).await;
            let Ok(Value::Uint(number)) = batch.samples[0].reading else {
                panic!("{carrier:?}: {batch:?}");
            };
            assert!(number > last, "{carrier:?}: an old answer was taken");
            last = number;
        }
        let rejected = bench.figures().rejected;
        assert!(rejected > 0, "{carrier:?}: {rejected}");
    }
}

#[tokio::test]
async fn any_exception_code_is_told_as_it_is_and_one_to_another_function_is_none() {
    for carrier in CARRIERS {
        let codes = [1, 4, 5, 6, 8, 9, 0x0C, 0x80, 0xFF, 0];
        let device = Device::start(carrier, move |asked| {
            let code = codes.get(usize::from(asked.number) - 1);
            vec![Act::Send(
                code.map_or_else(|| asked.good(), |code| asked.exception(*code)),
            )]
        })
        .await;
        let mut map = machine("press", &device.endpoint, &[20]);
        map.groups[0].interval = ms(10);
        let mut bench = Bench::start(vec![map]).await;
        for code in codes {
            let expected = BTreeMap::from([(0, Err(Bad::Exception(code)))]);
            assert_eq!(bench.readings().await, expected, "{carrier:?}");
        }
        assert_eq!(bench.readings().await[&0], uint(20), "{carrier:?}");
        let connections: Vec<_> = device.asked().iter().map(|a| a.connection).collect();
        assert!(
            connections.iter().all(|connection| *connection == 1),
            "{carrier:?}: an exception keeps the connection: {connections:?}"
        );
    }
    check_broken("exception to another function", &CARRIERS, |a| {
        vec![Act::Send(a.foreign_exception(2))]
    })
    .await;
    check_broken("exception without a code", &CARRIERS, |a| {
        let mut frame = a.exception(2);
        frame.truncate(frame.len() - 1);
        vec![Act::Send(frame)]
    })
    .await;
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    for carrier in CARRIERS {
        let device = Device::start(carrier, |asked| {
            let bytes = asked.good().into_iter().zip(1..);
            bytes
                .map(|(byte, place)| Act::Later(ms(2 * place), vec![byte]))
                .collect()
        })
        .await;
        let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[20, 21])]).await;
        let expected = BTreeMap::from([(0, uint(20)), (1, uint(21))]);
        let batch = bench.until(all_good).await;
        assert_eq!(batch.samples.len(), expected.len(), "{carrier:?}");
        assert_eq!(bench.figures().rejected, 0, "{carrier:?}");
    }
}

/// Every second answer is a good one with something done to it, or nothing like one.
#[tokio::test]
async fn a_device_that_answers_anything_at_all_is_survived() {
    let rounds = std::env::var("LINESIDE_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let runs = CARRIERS.map(|carrier| tokio::spawn(anything(carrier, rounds)));
    for run in runs {
        run.await.unwrap();
    }
}

async fn anything(carrier: Carrier, rounds: usize) {
    let random = Mutex::new(fastrand::Rng::with_seed(11));
    let device = Device::start(carrier, move |asked| {
        let mut frame = asked.good();
        if asked.number % 2 == 0 {
            return vec![Act::Send(frame)];
        }
        let mut random = random.lock().unwrap();
        let place = random.usize(..frame.len());
        match random.u8(..5) {
            0 => frame[place] = random.u8(..),
            1 => frame.truncate(place),
            2 => frame.insert(place, random.u8(..)),
            3 => frame.extend(std::iter::repeat_with(|| random.u8(..)).take(place * 20)),
            _ => frame.iter_mut().for_each(|byte| *byte = random.u8(..)),
        }
        vec![Act::Send(frame)]
    })
    .await;
    let mut map = machine("press", &device.endpoint, &[20, 21, 22]);
    let settings = sample_map::settings(&mut map);
    (settings.timeout, settings.quiet) = (ms(60), ms(60));
    map.groups[0].interval = ms(1);
    let mut bench = Bench::start(vec![map]).await;
    let good = BTreeMap::from([(0, uint(20)), (1, uint(21)), (2, uint(22))]);
    let mut seen = 0;
    while device.asked().len() < rounds {
        let readings = bench.readings().await;
        let all = readings.values().all(|reading| reading.is_ok());
        // Only TCP has no checksum by which a changed value could be told.
        assert!(
            !all || readings == good || carrier == Carrier::Tcp,
            "{carrier:?}: {readings:?}"
        );
        seen += usize::from(readings == good);
    }
    assert!(seen >= rounds / 8, "{carrier:?}: {seen} good");
}
