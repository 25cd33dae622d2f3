//! The bytes of one physical link, with a second handle beside the one that the protocol library
//! owns: what lies unread in the kernel is seen and cleared, and what was received is counted, so
//! that no byte that doesn't belong to the present answer passes unnoticed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Port {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A serial port.
    Serial(SerialStream),
}

/// A handle to the bytes of one link; clones are the same link.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    port: Port,
    received: usize,
    closed: bool,
}

/// What lies in the kernel before a request is sent.
#[derive(Debug)]
pub(super) enum Stray {
    /// Nothing, as it should be.
    None,
    /// So many bytes at least.
    Bytes(u32),
    /// The other end closed, or the port vanished.
    Closed,
    /// The port can't tell.
    Lost(io::Error),
}

impl Wire {
    /// The handle of a port.
    pub(super) fn new(port: Port) -> Self {
        Self(Arc::new(Mutex::new(Line {
            port,
            received: 0,
            closed: false,
        })))
    }

    /// What came without a request; also begins to count what is received anew.
    pub(super) fn stray(&self) -> Stray {
        let mut line = self.line();
        line.received = 0;
        match &line.port {
            Port::Tcp(stream) => {
                let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
                match rustix::net::recv(stream, &mut [0_u8; 1], flags) {
                    Ok((_, 0)) => Stray::Closed,
                    Ok(_) => Stray::Bytes(1),
                    Err(Errno::WOULDBLOCK) => Stray::None,
                    Err(error) => Stray::Lost(error.into()),
                }
            }
            Port::Serial(stream) => match stream.bytes_to_read() {
                Ok(0) => Stray::None,
                Ok(bytes) => Stray::Bytes(bytes),
                Err(error) => Stray::Lost(error.into()),
            },
        }
    }

    /// Throws away what a serial port has received or not yet sent. A TCP connection is thrown away
    /// as a whole instead.
    pub(super) fn clear(&self) -> io::Result<()> {
        match &self.line().port {
            Port::Tcp(_) => Ok(()),
            Port::Serial(stream) => Ok(stream.clear(ClearBuffer::All)?),
        }
    }

    /// Bytes received since [`stray`](Self::stray) was asked.
    pub(super) fn received(&self) -> usize {
        self.line().received
    }

    /// Whether the other end closed.
    pub(super) fn is_closed(&self) -> bool {
        self.line().closed
    }

    /// Listens for so long; whether bytes were heard.
    ///
    /// # Errors
    ///
    /// The port vanished.
    pub(super) async fn listen(mut self, duration: Duration) -> io::Result<bool> {
        match tokio::time::timeout(duration, self.read(&mut [0_u8; 64])).await {
            Err(_silent) => Ok(false),
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(error),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // The lock is held for single calls only, none of which leaves the line half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = self.line();
        let before = buffer.filled().len();
        ready!(match &mut line.port {
            Port::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Port::Serial(stream) => Pin::new(stream).poll_read(cx, buffer),
        })?;
        let received = buffer.filled().len() - before;
        line.received += received;
        line.closed |= received == 0 && buffer.remaining() > 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.line().port {
            Port::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Port::Serial(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.line().port {
            Port::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            // Flushing a serial port blocks the thread until the last bit is on the line. The kernel
            // sends by itself, and the time that takes is part of the exchange's time.
            Port::Serial(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.line().port {
            Port::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Port::Serial(_) => Poll::Ready(Ok(())),
        }
    }
}
