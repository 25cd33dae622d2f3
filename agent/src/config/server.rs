//! An OPC UA connection of a machine map: where the server is, how it is spoken to, and as whom.

use sha2::{Digest, Sha256};
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::credential;
use super::fault::Fault;
use super::files::Files;
use super::gateway::host_port;
use super::model::{Fingerprint, Identity, Security, SecurityMode, SecurityPolicy, Server};
use super::section::{Said, Section};
use super::source::Place;
use crate::text;

/// The port that the standard gives to servers.
const PORT_DEFAULT: u16 = 4840;

/// Bytes of a URL: what OPC 10000-6 lets a client send.
const URL_BYTES_MAX: usize = 4_096;

/// Characters of a user's name.
const USER_CHARS_MAX: usize = 256;

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(4);

const POLICIES: [(&str, Option<SecurityPolicy>); 4] = [
    ("None", None),
    ("Basic256Sha256", Some(SecurityPolicy::Basic256Sha256)),
    (
        "Aes128-Sha256-RsaOaep",
        Some(SecurityPolicy::Aes128Sha256RsaOaep),
    ),
    (
        "Aes256-Sha256-RsaPss",
        Some(SecurityPolicy::Aes256Sha256RsaPss),
    ),
];

const MODES: [(&str, SecurityMode); 2] = [
    ("Sign", SecurityMode::Sign),
    ("SignAndEncrypt", SecurityMode::SignAndEncrypt),
];

/// What surrounds the connection.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where the files are.
    pub(super) files: &'a Files,
    /// The machine, by which commands name the connection.
    pub(super) machine: &'a str,
}

/// Reads the keys of an OPC UA connection; the section is the caller's to end.
pub(super) fn read(section: &Section<'_>, around: Around<'_>) -> Option<Server> {
    let url = section.required("url", section.text("url"));
    let url = url.and_then(|said| url_of(section, said));
    let security = security(section, around);
    let identity = identity(section, around);
    let timeout = section.duration("timeout", TIMEOUT);
    let history = section.flag("history").unwrap_or(true);
    if let (Some(security), Some(Identity::Password { .. })) = (&security, &identity) {
        password_in_clear(section, security);
    }
    Some(Server {
        url: url?,
        security: security?,
        identity: identity?,
        timeout: timeout.map_or(TIMEOUT_DEFAULT, |said| said.value),
        history,
    })
}

/// The URL in its one spelling, so that connections to one server share a session.
fn url_of(section: &Section<'_>, said: Said<'_, &str>) -> Option<String> {
    let url = canonical_url(said.value);
    if url.is_none() {
        let value = said.value;
        let message = text!(
            "`{value}` is not the URL of an OPC UA server",
            "`{value}` 不是有效的 OPC UA 服务器地址"
        );
        section.add(Fault::error("bad-address", said.at, message).hint(text!(
            "write it like \"opc.tcp://192.168.10.30:4840\", with a path if the server has one; only opc.tcp is spoken",
            "写法如 \"opc.tcp://192.168.10.30:4840\"，服务器有路径时加上路径；只支持 opc.tcp"
        )));
    }
    url
}

/// The URL of a server in its one spelling; none if it is no such URL.
pub fn canonical_url(url: &str) -> Option<String> {
    const SCHEME: &str = "opc.tcp://";
    let (scheme, rest) = url.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || url.len() > URL_BYTES_MAX {
        return None;
    }
    let (server, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    if !path.chars().all(is_plain) {
        return None;
    }
    let (host, port) = host_port(server, PORT_DEFAULT)?;
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_ascii_lowercase(),
    };
    let path = if path == "/" { "" } else { path };
    Some(format!("{SCHEME}{host}:{port}{path}"))
}

/// Policy, mode and trust. Nothing here has a default that would be less than what somebody meant.
fn security(section: &Section<'_>, around: Around<'_>) -> Option<Security> {
    let said = policy(section);
    let mode = section.choice("mode", &MODES);
    let is_mode_broken = mode.is_none() && section.entry("mode").is_some();
    let pinned = pinned(section, around);
    let said = said?;
    let Some(policy) = said.value else {
        without_effect(section);
        return Some(Security::None);
    };
    let server = match pinned {
        Pinned::To(fingerprint) => Some(fingerprint),
        Pinned::ToNone => {
            trust_nobody(section, said.at, around.machine);
            None
        }
        Pinned::Broken => return None,
    };
    (!is_mode_broken).then_some(Security::Secured {
        policy,
        mode: mode.map_or(SecurityMode::SignAndEncrypt, |said| said.value),
        server,
    })
}

fn policy<'a>(section: &Section<'a>) -> Option<Said<'a, Option<SecurityPolicy>>> {
    let Some(said) = section.text("security") else {
        if section.entry("security").is_none() {
            let message = text!("`security` is missing", "缺少 `security`");
            section.add(Fault::error("missing-key", section.at(), message).hint(text!(
                "say which: \"Basic256Sha256\" is what most servers offer; it has no default, so that nobody gets \"None\" by forgetting it",
                "请写明：多数服务器提供 \"Basic256Sha256\"；此项没有默认值，以免因遗漏而得到 \"None\""
            )));
        }
        return None;
    };
    if matches!(said.value, "Basic128Rsa15" | "Basic256") {
        let value = said.value;
        let message = text!(
            "{value} has been broken and is not spoken",
            "{value} 已被攻破，不予支持"
        );
        section.add(Fault::error("bad-value", said.at, message).hint(text!(
            "switch on Basic256Sha256 or a newer policy in the server",
            "在服务器中启用 Basic256Sha256 或更新的策略"
        )));
        return None;
    }
    section.choice("security", &POLICIES)
}

/// What a map says of the one certificate that the server may show.
enum Pinned {
    To(Fingerprint),
    ToNone,
    Broken,
}

fn pinned(section: &Section<'_>, around: Around<'_>) -> Pinned {
    let file = section.text("server-certificate");
    let print = section.text("server-fingerprint");
    let keys = ["server-certificate", "server-fingerprint"];
    let [first, second] = keys.map(|key| section.entry(key));
    match (file, print) {
        (Some(_), Some(print)) => {
            let message = text!(
                "`server-certificate` and `server-fingerprint` say the same thing twice",
                "`server-certificate` 与 `server-fingerprint` 重复"
            );
            section.add(
                Fault::error("bad-value", print.at, message)
                    .hint(text!("keep one of the two", "只保留其中一个")),
            );
            Pinned::Broken
        }
        (Some(said), None) => {
            let path = around.files.near(said.at, said.value);
            let certificate = credential::certificate(section, around.files, &path, said);
            certificate.map_or(Pinned::Broken, |der| {
                Pinned::To(Fingerprint(Sha256::digest(der).into()))
            })
        }
        (None, Some(said)) => fingerprint(section, said).map_or(Pinned::Broken, Pinned::To),
        (None, None) if first.or(second).is_some() => Pinned::Broken,
        (None, None) => Pinned::ToNone,
    }
}

fn fingerprint(section: &Section<'_>, said: Said<'_, &str>) -> Option<Fingerprint> {
    let read = read_fingerprint(said.value);
    if read.is_none() {
        let value = said.value;
        let message = text!(
            "`{value}` is not the SHA-256 fingerprint of a certificate",
            "`{value}` 不是证书的 SHA-256 指纹"
        );
        section.add(Fault::error("bad-value", said.at, message).hint(text!(
            "write \"sha256:\" and 64 hex digits; `lineside trust` writes it for you",
            "写成 \"sha256:\" 加 64 位十六进制数字；`lineside trust` 可代为写入"
        )));
    }
    read
}

/// A fingerprint, its digits in either case and with or without colons between bytes, as tools print
/// them; none if it is not `sha256:` and 64 digits.
pub fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    let digits: Vec<u8> = text
        .strip_prefix("sha256:")?
        .bytes()
        .filter(|byte| *byte != b':')
        .collect();
    let digits = std::str::from_utf8(&digits).ok()?;
    let mut print = [0; 32];
    if digits.len() != 2 * print.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in (0..).step_by(2).zip(&mut print) {
        *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
    }
    Some(Fingerprint(print))
}

/// Keys that mean nothing where messages are not protected: asking for a mode is a contradiction, a
/// pinned certificate is never shown.
fn without_effect(section: &Section<'_>) {
    if let Some(entry) = section.entry("mode") {
        let message = text!(
            "with security \"None\" messages are neither signed nor encrypted",
            "security 为 \"None\" 时，报文既不签名也不加密"
        );
        section.add(
            Fault::error("no-meaning", &entry.key_at, message).hint(text!(
                "name a policy in `security`, such as \"Basic256Sha256\", or remove `mode`",
                "在 `security` 中写明策略，例如 \"Basic256Sha256\"，或删除 `mode`"
            )),
        );
    }
    for key in ["server-certificate", "server-fingerprint"] {
        if let Some(entry) = section.entry(key) {
            let message = text!(
                "`{key}` has no effect with security \"None\": anybody may answer in the server's place",
                "security 为 \"None\" 时 `{key}` 不起作用：任何人都可冒充该服务器"
            );
            section.add(Fault::warning("no-effect", &entry.key_at, message));
        }
    }
}

fn trust_nobody(section: &Section<'_>, at: &Place, machine: &str) {
    let message = text!(
        "no server certificate is trusted yet: the connection will be refused",
        "尚未信任任何服务器证书：连接将被拒绝"
    );
    section.add(Fault::warning("untrusted-server", at, message).hint(text!(
        "`lineside trust {machine}` shows the server's certificate, and writes it here if you say so",
        "`lineside trust {machine}` 显示服务器证书，经您确认后写入此处"
    )));
}

/// Who the agent says it is. Half of a pair, or both pairs, are errors: whoever wrote them relies on
/// being known.
fn identity(section: &Section<'_>, around: Around<'_>) -> Option<Identity> {
    let user = section.short_text("user", USER_CHARS_MAX);
    let password = section.text("password-file");
    let certificate = section.text("user-certificate");
    let key = section.text("user-key");
    let is_said = |key: &'static str| section.entry(key).is_some();
    let by_password = is_said("user") || is_said("password-file");
    let by_certificate = is_said("user-certificate") || is_said("user-key");
    if by_password && by_certificate {
        let at = [certificate, key].into_iter().flatten().next();
        let message = text!(
            "a user is known by a password or by a certificate, not by both",
            "用户只能用密码或证书之一登录，不能同时使用"
        );
        section.add(
            Fault::error(
                "two-identities",
                at.map_or(section.at(), |said| said.at),
                message,
            )
            .hint(text!(
                "keep `user` and `password-file`, or `user-certificate` and `user-key`",
                "保留 `user` 和 `password-file`，或者 `user-certificate` 和 `user-key`"
            )),
        );
        return None;
    }
    if by_password {
        let user = section.required("user", user);
        let password = section.required("password-file", password);
        let password = password.and_then(|said| {
            let path = around.files.near(said.at, said.value);
            credential::password(section, around.files, &path, said)
        });
        return Some(Identity::Password {
            user: user?.value.to_owned(),
            password: password?,
        });
    }
    if by_certificate {
        let certificate = section.required("user-certificate", certificate);
        let key = section.required("user-key", key);
        let near = |said: Said<'_, &str>| around.files.near(said.at, said.value);
        let certificate = certificate
            .and_then(|said| credential::certificate(section, around.files, &near(said), said));
        let key = key.and_then(|said| credential::key(section, around.files, &near(said), said));
        return Some(Identity::Certificate {
            certificate: certificate?.into(),
            key: key?,
        });
    }
    Some(Identity::Anonymous)
}

fn password_in_clear(section: &Section<'_>, security: &Security) {
    let is_encrypted = matches!(
        security,
        Security::Secured {
            mode: SecurityMode::SignAndEncrypt,
            ..
        }
    );
    let at = section.entry("password-file").map(|entry| &entry.key_at);
    if let (false, Some(at)) = (is_encrypted, at) {
        let message = text!(
            "the password travels unencrypted unless the server itself asks for it encrypted",
            "除非服务器自行要求加密，否则密码将以明文传输"
        );
        section.add(Fault::warning("password-in-clear", at, message).hint(text!(
            "use a policy with mode \"SignAndEncrypt\"",
            "使用某一策略并设 mode 为 \"SignAndEncrypt\""
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical_url, read_fingerprint};

    #[test]
    fn a_server_has_one_spelling() {
        for (url, expected) in [
            ("opc.tcp://a", Some("opc.tcp://a:4840")),
            (
                "OPC.TCP://PLC.Local:4840/",
                Some("opc.tcp://plc.local:4840"),
            ),
            ("opc.tcp://a:1/Ua/Server", Some("opc.tcp://a:1/Ua/Server")),
            ("opc.tcp://[0:0::1]/x", Some("opc.tcp://[::1]:4840/x")),
            ("opc.tcp://10.0.0.1", Some("opc.tcp://10.0.0.1:4840")),
            ("opc.tcp://", None),
            ("opc.tcp:/a", None),
            ("opc.tcp", None),
            ("http://a:4840", None),
            ("opc.https://a:4840", None),
            ("opc.tcp://a:0", None),
            ("opc.tcp://a:70000", None),
            ("opc.tcp://u:p@a", None),
            ("opc.tcp://a/b c", None),
            ("opc.tcp://a/b?c", None),
            ("opc.tcp://a/b#c", None),
            ("opc.tcp://线边", None),
            ("opc.tc线边", None),
        ] {
            assert_eq!(canonical_url(url).as_deref(), expected, "{url}");
        }
        assert_eq!(
            canonical_url(&format!("opc.tcp://a/{}", "x".repeat(5_000))),
            None
        );
    }

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let plain = format!("sha256:{}", "0aF".repeat(22).split_at(64).0);
        let print = read_fingerprint(&plain).unwrap();
        assert_eq!(print.to_string(), plain.to_ascii_lowercase());
        let mut colons = String::from("sha256:");
        for (place, c) in plain["sha256:".len()..].chars().enumerate() {
            if place > 0 && place % 2 == 0 {
                colons.push(':');
            }
            colons.push(c);
        }
        assert_eq!(read_fingerprint(&colons), Some(print));
        for wrong in [
            "",
            "sha256:",
            &plain["sha256:".len()..],
            &plain[..70],
            "sha256:线边",
        ] {
            assert_eq!(read_fingerprint(wrong), None, "{wrong}");
        }
        assert_eq!(read_fingerprint(&plain.replace('0', "+")), None);
    }
}
