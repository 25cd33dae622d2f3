//! A device that answers as a test says, over TCP, RTU over TCP or a pseudo-terminal.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpListener;
use tokio_serial::{SerialPort, SerialStream};

use crate::config::model::{Endpoint, Parity, Serial};

/// How a device is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carrier {
    Tcp,
    RtuOverTcp,
    Rtu,
}

pub(super) const CARRIERS: [Carrier; 3] = [Carrier::Tcp, Carrier::RtuOverTcp, Carrier::Rtu];

/// A request that came in.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Counts from 1, over all connections.
    pub number: u16,
    /// Counts from 1.
    pub connection: usize,
    pub unit: u8,
    pub function: u8,
    pub start: u16,
    pub count: u16,
    carrier: Carrier,
    transaction: u16,
}

/// What the device does on a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Send(Vec<u8>),
    /// After so long, whatever happens meanwhile.
    Later(Duration, Vec<u8>),
    Close,
}

type Behaviour = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

/// A device at work.
pub(super) struct Device {
    pub endpoint: Endpoint,
    log: Arc<Mutex<Log>>,
    /// The far end of a pseudo-terminal, kept open, and the port behind it.
    line: Option<(SerialStream, Shared)>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    connections: usize,
}

type Shared = Arc<tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>>;

impl Asked {
    /// The right answer: a register holds its own address, every third bit is set.
    pub(super) fn good(&self) -> Vec<u8> {
        let addresses = self.start..self.start + self.count;
        if self.function > 2 {
            return self.words(&addresses.collect::<Vec<_>>());
        }
        let mut bytes = vec![0_u8; usize::from(self.count).div_ceil(8)];
        for (place, address) in addresses.enumerate() {
            if address % 3 == 0 {
                bytes[place / 8] |= 1 << (place % 8);
            }
        }
        self.bytes(&bytes)
    }

    /// An answer with these registers.
    pub(super) fn words(&self, words: &[u16]) -> Vec<u8> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.bytes(&bytes)
    }

    /// An answer with these data bytes.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut pdu = vec![self.function, u8::try_from(bytes.len()).unwrap()];
        pdu.extend(bytes);
        self.frame(self.unit, self.transaction, &pdu)
    }

    /// An exception.
    pub(super) fn exception(&self, code: u8) -> Vec<u8> {
        self.frame(self.unit, self.transaction, &[self.function | 0x80, code])
    }

    /// An exception to another function.
    pub(super) fn foreign_exception(&self, code: u8) -> Vec<u8> {
        let function = self.function ^ 7 | 0x80;
        self.frame(self.unit, self.transaction, &[function, code])
    }

    /// The right answer with another unit, transaction or function.
    pub(super) fn foreign(&self, unit: u8, transaction: u16, function: u8) -> Vec<u8> {
        let other = Self {
            unit: self.unit ^ unit,
            transaction: self.transaction ^ transaction,
            function: self.function ^ function,
            ..self.clone()
        };
        other.good()
    }

    fn frame(&self, unit: u8, transaction: u16, pdu: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        if self.carrier == Carrier::Tcp {
            frame.extend(transaction.to_be_bytes());
            frame.extend([0, 0]);
            frame.extend(u16::try_from(pdu.len() + 1).unwrap().to_be_bytes());
        }
        frame.push(unit);
        frame.extend(pdu);
        if self.carrier != Carrier::Tcp {
            frame.extend(checksum(&frame).to_le_bytes());
        }
        frame
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |mut sum, byte| {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 0 {
                sum >> 1
            } else {
                sum >> 1 ^ 0xA001
            };
        }
        sum
    })
}

impl Device {
    /// A device that answers right.
    pub(super) async fn good(carrier: Carrier) -> Self {
        Self::start(carrier, |asked| vec![Act::Send(asked.good())]).await
    }

    pub(super) async fn start(
        carrier: Carrier,
        behaviour: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let behaviour: Behaviour = Arc::new(behaviour);
        match carrier {
            Carrier::Rtu => Self::on_a_line(behaviour),
            Carrier::Tcp | Carrier::RtuOverTcp => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                Self::on(listener, carrier, behaviour)
            }
        }
    }

    fn on(listener: TcpListener, carrier: Carrier, behaviour: Behaviour) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::<Mutex<Log>>::default();
        let seen = log.clone();
        let accept = async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = {
                    let mut log = seen.lock().unwrap();
                    log.connections += 1;
                    log.connections
                };
                let (reader, writer) = split(stream);
                let writer: Shared = Arc::new(tokio::sync::Mutex::new(Box::new(writer)));
                tokio::spawn(serve(
                    carrier,
                    connection,
                    reader,
                    writer,
                    behaviour.clone(),
                    seen.clone(),
                ));
            }
        };
        Self {
            endpoint: match carrier {
                Carrier::Tcp => Endpoint::Tcp { address },
                Carrier::RtuOverTcp | Carrier::Rtu => Endpoint::RtuOverTcp { address },
            },
            log,
            line: None,
            tasks: vec![tokio::spawn(accept)],
        }
    }

    fn on_a_line(behaviour: Behaviour) -> Self {
        let (near, far) = SerialStream::pair().unwrap();
        let port = far.name().unwrap();
        let log = Arc::<Mutex<Log>>::default();
        let (reader, writer) = split(near);
        let writer: Shared = Arc::new(tokio::sync::Mutex::new(Box::new(writer)));
        let task = serve(
            Carrier::Rtu,
            1,
            reader,
            writer.clone(),
            behaviour,
            log.clone(),
        );
        Self {
            endpoint: Endpoint::Rtu(Serial {
                port,
                baud: 115_200,
                parity: Parity::Even,
                data_bits: 8,
                stop_bits: 1,
                turnaround: Duration::ZERO,
                listen: Duration::from_millis(20),
            }),
            log,
            line: Some((far, writer)),
            tasks: vec![tokio::spawn(task)],
        }
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    /// Requests seen so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().asked.clone()
    }

    /// Talks on the line without having been asked.
    pub(super) async fn say(&self, bytes: &[u8]) {
        let (_, writer) = self.line.as_ref().unwrap();
        writer.lock().await.write_all(bytes).await.unwrap();
    }

    /// Goes away, and with it whatever it listened on.
    pub(super) async fn vanish(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn serve(
    carrier: Carrier,
    connection: usize,
    mut reader: impl AsyncRead + Unpin,
    writer: Shared,
    behaviour: Behaviour,
    log: Arc<Mutex<Log>>,
) {
    while let Ok(mut asked) = receive(carrier, &mut reader).await {
        asked.connection = connection;
        {
            let mut log = log.lock().unwrap();
            asked.number = u16::try_from(log.asked.len() + 1).unwrap();
            log.asked.push(asked.clone());
        }
        for act in behaviour(&asked) {
            match act {
                Act::Send(bytes) => drop(writer.lock().await.write_all(&bytes).await),
                Act::Later(delay, bytes) => {
                    let writer = writer.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        drop(writer.lock().await.write_all(&bytes).await);
                    });
                }
                Act::Close => {
                    drop(writer.lock().await.shutdown().await);
                    return;
                }
            }
        }
    }
}

async fn receive(carrier: Carrier, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Asked> {
    let mut transaction = 0;
    if carrier == Carrier::Tcp {
        let mut header = [0; 6];
        reader.read_exact(&mut header).await?;
        transaction = u16::from_be_bytes([header[0], header[1]]);
    }
    let mut body = [0; 6];
    reader.read_exact(&mut body).await?;
    if carrier != Carrier::Tcp {
        let mut sum = [0; 2];
        reader.read_exact(&mut sum).await?;
        assert_eq!(u16::from_le_bytes(sum), checksum(&body));
    }
    let [unit, function, ..] = body;
    assert!(
        (1..=4).contains(&function),
        "only reading functions are ever sent"
    );
    Ok(Asked {
        number: 0,
        connection: 0,
        unit,
        function,
        start: u16::from_be_bytes([body[2], body[3]]),
        count: u16::from_be_bytes([body[4], body[5]]),
        carrier,
        transaction,
    })
}
