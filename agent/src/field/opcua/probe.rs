//! One extra read of some points, for a technician: what the server says beside what the map makes
//! of it.
//!
//! Each request is bounded in nodes, its answer by the server's `timeout`.

use opcua::types::{DataValue, DateTime, ReadValueId, StatusCode, TimestampsToReturn, Variant};

use super::item::{is_wide, node, point, values_a_request};
use super::pieces::Pieces;
use super::status::plain;
use super::value::{moment, reading, word};
use super::words::in_words;
use super::work::Bench;
use crate::config::model::Point;
use crate::field::probe::{NodeRaw, ProbeOrder, ProbeReading};
use crate::sample::Bad;

/// Nodes in one request at most.
const NODES_A_REQUEST: usize = 500;

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
    let is_any_wide = asked.iter().any(|(_, point, _)| is_wide(point));
    let at_once = values_a_request(NODES_A_REQUEST, is_any_wide);
    let mut pieces = Pieces::of(&asked, at_once);
    while let Some(piece) = pieces.next() {
        let nodes: Vec<ReadValueId> = piece.iter().map(|(_, _, node)| node.clone()).collect();
        let read = bench.session.read(&nodes, TimestampsToReturn::Both, 0.0);
        let answer = bench.ask(read).await;
        let silent = match &answer {
            Err(status) if pieces.halve(*status) => continue,
            Err(StatusCode::BadTimeout) => Bad::Timeout,
            Err(status) => Bad::Status(plain(*status)),
            Ok(_) => Bad::Link,
        };
        let mut values = answer.unwrap_or_default().into_iter();
        for (place, point, _) in piece {
            readings.push(match values.next() {
                Some(data) => ProbeReading {
                    point: *place,
                    raw: None,
                    reading: reading(point, &data),
                    node: Some(shown(point, &data)),
                },
                None => without(*place, silent),
            });
        }
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

fn shown(point: &Point, data: &DataValue) -> NodeRaw {
    let time = |time: &Option<DateTime>| time.as_ref().and_then(moment);
    let value = data.value.as_ref().map(|value| element(point, value));
    NodeRaw {
        kind: value.map_or("Null", word).to_owned(),
        value: value.map_or_else(String::new, in_words),
        status: plain(data.status.unwrap_or(StatusCode::Good)).to_string(),
        source: time(&data.source_timestamp),
        server: time(&data.server_timestamp),
    }
}

/// The element of an array that the map names, if there is one, else all of it.
fn element<'a>(point: &Point, value: &'a Variant) -> &'a Variant {
    let Variant::Array(array) = value else {
        return value;
    };
    let index = point.node().and_then(|address| address.index);
    let place = index.and_then(|index| usize::try_from(index).ok());
    let element = place.and_then(|place| array.values.get(place));
    element.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::NodeKind;
    use crate::field::opcua::sample_map::point;

    #[test]
    fn of_an_array_the_element_is_shown_that_the_map_names() {
        for (index, kind, value) in [
            (Some(1), "Int16", "8"),
            (Some(9), "array", "[2]"),
            (None, "array", "[2]"),
        ] {
            let point = point("p", "n", NodeKind::Number, index);
            let shown = shown(&point, &DataValue::value_only(vec![7_i16, 8]));
            assert_eq!((shown.kind.as_str(), shown.value.as_str()), (kind, value));
        }
    }
}
