//! What is asked and makes no sense, and who is told of.

use super::{PATIENCE, Stand, request, router};
use crate::archive::index::{Index, Indexer};
use crate::archive::testing::at;
use crate::archive::{Cards, Live, Roll};
use crate::clock::SystemClock;
use axum::body::to_bytes;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use tower::ServiceExt as _;

#[tokio::test]
async fn what_can_not_be_asked_is_named_with_its_form_in_both_languages() {
    let stand = Stand::new();
    for (path, en, zh) in [
        (
            "sessions?from=x",
            "`from` is a time in UTC, such as 2026",
            "`from` 应为 UTC 时间",
        ),
        ("sessions?to=2026-13-01", "`to` is a time", "`to` 应为"),
        (
            "usage?site=ZS",
            "`site` is a name of a-z",
            "`site` 应为 由 a-z",
        ),
        (
            "sessions?class=ext",
            "`class` is EXT, OWN",
            "`class` 应为 EXT、OWN",
        ),
        (
            "sessions?limit=x",
            "`limit` is a number from 1 to 1000, and not `x`",
            "`limit` 应为 1 至 1000",
        ),
        (
            "sessions?limit=1&limit=2",
            "`limit` is said twice",
            "出现了两次",
        ),
        (
            "outcomes?booking=bk%001",
            "`booking` has a zero character",
            "`booking` 中含有零字符",
        ),
        (
            "sessions?booking=%00",
            "`booking` has a zero character",
            "零字符",
        ),
        (
            "sessions?after=%00",
            "`after` has a zero character",
            "零字符",
        ),
        (
            "usage?by=moon",
            "`by` is machine, gateway",
            "`by` 应为 machine",
        ),
        (
            "usage?form=x",
            "`form` can't be asked for here; these can: ",
            "此处没有查询参数 `form`；可用的有：",
        ),
        (
            "status?x=1",
            "nothing can be asked for here",
            "此处不接受查询参数",
        ),
    ] {
        let (status, _, body) = stand.get(&format!("/api/v1/{path}")).await;
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &said["error"]), (400, &json!("query")), "{path}");
        let (found_en, found_zh) = (said["en"].as_str().unwrap(), said["zh"].as_str().unwrap());
        assert!(found_en.contains(en), "{path}: {said}");
        assert!(found_zh.contains(zh), "{path}: {said}");
    }
}

#[tokio::test]
async fn who_is_enrolled_and_who_is_a_stranger_is_told() {
    let stand = Stand::new();
    let waiting = stand.city.gateway("zs", "gw-2");
    stand.city.card(&waiting);
    stand.city.card(&stand.first);
    let cards = Cards::load(&stand.city.dir().join("gateways")).unwrap().0;
    let roll = Arc::new(Roll::default());
    roll.set(&cards);
    let live = Arc::new(Live::new(Arc::new(SystemClock), roll));
    let stand = Stand { live, ..stand };
    let told = stand.json("/api/v1/gateways").await;
    let told = told.as_array().unwrap().iter();
    let told: Vec<Value> = told
        .map(|of| {
            json!([
                of["site"],
                of["gateway"],
                of["enrolled"],
                of["logs"].as_array().unwrap().len()
            ])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["ql", "gw", false, 1],
            ["zs", "gw", true, 1],
            ["zs", "gw-2", true, 0]
        ])
    );
    assert_eq!(
        stand
            .json("/api/v1/gateways?site=ql")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(stand.json("/api/v1/strangers").await, json!([]));
    let dir = stand.city.dir().join("strangers");
    fs::create_dir_all(&dir).unwrap();
    let stranger = json!({
        "v": 1, "at": "2026-11-23T00:00:00.000Z", "site": "zs", "gateway": "gw-9", "reason": "r", "note": "n",
    });
    fs::write(dir.join("zs.gw-9.json"), stranger.to_string()).unwrap();
    assert_eq!(
        stand.json("/api/v1/strangers?site=zs").await,
        json!([stranger])
    );
    assert_eq!(stand.json("/api/v1/strangers?site=ql").await, json!([]));
}

#[tokio::test]
async fn a_day_of_which_nothing_is_known_has_a_row() {
    let stand = Stand::new();
    let index = Arc::new(Index::embedded(&stand.city.dir()).unwrap());
    let mut indexer = Indexer::new(stand.city.shelf(), Arc::clone(&index));
    indexer.round(&mut || false).unwrap();
    let router = router(Arc::new(stand.desk().with_index(index)), PATIENCE);
    // From eight in the morning, UTC, to that of the next day but one: midnight in Shanghai is at 16:00.
    let path = format!("/api/v1/usage?by=day&from={}&to={}", at(0), at(48));
    let response = router.oneshot(request("GET", &path, "")).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let usage: Value = serde_json::from_slice(&body).unwrap();
    let rows = usage["rows"].as_array().unwrap().iter();
    let told: Vec<_> = rows
        .map(|row| (&row["day"], &row["period_ms"], &row["known_ms"]))
        .collect();
    let days = [(0, 8), (8, 24), (32, 16)]
        .map(|(begin, hours)| (json!(at(begin)), json!(hours * 3_600_000), json!(0)));
    let days: Vec<_> = days.iter().map(|day| (&day.0, &day.1, &day.2)).collect();
    assert_eq!(told, days);
}
