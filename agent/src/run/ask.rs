//! What the running agent can be asked, by the local socket and by the console.

use lineside_proto::{Class, Identifier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{Difference, PastSession, ProbeFailure, Probed, ReloadError};
use crate::entered;
use crate::live::{Live, LiveSession};
use crate::pseudonym::Pseudonyms;
use crate::text;
use crate::text::Text;

/// Where the answer to something that a person enters goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// Puts a question to the running agent and waits for the answer. None where the agent is stopping.
pub async fn put<T>(
    asks: &mpsc::Sender<Ask>,
    ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    asks.send(ask(reply)).await.ok()?;
    answer.await.ok()
}

/// A question to the running agent.
#[derive(Debug)]
pub enum Ask {
    /// A snapshot.
    Live(oneshot::Sender<Live>),
    /// Reads the configuration again and says what would change; with `apply`, changes it.
    Reload {
        /// Whether to change anything.
        apply: bool,
        /// Who asks, as the gateway's system knows them.
        who: String,
        /// The answer.
        reply: oneshot::Sender<Result<Difference, ReloadError>>,
    },
    /// One extra reading of points of a machine; of all its points where the list is empty.
    Probe {
        /// The machine.
        machine: Identifier,
        /// The points, by name.
        points: Vec<String>,
        /// The answer.
        reply: oneshot::Sender<Result<Vec<Probed>, ProbeFailure>>,
    },
    /// The newest sessions of a machine that have ended, newest first.
    Sessions {
        /// The machine.
        machine: Identifier,
        /// The answer.
        reply: Reply<Vec<PastSession>>,
    },
    /// Somebody at a machine begins to use it.
    CheckIn {
        /// What they say.
        arrival: Arrival,
        /// Who asks, as the gateway's system knows them.
        who: String,
        /// The session that is open from now on.
        reply: Reply<LiveSession>,
    },
    /// Somebody at a machine is done.
    CheckOut {
        /// What they say.
        departure: Departure,
        /// Who asks, as the gateway's system knows them.
        who: String,
        /// The session that was open until now.
        reply: Reply<LiveSession>,
    },
    /// Says that a leaf is wrong; what was written stays.
    Correct {
        /// The leaf.
        refers: u64,
        /// What is right, and why.
        reason: String,
        /// Who says so.
        by: String,
        /// Who asks, as the gateway's system knows them.
        who: String,
        /// The index of the correction.
        reply: Reply<u64>,
    },
    /// Makes a new signing key that takes over from the old one, both signing until the change is finished.
    RotateKey {
        /// Whether to end a change that was begun.
        finish: bool,
        /// Who asks, as the gateway's system knows them.
        who: String,
        /// What was done.
        reply: Reply<Rotated>,
    },
}

/// A check-in at the machine. All of it was entered by a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The machine.
    pub machine: Identifier,
    /// The booking that it is for.
    pub booking: Option<String>,
    /// The class, where it is for none; never EXT, which only a token gives.
    pub class: Option<Class>,
    /// Who, as a pseudonym.
    pub by: String,
}

impl Arrival {
    /// A check-in by a person called `by`.
    ///
    /// # Errors
    ///
    /// What was entered makes no sense, or no pseudonym can be made.
    pub fn entered(
        machine: Identifier,
        booking: Option<String>,
        class: Option<Class>,
        by: &str,
        pseudonyms: &Pseudonyms,
    ) -> Result<Self, Refused> {
        if booking.is_some() && class.is_some() {
            return Err(Refused::Invalid(text!(
                "a booking has its own class: give one of the two",
                "预约自带类别：二者只能给出一个"
            )));
        }
        match class {
            None | Some(Class::Own | Class::Trn | Class::Mnt) => {}
            Some(class @ (Class::Ext | Class::Aff | Class::Unb)) => {
                return Err(Refused::Invalid(text!(
                    "the class {class} can't be entered here; OWN, TRN and MNT can",
                    "类别 {class} 不能在此录入；可用 OWN、TRN、MNT"
                )));
            }
        }
        let booking = booking.map(|id| entered::booking(&id)).transpose();
        Ok(Self {
            machine,
            booking: booking.map_err(Refused::Invalid)?,
            class,
            by: pseudonym(by, pseudonyms)?,
        })
    }
}

impl Departure {
    /// A check-out by a person called `by`.
    ///
    /// # Errors
    ///
    /// What was entered makes no sense, or no pseudonym can be made.
    pub fn entered(
        machine: Identifier,
        by: &str,
        pseudonyms: &Pseudonyms,
    ) -> Result<Self, Refused> {
        let by = pseudonym(by, pseudonyms)?;
        Ok(Self { machine, by })
    }
}

fn pseudonym(name: &str, pseudonyms: &Pseudonyms) -> Result<String, Refused> {
    let name = entered::name(name).map_err(Refused::Invalid)?;
    pseudonyms.of(&name).map_err(|error| {
        Refused::Unavailable(text!(
            "no pseudonym can be made: {error}",
            "无法生成化名：{error}"
        ))
    })
}

/// A check-out at the machine. All of it was entered by a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departure {
    /// The machine.
    pub machine: Identifier,
    /// Who, as a pseudonym.
    pub by: String,
}

/// A change of the signing key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// The leaf that says so, signed by both keys; of a change that ends, the audit leaf.
    pub index: u64,
    /// The verifier key until now (C2SP vkey).
    pub old: String,
    /// The verifier key from now on (C2SP vkey).
    pub new: String,
}

/// Why something that a person entered was not written down.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such machine: name another.
    #[error("there is no machine `{0}`")]
    UnknownMachine(Identifier),
    /// It makes no sense: say something else.
    #[error("{0}")]
    Invalid(Text),
    /// It does not go with what is so now: look at the machine first.
    #[error("{0}")]
    Conflict(Text),
    /// It can't be written now: try again later.
    #[error("{0}")]
    Unavailable(Text),
}

impl Refused {
    /// The same for a person.
    pub fn text(&self) -> Text {
        match self {
            Self::UnknownMachine(machine) => {
                text!("there is no machine `{machine}`", "没有设备 `{machine}`")
            }
            Self::Invalid(text) | Self::Conflict(text) | Self::Unavailable(text) => text.clone(),
        }
    }
}
