//! What passes between a connection and its deliveries. Plain data.

use std::time::Instant;

/// What a connection allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// Publishes on their way at once, at least 1.
    pub(super) window: u16,
    /// The largest packet that the broker takes; none: any.
    pub(super) packet_bytes_max: Option<u32>,
}

/// A publish to hand over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outgoing {
    /// The topic.
    pub(super) topic: String,
    /// The document.
    pub(super) payload: Vec<u8>,
    /// Its content type.
    pub(super) content_type: &'static str,
    /// Whether the broker keeps it.
    pub(super) retained: bool,
    /// The message expiry interval, in seconds.
    pub(super) expiry_s: Option<u32>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Hand this over.
    Publish(Outgoing),
    /// Nothing to hand over: this would be more than the broker takes.
    TooLarge {
        /// The topic.
        topic: String,
        /// The packet's size.
        bytes: usize,
    },
    /// The same of what must not be skipped: it waits.
    Held {
        /// What: the topic, and the leaf's index after a `#`.
        what: String,
        /// Not before.
        until: Instant,
        /// Whether that is new, or was so already.
        anew: bool,
    },
}

/// The reason code that stands for a packet larger than the broker takes.
pub(super) const TOO_LARGE: u8 = 0x95;

/// What the broker's answer came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The broker has it.
    Delivered {
        /// Its topic.
        topic: String,
        /// The leaf that it is about, if it is about one.
        leaf: Option<u64>,
    },
    /// It was refused, and will be sent again.
    Held {
        /// Its topic.
        topic: String,
        /// The reason code.
        code: u8,
        /// Not before.
        until: Instant,
        /// Whether that is new, or was so already.
        anew: bool,
    },
    /// It was refused for good.
    SetAside {
        /// Its topic.
        topic: String,
        /// The reason code.
        code: u8,
    },
    /// The broker has answered the last word of a clean stop.
    Farewell {
        /// Whether it has it.
        delivered: bool,
    },
    /// The connection is out of step.
    Reconnect,
}

/// A record that the broker will never take, to be replaced by a gap document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DeadLetter {
    /// Its position in the outbox.
    pub(super) position: u64,
    /// Why.
    pub(super) reason: &'static str,
}

/// What a refusal of one leaf alone, and not of its topic, is known by.
pub(super) fn one_leaf(topic: &str, index: u64) -> String {
    format!("{topic}#{index}")
}
