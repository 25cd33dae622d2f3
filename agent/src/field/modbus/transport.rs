//! Opening a physical link, and what its speed means for the time between frames.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio_serial::{DataBits, FlowControl, SerialStream, StopBits};

use super::wire::{Port, Wire};
use crate::config::model::{Endpoint, Parity, Serial};
use crate::field::fault::LinkFault;

/// A connection on which nothing is heard is probed after this, so that a switch that lost its
/// power is noticed between polls, too.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// Time between such probes, and how many may stay without an answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// Above this speed the standard fixes the silence between frames.
const SILENCE_FIXED_ABOVE_BAUD: u32 = 19_200;

/// The silence between frames above that speed.
const SILENCE_FIXED: Duration = Duration::from_micros(1_750);

/// Opens the link; `timeout` bounds a TCP connection.
///
/// # Errors
///
/// Why there is no connection.
pub(super) async fn open(endpoint: Endpoint, timeout: Duration) -> Result<Wire, LinkFault> {
    match endpoint {
        Endpoint::Tcp { address } | Endpoint::RtuOverTcp { address } => {
            match tokio::time::timeout(timeout, connect(&address)).await {
                Ok(Ok(stream)) => Ok(Wire::new(Port::Tcp(stream))),
                Ok(Err(error)) => Err(LinkFault::Connect(Arc::new(error))),
                Err(_elapsed) => Err(LinkFault::ConnectTimeout),
            }
        }
        Endpoint::Rtu(serial) => {
            open_serial(&serial).map_err(|error| LinkFault::Open(Arc::new(error)))
        }
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // A request is one small segment: it must not wait for the acknowledgement of the last one.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
    Ok(stream)
}

fn open_serial(serial: &Serial) -> io::Result<Wire> {
    let builder = tokio_serial::new(&serial.port, serial.baud)
        .data_bits(if serial.data_bits == 7 {
            DataBits::Seven
        } else {
            DataBits::Eight
        })
        .parity(match serial.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(if serial.stop_bits == 2 {
            StopBits::Two
        } else {
            StopBits::One
        })
        .flow_control(FlowControl::None)
        .exclusive(true);
    let wire = Wire::new(Port::Serial(SerialStream::open(&builder)?));
    // The port may still hold what came for its last user.
    wire.clear()?;
    Ok(wire)
}

/// The silence that must pass on the line before a request: 3.5 characters, and the turnaround.
pub(super) fn silence(serial: &Serial) -> Duration {
    let silence = if serial.baud > SILENCE_FIXED_ABOVE_BAUD {
        SILENCE_FIXED
    } else {
        on_the_line(serial, 35) / 10
    };
    silence + serial.turnaround
}

/// How long so many characters take on the line.
pub(super) fn on_the_line(serial: &Serial, characters: u32) -> Duration {
    let parity = match serial.parity {
        Parity::None => 0,
        Parity::Even | Parity::Odd => 1,
    };
    let bits = 1 + u32::from(serial.data_bits) + parity + u32::from(serial.stop_bits);
    Duration::from_secs(1) * bits * characters / serial.baud.max(1)
}

/// The endpoint, as people write it.
pub(in crate::field) fn describe(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp { address } => format!("modbus-tcp {address}"),
        Endpoint::RtuOverTcp { address } => format!("modbus-rtu-over-tcp {address}"),
        Endpoint::Rtu(serial) => {
            let parity = match serial.parity {
                Parity::None => 'N',
                Parity::Even => 'E',
                Parity::Odd => 'O',
            };
            let (data, stop) = (serial.data_bits, serial.stop_bits);
            format!(
                "modbus-rtu {} {} {data}{parity}{stop}",
                serial.port, serial.baud
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{describe, silence};
    use crate::config::model::{Endpoint, Parity, Serial};
    use std::time::Duration;

    fn serial(baud: u32, parity: Parity) -> Serial {
        Serial {
            port: "/dev/ttyS1".to_owned(),
            baud,
            parity,
            data_bits: 8,
            stop_bits: 1,
            turnaround: Duration::from_millis(5),
            listen: Duration::from_secs(3),
        }
    }

    #[test]
    fn the_silence_follows_from_the_speed_and_is_fixed_above_19200() {
        let check = |baud, parity, micros| {
            let expected = Duration::from_micros(micros) + Duration::from_millis(5);
            let got = silence(&serial(baud, parity));
            assert!(
                got.abs_diff(expected) < Duration::from_micros(2),
                "{baud}: {got:?}"
            );
        };
        check(9_600, Parity::Even, 4_010);
        check(9_600, Parity::None, 3_646);
        check(1_200, Parity::Odd, 32_083);
        check(19_200, Parity::Even, 2_005);
        check(38_400, Parity::Even, 1_750);
        check(115_200, Parity::None, 1_750);
    }

    #[test]
    fn an_endpoint_is_named_as_people_write_it() {
        let rtu = Endpoint::Rtu(serial(9_600, Parity::Even));
        assert_eq!(describe(&rtu), "modbus-rtu /dev/ttyS1 9600 8E1");
        let address = "10.0.0.1:502".to_owned();
        assert_eq!(
            describe(&Endpoint::Tcp { address }),
            "modbus-tcp 10.0.0.1:502"
        );
    }
}
