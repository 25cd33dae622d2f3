//! Devices as a client sees them: raw bytes over real sockets and a real pseudo-terminal.

use super::{Device, Fault, FaultKind};
use crate::config::model::Table;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_serial::{SerialPortBuilderExt, SerialStream};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long silence is watched before it is believed.
const HUSH: Duration = Duration::from_millis(120);

const READ: [u8; 12] = [0, 7, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1];
const ANSWER: [u8; 11] = [0, 7, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34];
const READ_RTU: [u8; 8] = [1, 3, 0, 0, 0, 1, 0x84, 0x0A];
const ANSWER_RTU: [u8; 7] = [1, 3, 2, 0x12, 0x34, 0xB5, 0x33];

fn device() -> Device {
    let device = Device::new(1);
    device.unit(1).set(Table::Holding, 0, &[0x1234]);
    device
}

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

/// What comes before the peer falls silent or closes.
async fn heard(stream: &mut (impl AsyncReadExt + Unpin)) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    loop {
        match timeout(HUSH, stream.read(&mut chunk)).await {
            Err(_) => return (bytes, false),
            Ok(Ok(0) | Err(_)) => return (bytes, true),
            Ok(Ok(count)) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

async fn ask(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    request: &[u8],
    answer: &[u8],
) {
    stream.write_all(request).await.unwrap();
    let mut bytes = vec![0; answer.len()];
    timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bytes, answer);
}

async fn connect(address: SocketAddr) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(_) if start.elapsed() < PATIENCE => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn open(path: &std::path::Path) -> SerialStream {
    tokio_serial::new(path.to_string_lossy(), 9600)
        .open_native_async()
        .unwrap()
}

#[tokio::test]
async fn answers_on_every_kind_of_link_and_on_many_at_once() {
    let device = device();
    device.unit(2).set(Table::Input, 5, &[9]);
    let tcp = device.listen_tcp().await.unwrap();
    let rtu = device.listen_rtu_over_tcp().await.unwrap();
    let path = device.open_pty().unwrap();
    let (mut a, mut b) = (connect(tcp).await, connect(tcp).await);
    let (mut c, mut d) = (connect(rtu).await, open(&path));
    for _ in 0..3 {
        ask(&mut a, &READ, &ANSWER).await;
        ask(
            &mut b,
            &[0, 8, 0, 0, 0, 6, 2, 4, 0, 5, 0, 1],
            &[0, 8, 0, 0, 0, 5, 2, 4, 2, 0, 9],
        )
        .await;
        ask(&mut c, &READ_RTU, &ANSWER_RTU).await;
        ask(&mut d, &READ_RTU, &ANSWER_RTU).await;
    }
    // Two requests in one segment are two requests.
    ask(&mut a, &[READ, READ].concat(), &[ANSWER, ANSWER].concat()).await;
    let statistics = device.statistics();
    assert_eq!(statistics.connections, 3);
    assert_eq!(statistics.of_unit(1), 11);
    assert_eq!(statistics.of_unit(2), 3);
    assert_eq!(statistics.foreign_total(), 0);
    assert_eq!(statistics.arrivals.len(), 14);
}

#[tokio::test]
async fn a_serial_port_is_opened_by_name_again_and_again() {
    let device = device();
    let path = device.open_pty().unwrap();
    for _ in 0..3 {
        let mut port = open(&path);
        ask(&mut port, &READ_RTU, &ANSWER_RTU).await;
    }
    assert_eq!(device.statistics().of_unit(1), 3);
}

#[tokio::test]
async fn writes_are_refused_and_recorded() {
    let device = device();
    let mut tcp = connect(device.listen_tcp().await.unwrap()).await;
    let mut serial = open(&device.open_pty().unwrap());
    ask(
        &mut tcp,
        &[0, 1, 0, 0, 0, 6, 1, 6, 0, 0, 0, 9],
        &[0, 1, 0, 0, 0, 3, 1, 0x86, 1],
    )
    .await;
    ask(
        &mut serial,
        &[1, 0x11, 0xC0, 0x2C],
        &[1, 0x91, 1, 0x8C, 0x50],
    )
    .await;
    ask(&mut tcp, &READ, &ANSWER).await;
    let statistics = device.statistics();
    assert_eq!(statistics.foreign_total(), 2);
    assert_eq!(statistics.foreign, [vec![6, 0, 0, 0, 9], vec![0x11]]);
    assert_eq!(device.unit(1).get(Table::Holding, 0), 0x1234);
}

#[tokio::test]
async fn absent_units_are_silent_on_a_line_and_an_exception_on_tcp() {
    let device = device();
    let mut tcp = connect(device.listen_tcp().await.unwrap()).await;
    let mut serial = open(&device.open_pty().unwrap());
    ask(
        &mut tcp,
        &[0, 1, 0, 0, 0, 6, 5, 3, 0, 0, 0, 1],
        &[0, 1, 0, 0, 0, 3, 5, 0x83, 11],
    )
    .await;
    serial
        .write_all(&[5, 3, 0, 0, 0, 1, 0x85, 0x8E])
        .await
        .unwrap();
    assert_eq!(heard(&mut serial).await, (vec![], false));
    assert_eq!(device.statistics().of_unit(5), 2);
    assert_eq!(device.statistics().broken, 0);
}

#[tokio::test]
async fn faults_of_a_unit_leave_the_others_alone_and_can_be_cleared() {
    let device = device();
    device.unit(2).set(Table::Holding, 0, &[1]);
    device.unit(1).fault(FaultKind::Silent);
    let mut stream = connect(device.listen_tcp().await.unwrap()).await;
    stream.write_all(&READ).await.unwrap();
    assert_eq!(heard(&mut stream).await, (vec![], false));
    ask(
        &mut stream,
        &[0, 7, 0, 0, 0, 6, 2, 3, 0, 0, 0, 1],
        &[0, 7, 0, 0, 0, 5, 2, 3, 2, 0, 1],
    )
    .await;
    device.unit(1).clear();
    ask(&mut stream, &READ, &ANSWER).await;
}

#[tokio::test]
async fn a_late_answer_comes_after_those_asked_for_later() {
    let device = device();
    device.fault(fault("late=60ms@1/2"));
    let mut stream = connect(device.listen_tcp().await.unwrap()).await;
    let numbered = |n: u8| [0, n, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1];
    for n in 1..=3 {
        stream.write_all(&numbered(n)).await.unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let mut frame = [0; 11];
        timeout(PATIENCE, stream.read_exact(&mut frame))
            .await
            .unwrap()
            .unwrap();
        order.push(frame[1]);
    }
    assert_eq!(order, [1, 3, 2]);
}

#[tokio::test]
async fn closing_faults_close_and_the_device_comes_back() {
    let device = device();
    let address = device.listen_tcp().await.unwrap();
    device.fault(fault("close-mid-frame"));
    let mut stream = connect(address).await;
    stream.write_all(&READ).await.unwrap();
    assert_eq!(heard(&mut stream).await, (ANSWER[..6].to_vec(), true));
    device.clear();
    device.fault(FaultKind::Close);
    let mut stream = connect(address).await;
    assert_eq!(heard(&mut stream).await, (vec![], true));
    device.clear();
    let mut stream = connect(address).await;
    ask(&mut stream, &READ, &ANSWER).await;
    stream.write_all(&[0, 7, 0, 1, 0, 6]).await.unwrap();
    stream.write_all(&READ).await.unwrap();
    assert_eq!(heard(&mut stream).await, (vec![], true));
    assert_eq!(device.statistics().broken, 1);
}

#[tokio::test]
async fn a_device_that_refuses_closes_all_and_returns_on_the_same_port() {
    let device = device();
    let address = device.listen_tcp().await.unwrap();
    let mut old = connect(address).await;
    ask(&mut old, &READ, &ANSWER).await;
    device.fault(FaultKind::Refuse);
    let mut byte = [0];
    assert!(matches!(
        timeout(PATIENCE, old.read(&mut byte)).await.unwrap(),
        Ok(0) | Err(_)
    ));
    assert!(TcpStream::connect(address).await.is_err());
    device.clear();
    let mut new = connect(address).await;
    ask(&mut new, &READ, &ANSWER).await;
}

#[tokio::test]
async fn a_frozen_device_accepts_and_answers_when_it_thaws() {
    let device = device();
    let address = device.listen_tcp().await.unwrap();
    device.fault(FaultKind::Frozen);
    let mut stream = connect(address).await;
    stream.write_all(&READ).await.unwrap();
    assert_eq!(heard(&mut stream).await, (vec![], false));
    assert_eq!(device.statistics().total(), 0);
    device.clear();
    let mut answer = [0; 11];
    timeout(PATIENCE, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, ANSWER);
}

#[tokio::test]
async fn a_serial_line_can_carry_what_nobody_asked_for() {
    let device = device();
    let mut serial = open(&device.open_pty().unwrap());
    device.fault(fault("chatter=5ms"));
    let mut foreign = [0; 15];
    timeout(PATIENCE, serial.read_exact(&mut foreign))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(foreign[..6], [247, 3, 0, 0, 0, 1]);
    assert_eq!(foreign[8..13], [247, 3, 2, 0, 0]);
    device.clear();
    heard(&mut serial).await;
    device.fault(fault("unsolicited=5ms"));
    let mut spontaneous = [0; 7];
    timeout(PATIENCE, serial.read_exact(&mut spontaneous))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(spontaneous[..5], [1, 3, 2, 0xFF, 0xFF]);
}

#[tokio::test]
async fn a_split_answer_arrives_whole_in_the_end() {
    let device = device();
    device.unit(1).fault(fault("split=2ms"));
    let mut stream = connect(device.listen_tcp().await.unwrap()).await;
    let start = Instant::now();
    ask(&mut stream, &READ, &ANSWER).await;
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn broken_requests_on_a_line_are_counted_and_the_next_is_answered() {
    let device = device();
    let mut serial = open(&device.open_pty().unwrap());
    serial.write_all(&READ_RTU[..5]).await.unwrap();
    assert_eq!(heard(&mut serial).await, (vec![], false));
    ask(&mut serial, &READ_RTU, &ANSWER_RTU).await;
    assert_eq!(device.statistics().broken, 1);
}

#[tokio::test]
async fn a_dropped_device_is_gone() {
    let device = device();
    let address = device.listen_tcp().await.unwrap();
    let mut stream = connect(address).await;
    ask(&mut stream, &READ, &ANSWER).await;
    drop(device);
    let mut byte = [0];
    assert!(matches!(
        timeout(PATIENCE, stream.read(&mut byte)).await.unwrap(),
        Ok(0) | Err(_)
    ));
}
