//! What is not there: with why.

use super::{HOST, JSON, Stand, request};
use serde_json::Value;

#[tokio::test]
async fn what_is_not_there_is_refused_with_why() {
    let stand = Stand::new("127.0.0.1:0", None);
    for (method, path, expected, error) in [
        ("GET", "/api/v1/machines/%ff", 404, "nothing"),
        ("GET", "/api/v1/machines/%ff/sessions", 404, "nothing"),
        ("POST", "/api/v1/machines/%ff/session/stop", 404, "nothing"),
        ("POST", "/api/v1/status", 405, "method-not-allowed"),
        ("GET", "/api/v1/request", 405, "method-not-allowed"),
    ] {
        let asked = request(method, path, &[HOST, JSON], "{}");
        let (status, headers, body) = stand.ask(asked).await;
        assert_eq!(status.as_u16(), expected, "{path}");
        assert_eq!(headers.contains_key("allow"), expected == 405, "{path}");
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["error"], error, "{path}");
    }
}
