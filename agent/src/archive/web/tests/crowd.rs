//! Who asks for more than a share of the places, and who asks and goes away.

use super::super::{Desk, PATIENCE, QUEUE, SHARE, router};
use super::{Stand, request};
use crate::archive::index::{Index, Indexer};
use crate::serve::{self, Bounds, Sender};
use axum::body::{Body, to_bytes};
use axum::response::IntoResponse;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, unconstrained, yield_now};
use tower::ServiceExt as _;

/// Longer than any test.
const EVER: Duration = Duration::from_secs(3_600);

/// Places at each work.
const EVERY: usize = 8;

/// What there are places for.
#[derive(Clone, Copy, Debug)]
enum Work {
    Figures,
    Reads,
    Requests,
}

/// What came of something that was asked.
type Asked = Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// Says that it has begun, and goes on until what it gives then is dropped.
fn hold(begun: &SyncSender<SyncSender<()>>) {
    let (goes_on, ends) = sync_channel(1);
    if begun.send(goes_on).is_ok() {
        assert!(ends.recv().is_err());
    }
}

fn ask(desk: &Arc<Desk>, work: Work, from: &str, begun: &SyncSender<SyncSender<()>>) -> Asked {
    let (desk, begun) = (Arc::clone(desk), begun.clone());
    let sender = Sender(from.parse().unwrap());
    Box::pin(async move {
        let sender = Some(&sender);
        let hold = move || hold(&begun);
        let response = match work {
            Work::Figures => {
                let held = desk.reckon(sender, move |_| {
                    hold();
                    Ok("done")
                });
                held.await.into_response()
            }
            Work::Reads => {
                let held = desk.read(sender, move |_| {
                    hold();
                    Ok("done")
                });
                held.await.into_response()
            }
            Work::Requests => {
                let body = Body::from(r#"{"id":"7","method":"status","params":null}"#);
                let held = desk.requests.answer(sender, body, move |_, _, _| {
                    hold();
                    Ok(vec![json!("done")])
                });
                held.await.into_response()
            }
        };
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let words = ["done", "\"busy\""].into_iter();
        let mut said = words.filter(|word| text.contains(word));
        said.next().unwrap_or_else(|| panic!("{text}"))
    })
}

/// Lets all of them come to where they wait.
async fn all_wait(asked: &mut [Asked]) {
    // Else those that are polled last may have to wait because so many were polled before them.
    unconstrained(poll_fn(|cx| {
        for one in asked.iter_mut() {
            assert!(one.as_mut().poll(cx).is_pending());
        }
        Poll::Ready(())
    }))
    .await;
}

async fn check(desk: Desk, work: Work, from: &str, (share, queue): (usize, usize)) {
    let desk = Arc::new(desk);
    let (begun, begins) = sync_channel(EVERY);
    let ask = |from: &str| ask(&desk, work, from, &begun);
    // A share of them begins, and others wait; one more is told so at once.
    let mut asked: Vec<Asked> = (0..share + queue).map(|_| ask(from)).collect();
    all_wait(&mut asked).await;
    let held: Vec<_> = (0..share)
        .map(|_| begins.recv_timeout(EVER).unwrap())
        .collect();
    assert_eq!(ask(from).await, "\"busy\"", "{work:?} {from}");
    // Another address has its places, however many wait.
    let mut others: Vec<Asked> = (share..EVERY.min(2 * share))
        .map(|_| ask("198.51.100.7"))
        .collect();
    all_wait(&mut others).await;
    for _ in &others {
        drop(begins.recv_timeout(EVER).unwrap());
    }
    for other in others {
        assert_eq!(other.await, "done", "{work:?} {from}");
    }
    // Whoever hangs up leaves the queue.
    drop(asked.pop());
    asked.push(ask(from));
    all_wait(&mut asked).await;
    assert!(begins.try_recv().is_err(), "{work:?} {from}");
    // All others are answered when their turn comes.
    drop((held, begins));
    for one in asked {
        assert_eq!(one.await, "done", "{work:?} {from}");
    }
}

#[tokio::test]
async fn an_address_waits_for_its_share_and_nobody_else_waits_for_it() {
    let stand = Stand::new();
    for work in [Work::Figures, Work::Reads, Work::Requests] {
        check(stand.desk(), work, "192.0.2.1", (SHARE.far, QUEUE.far)).await;
        check(stand.desk(), work, "127.0.0.1", (SHARE.near, QUEUE.near)).await;
    }
}

#[tokio::test]
async fn every_route_knows_whose_share_it_takes() {
    let stand = Stand::new();
    let index = Arc::new(Index::embedded(&stand.city.dir()).unwrap());
    let desk = Arc::new(stand.desk().with_index(index));
    let (begun, begins) = sync_channel(EVERY);
    let from = "192.0.2.1";
    let mut asked = Vec::new();
    for work in [Work::Figures, Work::Reads, Work::Requests] {
        asked.extend((0..SHARE.far + QUEUE.far).map(|_| ask(&desk, work, from, &begun)));
    }
    all_wait(&mut asked).await;
    let status = r#"{"id":"7","method":"status","params":null}"#;
    for (method, path, expected) in [
        ("GET", "/readyz", 503),
        ("GET", "/api/v1/status", 503),
        ("GET", "/api/v1/sites", 503),
        ("GET", "/api/v1/gateways", 503),
        ("GET", "/api/v1/alarms", 503),
        ("GET", "/api/v1/strangers", 503),
        ("GET", "/api/v1/machines", 503),
        ("POST", "/api/v1/gateways/zs/gw/request", 200),
        ("POST", "/api/v1/gateways/zs/gw/e1/request", 200),
    ] {
        let mut request = request(method, path, status);
        let sender = Sender(from.parse().unwrap());
        request.extensions_mut().insert(sender);
        let router = router(Arc::clone(&desk), PATIENCE);
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains("\"busy\""), "{path}: {body}");
    }
    drop((begins, asked));
}

/// Whether one more would be told at once that too many wait.
async fn is_full(one: &mut Asked) -> bool {
    poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx).is_ready())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_leaves_the_queue() {
    let desk = Arc::new(Stand::new().desk());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bounds = Bounds {
        connections_max: 1,
        each: SHARE,
        patience: PATIENCE,
    };
    let service = TowerToHyperService::new(router(Arc::clone(&desk), PATIENCE));
    tokio::spawn(serve::serve(listener, "archive", service, bounds));
    let (begun, begins) = sync_channel(EVERY);
    let ask = || ask(&desk, Work::Reads, "127.0.0.1", &begun);
    let mut asked: Vec<Asked> = (1..SHARE.near + QUEUE.near).map(|_| ask()).collect();
    all_wait(&mut asked).await;
    // The last one that may wait comes over a connection.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = [0; 4_096];
    while !is_full(&mut ask()).await {
        // Whoever looks has the place for a moment: a request that came just then was refused, and comes again.
        if stream.try_read(&mut answer).is_ok_and(|count| count > 0) {
            stream.write_all(head).await.unwrap();
        }
        yield_now().await;
    }
    drop(stream);
    while is_full(&mut ask()).await {
        yield_now().await;
    }
    drop((begins, asked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_is_not_reckoned_for() {
    let desk = Arc::new(Stand::new().desk());
    let (begun, begins) = sync_channel(2 * EVERY);
    // Reckons until nobody waits any more.
    let reckon = |from: &str| -> JoinHandle<()> {
        let (desk, begun) = (Arc::clone(&desk), begun.clone());
        let sender = Sender(from.parse().unwrap());
        tokio::spawn(async move {
            let reckoned = desk.reckon(Some(&sender), move |wanted| {
                begun.send(true).unwrap();
                let (_kept, never) = sync_channel::<()>(1);
                let pause = || never.recv_timeout(Duration::from_millis(5)).is_err();
                while !wanted.is_over() && pause() {}
                begun.send(false).unwrap();
                Ok(())
            });
            drop(reckoned.await);
        })
    };
    let next = |said: &Receiver<bool>| said.recv_timeout(EVER).unwrap();
    let of = |one: usize| ["192.0.2.1", "192.0.2.2"][one % 2];
    let all: Vec<_> = (0..EVERY).map(|one| reckon(of(one))).collect();
    for _ in 0..EVERY {
        assert!(next(&begins));
    }
    // All hang up: nothing goes on, and the next is answered.
    all.iter().for_each(JoinHandle::abort);
    for _ in 0..EVERY {
        assert!(!next(&begins));
    }
    assert!(desk.reckon(None, |_| Ok(())).await.is_ok());
}

#[tokio::test]
async fn whatever_is_asked_of_the_index_ends_with_its_time() {
    let stand = Stand::new();
    let index = Arc::new(Index::embedded(&stand.city.dir()).unwrap());
    let mut indexer = Indexer::new(stand.city.shelf(), Arc::clone(&index));
    indexer.round(&mut || false).unwrap();
    let mut desk = stand.desk().with_index(index);
    desk.figures_max = Duration::ZERO;
    let router = router(Arc::new(desk), PATIENCE);
    let period = "from=2026-11-23T00:00:00.000Z&to=2026-11-24T00:00:00.000Z";
    for path in [
        "machines",
        "sessions",
        "outcomes",
        "corrections",
        "spans?site=zs&gateway=gw",
        "gaps?site=zs&gateway=gw",
        &format!("usage?{period}"),
        &format!("usage?{period}&by=gateway"),
        &format!("usage?{period}&by=day"),
    ] {
        let request = request("GET", &format!("/api/v1/{path}"), "");
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 503, "{path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["error"], "slow", "{path}");
    }
}
