//! Requests that are wrong, too many, or answered to nobody.

use super::super::super::tests::peer::{Listener, PATIENCE, Said};
use super::{RESPONSE, Rig, ask, asking, part, ready, refusal};
use serde_json::json;
use tokio::time;

#[tokio::test]
async fn small_packets_are_kept_to() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    // 2,000 bytes at most.
    let mut peer = ready(&listener, &[0x27, 0, 0, 7, 0xd0]).await;
    rig.append(9, &"x".repeat(700));
    let size = rig.ledger.size();
    rig.append(1, &"x".repeat(3000));
    let parts = ask(&mut peer, "ledger.entries", json!({"from": 0, "to": size})).await;
    assert!(parts.len() > 4);
    let parts = parts
        .iter()
        .map(|part| serde_json::to_vec(part).unwrap().len());
    assert!(parts.max().unwrap() < 1950);
    let too_large = json!({"from": size, "to": size + 1});
    let code = refusal(&mut peer, "ledger.entries", too_large).await;
    assert_eq!(code, "unavailable");
    rig.stop().await;
}

#[tokio::test]
async fn answers_go_nowhere_else() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let long = format!("{RESPONSE}{}", "x".repeat(300));
    let wrong = [
        None,
        Some("lineside/v1/s/g/availability/press"),
        Some("lineside/v1/s/g/status"),
        Some("lineside/v1/s/g/response/"),
        Some("lineside/v1/s/other/response/me"),
        Some(long.as_str()),
    ];
    for response in wrong {
        for payload in [r#"{"id":"w","method":"status"}"#, "junk"] {
            peer.say(&Said {
                response,
                ..asking(payload)
            })
            .await;
        }
    }
    let kept = Said {
        retained: true,
        ..asking(r#"{"id":"w","method":"status"}"#)
    };
    peer.say(&kept).await;
    // What comes first is the answer to the first that may have one.
    assert_eq!(
        refusal(&mut peer, "status", json!(null)).await,
        "unavailable"
    );
    let figures = rig.figures(|figures| figures.requests == 1).await;
    assert_eq!(figures.refused, 13);
    rig.stop().await;
}

#[tokio::test]
async fn junk_is_answered_with_a_word_and_harms_nothing() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let deep = "[".repeat(10_000);
    let long = "x".repeat(100_000);
    for payload in [
        "",
        "{}",
        "null",
        "\u{0}\u{1}",
        &deep,
        &long,
        r#"{"id":1,"method":2}"#,
    ] {
        peer.say(&asking(payload)).await;
        let error = part(&mut peer).await.error.unwrap();
        assert_eq!(error.code, "bad-params");
        assert!(error.text.len() < 300, "{}", error.text);
    }
    let figures = rig.figures(|figures| figures.refused == 7).await;
    assert_eq!((figures.connects, figures.connected), (1, true));
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_is_refused_and_bookings_still_come_through() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    rig.append(2000, &"\"".repeat(900));
    let size = rig.ledger.size();
    let mut peer = ready(&listener, &[]).await;
    let request = json!({"id": "q", "method": "ledger.entries", "params": {"from": 0, "to": size}});
    let request = request.to_string();
    for _ in 0..500 {
        peer.say(&asking(&request)).await;
    }
    peer.say(&Said {
        topic: "lineside/v1/s/g/bookings/press",
        payload: "b",
        ..Said::default()
    })
    .await;
    let message = time::timeout(PATIENCE, rig.bookings.recv()).await.unwrap();
    assert_eq!(message.unwrap().payload, b"b");
    let figures = rig.figures(|figures| figures.bookings == 1).await;
    assert_eq!(figures.requests, 500);
    assert!(figures.refused > 400, "{figures:?}");
    // Those that were taken are answered, some of the others are told to come again.
    let mut answered = 0;
    loop {
        let part = part(&mut peer).await;
        match part.error {
            Some(error) => assert_eq!(error.code, "busy"),
            None => answered += u32::from(part.part == part.parts),
        }
        if answered >= 4 && part.part == part.parts {
            break;
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_acknowledges_no_answers_is_left() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    rig.append(2000, &"\"".repeat(900));
    let mut peer = ready(&listener, &[]).await;
    let request = r#"{"id":"q","method":"ledger.entries","params":{"from":0,"to":2000}}"#;
    peer.say(&asking(request)).await;
    peer.take(4).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert_eq!(
        figures.fault.as_deref(),
        Some("the broker acknowledges no answers")
    );
    // What was not on its way yet goes with the next connection.
    let mut peer = ready(&listener, &[]).await;
    assert_eq!(part(&mut peer).await.part, 5);
    rig.stop().await;
}

#[tokio::test]
async fn answers_that_the_broker_refuses_are_counted() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    for _ in 0..10 {
        peer.say(&asking(r#"{"id":"q","method":"status"}"#)).await;
        let publish = peer.publish().await.unwrap();
        peer.answer(publish.id, 0x87).await;
    }
    let figures = rig.figures(|figures| figures.refused == 10).await;
    assert_eq!((figures.connects, figures.requests), (1, 10));
    rig.stop().await;
}
