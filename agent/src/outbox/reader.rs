//! Reading on, in order, from any position.

use std::io::ErrorKind;
use std::sync::Arc;

use super::aside;
use super::index::name_of;
use super::owed;
use super::scan::scan;
use super::segment::{Found, OpenPack, Segment, SegmentError};
use super::shelf::Place;
use super::store::{Store, lock};
use super::{Record, StoreError};

/// What a lost record's gap document says.
pub(super) const DAMAGED: &str = "the outbox was damaged";

/// The pack that was read last, so that reading on does not unpack it again.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pack: Option<OpenPack>,
}

impl Store {
    /// Durable records from a position on, up to about so many bytes of payload, but at least one.
    pub(super) fn read(
        &self,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Record)>, StoreError> {
        let mut reader = lock(&self.reader);
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut position = from;
        while bytes < bytes_max || records.is_empty() {
            let Some(place) = lock(&self.shelf).locate(position) else {
                break;
            };
            position = place.position;
            if !reader
                .pack
                .as_ref()
                .is_some_and(|pack| pack.holds(position))
            {
                match self.step(&place)? {
                    Step::Pack(pack) => reader.pack = Some(pack),
                    Step::On(next) => {
                        position = next;
                        continue;
                    }
                    // An empty answer would say that there is nothing here.
                    Step::Wait if records.is_empty() => return Err(self.not_yet()),
                    Step::Wait => break,
                }
            }
            let Some(pack) = &reader.pack else { break };
            let skip = usize::try_from(position - pack.first).unwrap_or(usize::MAX);
            for record in pack.records.iter().skip(skip) {
                if bytes >= bytes_max && !records.is_empty() {
                    break;
                }
                bytes += record.payload.len();
                records.push((position, record.clone()));
                position += 1;
            }
        }
        Ok(records)
    }

    fn not_yet(&self) -> StoreError {
        StoreError::disk(&self.dir)(ErrorKind::WouldBlock.into())
    }

    fn step(&self, place: &Place) -> Result<Step, StoreError> {
        let segment = match &place.tail {
            Some(tail) => Ok(Some(Arc::clone(tail))),
            None => self.enter(place.first),
        };
        let found = match segment {
            Ok(None) => return Ok(Step::On(place.position)),
            Ok(Some(segment)) => segment.find(place.position).map(|found| (segment, found)),
            Err(error) => Err(error),
        };
        match found {
            Ok((_, Found::Pack(pack))) => Ok(Step::Pack(pack)),
            Ok((_, Found::Hole(next))) if place.holes => {
                Ok(Step::On(next.unwrap_or(place.end).min(place.end)))
            }
            Ok((segment, Found::Hole(_))) => self.survey(place, &segment),
            Err(error) => self.give_up(place, error),
        }
    }

    /// Records are missing: what is, is named once, and reading goes on behind it.
    fn survey(&self, place: &Place, segment: &Segment) -> Result<Step, StoreError> {
        let Some(contents) = lock(&self.shelf).contents_mut(place.first).cloned() else {
            return Ok(Step::On(place.position));
        };
        let seen = match scan(segment, contents.first, Some(contents.end)) {
            Ok(seen) => seen,
            Err(error) => return self.give_up(place, error),
        };
        let mut shelf = lock(&self.shelf);
        let loss = owed::lost(&contents, &seen, shelf.delivered, DAMAGED);
        let name = contents.name();
        tracing::error!(
            segment = name,
            messages = loss.messages,
            "alarm: the outbox is damaged"
        );
        if let Some(contents) = shelf.contents_mut(place.first) {
            contents.holes = true;
            shelf.lose(loss);
        }
        Ok(Step::On(place.position))
    }

    /// A segment can't be read any more: it is set aside and named as lost.
    fn give_up(&self, place: &Place, error: SegmentError) -> Result<Step, StoreError> {
        let text = match error {
            SegmentError::Damaged(text) => text,
            passing @ SegmentError::Passing(_) => return Err(self.refusal(passing)),
        };
        if place.tail.is_some() {
            // The writer closes it with its next commit; then it is read as a full one.
            lock(&self.shelf).is_tail_done = true;
            return Ok(Step::Wait);
        }
        let name = name_of(place.first);
        self.shut(place.first, || {
            let mut shelf = lock(&self.shelf);
            if let Some(held) = shelf.remove(place.first) {
                shelf.lose(owed::given_up(&held.contents, None, DAMAGED));
            }
            drop(shelf);
            let aside = aside::set_aside(&self.dir, &name);
            tracing::error!(
                segment = name,
                error = text,
                ?aside,
                "alarm: a segment is set aside"
            );
        });
        lock(&self.shelf).aside_bytes = aside::measure(&self.dir);
        Ok(Step::On(place.end))
    }
}

enum Step {
    Pack(OpenPack),
    On(u64),
    Wait,
}
