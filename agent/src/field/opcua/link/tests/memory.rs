//! What a test server remembers of its nodes' values, and the node manager that answers from it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use opcua::server::ContinuationPoint;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::InMemoryNodeManagerImpl;
use opcua::server::node_manager::{HistoryNode, RequestContext, ServerContext};
use opcua::types::{
    DataValue, HistoryData, NodeId, ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};

/// Values in one answer: few, so that there are continuations.
const ANSWER_MAX: usize = 2;

/// What a server remembers; clones are the same memory.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<NodeId, Vec<DataValue>>>>);

impl Memory {
    pub(super) fn add(&self, node: NodeId, value: DataValue) {
        self.0.lock().unwrap().entry(node).or_default().push(value);
    }

    fn answer(&self, asked: &ReadRawModifiedDetails, node: &mut HistoryNode) {
        let memory = self.0.lock().unwrap();
        let (start, end) = (asked.start_time, asked.end_time);
        let within = |value: &&DataValue| {
            let time = value.source_timestamp.unwrap();
            time >= start && time < end
        };
        let all = memory.get(node.node_id()).into_iter().flatten();
        let before = node.continuation_point();
        let after = before.map_or(0, |point| *point.get::<usize>().unwrap());
        let left: Vec<DataValue> = all.filter(within).skip(after).cloned().collect();
        if left.len() > ANSWER_MAX {
            let next = ContinuationPoint::new(Box::new(after + ANSWER_MAX));
            node.set_next_continuation_point(Some(next));
        }
        node.set_status(StatusCode::Good);
        let data_values = Some(left.into_iter().take(ANSWER_MAX).collect());
        node.set_result(HistoryData { data_values });
    }
}

/// The nodes of a server.
pub(super) struct Nodes {
    pub memory: Memory,
    pub namespaces: Vec<NamespaceMetadata>,
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
        "plant"
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
            self.memory.answer(asked, node);
        }
        Box::pin(async { Ok(()) })
    }
}
