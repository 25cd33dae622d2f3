//! A city: a broker, simulated gateways, a place for an archive with everybody's cards, and somebody who hears every
//! cosignature.

use anyhow::{Context, Result};
use lineside_proto::ledger::note::VerifierKey;
use std::time::Duration;

use crate::archive::Place;
use crate::broker::{Mosquitto, Persistence};
use crate::cosigned::{Cosigned, same};
use crate::fleet::{Fleet, Outgoing, Size};
use crate::subscriber::{Message, Subscriber};
use crate::wait;

/// How long anything may take that should take a moment, on a machine that does other things too.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A city. Its archive is started by the test.
pub struct City {
    /// Simulated gateways.
    pub fleet: Fleet,
    /// The archive's place.
    pub place: Place,
    /// Hears every cosignature, in a session that outlives its connections.
    pub listener: Subscriber,
    /// The broker.
    pub broker: Mosquitto,
}

impl City {
    /// So many gateways, all of them enrolled, whose ledgers are empty.
    ///
    /// # Errors
    ///
    /// When a part does not come about.
    pub fn new(persistence: Persistence, size: Size) -> Result<Self> {
        let broker = Mosquitto::start(persistence)?;
        let topics = ["lineside/v1/+/+/ledger/cosignature/#"];
        let listener = Subscriber::persistent(broker.port(), "listener", &topics)?;
        let place = Place::new(broker.port())?;
        let fleet = Fleet::start(broker.port(), size)?;
        fleet.write_cards(&place.cards())?;
        Ok(Self {
            fleet,
            place,
            listener,
            broker,
        })
    }

    /// Each gateway writes so many leaves, signs, and publishes both.
    ///
    /// # Errors
    ///
    /// When the connections have ended.
    pub fn live(&self, count: u64) -> Result<()> {
        for number in 0..self.fleet.count() {
            self.fleet.grow(number, count)?;
            self.fleet.sign(number)?;
        }
        Ok(())
    }

    /// Whether the archive has all that a gateway has signed.
    ///
    /// # Errors
    ///
    /// When its files can't be read.
    pub fn is_kept(&self, number: usize) -> Result<bool> {
        let (log, size) = self
            .fleet
            .with(number, |gateway| (gateway.log(), gateway.signed_size()))?;
        Ok(self.place.log(&log).size()? >= size)
    }

    /// Waits until the archive has all that these gateways have signed, and compares it leaf by leaf.
    ///
    /// # Errors
    ///
    /// With the sizes, when it has not in time; or the first leaf that is another.
    pub fn until_kept(&self, numbers: impl IntoIterator<Item = usize>) -> Result<()> {
        for number in numbers {
            let log = self.fleet.log(number)?;
            let files = self.place.log(&log);
            let kept = wait::until(&log, LIMIT, || Ok(self.is_kept(number)?.then_some(())));
            kept.with_context(|| {
                let size = self.fleet.with(number, |gateway| gateway.signed_size());
                format!("signed: {size:?}, kept: {:?}", files.size())
            })?;
            same(&self.fleet, number, &files).with_context(|| log.clone())?;
        }
        Ok(())
    }

    /// All gateways, by their numbers.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.fleet.count()
    }

    /// What was heard of the witness so far: what bears its name, whoever else speaks on its topics.
    ///
    /// # Errors
    ///
    /// When it is no cosignature, or it contradicts itself.
    pub fn cosigned(&mut self, witness: &VerifierKey) -> Result<Cosigned> {
        heard(&mut self.listener, witness)
    }

    /// Waits until so much was heard of the witness that `probe` is satisfied.
    ///
    /// # Errors
    ///
    /// After the limit, or as [`cosigned`](Self::cosigned).
    pub fn until_cosigned(
        &mut self,
        what: &str,
        witness: &VerifierKey,
        probe: impl Fn(&Cosigned) -> bool,
    ) -> Result<Cosigned> {
        wait::until(what, LIMIT, || {
            let cosigned = self.cosigned(witness)?;
            Ok(probe(&cosigned).then_some(cosigned))
        })
    }
}

/// What a listener has heard of a witness so far: what bears its name.
///
/// # Errors
///
/// When it is no cosignature, or it contradicts itself.
pub fn heard(listener: &mut Subscriber, witness: &VerifierKey) -> Result<Cosigned> {
    let messages: Vec<&Message> = listener.messages()?;
    let name = format!("\u{2014} {} ", witness.name());
    let said: Vec<&Message> = messages
        .into_iter()
        .filter(|message| message.payload.contains(&name))
        .collect();
    Cosigned::of(&said, witness)
}

/// What was heard of the witness when all that the broker had by now has come. Its archive is gone.
///
/// # Errors
///
/// As [`heard`].
pub fn heard_all(
    (fleet, listener): (&Fleet, &mut Subscriber),
    witness: &VerifierKey,
) -> Result<Cosigned> {
    // The broker tells it in the order in which it came.
    let from = listener.mark()?;
    let topic = "lineside/v1/nobody/nobody/ledger/cosignature";
    let mark = format!("mark {from}");
    fleet.say(0, Outgoing::new(topic.to_owned(), mark.as_bytes()))?;
    listener.wait_on(from, topic, LIMIT, |message| {
        (message.payload == mark).then_some(())
    })?;
    heard(listener, witness)
}
