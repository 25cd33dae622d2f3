//! A walk through a server's address space.

use super::open::clock;
use super::peer::{DATA, MANY, PARTS, Peer, own};
use crate::config::model::{Identity, NodeKind, NodeName, Security};
use crate::field::opcua::browse::space::Space;
use crate::field::opcua::browse::{Reach, browse};

async fn walk(peer: &Peer, depth: u32, nodes: usize) -> Space {
    let directory = tempfile::tempdir().unwrap();
    let server = peer.server(Security::None, Identity::Anonymous);
    let reach = Reach {
        depth,
        nodes,
        values: true,
    };
    let own = own(directory.path());
    browse(&server, &own, &clock(), reach).await.unwrap()
}

/// What a variable of the data is said to hold.
fn said(space: &Space, name: &str) -> String {
    let id = NodeName::Text(name.to_owned());
    let node = space.nodes.iter().find(|node| node.name == id).unwrap();
    assert_eq!(node.namespace, DATA);
    let content = node.content.as_ref().unwrap();
    let kind = content.kind.map_or("-", NodeKind::as_str);
    let value = content.value.as_deref().unwrap_or("-");
    let array = content.is_array;
    let measure = (content.unit.as_deref(), content.range);
    format!("{kind} {} {array} {value} {measure:?}", content.type_name)
}

fn count(space: &Space, name: &str) -> usize {
    let nodes = space.nodes.iter();
    nodes
        .filter(|node| node.browse.name.starts_with(name))
        .count()
}

#[tokio::test]
async fn a_walk_finds_each_node_once_and_says_what_it_left_out() {
    let peer = Peer::start(true).await;
    let space = walk(&peer, 10, 10_000).await;
    for (name, expected) in [
        (
            "pressure",
            "number Double false 12.5 (Some(\"bar\"), Some((0.0, 250.0)))",
        ),
        ("zones", "number Double true [2] (None, None)"),
        ("limits", "- Range false (Range) (None, None)"),
        ("nothing", "number Int32 false - (None, None)"),
        ("many7", "number Int16 false 7 (None, None)"),
    ] {
        assert_eq!(said(&space, name), expected);
    }
    assert!(said(&space, "clock").starts_with("string UtcTime false"));
    assert_eq!(count(&space, "many"), MANY);
    let names = |name: &str| {
        let nodes = space.nodes.iter();
        nodes.filter(|node| node.browse.name == name).count()
    };
    // The loop back is cut, what is told on its variable's line is no node, and nobody needs the
    // server's diagnostics.
    assert_eq!(
        ["press", "EURange", "Server", "ServerStatus"].map(names),
        [1, 0, 1, 0]
    );
    assert!(space.cut.again >= 1 && !space.cut.too_many);
    let press = space
        .nodes
        .iter()
        .position(|node| node.browse.name == "press");
    let zones = space
        .nodes
        .iter()
        .position(|node| node.browse.name == "zones");
    assert_eq!(space.path(zones.unwrap()), ["press", "inner", "zones"]);
    assert!(space.children(press.unwrap()).count() > MANY);

    let few = walk(&peer, 10, 50).await;
    assert_eq!(few.nodes.len(), 50);
    assert!(few.cut.too_many);
    let shallow = walk(&peer, 1, 10_000).await;
    assert!(shallow.nodes.iter().all(|node| node.depth <= 1));
    assert!(shallow.cut.too_deep >= 1, "{:?}", shallow.cut);
}

#[tokio::test]
async fn a_server_that_goes_on_with_one_list_at_a_time_is_asked_for_one() {
    let peer = Peer::start_forgetful().await;
    let space = walk(&peer, 2, 10_000).await;
    assert_eq!(
        [count(&space, "many"), count(&space, "part")],
        [MANY, PARTS]
    );
    assert_eq!(space.cut.refused, 0);
    // A list that is broken off at the limit says so.
    let few = walk(&peer, 2, 150).await;
    assert!(few.cut.too_many && few.nodes.len() <= 150);
}
