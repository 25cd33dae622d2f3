//! Where other people's witnesses are asked, and by which key their cosignatures are known.

use std::path::Path;

use lineside_proto::ledger::note::{KeyKind, VerifierKey};

use super::list::{self, ListError};
use crate::evidence::post::address;

/// HTTP's port.
const HTTP_PORT: u16 = 80;

/// A witness that our logs are submitted to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// What is asked, below the witness's prefix.
    pub(super) path: String,
    pub(super) key: VerifierKey,
}

impl Target {
    /// Reads a file of witnesses, one a line: the address `http://HOST[:PORT][/PREFIX]`, and the verifier key.
    ///
    /// # Errors
    ///
    /// [`ListError`] names the line and what is wrong in it.
    pub fn load(path: &Path) -> Result<Vec<Self>, ListError> {
        list::load(path, |url, key| {
            let key =
                key.ok_or("the witness's verifier key is missing: it stands after the address")?;
            Self::parse(url, key)
        })
    }

    /// A witness at an address.
    ///
    /// # Errors
    ///
    /// What is wrong with either, and what to write.
    pub fn parse(url: &str, key: &str) -> Result<Self, String> {
        if url.starts_with("https://") {
            let words = "TLS is not spoken here: let a proxy on this host, such as stunnel, speak it, and write its \
                http:// address";
            return Err(words.to_owned());
        }
        let wrong =
            || format!("`{url}` is no address: write http://HOST:PORT or http://HOST:PORT/PREFIX");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (server, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%');
        if !prefix.bytes().all(plain) {
            return Err(wrong());
        }
        let (host, port) = address(server, "", HTTP_PORT).ok_or_else(wrong)?;
        let key: VerifierKey = key.parse().map_err(|error| format!("{error}"))?;
        if key.kind() != KeyKind::Cosignature {
            return Err("this is the key of a log: write the key of the witness".to_owned());
        }
        let path = match prefix.trim_end_matches('/') {
            "" => "/add-checkpoint".to_owned(),
            prefix => format!("/{prefix}/add-checkpoint"),
        };
        Ok(Self {
            host,
            port,
            path,
            key,
        })
    }

    /// The key by which its cosignatures are known.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }
}
