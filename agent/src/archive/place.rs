//! Which log: of which gateway, in which epoch.

use std::fmt;

use lineside_proto::Identifier;

/// A log's name in an archive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The platform.
    pub site: Identifier,
    /// Its gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger, from 1.
    pub epoch: u32,
}

impl fmt::Display for Place {
    /// As the folders are: `site/gateway/e1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/e{}", self.site, self.gateway, self.epoch)
    }
}

/// The epoch of a folder's name; none for other names.
pub(super) fn epoch_of(name: &str) -> Option<u32> {
    let epoch: u32 = name.strip_prefix('e')?.parse().ok()?;
    (epoch > 0 && format!("e{epoch}") == name).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::epoch_of;

    #[test]
    fn only_plain_numbers_are_epochs() {
        for (name, expected) in [
            ("e1", Some(1)),
            ("e12", Some(12)),
            ("e0", None),
            ("e01", None),
            ("e", None),
            ("1", None),
            ("e+1", None),
            ("e4294967296", None),
        ] {
            assert_eq!(epoch_of(name), expected, "{name}");
        }
    }
}
