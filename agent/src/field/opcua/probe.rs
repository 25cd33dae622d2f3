//! One extra read of some points, for a technician: what the server says beside what the map makes
//! of it.
//!
//! One request for all points; its answer is bounded by the server's `timeout`.

use opcua::types::{DataValue, DateTime, ReadValueId, StatusCode, TimestampsToReturn};

use super::item::{node, point};
use super::status::plain;
use super::value::{moment, reading, word};
use super::words::in_words;
use super::work::Bench;
use crate::config::model::Point;
use crate::field::probe::{NodeRaw, ProbeOrder, ProbeReading};
use crate::sample::Bad;

/// Reads the points of an order and answers it.
pub(super) async fn probe(bench: Bench, order: ProbeOrder) {
    let mut asked: Vec<(u16, &Point, ReadValueId)> = Vec::new();
    let mut readings = Vec::new();
    for place in &order.points {
        let Some(point) = point(&order.map, *place) else {
            continue;
        };
        let address = point.node();
        match address.and_then(|address| node(address, &bench.namespaces)) {
            Some(node) => asked.push((*place, point, ReadValueId::from(node))),
            None => readings.push(without(
                *place,
                Bad::Status(plain(StatusCode::BadNodeIdUnknown)),
            )),
        }
    }
    let nodes: Vec<ReadValueId> = asked.iter().map(|(_, _, node)| node.clone()).collect();
    let read = bench.session.read(&nodes, TimestampsToReturn::Both, 0.0);
    let answer = bench.ask(read).await;
    let silent = match &answer {
        Err(StatusCode::BadTimeout) => Bad::Timeout,
        Err(status) => Bad::Status(plain(*status)),
        Ok(_) => Bad::Link,
    };
    let mut values = answer.unwrap_or_default().into_iter();
    for (place, point, _) in asked {
        readings.push(match values.next() {
            Some(data) => ProbeReading {
                point: place,
                raw: None,
                reading: reading(point, &data),
                node: Some(shown(&data)),
            },
            None => without(place, silent),
        });
    }
    let place_of = |place: u16| order.points.iter().position(|asked| *asked == place);
    readings.sort_by_key(|reading| place_of(reading.point));
    // Nobody may be waiting any more.
    drop(order.reply.send(Ok(readings)));
}

fn without(point: u16, bad: Bad) -> ProbeReading {
    ProbeReading {
        point,
        raw: None,
        node: None,
        reading: Err(bad),
    }
}

fn shown(data: &DataValue) -> NodeRaw {
    let time = |time: &Option<DateTime>| time.as_ref().and_then(moment);
    let value = data.value.as_ref();
    NodeRaw {
        kind: value.map_or("Null", word).to_owned(),
        value: value.map_or_else(String::new, in_words),
        status: plain(data.status.unwrap_or(StatusCode::Good)).to_string(),
        source: time(&data.source_timestamp),
        server: time(&data.server_timestamp),
    }
}
