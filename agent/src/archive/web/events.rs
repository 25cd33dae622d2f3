//! `/api/v1/events`: what happens, as server-sent events.
//!
//! Nobody is waited for. Who is too slow is told so and let go; whoever comes again with `Last-Event-ID` goes on where
//! it ended as long as that is kept, and is told else that it must look at everything anew (`begin` with
//! `goes_on: false`). Who reads nothing at all for `STALL_MAX` loses its connection.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::logs::Wanted;
use super::{Desk, query};
use crate::archive::alarm::AlarmDocument;
use crate::archive::events::{Event, Listener};
use crate::archive::live::{HeadNews, MachineNow};
use crate::serve::problem::Problem;
use crate::serve::share::Share;
use crate::serve::{Lease, Sender};
use crate::text;

/// What events are called.
pub(super) const EVENTS: &str = "text/event-stream";
/// The header that says after which event they go on.
pub(super) const LAST_EVENT_ID: &str = "Last-Event-ID";

/// Where nothing happens, a remark is sent so often: proxies close what is silent.
const PULSE: Duration = Duration::from_secs(15);
/// A connection whose other side takes nothing for so long is let go.
const STALL_MAX: Duration = Duration::from_secs(60);
/// A connection ends after so long, and whoever listens comes again.
const LISTEN_MAX: Duration = Duration::from_secs(3_600);
/// Until a browser comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// The data of an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Data {
    /// Of `begin`, the first.
    Begin(Begin),
    /// Of `availability`.
    Availability(Box<MachineNow>),
    /// Of `head`.
    Head(HeadNews),
    /// Of `alarm`.
    Alarm(AlarmDocument),
}

/// Where the events begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Begin {
    /// Whether they go on after the event that was named, without a hole. If not, what was known must be asked for
    /// anew.
    pub(super) goes_on: bool,
}

/// One who listens.
struct Stream {
    desk: Arc<Desk>,
    wanted: Wanted,
    listener: Listener,
    lease: Option<Lease>,
    ends: Instant,
    step: Step,
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

enum Step {
    Begin,
    GoOn,
    End,
}

pub(super) async fn events(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    let wanted = query::read(&uri)?;
    let place = Arc::clone(&desk.listeners).try_acquire_owned();
    let place = place.map_err(|_| crowded())?;
    let sender = extensions.get::<Sender>();
    let share = sender.map(|sender| desk.listening.take(sender.0).ok_or_else(crowded));
    let share = share.transpose()?;
    let after = headers.get(LAST_EVENT_ID);
    let after = after.and_then(|id| id.to_str().ok());
    let stream = Stream {
        listener: desk.live.events().listen(after),
        desk,
        wanted,
        lease: extensions.get::<Lease>().cloned(),
        ends: Instant::now() + LISTEN_MAX,
        step: Step::Begin,
        _place: place,
        _share: share,
    };
    let pieces = stream::unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), stream))
    });
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static(EVENTS)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

impl Stream {
    /// The next piece of text; none at the end. It is only asked for when the one before was taken.
    async fn next(&mut self) -> Option<String> {
        if let Some(lease) = &self.lease {
            lease.renew(STALL_MAX);
        }
        match self.step {
            Step::Begin => {
                self.step = Step::GoOn;
                Some(self.begin())
            }
            Step::GoOn if Instant::now() >= self.ends => {
                self.step = Step::End;
                Some(": long enough; come again\n\n".to_owned())
            }
            Step::GoOn => Some(self.go_on().await),
            Step::End => None,
        }
    }

    fn begin(&self) -> String {
        let id = self.desk.live.events().id(self.listener.at());
        let goes_on = self.listener.goes_on();
        format!("retry: {RETRY_MS}\nid: {id}\nevent: begin\ndata: {{\"goes_on\":{goes_on}}}\n\n")
    }

    async fn go_on(&mut self) -> String {
        let until = Instant::now() + PULSE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let events = self.desk.live.events();
            let Ok(heard) = timeout(left, self.listener.next(events)).await else {
                // The id without data is remembered, and no event: whoever is told of little need not begin anew.
                let id = self.desk.live.events().id(self.listener.at());
                return format!("id: {id}\n: still here\n\n");
            };
            let Some(heard) = heard else {
                self.step = Step::End;
                return ": too slow: events were missed; come again\n\n".to_owned();
            };
            let wanted = heard
                .iter()
                .filter(|event| self.wanted.is(&event.site, &event.gateway));
            let text: String = wanted.map(|event| self.written(event)).collect();
            if !text.is_empty() {
                return text;
            }
        }
    }

    fn written(&self, event: &Event) -> String {
        let id = self.desk.live.events().id(event.number);
        let (kind, data) = (event.kind.word(), &event.data);
        format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
    }
}

fn crowded() -> Problem {
    let text = text!(
        "too many listen already, or too many from this address: come again in a minute",
        "收听者已满，或来自此地址的收听者过多：请一分钟后再试"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "crowded", text)
}
