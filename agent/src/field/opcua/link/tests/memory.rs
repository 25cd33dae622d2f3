//! What a test server remembers of its nodes' values, and the node manager that answers from it. Of `hloop` it
//! tells one value again and again, of `hvoid` none, and promises more for ever.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use opcua::server::ContinuationPoint;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::InMemoryNodeManagerImpl;
use opcua::server::node_manager::{HistoryNode, RequestContext, ServerContext};
use opcua::types::{
    DataValue, DateTime, HistoryData, NodeId, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn,
};
use tokio::sync::watch;

/// Values in one answer: few, so that there are continuations.
const ANSWER_MAX: usize = 2;

/// From one value that is noted to the next: ten milliseconds.
const NOTED_TICKS: i64 = 100_000;

/// What a server remembers; clones are the same memory.
#[derive(Clone, Default)]
pub(super) struct Memory {
    values: Arc<Mutex<HashMap<NodeId, Vec<DataValue>>>>,
    /// After how many more answers it falls silent, if at all.
    answers: Arc<watch::Sender<Option<usize>>>,
    /// The node of which it notes values by itself, and when the last one was.
    noted: Arc<Mutex<Option<(NodeId, DateTime)>>>,
}

impl Memory {
    pub(super) fn add(&self, node: NodeId, value: DataValue) {
        let mut values = self.values.lock().unwrap();
        values.entry(node).or_default().push(value);
    }

    /// From now on it notes a value of this node every ten milliseconds, whoever is asleep.
    pub(super) fn note(&self, node: NodeId) {
        *self.noted.lock().unwrap() = Some((node, DateTime::now()));
    }

    /// Adds the values that it has noted by now.
    fn catch_up(&self) {
        let mut noted = self.noted.lock().unwrap();
        let Some((node, last)) = noted.as_mut() else {
            return;
        };
        let now = DateTime::now();
        let mut values = self.values.lock().unwrap();
        let all = values.entry(node.clone()).or_default();
        while last.ticks() + NOTED_TICKS <= now.ticks() {
            *last = DateTime::from(last.ticks() + NOTED_TICKS);
            let value = i32::try_from(all.len()).unwrap();
            all.push(DataValue::new_at(value, *last));
        }
    }

    /// Falls silent after so many answers, or none: speaks again.
    pub(super) fn fall_silent(&self, after: Option<usize>) {
        self.answers.send_replace(after);
    }

    /// Waits until it was asked what it does not answer.
    pub(super) async fn until_silent(&self) {
        let mut answers = self.answers.subscribe();
        let silent = answers.wait_for(|left| *left == Some(0));
        silent.await.unwrap();
    }

    fn answer(&self, asked: &ReadRawModifiedDetails, node: &mut HistoryNode) {
        self.catch_up();
        let memory = self.values.lock().unwrap();
        let (start, end) = (asked.start_time, asked.end_time);
        let within = |value: &&DataValue| {
            let time = value.source_timestamp.unwrap();
            time >= start && time < end
        };
        let all = memory.get(node.node_id()).into_iter().flatten();
        let before = node.continuation_point();
        let after = before.map_or(0, |point| *point.get::<usize>().unwrap());
        let name = node.node_id().to_string();
        let is_endless = name.ends_with(";s=hloop") || name.ends_with(";s=hvoid");
        let left: Vec<DataValue> = match is_endless {
            true => all
                .take(1)
                .filter(|_| name.ends_with("hloop"))
                .cloned()
                .collect(),
            false => all.filter(within).skip(after).cloned().collect(),
        };
        if is_endless || left.len() > ANSWER_MAX {
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
        let is_silent = *self.memory.answers.borrow() == Some(0);
        self.memory.answers.send_if_modified(|left| {
            *left = left.map(|left| left.saturating_sub(1));
            left.is_some()
        });
        Box::pin(async move {
            if is_silent {
                std::future::pending::<()>().await;
            }
            for node in nodes {
                self.memory.answer(asked, node);
            }
            Ok(())
        })
    }
}
