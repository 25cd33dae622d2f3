//! One thread appends and commits while another reads and acknowledges.

use std::thread;

use super::{City, Line, machine, nothing_is_missing, small};

#[test]
fn a_reader_beside_the_writer_sees_everything_once_and_in_order() {
    let place = tempfile::tempdir().unwrap();
    let mut line = Line::start(place.path(), small());
    let mut records = Vec::new();
    let mut city = City::default();
    for number in 0..300 {
        let record = line.telemetry(number % 3, if number % 7 == 0 { 60_000 } else { 4_000 });
        city.expect(&line.recovered.stream, &record);
        records.push(record);
    }
    let count = records.len();
    let outbox = line.outbox().clone();
    let now = line.now;
    let writer = thread::spawn(move || {
        for chunk in records.chunks(4) {
            outbox.append(chunk.to_vec()).unwrap();
            outbox.commit(now).unwrap();
        }
    });
    let mut read = 0;
    while read < count {
        let new = city.read(line.outbox(), 30_000);
        read += new;
        line.outbox().acknowledge(city.position);
        assert!(line.outbox().figures().messages <= count as u64);
        if new == 0 && writer.is_finished() {
            read += city.read(line.outbox(), 1);
            break;
        }
    }
    writer.join().unwrap();
    assert_eq!(read, count);
    line.outbox().acknowledge(city.position);
    assert_eq!(line.commit(), count as u64);
    nothing_is_missing(&line, &city);
    for number in 0..3 {
        assert_eq!(city.arrived(&line.recovered.stream, &machine(number)), 100);
    }
    assert_eq!(line.outbox().figures().messages, 0);
}
