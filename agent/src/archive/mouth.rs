//! What the desk says, on its way out: questions to gateways, cosignatures to the broker, news to who reads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lineside_proto::{Identifier, Topics};
use tokio::sync::mpsc;

use super::asker::Asker;
use super::desk::{Asked, Input, Output};
use super::place::Place;
use super::readers::Readers;
use super::run::Batch;
use super::shelf::Shelf;
use super::submitting::Submitter;
use super::witness::{Submitted, Target};
use crate::clock::{Clock, SystemClock};
use crate::uplink::mqtt::intake::Outlet;

/// Cosignatures of other people's witnesses that are not published yet.
const SUBMITTED_MAX: usize = 64;

/// Who speaks.
pub(super) struct Mouth {
    prefix: String,
    outlet: Outlet,
    asker: Arc<Asker>,
    batches: mpsc::Sender<Batch>,
    readers: Readers,
    submitters: Vec<Submitter>,
    submitted: mpsc::Receiver<(Place, Submitted)>,
    published: Published,
    /// Keeps the channel open where nobody submits.
    _submitting: mpsc::Sender<(Place, Submitted)>,
}

impl Mouth {
    pub(super) fn new(
        prefix: String,
        (outlet, asker): (Outlet, Arc<Asker>),
        batches: mpsc::Sender<Batch>,
        readers: Readers,
        (shelf, witnesses): (Shelf, Vec<Target>),
    ) -> Self {
        let (submitting, submitted) = mpsc::channel(SUBMITTED_MAX);
        let start = |target| Submitter::start(shelf.clone(), target, submitting.clone());
        Self {
            submitters: witnesses.into_iter().map(start).collect(),
            prefix,
            outlet,
            asker,
            batches,
            readers,
            submitted,
            published: Published::default(),
            _submitting: submitting,
        }
    }

    /// Speaks until nobody has anything to say any more. Waits for nobody who waits for the desk, since the desk waits
    /// for this.
    pub(super) async fn speak(mut self, mut said: mpsc::Receiver<Output>) {
        let mut signed: VecDeque<Batch> = VecDeque::new();
        let batches = self.batches.clone();
        loop {
            tokio::select! {
                output = said.recv() => match output {
                    Some(output) => self.say(output),
                    None => return,
                },
                Some((place, submitted)) = self.submitted.recv(), if signed.len() < SUBMITTED_MAX => {
                    signed.push_back(self.submitted(place, submitted));
                }
                Ok(permit) = batches.reserve(), if !signed.is_empty() => {
                    if let Some(batch) = signed.pop_front() {
                        permit.send(batch);
                    }
                }
            }
        }
    }

    fn say(&self, output: Output) {
        match output {
            Output::Ask(asked) => self.ask(asked),
            Output::Cosigned { place, note, key } => {
                self.readers.cosigned(&place, &note);
                self.publish(&place, &note, key);
            }
            Output::Grown { place, size, root } => {
                self.readers.grown(&place, size, root);
                for submitter in &self.submitters {
                    submitter.grown(&place);
                }
            }
            Output::Alarm { place, alarm } => {
                let document = alarm.document(&place, SystemClock.now().wall);
                self.readers.live.alarm(&place, &document);
            }
        }
    }

    fn ask(&self, asked: Asked) {
        let (asker, batches) = (Arc::clone(&self.asker), self.batches.clone());
        // As many at once as the desk allows itself.
        tokio::spawn(async move {
            let result = asker.ask(&asked).await;
            let batch = Batch::of(Input::Answer { asked, result });
            // An archive that ends needs no answers.
            drop(batches.send(batch).await);
        });
    }

    /// Somebody else's witness has cosigned a head of ours. Gives what the desk is told.
    fn submitted(&mut self, place: Place, submitted: Submitted) -> Batch {
        let Submitted {
            head,
            note,
            signature,
            ..
        } = submitted;
        if self.published.is_beyond(&place, head.size, signature.hash) {
            self.publish(&place, &note.to_string(), signature.hash);
        }
        Batch::of(Input::Signed {
            place,
            head,
            line: signature,
        })
    }

    fn publish(&self, place: &Place, note: &str, key: [u8; 4]) {
        let topics = Topics::new(&self.prefix, &place.site, &place.gateway);
        for topic in [topics.cosignature_of(key), topics.cosignature()] {
            self.outlet.keep(topic, note.to_owned());
        }
    }
}

/// What of each gateway's ledger was published last of what a witness has cosigned, by its key's hash: epoch and size.
#[derive(Debug, Default)]
struct Published(BTreeMap<(Identifier, Identifier, [u8; 4]), (u32, u64)>);

impl Published {
    /// Whether a head is beyond what was published before, and takes it for what was published last: gateways find the
    /// last word only, and an epoch before may be shown late.
    fn is_beyond(&mut self, place: &Place, size: u64, key: [u8; 4]) -> bool {
        let whose = (place.site.clone(), place.gateway.clone(), key);
        let last = self.0.entry(whose).or_default();
        let is_beyond = (place.epoch, size) > *last;
        if is_beyond {
            *last = (place.epoch, size);
        }
        is_beyond
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Published};

    #[test]
    fn an_epoch_before_that_is_shown_late_does_not_take_the_place_of_the_newest() {
        let mut published = Published::default();
        let (one, other) = ([1; 4], [2; 4]);
        for (gateway, epoch, size, key, expected) in [
            ("gw-1", 1, 50, one, true),
            ("gw-1", 1, 50, one, false),
            ("gw-1", 1, 49, one, false),
            ("gw-1", 2, 3, one, true),
            ("gw-1", 1, 90, one, false),
            ("gw-1", 1, 90, other, true),
            ("gw-2", 1, 1, one, true),
            ("gw-1", 2, 4, one, true),
        ] {
            let place = Place {
                site: "zs".parse().unwrap(),
                gateway: gateway.parse().unwrap(),
                epoch,
            };
            let said = published.is_beyond(&place, size, key);
            assert_eq!(said, expected, "{place} {size} {key:?}");
        }
    }
}
