//! Why a link is down or an answer was not taken, in words for people.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use super::opcua::fault::OpcFault;
use crate::text;
use crate::text::Text;

/// Why a link is down or was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkFault {
    /// The first attempt is still under way.
    #[error("not yet connected")]
    NotYet,
    /// The TCP connection could not be made.
    #[error("no connection")]
    Connect(#[source] Arc<io::Error>),
    /// The TCP connection took longer than the timeout.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The serial port could not be opened: not there, or in use by another program.
    #[error("the port can't be opened")]
    Open(#[source] Arc<io::Error>),
    /// The device closed the connection, or the port vanished.
    #[error("closed by the other end")]
    Closed,
    /// The connection broke.
    #[error("connection lost")]
    Lost(#[source] Arc<io::Error>),
    /// Bytes were heard on a serial line that only the agent may ask.
    #[error("another master talks on this line")]
    AnotherMaster,
    /// Bytes came that nobody had asked for.
    #[error("bytes came without a request")]
    Unsolicited,
    /// A unit gave no answer in time.
    #[error("unit {unit} did not answer in time")]
    Timeout {
        /// The unit.
        unit: u8,
    },
    /// A unit's answer was refused.
    #[error("unit {unit}: {why}")]
    Rejected {
        /// The unit.
        unit: u8,
        /// What was wrong with it.
        why: Rejection,
    },
    /// A gateway can't reach a unit.
    #[error("the gateway does not reach unit {unit}")]
    Gateway {
        /// The unit.
        unit: u8,
    },
    /// No session with an OPC UA server.
    #[error("{0}")]
    OpcUa(OpcFault),
}

/// What was wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// It carries another unit or transaction than the request.
    #[error("answer of another unit or transaction")]
    Header,
    /// It answers another function.
    #[error("answer to another function")]
    Function,
    /// It is longer or shorter than what was asked for.
    #[error("answer of a wrong length")]
    Length,
    /// It stopped in the middle.
    #[error("incomplete answer")]
    Incomplete,
    /// It is no frame.
    #[error("garbage instead of an answer")]
    Garbage,
}

impl LinkFault {
    /// The fault with its cause, for people.
    pub fn text(&self) -> Text {
        let mut text = match self {
            Self::NotYet => text!("not yet connected", "尚未连接"),
            Self::Connect(_) => text!("no connection", "无法连接"),
            Self::ConnectTimeout => text!("no connection in time", "连接超时"),
            Self::Open(_) => text!("the port can't be opened", "无法打开端口"),
            Self::Closed => text!("closed by the other end", "对方已关闭连接"),
            Self::Lost(_) => text!("connection lost", "连接中断"),
            Self::AnotherMaster => text!("another master talks on this line", "总线上有另一个主站"),
            Self::Unsolicited => text!("bytes came without a request", "收到未请求的数据"),
            Self::Timeout { unit } => {
                text!(
                    "unit {unit} did not answer in time",
                    "从站 {unit} 未及时应答"
                )
            }
            Self::Rejected { unit, why } => why.text(*unit),
            Self::Gateway { unit } => {
                text!(
                    "the gateway does not reach unit {unit}",
                    "网关无法到达从站 {unit}"
                )
            }
            Self::OpcUa(fault) => return fault.text(),
        };
        if let Some(cause) = self.source() {
            let cause = format!(": {cause}");
            text.en.push_str(&cause);
            text.zh.push_str(&cause);
        }
        text
    }
}

impl Rejection {
    fn text(self, unit: u8) -> Text {
        match self {
            Self::Header => text!(
                "unit {unit}: answer of another unit or transaction",
                "从站 {unit}：应答来自其他从站或事务"
            ),
            Self::Function => text!(
                "unit {unit}: answer to another function",
                "从站 {unit}：应答的功能码不符"
            ),
            Self::Length => text!(
                "unit {unit}: answer of a wrong length",
                "从站 {unit}：应答长度不符"
            ),
            Self::Incomplete => text!("unit {unit}: incomplete answer", "从站 {unit}：应答不完整"),
            Self::Garbage => text!(
                "unit {unit}: garbage instead of an answer",
                "从站 {unit}：应答无法识别"
            ),
        }
    }
}
