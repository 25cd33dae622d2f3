//! Namespaces that a map names and its server does not have: without one, all its nodes look as if they were
//! missing.
//!
//! Pure. Bounds: [`LISTED_MAX`] URIs of [`CHARS_MAX`] characters in a list.

use std::collections::BTreeSet;

use super::item::{Item, Namespaces};
use crate::config::model::{OPC_UA_NAMESPACE, Point};

/// URIs in a list: enough to see which one was meant.
const LISTED_MAX: usize = 8;

/// Characters of a URI in a list.
const CHARS_MAX: usize = 120;

/// The namespaces of these items that the server does not have.
pub(super) fn strange<'a>(
    items: impl Iterator<Item = &'a Item>,
    namespaces: &Namespaces,
) -> BTreeSet<String> {
    let addresses = items.filter_map(|item| item.point().and_then(Point::node));
    let asked: BTreeSet<&String> = addresses.map(|address| &address.namespace).collect();
    let strange = asked
        .into_iter()
        .filter(|uri| !namespaces.contains_key(*uri));
    strange.cloned().collect()
}

/// The namespaces that a server has beside that of the standard, in a list.
pub(super) fn offered(namespaces: &Namespaces) -> String {
    listed(namespaces.keys().filter(|uri| *uri != OPC_UA_NAMESPACE))
}

/// Some URIs in a list.
pub(super) fn listed<'a>(uris: impl Iterator<Item = &'a String>) -> String {
    let mut list: Vec<String> = Vec::new();
    for uri in uris {
        if list.len() == LISTED_MAX {
            list.push("…".to_owned());
            break;
        }
        let plain = |char: char| if char.is_control() { '·' } else { char };
        list.push(uri.chars().take(CHARS_MAX).map(plain).collect());
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_short_and_plain() {
        let uris = |count: usize| -> Namespaces {
            let uri = |number: u16| (format!("urn:{number}\u{1b}"), number);
            (0..).map(uri).take(count).collect()
        };
        assert_eq!(offered(&uris(0)), "");
        assert_eq!(offered(&uris(2)), "urn:0·, urn:1·");
        let many = offered(&uris(20));
        assert_eq!(many.split(", ").count(), LISTED_MAX + 1);
        assert!(many.ends_with(", …"));
        let long = "x".repeat(CHARS_MAX + 1);
        assert_eq!(listed([long].iter()).len(), CHARS_MAX);
        let standard = Namespaces::from([(OPC_UA_NAMESPACE.to_owned(), 0)]);
        assert_eq!(offered(&standard), "");
    }
}
