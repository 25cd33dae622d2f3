//! Links that go down, come back, or belong to somebody else.

use super::*;

#[tokio::test]
async fn while_a_link_is_down_every_due_poll_says_so() {
    let device = Device::good(Carrier::Tcp).await;
    let endpoint = device.endpoint.clone();
    device.vanish().await;
    let mut bench = Bench::start(vec![machine("press", &endpoint, &[1, 2])]).await;
    let down = BTreeMap::from([0, 1].map(|point| (point, Err(Bad::Link))));
    for _ in 0..3 {
        assert_eq!(bench.readings().await, down);
    }
    bench.until_phase(LinkPhase::Backoff).await;
    let fault = bench.figures().fault.unwrap();
    assert!(fault.starts_with("no connection: "), "{fault}");
    let probe = bench.field.probe(Slot(0), vec![0]).await;
    assert!(matches!(probe, Err(ProbeError::Down { .. })), "{probe:?}");
    bench.field.stop().await;
}

#[tokio::test]
async fn a_connection_that_was_closed_between_polls_costs_no_reading() {
    let device = Device::start(Carrier::Tcp, |asked| {
        vec![Act::Send(asked.good()), Act::Close]
    })
    .await;
    let mut map = machine("press", &device.endpoint, &[1]);
    map.groups[0].interval = ms(30);
    let mut bench = Bench::start(vec![map]).await;
    for _ in 0..4 {
        assert!(all_good(&bench.batch().await));
    }
    assert!(device.connections() >= 4);
}

#[tokio::test]
async fn a_serial_port_that_vanishes_is_opened_again_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let mut device = Device::good(Carrier::Rtu).await;
    let link = |device: &mut Device| {
        let Endpoint::Rtu(serial) = &mut device.endpoint else {
            panic!("no serial port");
        };
        drop(std::fs::remove_file(&path));
        std::os::unix::fs::symlink(&serial.port, &path).unwrap();
        serial.port = path.to_str().unwrap().to_owned();
    };
    link(&mut device);
    let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[5])]).await;
    bench.until(all_good).await;
    device.vanish().await;
    bench
        .until(|batch| batch.samples[0].reading == Err(Bad::Link))
        .await;
    let mut device = Device::good(Carrier::Rtu).await;
    link(&mut device);
    bench.until(all_good).await;
}

#[tokio::test]
async fn a_line_on_which_another_master_talks_is_refused_before_the_first_byte() {
    let mut device = Device::good(Carrier::Rtu).await;
    let Endpoint::Rtu(serial) = &mut device.endpoint else {
        panic!("no serial port");
    };
    serial.listen = PATIENCE;
    // Bytes from before the port was opened are nobody's.
    device.say(&[1, 3, 0, 0, 0, 1, 0x84, 0x0A]).await;
    let mut bench = Bench::start(vec![machine("press", &device.endpoint, &[5])]).await;
    bench.until_phase(LinkPhase::Listening).await;
    device.say(&[1, 3, 0, 0, 0, 1, 0x84, 0x0A]).await;
    bench.until_phase(LinkPhase::Refused).await;
    let fault = bench.figures().fault;
    assert_eq!(fault.as_deref(), Some("another master talks on this line"));
    assert_eq!(
        bench.readings().await,
        BTreeMap::from([(0, Err(Bad::Link))])
    );
    assert!(device.asked().is_empty(), "not a byte was sent");
    assert_eq!(bench.figures().requests, 0);
}

#[tokio::test]
async fn a_line_on_which_another_master_begins_to_talk_is_refused() {
    let device = Device::good(Carrier::Rtu).await;
    let mut map = machine("press", &device.endpoint, &[5]);
    map.groups[0].interval = ms(30);
    let mut bench = Bench::start(vec![map]).await;
    for rejected in 0..3 {
        bench.until(all_good).await;
        assert_eq!(bench.figures().rejected, rejected);
        device.say(&[9, 3, 0, 0, 0, 1, 0x84, 0x0A]).await;
    }
    bench.until_phase(LinkPhase::Refused).await;
    assert_eq!(bench.figures().rejected, 3);
    bench
        .until(|batch| batch.samples[0].reading == Err(Bad::Link))
        .await;
}

#[tokio::test]
async fn noise_between_frames_is_cleared_and_refuses_nothing() {
    let device = Device::start(Carrier::Rtu, |asked| {
        vec![Act::Send(asked.good()), Act::Later(ms(1), vec![0xFF])]
    })
    .await;
    let mut map = machine("press", &device.endpoint, &[5]);
    map.groups[0].interval = ms(80);
    let mut bench = Bench::start(vec![map]).await;
    for _ in 0..5 {
        let batch = bench.batch().await;
        assert!(all_good(&batch), "{batch:?} {:?}", bench.figures());
    }
    let figures = bench.figures();
    assert_eq!((figures.phase, figures.fault), (LinkPhase::Up, None));
    assert!(figures.rejected >= 3, "{}", figures.rejected);
}
