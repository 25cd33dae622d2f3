//! Reads leaves in their canonical form, head and fact each for itself: nothing is kept in between.

use serde::Deserialize;

use super::{Leaf, LeafBody, LeafHead};
use crate::ledger::jcs;

/// A leaf's exact bytes, if they are certainly canonical and a leaf; else whoever asks finds out why not.
pub(super) fn fast(bytes: &[u8]) -> Option<Leaf> {
    let kind = jcs::text_of(bytes, b"type")?;
    let body = match kind {
        b"genesis" => LeafBody::Genesis(read(bytes)?),
        b"boot" => LeafBody::Boot(read(bytes)?),
        b"config" => LeafBody::Config(read(bytes)?),
        b"booking" => LeafBody::Booking(read(bytes)?),
        b"key" => LeafBody::Key(read(bytes)?),
        b"audit" => LeafBody::Audit(read(bytes)?),
        b"clock" => LeafBody::Clock(read(bytes)?),
        b"state" => LeafBody::State(read(bytes)?),
        b"session" => LeafBody::Session(read(bytes)?),
        b"usage" => LeafBody::Usage(read(bytes)?),
        b"gap" => LeafBody::Gap(read(bytes)?),
        b"anchor" => LeafBody::Anchor(read(bytes)?),
        b"bind" => LeafBody::Bind(read(bytes)?),
        b"correction" => LeafBody::Correction(read(bytes)?),
        b"summary" => LeafBody::Summary(read(bytes)?),
        _ => return None,
    };
    let head: LeafHead = read(bytes)?;
    Some(Leaf { head, body })
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
