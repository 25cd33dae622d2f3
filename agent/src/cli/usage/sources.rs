//! Where evidence is fetched from: addresses and passwords as they are given on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Failure;
use crate::evidence::http::{Archive, Http};
use crate::evidence::post::address;
use crate::text;
use crate::uplink::mqtt::{Fault, Peer};

/// How often to ping, and so after what time at most a dead connection is noticed: about twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// MQTT's port.
const MQTT_PORT: u16 = 1883;
/// HTTP's port.
const HTTP_PORT: u16 = 80;

/// A broker by its address.
pub(in crate::cli) fn broker(
    url: &str,
    user: Option<&str>,
    password_file: Option<&PathBuf>,
) -> Result<Peer, Failure> {
    if url.starts_with("mqtts://") {
        return Err(Failure::Usage(text!(
            "`{url}`: there is no TLS here; run this beside the broker, or on a network of its own, and write mqtt://HOST",
            "`{url}`：此处不支持 TLS；请在消息服务器旁或专用网络内运行，并写作 mqtt://主机"
        )));
    }
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

/// A broker that is not reached, or that wants another user.
pub(super) fn not_connected(url: &str, fault: &Fault) -> Failure {
    Failure::Unreachable(match fault {
        Fault::Refused(why) => text!(
            "the broker at {url} refuses this user: {why}; check --user and --password-file, and what it lets this user do",
            "{url} 的消息服务器拒绝此用户：{why}；请检查 --user 和 --password-file，以及该用户的权限"
        ),
        Fault::Lost(why) => text!(
            "can't reach {url}: {why}; check the address, and that the broker runs",
            "无法连接 {url}：{why}；请检查地址以及服务是否在运行"
        ),
    })
}

/// Checks a topic prefix.
pub(in crate::cli) fn prefix(prefix: &str) -> Result<(), Failure> {
    if prefix.is_empty() || prefix.contains(['+', '#', '\0']) {
        return Err(Failure::Usage(text!(
            "`{prefix}` is no topic prefix: it may not be empty or contain + or #",
            "`{prefix}` 不是有效的主题前缀：不能为空，也不能含有 + 或 #"
        )));
    }
    Ok(())
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

/// An archive by its address; behind a proxy it may be below a path.
pub(super) fn archive(url: &str) -> Result<Archive, Failure> {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let (server, base) = match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let base = base.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let found = address(&format!("http://{server}"), "http://", HTTP_PORT);
    let found = found.filter(|_| base.bytes().all(is_plain));
    let (host, port) = found.ok_or_else(|| {
        Failure::Usage(text!(
            "`{url}` is no address of an archive: write http://HOST:PORT, or its directory",
            "`{url}` 不是有效的存证库地址：请写作 http://主机:端口，或其目录"
        ))
    })?;
    Ok(Archive::new(host, port, base.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::not_connected;
    use crate::cli::Failure;
    use crate::uplink::mqtt::Fault;

    #[test]
    fn a_user_that_is_refused_is_not_sent_to_look_at_the_address() {
        let said = |fault: &Fault| {
            let Failure::Unreachable(text) = not_connected("mqtt://city", fault) else {
                panic!("{fault:?}");
            };
            [text.en, text.zh]
        };
        let refused = said(&Fault::Refused("not authorised".to_owned()));
        for (text, address) in refused.iter().zip(["address", "地址"]) {
            for word in ["mqtt://city", "not authorised", "--user", "--password-file"] {
                assert!(text.contains(word), "{word}: {text}");
            }
            assert!(!text.contains(address), "{text}");
        }
        let [lost, _] = said(&Fault::lost("nothing listens there"));
        assert!(lost.contains("check the address"), "{lost}");
    }
}
