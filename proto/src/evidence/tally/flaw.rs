//! What can be wrong with the token of an external session.

use crate::booking::JwsError;
use crate::text;
use crate::text::Text;
use crate::{Class, Identifier, Time};

/// What is wrong with the token of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    None,
    Absent(String),
    Jws(JwsError),
    Claims(String),
    Key(String),
    Validity { kid: String, iat: Time },
    Site(Identifier),
    Gateway(Identifier),
    Machine,
    Booking { said: String, known: String },
    External(External),
    Issued { iat: Time },
    Window { from: Time, start: Time, end: Time },
}

impl From<JwsError> for Flaw {
    fn from(error: JwsError) -> Self {
        Self::Jws(error)
    }
}

impl Flaw {
    /// In words that follow the session's name.
    pub(super) fn said(&self) -> Text {
        match self {
            Self::None => text!("is external and names no token", " 属对外，却没有令牌"),
            Self::Absent(token) => text!(
                "names the token {token}, which is not in the bundle",
                "引用的令牌 {token} 不在证据包内"
            ),
            Self::Jws(error) => {
                let zh = jws_zh(error);
                text!("has a token that {error}", "的令牌{zh}")
            }
            Self::Claims(why) => text!(
                "has a token whose claims can't be read: {why}",
                "的令牌内容无法读取：{why}"
            ),
            Self::Key(kid) => text!(
                "has a token of the key {kid:?}, which the trust file does not have",
                "的令牌由密钥 {kid:?} 签名，信任文件中没有该密钥"
            ),
            Self::Validity { kid, iat } => text!(
                "has a token of {iat}, when the key {kid:?} was not to be trusted",
                "的令牌签发于 {iat}，密钥 {kid:?} 当时不在有效期内"
            ),
            Self::Site(site) => {
                text!("has a token for the site {site}", "的令牌属于平台 {site}")
            }
            Self::Gateway(gateway) => text!(
                "has a token for the gateway {gateway}",
                "的令牌属于网关 {gateway}"
            ),
            Self::Machine => text!(
                "has a token that is not for this machine",
                "的令牌不适用于该设备"
            ),
            Self::Booking { said, known } => text!(
                "has a token for booking {said}, and is of {known}",
                "的令牌属于预约 {said}，而其预约为 {known}"
            ),
            Self::External(why) => why.said(),
            Self::Issued { iat } => text!(
                "has a token that was issued at {iat}, after it ended",
                "的令牌签发于 {iat}，在其结束之后"
            ),
            Self::Window { from, start, end } => text!(
                "began at {from}, and its token is for {start} to {end}",
                "始于 {from}，而令牌的时段为 {start} 至 {end}"
            ),
        }
    }
}

/// Why it is not another company's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum External {
    Class(Class),
    NoOrg,
}

impl External {
    fn said(&self) -> Text {
        match self {
            Self::Class(class) => text!(
                "is external, and its token asks for class {class}",
                " 属对外，而令牌申请的类别为 {class}"
            ),
            Self::NoOrg => text!(
                "is external, and its token names no organisation",
                " 属对外，而令牌未写明机构"
            ),
        }
    }
}

fn jws_zh(error: &JwsError) -> String {
    match error {
        JwsError::Size(bytes, bytes_max) => format!("有 {bytes} 字节，最多 {bytes_max} 字节"),
        JwsError::Form => "不是紧凑格式的 JWS".to_owned(),
        JwsError::Header => "的头部除 alg、kid、typ 外还有其他内容，或没有 kid".to_owned(),
        JwsError::Algorithm => "未签名，或所用算法不是 EdDSA".to_owned(),
        JwsError::Critical => "的头部含有 crit".to_owned(),
        JwsError::UnknownKey(kid) => format!("由未知密钥 {kid:?} 签名"),
        JwsError::Signature => "的签名不符".to_owned(),
    }
}
