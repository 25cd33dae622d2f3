//! What a leaf names: a machine, a map, a token.

use super::LeafBody;
use crate::Identifier;

impl LeafBody {
    /// The machine that it is about, if it is about one.
    pub fn machine(&self) -> Option<&Identifier> {
        match self {
            Self::Config(leaf) => Some(&leaf.machine),
            Self::Booking(leaf) => Some(&leaf.machine),
            Self::State(leaf) => Some(&leaf.machine),
            Self::Session(leaf) => Some(&leaf.machine),
            Self::Usage(leaf) => Some(&leaf.machine),
            Self::Gap(leaf) => Some(&leaf.machine),
            Self::Bind(leaf) => Some(&leaf.machine),
            Self::Summary(leaf) => Some(&leaf.machine),
            Self::Genesis(_)
            | Self::Boot(_)
            | Self::Key(_)
            | Self::Audit(_)
            | Self::Clock(_)
            | Self::Anchor(_)
            | Self::Correction(_) => None,
        }
    }

    /// The map that it names (`sha256:…`), if it names one.
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::Config(leaf) => Some(&leaf.map),
            Self::State(leaf) => Some(&leaf.config),
            Self::Usage(leaf) => Some(&leaf.config),
            Self::Genesis(_)
            | Self::Boot(_)
            | Self::Booking(_)
            | Self::Key(_)
            | Self::Audit(_)
            | Self::Clock(_)
            | Self::Session(_)
            | Self::Gap(_)
            | Self::Anchor(_)
            | Self::Bind(_)
            | Self::Correction(_)
            | Self::Summary(_) => None,
        }
    }

    /// The booking's token that it names (`sha256:…`), if it names one. An empty text is none: agents write that for
    /// unsigned bookings that were bound late.
    pub fn token(&self) -> Option<&str> {
        let token = match self {
            Self::Booking(leaf) => leaf.token.as_deref(),
            Self::Session(leaf) => leaf.token.as_deref(),
            Self::Bind(leaf) => Some(leaf.token.as_str()),
            Self::Genesis(_)
            | Self::Boot(_)
            | Self::Config(_)
            | Self::Key(_)
            | Self::Audit(_)
            | Self::Clock(_)
            | Self::State(_)
            | Self::Usage(_)
            | Self::Gap(_)
            | Self::Anchor(_)
            | Self::Correction(_)
            | Self::Summary(_) => None,
        };
        token.filter(|token| !token.is_empty())
    }
}
