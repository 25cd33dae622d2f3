//! Why there is no session with an OPC UA server, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::types::StatusCode;

use super::certificate::Certificate;
use crate::config::model::Fingerprint;
use crate::text;
use crate::text::Text;

/// Why there is no session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpcFault {
    /// The host's name has no address.
    #[error("the host's name can't be resolved")]
    Unresolved(#[source] Arc<io::Error>),
    /// No TCP connection.
    #[error("no connection")]
    Unreachable(#[source] Arc<io::Error>),
    /// No answer in time.
    #[error("no answer in time")]
    Slow,
    /// The server closed the connection without a word.
    #[error("closed by the server without a reason")]
    Closed,
    /// What answers is no OPC UA server.
    #[error("what answers speaks another protocol: {opening}")]
    Foreign {
        /// The first bytes that it sent, printable.
        opening: String,
    },
    /// The server sent what can't be understood.
    #[error("the answer makes no sense: {0}")]
    Nonsense(StatusCode),
    /// The URL is none of the server's.
    #[error("no such endpoint")]
    WrongUrl,
    /// The server doesn't offer the security that the map asks for.
    #[error("{asked} is not offered")]
    NoSuchSecurity {
        /// What the map asks for.
        asked: String,
        /// What the server offers.
        offered: String,
    },
    /// The server offers the security, but not to such users.
    #[error("no {asked} sign-in is offered")]
    NoSuchIdentity {
        /// What the map asks for.
        asked: &'static str,
        /// What the server offers.
        offered: String,
    },
    /// The server wants the password unencrypted.
    #[error("the password would be sent in the clear")]
    PasswordInClear,
    /// In a session without security the server shows no certificate, by which the user would be proven.
    #[error("no certificate to prove the user by")]
    Unproven,
    /// The server's certificate is not pinned, or another one is.
    #[error("the server's certificate {} is not trusted", certificate.fingerprint)]
    Untrusted {
        /// What the server shows.
        certificate: Box<Certificate>,
        /// What the map pins, if anything.
        pinned: Option<Fingerprint>,
    },
    /// The server's certificate has expired.
    #[error("the server's certificate expired on {}", .0.until)]
    Expired(Box<Certificate>),
    /// The server's certificate is not valid yet.
    #[error("the server's certificate is valid from {}", .0.from)]
    NotYetValid(Box<Certificate>),
    /// A message of the server is longer than the agent takes; so many bytes.
    #[error("a message of more than {0} bytes")]
    LongMessage(usize),
    /// The server shows a chain of certificates, of which this is its own.
    #[error("the server shows a chain of certificates")]
    Chain(Box<Certificate>),
    /// The server's certificate can't be used.
    #[error("the server's certificate can't be used")]
    BadCertificate {
        /// The bits of its key, where it could be read.
        key_bits: Option<usize>,
    },
    /// The server doesn't accept the user.
    #[error("the server refuses the user: {0}")]
    UserRefused(StatusCode),
    /// The server doesn't accept our certificate.
    #[error("the server does not trust the agent's certificate: {status}")]
    NotTrusted {
        /// What it said.
        status: StatusCode,
        /// Where our certificate lies; none where none was shown.
        own: Option<PathBuf>,
    },
    /// Our own certificate or its key can't be used.
    #[error("the agent's own certificate can't be used")]
    Own(#[source] OwnFault),
    /// The user's certificate or key can't be read.
    #[error("the user's certificate or key can't be read")]
    UserCertificate,
    /// The server has no room for another session.
    #[error("the server has no room: {0}")]
    Full(StatusCode),
    /// Another answer.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The server's clock stands still, or it does not answer any more.
    #[error("the server is frozen")]
    Frozen,
    /// The server is alive and says nothing of what was subscribed.
    #[error("the server publishes no more")]
    Silent,
    /// The server does not have a namespace that the map names.
    #[error("no namespace {asked}")]
    NoSuchNamespace {
        /// What the map names.
        asked: String,
        /// What the server has.
        offered: String,
    },
    /// Some points can't be read as the map says.
    #[error("unsupported: {}", .0.en)]
    Unsupported(Box<Text>),
}

/// Why our own certificate can't be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnFault {
    /// A file can't be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: Arc<io::Error>,
    },
    /// Others than its owner may read the key.
    #[error("{} is readable by others", .0.display())]
    Exposed(PathBuf),
    /// A file holds something else.
    #[error("{} is not readable as what it should be", .0.display())]
    Content(PathBuf),
    /// It has expired.
    #[error("{} has expired", .0.display())]
    Expired(PathBuf),
    /// No certificate can be made.
    #[error("no certificate can be made")]
    Make,
}

impl OpcFault {
    /// The fault that a status code of the server stands for.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let own = None;
        match status {
            StatusCode::BadTcpEndpointUrlInvalid | StatusCode::BadServerUriInvalid => {
                Self::WrongUrl
            }
            StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadIdentityTokenRejected
            | StatusCode::BadUserSignatureInvalid
            | StatusCode::BadUserAccessDenied => Self::UserRefused(status),
            StatusCode::BadSecurityChecksFailed
            | StatusCode::BadApplicationSignatureInvalid
            | StatusCode::BadCertificateInvalid
            | StatusCode::BadCertificateTimeInvalid
            | StatusCode::BadCertificateHostNameInvalid
            | StatusCode::BadCertificateUriInvalid
            | StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadCertificateUntrusted
            | StatusCode::BadCertificateRevoked
            | StatusCode::BadCertificateIssuerRevoked
            | StatusCode::BadCertificateRevocationUnknown
            | StatusCode::BadCertificateIssuerRevocationUnknown
            | StatusCode::BadCertificateIssuerTimeInvalid
            | StatusCode::BadCertificateIssuerUseNotAllowed
            | StatusCode::BadCertificateChainIncomplete
            | StatusCode::BadCertificatePolicyCheckFailed => Self::NotTrusted { status, own },
            StatusCode::BadTooManySessions
            | StatusCode::BadMaxConnectionsReached
            | StatusCode::BadTcpServerTooBusy
            | StatusCode::BadTcpNotEnoughResources
            | StatusCode::BadResourceUnavailable => Self::Full(status),
            StatusCode::BadTimeout | StatusCode::BadRequestTimeout => Self::Slow,
            StatusCode::BadCommunicationError
            | StatusCode::BadConnectionClosed
            | StatusCode::BadSecureChannelClosed => Self::Closed,
            StatusCode::BadDecodingError
            | StatusCode::BadEncodingLimitsExceeded
            | StatusCode::BadTcpMessageTypeInvalid
            | StatusCode::BadTcpMessageTooLarge
            | StatusCode::BadUnknownResponse
            | StatusCode::BadUnexpectedError => Self::Nonsense(status),
            other => Self::Status(other),
        }
    }

    /// Says where our own certificate lies, where that matters.
    pub(super) fn shown_as(mut self, path: PathBuf) -> Self {
        if let Self::NotTrusted { own, .. } = &mut self {
            *own = Some(path);
        }
        self
    }

    /// The fault and what to do about it, for people.
    pub fn text(&self) -> Text {
        match self {
            Self::Unresolved(error) => text!(
                "the name of the server has no address ({error}); check the host in url, or write its address",
                "无法解析服务器主机名（{error}）；请检查 url 中的主机名，或直接填写地址"
            ),
            Self::Unreachable(error) => text!(
                "no connection ({error}); is the server running, the port right, and no firewall between?",
                "无法连接（{error}）；请确认服务器已启动、端口正确且未被防火墙阻挡"
            ),
            Self::Slow => text!(
                "no answer in time; is it an OPC UA server and not overloaded? A slow one needs a longer timeout",
                "未及时应答；请确认对方是 OPC UA 服务器且未过载，较慢的服务器需加大 timeout"
            ),
            Self::Closed => text!(
                "the server closed the connection without a reason; check host and port in url, else its own log tells more",
                "服务器未说明原因就关闭了连接；请检查 url 中的主机和端口，否则查看服务器自身的日志"
            ),
            Self::Foreign { opening } => text!(
                "what answers there is no OPC UA server (it began with \"{opening}\"); check host and port in url",
                "应答方不是 OPC UA 服务器（开头为“{opening}”）；请检查 url 中的主机和端口"
            ),
            Self::Nonsense(status) => text!(
                "the server's answer can't be understood ({status}); check the port, and the server's version",
                "无法理解服务器的应答（{status}）；请检查端口和服务器版本"
            ),
            Self::WrongUrl => text!(
                "the server knows no endpoint of this URL; ask its operator for the whole URL, path included",
                "服务器没有该 URL 的端点；请向其管理员确认完整 URL（含路径）"
            ),
            Self::NoSuchSecurity { asked, offered } => no_such_security(asked, offered),
            Self::NoSuchIdentity { asked, offered } => no_such_identity(asked, offered),
            Self::PasswordInClear => password_in_clear(),
            Self::Unproven => unproven(),
            Self::Untrusted {
                certificate,
                pinned,
            } => untrusted(certificate, *pinned),
            Self::Expired(certificate) => expired(certificate),
            Self::NotYetValid(certificate) => not_yet_valid(certificate),
            Self::LongMessage(bytes) => long_message(*bytes),
            Self::Chain(certificate) => chain(certificate),
            Self::BadCertificate { key_bits } => bad_certificate(*key_bits),
            Self::UserRefused(status) => user_refused(*status),
            Self::NotTrusted { status, own } => not_trusted(*status, own.as_deref()),
            Self::Own(fault) => fault.text(),
            Self::UserCertificate => text!(
                "the user's certificate (DER) or its key (PEM, RSA) can't be read; check user-certificate and user-key",
                "无法读取用户证书（DER）或其密钥（PEM、RSA）；请检查 user-certificate 和 user-key"
            ),
            Self::Full(status) => text!(
                "the server has no room for another session ({status}); close other clients, or raise its limit",
                "服务器已无空余会话（{status}）；请关闭其他客户端，或调高其上限"
            ),
            Self::Status(status) => text!(
                "the server answered {status}; its own log tells more",
                "服务器应答 {status}；请查看服务器自身的日志"
            ),
            Self::Frozen => text!(
                "the server is frozen: its clock stands still or it answers no more; it is connected anew, and if that does not help, restart it",
                "服务器已冻结：其时钟停止或不再应答；正在重新连接，若无效请重启服务器"
            ),
            Self::Silent => text!(
                "the server answers and publishes no more; it is subscribed anew, and if this comes again, its own log tells more",
                "服务器有应答但不再发布数据；正在重新订阅，若反复出现请查看服务器自身的日志"
            ),
            Self::NoSuchNamespace { asked, offered } => no_such_namespace(asked, offered),
            Self::Unsupported(points) => unsupported(points),
        }
    }
}

fn long_message(bytes: usize) -> Text {
    text!(
        "the server sent a message of more than {bytes} bytes: some points take an element of a very long array, or lack an index; leave those out, or have the server offer the elements as nodes",
        "服务器发送的报文超过 {bytes} 字节：有点位取自很长的数组，或未写 index；请去掉这些点位，或让服务器将各元素单独作为节点提供"
    )
}

fn unsupported(points: &Text) -> Text {
    let Text { en, zh } = points;
    text!(
        "these points hold what their type in the map can't: {en}; correct type or index there",
        "以下点位的内容与点表中的类型不符：{zh}；请更正类型或下标"
    )
}

fn no_such_security(asked: &str, offered: &str) -> Text {
    if offered.is_empty() {
        return text!(
            "the server does not offer {asked}, nor anything else that Lineside speaks; have {asked} enabled there",
            "服务器不提供 {asked}，也不提供 Lineside 支持的其他方式；请在服务器上启用 {asked}"
        );
    }
    text!(
        "the server does not offer {asked}; it offers: {offered}. Set security and mode to one of these, or have it enabled there",
        "服务器不提供 {asked}；它提供：{offered}。请将 security 和 mode 改为其中之一，或在服务器上启用"
    )
}

fn no_such_identity(asked: &str, offered: &str) -> Text {
    text!(
        "the server takes no {asked} sign-in with this security; it takes: {offered}. Set user or security accordingly, or have it enabled there",
        "在此安全设置下服务器不接受 {asked} 登录；它接受：{offered}。请相应设置用户或 security，或在服务器上启用"
    )
}

fn no_such_namespace(asked: &str, offered: &str) -> Text {
    text!(
        "the server has no namespace {asked}; it has: {offered}. Correct nsu= in the map, or have the model loaded there",
        "服务器没有命名空间 {asked}；它有：{offered}。请更正点表中的 nsu=，或在服务器上加载相应模型"
    )
}

fn password_in_clear() -> Text {
    text!(
        "the password would cross the network unencrypted, so it was not sent; set security and mode = \"SignAndEncrypt\"",
        "密码将以明文传输，因此未发送；请设置 security 并将 mode 设为 \"SignAndEncrypt\""
    )
}

fn unproven() -> Text {
    text!(
        "without security this server shows no certificate by which a password could be encrypted or a user's certificate proven; set security and mode",
        "未启用安全时该服务器不出示证书，无法加密密码或证明用户证书；请设置 security 和 mode"
    )
}

fn untrusted(certificate: &Certificate, pinned: Option<Fingerprint>) -> Text {
    let Certificate {
        fingerprint,
        subject,
        issuer,
        from,
        until,
        ..
    } = certificate;
    let line = certificate.line();
    match pinned {
        None => text!(
            "the server's certificate is not trusted yet: {fingerprint} of {subject}, issued by {issuer}, valid {from} to {until}. \
             Compare it with what the machine shows, then run `lineside trust MACHINE`, or write {line} into the connection",
            "尚未信任服务器证书：{fingerprint}，主体 {subject}，签发者 {issuer}，有效期 {from} 至 {until}。\
             请与设备上显示的指纹核对，然后运行 `lineside trust MACHINE`，或在连接中写入 {line}"
        ),
        Some(pinned) => text!(
            "the server shows another certificate than the trusted {pinned}: {fingerprint} of {subject}, issued by {issuer}, \
             valid {from} to {until}. Find out why it changed before you run `lineside trust MACHINE`, or write {line} into the connection",
            "服务器出示的证书不是已信任的 {pinned}，而是 {fingerprint}，主体 {subject}，签发者 {issuer}，\
             有效期 {from} 至 {until}。请先查明更换原因，再运行 `lineside trust MACHINE`，或在连接中写入 {line}"
        ),
    }
}

fn expired(certificate: &Certificate) -> Text {
    let Certificate { subject, until, .. } = certificate;
    text!(
        "the certificate of the server ({subject}) expired on {until}, so it is refused; have it renewed there, then run `lineside trust MACHINE`",
        "服务器（{subject}）的证书已于 {until} 过期，因此被拒绝；请在服务器上更新证书，然后运行 `lineside trust MACHINE`"
    )
}

fn not_yet_valid(certificate: &Certificate) -> Text {
    let Certificate { subject, from, .. } = certificate;
    text!(
        "the certificate of the server ({subject}) is only valid from {from}; set the clocks of the gateway and of the server right",
        "服务器（{subject}）的证书自 {from} 起才有效；请校准网关和服务器的时钟"
    )
}

fn chain(own: &Certificate) -> Text {
    let subject = &own.subject;
    text!(
        "the server shows the certificates of its issuers behind its own ({subject}), and the agent speaks only to servers that show one; have it show its own alone, or have a self-signed one made there",
        "服务器在自身证书（{subject}）之后还出示了签发者的证书，而本程序只支持出示单个证书的服务器；请让服务器只出示自身证书，或在服务器上生成自签名证书"
    )
}

fn bad_certificate(key_bits: Option<usize>) -> Text {
    match key_bits {
        Some(bits) => text!(
            "the server's certificate has a key of {bits} bits, which this security does not allow; have another one made there",
            "服务器证书的密钥为 {bits} 位，不符合该安全策略；请在服务器上重新生成证书"
        ),
        None => text!(
            "the server shows no certificate that can be read; have one made there, in DER and with an RSA key",
            "服务器未出示可读取的证书；请在服务器上生成 DER 格式、RSA 密钥的证书"
        ),
    }
}

fn user_refused(status: StatusCode) -> Text {
    text!(
        "the server refuses the user ({status}); check user and password-file, or user-certificate, and the user's rights there",
        "服务器拒绝该用户（{status}）；请检查 user 与 password-file（或 user-certificate）及其在服务器上的权限"
    )
}

fn not_trusted(status: StatusCode, own: Option<&Path>) -> Text {
    match own.map(Path::display) {
        Some(own) => text!(
            "the server does not trust the agent's certificate ({status}); have its operator trust {own}",
            "服务器不信任本程序的证书（{status}）；请让其管理员信任 {own}"
        ),
        None => text!(
            "the server asks for security ({status}); set security and mode",
            "服务器要求安全连接（{status}）；请设置 security 和 mode"
        ),
    }
}

impl OwnFault {
    /// The fault and what to do about it, for people.
    pub fn text(&self) -> Text {
        match self {
            Self::File { path, error } => {
                let path = path.display();
                text!(
                    "{path} can't be used: {error}; it holds the agent's own certificate or key, readable and writable by the agent alone",
                    "无法使用 {path}：{error}；其中存放本程序自己的证书或密钥，只应由本程序读写"
                )
            }
            Self::Exposed(path) => {
                let path = path.display();
                text!(
                    "{path} is readable by others, so the key is not used; `chmod go= {path}`, or delete the key if it may have leaked",
                    "{path} 可被其他用户读取，因此不使用该密钥；请执行 `chmod go= {path}`，若可能已泄露请删除该密钥"
                )
            }
            Self::Content(path) => {
                let path = path.display();
                text!(
                    "{path} is not what it should be; delete it, a new one is made at the next start and must be trusted on the servers again",
                    "{path} 内容不正确；请删除，下次启动时会重新生成，并需在各服务器上重新信任"
                )
            }
            Self::Expired(path) => {
                let path = path.display();
                text!(
                    "the agent's own certificate {path} has expired; run `lineside trust MACHINE --renew` and have it trusted on the servers again",
                    "本程序自己的证书 {path} 已过期；请运行 `lineside trust MACHINE --renew`，并在各服务器上重新信任"
                )
            }
            Self::Make => text!(
                "no certificate of the agent's own can be made; this is a fault of the program",
                "无法生成本程序自己的证书；这是程序的缺陷"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_offers_is_listed_unless_it_is_nothing() {
        for (offered, en, zh) in [
            ("None", "it offers: None.", "它提供：None。"),
            ("", "nor anything else", "也不提供"),
        ] {
            let fault = OpcFault::NoSuchSecurity {
                asked: "Basic256Sha256 Sign".to_owned(),
                offered: offered.to_owned(),
            };
            let text = fault.text();
            assert!(text.en.contains(en) && text.zh.contains(zh), "{text:?}");
        }
    }
}
