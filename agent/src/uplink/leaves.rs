//! What the ledger's leaves are on their way to the city: the leaf itself, and for some a document that
//! says the same to the portal. Pure.
//!
//! Each leaf has two positions in its queue, so that the mark passes it only when all that it has to say
//! was acknowledged: the last publish of leaf n stands at 2n + 1, and what comes before it at 2n.

use lineside_proto::ledger::Leaf;
use lineside_proto::{Identifier, LeafMessage, SessionDocument};

use super::queue::Weight;

/// One publish that a leaf leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Announcement {
    /// The leaf.
    pub(super) index: u64,
    /// Where it goes.
    pub(super) to: Audience,
    /// The document.
    pub(super) payload: Vec<u8>,
}

/// Whom a publish of the ledger is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Audience {
    /// Whoever keeps the ledger: `ledger/leaf`.
    Archive,
    /// The portal: the machine's `sessions`.
    Portal(Identifier),
}

impl Weight for Announcement {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// Why a leaf can't be announced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// The ledger gave other leaves than those asked for.
    #[error("the ledger has no leaf {0} where it should, or not in its order")]
    Missing(u64),
    /// No text at all, so certainly not what was written.
    #[error("leaf {0} is no text")]
    NoText(u64),
}

/// The queue's position from which leaf `index` is to be announced.
pub(super) fn position(index: u64) -> u64 {
    index.saturating_mul(2)
}

/// The leaf that a position of the queue belongs to; of a mark: the leaves that are done with.
pub(super) fn index(position: u64) -> u64 {
    position / 2
}

/// What to publish for leaves that follow on each other from `from` on. Adds to `into`.
///
/// # Errors
///
/// [`Unfit`]: nothing may be published beyond such a leaf.
pub(super) fn announce(
    (site, gateway): (&Identifier, &Identifier),
    from: u64,
    leaves: Vec<(u64, Vec<u8>)>,
) -> Result<Vec<(u64, Announcement)>, Unfit> {
    if leaves.is_empty() {
        return Err(Unfit::Missing(from));
    }
    let mut announcements = Vec::with_capacity(leaves.len());
    for (expected, (index, bytes)) in (from..).zip(leaves) {
        if index != expected {
            return Err(Unfit::Missing(expected));
        }
        // A leaf that a later version wrote has no document here, but is a leaf.
        let document = Leaf::from_bytes(&bytes)
            .ok()
            .and_then(|leaf| SessionDocument::from_leaf(site, gateway, &leaf));
        let leaf = String::from_utf8(bytes).map_err(|_| Unfit::NoText(index))?;
        let first = position(index);
        let last = first.saturating_add(1);
        announcements.push((
            if document.is_some() { first } else { last },
            Announcement {
                index,
                to: Audience::Archive,
                // Numbers and texts only: writing it can't fail.
                payload: serde_json::to_vec(&LeafMessage { index, leaf }).unwrap_or_default(),
            },
        ));
        if let Some(document) = document {
            announcements.push((
                last,
                Announcement {
                    index,
                    to: Audience::Portal(document.machine.clone()),
                    payload: serde_json::to_vec(&document).unwrap_or_default(),
                },
            ));
        }
    }
    Ok(announcements)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Audience, Unfit, announce, index, position};
    use lineside_proto::ledger::{
        Audit, Bind, Leaf, LeafBody, LeafHead, SessionEvent, SessionLeaf,
    };
    use lineside_proto::{CheckIn, Class, Identifier, LeafMessage, SessionDocument, Time};

    /// The body of a leaf without a document.
    pub(in crate::uplink) fn plain() -> LeafBody {
        LeafBody::Audit(Audit {
            who: "\"tester\" 试".to_owned(),
            action: "apply".to_owned(),
            what: String::new(),
        })
    }

    /// The body of a leaf with one.
    pub(in crate::uplink) fn session() -> LeafBody {
        LeafBody::Session(SessionLeaf {
            machine: id("press"),
            event: SessionEvent::Open,
            session: "s1".to_owned(),
            booking: None,
            token: None,
            class: Class::Unb,
            check_in: CheckIn::Implied,
            by: None,
            from: Time::default(),
            from_ms: 0,
            to: None,
            to_ms: None,
            reason: None,
        })
    }

    fn bind() -> LeafBody {
        LeafBody::Bind(Bind {
            machine: id("press"),
            session: "s1".to_owned(),
            booking: "b1".to_owned(),
            token: "sha256:00".to_owned(),
            class: Class::Ext,
            before: Class::Unb,
        })
    }

    fn id(text: &str) -> Identifier {
        text.parse().unwrap()
    }

    pub(in crate::uplink) fn leaf(index: u64, body: LeafBody) -> (u64, Vec<u8>) {
        let head = LeafHead {
            v: 1,
            index,
            at: Time::from_millis(1_795_420_800_000),
            boot: "b".to_owned(),
            mono_ms: index,
        };
        (index, Leaf { head, body }.to_bytes().unwrap())
    }

    #[test]
    fn documents_follow_their_leaves_and_the_last_of_a_leaf_is_odd() {
        let leaves = vec![
            leaf(7, plain()),
            leaf(8, session()),
            leaf(9, bind()),
            (10, b"{\"type\":\"later\"}".to_vec()),
        ];
        let said = announce((&id("s"), &id("g")), 7, leaves.clone()).unwrap();
        let order: Vec<_> = said
            .iter()
            .map(|(at, said)| (*at, said.index, said.to == Audience::Archive))
            .collect();
        let expected = [
            (15, 7, true),
            (16, 8, true),
            (17, 8, false),
            (18, 9, true),
            (19, 9, false),
            (21, 10, true),
        ];
        assert_eq!(order, expected);
        for (at, said) in said {
            assert_eq!(index(at), said.index);
            assert_eq!(index(at + 1) == said.index + 1, at % 2 == 1);
            let exact = &leaves.iter().find(|(at, _)| *at == said.index).unwrap().1;
            match said.to {
                Audience::Archive => {
                    let message: LeafMessage = serde_json::from_slice(&said.payload).unwrap();
                    assert_eq!(message.index, said.index);
                    assert_eq!(message.leaf.as_bytes(), exact.as_slice());
                }
                Audience::Portal(machine) => {
                    let document: SessionDocument = serde_json::from_slice(&said.payload).unwrap();
                    assert_eq!(machine, document.machine);
                    assert_eq!(document.index, said.index);
                }
            }
        }
        assert_eq!(position(7), 14);
    }

    #[test]
    fn a_hole_or_no_text_stops_everything() {
        let names = (id("s"), id("g"));
        let check = |from: u64, leaves: Vec<(u64, Vec<u8>)>| {
            announce((&names.0, &names.1), from, leaves).map(|said| said.len())
        };
        assert_eq!(check(3, vec![]), Err(Unfit::Missing(3)));
        assert_eq!(check(3, vec![leaf(4, plain())]), Err(Unfit::Missing(3)));
        let hole = vec![leaf(3, plain()), leaf(5, plain())];
        assert_eq!(check(3, hole), Err(Unfit::Missing(4)));
        let repeated = vec![leaf(3, plain()), leaf(3, plain())];
        assert_eq!(check(3, repeated), Err(Unfit::Missing(4)));
        assert_eq!(check(3, vec![(3, vec![0xff])]), Err(Unfit::NoText(3)));
    }
}
