//! What was found below Objects, in plain data.

use crate::config::model::{NodeKind, NodeName};

/// A part of a server's address space, parents before their children.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Space {
    /// The nodes, `Objects` first.
    pub nodes: Vec<Seen>,
    /// What is missing.
    pub cut: Cut,
}

/// What of the address space was left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// Nodes whose children lie deeper than was asked for.
    pub too_deep: usize,
    /// More nodes than were asked for.
    pub too_many: bool,
    /// References to nodes that are listed elsewhere already: a node is shown once, and loops end.
    pub again: usize,
    /// Nodes whose children the server would not tell.
    pub refused: usize,
}

/// One node.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// The node above it, as its place in [`Space::nodes`]; none for `Objects`.
    pub parent: Option<usize>,
    /// Steps from `Objects`.
    pub depth: u32,
    /// The namespace of its id.
    pub namespace: String,
    /// Its id in that namespace.
    pub name: NodeName,
    /// Its browse name.
    pub browse: Qualified,
    /// What people call it.
    pub display: String,
    /// What a variable holds; none for an object.
    pub content: Option<Content>,
    /// The states of a state machine by the names and numbers of its type; empty for all else.
    pub states: Vec<(String, u32)>,
}

/// A name and the namespace that gives it its meaning.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Qualified {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What a variable holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Content {
    /// What a point would take it for; none where no point can.
    pub kind: Option<NodeKind>,
    /// The type's name.
    pub type_name: String,
    /// Whether it is an array.
    pub is_array: bool,
    /// Its present value, where it was asked for, as text.
    pub value: Option<String>,
    /// The name of the value's status where it is not good.
    pub status: Option<String>,
    /// The unit, if the server tells one.
    pub unit: Option<String>,
    /// The range that the value keeps to in normal operation, if the server tells one.
    pub range: Option<(f64, f64)>,
    /// The range beyond which the instrument can't measure, if the server tells one.
    pub limits: Option<(f64, f64)>,
}

impl Space {
    /// The children of a node.
    pub fn children(&self, of: usize) -> impl Iterator<Item = (usize, &Seen)> {
        let all = self.nodes.iter().enumerate();
        all.filter(move |(_, node)| node.parent == Some(of))
    }

    /// The child with this browse name.
    pub fn child(&self, of: usize, namespace: &str, name: &str) -> Option<(usize, &Seen)> {
        self.children(of)
            .find(|(_, node)| node.browse.name == name && node.browse.namespace == namespace)
    }

    /// The names from below `Objects` to the node.
    pub fn path(&self, of: usize) -> Vec<&str> {
        let mut names = Vec::new();
        let mut place = of;
        while let Some(node) = self.nodes.get(place) {
            let Some(parent) = node.parent else { break };
            names.push(node.browse.name.as_str());
            place = parent;
        }
        names.reverse();
        names
    }
}
