//! Fills a gap from the server's own history, where it keeps one.
//!
//! Read only. What is found goes out as history, in the order of source time, while live values flow;
//! what can't be found is named. Bounded in values, in requests and in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use opcua::client::HistoryReadAction;
use opcua::types::{
    AttributeId, ByteString, DataValue, DateTime, HistoryData, HistoryReadResult,
    HistoryReadValueId, NodeId, ReadRawModifiedDetails, ReadValueId, StatusCode,
    TimestampsToReturn, Variant,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::batch::Batches;
use super::gap::Edges;
use super::item::{Namespaces, Spot, node, point};
use super::value::{moment, reading};
use super::work::Bench;
use crate::clock::Clock;
use crate::config::model::{MachineMap, Point};
use crate::sample::{Observation, Slot};

/// Nodes in one request for history: an answer holds many values of each.
const NODES_A_REQUEST: usize = 20;

/// Nodes in one request for attributes.
const ATTRIBUTES_A_REQUEST: usize = 250;

/// Values of a node in one answer; more come by continuation.
const VALUES_A_NODE: u32 = 1_000;

/// Values held at once, while those of one slice of time are put in order.
const VALUES_HELD_MAX: usize = 50_000;

/// Values that a slice of time is cut for: far below what may be held, since a queue may have
/// sampled faster than the group asks.
const VALUES_EXPECTED: u128 = 10_000;

/// The shortest and the longest slice.
const SLICE_MIN: Duration = Duration::from_secs(1);
const SLICE_MAX: Duration = Duration::from_secs(3_600);

/// How long one gap is filled at most: what is not reached by then is named.
const FILL_TIME_MAX: Duration = Duration::from_secs(120);

/// The bit of an access level that says that history may be read.
const HISTORY_READ: u8 = 0x04;

/// Ticks of a server's clock in a millisecond.
const TICKS_A_MILLI: i64 = 10_000;

/// A gap to be filled.
#[derive(Debug)]
pub(super) struct Filling {
    /// Its number, given once.
    pub number: u32,
    /// The machine.
    pub slot: Slot,
    /// Its map.
    pub map: Arc<MachineMap>,
    /// The server's times of both ends, in its ticks.
    pub span: (i64, i64),
    /// The points to be filled.
    pub points: BTreeMap<u16, Edges>,
    /// Points that are known to have no history.
    pub without: BTreeSet<u16>,
}

/// What became of a gap.
#[derive(Debug)]
pub(super) struct Filled {
    /// The number of the filling.
    pub number: u32,
    /// The points of which something is still missing.
    pub missing: BTreeSet<u16>,
    /// Those of them that have no history at all.
    pub without: BTreeSet<u16>,
}

/// Where the values of a filling go.
pub(super) struct Outlet {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where what is found goes.
    pub observations: mpsc::Sender<Observation>,
}

/// A node whose history is read.
struct Source<'a> {
    place: u16,
    point: &'a Point,
    edges: Edges,
    node: NodeId,
}

/// A historical value: its source time in ticks, and where it belongs.
struct Found {
    ticks: i64,
    place: u16,
    data: DataValue,
}

/// Fills a gap as far as the server can.
pub(super) async fn fill(bench: Bench, filling: Filling, outlet: Outlet) -> Filled {
    let mut filled = Filled {
        number: filling.number,
        missing: torn(&filling.points),
        without: filling.without.clone(),
    };
    let mut sources = sources(&filling, &bench.namespaces, &mut filled.without);
    allowed(&bench, &mut sources, &mut filled).await;
    let until = Instant::now() + FILL_TIME_MAX;
    let (mut from, end) = filling.span;
    let slice = slice(&filling.map, &sources);
    while from < end && !sources.is_empty() {
        let to = from.saturating_add(slice).min(end);
        if Instant::now() >= until {
            filled
                .missing
                .extend(sources.iter().map(|source| source.place));
            break;
        }
        let mut found = Vec::new();
        for chunk in sources.chunks(NODES_A_REQUEST) {
            read(&bench, chunk, (from, to), &mut found, &mut filled).await;
        }
        sources.retain(|source| !filled.without.contains(&source.place));
        send(&filling, found, &outlet).await;
        from = to;
    }
    filled.missing.extend(&filled.without);
    filled
}

fn torn(points: &BTreeMap<u16, Edges>) -> BTreeSet<u16> {
    let torn = points.iter().filter(|(_, edges)| edges.is_torn);
    torn.map(|(place, _)| *place).collect()
}

fn sources<'a>(
    filling: &'a Filling,
    namespaces: &Namespaces,
    without: &mut BTreeSet<u16>,
) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for (place, edges) in &filling.points {
        let point = point(&filling.map, *place);
        let found = point.and_then(|point| Some((point, node(point.node()?, namespaces)?)));
        match found {
            Some((point, node)) if !without.contains(place) => sources.push(Source {
                place: *place,
                point,
                edges: *edges,
                node,
            }),
            Some(_) | None => {
                without.insert(*place);
            }
        }
    }
    sources
}

/// Keeps the nodes whose history we may read. Where the server does not say, it is tried.
async fn allowed(bench: &Bench, sources: &mut Vec<Source<'_>>, filled: &mut Filled) {
    let mut forbidden = BTreeSet::new();
    for chunk in sources.chunks(ATTRIBUTES_A_REQUEST) {
        let attribute = |id: AttributeId| {
            let of = move |source: &Source<'_>| ReadValueId {
                node_id: source.node.clone(),
                attribute_id: id as u32,
                ..ReadValueId::default()
            };
            chunk.iter().map(of)
        };
        let mut asked: Vec<ReadValueId> = attribute(AttributeId::UserAccessLevel).collect();
        asked.extend(attribute(AttributeId::AccessLevel));
        let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
        let Ok(levels) = bench.ask(reading).await else {
            continue;
        };
        let level = |at: usize| match levels.get(at).and_then(|data| data.value.as_ref()) {
            Some(Variant::Byte(level)) => Some(*level),
            Some(_) | None => None,
        };
        for (at, source) in chunk.iter().enumerate() {
            let level = level(at).or_else(|| level(chunk.len() + at));
            if level.is_some_and(|level| level & HISTORY_READ == 0) {
                forbidden.insert(source.place);
            }
        }
    }
    sources.retain(|source| !forbidden.contains(&source.place));
    filled.without.extend(forbidden);
}

/// The length of a slice of time, in ticks, that holds about as many values as may be held.
fn slice(map: &MachineMap, sources: &[Source<'_>]) -> i64 {
    let interval = |source: &Source<'_>| {
        let group = map.groups.get(usize::from(source.point.group));
        group.map_or(1, |group| group.interval.as_millis().max(1))
    };
    let per_hour = |source| 3_600_000 / interval(source);
    let per_hour: u128 = sources.iter().map(per_hour).sum();
    let millis = VALUES_EXPECTED * 3_600_000 / per_hour.max(1);
    let millis = millis.clamp(SLICE_MIN.as_millis(), SLICE_MAX.as_millis());
    i64::try_from(millis).unwrap_or(1_000) * TICKS_A_MILLI
}

/// Reads a slice of the history of some nodes. What fails is noted in `filled`.
async fn read(
    bench: &Bench,
    sources: &[Source<'_>],
    (from, to): (i64, i64),
    found: &mut Vec<Found>,
    filled: &mut Filled,
) {
    let mut left: Vec<(&Source<'_>, ByteString)> = sources
        .iter()
        .map(|source| (source, ByteString::null()))
        .collect();
    while !left.is_empty() {
        let is_full = found.len() >= VALUES_HELD_MAX;
        let answer = ask(bench, &left, (from, to), is_full).await;
        if is_full {
            filled
                .missing
                .extend(left.iter().map(|(source, _)| source.place));
            return;
        }
        let results = match answer {
            Ok(results) => results,
            Err(status) => {
                let places = left.iter().map(|(source, _)| source.place);
                match has_none(status) {
                    true => filled.without.extend(places),
                    false => filled.missing.extend(places),
                }
                return;
            }
        };
        let asked = std::mem::take(&mut left);
        let silent = asked.iter().skip(results.len());
        filled
            .missing
            .extend(silent.map(|(source, _)| source.place));
        for ((source, _), result) in asked.into_iter().zip(results) {
            let more = result.continuation_point.clone();
            match take(source, result, found) {
                Ok(()) if more.is_null_or_empty() => {}
                Ok(()) => left.push((source, more)),
                Err(status) if has_none(status) => {
                    filled.without.insert(source.place);
                }
                Err(_) => {
                    filled.missing.insert(source.place);
                }
            }
        }
    }
}

/// Asks for a slice, or gives back what the server keeps for its continuation.
async fn ask(
    bench: &Bench,
    left: &[(&Source<'_>, ByteString)],
    (from, to): (i64, i64),
    release: bool,
) -> Result<Vec<HistoryReadResult>, StatusCode> {
    let nodes: Vec<HistoryReadValueId> = left
        .iter()
        .map(|(source, more)| HistoryReadValueId {
            node_id: source.node.clone(),
            continuation_point: more.clone(),
            ..HistoryReadValueId::default()
        })
        .collect();
    let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: DateTime::from(from),
        end_time: DateTime::from(to),
        num_values_per_node: VALUES_A_NODE,
        return_bounds: false,
    });
    let session = &bench.session;
    let reading = session.history_read(details, TimestampsToReturn::Both, release, &nodes);
    bench.ask(reading).await
}

/// Whether a status says that a node has no history for us, now and later.
fn has_none(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadHistoryOperationUnsupported
            | StatusCode::BadHistoryOperationInvalid
            | StatusCode::BadServiceUnsupported
            | StatusCode::BadNotSupported
            | StatusCode::BadNotReadable
            | StatusCode::BadUserAccessDenied
            | StatusCode::BadNodeIdUnknown
            | StatusCode::BadNodeIdInvalid
    )
}

fn take(
    source: &Source<'_>,
    result: HistoryReadResult,
    found: &mut Vec<Found>,
) -> Result<(), StatusCode> {
    if result.status_code.is_bad() {
        return Err(result.status_code);
    }
    let history = result.history_data.into_inner_as::<HistoryData>();
    let values = history.and_then(|history| history.data_values);
    let mut is_dated = true;
    for data in values.into_iter().flatten() {
        let time = data.source_timestamp.as_ref();
        let Some(time) = time.filter(|time| !time.is_null()) else {
            is_dated = false;
            continue;
        };
        let ticks = time.ticks();
        if source.edges.lacks(ticks) {
            let place = source.place;
            found.push(Found { ticks, place, data });
        }
    }
    // Without a time a value has no place.
    match is_dated {
        true => Ok(()),
        false => Err(StatusCode::BadInvalidTimestamp),
    }
}

async fn send(filling: &Filling, mut found: Vec<Found>, outlet: &Outlet) {
    found.sort_by_key(|found| (found.ticks, found.place));
    // A slice's first value may be the last of the one before.
    found.dedup_by_key(|found| (found.ticks, found.place));
    let mut batches = Batches::new(outlet.clock.now());
    for found in found {
        if let Some(point) = point(&filling.map, found.place) {
            let spot = Spot {
                slot: filling.slot,
                point: found.place,
            };
            let source = found.data.source_timestamp.as_ref().and_then(moment);
            batches.add(spot, point.group, source, reading(point, &found.data));
        }
    }
    for batch in batches.done() {
        // Nobody takes it any more: the link is ending.
        drop(outlet.observations.send(Observation::History(batch)).await);
    }
}
