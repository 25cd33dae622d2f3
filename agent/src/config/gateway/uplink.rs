//! `[uplink]`: the broker.

use std::time::Duration;

use super::super::credential;
use super::super::fault::Fault;
use super::super::files::Files;
use super::super::model::Uplink;
use super::super::section::{Said, Section};
use crate::text;

/// Bytes of the topic prefix, so that a topic stays far below MQTT's 65,535 with names of 63.
const PREFIX_BYTES_MAX: usize = 128;
/// Bytes of a user name.
const USERNAME_CHARS_MAX: usize = 256;

const SECOND: Duration = Duration::from_secs(1);
/// MQTT carries the keep-alive as 16 bits of seconds.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(65_535);
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(600);

pub(super) fn read(section: &Section<'_>, files: &Files) -> Option<Uplink> {
    let url = section.required("url", section.text("url"));
    let server = url.and_then(|said| server(section, said));
    let prefix = section.text("prefix");
    let prefix = prefix.map_or("lineside/v1".to_owned(), |said| prefix_of(section, said));
    let username = section.short_text("username", USERNAME_CHARS_MAX);
    let password = section.text("password-file");
    let password = password.and_then(|said| {
        let path = files.beside(said.at, said.value);
        credential::password(section, files, &path, said)
    });
    let keep_alive = section.duration("keep-alive", 5 * SECOND..=KEEP_ALIVE_MAX);
    let window = section.integer::<u16>("window", 1..=65_535);
    let ack_timeout = section.duration("ack-timeout", SECOND..=ACK_TIMEOUT_MAX);
    certificates(section);
    section.finish();
    let (host, port) = server?;
    Some(Uplink {
        host,
        port,
        prefix,
        username: username.map(|said| said.value.to_owned()),
        password,
        keep_alive: keep_alive.map_or(30 * SECOND, |said| said.value),
        window: window.map_or(100, |said| said.value),
        ack_timeout: ack_timeout.map_or(20 * SECOND, |said| said.value),
    })
}

/// Refused rather than ignored: who names a certificate relies on encryption.
fn certificates(section: &Section<'_>) {
    for key in ["ca", "certificate", "key"] {
        if let Some(said) = section.text(key) {
            let message = text!(
                "this version can't use `{key}`: it does not speak TLS",
                "此版本不支持 `{key}`：尚不能使用 TLS"
            );
            section.add(Fault::error("not-yet", said.at, message).hint(text!(
                "remove the key, and reach the broker over a network that you trust",
                "删除此键，并通过可信网络连接代理服务器"
            )));
        }
    }
}

/// Host and port of `mqtt://host[:port]`.
fn server(section: &Section<'_>, said: Said<'_, &str>) -> Option<(String, u16)> {
    let url = said.value;
    if url.starts_with("mqtts://") {
        let message = text!(
            "this version can't reach a broker over TLS (mqtts://)",
            "此版本不能通过 TLS（mqtts://）连接代理服务器"
        );
        section.add(Fault::error("not-yet", said.at, message).hint(text!(
            "use mqtt:// to a broker on this host or on a network that you trust",
            "使用 mqtt:// 连接本机或可信网络中的代理服务器"
        )));
        return None;
    }
    let server = url
        .strip_prefix("mqtt://")
        .and_then(|rest| host_port(rest, 1883));
    if server.is_none() {
        // It may hold a password.
        let url = if url.contains('@') { "…@…" } else { url };
        let message = text!(
            "`{url}` is not the URL of a broker",
            "`{url}` 不是有效的代理服务器地址"
        );
        section.add(Fault::error("bad-address", said.at, message).hint(text!(
            "write it like \"mqtt://broker.example:1883\"; user and password have keys of their own",
            "写法如 \"mqtt://broker.example:1883\"；用户名和密码使用单独的键"
        )));
    }
    server
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(in crate::config) fn host_port(text: &str, port_default: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = rest.strip_prefix(':');
        if port.is_none() && !rest.is_empty() {
            return None;
        }
        (host, port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
            return None;
        }
        (host, port)
    };
    let port = match port {
        None => port_default,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    (port > 0).then(|| (host.to_owned(), port))
}

fn prefix_of(section: &Section<'_>, said: Said<'_, &str>) -> String {
    let prefix = said.value;
    let bad = |level: &str| {
        level.is_empty() || level.contains(['+', '#', '\0']) || level.contains(char::is_control)
    };
    if prefix.len() > PREFIX_BYTES_MAX || prefix.starts_with('$') || prefix.split('/').any(bad) {
        let message = text!(
            "`{prefix}` can't be a topic prefix",
            "`{prefix}` 不能作为主题前缀"
        );
        section.add(Fault::error("bad-value", said.at, message).hint(text!(
            "use words joined by /, like \"lineside/v1\", without + and #",
            "用 / 连接的词，例如 \"lineside/v1\"，不含 + 和 #"
        )));
    }
    prefix.to_owned()
}

#[cfg(test)]
mod tests {
    use super::host_port;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, expected) in [
            ("broker", Some(("broker", 1883))),
            ("broker:1", Some(("broker", 1))),
            ("10.0.0.1:502", Some(("10.0.0.1", 502))),
            ("[::1]", Some(("::1", 1883))),
            ("[::1]:8883", Some(("::1", 8883))),
            ("", None),
            (":1", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:+1", None),
            ("a:", None),
            ("a/b", None),
            ("user@a", None),
            ("[::1", None),
            ("[x]:1", None),
            ("[::1]1", None),
            ("a:1:2", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_port(text, 1883), expected, "{text}");
        }
    }
}
