//! A machine map with the fingerprint of a server's certificate written into it: all else stays as it
//! was written, comments and layout too.
//!
//! Works on text; reads and writes no file.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key that is written.
const KEY: &str = "server-fingerprint";

/// The other way to pin a certificate, which excludes ours.
const BY_FILE: &str = "server-certificate";

/// Why nothing was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum PinFault {
    /// The connection pins a certificate by a file.
    #[error("pinned by {BY_FILE}")]
    ByFile,
    /// The text is not what a map looks like.
    #[error("no such layout")]
    Layout,
}

/// The machine that a map is of.
pub(super) fn machine(map: &str) -> Option<String> {
    let table = DeTable::parse(map).ok()?;
    let machine = table.get_ref().get("machine")?;
    machine.get_ref().as_str().map(str::to_owned)
}

/// The map with this fingerprint in its connection's table.
pub(super) fn with_pin(map: &str, connection: &str, fingerprint: &str) -> Result<String, PinFault> {
    let parsed = DeTable::parse(map).map_err(|_| PinFault::Layout)?;
    let value = format!("\"{fingerprint}\"");
    let Some((table, at)) = table_of(parsed.get_ref(), connection) else {
        return Ok(appended(map, connection, &value));
    };
    if table.contains_key(BY_FILE) {
        return Err(PinFault::ByFile);
    }
    if let Some(present) = table.get(KEY) {
        return replaced(map, present.span(), &value).ok_or(PinFault::Layout);
    }
    let mut keys: Vec<_> = table
        .iter()
        .filter(|(_, value)| !matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)))
        .map(|(key, value)| (key.span(), value.span()))
        .collect();
    keys.sort_by_key(|(key, _)| key.start);
    // After the URL, where a reader looks; in a map that takes the URL from its template, first.
    let url = table.get_key_value("url");
    let url = url.map(|(key, value)| (key.span(), value.span()));
    let beside = url.or_else(|| keys.first().cloned());
    match beside {
        Some((_, present)) if is_inline(map, at) => inserted(map, present.end, &value),
        Some((key, present)) => added(map, &key, &present, &value).ok_or(PinFault::Layout),
        None => Err(PinFault::Layout),
    }
}

/// The table of a connection, and where it begins.
fn table_of<'a, 'i>(root: &'a DeTable<'i>, connection: &str) -> Option<(&'a DeTable<'i>, usize)> {
    let table = |value: &'a Spanned<DeValue<'i>>| match value.get_ref() {
        DeValue::Table(table) => Some((table, value.span().start)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    };
    let named = root.get("connections").and_then(table);
    let named = named
        .and_then(|(named, _)| named.get(connection))
        .and_then(table);
    let short = (connection == "main").then(|| root.get("connection").and_then(table));
    named.or(short.flatten())
}

/// The table lies in the template: the map gets one of its own, laid over it.
fn appended(map: &str, connection: &str, value: &str) -> String {
    let end = if map.is_empty() || map.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{map}{end}\n[connections.{connection}]\n{KEY} = {value}\n")
}

fn replaced(map: &str, span: Range<usize>, value: &str) -> Option<String> {
    Some(format!(
        "{}{value}{}",
        map.get(..span.start)?,
        map.get(span.end..)?
    ))
}

/// Whether the table that begins here stands in braces, on one line or on several.
fn is_inline(map: &str, at: usize) -> bool {
    map.get(at..).is_some_and(|table| table.starts_with('{'))
}

/// Adds the key in braces, behind a value that ends here.
fn inserted(map: &str, at: usize, value: &str) -> Result<String, PinFault> {
    let (before, after) = map.split_at_checked(at).ok_or(PinFault::Layout)?;
    Ok(format!("{before}, {KEY} = {value}{after}"))
}

/// Adds the key on a line below another one, in the other one's manner.
fn added(map: &str, key: &Range<usize>, present: &Range<usize>, value: &str) -> Option<String> {
    let before = map.get(..key.start)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let lead = before.get(line..)?;
    if lead.contains(['{', ',']) {
        // A dotted key in another table's braces.
        return None;
    }
    let rest = map.get(present.end..)?;
    let Some(end) = rest.find('\n') else {
        return Some(format!("{map}\n{lead}{KEY} = {value}\n"));
    };
    let at = present.end + end;
    let (upper, lower) = (map.get(..at)?, map.get(at..)?);
    let ending = if upper.ends_with('\r') { "\r" } else { "" };
    Some(format!("{upper}\n{lead}{KEY} = {value}{ending}{lower}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(map: &str, connection: &str, expected: &str) {
        let written = with_pin(map, connection, "sha256:00");
        assert_eq!(written.as_deref(), Ok(expected), "{map}");
        // Whatever the layout, it is read back from where it belongs, and nothing else changed.
        let mut read: toml::Table = expected.parse().unwrap();
        let before: toml::Table = map.parse().unwrap();
        let main = connection == "main" && read.contains_key("connection");
        let table = if main {
            read.get_mut("connection").unwrap()
        } else {
            read["connections"].get_mut(connection).unwrap()
        };
        let pinned = table.as_table_mut().unwrap().remove(KEY);
        assert_eq!(pinned.unwrap().as_str(), Some("sha256:00"));
        if before.contains_key("connection") || before.contains_key("connections") {
            let mut before = before;
            for key in ["connection", "connections"] {
                let table = before.get_mut(key).and_then(toml::Value::as_table_mut);
                if let Some(table) = table {
                    table.remove(KEY);
                    for inner in table.iter_mut().filter_map(|(_, v)| v.as_table_mut()) {
                        inner.remove(KEY);
                    }
                }
            }
            assert_eq!(read, before);
        }
    }

    #[test]
    fn the_line_goes_where_a_reader_looks_and_all_else_stays() {
        for (map, connection, expected) in [
            (
                "machine = \"m\"\n[connection] # c\n  url = \"opc.tcp://h\" # here\n  mode = \"Sign\"\n\n[groups]\n",
                "main",
                "machine = \"m\"\n[connection] # c\n  url = \"opc.tcp://h\" # here\n  server-fingerprint = \"sha256:00\"\n  mode = \"Sign\"\n\n[groups]\n",
            ),
            (
                "[connections.press]\r\nurl = \"u\"\r\n",
                "press",
                "[connections.press]\r\nurl = \"u\"\r\nserver-fingerprint = \"sha256:00\"\r\n",
            ),
            (
                "[connection]\nurl = \"u\"",
                "main",
                "[connection]\nurl = \"u\"\nserver-fingerprint = \"sha256:00\"\n",
            ),
            (
                "connection = { protocol = \"opc-ua\", url = \"u\", mode = \"Sign\" }\n",
                "main",
                "connection = { protocol = \"opc-ua\", url = \"u\", server-fingerprint = \"sha256:00\", mode = \"Sign\" }\n",
            ),
            (
                "connection.url = \"u\"\n",
                "main",
                "connection.url = \"u\"\nconnection.server-fingerprint = \"sha256:00\"\n",
            ),
            (
                "[connections]\npress = { url = \"u\" }\nother = { url = \"v\" }\n",
                "press",
                "[connections]\npress = { url = \"u\", server-fingerprint = \"sha256:00\" }\nother = { url = \"v\" }\n",
            ),
            (
                "connection = {\n  url = \"u\", # here\n  mode = \"Sign\",\n}\n",
                "main",
                "connection = {\n  url = \"u\", server-fingerprint = \"sha256:00\", # here\n  mode = \"Sign\",\n}\n",
            ),
            (
                "connection = {\n  mode = \"Sign\",\n  url = \"u\"\n}\n",
                "main",
                "connection = {\n  mode = \"Sign\",\n  url = \"u\", server-fingerprint = \"sha256:00\"\n}\n",
            ),
            (
                "[connection]\nserver-fingerprint = 'sha256:11' # old\nurl = \"u\"\n",
                "main",
                "[connection]\nserver-fingerprint = \"sha256:00\" # old\nurl = \"u\"\n",
            ),
            (
                "[connection]\nuser = \"u\"\n",
                "main",
                "[connection]\nuser = \"u\"\nserver-fingerprint = \"sha256:00\"\n",
            ),
            (
                "machine = \"m\"\ntemplate = \"t\"\n[points]",
                "main",
                "machine = \"m\"\ntemplate = \"t\"\n[points]\n\n[connections.main]\nserver-fingerprint = \"sha256:00\"\n",
            ),
        ] {
            check(map, connection, expected);
        }
        let by_file = "[connection]\nserver-certificate = \"a.der\"\n";
        assert_eq!(with_pin(by_file, "main", "x"), Err(PinFault::ByFile));
        for strange in ["[connection]\n", "connections = { main.url = \"u\" }\n"] {
            assert_eq!(with_pin(strange, "main", "x"), Err(PinFault::Layout));
        }
    }
}
