//! What a server says of itself: what its clock shows, since when it runs, and what its namespaces are
//! called.
//!
//! One read each, bounded by the server's `timeout`.

use lineside_proto::Time;
use opcua::types::{NodeId, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant};

use super::filling::{Started, TICKS_A_MILLI};
use super::item::Namespaces;
use super::value::moment;
use super::work::Bench;
use crate::clock::Clock;

/// Namespaces that are looked at: thousands would be nonsense, and no index goes beyond 65,535.
pub(super) const NAMESPACES_MAX: usize = 4_096;

/// The server's clock, as a time and in ticks.
pub(super) async fn beat(bench: Bench) -> Option<(Time, i64)> {
    let node = VariableId::Server_ServerStatus_CurrentTime;
    let asked = [ReadValueId::from(NodeId::from(node))];
    let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
    let data = bench.ask(reading).await.ok()?.into_iter().next()?;
    let Variant::DateTime(time) = data.value? else {
        return None;
    };
    Some((moment(&time)?, time.ticks()))
}

/// Since when the server runs.
///
/// # Errors
///
/// It did not answer, or does not say.
pub(super) async fn started(bench: &Bench, clock: &dyn Clock) -> Result<Started, StatusCode> {
    let asked = [
        VariableId::Server_ServerStatus_StartTime,
        VariableId::Server_ServerStatus_CurrentTime,
    ];
    let asked = asked.map(|node| ReadValueId::from(NodeId::from(node)));
    let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
    let told = bench.ask(reading).await?;
    let time = |place: usize| match told.get(place)?.value {
        Some(Variant::DateTime(ref time)) if !time.is_null() => Some(time.ticks()),
        Some(_) | None => None,
    };
    let (start, now) = time(0).zip(time(1)).ok_or(StatusCode::BadNoData)?;
    // The two clocks need not agree; what has passed since then is the same.
    let since_ms = now.saturating_sub(start) / TICKS_A_MILLI;
    Ok(Started {
        ticks: start,
        wall: clock.now().wall.plus_millis(since_ms.saturating_neg()),
    })
}

/// The server's namespaces: they have the same names for ever, and other indexes after each start.
pub(super) async fn namespaces(bench: Bench) -> Result<Namespaces, StatusCode> {
    let node = VariableId::Server_NamespaceArray;
    let asked = [ReadValueId::from(NodeId::from(node))];
    let reading = bench.session.read(&asked, TimestampsToReturn::Neither, 0.0);
    let data = bench.ask(reading).await?.into_iter().next();
    let Some(Variant::Array(array)) = data.and_then(|data| data.value) else {
        return Err(StatusCode::BadUnknownResponse);
    };
    Ok(by_uri(&array.values))
}

/// The index of each URI; the first where a server names one twice.
fn by_uri(array: &[Variant]) -> Namespaces {
    let mut namespaces = Namespaces::new();
    for (index, uri) in (0..).zip(array.iter().take(NAMESPACES_MAX)) {
        if let Variant::String(uri) = uri {
            let uri = uri.value().clone().filter(|uri| !uri.is_empty());
            if let Some(uri) = uri {
                namespaces.entry(uri).or_insert(index);
            }
        }
    }
    namespaces
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::UAString;

    #[test]
    fn namespaces_are_found_by_uri_however_odd_the_list() {
        let text = |text: &str| Variant::from(text);
        let mut array = vec![
            text("urn:a"),
            Variant::from(7),
            Variant::String(UAString::null()),
            text("urn:b"),
            text("urn:a"),
            text(""),
        ];
        let few = Namespaces::from([("urn:a".to_owned(), 0), ("urn:b".to_owned(), 3)]);
        assert_eq!(by_uri(&array), few);
        array.extend((0..70_000).map(|number| text(&number.to_string())));
        let many = by_uri(&array);
        assert!(many.len() < NAMESPACES_MAX);
        assert_eq!(many.get("0"), Some(&6));
    }
}
