//! A point's place in an OPC UA server, by names that outlive a restart of the server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt;

/// Where a point lies in an OPC UA server, and what the agent takes it for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeAddress {
    /// The namespace by its URI: indexes change when a server restarts.
    pub namespace: String,
    /// The node's name in it.
    pub name: NodeName,
    /// The element, from 0, where the node holds an array.
    pub index: Option<u32>,
    /// What the value is taken for; a value of another kind is bad with `decode`.
    pub kind: NodeKind,
}

/// The namespace of OPC UA itself.
pub const OPC_UA_NAMESPACE: &str = "http://opcfoundation.org/UA/";

impl NodeAddress {
    /// The node as `node` of a machine map names it, in one spelling: `nsu=urn:vendor:line;s=Screw`,
    /// without the namespace for nodes of OPC UA itself.
    pub fn id(&self) -> String {
        if self.namespace == OPC_UA_NAMESPACE {
            return self.name.to_string();
        }
        let mut id = String::from("nsu=");
        for c in self.namespace.chars() {
            match c {
                ';' => id.push_str("%3B"),
                '%' => id.push_str("%25"),
                c => id.push(c),
            }
        }
        format!("{id};{}", self.name)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// A node's name in its namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeName {
    /// `i=`.
    Number(u32),
    /// `s=`.
    Text(String),
    /// `g=`, in the order in which it is written.
    Guid([u8; 16]),
    /// `b=`.
    Opaque(Vec<u8>),
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "i={number}"),
            Self::Text(text) => write!(f, "s={text}"),
            Self::Guid(bytes) => {
                f.write_str("g=")?;
                (0..).zip(bytes).try_for_each(|(place, byte)| {
                    let dash = if matches!(place, 4 | 6 | 8 | 10) {
                        "-"
                    } else {
                        ""
                    };
                    write!(f, "{dash}{byte:02x}")
                })
            }
            Self::Opaque(bytes) => write!(f, "b={}", BASE64.encode(bytes)),
        }
    }
}

/// What the value of a node is taken for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum NodeKind {
    /// Any integer, float or enumeration.
    #[default]
    Number,
    /// A Boolean.
    Bool,
    /// A text, a time, a GUID or a localised text.
    Text,
}

impl NodeKind {
    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Text => "string",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_standard_does() {
        for (namespace, name, index, expected) in [
            (OPC_UA_NAMESPACE, NodeName::Number(2258), None, "i=2258"),
            (
                "urn:vendor:line",
                NodeName::Text("Screw.Speed".to_owned()),
                Some(3),
                "nsu=urn:vendor:line;s=Screw.Speed[3]",
            ),
            (
                "urn:a;b%3Bc",
                NodeName::Text("x;y%3Bz".to_owned()),
                None,
                "nsu=urn:a%3Bb%253Bc;s=x;y%3Bz",
            ),
            (
                "urn:v",
                NodeName::Guid(
                    *b"\x09\x08\x7e\x75\x8e\x5e\x49\x9b\x95\x4f\xf2\xa9\x60\x3d\xb2\x8a",
                ),
                None,
                "nsu=urn:v;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            ),
            (
                "urn:v",
                NodeName::Opaque(b"M/RbKBsRVkePCePcx24oRA==".to_vec()),
                None,
                "nsu=urn:v;b=TS9SYktCc1JWa2VQQ2VQY3gyNG9SQT09",
            ),
        ] {
            let address = NodeAddress {
                namespace: namespace.to_owned(),
                name,
                index,
                kind: NodeKind::Number,
            };
            assert_eq!(address.to_string(), expected);
        }
    }
}
