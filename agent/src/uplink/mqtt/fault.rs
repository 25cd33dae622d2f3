//! Why a connection is no more, in words.

use rumqttc::v5::mqttbytes;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};
use std::io;

/// Why there is no connection to the broker.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The broker could not be reached, or the connection broke.
    #[error("{0}")]
    Lost(String),
    /// The broker was reached and does not want us: somebody has to change something, here or there.
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
}

impl Fault {
    /// A break for a reason of our own.
    pub fn lost(reason: impl Into<String>) -> Self {
        Self::Lost(reason.into())
    }

    pub(super) fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(code) => Self::Refused(refusal(*code)),
            ConnectionError::Io(error) => Self::Lost(io_words(error)),
            ConnectionError::Timeout(_) => Self::lost("the broker does not answer"),
            ConnectionError::NotConnAck(_) => Self::lost("the peer does not speak MQTT 5"),
            ConnectionError::RequestsDone => Self::lost("closed"),
            ConnectionError::MqttState(error) => Self::of_state(error),
        }
    }

    fn of_state(error: &StateError) -> Self {
        match error {
            StateError::ServerDisconnect { reason_code, .. } => Self::of_disconnect(*reason_code),
            StateError::ConnFail { reason } => Self::Refused(refusal(*reason)),
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
                Self::Lost(io_words(error))
            }
            StateError::AwaitPingResp => Self::lost("the broker does not answer pings"),
            StateError::ConnectionAborted => Self::lost("the broker closed the connection"),
            StateError::Unsolicited(_)
            | StateError::WrongPacket
            | StateError::Deserialization(_)
            | StateError::IncomingPacketTooLarge { .. } => {
                Self::Lost(format!("the broker breaks the protocol: {error}"))
            }
            StateError::Coversion(_)
            | StateError::InvalidState
            | StateError::CollisionTimeout
            | StateError::EmptySubscription
            | StateError::InvalidAlias { .. }
            | StateError::OutgoingPacketTooLarge { .. } => Self::Lost(error.to_string()),
        }
    }

    fn of_disconnect(code: DisconnectReasonCode) -> Self {
        if code == DisconnectReasonCode::SessionTakenOver {
            let words = "another client with the same id has connected: is a second agent running \
                         with this site and gateway?";
            return Self::Refused(words.to_owned());
        }
        let words = words(&format!("{code:?}"));
        let refused = matches!(
            code,
            DisconnectReasonCode::NotAuthorized
                | DisconnectReasonCode::AdministrativeAction
                | DisconnectReasonCode::ServerBusy
                | DisconnectReasonCode::QuotaExceeded
                | DisconnectReasonCode::MessageRateTooHigh
                | DisconnectReasonCode::ConnectionRateExceeded
        );
        if refused {
            Self::Refused(words)
        } else {
            Self::Lost(format!("the broker ended it: {words}"))
        }
    }
}

fn refusal(code: ConnectReturnCode) -> String {
    if code == ConnectReturnCode::BadUserNamePassword {
        return "user name or password is wrong".to_owned();
    }
    if code == ConnectReturnCode::NotAuthorized {
        return "not authorised".to_owned();
    }
    let old = matches!(
        code,
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion
    );
    if old {
        return "it does not speak MQTT 5".to_owned();
    }
    words(&format!("{code:?}"))
}

/// `ServerBusy` as `server busy`.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (place, letter) in name.char_indices() {
        if place > 0 && letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn io_words(error: &io::Error) -> String {
    let kind = error.kind();
    let is = |kinds: [io::ErrorKind; 2]| kinds.contains(&kind);
    if kind == io::ErrorKind::ConnectionRefused {
        "nothing listens there".to_owned()
    } else if is([
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
    ]) {
        "the connection was reset".to_owned()
    } else if is([io::ErrorKind::BrokenPipe, io::ErrorKind::UnexpectedEof]) {
        "the broker closed the connection".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn names_become_words() {
        for (name, expected) in [
            ("ServerBusy", "server busy"),
            ("Banned", "banned"),
            ("QuotaExceeded", "quota exceeded"),
            ("", ""),
        ] {
            assert_eq!(words(name), expected);
        }
    }
}
