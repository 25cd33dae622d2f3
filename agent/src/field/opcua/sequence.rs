//! The sequence numbers of one subscription: what is missing is noticed, what comes late is put in its
//! place, and what was lost is said where it was lost.
//!
//! Pure: messages and answers come in, messages in order come out. Knows nothing of what a message
//! holds, of time or of a server. Bounded: a message waits only for a few before it.

use std::collections::VecDeque;

/// Messages that are asked for again at once; where more are missing, the server has long dropped
/// them.
pub(super) const ASKED_MAX: u32 = 16;

/// Messages that wait for one before them. With more, order costs more memory than it is worth.
pub(super) const HELD_MAX: usize = 64;

/// Messages in a row that carry numbers of the past. One is a message sent twice; so many are a server
/// that began to count anew, whose messages must not be dropped for ever.
const STRAYS_MAX: u32 = 3;

/// Where messages beyond this distance ahead are messages from the past: half the circle.
const BEHIND: u32 = u32::MAX / 2;

/// The messages of one subscription from its creation on.
#[derive(Debug)]
pub(super) struct Sequence<T> {
    next: u32,
    queue: VecDeque<Place<T>>,
    /// Messages with numbers of the past, since the last that fitted.
    strays: u32,
}

#[derive(Debug)]
enum Place<T> {
    Here(T),
    Awaited(u32),
    Lost(u64),
}

/// What comes out, in the server's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Passed<T> {
    /// A message.
    Message(T),
    /// So many messages were lost here.
    Lost(u64),
}

impl<T> Sequence<T> {
    /// The messages of a subscription that was just made: the first has the number 1.
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            queue: VecDeque::new(),
            strays: 0,
        }
    }

    /// Takes a message with this number, or a keep-alive (none), which carries the number of the
    /// message to come. Gives the numbers to ask for again. A message that was there before is
    /// dropped; [`STRAYS_MAX`] in a row are lost.
    pub(super) fn arrive(&mut self, number: u32, message: Option<T>) -> Vec<u32> {
        if let Some(place) = self.awaited(number) {
            if let Some(message) = message {
                *place = Place::Here(message);
            }
            return Vec::new();
        }
        // Zero is no number; a server that begins with it is taken as it is.
        let skipped = if number == 0 {
            0
        } else {
            ahead(self.next, number)
        };
        let is_old = skipped > BEHIND || (number == 0 && self.next != 1);
        if is_old {
            self.stray(message.is_some());
            return Vec::new();
        }
        self.strays = 0;
        let asked = self.skip(skipped);
        if let Some(message) = message {
            self.next = after(number);
            self.queue.push_back(Place::Here(message));
        }
        if self.queue.len() > HELD_MAX {
            self.give_up();
            return Vec::new();
        }
        asked
    }

    /// Takes what a server answered when asked for a message again; none: it no longer has it.
    pub(super) fn answer(&mut self, number: u32, message: Option<T>) {
        if let Some(place) = self.awaited(number) {
            *place = message.map_or(Place::Lost(1), Place::Here);
        }
    }

    /// Waits no longer: what is missing is lost.
    pub(super) fn give_up(&mut self) {
        for place in &mut self.queue {
            if matches!(place, Place::Awaited(_)) {
                *place = Place::Lost(1);
            }
        }
    }

    /// The next message, or how many were lost before it; none where one is still awaited.
    pub(super) fn pass(&mut self) -> Option<Passed<T>> {
        let mut lost = 0;
        loop {
            match self.queue.front() {
                Some(Place::Lost(more)) => {
                    lost += more;
                    self.queue.pop_front();
                }
                Some(Place::Here(_) | Place::Awaited(_)) | None if lost > 0 => {
                    return Some(Passed::Lost(lost));
                }
                Some(Place::Awaited(_)) | None => return None,
                Some(Place::Here(_)) => match self.queue.pop_front() {
                    Some(Place::Here(message)) => return Some(Passed::Message(message)),
                    Some(Place::Awaited(_) | Place::Lost(_)) | None => return None,
                },
            }
        }
    }

    /// Whether a message is awaited, or the last that came had no place: values may be missing.
    pub(super) fn is_broken(&self) -> bool {
        let mut places = self.queue.iter();
        self.strays > 0 || places.any(|place| matches!(place, Place::Awaited(_)))
    }

    /// Something with a number of the past came. A keep-alive loses nothing: some servers give it the
    /// number of the last message.
    fn stray(&mut self, is_message: bool) {
        self.strays += u32::from(is_message);
        if self.strays >= STRAYS_MAX {
            self.queue.push_back(Place::Lost(self.strays.into()));
            self.strays = 0;
        }
    }

    fn awaited(&mut self, number: u32) -> Option<&mut Place<T>> {
        self.queue
            .iter_mut()
            .find(|place| matches!(place, Place::Awaited(awaited) if *awaited == number))
    }

    /// Leaves room for so many messages; gives the numbers of those that can be asked for.
    fn skip(&mut self, count: u32) -> Vec<u32> {
        if count > ASKED_MAX {
            self.queue.push_back(Place::Lost(count.into()));
            self.next = forward(self.next, count);
            return Vec::new();
        }
        let mut asked = Vec::new();
        for _ in 0..count {
            asked.push(self.next);
            self.queue.push_back(Place::Awaited(self.next));
            self.next = after(self.next);
        }
        asked
    }
}

/// The number after this one; after the highest comes 1.
fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

/// How many steps lead from one number to another.
fn ahead(from: u32, to: u32) -> u32 {
    if to >= from {
        to - from
    } else {
        u32::MAX - (from - to)
    }
}

fn forward(from: u32, steps: u32) -> u32 {
    from.checked_add(steps)
        .unwrap_or_else(|| from.wrapping_add(steps).wrapping_add(1))
}

#[cfg(test)]
mod tests;
