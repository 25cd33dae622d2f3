//! One request and its answer. The only place that knows the protocol library.
//!
//! The library has no timeout, takes any count and any stale frame that fits; so every exchange is
//! bounded here, lengths are checked to the byte, and a connection that failed once is gone: it is
//! given back only with a valid answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_modbus::client::{Client, Context, rtu, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Error, ProtocolError, Request, Response, Slave};

use super::decode::Raw;
use super::wire::Wire;
use crate::config::model::Table;
use crate::field::fault::Rejection;

/// How frames are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Length and transaction in front.
    Tcp,
    /// Checksum behind.
    Rtu,
}

/// A connection on which no answer is missing.
pub(super) struct Connection {
    context: Context,
    wire: Wire,
    framing: Framing,
}

/// What is asked: one of the four reading functions, by its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The unit.
    pub unit: u8,
    /// The table.
    pub table: Table,
    /// The first register or bit.
    pub start: u16,
    /// How many.
    pub count: u16,
}

/// A valid answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Exactly as many words or bits as were asked for.
    Answer(Raw),
    /// The device refused, with this code.
    Exception(u8),
}

/// No valid answer: the connection is gone.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not a byte came in time.
    Timeout,
    /// What came is not the answer.
    Rejected(Rejection),
    /// The other end closed.
    Closed,
    /// The connection broke.
    Lost(Arc<io::Error>),
}

impl Connection {
    /// Speaks over a wire.
    pub(super) fn new(wire: Wire, framing: Framing) -> Self {
        let slave = Slave::broadcast();
        let context = match framing {
            Framing::Tcp => tcp::attach_slave(wire.clone(), slave),
            Framing::Rtu => rtu::attach_slave(wire.clone(), slave),
        };
        Self {
            context,
            wire,
            framing,
        }
    }

    /// The bytes beneath.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Asks once and gives the connection back with the answer.
    ///
    /// # Errors
    ///
    /// No valid answer within the timeout.
    pub(super) async fn read(
        mut self,
        question: Question,
        timeout: Duration,
    ) -> Result<(Self, Reply), Failure> {
        self.context.set_slave(Slave(question.unit));
        let call = self.context.call(request(question));
        let reply = match tokio::time::timeout(timeout, call).await {
            Err(_elapsed) if self.wire.received() == 0 => return Err(Failure::Timeout),
            Err(_elapsed) => return Err(Failure::Rejected(Rejection::Incomplete)),
            Ok(Err(error)) => return Err(self.failure(error)),
            Ok(Ok(Err(exception))) => Reply::Exception(exception.into()),
            Ok(Ok(Ok(response))) => Reply::Answer(raw(response, question)?),
        };
        if self.wire.received() == self.length(question, &reply) {
            Ok((self, reply))
        } else {
            Err(Failure::Rejected(Rejection::Length))
        }
    }

    /// The bytes of the whole frame that carries this reply.
    fn length(&self, question: Question, reply: &Reply) -> usize {
        // Unit and function, and the byte count or the exception code.
        let head = 3;
        let body = match reply {
            Reply::Exception(_) => 0,
            Reply::Answer(Raw::Words(words)) => 2 * words.len(),
            Reply::Answer(Raw::Bits(_)) => usize::from(question.count).div_ceil(8),
        };
        let wrapping = match self.framing {
            Framing::Tcp => 6,
            Framing::Rtu => 2,
        };
        wrapping + head + body
    }

    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Protocol(ProtocolError::HeaderMismatch { .. }) => {
                Failure::Rejected(Rejection::Header)
            }
            Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => {
                Failure::Rejected(Rejection::Function)
            }
            Error::Transport(_) if self.wire.is_closed() => Failure::Closed,
            // The library says in this way that a frame makes no sense.
            Error::Transport(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Failure::Rejected(Rejection::Garbage)
            }
            Error::Transport(error) => Failure::Lost(Arc::new(error)),
        }
    }
}

fn request(question: Question) -> Request<'static> {
    let Question { start, count, .. } = question;
    match question.table {
        Table::Coil => Request::ReadCoils(start, count),
        Table::Discrete => Request::ReadDiscreteInputs(start, count),
        Table::Holding => Request::ReadHoldingRegisters(start, count),
        Table::Input => Request::ReadInputRegisters(start, count),
    }
}

fn raw(response: Response, question: Question) -> Result<Raw, Failure> {
    let count = usize::from(question.count);
    match (question.table, response) {
        (Table::Holding, Response::ReadHoldingRegisters(words))
        | (Table::Input, Response::ReadInputRegisters(words))
            if words.len() == count =>
        {
            Ok(Raw::Words(words))
        }
        // Bits come in whole bytes.
        (Table::Coil, Response::ReadCoils(mut bits))
        | (Table::Discrete, Response::ReadDiscreteInputs(mut bits))
            if bits.len() == count.next_multiple_of(8) =>
        {
            bits.truncate(count);
            Ok(Raw::Bits(bits))
        }
        _ => Err(Failure::Rejected(Rejection::Length)),
    }
}
