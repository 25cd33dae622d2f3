//! Where everything that comes in is decided: plain code, one pass after another, no network and no clock of its own.
//!
//! A pass takes in what has come, makes what waits durable, puts into tiles what signed heads cover, and says what is to
//! be asked, published and told. What a gateway sends can harm nothing but its own log: each has its own bounds.

mod answer;
mod asking;
mod before;
mod cited;
mod cosigning;
mod gateway;
mod heads;
mod keeping;
mod later;
mod left;
mod pass;
mod prior;
mod quota;
#[cfg(test)]
mod tests;
mod turns;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::ledger::Checkpoint;
use lineside_proto::ledger::note::Signature;
use lineside_proto::{ClockStatus, Identifier};
use serde_json::Value;

use self::asking::Class;
use self::gateway::Gateway;
use self::heads::Name;
use self::later::Again;
use super::alarm::{Alarm, Kind};
use super::cards::Cards;
use super::members::Members;
use super::mirror::Question;
use super::pending::{Pending, Reading};
use super::place::Place;
use super::roll::Roll;
use super::shelf::Shelf;
use super::strangers::Strangers;
use super::witness::Witness;
use super::writes::Writes;
use crate::clock::{Stamp, discipline};
use crate::evidence::informant::Trouble;

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// The broker has accepted the subscription; what it keeps follows.
    Connected,
    /// A message of a gateway.
    Message {
        /// The platform that the topic names.
        site: Identifier,
        /// The gateway that it names.
        gateway: Identifier,
        /// What it is.
        said: Said,
    },
    /// Somebody else's witness has cosigned a head.
    Signed {
        /// The log.
        place: Place,
        /// The head.
        head: Checkpoint,
        /// The witness's line.
        line: Signature,
    },
    /// What a gateway answered, or why it did not.
    Answer {
        /// What it was asked.
        asked: Asked,
        /// The results of all parts.
        result: Result<Vec<Value>, Trouble>,
    },
}

/// What a gateway, or a witness of its log, said.
#[derive(Debug)]
pub enum Said {
    /// A leaf of its ledger.
    Leaf(Vec<u8>),
    /// A signed head.
    Head(Vec<u8>),
    /// A cosigned head.
    Cosigned(Vec<u8>),
    /// It is there.
    Online,
    /// It is not there.
    Offline,
}

/// A question to a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// About which log.
    pub place: Place,
    /// That log's origin: a gateway that has begun another epoch must not answer for this one.
    pub(super) origin: String,
    /// What is asked.
    pub(super) question: Question,
    /// How long is waited for each part of its answer.
    pub(super) patience: Duration,
}

impl Asked {
    /// The method, and its parameters.
    pub(super) fn call(&self) -> (&'static str, Value) {
        let (method, mut params) = self.question.call();
        if !self.question.is_text() {
            if let Some(params) = params.as_object_mut() {
                let origin = match &self.question {
                    Question::Prior { origin, .. } | Question::Last { origin } => origin,
                    Question::Entries { .. }
                    | Question::Consistency { .. }
                    | Question::Peak { .. }
                    | Question::Map(_)
                    | Question::Token(_) => &self.origin,
                };
                params.insert("origin".to_owned(), origin.clone().into());
            }
        }
        (method, params)
    }
}

/// What comes of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// A gateway is to be asked.
    Ask(Asked),
    /// A head was cosigned: to be published.
    Cosigned {
        /// The log.
        place: Place,
        /// The note with the cosignature.
        note: Arc<str>,
        /// The hash of the witness's key.
        key: [u8; 4],
    },
    /// A log's copy is further.
    Grown {
        /// The log.
        place: Place,
        /// Its leaves under a signed head.
        size: u64,
        /// The root over them, base64.
        root: String,
    },
    /// Something was refused.
    Alarm {
        /// The log.
        place: Place,
        /// What.
        alarm: Alarm,
    },
}

/// Why a pass can't count: what it took in must come again.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct DeskError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What a desk works with.
#[derive(Debug)]
pub struct Terms {
    /// The folder of enrolment cards.
    pub cards: PathBuf,
    /// Who cosigns; nobody if none.
    pub witness: Option<Arc<Witness>>,
    /// How often a head of one gateway is cosigned at most.
    pub cosign_every: Duration,
}

/// The desk of one process.
#[derive(Debug)]
pub struct Desk {
    shelf: Shelf,
    terms: Terms,
    cards: Cards,
    /// The same for others to read.
    roll: Arc<Roll>,
    faulty_cards: Vec<String>,
    members: Members,
    pending: Pending,
    reading: Reading,
    /// Whether something is in this process's own files that it does not have in memory.
    unread: bool,
    writes: Writes,
    strangers: Strangers,
    gateways: BTreeMap<(Identifier, Identifier), Gateway>,
    /// The heads that were heard last of each enrolled gateway whose log another process keeps.
    heard: BTreeMap<(Identifier, Identifier), VecDeque<Box<[u8]>>>,
    /// The epoch of logs that others keep, for as long as a look counts; one for each enrolled gateway at most.
    elsewhere: BTreeMap<(Identifier, Identifier), u32>,
    /// Files that are read again, for those whose copy was opened anew.
    again: Again,
    /// Leaves that are not durable yet: whose, where, and whether of the epoch that follows. What one pass takes in.
    unsettled: Vec<(Name, u64, bool)>,
    /// What a pass had to say that did not count. `OUTPUTS_KEPT_MAX` at most.
    unsaid: Vec<Output>,
    /// No new file is begun before this moment.
    roll_from_ms: u64,
    /// Whether logs were taken over since these were looked at.
    took: bool,
    /// Bytes of leaves that wait, of all gateways, after the last pass.
    ahead_bytes: usize,
    /// Who has a question that is not answered yet, and how it answered before.
    asking: BTreeMap<Name, Class>,
    /// Who of each class was asked last.
    asked_last: BTreeMap<Class, Name>,
    /// When the broker will have told which heads this witness cosigned; none while it was never reached.
    cosign_from_ms: Option<u64>,
    /// When the folders of alarms are tried again.
    unwritten_ms: u64,
    /// Whether this host's clock is set by a time server, as asked last, and when.
    clock_set: Option<(u64, bool)>,
    /// How that is asked.
    ask_clock: fn(Stamp) -> bool,
    looked_ms: Option<u64>,
    carded_ms: u64,
}

impl Desk {
    /// Opens a desk; `members` says that this process works on the directory.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(super) fn open(shelf: Shelf, terms: Terms, members: Members) -> Result<Self, DeskError> {
        let dir = shelf.dir().to_owned();
        let failed = |source| DeskError {
            path: dir.clone(),
            source,
        };
        let mine = members.folder(members.me());
        Ok(Self {
            pending: Pending::open(&mine).map_err(failed)?,
            writes: Writes::open(&dir).map_err(failed)?,
            strangers: Strangers::of(&dir),
            reading: Reading::default(),
            unread: true,
            cards: Cards::default(),
            roll: Arc::default(),
            faulty_cards: Vec::new(),
            gateways: BTreeMap::new(),
            heard: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            again: Again::default(),
            unsettled: Vec::new(),
            unsaid: Vec::new(),
            roll_from_ms: 0,
            took: false,
            ahead_bytes: 0,
            asking: BTreeMap::new(),
            asked_last: BTreeMap::new(),
            cosign_from_ms: None,
            unwritten_ms: 0,
            clock_set: None,
            ask_clock: |now| discipline(now).status == ClockStatus::S,
            looked_ms: None,
            carded_ms: 0,
            shelf,
            terms,
            members,
        })
    }

    /// Who is enrolled, as this desk reads it from the cards.
    pub(super) fn enrolled(&self) -> Arc<Roll> {
        Arc::clone(&self.roll)
    }
}
