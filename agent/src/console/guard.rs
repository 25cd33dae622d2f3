//! The door: who may ask at all.
//!
//! A page from elsewhere, shown in a browser beside the gateway, can send requests to loopback. It can't
//! choose `Host` freely: after it has pointed its own name here (DNS rebinding) its requests still carry that
//! name. So `Host` must be an address of ours or a name of loopback; and what writes must be JSON, which no
//! foreign page can send unasked, from an origin that is ours.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use crate::serve::head;
use crate::serve::problem::Problem;
use crate::text;

/// What the door needs to know.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) desk: Arc<Desk>,
    /// For a request's body, and for the answer.
    pub(super) patience: Duration,
}

/// Asked by service managers, which have no password.
const OPEN: &str = "/healthz";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// No other page reads what is here.
const STRICT: [(HeaderName, HeaderValue); 1] = [(
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("same-origin"),
)];

/// Lets a request in, or says why not.
pub(super) async fn guard(
    State(door): State<Door>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let mut response = match judge(&door.desk, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => match tokio::time::timeout(door.patience, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::slow().into_response(),
        },
    };
    head::put_on(response.headers_mut(), STRICT, "no-store");
    response
}

fn judge(desk: &Desk, request: &Request<Body>) -> Result<(), Problem> {
    let headers = request.headers();
    let host = one(headers, &header::HOST);
    let target = request.uri().authority().map(|target| target.as_str());
    let is_ours = |host: &str| is_ours(host, desk.listen());
    if !host.is_some_and(is_ours) || !target.is_none_or(is_ours) {
        return Err(foreign_host());
    }
    if request.uri().path() != OPEN && !desk.admits(password(headers).as_deref()) {
        return Err(locked());
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if !reads {
        if !is_same_origin(headers, host.unwrap_or_default()) {
            return Err(foreign_page());
        }
        if !is_json(headers) {
            return Err(not_json());
        }
    }
    Ok(())
}

/// The value of a header that is there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a `Host` is an address of this gateway or a name of loopback; the port may be a tunnel's.
fn is_ours(host: &str, listen: SocketAddr) -> bool {
    let Some(name) = without_port(host) else {
        return false;
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        None => name.parse().ok().map(IpAddr::V4),
    };
    address.is_some_and(|address| {
        // Listening on every address: a foreign page can't make a name out of a number.
        address.is_loopback() || address == listen.ip() || listen.ip().is_unspecified()
    })
}

/// A host without its port; none where what follows is no port.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at_checked(end)?;
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

/// The password of HTTP Basic authentication; the user's name does not matter.
fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let said = one(headers, &header::AUTHORIZATION)?;
    let (scheme, rest) = said.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = BASE64.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Whether what is to be written comes from our own page, or from no page at all.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = headers
        .get_all(FETCH_SITE)
        .iter()
        .all(|site| site == "same-origin" || site == "none");
    let ours = format!("http://{host}");
    let origin = headers
        .get_all(header::ORIGIN)
        .iter()
        .all(|origin| origin.as_bytes().eq_ignore_ascii_case(ours.as_bytes()));
    site && origin
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = one(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn foreign_host() -> Problem {
    let text = text!(
        "the request names another host: use the gateway's address, or localhost",
        "请求所指的主机不是本网关：请使用网关的地址或 localhost"
    );
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host", text)
}

fn locked() -> Problem {
    let text = text!("the password is wanted", "需要密码");
    Problem::new(StatusCode::UNAUTHORIZED, "password", text)
}

fn foreign_page() -> Problem {
    let text = text!(
        "a page from elsewhere may not do this",
        "来自其他网站的页面不得执行此操作"
    );
    Problem::new(StatusCode::FORBIDDEN, "origin", text)
}

fn not_json() -> Problem {
    let text = text!(
        "Content-Type must be application/json",
        "Content-Type 须为 application/json"
    );
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text)
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_our_own_addresses_are_ours() {
        for (listen, host, ours) in [
            ("127.0.0.1:8600", "localhost", true),
            ("127.0.0.1:8600", "LocalHost:9000", true),
            ("127.0.0.1:8600", "127.0.0.1:8600", true),
            ("127.0.0.1:8600", "127.0.0.2", true),
            ("127.0.0.1:8600", "[::1]:8600", true),
            ("127.0.0.1:8600", "10.0.0.5:8600", false),
            ("127.0.0.1:8600", "evil.example", false),
            ("127.0.0.1:8600", "localhost.evil.example", false),
            ("127.0.0.1:8600", "127.0.0.1.evil.example", false),
            ("127.0.0.1:8600", "localhost:", false),
            ("127.0.0.1:8600", "localhost:x", false),
            ("127.0.0.1:8600", "localhost:+1", false),
            ("127.0.0.1:8600", "localhost:1:2", false),
            ("127.0.0.1:8600", "user@localhost", false),
            ("127.0.0.1:8600", "[::1", false),
            ("127.0.0.1:8600", "[::1]x", false),
            ("127.0.0.1:8600", "[127.0.0.1]", false),
            ("127.0.0.1:8600", "::1", false),
            ("127.0.0.1:8600", "", false),
            ("10.0.0.5:8600", "10.0.0.5:8600", true),
            ("10.0.0.5:8600", "10.0.0.6", false),
            ("0.0.0.0:8600", "10.0.0.5", true),
            ("0.0.0.0:8600", "gateway", false),
            ("[fd00::5]:8600", "[fd00::5]:8600", true),
            ("[fd00::5]:8600", "[fd00:0::5]", true),
        ] {
            assert_eq!(
                is_ours(host, listen.parse().unwrap()),
                ours,
                "{listen} {host}"
            );
        }
    }
}
