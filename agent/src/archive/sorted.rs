//! Which topics an archive hears, and what a message is by its topic. Pure.

use lineside_proto::{GatewayStatus, Identifier, Link};

use super::asker::Asker;
use super::desk::Said;

/// What a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sorted {
    /// Something for the desk.
    Said(Identifier, Identifier, Spoken),
    /// A gateway's status.
    Status(Identifier, Identifier),
    /// A machine's availability.
    Availability(Identifier, Identifier, Identifier),
    /// A request to a gateway.
    Request(Identifier, Identifier),
    /// An answer to this process.
    Answer,
    /// Nobody asked for it.
    Foreign,
}

/// What is for the desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spoken {
    /// A leaf.
    Leaf,
    /// A signed head.
    Head,
    /// A cosigned head.
    Cosigned,
}

impl Spoken {
    /// With what it says.
    pub(super) fn of(self, payload: Vec<u8>) -> Said {
        match self {
            Self::Leaf => Said::Leaf(payload),
            Self::Head => Said::Head(payload),
            Self::Cosigned => Said::Cosigned(payload),
        }
    }
}

/// The filters of the ledgers, that of the leaves first.
pub(super) fn ledger_filters(prefix: &str, share: Option<&str>) -> Vec<String> {
    let leaves = format!("{prefix}/+/+/ledger/leaf");
    vec![
        // One of several processes gets each leaf, and hands it over by its files.
        share.map_or_else(
            || leaves.clone(),
            |group| format!("$share/{group}/{leaves}"),
        ),
        format!("{prefix}/+/+/ledger/checkpoint"),
        format!("{prefix}/+/+/ledger/cosignature/#"),
    ]
}

/// The archive that a process is of, by its name: processes of one directory differ in what follows the last stroke.
pub(super) fn family(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(family, _)| family)
}

/// The filters of all else. Each archive hears each request to a gateway, by one of its processes: what one does not hold
/// another may.
pub(super) fn exchange_filters(prefix: &str, name: &str) -> Vec<String> {
    vec![
        format!("{prefix}/+/+/status"),
        format!("{prefix}/+/+/availability/+"),
        format!("$share/lineside-{}/{prefix}/+/+/request", family(name)),
        Asker::filter(prefix, name),
    ]
}

/// What a message is by its topic.
pub(super) fn sort(prefix: &str, name: &str, topic: &str) -> Sorted {
    sorted(prefix, name, topic).unwrap_or(Sorted::Foreign)
}

fn sorted(prefix: &str, name: &str, topic: &str) -> Option<Sorted> {
    let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?;
    let (site, rest) = rest.split_once('/')?;
    let (gateway, rest) = rest.split_once('/')?;
    let (site, gateway): (Identifier, Identifier) = (site.parse().ok()?, gateway.parse().ok()?);
    let said = |kind| Some(Sorted::Said(site.clone(), gateway.clone(), kind));
    match rest {
        "ledger/leaf" => said(Spoken::Leaf),
        "ledger/checkpoint" => said(Spoken::Head),
        "status" => Some(Sorted::Status(site, gateway)),
        "request" => Some(Sorted::Request(site, gateway)),
        _ if rest == "ledger/cosignature" || rest.starts_with("ledger/cosignature/") => {
            said(Spoken::Cosigned)
        }
        _ => {
            if let Some(machine) = rest.strip_prefix("availability/") {
                return Some(Sorted::Availability(site, gateway, machine.parse().ok()?));
            }
            (rest.strip_prefix("response/") == Some(name)).then_some(Sorted::Answer)
        }
    }
}

/// Whether a status says that its gateway is there.
pub(super) fn is_online(payload: &[u8]) -> bool {
    let status = serde_json::from_slice::<GatewayStatus>(payload);
    status.is_ok_and(|status| status.link == Link::Online)
}

#[cfg(test)]
mod tests {
    use super::{Sorted, Spoken, exchange_filters, ledger_filters, sort};

    #[test]
    fn topics_say_what_a_message_is() {
        let id = |text: &str| text.parse().unwrap();
        let said = |kind| Sorted::Said(id("s"), id("g"), kind);
        for (topic, expected) in [
            ("p/v1/s/g/ledger/leaf", said(Spoken::Leaf)),
            ("p/v1/s/g/ledger/checkpoint", said(Spoken::Head)),
            ("p/v1/s/g/ledger/cosignature", said(Spoken::Cosigned)),
            (
                "p/v1/s/g/ledger/cosignature/0a1b2c3d",
                said(Spoken::Cosigned),
            ),
            ("p/v1/s/g/ledger/cosignatures", Sorted::Foreign),
            ("p/v1/s/g/status", Sorted::Status(id("s"), id("g"))),
            (
                "p/v1/s/g/availability/press",
                Sorted::Availability(id("s"), id("g"), id("press")),
            ),
            ("p/v1/s/g/availability/a/b", Sorted::Foreign),
            ("p/v1/s/g/request", Sorted::Request(id("s"), id("g"))),
            ("p/v1/s/g/response/me", Sorted::Answer),
            ("p/v1/s/g/response/you", Sorted::Foreign),
            ("p/v1/S/g/status", Sorted::Foreign),
            ("p/v1/s/../status", Sorted::Foreign),
            ("p/v1/s/g", Sorted::Foreign),
            ("p/v2/s/g/status", Sorted::Foreign),
            ("p/v1s/g/x/status", Sorted::Foreign),
            ("", Sorted::Foreign),
        ] {
            assert_eq!(sort("p/v1", "me", topic), expected, "{topic}");
        }
    }

    #[test]
    fn leaves_come_first_and_may_be_shared() {
        let alone = ledger_filters("p", None);
        assert_eq!(alone[0], "p/+/+/ledger/leaf");
        assert_eq!(
            ledger_filters("p", Some("city"))[0],
            "$share/city/p/+/+/ledger/leaf"
        );
        // Two processes of one archive share its requests, and no other does.
        for (name, group) in [("archive-a-1", "archive-a"), ("archive-b-1", "archive-b")] {
            let exchange = exchange_filters("p", name);
            assert!(exchange.contains(&format!("p/+/+/response/{name}")));
            assert!(exchange.contains(&format!("$share/lineside-{group}/p/+/+/request")));
        }
    }
}
