//! Ids of nodes by the URIs of their namespaces.

use opcua::types::{ExpandedNodeId, Identifier, NodeId, QualifiedName, Variant};

use super::space::Qualified;
use crate::config::model::{NodeName, OPC_UA_NAMESPACE};
use crate::field::opcua::about::NAMESPACES_MAX;
use crate::field::opcua::value::said;

/// The namespaces of a server, by their index.
pub(super) struct Namespaces(Vec<String>);

impl Namespaces {
    /// From the server's own array.
    pub(super) fn of(array: Option<&Variant>) -> Self {
        let mut names = Vec::new();
        if let Some(Variant::Array(array)) = array {
            names.extend(array.values.iter().take(NAMESPACES_MAX).map(|value| {
                if let Variant::String(uri) = value {
                    said(uri).to_owned()
                } else {
                    String::new()
                }
            }));
        }
        match names.first_mut() {
            Some(first) => OPC_UA_NAMESPACE.clone_into(first),
            None => names.push(OPC_UA_NAMESPACE.to_owned()),
        }
        Self(names)
    }

    /// The id as it stands in this server; none if it lies in another one or in no known namespace.
    pub(super) fn local(&self, id: ExpandedNodeId) -> Option<NodeId> {
        if id.server_index != 0 {
            return None;
        }
        let uri = &id.namespace_uri;
        if uri.is_empty() {
            return Some(id.node_id);
        }
        let index = self.0.iter().position(|known| known == uri.as_ref())?;
        Some(NodeId {
            namespace: u16::try_from(index).ok()?,
            identifier: id.node_id.identifier,
        })
    }

    /// The namespace's URI and the name in it.
    pub(super) fn name(&self, id: &NodeId) -> Option<(String, NodeName)> {
        let name = match &id.identifier {
            Identifier::Numeric(number) => NodeName::Number(*number),
            Identifier::String(text) => NodeName::Text(said(text).to_owned()),
            Identifier::Guid(guid) => {
                let digits: String = guid.to_string().split('-').collect();
                NodeName::Guid(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
            }
            Identifier::ByteString(bytes) => NodeName::Opaque(bytes.as_ref().to_vec()),
        };
        Some((self.uri(id.namespace)?, name))
    }

    /// A browse name by its namespace's URI.
    pub(super) fn qualified(&self, name: &QualifiedName) -> Qualified {
        Qualified {
            namespace: self.uri(name.namespace_index).unwrap_or_default(),
            name: said(&name.name).to_owned(),
        }
    }

    fn uri(&self, index: u16) -> Option<String> {
        let uri = self.0.get(usize::from(index))?;
        (!uri.is_empty()).then(|| uri.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn ids_are_told_by_uri() {
        let array = Variant::from(vec!["x".to_owned(), "urn:a".to_owned(), "urn:b".to_owned()]);
        let names = Namespaces::of(Some(&array));
        for (id, expected) in [
            ("i=85", Some("http://opcfoundation.org/UA/ i=85")),
            ("ns=2;s=线.速度", Some("urn:b s=线.速度")),
            (
                "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
                Some("urn:a g=09087e75-8e5e-499b-954f-f2a9603db28a"),
            ),
            ("ns=1;b=AQI=", Some("urn:a b=AQI=")),
            ("ns=3;i=1", None),
        ] {
            let name = names.name(&NodeId::from_str(id).unwrap());
            let told = name.map(|(uri, name)| format!("{uri} {name}"));
            assert_eq!(told.as_deref(), expected);
        }
        let expanded = |uri: &str, server_index| ExpandedNodeId {
            node_id: NodeId::new(0, 7),
            namespace_uri: uri.into(),
            server_index,
        };
        for (id, expected) in [
            (expanded("urn:b", 0), Some("ns=2;i=7")),
            (expanded("urn:c", 0), None),
            (expanded("", 1), None),
        ] {
            let local = names.local(id).map(|id| id.to_string());
            assert_eq!(local.as_deref(), expected);
        }
    }
}
