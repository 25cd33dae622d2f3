//! Fills a gap from the server's own history, where it keeps one.
//!
//! Read only. What is found goes out as history, in the order of source time, while live values flow;
//! what can't be found is named. Bounded in values, in requests and in time.

use std::collections::BTreeSet;
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

use super::about::started;
use super::batch::Batches;
use super::filling::{Filling, TICKS_A_MILLI};
use super::gap::Edges;
use super::item::{Namespaces, Spot, WIDE_MAX, is_wide, node, point};
use super::pieces::Pieces;
use super::value::{moment, reading};
use super::wanted::is_silence;
use super::work::Bench;
use crate::clock::Clock;
use crate::config::model::MachineMap;
use crate::sample::Observation;

/// Nodes in one request for history at most: an answer holds many values of each. A server that limits it
/// further is asked for fewer at once.
const NODES_A_REQUEST: usize = 20;

/// Nodes in one request for attributes.
const ATTRIBUTES_A_REQUEST: usize = 250;

/// Values of a node in one answer; more come by continuation.
const VALUES_A_NODE: u32 = 500;

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

/// How often one gap is tried at most: with a server that comes and goes it would never end.
pub(super) const TRIES_MAX: u32 = 5;

/// The bit of an access level that says that history may be read.
const HISTORY_READ: u8 = 0x04;

/// Where the values of a filling go.
pub(super) struct Outlet {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where what is found goes.
    pub observations: mpsc::Sender<Observation>,
}

/// A node whose history is read.
struct Source {
    place: u16,
    group: u16,
    edges: Edges,
    node: NodeId,
    is_wide: bool,
}

/// A historical value: its source time in ticks, and where it belongs.
struct Found {
    ticks: i64,
    place: u16,
    data: DataValue,
}

/// Goes on to fill a gap as far as the server can. Where it is silent that is broken off, and the rest can
/// be had another time.
pub(super) async fn fill(bench: Bench, mut filling: Filling, outlet: Outlet) -> Filling {
    filling.tries += 1;
    match started(&bench, &*outlet.clock).await {
        Err(status) if is_silence(status) => return filling,
        // A server that does not say may have been started at any time.
        started => filling.started = started.ok(),
    }
    let mut sources = sources(&mut filling, &bench.namespaces);
    if allowed(&bench, &mut sources, &mut filling).await.is_err() {
        return filling;
    }
    let until = Instant::now() + FILL_TIME_MAX;
    let slice = slice(&filling.map, &sources);
    let is_any_wide = sources.iter().any(|source| source.is_wide);
    while filling.span.0 < filling.span.1 && !sources.is_empty() {
        let (from, end) = filling.span;
        let to = from.saturating_add(slice).min(end);
        if Instant::now() >= until {
            let left = sources.iter().map(|source| source.place);
            filling.missing.extend(left);
            break;
        }
        let mut found = Vec::new();
        // An answer holds so many values of each.
        let at_once = if is_any_wide { 1 } else { NODES_A_REQUEST };
        let mut pieces = Pieces::of(&sources, at_once);
        while let Some(piece) = pieces.next() {
            let before = found.len();
            let span = Slice { from, to, until };
            match read(&bench, piece, span, &mut found, &mut filling).await {
                Ok(()) => {}
                Err(status) if is_silence(status) && filling.tries < TRIES_MAX => return filling,
                Err(status) if pieces.halve(status) => found.truncate(before),
                Err(status) => fail(&mut filling, piece.iter().map(|one| one.place), status),
            }
        }
        sources.retain(|source| !filling.without.contains(&source.place));
        send(&mut filling, found, &outlet).await;
        filling.span.0 = to;
    }
    filling.is_done = true;
    filling
}

/// The server is silent.
struct Silent;

fn sources(filling: &mut Filling, namespaces: &Namespaces) -> Vec<Source> {
    let mut sources = Vec::new();
    for (place, edges) in &filling.points {
        let point = point(&filling.map, *place);
        let found = point.and_then(|point| Some((point, node(point.node()?, namespaces)?)));
        match found {
            Some((point, node)) if !filling.without.contains(place) => sources.push(Source {
                place: *place,
                group: point.group,
                edges: *edges,
                node,
                is_wide: is_wide(point),
            }),
            Some(_) | None => {
                filling.without.insert(*place);
            }
        }
    }
    sources
}

/// Keeps the nodes whose history we may read. Where the server does not say, it is tried.
async fn allowed(
    bench: &Bench,
    sources: &mut Vec<Source>,
    filling: &mut Filling,
) -> Result<(), Silent> {
    let mut forbidden = BTreeSet::new();
    for chunk in sources.chunks(ATTRIBUTES_A_REQUEST) {
        let attribute = |id: AttributeId| {
            let of = move |source: &Source| ReadValueId {
                node_id: source.node.clone(),
                attribute_id: id as u32,
                ..ReadValueId::default()
            };
            chunk.iter().map(of)
        };
        let mut asked: Vec<ReadValueId> = attribute(AttributeId::UserAccessLevel).collect();
        asked.extend(attribute(AttributeId::AccessLevel));
        let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
        let levels = match bench.ask(reading).await {
            Ok(levels) => levels,
            Err(status) if is_silence(status) => return Err(Silent),
            Err(_) => continue,
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
    filling.without.extend(forbidden);
    Ok(())
}

/// The length of a slice of time, in ticks, that holds about as many values as may be held.
fn slice(map: &MachineMap, sources: &[Source]) -> i64 {
    let interval = |source: &Source| {
        let group = map.groups.get(usize::from(source.group));
        group.map_or(1, |group| group.interval.as_millis().max(1))
    };
    let per_hour = |source| 3_600_000 / interval(source);
    let per_hour: u128 = sources.iter().map(per_hour).sum();
    let millis = VALUES_EXPECTED * 3_600_000 / per_hour.max(1);
    let millis = millis.clamp(SLICE_MIN.as_millis(), SLICE_MAX.as_millis());
    i64::try_from(millis).unwrap_or(1_000) * TICKS_A_MILLI
}

/// Notes that points have no history, or that this of it can't be had.
fn fail(filling: &mut Filling, places: impl Iterator<Item = u16>, status: StatusCode) {
    match has_none(status) {
        true => filling.without.extend(places),
        false => filling.missing.extend(places),
    }
}

/// A stretch of history, in ticks, and until when it may be asked for.
#[derive(Clone, Copy)]
struct Slice {
    from: i64,
    to: i64,
    until: Instant,
}

/// Where the reading of a node's slice stands.
struct Page<'a> {
    source: &'a Source,
    /// Where the server goes on; null: at the beginning.
    point: ByteString,
    /// The newest source time so far: a server that does not get beyond it would be asked for ever.
    newest: i64,
}

/// Reads a slice of the history of some nodes. What fails of single nodes, or is not reached, is noted in
/// `filling`.
///
/// # Errors
///
/// The status of a request that failed altogether.
async fn read(
    bench: &Bench,
    sources: &[Source],
    slice: Slice,
    found: &mut Vec<Found>,
    filling: &mut Filling,
) -> Result<(), StatusCode> {
    let first = |source| Page {
        source,
        point: ByteString::null(),
        newest: i64::MIN,
    };
    let mut left: Vec<Page> = sources.iter().map(first).collect();
    let mut given_up = Vec::new();
    let mut failed = Ok(());
    while !left.is_empty() {
        if found.len() >= VALUES_HELD_MAX || Instant::now() >= slice.until {
            given_up.append(&mut left);
            break;
        }
        let results = match ask(bench, &left, slice, false).await {
            Ok(results) => results,
            Err(status) => {
                failed = Err(status);
                break;
            }
        };
        let asked = std::mem::take(&mut left);
        let silent = asked.iter().skip(results.len());
        filling.missing.extend(silent.map(|page| page.source.place));
        for (page, result) in asked.into_iter().zip(results) {
            let point = result.continuation_point.clone();
            match take(page.source, result, found) {
                Ok(_) if point.is_null_or_empty() => {}
                Ok(newest) => {
                    let next = Page {
                        point,
                        newest,
                        ..page
                    };
                    match newest > page.newest {
                        true => left.push(next),
                        false => given_up.push(next),
                    }
                }
                Err(status) => fail(filling, std::iter::once(page.source.place), status),
            }
        }
    }
    let places = given_up.iter().map(|page| page.source.place);
    filling.missing.extend(places);
    if !failed.is_err_and(is_silence) {
        given_up.append(&mut left);
        given_up.retain(|page| !page.point.is_null_or_empty());
        if !given_up.is_empty() {
            // A server that does not take them back forgets them with the session.
            drop(ask(bench, &given_up, slice, true).await);
        }
    }
    failed
}

/// Asks for a slice, or gives back what the server keeps for its continuation.
async fn ask(
    bench: &Bench,
    pages: &[Page<'_>],
    slice: Slice,
    release: bool,
) -> Result<Vec<HistoryReadResult>, StatusCode> {
    let nodes: Vec<HistoryReadValueId> = pages
        .iter()
        .map(|page| HistoryReadValueId {
            node_id: page.source.node.clone(),
            continuation_point: page.point.clone(),
            ..HistoryReadValueId::default()
        })
        .collect();
    let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: DateTime::from(slice.from),
        end_time: DateTime::from(slice.to),
        num_values_per_node: match pages.iter().any(|page| page.source.is_wide) {
            true => WIDE_MAX,
            false => VALUES_A_NODE,
        },
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

/// Takes the values of an answer. Gives the newest source time.
fn take(
    source: &Source,
    result: HistoryReadResult,
    found: &mut Vec<Found>,
) -> Result<i64, StatusCode> {
    if result.status_code.is_bad() {
        return Err(result.status_code);
    }
    let history = result.history_data.into_inner_as::<HistoryData>();
    let values = history.and_then(|history| history.data_values);
    let (mut is_dated, mut newest) = (true, i64::MIN);
    for data in values.into_iter().flatten() {
        let time = data.source_timestamp.as_ref();
        let Some(time) = time.filter(|time| !time.is_null()) else {
            is_dated = false;
            continue;
        };
        let ticks = time.ticks();
        newest = newest.max(ticks);
        if source.edges.lacks(ticks) {
            let place = source.place;
            found.push(Found { ticks, place, data });
        }
    }
    // Without a time a value has no place.
    match is_dated {
        true => Ok(newest),
        false => Err(StatusCode::BadInvalidTimestamp),
    }
}

async fn send(filling: &mut Filling, mut found: Vec<Found>, outlet: &Outlet) {
    found.sort_by_key(|found| (found.ticks, found.place));
    // A slice's first value may be the last of the one before.
    found.dedup_by_key(|found| (found.ticks, found.place));
    let mut batches = Batches::new(outlet.clock.now());
    for found in found {
        filling.find(found.place, found.ticks);
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
