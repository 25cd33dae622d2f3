//! What every answer carries, whoever gives it: nothing of ours runs in another page, and no page of ours runs code that
//! it did not bring.

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};

const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Puts it on, with what else this server's answers carry. Whoever answered may have said how long the answer may be
/// kept; else it is `caching`.
pub fn put_on(
    headers: &mut HeaderMap,
    more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    caching: &'static str,
) {
    for (name, value) in ALWAYS.into_iter().chain(more) {
        headers.insert(name, value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(caching));
}
