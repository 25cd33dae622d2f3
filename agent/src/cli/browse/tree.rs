//! What was found, as a tree that people read.

use std::io::{self, Write};

use crate::config::model::NodeAddress;
use crate::field::opcua::browse::space::{Content, Cut, Seen, Space};
use crate::text;
use crate::text::{Language, Text};

/// Prints the tree, and a line for each thing that it leaves out.
pub(super) fn show(out: &mut impl Write, space: &Space, language: Language) -> io::Result<()> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); space.nodes.len()];
    for (place, node) in space.nodes.iter().enumerate() {
        if let Some(children) = node.parent.and_then(|parent| below.get_mut(parent)) {
            children.push(place);
        }
    }
    let mut open = vec![0];
    while let Some(place) = open.pop() {
        if let (Some(node), Some(children)) = (space.nodes.get(place), below.get(place)) {
            line(out, node)?;
            open.extend(children.iter().rev());
        }
    }
    for missing in missing(space.cut) {
        writeln!(out, "… {}", missing.say(language))?;
    }
    Ok(())
}

fn line(out: &mut impl Write, node: &Seen) -> io::Result<()> {
    let indent = usize::try_from(node.depth).unwrap_or(0) * 2;
    write!(out, "{:indent$}{}", "", node.browse.name)?;
    if node.display != node.browse.name && !node.display.is_empty() {
        write!(out, " “{}”", node.display)?;
    }
    if let Some(content) = &node.content {
        write!(out, "  {}", kind(content))?;
        if let Some(value) = &content.value {
            write!(out, "  = {value}")?;
        }
        if let Some(status) = &content.status {
            write!(out, "  ! {status}")?;
        }
        if let Some(unit) = &content.unit {
            write!(out, "  {unit}")?;
        }
        if let Some((low, high)) = content.range {
            write!(out, "  [{low:?}, {high:?}]")?;
        }
    }
    // A stranger's text: nothing in it that a terminal would obey.
    let address = address(node).replace(char::is_control, "·");
    writeln!(out, "  {address}")
}

/// The type's name, with brackets for an array.
pub(super) fn kind(content: &Content) -> String {
    let brackets = if content.is_array { "[]" } else { "" };
    format!("{}{brackets}", content.type_name)
}

/// The node as a map names it.
pub(super) fn address(node: &Seen) -> String {
    let address = NodeAddress {
        namespace: node.namespace.clone(),
        name: node.name.clone(),
        index: None,
        kind: crate::config::model::NodeKind::default(),
    };
    address.id()
}

/// What the tree leaves out.
pub(super) fn missing(cut: Cut) -> Vec<Text> {
    let Cut {
        too_deep,
        too_many,
        again,
        refused,
    } = cut;
    let mut lines = Vec::new();
    if too_deep > 0 {
        lines.push(text!(
            "{too_deep} nodes have more below them: see it with a larger --depth",
            "有 {too_deep} 个节点下面还有内容：加大 --depth 可见"
        ));
    }
    if too_many {
        lines.push(text!(
            "there are more nodes: see them with a larger --limit",
            "还有更多节点：加大 --limit 可见"
        ));
    }
    if again > 0 {
        lines.push(text!(
            "{again} references lead to nodes listed above",
            "有 {again} 个引用指向已列出的节点"
        ));
    }
    if refused > 0 {
        lines.push(text!(
            "the server would not tell what lies below {refused} nodes",
            "服务器未告知 {refused} 个节点下的内容"
        ));
    }
    lines
}
