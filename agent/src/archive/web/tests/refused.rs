//! What is not there, and what can't be asked for: each with why, and described.

use super::super::openapi::ENDPOINTS;
use super::super::{PATIENCE, ROUTES, router, witness};
use super::{Stand, request};
use crate::archive::witness::Witness;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;

async fn check(stand: &Stand, request: Request<Body>, expected: (u16, &str)) {
    let asked = format!("{} {}", request.method(), request.uri());
    let (status, headers, body) = stand.ask(request).await;
    assert_eq!(status, expected.0, "{asked}");
    assert_eq!(&headers["content-type"], "application/json", "{asked}");
    assert_eq!(status == 405, headers.contains_key("allow"), "{asked}");
    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(said["error"], expected.1, "{asked}");
    for language in ["en", "zh"] {
        assert!(said[language].as_str().unwrap().len() > 10, "{asked}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_leads_nowhere() {
    let stand = Stand::new();
    for (method, path) in [
        ("GET", "/logs/%ff/ok/e1/checkpoint"),
        ("GET", "/logs/zs/gw/e1/tile/%ff"),
        ("POST", "/api/v1/gateways/%ff/ok/request"),
        ("POST", "/api/v1/gateways/zs/gw/%ff/request"),
        ("GET", "/%ff/checkpoint"),
    ] {
        check(&stand, request(method, path, ""), (404, "nothing")).await;
    }
}

#[tokio::test]
async fn a_witness_says_plainly_that_a_path_is_no_text() {
    let stand = Stand::new();
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("keys/witness.key");
    let of = Witness::create(&key, "w.example/1").unwrap();
    let routes = witness::router(Arc::new(of), Arc::new(|_: &str| Vec::new()));
    let desk = Arc::new(stand.desk().with_witness(routes));
    for path in ["/%ff/checkpoint", "/none/checkpoint"] {
        let router = router(Arc::clone(&desk), PATIENCE);
        let response = router.oneshot(request("GET", path, "")).await.unwrap();
        assert_eq!(response.status().as_u16(), 404, "{path}");
        let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
        let body = String::from_utf8_lossy(&body);
        assert!(body.starts_with("nothing of this log"), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_why() {
    let stand = Stand::new();
    for (path, _) in ROUTES {
        let path = path.replace([':', '*'], "");
        let asked = request("DELETE", &path, "");
        check(&stand, asked, (405, "method-not-allowed")).await;
    }
    let asked = request("GET", "/api/v1/gateways/zs/gw/request", "");
    check(&stand, asked, (405, "method-not-allowed")).await;
    let asked = request("POST", "/api/v1/status", "{}");
    check(&stand, asked, (405, "method-not-allowed")).await;
}

#[tokio::test]
async fn what_refuses_a_question_says_so_in_the_description() {
    let stand = Stand::new();
    let read = ENDPOINTS.iter().filter(|endpoint| endpoint.method == "get");
    for endpoint in read {
        let path = endpoint.path.replace(['{', '}'], "");
        let (status, ..) = stand.get(&format!("{path}?x=1")).await;
        let is_described = endpoint.refuses.contains(&"400");
        assert_eq!(status == 400, is_described, "{path}: {status}");
    }
    let described = stand.json("/api/v1/openapi.json").await;
    let of_status = &described["paths"]["/api/v1/status"]["get"]["responses"]["400"];
    let problem = json!({"$ref": "#/components/responses/problem"});
    assert_eq!(of_status, &problem);
    let beside = described["info"]["description"].as_str().unwrap();
    assert!(beside.contains("405"), "{beside}");
}
