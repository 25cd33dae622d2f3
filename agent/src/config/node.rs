//! A node of an OPC UA server as technicians write it (`nsu=urn:vendor:line;s=Screw.Speed`), what its
//! value is taken for, and which element of an array is meant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::fault::Fault;
use super::model::{NodeAddress, NodeKind, NodeName, OPC_UA_NAMESPACE};
use super::section::Section;
use crate::text;
use crate::text::Text;

/// Characters of a node's name, and of a URI: what OPC 10000-3 lets a server use.
const CHARS_MAX: usize = 4_096;

const KINDS: [(&str, NodeKind); 3] = [
    ("number", NodeKind::Number),
    ("bool", NodeKind::Bool),
    ("string", NodeKind::Text),
];

/// Types of Modbus points, all of them numbers: a node knows its own.
const REGISTER_TYPES: [&str; 10] = [
    "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bcd16", "bcd32",
];

/// Keys of Modbus points that a node can't have, but for the tables.
const REGISTER_KEYS: [&str; 5] = ["bit", "order", "length", "unit-id", "base"];

const TABLES: [&str; 4] = ["coil", "discrete", "holding", "input"];

/// Reads where a point lies in an OPC UA server.
pub(super) fn read(section: &Section<'_>) -> Option<NodeAddress> {
    let node = section.text("node");
    let index = section.integer::<u32>("index", 0..=i64::from(u32::MAX));
    let is_index_broken = index.is_none() && section.entry("index").is_some();
    let kind = kind(section);
    let is_placed_elsewhere = registers(section);
    if section.entry("node").is_none() && !is_placed_elsewhere {
        let message = text!("the point has no address", "该点位没有地址");
        section.add(
            Fault::error("missing-key", section.at(), message).hint(text!(
                "say which node it is: node = \"nsu=urn:vendor:line;s=Screw.Speed\"; `lineside browse` lists them",
                "指明节点：node = \"nsu=urn:vendor:line;s=Screw.Speed\"；`lineside browse` 可列出节点"
            )),
        );
    }
    let said = node?;
    let (namespace, name) = match parse(said.value) {
        Ok(parsed) => parsed,
        Err(NodeFault { message, hint }) => {
            section.add(Fault::error("bad-node", said.at, message).hint(hint));
            return None;
        }
    };
    if is_index_broken || is_placed_elsewhere {
        return None;
    }
    Some(NodeAddress {
        namespace,
        name,
        index: index.map(|said| said.value),
        kind: kind?,
    })
}

/// Reports the keys of OPC UA on a point that lies in a Modbus device; whether there was a node, whose
/// other keys nobody can judge then.
pub(super) fn forbid(section: &Section<'_>) -> bool {
    if let Some(entry) = section.entry("index") {
        let message = text!(
            "`index` belongs to OPC UA, and the connection speaks Modbus",
            "`index` 属于 OPC UA，而该连接使用 Modbus"
        );
        section.add(Fault::error("no-meaning", &entry.key_at, message));
    }
    let Some(entry) = section.entry("node") else {
        return false;
    };
    let message = text!(
        "`node` belongs to OPC UA, and the connection speaks Modbus",
        "`node` 属于 OPC UA，而该连接使用 Modbus"
    );
    section.add(
        Fault::error("bad-address", &entry.node.at, message).hint(text!(
            "name the OPC UA connection in `from`, or say where the point lies: `coil`, `discrete`, `holding` or `input`",
            "在 `from` 中写 OPC UA 连接，或指明位置：`coil`、`discrete`、`holding` 或 `input`"
        )),
    );
    for key in TABLES.into_iter().chain(REGISTER_KEYS).chain(["type"]) {
        section.entry(key);
    }
    true
}

/// Reports the keys of Modbus on a point that lies in a server; whether they say where it lies.
fn registers(section: &Section<'_>) -> bool {
    let belongs = |key: &str| {
        text!(
            "`{key}` belongs to Modbus, and the connection speaks OPC UA",
            "`{key}` 属于 Modbus，而该连接使用 OPC UA"
        )
    };
    for key in REGISTER_KEYS {
        let Some(entry) = section.entry(key) else {
            continue;
        };
        let hint = match key {
            "bit" => text!(
                "read the whole number, and take the bit in a rule: bit(point, 3)",
                "读取整个数值，在规则中取位：bit(point, 3)"
            ),
            "unit-id" | "base" => text!("a node needs no unit", "节点不需要站号"),
            _ => text!(
                "a server sends whole values: remove the key",
                "服务器传送完整的值：删除此键"
            ),
        };
        section.add(Fault::error("no-meaning", &entry.key_at, belongs(key)).hint(hint));
    }
    let mut found = false;
    for key in TABLES {
        if let Some(entry) = section.entry(key) {
            found = true;
            section.add(
                Fault::error("bad-address", &entry.key_at, belongs(key)).hint(text!(
                    "write node = \"nsu=…;s=…\", or name the Modbus connection in `from`",
                    "写 node = \"nsu=…;s=…\"，或在 `from` 中写 Modbus 连接"
                )),
            );
        }
    }
    found
}

fn kind(section: &Section<'_>) -> Option<NodeKind> {
    let Some(said) = section.text("type") else {
        return section.entry("type").is_none().then(NodeKind::default);
    };
    if !REGISTER_TYPES.contains(&said.value) {
        return section.choice("type", &KINDS).map(|said| said.value);
    }
    let word = said.value;
    let message = text!(
        "type {word} belongs to Modbus: a server knows the type of its values",
        "{word} 是 Modbus 的类型：服务器自知其数值类型"
    );
    section.add(Fault::error("bad-type", said.at, message).hint(text!(
        "write type = \"number\", or leave `type` out",
        "写 type = \"number\"，或去掉 `type`"
    )));
    None
}

/// Whether a machine map can name a node so: servers may have names that no text of one line holds.
pub fn is_node(text: &str) -> bool {
    parse(text).is_ok()
}

/// Why a node can't be taken.
#[derive(Debug)]
struct NodeFault {
    message: Text,
    hint: Text,
}

/// Namespace URI and name.
fn parse(text: &str) -> Result<(String, NodeName), NodeFault> {
    if let Some(rest) = text.strip_prefix("ns=") {
        return Err(by_index(text, rest));
    }
    if text.starts_with("svr=") || text.starts_with("svu=") {
        return Err(NodeFault {
            message: text!(
                "\"{text}\" lies in another server than the connection's",
                "\"{text}\" 位于该连接以外的服务器"
            ),
            hint: text!(
                "give that server a connection of its own, and begin the node with nsu=",
                "为该服务器单独建立连接，节点以 nsu= 开头"
            ),
        });
    }
    let Some(rest) = text.strip_prefix("nsu=") else {
        let name = name(text)?;
        return if matches!(name, NodeName::Number(_)) {
            Ok((OPC_UA_NAMESPACE.to_owned(), name))
        } else {
            Err(NodeFault {
                message: text!(
                    "\"{text}\" does not say in which namespace the node is",
                    "\"{text}\" 没有写明节点所在的命名空间"
                ),
                hint: text!(
                    "write \"nsu=urn:vendor:line;{text}\"; only the nodes of OPC UA itself, like \"i=2258\", go without",
                    "写成 \"nsu=urn:vendor:line;{text}\"；只有 OPC UA 自身的节点（如 \"i=2258\"）可以省略"
                ),
            })
        };
    };
    let Some((uri, rest)) = rest.split_once(';') else {
        return Err(shape(text));
    };
    Ok((unescaped(uri)?, name(rest)?))
}

/// Namespace indexes are what a server gives out at its start, and another after an update.
fn by_index(text: &str, rest: &str) -> NodeFault {
    let name = rest.split_once(';').map_or("s=…", |(_, name)| name);
    NodeFault {
        message: text!(
            "\"{text}\" names its namespace by an index, and indexes move when a server changes",
            "\"{text}\" 用序号表示命名空间，而服务器变动后序号会改变"
        ),
        hint: text!(
            "write the namespace's URI, \"nsu=urn:vendor:line;{name}\"; `lineside browse` prints it",
            "写命名空间的 URI：\"nsu=urn:vendor:line;{name}\"；`lineside browse` 会显示它"
        ),
    }
}

fn shape(text: &str) -> NodeFault {
    NodeFault {
        message: text!("\"{text}\" is not a node", "\"{text}\" 不是节点"),
        hint: text!(
            "write \"nsu=URI;\" and one of \"s=TEXT\", \"i=NUMBER\", \"g=GUID\" or \"b=BASE64\"",
            "写成 \"nsu=URI;\" 加 \"s=文本\"、\"i=数字\"、\"g=GUID\" 或 \"b=BASE64\" 之一"
        ),
    }
}

/// A URI in which a semicolon is written `%3B` and a percent sign `%25`.
fn unescaped(uri: &str) -> Result<String, NodeFault> {
    let mut plain = String::with_capacity(uri.len());
    let mut parts = uri.split('%');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let c = match part.get(..2).map(str::to_ascii_uppercase).as_deref() {
            Some("3B") => ';',
            Some("25") => '%',
            Some(_) | None => {
                return Err(NodeFault {
                    message: text!(
                        "the URI \"{uri}\" has a % that is not written as one",
                        "URI \"{uri}\" 中的 % 没有转义"
                    ),
                    hint: text!(
                        "in a URI write % as %25 and ; as %3B",
                        "在 URI 中，% 写成 %25，; 写成 %3B"
                    ),
                });
            }
        };
        plain.push(c);
        plain.push_str(part.get(2..).unwrap_or_default());
    }
    if plain.is_empty() || plain.chars().count() > CHARS_MAX || plain.contains(char::is_control) {
        return Err(shape(&format!("nsu={uri}")));
    }
    Ok(plain)
}

fn name(text: &str) -> Result<NodeName, NodeFault> {
    let name = text.split_once('=').and_then(|(kind, value)| match kind {
        "i" => number(value).map(NodeName::Number),
        "s" => is_name(value).then(|| NodeName::Text(value.to_owned())),
        "g" => guid(value).map(NodeName::Guid),
        "b" => {
            let bytes = BASE64.decode(value).ok()?;
            (1..=CHARS_MAX)
                .contains(&bytes.len())
                .then_some(NodeName::Opaque(bytes))
        }
        _ => None,
    });
    name.ok_or_else(|| shape(text))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= CHARS_MAX && !text.contains(char::is_control)
}

fn number(text: &str) -> Option<u32> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let digits: String = text.split('-').collect();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if lengths != [8, 4, 4, 4, 12] || !is_hex {
        return None;
    }
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::{CHARS_MAX, parse};
    use crate::config::model::{NodeAddress, NodeKind};
    use proptest::prelude::*;

    /// The node in its one spelling, or the beginning of what is wrong with it.
    fn spelled(text: &str) -> Result<String, String> {
        let parsed = parse(text).map_err(|fault| {
            assert!(!fault.message.zh.is_ascii() && !fault.hint.zh.is_ascii());
            fault.hint.en
        });
        parsed.map(|(namespace, name)| {
            let address = NodeAddress {
                namespace,
                name,
                index: None,
                kind: NodeKind::Number,
            };
            address.id()
        })
    }

    #[test]
    fn each_way_to_name_a_node_has_one_spelling() {
        for (text, expected) in [
            ("nsu=urn:v;s=Screw.Speed", "nsu=urn:v;s=Screw.Speed"),
            ("nsu=urn:v;s=a;b=c %25", "nsu=urn:v;s=a;b=c %25"),
            ("nsu=urn:v%3bw%25x;s=线", "nsu=urn:v%3Bw%25x;s=线"),
            ("nsu=urn:v;i=007", "nsu=urn:v;i=7"),
            ("i=2258", "i=2258"),
            ("nsu=http://opcfoundation.org/UA/;i=2258", "i=2258"),
            (
                "nsu=urn:v;g=09087E75-8E5E-499B-954F-F2A9603DB28A",
                "nsu=urn:v;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            ),
            (
                "nsu=urn:v;b=M/RbKBsRVkePCePcx24oRA==",
                "nsu=urn:v;b=M/RbKBsRVkePCePcx24oRA==",
            ),
        ] {
            assert_eq!(spelled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_node_is_told_with_what_would_be() {
        let shape = "write \"nsu=URI;\" and one of";
        let long = format!("nsu=urn:v;s={}", "x".repeat(CHARS_MAX + 1));
        for (text, hint) in [
            (
                "ns=2;s=Speed",
                "write the namespace's URI, \"nsu=urn:vendor:line;s=Speed\"",
            ),
            (
                "ns=2",
                "write the namespace's URI, \"nsu=urn:vendor:line;s=…\"",
            ),
            ("s=Speed", "write \"nsu=urn:vendor:line;s=Speed\""),
            ("svr=1;nsu=urn:v;s=x", "give that server"),
            ("nsu=urn:v%20w;s=x", "in a URI write % as %25"),
            ("nsu=urn:v%2;s=x", "in a URI write % as %25"),
            ("nsu=urn:v%线;s=x", "in a URI write % as %25"),
            ("Speed", shape),
            ("", shape),
            ("nsu=urn:v", shape),
            ("nsu=;s=x", shape),
            ("nsu=urn:v;s=", shape),
            ("nsu=urn:v;s=a\tb", shape),
            ("nsu=urn:v;i=-1", shape),
            ("nsu=urn:v;i=+1", shape),
            ("nsu=urn:v;i=4294967296", shape),
            ("nsu=urn:v;g=09087e75-8e5e-499b-954f", shape),
            ("nsu=urn:v;g=+9087e75-8e5e-499b-954f-f2a9603db28a", shape),
            ("nsu=urn:v;b=", shape),
            ("nsu=urn:v;b=M", shape),
            ("nsu=urn:v;x=1", shape),
            (&long, shape),
        ] {
            let found = spelled(text).unwrap_err();
            assert!(found.starts_with(hint), "{text}: {found}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_is_read(text in "(nsu=[a-z:;%0-9/]{0,12};)?[isgb]=[ -~线]{0,20}") {
            if let Ok((namespace, name)) = parse(&text) {
                let address = NodeAddress { namespace, name, index: None, kind: NodeKind::Bool };
                let again = parse(&address.id()).unwrap();
                prop_assert_eq!((again.0, again.1), (address.namespace, address.name));
            }
        }
    }
}
