//! The press's own memory of its process values, and the node manager that answers from it.
//!
//! A ring in memory for each node, read by HistoryRead raw, forwards or backwards, a part at a time.
//! There are no aggregates, no modified values, and nothing can be changed.

use opcua::server::ContinuationPoint;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::InMemoryNodeManagerImpl;
use opcua::server::node_manager::{HistoryNode, RequestContext, ServerContext};
use opcua::types::{
    DataValue, DateTime, HistoryData, NodeId, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn,
};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that are remembered of each node: ten minutes at ten a second.
pub(super) const VALUES_MAX: usize = 6_000;
/// Values in one answer at most: what fits a message that any client takes.
const ANSWER_MAX: usize = 1_000;

type Value = (DateTime, f64);

/// What the press remembers. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<NodeId, VecDeque<Value>>>>);

impl Memory {
    /// Remembers a value; of too many, the oldest is forgotten.
    pub(super) fn add(&self, node: &NodeId, at: DateTime, value: f64) {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry(node.clone()).or_default();
        if ring.len() >= VALUES_MAX {
            ring.pop_front();
        }
        ring.push_back((at, value));
    }

    /// The values of a node that a request asks for, after so many of them, and whether there are more.
    fn read(
        &self,
        node: &NodeId,
        asked: &ReadRawModifiedDetails,
        after: usize,
    ) -> (Vec<Value>, bool) {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ring) = rings.get(node) else {
            return (Vec::new(), false);
        };
        let (start, end) = (asked.start_time, asked.end_time);
        // Without a start the newest come first; likewise where the start is the later of the two.
        let backwards = start.is_null() || (!end.is_null() && end < start);
        let (first, last) = if !start.is_null() && backwards {
            (end, start)
        } else {
            (start, end)
        };
        let within =
            |(at, _): &&Value| (first.is_null() || *at >= first) && (last.is_null() || *at < last);
        let most = match usize::try_from(asked.num_values_per_node) {
            Ok(0) | Err(_) => ANSWER_MAX,
            Ok(wanted) => wanted.min(ANSWER_MAX),
        };
        let mut found: Vec<Value> = if backwards {
            ring.iter()
                .rev()
                .filter(within)
                .skip(after)
                .take(most + 1)
                .copied()
                .collect()
        } else {
            ring.iter()
                .filter(within)
                .skip(after)
                .take(most + 1)
                .copied()
                .collect()
        };
        let more = found.len() > most;
        found.truncate(most);
        (found, more)
    }
}

/// How many values of a request have been handed out.
struct Handed(usize);

/// The press's nodes, with a memory.
pub(super) struct Nodes {
    memory: Memory,
    namespaces: Vec<NamespaceMetadata>,
}

impl Nodes {
    /// The nodes of these namespaces.
    pub(super) fn new(memory: Memory, namespaces: Vec<NamespaceMetadata>) -> Self {
        Self { memory, namespaces }
    }

    fn answer(&self, asked: &ReadRawModifiedDetails, node: &mut HistoryNode) {
        if asked.is_read_modified {
            node.set_status(StatusCode::BadHistoryOperationUnsupported);
            return;
        }
        let handed = match node.continuation_point().map(|point| point.get::<Handed>()) {
            None => 0,
            Some(Some(Handed(handed))) => *handed,
            Some(None) => {
                node.set_status(StatusCode::BadContinuationPointInvalid);
                return;
            }
        };
        let (values, more) = self.memory.read(node.node_id(), asked, handed);
        if more {
            let handed = Handed(handed + values.len());
            node.set_next_continuation_point(Some(ContinuationPoint::new(Box::new(handed))));
        }
        node.set_status(if values.is_empty() {
            StatusCode::GoodNoData
        } else {
            StatusCode::Good
        });
        let value = |(at, value)| DataValue::new_at(value, at);
        node.set_result(HistoryData {
            data_values: Some(values.into_iter().map(value).collect()),
        });
    }
}

/// What an asynchronous method of a trait object gives.
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl InMemoryNodeManagerImpl for Nodes {
    fn init<'me, 'space, 'answer>(
        &'me self,
        _: &'space mut AddressSpace,
        _: ServerContext,
    ) -> Answer<'answer, ()>
    where
        'me: 'answer,
        'space: 'answer,
        Self: 'answer,
    {
        Box::pin(async {})
    }

    fn name(&self) -> &'static str {
        "press"
    }

    fn namespaces(&self) -> Vec<NamespaceMetadata> {
        self.namespaces.clone()
    }

    fn history_read_raw_modified<'me, 'context, 'asked, 'nodes, 'node, 'inner, 'answer>(
        &'me self,
        _: &'context RequestContext,
        asked: &'asked ReadRawModifiedDetails,
        nodes: &'nodes mut [&'node mut &'inner mut HistoryNode],
        _: TimestampsToReturn,
    ) -> Answer<'answer, Result<(), StatusCode>>
    where
        'me: 'answer,
        'context: 'answer,
        'asked: 'answer,
        'nodes: 'answer,
        'node: 'answer,
        'inner: 'answer,
        Self: 'answer,
    {
        for node in nodes {
            self.answer(asked, node);
        }
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWER_MAX, Memory, VALUES_MAX};
    use opcua::types::{DateTime, NodeId, ReadRawModifiedDetails};

    /// Ticks of 100 ns in a second.
    const SECOND: i64 = 10_000_000;

    fn at(second: usize) -> DateTime {
        DateTime::from((1 + i64::try_from(second).unwrap()) * SECOND)
    }

    /// What a request from one second to another gives, part by part.
    fn read(memory: &Memory, from: Option<usize>, to: Option<usize>, most: u32) -> Vec<f64> {
        let asked = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: from.map_or_else(DateTime::null, at),
            end_time: to.map_or_else(DateTime::null, at),
            num_values_per_node: most,
            return_bounds: false,
        };
        let node = NodeId::new(2, "n");
        let mut all = Vec::new();
        loop {
            let (values, more) = memory.read(&node, &asked, all.len());
            assert!(values.len() <= ANSWER_MAX);
            all.extend(values.into_iter().map(|(_, value)| value));
            if !more {
                return all;
            }
        }
    }

    #[test]
    fn a_request_gets_its_span_in_its_direction() {
        let memory = Memory::default();
        let node = NodeId::new(2, "n");
        assert!(read(&memory, Some(0), Some(9), 0).is_empty());
        for (second, value) in (0..10).zip([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) {
            memory.add(&node, at(second), value);
        }
        for (from, to, most, wanted) in [
            (Some(2), Some(5), 0, &[2.0, 3.0, 4.0][..]),
            (Some(2), Some(5), 2, &[2.0, 3.0, 4.0]),
            (Some(8), None, 0, &[8.0, 9.0]),
            (Some(5), Some(2), 0, &[4.0, 3.0, 2.0]),
            (None, Some(4), 3, &[3.0, 2.0, 1.0, 0.0]),
            (Some(10), Some(20), 0, &[]),
        ] {
            assert_eq!(
                read(&memory, from, to, most),
                wanted,
                "{from:?} {to:?} {most}"
            );
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_a_long_answer_comes_in_parts() {
        let memory = Memory::default();
        let node = NodeId::new(2, "n");
        for second in 0..VALUES_MAX + 5 {
            memory.add(&node, at(second), 1.0);
        }
        let all = read(&memory, Some(0), Some(2 * VALUES_MAX), 0);
        assert_eq!(all.len(), VALUES_MAX);
        assert!(read(&memory, Some(0), Some(5), 0).is_empty());
    }
}
