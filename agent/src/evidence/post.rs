//! One request by POST, or by GET, over HTTP/1.1, without encryption, on a connection of its own.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

/// Until a server has accepted the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Post<'a> {
    /// The server; an IPv6 address in brackets.
    pub(crate) host: &'a str,
    /// Its port.
    pub(crate) port: u16,
    /// What is asked.
    pub(crate) path: &'a str,
    /// What the body is.
    pub(crate) content_type: &'static str,
    /// Who asks, where the server wants to know.
    pub(crate) authorization: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Bytes of the answer at most.
    pub(crate) answer_bytes_max: usize,
    /// From the request to the whole answer.
    pub(crate) timeout: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// What its body is said to be.
    pub(crate) content_type: Option<String>,
    /// After how many seconds to ask again, where it says so.
    pub(crate) retry_after_s: Option<u64>,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The way there is cut, or nothing comes back in time.
    #[error("{0}")]
    Lost(String),
    /// This can't be asked.
    #[error("{0}")]
    Request(String),
}

impl Post<'_> {
    /// Sends it; never on a connection that may have broken.
    pub(crate) async fn send(self) -> Result<Reply, PostError> {
        self.by(Method::POST).await
    }

    /// Asks for the path by GET; the body should be empty.
    pub(crate) async fn get(self) -> Result<Reply, PostError> {
        self.by(Method::GET).await
    }

    async fn by(self, method: Method) -> Result<Reply, PostError> {
        match time::timeout(self.timeout, self.converse(method)).await {
            Ok(replied) => replied,
            Err(_) => Err(PostError::Lost("it does not answer in time".to_owned())),
        }
    }

    async fn converse(self, method: Method) -> Result<Reply, PostError> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((host, self.port));
        let stream = match time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(lost(&error)),
            Err(_) => return Err(PostError::Lost("it does not answer".to_owned())),
        };
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| lost(&error))?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder()
            .method(method)
            .uri(self.path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, self.content_type);
        if let Some(told) = self.authorization {
            request = request.header(AUTHORIZATION, told);
        }
        let request = request.body(Full::new(Bytes::from(self.body)));
        let request = request.map_err(|error| PostError::Request(error.to_string()))?;
        let sent = sender.send_request(request).await;
        let response = sent.map_err(|error| lost(&error))?;
        let said = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let status = response.status().as_u16();
        let content_type = said(CONTENT_TYPE);
        let retry_after_s = said(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        let body = Limited::new(response.into_body(), self.answer_bytes_max);
        let body = body.collect().await;
        let body = body.map_err(|error| PostError::Lost(error.to_string()))?;
        Ok(Reply {
            status,
            content_type,
            retry_after_s,
            body: body.to_bytes(),
        })
    }
}

fn lost(error: &dyn std::error::Error) -> PostError {
    PostError::Lost(error.to_string())
}

/// Host and port of `{scheme}HOST[:PORT]`.
pub(crate) fn address(url: &str, scheme: &str, default: u16) -> Option<(String, u16)> {
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
