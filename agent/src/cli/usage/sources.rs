//! Where evidence is fetched from: addresses and passwords as they are given on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Failure;
use crate::evidence::http::Http;
use crate::text;
use crate::uplink::mqtt::Peer;

/// How often to ping, and so after what time at most a dead connection is noticed: about twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// MQTT's port.
const MQTT_PORT: u16 = 1883;
/// HTTP's port.
const HTTP_PORT: u16 = 80;

/// A broker by its address.
pub(super) fn broker(
    url: &str,
    user: Option<&str>,
    password_file: Option<&PathBuf>,
) -> Result<Peer, Failure> {
    let (host, port) = address(url, "mqtt://", MQTT_PORT).ok_or_else(|| {
        Failure::Usage(text!(
            "`{url}` is no broker address: write mqtt://HOST or mqtt://HOST:PORT",
            "`{url}` 不是有效的服务地址：请写作 mqtt://主机 或 mqtt://主机:端口"
        ))
    })?;
    let password = password_file.map(|file| password(file)).transpose()?;
    Ok(Peer {
        host,
        port,
        // Each connection makes its own.
        client_id: String::new(),
        credentials: user.map(|user| (user.to_owned(), password.unwrap_or_default())),
        keep_alive: KEEP_ALIVE,
    })
}

/// A gateway's local API by its address.
pub(super) fn api(url: &str, password_file: Option<&PathBuf>) -> Result<Http, Failure> {
    let (host, port) = address(url, "http://", HTTP_PORT).ok_or_else(|| {
        Failure::Usage(text!(
            "`{url}` is no address of a gateway: write http://HOST:PORT",
            "`{url}` 不是有效的网关地址：请写作 http://主机:端口"
        ))
    })?;
    let password = password_file.map(|file| password(file)).transpose()?;
    Ok(Http::new(host, port, password))
}

fn password(file: &Path) -> Result<String, Failure> {
    let password = fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        Failure::Usage(text!(
            "can't read the password file {file}: {error}",
            "无法读取密码文件 {file}：{error}"
        ))
    })?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

/// Host and port of `{scheme}HOST[:PORT]`.
fn address(url: &str, scheme: &str, default: u16) -> Option<(String, u16)> {
    let rest = url.strip_prefix(scheme)?.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        // The last colon of an IPv6 address belongs to it.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, default),
    };
    let plain = !host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']);
    let bracketed = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    (plain && bracketed && port > 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_a_host_and_perhaps_a_port() {
        let check = |url: &str, expected: Option<(&str, u16)>| {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(address(url, "http://", 80), expected, "{url}");
        };
        check("http://gw-01:8080", Some(("gw-01", 8080)));
        check("http://10.0.0.1/", Some(("10.0.0.1", 80)));
        check("http://[::1]:8080", Some(("[::1]", 8080)));
        check("http://[::1]", Some(("[::1]", 80)));
        for wrong in [
            "",
            "http://",
            "https://a",
            "a:80",
            "http://a:0",
            "http://a:x",
            "http://a/b",
            "http://u@a",
            "http://::1",
        ] {
            check(wrong, None);
        }
    }
}
